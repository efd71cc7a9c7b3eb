/**
 * A message's rank, by which leases take it: twice its priority, and 1 more when it comes back. So
 * a message that came back goes before the new ones of its priority.
 */
import { priorityMax } from '../core/limits.ts'

/** From the highest, in the order in which a scan goes through them. */
export const ranks = Array.from({ length: 2 * (priorityMax + 1) }, (_, index) => 2 * priorityMax + 1 - index)

/** The rank of a new message, from its priority. */
export const rankOfNew = (priority: string) => `${priority} * 2`

/** The priority of message `m`. */
export const priorityOf = 'm.rank >> 1'

/** The rank of message `m` when it comes back: after a fail, a release or the end of its lease. */
export const rankOfReturned = 'm.rank | 1'

/** The rank of message `m` when it counts as new again. */
export const rankOfRenewed = 'm.rank & ~1'
