/**
 * A message's rank, by which leases take it: twice its priority, and 1 more when it comes back. So
 * a message that came back goes before the new ones of its priority. In an ordered queue, the place in
 * its line says so already. Its group takes turns with the others, and so goes behind them.
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
    else m.rank
  end,
  turn_rank = m.turn_rank | 1`

/** What an update sets when message `m` counts as new again. */
export const rankAsRenewed = sql`
  rank = m.rank & ~1,
  turn_rank = m.turn_rank & ~1`
