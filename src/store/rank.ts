/**
 * A message's rank, by which leases take it: twice its priority, and 1 more when it comes back. So
 * a message that came back goes before the new ones of its priority. In an ordered queue with fairness
 * it gets no higher rank: its group goes behind the others, and its place in the line keeps the order.
 */
import { priorityMax } from '../core/limits.ts'
import { priorityDefault } from '../core/options.ts'
import { sql } from './statement.ts'

/** From the highest, in the order in which a scan goes through them. */
export const ranks = Array.from({ length: 2 * (priorityMax + 1) }, (_, index) => 2 * priorityMax + 1 - index)

/** The rank of a new message, from its priority. */
export const rankOfNew = (priority: string) => `${priority} * 2`

/** The rank of each message in lines that take turns, where its own rank counts in its line. */
export const rankInTurns = 2 * priorityDefault

/** The priority of message `m`. */
export const priorityOf = 'coalesce(m.turn_rank, m.rank) >> 1'

/** The priority of a kept acked message `m`. */
export const priorityOfAcked = 'm.rank >> 1'

/** What an update sets when message `m` comes back: after a fail, a release or the end of its lease. */
export const rankAsReturned = sql`
  rank = case
    when m.line is null then m.rank | 1
    when m.turn_rank is not null
      or (
        select q.fairness = 'group'
        from holdfast.queues q
        where q.id = m.queue_id
      )
    then m.rank
    else m.rank | 1
  end,
  turn_rank = m.turn_rank | 1`

/** What an update sets when message `m` counts as new again. */
export const rankAsRenewed = sql`
  rank = m.rank & ~1,
  turn_rank = m.turn_rank & ~1`
