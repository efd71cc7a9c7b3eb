/**
 * Groups that are used once leave nothing behind, however many there were. HOLDFAST_TEST_GROUPS makes
 * them more.
 */
import t from 'tap'
import { holdfast, queueWith, sql, type FlowQueue } from './setup.ts'

const groups = Number(process.env.HOLDFAST_TEST_GROUPS ?? 1000)
const listMax = 500
const sweptMsMax = 120_000

/** What a queue keeps for good, and what must go. */
const kept = ['counts', 'limits']
const passing = ['messages', 'lines', 'line_rates', 'ledger', 'leases', 'history', 'acked']

/** Rows of a queue, by the table that holds them. */
async function rowsOf({ name }: FlowQueue, tables: string[]): Promise<Record<string, number>> {
  const counts = tables.map(
    table => `(select count(*)::int from holdfast.${table} where queue_id = q.id) as ${table}`
  )
  const query = `select ${counts.join(', ')} from holdfast.queues q where name = $1`
  return (await sql.query(query, [name])).rows[0]
}

const sum = (rows: Record<string, number>) => Object.values(rows).reduce((all, rows) => all + rows, 0)

/** Each message is the only one of its group. It is leased once, and acked. */
async function useOnce({ path }: FlowQueue): Promise<number> {
  let acked = 0
  for (let from = 0; from < groups; from += listMax) {
    const messages = Array.from({ length: listMax }, (_, n) => ({ body: n, group: `once-${from + n}` }))
    await holdfast.post(`${path}/messages`, { messages })
    const leased = (await holdfast.post(`${path}/lease`, { max: listMax })).body.messages
    const receipts = leased.map(({ receipt }: { receipt: string }) => receipt)
    const { body } = await holdfast.post(`${path}/ack`, { receipts })
    acked += body.outcomes.filter(({ outcome }: { outcome: string }) => outcome === 'acked').length
  }
  return acked
}

/** Rows of leases stay until the leases would have ended, and rates of lines for 10 s at least. */
async function passTime({ name }: FlowQueue): Promise<void> {
  for (const change of [
    "leases set ends_at = now() - interval '1 second'",
    "line_rates set due_at = now(), refilled_at = refilled_at - interval '10 seconds'"
  ]) {
    const ofQueue = 'where queue_id = (select id from holdfast.queues where name = $1)'
    await sql.query(`update holdfast.${change} ${ofQueue}`, [name])
  }
}

async function bytesOf(tables: string[]): Promise<Record<string, number>> {
  const sizes = tables.map(table => `pg_total_relation_size('holdfast.${table}')::int as ${table}`)
  return (await sql.query(`select ${sizes.join(', ')}`)).rows[0]
}

const ratePerGroup = { messages: 10, perSeconds: 1 }
const kinds = {
  'in order': { ordering: 'group', ratePerGroup },
  'in turns': { fairness: 'group', maxLeasedPerGroup: 1, ratePerGroup }
}

for (const [kind, settings] of Object.entries(kinds)) {
  t.test(`of groups that were used once, nothing is left: ${kind}`, { timeout: 7_200_000 }, async t => {
    const queue = await queueWith(settings)
    t.equal(await useOnce(queue), groups)
    await passTime(queue)
    const untilMs = performance.now() + sweptMsMax
    let left = await rowsOf(queue, passing)
    t.comment(`with the last ack: ${JSON.stringify(left)}`)
    while (sum(left) > 0 && performance.now() < untilMs) left = await rowsOf(queue, passing)
    t.equal(sum(left), 0, `after the sweeps: ${JSON.stringify(left)}`)
    t.ok(sum(await rowsOf(queue, kept)) <= kept.length, 'a row of each for the queue')
    t.strictSame((await holdfast.get(`${queue.path}/groups`)).body.groups, [])
    t.comment(`bytes: ${JSON.stringify(await bytesOf(passing))}`)
    for (const table of passing) await sql.query(`vacuum holdfast.${table}`)
    t.comment(`after a vacuum: ${JSON.stringify(await bytesOf(passing))}`)
  })
}
