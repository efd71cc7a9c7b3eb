/** Who has called lately, and how long small flushes take. */
import { theService, type Caller } from '../caller.ts'

/** A caller counts for so long after its call. */
const recentMs = 250
/** Whoever calls another replica. Nobody knows whether that is a caller of this one. */
const elsewhere = 'another replica'
/** Flushes of small calls take 1 to 5 ms on a database that has time for them. */
const slowMs = 10
/** The part of the latest flush in the mean. */
const latestPart = 1 / 8

/** Remembers the two callers that called last, which is all it takes to know whether a caller is alone. */
export class Activity {
  /** The ids of callers. */
  #last = theService.id
  #lastMs = -Infinity
  #beforeMs = -Infinity
  /** The mean of small flushes. */
  #flushMs = 0

  note(callerId: string, nowMs = performance.now()): void {
    if (callerId !== this.#last) {
      this.#last = callerId
      this.#beforeMs = this.#lastMs
    }
    this.#lastMs = nowMs
  }

  /** Another replica has stored messages. */
  noteElsewhere(): void {
    this.note(elsewhere)
  }

  /** A flush of small calls has taken so long. */
  noteFlush(ms: number): void {
    this.#flushMs += (ms - this.#flushMs) * latestPart
  }

  /** Whether the flushes of small calls are slow now. */
  get isSlow(): boolean {
    return this.#flushMs > slowMs
  }

  /** Whether another caller has called just now. */
  hasOthers({ id }: Caller): boolean {
    const otherMs = id === this.#last ? this.#beforeMs : this.#lastMs
    return performance.now() - otherMs < recentMs
  }
}
