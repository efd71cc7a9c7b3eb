/**
 * Bad input, as data: the answer each must get (cases/), what misbehaves over time (misdeeds.ts),
 * and what must hold after each (harm.ts).
 */
import t, { type Test } from 'tap'
import { problems } from '../../../../src/fronts/rest/problems.ts'
import { bytes } from './cases/bytes.ts'
import { messages, type Case } from './cases/case.ts'
import { enqueues } from './cases/enqueue.ts'
import { http } from './cases/http.ts'
import { queues } from './cases/queues.ts'
import { schedules } from './cases/schedules.ts'
import { bulkActions, leases, settles } from './cases/settle.ts'
import { harmCheck } from './harm.ts'
import { misdeeds } from './misdeeds.ts'
import { holdfast, secret, send } from './setup.ts'

const cases: Case[] = [
  ...enqueues,
  ...leases,
  ...settles,
  ...bulkActions,
  ...queues,
  ...schedules,
  ...http,
  ...bytes
]

t.test('each bad request gets its code and pointer, and does no harm', async t => {
  t.ok(cases.length > 200, `${cases.length} cases and ${Object.keys(misdeeds).length} misdeeds`)
  const check = await harmCheck()
  for (const each of cases) {
    const answer = await send(each.bytes ?? bytesOf(each))
    isProblem(t, each, answer)
    await check(t, each.name, answer)
  }
  for (const [name, misdeed] of Object.entries(misdeeds)) {
    const startedMs = performance.now()
    await misdeed(t)
    await check(t, name)
    t.comment(`${name}: ${Math.round(performance.now() - startedMs)} ms`)
  }
  check.summary(t)
})

t.test('names that JavaScript knows are names like any other', async t => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
    const message = { body: name, headers: { [name]: name } }
    t.equal((await holdfast.post(`/queues/${name}/messages`, message)).status, 201)
    t.match((await holdfast.post(`/queues/${name}/lease`)).body.messages, [message])
  }
})

/** The request of a case. fetch would correct some of its headers. */
function bytesOf({ method = 'POST', path = messages, body = '', headers = {} }: Case): Buffer {
  const payload = Buffer.from(body)
  const allHeaders = {
    host: 'localhost',
    connection: 'close',
    'content-type': 'application/json',
    authorization: `Bearer ${secret}`,
    ...headers,
    'content-length': payload.length
  }
  const lines = Object.entries(allHeaders).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), payload])
}

function isProblem(t: Test, { name, method, code, pointer }: Case, answer: string): void {
  const { status, title } = problems[code]
  const end = answer.indexOf('\r\n\r\n')
  const head = answer.slice(0, end)
  t.equal(Number(answer.slice(9, 12)), status, `${name}: ${answer.slice(end, end + 200)}`)
  if (method === 'HEAD') return
  t.match(head, /\r\ncontent-type: application\/problem\+json/, name)
  const problem = JSON.parse(answer.slice(end + 4))
  const type = `urn:holdfast:error:${code}`
  t.match(problem, { code, type, title, status, detail: /\.$/, requestId: /./ }, name)
  if (pointer !== undefined) t.equal(problem.errors?.[0]?.pointer, pointer, `${name}: its pointer`)
  if (code === 'methodNotAllowed') t.match(head, /\r\nallow: /, name)
}
