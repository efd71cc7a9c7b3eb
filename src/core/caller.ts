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
