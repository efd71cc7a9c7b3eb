/** Signals: what a commit tells those who wait, here and on other replicas. */
import type { Digits } from '../message.ts'

export interface Signals {
  /** Messages of a queue are ready. `position` is the lowest of them. */
  onReady: (queueId: Digits, count: number, position: number) => void
  /** Leases of a queue with `maxLeased` have ended. */
  onFree: (queueId: Digits, count: number) => void
  /** Something is due at this time: a delay, a retry or the end of a lease. */
  onDue: (timeMs: number) => void
}
