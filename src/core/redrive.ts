/** Redrives: of dead messages, and of messages in a dead-letter queue. */
import type { BulkScope } from './bulkPorts.ts'
import { QueueError } from './errors.ts'
import type { Digits, Selection } from './message.ts'
import type { Freed } from './rows.ts'

/** A chunk was redriven: how many messages, and what is ready now in a queue. */
export type OnRedriven = (count: number, ready: Freed | null, queueId: Digits) => void

/** How a redrive task can stand. */
export const redriveStates = ['running', 'done', 'stopped', 'failed'] as const

/**
 * A redrive leaves messages that never died, and makes the queues that are missing. A move takes every
 * message that is not leased, makes no queue, and fails where a message has none to go to.
 */
export type RedriveKind = 'redrive' | 'move'

/**
 * Why a task has failed:
 * - `queueNotFound`: a queue to go to is missing.
 * - `originUnknown`: a message never died, and so has no home.
 * - `refused`: the database refused a step. The log says why.
 */
export const redriveFailures = ['queueNotFound', 'originUnknown', 'refused'] as const

/** A redrive that keeps to a rate. */
export interface RedriveTask {
  task: Digits
  /** null: each message goes home, or becomes ready where it is. */
  to: string | null
  ratePerSecond: number
  /** How many it has redriven so far. */
  redriven: number
  state: (typeof redriveStates)[number]
  /** null: it has not failed. */
  failure: (typeof redriveFailures)[number] | null
  startedAt: string
}

/** Which messages are redriven, until when, and to which queue. */
export interface RedriveScope extends BulkScope {
  /** null: each goes home, or becomes ready where it is. */
  to: string | null
}

/** A redrive to start as a task. */
export interface RedriveWanted {
  selection: Selection
  /** The queue to which all messages go. null: each goes home, or becomes ready where it is. */
  to: string | null
  ratePerSecond: number
  kind: RedriveKind
}

/** What came of a step. With a `refusal` by the database, the task has failed. */
export interface Driven {
  refusal: unknown
}

/** The queue has a redrive that runs. */
export function redriveRunning(queue: string): QueueError {
  return new QueueError(
    'redriveRunning',
    `A redrive of the queue ${queue} runs already. Wait for its end, or stop it: ` +
      `GET /queues/${queue}/redrives shows its task, and DELETE /queues/${queue}/redrives/{task} stops it.`
  )
}

/** The queue has no task of this number. */
export function redriveNotFound(queue: string): QueueError {
  return new QueueError(
    'redriveNotFound',
    `The queue ${queue} has no such redrive. GET /queues/${queue}/redrives shows those that it has.`
  )
}
