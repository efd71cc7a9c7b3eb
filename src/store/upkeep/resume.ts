/** Groups whose rate was used up. */
import { sql, type Statement } from '../statement.ts'
import { lineIsFree } from '../lines.ts'
import { carefulAfter, dueInTurns, messagesMax, othersAfter, type SweptQueue } from './sweeps.ts'

// It locks no rates itself, because lines are locked before their rates.
const resuming = (name: string, parameters: string, due: string, found: string): Statement<SweptQueue> => ({
  name,
  parameters,
  text: sql`
    with ${due}
    select
      (select count(*) from ${found}) as taken,
      statement_timestamp()::text as began_at,
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
})

/** Lets groups go on whose rate allows it again, and forgets rates that are full. */
export const resumeLines = resuming(
  'resume_lines',
  carefulAfter,
  sql`
    due as materialized (
      select queue_id, line, due_at
      from holdfast.line_rates r
      where due_at <= statement_timestamp()
        and due_at > $1
        and ${lineIsFree('r.queue_id', 'r.line', '$2')}
      order by due_at
      limit ${messagesMax}
    )`,
  'due'
)

/** The same for all queues but one, which have turns. */
export const resumeOtherLines = resuming(
  'resume_other_lines',
  othersAfter,
  sql`
    ${dueInTurns('holdfast.line_rates', 'due_at', messagesMax)}, due as materialized (
      select due.*
      from turns
      cross join lateral (
        select queue_id, line, due_at
        from holdfast.line_rates r
        where ctid = turns.place
          and due_at <= statement_timestamp()
          and ${lineIsFree('r.queue_id', 'r.line', '$2')}
        limit 1
      ) due
    )`,
  'turns'
)
