/** The verbs that change many messages, and the one that cancels one, as the store offers them. */
import type { State } from './counters.ts'
import type { Digits, Selection } from './message.ts'
import type { Freed } from './rows.ts'
import type { Pass } from './engine/turns.ts'

export type BulkAction = 'purge' | 'redrive' | 'retry'

/** What is done, and to which messages. */
export interface BulkWork<Action extends BulkAction = BulkAction> {
  action: Action
  /** Only a purge looks at it. null: any. */
  state: State | null
  selection: Selection
}

/** How work in chunks goes on: it ends after the chunk in which `signal` aborts. */
export interface Pace {
  signal: AbortSignal
  /** Called between two chunks. */
  pass: Pass
}

/** Which messages are changed. */
export interface BulkScope extends Pace {
  selection: Selection
}

export interface PurgeScope extends BulkScope {
  /** null: any. */
  state: State | null
}

/**
 * Messages of a chunk are ready now. `position` is the lowest of those that a lease can take. null:
 * all of them wait in their lines.
 */
export type OnReadyChunk = (count: number, position: number | null) => void

/** With `more`, counting stopped at its time limit, and the real number is at least `matched`. */
export interface Matches {
  matched: number
  more: boolean
}

export interface Cancelled {
  outcome: 'cancelled' | 'leased' | 'unknown'
  freed: Freed | null
}

/** Bulk actions work in chunks, each a commit of its own, and report each to `onDone`. */
export interface BulkVerbs {
  /** Removes one message that nobody holds. */
  cancel(queueId: Digits, id: Digits): Promise<Cancelled>
  /** Removes messages of one state, or of all. Of those named by id it leaves the leased ones. */
  purge(
    queueId: Digits,
    scope: PurgeScope,
    onDone: (count: number, freed: Freed | null) => void
  ): Promise<void>
  /** Makes delayed messages ready now. */
  retry(queueId: Digits, scope: BulkScope, onDone: OnReadyChunk): Promise<void>
  /** How many messages the action would change now. */
  countMatches(queueId: Digits, work: BulkWork, pace: Pace): Promise<Matches>
}
