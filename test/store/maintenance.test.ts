/** What deleted queues leave behind is removed, at the same cost for one queue or a thousand. */
import t from 'tap'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import { openDatabase } from '../../src/store/database.ts'
import { freshDatabase } from '../support/postgres.ts'

const tables = [
  'messages',
  'acked',
  'history',
  'leases',
  'idempotency_keys',
  'ledger',
  'series',
  'times',
  'asked'
]

/** 1000 queues are removed. Each table has a row for 1200 queues, and messages has ten. */
const rowsOf1200Queues = `
  insert into holdfast.removed_queues
  select generate_series(1, 1000);

  insert into holdfast.messages (id, position, enqueued_at, queue_id, rank, body)
  select n, n, now(), n % 1200 + 1, 8, '1'
  from generate_series(1, 12000) n;

  insert into holdfast.acked (
    id, enqueued_at, acked_at, keep_until, fence, queue_id, attempt, rank, body
  )
  select n, now(), now(), now(), 1, n, 1, 8, '1'
  from generate_series(1, 1200) n;

  insert into holdfast.history (ended_at, message_id, fence, queue_id, attempt, outcome)
  select now(), 1, 1, n, 1, 'failed'
  from generate_series(1, 1200) n;

  insert into holdfast.leases (
    id, ends_at, leased_at, queue_id, message_ids, fences, workers, holders
  )
  select n, now(), now(), n, '{1}', '{1}', '{w}', '{1}'
  from generate_series(1, 1200) n;

  insert into holdfast.idempotency_keys (expires_at, message_id, queue_id, key, digest)
  select now(), 1, n, 'k', ''
  from generate_series(1, 1200) n;

  insert into holdfast.ledger (queue_id, ready)
  select n, 1
  from generate_series(1, 1200) n;

  insert into holdfast.series (
    queue_id, at, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total
  )
  select n, 1, 0, 0, 0, 0, 0, 0, 0
  from generate_series(1, 1200) n;

  insert into holdfast.times (queue_id, at, waits, works)
  select n, 1, '{}', '{}'
  from generate_series(1, 1200) n;

  insert into holdfast.asked (queue_id, asked_at)
  select n, now()
  from generate_series(1, 1200) n`

t.test('1000 deleted queues take as few statements as one, and other queues keep their rows', async t => {
  const database = openDatabase(
    { connectionString: (await freshDatabase(t)).url },
    { poolSize: 2, onError: () => {} }
  )
  t.teardown(() => database.close())
  let statements = 0
  const maintenance = createMaintenance({
    ...database,
    query: (...call) => {
      statements++
      return database.query(...call)
    }
  })
  const left = async () => {
    const counts = tables.map(async table => {
      const [row] = await database.query(`select count(*)::int as rows from holdfast.${table}`)
      return [table, row!.rows] as const
    })
    return Object.fromEntries(await Promise.all(counts))
  }
  /** Returns how many statements it took. */
  const round = async () => {
    statements = 0
    await maintenance['remove-queues']()
    return statements
  }
  t.equal(await round(), 1, 'nothing was deleted')

  await database.query(rowsOf1200Queues)
  t.equal(await round(), 2 + tables.length + 2, 'one for each table, and two more for 10,000 messages')
  t.strictSame(await left(), { ...Object.fromEntries(tables.map(table => [table, 200])), messages: 2000 })
  t.equal(await round(), 2 + tables.length, 'nothing is left to do')
  t.equal(
    (await database.query('select from holdfast.removed_queues')).length,
    1000,
    'late rows are looked for, for a while'
  )

  await database.query(`
    update holdfast.removed_queues
    set removed_at = now() - interval '11 minutes'
    where queue_id <= 999`)
  await database.query(`
    insert into holdfast.messages (id, position, enqueued_at, queue_id, rank, body)
    values (1, 1, now(), 7, 8, 'late')`)
  await round()
  t.strictSame(
    await database.query('select queue_id from holdfast.removed_queues'),
    [{ queue_id: 1000 }],
    'after ten minutes no more'
  )
  t.equal((await left()).messages, 2000, 'the late message is gone too')
})
