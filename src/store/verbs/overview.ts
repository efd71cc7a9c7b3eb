/** What the console shows of all queues at once: one cheap statement, however many pages are open. */
import type { Session, Statement } from '../database.ts'
import { oldestReadyAt } from './queues.ts'

export interface OverviewRow {
  id: number
  queue: string
  paused: boolean
  ready: number
  delayed: number
  leased: number
  dead: number
  acked: number
  enqueuedTotal: number
  ackedTotal: number
}

export const overviewMax = 20_000

// The ledger holds what the sweeper has not folded yet, a second's worth; both are read in one
// snapshot, so the sums are exact. One text instead of ten thousand rows, which would take this
// process three times as long to read.
const columns = ['ready', 'delayed', 'leased', 'dead', 'acked', 'enqueued_total', 'acked_total']
const overviewStatement: Statement = {
  name: 'overview',
  slow: true,
  text: `
  select extract(epoch from statement_timestamp())::float8 as at_seconds,
    coalesce(string_agg(concat_ws(' ', q.id, q.name, q.paused::integer, ${columns.map(column => `c.${column} + ` + `coalesce(l.${column}, 0)`).join(', ')}), E'\\n' order by q.name), '') as lines
  from (select id, name, paused from holdfast.queues order by name limit ${overviewMax}) q
  join holdfast.counts c on c.queue_id = q.id
  left join (select queue_id, ${columns.map(column => `sum(${column}) as ${column}`).join(', ')} from holdfast.ledger group by queue_id) l on l.queue_id = q.id`
}

/** The first 20,000 queues by name, with the database's own time. */
export async function overview(session: Session): Promise<{ atSeconds: number; rows: OverviewRow[] }> {
  const [{ at_seconds: atSeconds, lines }] = (await session.query(overviewStatement)) as [
    { at_seconds: number; lines: string }
  ]
  return { atSeconds, rows: lines === '' ? [] : lines.split('\n').map(rowOf) }
}

function rowOf(line: string): OverviewRow {
  const [id, queue, paused, ready, delayed, leased, dead, acked, enqueuedTotal, ackedTotal] = line.split(
    ' '
  ) as [string, string, ...string[]]
  return {
    id: Number(id),
    queue,
    paused: paused === '1',
    ready: Number(ready),
    delayed: Number(delayed),
    leased: Number(leased),
    dead: Number(dead),
    acked: Number(acked),
    enqueuedTotal: Number(enqueuedTotal),
    ackedTotal: Number(ackedTotal)
  }
}

const oldestStatement: Statement = {
  name: 'oldest_ready',
  text: `
  select q.id, extract(epoch from ${oldestReadyAt('q.id', 100)})::float8 as at_seconds from unnest($1::integer[]) as q (id)`
}

/** When the oldest ready message of each of these queues was enqueued, in seconds since the epoch. */
export async function oldestReady(session: Session, queueIds: number[]): Promise<Map<number, number>> {
  const rows = (await session.query(oldestStatement, [queueIds])) as {
    id: number
    at_seconds: number | null
  }[]
  return new Map(rows.filter(({ at_seconds: at }) => at !== null).map(({ id, at_seconds: at }) => [id, at!]))
}
