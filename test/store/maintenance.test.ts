/** Maintenance removes the rows of deleted queues, in as few statements as for one queue. */
import t from 'tap'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import { openDatabase } from '../../src/store/database.ts'
import { freshDatabase } from '../support/postgres.ts'

/** A row of each table but the messages, for queue n. */
const rowsOfQueue = [
  [
    'acked',
    'id, enqueued_at, acked_at, keep_until, fence, attempt, rank, body',
    "n, now(), now(), now(), 1, 1, 8, '1'"
  ],
  ['history', 'ended_at, message_id, fence, attempt, outcome', "now(), 1, 1, 1, 'failed'"],
  [
    'leases',
    'id, ends_at, leased_at, message_ids, fences, workers, holders',
    "n, now(), now(), '{1}', '{1}', '{w}', '{1}'"
  ],
  ['idempotency_keys', 'expires_at, message_id, key, digest', "now(), 1, 'k', ''"],
  ['ledger', 'ready', '1'],
  [
    'series',
    'at, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total',
    '1, 0, 0, 0, 0, 0, 0, 0'
  ],
  ['lines', 'line', "'a'"],
  ['line_rates', 'line, tokens, refilled_at, due_at', "'a', 0, now(), now()"],
  ['limits', 'leased_total', '0'],
  ['times', 'at, waits, works', "1, '{}', '{}'"],
  ['asked', 'asked_at', 'now()']
] as const
const tables = ['messages', ...rowsOfQueue.map(([table]) => table)]

t.test(
  'a thousand deleted queues take as few statements as one, and other queues keep their rows',
  async t => {
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
    const left = async () =>
      Object.fromEntries(
        await Promise.all(
          tables.map(async table => [
            table,
            (await database.query(`select count(*)::int as n from holdfast.${table}`))[0]!.n
          ])
        )
      )
    const round = async () => {
      statements = 0
      await maintenance['remove-queues']()
      return statements
    }
    t.equal(await round(), 1, 'nothing was deleted')

    await database.query('insert into holdfast.removed_queues select generate_series(1, 1000)')
    await database.query(
      `insert into holdfast.messages (id, position, enqueued_at, queue_id, rank, body)
      select n, n, now(), n % 1200 + 1, 8, '1' from generate_series(1, 12000) n`
    )
    for (const [table, columns, values] of rowsOfQueue) {
      await database.query(
        `insert into holdfast.${table} (queue_id, ${columns})
        select n, ${values} from generate_series(1, 1200) n`
      )
    }
    t.equal(await round(), 2 + tables.length + 2, 'one each, and two more for ten thousand messages')
    t.strictSame(await left(), { ...Object.fromEntries(tables.map(table => [table, 200])), messages: 2000 })
    t.equal(await round(), 2 + tables.length, 'and nothing is left to do')
    t.equal(
      (await database.query('select from holdfast.removed_queues')).length,
      1000,
      'looked for again for a while'
    )

    await database.query(
      "update holdfast.removed_queues set removed_at = now() - interval '11 minutes' where queue_id <= 999"
    )
    await database.query(
      'insert into holdfast.messages (id, position, enqueued_at, queue_id, rank, body) select 1, 1, ' +
        "now(), 7, 8, 'late'"
    )
    await round()
    t.strictSame(
      await database.query('select queue_id from holdfast.removed_queues'),
      [{ queue_id: 1000 }],
      'and then no more'
    )
    t.equal((await left()).messages, 2000, 'what came late is gone too')
  }
)
