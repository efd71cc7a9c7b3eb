/**
 * What must hold after each bad request. No row has changed. The same process serves the next good
 * request. Neither the answer nor the log shows a secret or anything of the inside.
 */
import type { Test } from 'tap'
import { good, goodId, holdfast, secret, sql } from './setup.ts'

// Other processes can hold this machine's processors for longer than 50 ms, so one late answer
// proves nothing. Nine of ten must come within 50 ms, and each within a second.
const usualMsMax = 50
const msMax = 1000

const inside = new RegExp(
  [
    secret,
    process.cwd(),
    'node_modules',
    '/src/',
    '\\bat .*[.]m?[jt]s:\\d',
    'node:internal',
    '\\bselect \\w',
    'insert into',
    '\\bupdate holdfast',
    'delete from',
    'holdfast[.](messages|queues|leases)',
    'postgres(ql)?://',
    'password',
    'unexpected error'
  ].join('|'),
  'i'
)

interface HarmCheck {
  (t: Test, name: string, answer?: string): Promise<void>
  summary: (t: Test) => void
}

export async function harmCheck(): Promise<HarmCheck> {
  let before = await tables()
  const tookMs: number[] = []
  let loggedLength = holdfast.said().length

  const check = async (t: Test, name: string, answer = '') => {
    const startedMs = performance.now()
    t.match(
      await good(),
      { status: 200, body: { id: goodId, duplicate: true } },
      `${name}: the next good request is served`
    )
    const ms = performance.now() - startedMs
    tookMs.push(ms)
    t.ok(ms < msMax, `${name}: the next good request took ${Math.round(ms)} ms`)
    const now = await tables()
    t.equal(now, before, `${name}: no row has changed`)
    before = now
    t.equal(holdfast.child.exitCode, null, `${name}: the process lives`)
    const log = holdfast.said().slice(loggedLength)
    loggedLength += log.length
    for (const text of [answer, log]) t.notMatch(text, inside, `${name}: nothing of the inside shows`)
  }

  const summary = (t: Test) => {
    tookMs.sort((a, b) => a - b)
    const quantile = (share: number) => tookMs[Math.ceil(tookMs.length * share) - 1]!
    const [median, usual, worst] = [0.5, 0.9, 1].map(share => quantile(share).toFixed(1))
    t.comment(`the next good request: median ${median} ms, 90 % within ${usual} ms, worst ${worst} ms`)
    t.ok(quantile(0.9) < usualMsMax, `90 % of the next good requests within ${usual} ms`)
    t.notMatch(holdfast.said(), inside)
  }
  return Object.assign(check, { summary })
}

const otherTables = [
  'queues',
  'acked',
  'history',
  'leases',
  'idempotency_keys',
  'removed_queues',
  'schedules',
  'keys'
]

/** Bodies count by their length: a few megabytes need not be read after every case. */
const messages = `
  (
    select id, queue_id, fence, attempt, rank, position, lease_id,
      visible_at, leased_until, dead_at, expires_at, octet_length(body)
    from holdfast.messages
  )`

const digestOf = (rows: string) => `
  (
    select count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' order by t::text)), '')
    from ${rows} t
  )`

const countColumns = [
  'ready',
  'delayed',
  'leased',
  'dead',
  'acked',
  'enqueued_total',
  'acked_total',
  'leased_total',
  'purged_total',
  'expired_total',
  'buried_total',
  'inherited_total',
  'sent_total',
  'returned_total'
]

/** The ledger and its folded counts as their sums, since the sweeper folds one into the other. */
const counts = `
  (
    select json_agg(t order by queue_id)
    from (
      select queue_id, ${countColumns.map(column => `sum(${column})`).join(', ')}
      from (
        select queue_id, ${countColumns.join(', ')} from holdfast.counts
        union all
        select queue_id, ${countColumns.join(', ')} from holdfast.ledger
      ) c
      group by queue_id
    ) t
  )`

const tablesQuery = `
  select
    ${[digestOf(messages), ...otherTables.map(table => digestOf(`holdfast.${table}`)), counts].join(',\n')}`

/** Every table that a call can change, as one text: a digest for each, and the counts. */
async function tables(): Promise<string> {
  const { rows } = await sql.query({ text: tablesQuery, rowMode: 'array' })
  const names = ['messages', ...otherTables, 'counts']
  return JSON.stringify(
    names.map((name, index) => [name, rows[0]![index]]),
    null,
    1
  )
}
