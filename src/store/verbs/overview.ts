/** What the console shows of all queues: one cheap statement, however many pages are open. */
import { overviewQueuesMax } from '../../core/limits.ts'
import { overviewTotals, states, type OverviewRow } from '../../core/counters.ts'
import { folded, totalColumn } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { oldestReadyAt } from './queueReports.ts'

const columns = [...states, ...overviewTotals.map(totalColumn)]

// The ledger holds what the sweeper has not folded yet, about a second of changes. It and the
// counts are read in one snapshot, so the sums are exact. The answer is one text instead of ten
// thousand rows, which would take this process three times as long to read.
export const overviewStatement: Statement<{
  at_seconds: number
  left_out: number
  lines: string
}> = {
  name: 'overview',
  slow: true,
  text: sql`
    with unfolded as materialized (
      select
        queue_id,
        ${columns.map(column => `sum(${column}) as ${column}`).join(',\n')}
      from holdfast.ledger
      group by queue_id
    )
    select
      extract(epoch from statement_timestamp())::float8 as at_seconds,
      (
        select greatest(count(*) - ${overviewQueuesMax}, 0)
        from holdfast.queues
      )::float8 as left_out,
      coalesce(
        string_agg(
          concat_ws(
            ' ',
            q.id,
            q.name,
            q.paused::integer,
            ${columns.map(column => `c.${column} + coalesce(l.${column}, 0)`).join(',\n')}
          ),
          E'\n' order by q.name
        ),
        ''
      ) as lines
    from (
      select id, name, paused
      from holdfast.queues
      order by name
      limit ${overviewQueuesMax}
    ) q
    ${folded('q.id')}
    left join unfolded l on l.queue_id = q.id`
}

/**
 * The first 20,000 queues by name, how many are left out, and the database's own time in seconds
 * since the epoch.
 */
export async function overview(
  session: Session
): Promise<{ atSeconds: number; leftOut: number; rows: OverviewRow[] }> {
  const [row] = await session.query(overviewStatement)
  const { at_seconds: atSeconds, left_out: leftOut, lines } = row!
  return { atSeconds, leftOut, rows: lines === '' ? [] : lines.split('\n').map(rowOf) }
}

// Ten thousand queues are read every two seconds. Objects made from entries would take five times
// as long as this loop.
function rowOf(line: string): OverviewRow {
  const [id, queue, paused, ...numbers] = line.split(' ')
  const row: OverviewRow = {
    id: Number(id),
    queue: queue!,
    paused: paused === '1',
    ready: 0,
    delayed: 0,
    leased: 0,
    dead: 0,
    acked: 0,
    enqueuedTotal: Number(numbers[states.length]),
    ackedTotal: Number(numbers[states.length + 1])
  }
  for (let i = 0; i < states.length; i++) row[states[i]!] = Number(numbers[i])
  return row
}

/** Messages examined for the oldest ready one, in each rank. */
const examinedMax = 100

export const oldestStatement: Statement<{ id: number; age_seconds: number | null }> = {
  name: 'oldest_ready',
  parameters: '$1 queue ids',
  text: sql`
    select
      q.id,
      extract(
        epoch from clock_timestamp() - ${oldestReadyAt('q.id', examinedMax)}
      )::float8 as age_seconds
    from unnest($1::integer[]) as q (id)`
}

/**
 * How many seconds the oldest ready message of each of these queues has been ready. A queue without
 * one is missing in the answer.
 */
export async function oldestReady(session: Session, queueIds: number[]): Promise<Map<number, number>> {
  const rows = await session.query(oldestStatement, [queueIds])
  return new Map(rows.flatMap(({ id, age_seconds: age }) => (age === null ? [] : [[id, age]])))
}
