/** Watching: waits for the end of a message. */
import type { Caller } from '../caller.ts'
import { Batcher } from '../engine/batcher.ts'
import type { Parts } from '../engine/parts.ts'
import { QueueError } from '../errors.ts'
import type { Digits } from '../message.ts'
import type { Queue } from '../queue.ts'

/** An ack here wakes at once. One on another replica, or in SQL, is seen at the next check. */
const checkMs = 500

type Needs = Pick<Parts, 'store' | 'wakeups' | 'bounds' | 'shares'>

/** How long a caller waits at most. The signal says that it has gone. */
export interface Wait {
  seconds: number
  signal: AbortSignal
}

export class Watching {
  readonly #parts: Needs
  readonly #batcher: Batcher<{ queueId: Digits; id: Digits }, boolean>

  constructor(parts: Needs) {
    this.#parts = parts
    // All who wait share their checks.
    this.#batcher = new Batcher({
      ...parts.bounds,
      flights: null, // it has one lane only
      share: parts.shares.checks,
      flush: (_, messages) => parts.store.last.whichEnded(messages),
      weigh: () => 1,
      count: () => 1,
      isUrgent: () => false,
      inFlightMax: 1
    })
  }

  /**
   * Resolves when the message is acked, dead or gone, when the time is up, when the caller has
   * gone, or when the service closes. Refuses with ackedNotKept, tooManyWaiting, overloaded.
   */
  async end(caller: Caller, queue: Queue, id: Digits, { seconds, signal }: Wait): Promise<void> {
    if (queue.settings.keepAckedSeconds <= 0) {
      throw new QueueError(
        'ackedNotKept',
        `The queue ${queue.name} keeps no acked messages, so nobody can wait for their end. Set its ` +
          'keepAckedSeconds first.'
      )
    }
    const { wakeups } = this.#parts
    const untilMs = performance.now() + seconds * 1000
    const seat = wakeups.sit(caller, { messageId: id })
    try {
      while (!(await this.#batcher.add(caller, '', { queueId: queue.id, id }))) {
        if (performance.now() >= untilMs || signal.aborted) return
        const nextCheckMs = Math.min(untilMs, performance.now() + checkMs)
        const woken = await seat.wait(nextCheckMs, signal)
        if (!woken && wakeups.closed) return
      }
    } finally {
      seat.leave()
    }
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }
}
