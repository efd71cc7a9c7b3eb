/**
 * 10,000 requests generated from the OpenAPI document, right and wrong: each gets an answer that
 * the document allows, and none a 500.
 */
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { codes, type Code } from '../../../src/core/errors.ts'
import { contract } from '../../../src/fronts/rest/contract/index.ts'
import { service } from '../../support/service.ts'

interface Schema {
  $ref?: string
  type?: string | string[]
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
  enum?: unknown[]
  const?: unknown
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  pattern?: string
  minItems?: number
  maxItems?: number
}
interface Operation {
  operationId: string
  parameters?: { name: string; in: string; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, unknown>
}
interface Request {
  operation: Operation
  method: string
  path: string
  headers: Record<string, string>
  body: string | null
}

const document = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
const count = 10_000
const seed = Number(process.env.HOLDFAST_TEST_SEED ?? Date.now() % 1_000_000)
/** The codes that only some operations are refused with, by the operation that names them. */
const ownCodes = new Map(
  contract.map(({ schema }) => [
    schema.operationId!,
    Object.values(schema.response as object).flatMap(answer => answer['x-codes'] ?? [])
  ])
)
/** Statuses that every route may answer with. */
const everywhere = ['400', '405', '408', '413', '415', '431']

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    '',
    '\u0000',
    '\ud800',
    '9'.repeat(400),
    -1,
    1e308,
    2 ** 53,
    0.5,
    [],
    {},
    { __proto__: null },
    'x'.repeat(5000),
    '1.1.1.00000000',
    '2026-01-01T00:00:00Z',
    'ready',
    null
  )
)

/** A value that fits the schema, and one time in nine any value. */
function valueOf(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 8, arbitrary: fitting(schema) }, { weight: 1, arbitrary: odd })
}

function fitting(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return fitting(document.components.schemas[schema.$ref.split('/').at(-1)!])
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fitting))
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map(type => fitting({ ...schema, type })))
  const min = schema.minimum ?? schema.exclusiveMinimum ?? 0
  switch (schema.type) {
    case 'object':
      return fc
        .tuple(
          fc.record(
            Object.fromEntries(
              Object.entries(schema.properties ?? {}).map(([name, property]) => [name, valueOf(property)])
            ),
            { requiredKeys: [] }
          ),
          fc.oneof(
            { weight: 9, arbitrary: fc.constant({}) },
            { weight: 1, arbitrary: fc.dictionary(fc.string(), odd, { maxKeys: 2 }) }
          )
        )
        .map(([properties, others]) => ({ ...properties, ...others }))
    case 'array':
      return fc.array(valueOf(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(5, schema.maxItems ?? 5)
      })
    case 'integer':
      return fc.integer({ min, max: Math.min(2 ** 31 - 1, schema.maximum ?? 2000) })
    case 'number':
      return fc.double({ min, max: schema.maximum ?? 2000, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'string':
      return schema.pattern === undefined
        ? fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('1', '2', '1.1.1.932c4aea'))
        : textOf(schema.pattern)
    default:
      return odd
  }
}

// A pattern that only excludes characters fits most texts. fast-check is slow to make such a text from
// the pattern.
function textOf(pattern: string): fc.Arbitrary<string> {
  if (!pattern.startsWith('^[^') && !pattern.startsWith('^(?:[^')) {
    return fc.stringMatching(new RegExp(pattern), { maxLength: 80 })
  }
  const expression = new RegExp(pattern, 'u')
  return fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter(text => expression.test(text))
}

/** The client takes these for steps within the address, even if they are escaped, and leaves them out. */
const isStep = (value: unknown) => value === '.' || value === '..'

// Waits are made short, or 10,000 requests would take days.
const hurried = (value: unknown) => (typeof value === 'number' && value > 0.01 && value <= 60 ? 0.01 : value)

interface Route {
  path: string
  method: string
  operation: Operation
}

function requestsOf(paths: Record<string, Record<string, Operation>>): fc.Arbitrary<Request> {
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation
    }))
  )
  const often = routes.filter(({ operation }) =>
    ['putQueue', 'enqueue', 'lease', 'ack', 'fail', 'extend', 'release', 'browse', 'getMessage'].includes(
      operation.operationId
    )
  )
  return fc.oneof(...[routes, often].map(some => fc.oneof(...some.map(requestOf))))
}

function requestOf({ path, method, operation }: Route): fc.Arbitrary<Request> {
  const parameters = operation.parameters ?? []
  const values = fc.record(
    Object.fromEntries(
      parameters.map(({ in: place, name, schema }) => [
        `${place} ${name}`,
        place === 'path'
          ? fc.oneof(
              {
                weight: 6,
                arbitrary:
                  operation.operationId === 'deleteQueue'
                    ? fc.constant('p')
                    : fc.constantFrom('q', 'r', 'p', '1', '2')
              },
              { weight: 1, arbitrary: fitting(schema).filter(value => !isStep(value)) },
              { weight: 1, arbitrary: fc.string({ minLength: 1 }).filter(text => !isStep(text)) }
            )
          : valueOf(schema)
      ])
    ),
    {
      requiredKeys: parameters.filter(({ in: place }) => place === 'path').map(({ name }) => `path ${name}`)
    }
  )
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) =>
    fc.oneof(
      {
        weight: 9,
        arbitrary: valueOf(schema).map(value => ({
          type,
          text: JSON.stringify(value, (name, value) => (name === 'waitSeconds' ? hurried(value) : value))
        }))
      },
      {
        weight: 1,
        arbitrary: fc.string({ unit: 'binary', maxLength: 200 }).map(text => ({ type, text }))
      }
    )
  )
  const body = bodies.length === 0 ? fc.constant(null) : fc.oneof(...bodies)
  return fc.tuple(values, body).map(([values, body]) => {
    const query = new URLSearchParams()
    const headers: Record<string, string> = body === null ? {} : { 'content-type': body.type }
    let filled = path
    for (const [key, value] of Object.entries(values)) {
      const [place, name] = key.split(' ') as [string, string]
      const text =
        typeof value === 'object'
          ? JSON.stringify(value)
          : String(name === 'waitSeconds' ? hurried(value) : value)
      if (place === 'path') {
        filled = filled.replace(`{${name}}`, () =>
          encodeURIComponent(text.toWellFormed()).replaceAll('.', '%2e')
        )
      } else if (place === 'query') query.set(name, text)
      else if (/^[\x20-\x7e]{1,300}$/.test(text.trim())) headers[name] = text.trim()
    }
    return {
      operation,
      method,
      path: `${filled}${query.size > 0 ? `?${query}` : ''}`,
      headers,
      body: body?.text ?? null
    }
  })
}

/** Statuses whose codes each operation names. Other codes may come from any. */
const named = [404, 409, 422]

const isAllowedCode = (code: Code, status: number, { operationId }: Operation) =>
  named.includes(status) ? ownCodes.get(operationId)!.includes(code) : codes.includes(code)

t.test('every generated request gets an answer that the OpenAPI document allows', async t => {
  const holdfast = await service(t, { env: { HOLDFAST_AUTH: 'off' } })
  const requests = fc.sample(requestsOf(document.paths), { numRuns: count, seed })
  const wrong: string[] = []
  const seen = new Map<string, number>()
  const ask = async ({ operation, method, path, headers, body }: Request) => {
    const { status, headers: answered, text } = await holdfast.call(method, path, body ?? undefined, headers)
    seen.set(`${operation.operationId} ${status}`, (seen.get(`${operation.operationId} ${status}`) ?? 0) + 1)
    const isError = status >= 400
    const isProblem =
      answered.get('content-type')?.startsWith('application/problem+json') &&
      isAllowedCode(JSON.parse(text).code, status, operation)
    const isAllowed = operation.responses[status] !== undefined || everywhere.includes(String(status))
    if (status !== 500 && (!isError || isProblem) && isAllowed) return
    wrong.push(
      `${method} ${path} ${JSON.stringify(headers)} ${body?.slice(0, 300)} → ` +
        `${status} ${text.slice(0, 300)}`
    )
  }
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let next = requests.pop(); next !== undefined; next = requests.pop()) await ask(next)
    })
  )
  t.strictSame(wrong.slice(0, 10), [], `HOLDFAST_TEST_SEED=${seed} repeats these requests`)
  const good = [...seen].filter(([key]) => / 20\d$/.test(key))
  t.ok(
    good.length >= 10,
    `${good.length} kinds of success: ${good.map(([key, n]) => `${key} ×${n}`).join(', ')}`
  )
  t.equal((await holdfast.get('/livez')).status, 200)
})
