/** Cancel, purge, redrive, and what maintenance removes by itself. */
import t from 'tap'
import { openDatabase } from '../../../../src/store/database.ts'
import { createMaintenance } from '../../../../src/store/upkeep/maintenance.ts'
import { holdfast, queue, sql } from './setup.ts'

const none = { ready: 0, delayed: 0, leased: 0, dead: 0, acked: 0 }

t.test('cancel removes a message that nobody holds', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const cancel = async (id: string) => (await holdfast.call('DELETE', `${q.path}/messages/${id}`)).status
  const id = await q.id({ body: 1 })
  const [leased] = await q.lease()
  t.equal(await cancel(id), 409)
  await q.settle('ack', { receipt: leased.receipt })
  t.equal(await cancel(id), 204, 'an acked message that is kept too')
  const delayed = await q.id({ body: 2, delaySeconds: 60 })
  t.equal(await cancel(delayed), 204)
  t.equal(await cancel(delayed), 404)
  t.strictSame((await q.report()).counts, none)
})

t.test('purge removes every message, or those in one state', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const purge = async (body?: object) => (await holdfast.post(`${q.path}/purge`, body)).body.purged
  const delays = [0, 0, 0, 0, 0, 0, 0, 60, 60, 60]
  await q.enqueue({ messages: delays.map(delaySeconds => ({ body: 1, delaySeconds })) })
  const [dead, acked, leased] = await q.lease({ max: 3 })
  await q.settle('fail', { receipt: dead.receipt, dead: true })
  await q.settle('ack', { receipt: acked.receipt })
  t.equal(await purge({ state: 'dead' }), 1)
  t.equal(await purge({ state: 'delayed' }), 3)
  t.strictSame((await q.report()).counts, { ready: 4, delayed: 0, leased: 1, dead: 0, acked: 1 })
  t.equal(await purge({ state: 'ready' }), 4)
  t.equal(await purge(), 2)
  t.equal(await purge(), 0)
  t.strictSame((await q.report()).counts, none)
  t.match(await q.outcome('ack', leased), { outcome: 'gone' })
})

t.test('redrive takes the named messages, or up to a limit, and their attempts begin again', async t => {
  const q = await queue({ maxAttempts: 1 })
  await q.enqueue({ messages: [1, 2, 3, 4].map(body => ({ body })) })
  const leased = await q.lease({ max: 4 })
  await q.settle('fail', { failures: leased.map(({ receipt }) => ({ receipt, reason: 'x' })) })
  const [first, second, third, fourth] = leased
  const redrive = async (body: object) => (await holdfast.post(`${q.path}/redrive`, body)).body.redriven
  t.equal(await redrive({ ids: [third.id, third.id, '12345'] }), 1)
  t.equal(await redrive({ limit: 2 }), 2)
  t.match(await q.lease({ max: 9 }), [
    { id: third.id, attempt: 1, fence: 3 },
    { id: first.id },
    { id: second.id }
  ])
  t.match(
    await q.outcome('ack', fourth),
    { outcome: 'acked' },
    'its last holder may still ack a dead message'
  )
})

t.test('maintenance removes what is old, and leaves the rest', async t => {
  const database = openDatabase(
    { connectionString: holdfast.databaseUrl },
    { poolSize: 2, onError: () => {} }
  )
  t.teardown(() => database.close())
  const maintenance = createMaintenance(database)
  const q = await queue({ retentionSeconds: 100, keepAckedSeconds: 100 })
  await q.enqueue({ messages: [{ body: 'old' }, { body: 'leased' }, { body: 'acked' }] })
  const [old, leased, acked] = await q.lease({ max: 3 })
  await q.settle('release', { receipt: old.receipt })
  await q.settle('ack', { receipt: acked.receipt })
  await sql.query(
    `
    update holdfast.messages
    set enqueued_at = enqueued_at - interval '101 s'
    where id = any($1)`,
    [[old.id, leased.id]]
  )
  await q.enqueue({ body: 'young', idempotencyKey: 'kept' })
  await maintenance.retention()
  await maintenance['forget-acked']()
  await maintenance['forget-keys']()
  t.strictSame(
    (await q.report()).counts,
    { ready: 1, delayed: 0, leased: 1, dead: 0, acked: 1 },
    'a lease under way is finished first'
  )

  await sql.query(`
    update holdfast.acked
    set keep_until = now() - interval '1 s'`)
  await sql.query(`
    update holdfast.idempotency_keys
    set expires_at = now() - interval '1 s'
    where key = 'kept'`)
  await maintenance['forget-acked']()
  await maintenance['forget-keys']()
  t.equal((await q.report()).counts.acked, 0)
  t.equal((await sql.query("select from holdfast.idempotency_keys where key = 'kept'")).rowCount, 0)

  const { rows } = await sql.query('select id from holdfast.queues where name = $1', [q.name])
  await holdfast.call('DELETE', q.path)
  await maintenance['remove-queues']()
  for (const table of ['messages', 'acked', 'history', 'leases', 'ledger', 'counts']) {
    const left = await sql.query(`select from holdfast.${table} where queue_id = $1`, [rows[0].id])
    t.equal(left.rowCount, 0, table)
  }
})

t.test('an option in the query of a purge is refused, and nothing is purged', async t => {
  const path = '/queues/misplaced'
  await holdfast.post(`${path}/messages`, { body: 1 })
  const { status, body } = await holdfast.post(`${path}/purge?state=dead`)
  t.equal(status, 400)
  t.match(body.errors, [{ pointer: 'query/state' }])
  t.equal((await holdfast.get(path)).body.counts.ready, 1)
})
