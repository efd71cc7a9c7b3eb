/** The counts and totals of queues, for metrics. */
import { states, totalNames, type QueueTotals, type State, type Total } from '../../core/counters.ts'
import { metricsQueuesMax } from '../../core/limits.ts'
import { countsOf, folded, totalColumn } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** A queue whose counts have changed so lately is active, even if it is empty now. */
const activeSeconds = 3600

type TotalsRow = { queue_id: number; name: string; paused: boolean; queues: number } & Record<
  State | ReturnType<typeof totalColumn<Total>>,
  string
>

// Active queues come first: those with messages, and those whose counts have changed in the last
// hour. Of these, queues that count for no caller come first, then the oldest. So new queues push
// no older ones out, and the choice changes only when a queue has been empty and at rest for an hour.
export const totalsStatement: Statement<TotalsRow> = {
  name: 'queue_totals',
  text: sql`
    select q.name, q.paused, q.queues, c.*
    from (
      select
        q.id,
        q.name,
        q.paused,
        (count(*) over ())::float8 as queues
      from holdfast.queues q
      ${folded('q.id')}
      order by
        ${states.map(state => `c.${state} <= 0`).join('\nand ')}
        and not exists (
          select
          from holdfast.series s
          where s.queue_id = q.id
            and s.at > extract(epoch from statement_timestamp()) - ${activeSeconds}
        ),
        exists (select from holdfast.auto_queues a where a.queue_id = q.id),
        q.id
      limit ${metricsQueuesMax}
    ) q
    ${folded('q.id')}`
}

/** The folded counts and totals of at most a thousand queues, and how many queues are left out. */
export async function queueTotals(session: Session): Promise<{ queues: QueueTotals[]; leftOut: number }> {
  const rows = await session.query(totalsStatement)
  const queues = rows.map(row => ({
    id: row.queue_id,
    queue: row.name,
    paused: row.paused,
    states: countsOf(states, state => Math.max(0, Number(row[state]))),
    totals: countsOf(totalNames, total => Math.max(0, Number(row[totalColumn(total)])))
  }))
  return { queues, leftOut: (rows[0]?.queues ?? 0) - rows.length }
}
