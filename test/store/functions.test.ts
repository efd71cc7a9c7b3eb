/**
 * holdfast.enqueue and holdfast.ack in an application's own transaction: they follow the rules of
 * the calls over HTTP.
 */
import t from 'tap'
import {
  headerNameCharsMax,
  headersMax,
  headerValueCharsMax,
  messageBytesMax,
  resultBytesMax
} from '../../src/core/limits.ts'
import { connect } from '../support/postgres.ts'
import { service } from '../support/service.ts'

const holdfast = await service(t)
const app = await connect(t, holdfast.databaseUrl)
await app.query('create table effects (id text)')
await holdfast.call('PUT', '/queues/tasks')

/** Answers the id. `body` is JSON as it is to be kept. */
async function enqueue(body: string, options: object = {}, queue = 'tasks'): Promise<string> {
  const { rows } = await app.query('select holdfast.enqueue($1, $2, $3) as id', [queue, body, options])
  return rows[0].id
}
const ack = (receipt: string | null) => app.query('select holdfast.ack($1)', [receipt])

async function leaseOne(waitSeconds = 0) {
  const { body } = await holdfast.post('/queues/tasks/lease', { waitSeconds })
  return body.messages[0]
}

const sqlState = async (query: Promise<unknown>) =>
  await query.then(
    () => 'no error',
    error => error.code
  )

t.test('an enqueue exists when its transaction commits, body as written, and wakes who waits', async t => {
  await app.query('begin')
  const id = await enqueue('{"n":12345678901234567890,  "a":1, "a":2}')
  t.equal(await leaseOne(), undefined, 'not before the commit')
  const waiting = holdfast.post('/queues/tasks/lease', { waitSeconds: 20 })
  const startedMs = performance.now()
  await app.query('commit')
  const { text, body } = await waiting
  const [message] = body.messages
  t.equal(message.id, id)
  t.ok(text.includes('"body":{"n":12345678901234567890,  "a":1, "a":2},'))
  t.ok(performance.now() - startedMs < 3000, 'woken by the commit, not by the end of its wait')
  await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })
})

t.test('an enqueue that is rolled back never was', async t => {
  await app.query('begin')
  await enqueue('1')
  await app.query('rollback')
  t.equal(await leaseOne(), undefined)
})

t.test('an idempotency key means the same in SQL and over HTTP', async t => {
  const options = {
    headers: { b: '2', a: '1' },
    priority: 7,
    delaySeconds: 0.25,
    maxAttempts: 3,
    idempotencyKey: 'both doors'
  }
  await app.query("set timezone = 'Asia/Tokyo'; set extra_float_digits = -3")
  const id = await enqueue('{"a": 1}', options)
  t.match(
    await holdfast.post('/queues/tasks/messages', '{"body":{"a": 1},' + JSON.stringify(options).slice(1)),
    { status: 200, body: { id, duplicate: true } }
  )
  t.match((await holdfast.post('/queues/tasks/messages', { body: { a: 2 }, ...options })).status, 422)
  t.equal(await sqlState(enqueue('2', options)), 'HF005')
  const message = await leaseOne(5)
  t.match(message, { id, priority: 7, maxAttempts: 3, headers: options.headers })
  await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })

  const defaults = { headers: {}, priority: 4, delaySeconds: 0 }
  const { body } = await holdfast.post('/queues/tasks/messages', { body: 1, idempotencyKey: 'plain' })
  const same = await enqueue('1', { ...defaults, idempotencyKey: 'plain' })
  t.equal(same, body.id, 'an option that says the default is no option, in both')
  const [plain] = (await holdfast.post('/queues/tasks/lease')).body.messages
  await holdfast.post('/queues/tasks/ack', { receipt: plain.receipt })
})

t.test('functions of others on the search path of the caller are not run', async t => {
  await app.query(`
    create schema strangers;
    create function strangers.format (text, integer) returns text
    language plpgsql as $$ begin raise exception 'a function of others has run'; end $$;
    create function strangers.nextval (text) returns bigint language sql as 'select 1::bigint';
    set search_path = strangers, pg_catalog`)
  await enqueue('1', { unique: { key: 'path' } })
  const { id, receipt } = await leaseOne()
  t.not(id, '1')
  await ack(receipt)
  await app.query('reset search_path')
})

t.test('the settings of the session change nothing', async t => {
  const session = await connect(t, holdfast.databaseUrl)
  await session.query(`
    set standard_conforming_strings = off;
    set escape_string_warning = off;
    set array_nulls = off;
    set transform_null_equals = on;
    set DateStyle = 'German';
    set IntervalStyle = 'sql_standard';
    set bytea_output = 'escape';
    set plpgsql.variable_conflict = use_variable`)
  const options = { headers: { a: '1' }, ttlSeconds: 1000.5, group: 'g1', idempotencyKey: 'settings' }
  const visibleAt = '2026-01-01T12:00:00.5+02:00'
  const query = 'select holdfast.enqueue($1, $2, $3) as id'
  const { rows } = await session.query(query, ['tasks', '{"a":1}', { ...options, visibleAt }])
  t.match(await holdfast.post('/queues/tasks/messages', { body: { a: 1 }, ...options, visibleAt }), {
    status: 200,
    body: { id: rows[0].id }
  })
  t.equal(await sqlState(session.query(query, ['tasks', '1', { group: 'a\u0007' }])), 'HF004')
  const { receipt } = await leaseOne()
  await session.query('select holdfast.ack($1)', [receipt])
})

for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
  /** A transaction whose snapshot is older than what `between` does. Answers what its end was. */
  const after = async (between: () => Promise<unknown>, query: string, ...values: unknown[]) => {
    await app.query(`begin isolation level ${isolation}`)
    await app.query('select from holdfast.queues')
    await between()
    const state = await sqlState(app.query(query, values))
    await app.query('commit')
    return state
  }
  const keepsSnapshot = isolation !== 'read committed'
  const put = (path: string, settings: object = {}) => holdfast.call('PUT', path, settings)
  const enqueueIn = 'select holdfast.enqueue($1, $2, $3)'
  const x = { group: 'x' }

  t.test(
    `a transaction with an old snapshot is undone where the queue has changed: ${isolation}`,
    async t => {
      const wanted = keepsSnapshot ? '40001' : 'no error'
      const changes: Record<string, (path: string) => Promise<unknown>> = {
        deleted: path => holdfast.call('DELETE', path),
        'made anew': path => holdfast.call('DELETE', path).then(() => put(path)),
        'put in order': path => put(path, { ordering: 'group' })
      }
      for (const [change, make] of Object.entries(changes)) {
        const name = `${change}-${isolation}`.replaceAll(' ', '-')
        await put(`/queues/${name}`)
        t.equal(await after(() => make(`/queues/${name}`), enqueueIn, name, '1', x), wanted, change)
        if (!keepsSnapshot) t.equal((await holdfast.post(`/queues/${name}/lease`)).body.messages.length, 1)
      }
    }
  )

  t.test(`nothing is enqueued into a queue that has moved to another cell: ${isolation}`, async t => {
    const wanted = keepsSnapshot ? '40001' : 'HF008'
    const desk = await connect(t, holdfast.databaseUrl)
    const place = (cell: string | null) =>
      desk.query(`
        begin;
        delete from holdfast.placement;
        insert into holdfast.placement values ('moved', true, ${cell === null ? 'null' : `'${cell}'`});
        commit`)
    t.teardown(() => desk.query('delete from holdfast.placement'))
    await put('/queues/moved')
    await place(null)
    t.equal(await after(async () => {}, enqueueIn, 'moved', '1', {}), 'no error')
    t.equal(await after(() => place('b'), enqueueIn, 'moved', '1', {}), wanted)
  })

  t.test(`no message of a group is stuck behind an ack with an old snapshot: ${isolation}`, async t => {
    const wanted = keepsSnapshot ? 'HF004' : 'no error'
    for (const [n, settings] of [{ ordering: 'queue' }, { maxLeasedPerGroup: 1 }].entries()) {
      const path = `/queues/stuck-${n}-${isolation}`.replaceAll(' ', '-')
      await put(path, settings)
      await holdfast.post(`${path}/messages`, { body: 1, ...x })
      const [{ receipt }] = (await holdfast.post(`${path}/lease`)).body.messages
      const second = () => holdfast.post(`${path}/messages`, { body: 2, ...x })
      t.equal(await after(second, 'select holdfast.ack($1)', receipt), wanted)
      if (keepsSnapshot) await holdfast.post(`${path}/ack`, { receipt })
      t.match((await holdfast.post(`${path}/lease`)).body.messages, [{ body: 2 }])
      const ofIt = path.replace('/queues/', '')
      t.equal(await after(second, enqueueIn, ofIt, '3', x), wanted)
    }
  })
}

t.test('what the call refuses, the function refuses', async t => {
  for (const options of [
    { priority: 10 },
    { priority: '4' },
    { delaySeconds: -1 },
    { delaySeconds: 1, visibleAt: '2026-01-01T00:00:00Z' },
    { visibleAt: 'soon' },
    { visibleAt: '2026-02-30T00:00:00Z' },
    { visibleAt: '2026-01-01T00:00:00+99:99' },
    { visibleAt: '2026-01-01T24:00:00Z' },
    { visibleAt: '2026-01-01T25:00:00Z' },
    { visibleAt: '1969-12-31T23:59:59Z' },
    { visibleAt: '9999-01-01T00:00:00Z' },
    { ttlSeconds: 0 },
    { maxAttempts: 1.5 },
    { idempotencyKey: '' },
    { headers: { a: 1 } },
    { headers: { a: ['x'] } },
    { headers: JSON.parse('{"__proto__":"x"}') },
    { headers: { '': 'x' } },
    { headers: { ['n'.repeat(headerNameCharsMax + 1)]: 'x' } },
    { headers: { a: 'x'.repeat(headerValueCharsMax + 1) } },
    { headers: Object.fromEntries(Array.from({ length: headersMax + 1 }, (_, index) => [index, 'x'])) },
    { colour: 'red' }
  ]) {
    const said = JSON.stringify(options)
    t.equal(await sqlState(enqueue('1', options)), 'HF004', said)
    t.equal((await holdfast.post('/queues/tasks/messages', { body: 1, ...options })).status, 400, said)
  }
  const most = {
    headers: { ['n'.repeat(headerNameCharsMax)]: 'x'.repeat(headerValueCharsMax) },
    ttlSeconds: 0.0001,
    visibleAt: '2026-01-01T12:00:00.5+02:00'
  }
  await enqueue('1', most, 'within')
  t.equal((await holdfast.post('/queues/within/messages', { body: 1, ...most })).status, 201)
  t.equal(await sqlState(enqueue('1', {}, '../etc')), 'HF004')
  t.equal(await sqlState(enqueue(`"${'x'.repeat(messageBytesMax - 1)}"`)), 'HF004')
  const stateOf = (options: string) =>
    sqlState(app.query("select holdfast.enqueue('numbers', '1', $1)", [options]))
  t.equal(await stateOf('{"priority":4.0,"maxAttempts":3.0}'), 'no error')
  for (const number of ['1e-400', '-1e-400', '1e131000']) {
    t.equal(await stateOf(`{"ttlSeconds":${number}}`), 'HF004', number)
    t.equal(await stateOf(`{"delaySeconds":${number}}`), 'HF004', number)
  }
  await holdfast.call('PUT', '/queues/small', { maxDepth: 1 })
  await enqueue('1', {}, 'small')
  t.equal(await sqlState(enqueue('2', {}, 'small')), 'HF006')
})

t.test("an ack and the worker's own write are committed together or not at all", async t => {
  await holdfast.post('/queues/tasks/messages', { body: 'effect' })
  const message = await leaseOne()
  await app.query('begin')
  await app.query("insert into effects values ('undone')")
  await ack(message.receipt)
  await app.query('rollback')
  t.equal(
    (await holdfast.get(`/queues/tasks/messages/${message.id}`)).body.state,
    'leased',
    'as if nothing had happened'
  )
  await app.query('begin')
  await app.query("insert into effects values ('done')")
  await ack(message.receipt)
  await app.query('commit')
  t.equal((await holdfast.get(`/queues/tasks/messages/${message.id}`)).status, 404)
  t.strictSame((await app.query('select id from effects')).rows, [{ id: 'done' }])
})

t.test(
  'a late worker cannot commit: its ack raises leaseLost while another holds the message, and gone after',
  async t => {
    await holdfast.post('/queues/tasks/messages', { body: 'contended' })
    const late = await leaseOne()
    await holdfast.post('/queues/tasks/release', { receipt: late.receipt })
    const holder = await leaseOne()
    t.equal(holder.id, late.id)
    t.ok(holder.fence > late.fence)
    t.equal(await sqlState(ack(late.receipt)), 'HF001')
    await ack(holder.receipt)
    t.equal(await sqlState(ack(late.receipt)), 'HF002')
    t.equal(await sqlState(ack(holder.receipt)), 'HF002', 'its own second one too: it removes nothing itself')
    const damaged = holder.receipt.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'))
    const ofNoQueue = '9999999999.1.1.00000000'
    for (const receipt of ['', 'x', damaged, ofNoQueue, null]) {
      t.equal(await sqlState(ack(receipt)), 'HF003', String(receipt))
    }
  }
)

t.test('an ack keeps the message where the queue asks for it, and the counts stay right', async t => {
  await holdfast.call('PUT', '/queues/tasks', { keepAckedSeconds: 60 })
  await enqueue('"kept"')
  const message = await leaseOne()
  await ack(message.receipt)
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

t.test('an ack keeps its result as it was written, of at most 64 KiB', async t => {
  await enqueue('1')
  const { id, receipt } = await leaseOne()
  const ackWith = (result: string) => app.query('select holdfast.ack($1, $2)', [receipt, result])
  t.equal(await sqlState(ackWith(`"${'x'.repeat(resultBytesMax - 1)}"`)), 'HF004')
  await ackWith('{"n": 1.0,  "a":1, "a":2}')
  const { text } = await holdfast.get(`/queues/tasks/messages/${id}`)
  t.ok(text.includes('"result":{"n": 1.0,  "a":1, "a":2},'), text)
})
