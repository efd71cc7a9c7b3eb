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

/** Counts what a commit makes ready, queue by queue, so that each queue is signalled once. */
export class ReadyCounts {
  readonly #queues = new Map<Digits, { count: number; lowest: number }>()

  add(queueId: Digits, count: number, position: number): void {
    const queue = this.#queues.get(queueId)
    if (queue === undefined) this.#queues.set(queueId, { count, lowest: position })
    else {
      queue.count += count
      queue.lowest = Math.min(queue.lowest, position)
    }
  }

  signal({ onReady }: Signals): void {
    for (const [queueId, { count, lowest }] of this.#queues) onReady(queueId, count, lowest)
  }
}
