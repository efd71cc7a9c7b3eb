/** The verbs of queues, as the store has them. */
import type { Holding } from './fairShare.ts'
import type { BeginStandstill } from './engine/standstills.ts'
import type { NamePage, Queue, QueueReport, Revise } from './queue.ts'

export interface QueueVerbs {
  /** A queue and the settings that are acted on. null: there is none. */
  findQueue(name: string): Promise<Queue | null>
  /** What a queue is set to and holds. null: there is none. */
  reportQueue(name: string): Promise<QueueReport | null>
  /**
   * Reports by name: of all queues of the scope, or of those with this dead-letter queue. `more`:
   * others may follow.
   */
  listQueues(
    page: NamePage,
    deadLetterQueue: string | null
  ): Promise<{ queues: QueueReport[]; more: boolean }>
  /** Their names alone. */
  listQueueNames(page: NamePage, deadLetterQueue: string | null): Promise<{ names: string[]; more: boolean }>
  /** Frees the name at once, if there is such a queue. Maintenance removes the messages later. */
  removeQueue(name: string): Promise<void>
  /**
   * How many queues count for all callers and for this one, and whether there is such a queue. Until
   * the transaction ends, no other session counts.
   */
  countAutoQueues(name: string, callerId: string): Promise<{ exists: boolean; all: number; mine: number }>
  /** Makes a queue that counts for this caller. Nothing happens if there is one. */
  createAutoQueue(name: string, callerId: string): Promise<void>
}

/** How a queue may be made. */
export interface NewQueueTerms {
  /** null: a new queue counts for nobody. */
  maker: QueueMaker | null
  only?: OnlyQueues
  /** For a queue that there is. */
  revise?: Revise
  /** Asked before a change of the order lets everybody wait. */
  begin?: BeginStandstill
}

/** `new`: a queue that is there stays as it is. `existing`: none is made. */
export type OnlyQueues = 'new' | 'existing'

/** Whom a new queue counts for. */
export interface QueueMaker {
  callerId: string
  /** Throws when the caller may make no more. */
  checkRoom: (held: Holding) => void
}

/**
 * What became of a put. But for `made` and `changed`, nothing was changed:
 * - `present`: there was a queue, and only a new one was wanted.
 * - `absent`: there was none, and only a change was wanted.
 * - `notEmpty`: the order would change, and the queue holds a message.
 * - `oneGroup`: the whole queue would be one group, and groups would take turns.
 */
export type PutOutcome = 'made' | 'changed' | 'present' | 'absent' | 'notEmpty' | 'oneGroup'
