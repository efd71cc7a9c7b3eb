/** What programs that are generated from the OpenAPI document get from it. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import t from 'tap'
import { codes } from '../../../src/core/errors.ts'
import { describeApi } from '../../../src/fronts/rest/docs.ts'

const tsc = resolve('node_modules/typescript/bin/tsc')
const document = JSON.parse(await describeApi())
const answerOf = (path: string) => document.paths[path].post.responses[200].content

t.test('each answer has one type, so that a generated client types it', async t => {
  for (const [path, operations] of Object.entries<Record<string, any>>(document.paths)) {
    for (const [method, { responses }] of Object.entries(operations)) {
      for (const [status, { content = {} }] of Object.entries<any>(responses)) {
        t.ok(Object.keys(content).length <= 1, `${method} ${path} ${status}`)
      }
    }
  }
  t.match(answerOf('/queues/{queue}/lease')['application/json'].schema, {
    $ref: '#/components/schemas/Leased'
  })
})

t.test('the code of a problem is one of those in the list', async t => {
  t.match(document.components.schemas.Problem.properties.code, { $ref: '#/components/schemas/ErrorCode' })
  t.match(document.components.schemas.ErrorCode, { type: 'string', enum: [...codes] })
})

t.test('the outcome says which fields there are', async t => {
  const { oneOf, discriminator } = document.components.schemas.Outcome
  t.equal(discriminator.propertyName, 'outcome')
  t.strictSame(
    Object.values(discriminator.mapping),
    oneOf.map(({ $ref }: { $ref: string }) => $ref)
  )
  const fields = Object.entries<string>(discriminator.mapping).map(([name, $ref]) => {
    const { properties, required } = document.components.schemas[$ref.split('/').at(-1)!]
    t.strictSame(properties.outcome.enum, [name])
    return [name, Object.keys(properties).slice(2), required.slice(1)]
  })
  t.strictSame(fields, [
    ['acked', ['then'], []],
    ['retrying', ['visibleAt'], ['visibleAt']],
    ['dead', ['movedTo'], []],
    ['extended', ['leaseExpiresAt'], ['leaseExpiresAt']],
    ['released', [], []],
    ['gone', [], []],
    ['leaseLost', [], []]
  ])
})

t.test('a body that may be left out is not required', async t => {
  const isRequired = (path: string) => document.paths[path].post.requestBody.required === true
  for (const verb of ['lease', 'purge', 'retry', 'redrive']) {
    t.notOk(isRequired(`/queues/{queue}/${verb}`), verb)
  }
  for (const verb of ['messages', 'ack', 'fail']) t.ok(isRequired(`/queues/{queue}/${verb}`), verb)
})

const program = `
import createClient from 'openapi-fetch'
import type { components, paths } from './holdfast.ts'

const holdfast = createClient<paths>({ baseUrl: 'http://127.0.0.1:8080' })
const params = { path: { queue: 'mail' } }

export async function work(): Promise<string[]> {
  const enqueued = await holdfast.POST('/queues/{queue}/messages', { params, body: { body: 1, priority: 9 } })
  if (enqueued.error !== undefined) return [told(enqueued.error)]
  const ids: string[] = 'messages' in enqueued.data
    ? enqueued.data.messages.map(({ id }) => id)
    : [enqueued.data.id]

  const { data, error } = await holdfast.POST('/queues/{queue}/lease', { params })
  if (data === undefined) return [error === undefined ? 'nothing came' : told(error)]
  const [message] = data.messages
  if (message === undefined) return ids
  const { receipt, attempt } = message

  const acked = await holdfast.POST('/queues/{queue}/ack', { params, body: { receipt } })
  if (acked.error !== undefined) return [told(acked.error)]
  if ('outcomes' in acked.data) return acked.data.outcomes.map(endOf)
  if (acked.data.outcome === 'acked') return acked.data.then?.map(({ id }) => id) ?? []

  const body = { failures: [{ receipt, reason: \`attempt \${attempt}\` }] }
  const failed = await holdfast.POST('/queues/{queue}/fail', { params, body })
  return failed.data !== undefined && 'outcomes' in failed.data ? failed.data.outcomes.map(endOf) : []
}

function endOf(outcome: components['schemas']['Outcome']): string {
  switch (outcome.outcome) {
    case 'retrying':
      return outcome.visibleAt
    case 'extended':
      return outcome.leaseExpiresAt
    case 'dead':
      return outcome.movedTo ?? 'here'
    case 'acked':
      return outcome.then?.[0]?.queue ?? ''
    case 'released':
    case 'gone':
    case 'leaseLost':
      // @ts-expect-error: only a message that is tried again has a time
      return outcome.visibleAt
    default:
      return outcome satisfies never
  }
}

function told({ code, detail }: components['schemas']['Problem']): string {
  // @ts-expect-error: there is no such code
  if (code === 'leaselost') return ''
  return code === 'leaseLost' || code === 'queueFull' ? code : detail
}

// @ts-expect-error: a message has a body
await holdfast.POST('/queues/{queue}/messages', { params, body: { priority: 1 } })
// @ts-expect-error: a number of messages
await holdfast.POST('/queues/{queue}/lease', { params, body: { max: 'all' } })
await holdfast.PUT('/queues/{queue}', { params, body: { retry: { strategy: 'exponential' } } })
`

t.test('a client that openapi-typescript generates types calls, outcomes and error codes', async t => {
  const folder = t.testdir({
    'holdfast.ts': astToString(await openapiTS(document)),
    'program.ts': program,
    'tsconfig.json': JSON.stringify({
      extends: resolve('tsconfig.json'),
      compilerOptions: { lib: ['es2024', 'dom'], types: [] },
      include: ['*.ts']
    })
  })
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
    (error: { stdout: string }) => error
  )
  t.equal(stdout, '')
})

t.test(
  'every operation lists the refusals that any may get, and the group that a replace may not change',
  t => {
    for (const [path, methods] of Object.entries<Record<string, any>>(document.paths)) {
      if (['/livez', '/readyz'].includes(path)) continue
      for (const [method, { responses }] of Object.entries(methods)) {
        for (const status of [401, 403, 429, 503]) t.ok(responses[status], `${method} ${path} ${status}`)
      }
    }
    const replacing = ['/queues/{queue}/messages', '/queues/{queue}/lease', '/topics/{topic}/messages']
    for (const path of replacing) t.ok(document.paths[path].post.responses[409], path)
    t.end()
  }
)
