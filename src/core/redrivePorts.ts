/** The verbs of redrives, as the store offers them. core/ports.ts has the others. */
import type { Digits } from './message.ts'
import type { Driven, OnRedriven, RedriveScope, RedriveTask, RedriveWanted } from './redrive.ts'

export interface RedriveVerbs {
  /**
   * Each message that a redrive takes goes home to the queue of its origin, or with `to` to that
   * queue. Without either it becomes ready where it is. Works in chunks, as the bulk actions do.
   */
  redrive(queueId: Digits, scope: RedriveScope, onRedriven: OnRedriven): Promise<void>
  /** Starts a task of this caller. null: the queue has one that runs, or is gone. */
  startRedrive(queueId: Digits, callerId: string, wanted: RedriveWanted): Promise<Digits | null>
  /** The last tasks of a queue, the newest first. */
  listRedrives(queueId: Digits): Promise<RedriveTask[]>
  /** Ends a task, and leaves the rest. False when the queue has no such task. */
  stopRedrive(queueId: Digits, task: Digits): Promise<boolean>
  /** The callers that have tasks which are due. The one whose task waits longest comes first. */
  redriveCallersDue(): Promise<string[]>
  /**
   * One step of a task of this caller: of the one that is due for the longest time. null: none is, or
   * other replicas are at them. Needs a transaction.
   */
  driveRedrive(callerId: string, onRedriven: OnRedriven): Promise<Driven | null>
  /** How long until a task is due, on the database's clock. Infinity: none runs. */
  msUntilRedrive(): Promise<number>
}
