/** The verbs that settle, as the store offers them: ack, fail, extend, release. */
import type { Digits } from './message.ts'
import type { EnqueueAnswer, EnqueueRow, Freed, Held } from './rows.ts'

/** `result`: what came of the work, as JSON text. It is kept where the queue keeps acked messages. */
export type Completed = Held & { result?: string | null }
export interface Failure extends Held {
  reason: string | null
  /** null: as the queue's retry curve says. */
  delaySeconds: number | null
  dead: boolean
}
export interface Extension extends Held {
  leaseSeconds: number
}

/** What a settling verb did to one message. Without a position it waits for others of its line. */
export interface Released extends Held {
  position: Digits | null
}
export interface Failed extends Held {
  position: Digits | null
  /** When it is ready again. */
  at: string
  ready: boolean
  dead: boolean
  /** The dead-letter queue to which it went. `position` is one there. */
  movedTo: string | null
  movedToId: number | null
}
export interface Extended extends Held {
  /** When the lease ends now. */
  at: string
}

/** The state of a message whose receipt changed nothing. */
export interface Standing {
  fence: Digits
  dead: boolean
  acked: boolean
}

/** What a settling verb is given of each message, and what it answers of each that it changed. */
interface SettleRows {
  ack: { held: Completed; changed: Held }
  fail: { held: Failure; changed: Failed }
  extend: { held: Extension; changed: Extended }
  release: { held: Held; changed: Released }
}
export type SettleVerb = keyof SettleRows
export type HeldBy<V extends SettleVerb> = SettleRows[V]['held']
export type ChangedBy<V extends SettleVerb> = SettleRows[V]['changed']

/** What a settling verb changed. A message that is missing in the rows was not held under that fence. */
export interface Changed<Row> {
  rows: Row[]
  freed: Freed | null
}

/** A message to store when the message that it follows is acked. It has no key of either kind. */
export interface NextRow {
  follows: Digits
  row: EnqueueRow
}

/** `acked` are those that were acked, as `id.fence`. `stored` has null for what follows others. */
export interface AckedWithNext {
  acked: string[]
  freed: Freed | null
  stored: EnqueueAnswer[]
}

/** Settles what is held, and answers what was changed. No id may come twice. */
export type Settlers = {
  [V in SettleVerb]: (queueId: Digits, held: HeldBy<V>[]) => Promise<Changed<ChangedBy<V>>>
}
export interface SettleVerbs extends Settlers {
  /**
   * Acks, and stores what follows from each message that it acked. null: a queue of what follows is
   * gone or has lines, and nothing was done.
   */
  ackWithNext(queueId: Digits, held: Completed[], next: NextRow[]): Promise<AckedWithNext | null>
  /** Locks messages until the transaction ends, in the order of all verbs. */
  lockMessages(queueId: Digits, ids: Digits[]): Promise<void>
  /** Where messages stand. One that is missing in the answer is gone. */
  standings(queueId: Digits, ids: Digits[]): Promise<Map<Digits, Standing>>
}
