/** Redrives: of dead messages, and of messages in a dead-letter queue. */
import { QueueError } from './errors.ts'
import type { Digits, Selection } from './message.ts'
import type { Freed } from './rows.ts'

/**
 * Messages of a chunk are ready now. `position` is the lowest of those that a lease can take. null:
 * all of them wait in their lines.
 */
export type OnReadyChunk = (count: number, position: number | null) => void

/** A chunk was redriven: how many messages, and what is ready now in a queue. */
export type OnRedriven = (count: number, ready: Freed | null, queueId: Digits) => void

/** How a redrive task can stand. */
export const redriveStates = ['running', 'done', 'stopped'] as const

/** A redrive that keeps to a rate. */
export interface RedriveTask {
  task: Digits
  /** null: each message goes home, or becomes ready where it is. */
  to: string | null
  ratePerSecond: number
  /** How many it has redriven so far. */
  redriven: number
  state: (typeof redriveStates)[number]
  startedAt: string
}

/** The verbs of the store. */
export interface RedriveVerbs {
  /**
   * Each message that a redrive takes goes home to the queue of its origin, or with `to` to that
   * queue. Without either it becomes ready where it is. Works in chunks, as the bulk actions do.
   */
  redrive(
    queueId: Digits,
    selection: Selection,
    to: string | null,
    signal: AbortSignal,
    onRedriven: OnRedriven
  ): Promise<void>
  /** Starts a task. null: the queue has one that runs, or is gone. */
  startRedrive(
    queueId: Digits,
    selection: Omit<Selection, 'limit'> & { limit: number | null },
    to: string | null,
    ratePerSecond: number
  ): Promise<Digits | null>
  /** The last tasks of a queue, the newest first. */
  listRedrives(queueId: Digits): Promise<RedriveTask[]>
  /** Ends a task, and leaves the rest. False when the queue has no such task. */
  stopRedrive(queueId: Digits, task: Digits): Promise<boolean>
  /** One step of a task that is due. False when none is. Needs a transaction. */
  driveRedrive(onRedriven: OnRedriven): Promise<boolean>
  /** How long until a task is due, on the database's clock. Infinity: none runs. */
  msUntilRedrive(): Promise<number>
}

export function redriveRunning(queue: string): QueueError {
  return new QueueError(
    'redriveRunning',
    `A redrive of the queue ${queue} runs already. Wait for its end, or stop it: ` +
      `GET /queues/${queue}/redrives shows its task, and DELETE /queues/${queue}/redrives/{task} stops it.`
  )
}

export function redriveNotFound(queue: string): QueueError {
  return new QueueError(
    'redriveNotFound',
    `The queue ${queue} has no such redrive. GET /queues/${queue}/redrives shows those that it has.`
  )
}
