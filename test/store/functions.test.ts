/**
 * holdfast.enqueue and holdfast.ack in an application's own transaction, by the rules of the calls
 * over HTTP.
 */
import pg from 'pg'
import t from 'tap'
import { service } from '../support/service.ts'

const holdfast = await service(t)
const app = new pg.Client(holdfast.databaseUrl)
await app.connect()
t.teardown(() => app.end())
await app.query('create table effects (id text)')
await holdfast.call('PUT', '/queues/tasks')

async function lease(waitSeconds = 0) {
  const { body } = await holdfast.post('/queues/tasks/lease', { waitSeconds })
  return body.messages[0]
}

/** The SQLSTATE of the error. */
const sqlState = async (query: Promise<unknown>) =>
  await query.then(
    () => 'no error',
    error => error.code
  )

t.test('an enqueue exists once it is committed, with its very body, and wakes a consumer', async t => {
  const body = '{"n":12345678901234567890,  "a":1, "a":2}'
  await app.query('begin')
  const { rows } = await app.query("select holdfast.enqueue('tasks', $1) as id", [body])
  t.equal(await lease(), undefined, 'not before the commit')
  const waiting = holdfast.post('/queues/tasks/lease', { waitSeconds: 20 })
  const startedMs = performance.now()
  await app.query('commit')
  const leased = await waiting
  const [message] = leased.body.messages
  t.equal(message.id, rows[0].id)
  t.ok(leased.text.includes(`"body":${body},`), 'the very text that was enqueued')
  t.ok(performance.now() - startedMs < 3000, 'woken by the commit, not by the end of its wait')
  await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })
})

t.test('an enqueue that is rolled back never existed', async t => {
  await app.query('begin')
  await app.query("select holdfast.enqueue('tasks', '1')")
  await app.query('rollback')
  t.equal(await lease(), undefined)
})

t.test('an idempotency key means the same in SQL and over HTTP', async t => {
  const options = {
    headers: { b: '2', a: '1' },
    priority: 7,
    delaySeconds: 0.25,
    maxAttempts: 3,
    idempotencyKey: 'both ways'
  }
  await app.query("set timezone = 'Asia/Tokyo'")
  await app.query('set extra_float_digits = -3')
  const { rows } = await app.query("select holdfast.enqueue('tasks', '{\"a\": 1}', $1) as id", [options])
  const { id } = rows[0]
  t.match(
    await holdfast.post('/queues/tasks/messages', '{"body":{"a": 1},' + JSON.stringify(options).slice(1)),
    { status: 200, body: { id, duplicate: true } }
  )
  t.match((await holdfast.post('/queues/tasks/messages', { body: { a: 2 }, ...options })).status, 422)
  t.equal(await sqlState(app.query("select holdfast.enqueue('tasks', '2', $1)", [options])), 'HF005')
  const message = await lease(5)
  t.match(message, { id, priority: 7, maxAttempts: 3, headers: options.headers })
  await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })
})

t.test('the function refuses what the call over HTTP refuses', async t => {
  for (const options of [
    { priority: 10 },
    { priority: '4' },
    { delaySeconds: -1 },
    { delaySeconds: 1, visibleAt: '2026-01-01T00:00:00Z' },
    { visibleAt: 'soon' },
    { ttlSeconds: 0 },
    { maxAttempts: 1.5 },
    { idempotencyKey: '' },
    { headers: { a: 1 } },
    { colour: 'red' }
  ]) {
    const what = JSON.stringify(options)
    t.equal(await sqlState(app.query("select holdfast.enqueue('tasks', '1', $1)", [options])), 'HF004', what)
    t.equal((await holdfast.post('/queues/tasks/messages', { body: 1, ...options })).status, 400, what)
  }
  t.equal(await sqlState(app.query("select holdfast.enqueue('../etc', '1')")), 'HF004')
  t.equal(
    await sqlState(app.query("select holdfast.enqueue('tasks', to_json(repeat('x', 1048577)))")),
    'HF004'
  )
  await holdfast.call('PUT', '/queues/small', { maxDepth: 1 })
  await app.query("select holdfast.enqueue('small', '1')")
  t.equal(await sqlState(app.query("select holdfast.enqueue('small', '2')")), 'HF006')
})

t.test("an ack and the worker's own write are committed together or not at all", async t => {
  await holdfast.post('/queues/tasks/messages', { body: 'effect' })
  const message = await lease()
  await app.query('begin')
  await app.query("insert into effects values ('undone')")
  await app.query('select holdfast.ack($1)', [message.receipt])
  await app.query('rollback')
  const { state } = (await holdfast.get(`/queues/tasks/messages/${message.id}`)).body
  t.equal(state, 'leased', 'as if nothing had happened')
  await app.query('begin')
  await app.query("insert into effects values ('done')")
  await app.query('select holdfast.ack($1)', [message.receipt])
  await app.query('commit')
  t.equal((await holdfast.get(`/queues/tasks/messages/${message.id}`)).status, 404)
  t.strictSame((await app.query('select id from effects')).rows, [{ id: 'done' }])
})

t.test("a late worker cannot commit: its ack raises leaseLost, and gone after the other's ack", async t => {
  await holdfast.post('/queues/tasks/messages', { body: 'contended' })
  const late = await lease()
  await holdfast.post('/queues/tasks/release', { receipt: late.receipt })
  const current = await lease()
  t.equal(current.id, late.id)
  t.ok(current.fence > late.fence)
  t.equal(await sqlState(app.query('select holdfast.ack($1)', [late.receipt])), 'HF001')
  await app.query('select holdfast.ack($1)', [current.receipt])
  t.equal(await sqlState(app.query('select holdfast.ack($1)', [late.receipt])), 'HF002')
  t.equal(
    await sqlState(app.query('select holdfast.ack($1)', [current.receipt])),
    'HF002',
    'a second ack of the holder too, for it removes nothing'
  )
  const damaged = current.receipt.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'))
  for (const receipt of ['', 'x', damaged, null]) {
    t.equal(await sqlState(app.query('select holdfast.ack($1)', [receipt])), 'HF003', String(receipt))
  }
})

t.test('an ack keeps the message where its queue keeps acked ones, and the counts are right', async t => {
  await holdfast.call('PUT', '/queues/tasks', { keepAckedSeconds: 60 })
  await app.query("select holdfast.enqueue('tasks', '\"kept\"')")
  const message = await lease()
  await app.query('select holdfast.ack($1)', [message.receipt])
  t.match((await holdfast.get(`/queues/tasks/messages/${message.id}`)).body, {
    state: 'acked',
    body: 'kept',
    attempt: 1
  })
  t.match((await holdfast.get('/queues/tasks')).body.counts, {
    ready: 0,
    delayed: 0,
    leased: 0,
    dead: 0,
    acked: 1
  })
})
