/** What programs that are generated from the OpenAPI document get from it. */
import t from 'tap'
import { codes } from '../../../src/core/errors.ts'
import { plainOutcomes } from '../../../src/core/verbs/settle.ts'
import { describeApi } from '../../../src/fronts/rest/docs.ts'

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
  t.match(answerOf('/queues/{queue}/lease')['application/json'].schema, { properties: { messages: {} } })
})

t.test('the code of a problem is one of those in the list', async t => {
  const { code } = document.components.schemas.Problem.properties
  t.match(code, { type: 'string', enum: [...codes] })
})

t.test('the outcome says which fields there are', async t => {
  const [one] = answerOf('/queues/{queue}/fail')['application/json'].schema.anyOf
  const shapes = one.anyOf.map(({ properties, required }: any) => ({ of: properties.outcome, required }))
  t.match(shapes, [
    { of: { enum: [...plainOutcomes] }, required: ['outcome'] },
    { of: { enum: ['retrying'] }, required: ['outcome', 'visibleAt'] },
    { of: { enum: ['extended'] }, required: ['outcome', 'leaseExpiresAt'] }
  ])
})
