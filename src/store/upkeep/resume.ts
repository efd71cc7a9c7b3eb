/** Groups whose rate was used up. */
import { sql, type Statement } from '../statement.ts'
import { lineIsFree } from '../lines.ts'
import { carefulAfter, messagesMax, type SweptQueue } from './sweeps.ts'

/**
 * Lets groups go on whose rate allows it again, and forgets rates that are full. It locks no rates
 * itself, because lines are locked before their rates.
 */
export const resumeLines: Statement<SweptQueue> = {
  name: 'resume_lines',
  parameters: carefulAfter,
  text: sql`
    with due as materialized (
      select queue_id, line, due_at
      from holdfast.line_rates r
      where due_at <= statement_timestamp()
        and due_at > $1
        and ${lineIsFree('r.queue_id', 'r.line', '$2')}
      order by due_at
      limit ${messagesMax}
    )
    select
      (select count(*) from due) as taken,
      null as late_ms,
      resumed.*
    from (select) one
    left join (
      select
        k.queue_id,
        f.ready,
        f.position
      from (
        select queue_id, array_agg(line order by due_at) as lines
        from due
        group by queue_id
        order by queue_id
      ) k
      cross join lateral holdfast.resume_lines(k.queue_id, k.lines) f
    ) resumed on true`
}
