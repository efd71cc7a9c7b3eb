/** Who calls. What the service can hold at one time is shared out among callers. */

export interface Caller {
  /** The id of an API key; an address where callers need no key. */
  readonly id: string
  readonly isAdmin: boolean
}

/** The service itself: its schedules, its console's overview. */
export const theService: Caller = { id: 'service', isAdmin: true }

/**
 * Everybody on this machine, while there is no key. Nobody can tell them apart, and all may do
 * everything.
 */
export const thisMachine: Caller = { id: 'this machine', isAdmin: true }

/** Whom the settlements of all pushes count for. */
export const pushCaller: Caller = { id: 'push', isAdmin: false }

const pushPrefix = 'push:'

/** Whom the requests of the pushes count for that this caller has set. */
export const pushesOf = (callerId: string): Caller => ({ id: `${pushPrefix}${callerId}`, isAdmin: false })

/** The caller whose work this one does: of pushes, whoever has set them. null: nobody can say whose. */
export function whoseWork(callerId: string): string | null {
  if (callerId === pushCaller.id) return null
  return callerId.startsWith(pushPrefix) ? callerId.slice(pushPrefix.length) : callerId
}
