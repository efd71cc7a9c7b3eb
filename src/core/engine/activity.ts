/** Who has called lately, and how long small flushes take. */
import { theService, type Caller } from '../caller.ts'

/** A caller counts for so long after its call. */
const recentMs = 250
/** Whoever calls another replica. Nobody knows whether that is a caller of this one. */
const elsewhere = 'another replica'
/** The part of the latest flush in the mean. */
const latestPart = 1 / 8
/** Small flushes are slow when their mean is this many times the least mean, and at least so long. */
const slowFactor = 3
const slowMs = 5
/** A database may become slower for good. So the least mean is forgotten: it doubles in so long. */
const leastDoublesMs = 3_600_000

/** Remembers the two callers that called last, which is all it takes to know whether a caller is alone. */
export class Activity {
  /** The ids of callers. */
  #last = theService.id
  #lastMs = -Infinity
  #beforeMs = -Infinity
  /** The mean of small flushes. */
  #flushMs = Infinity
  /** The least such mean, at this time. */
  #leastMs = Infinity
  #leastAtMs = 0

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
  noteFlush(ms: number, nowMs = performance.now()): void {
    const before = this.#flushMs
    this.#flushMs = before === Infinity ? ms : before + (ms - before) * latestPart
    const least = this.#leastMs * 2 ** ((nowMs - this.#leastAtMs) / leastDoublesMs)
    this.#leastMs = Math.min(least, this.#flushMs)
    this.#leastAtMs = nowMs
  }

  /** Whether the flushes of small calls are slow now. */
  get isSlow(): boolean {
    return this.#flushMs > Math.max(slowMs, slowFactor * this.#leastMs)
  }

  /** Whether another caller has called just now. */
  hasOthers({ id }: Caller): boolean {
    const otherMs = id === this.#last ? this.#beforeMs : this.#lastMs
    return performance.now() - otherMs < recentMs
  }
}
