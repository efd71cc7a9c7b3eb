/** Shares of what stays in the database: schedules, and queues that enqueues made. */

/** The API key that makes something. Where callers need no key there is none. */
export interface Maker {
  readonly id: string
  readonly isAdmin: boolean
}

/**
 * How many more a key may make: at most half of what the others leave of the total. A key without
 * any gets its first one while the total has room.
 */
export function shareLeft(total: number, heldByAll: number, heldByMe: number): number {
  if (heldByAll >= total) return 0
  const share = Math.floor((total - (heldByAll - heldByMe)) / 2)
  return Math.max(share - heldByMe, heldByMe === 0 ? 1 : 0)
}
