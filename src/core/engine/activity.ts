/** Who has called lately, and how long small flushes take. */
import { whoseWork, type Caller } from '../caller.ts'
import { LastCallers } from './lastCallers.ts'

/** The part of the latest flush in the mean. */
const latestPart = 1 / 8
/** Small flushes are slow when their mean is this many times the least mean, and at least so long. */
const slowFactor = 3
const slowMs = 5
/** A database may become slower for good. So the least mean is forgotten: it doubles in so long. */
const leastDoublesMs = 3_600_000

export class Activity {
  readonly #here = new LastCallers()
  readonly #elsewhere = new LastCallers()
  /** The mean of small flushes. */
  #flushMs = Infinity
  /** The least such mean, at this time. */
  #leastMs = Infinity
  #leastAtMs = 0

  /** Somebody has called this process. */
  note(callerId: string, nowMs = performance.now()): void {
    const id = whoseWork(callerId)
    if (id !== null) this.#here.note(id, nowMs)
  }

  /** These have called another process or replica. */
  noteElsewhere(callerIds: string[], nowMs = performance.now()): void {
    for (const callerId of callerIds) {
      const id = whoseWork(callerId)
      if (id !== null) this.#elsewhere.note(id, nowMs)
    }
  }

  /** Who has called this process just now: the last two, from which others know what they need. */
  get callersHere(): string[] {
    return this.#here.recent
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

  /** Whether another caller has called just now, here or elsewhere. A caller's own pushes are no other. */
  hasOthers(caller: Caller): boolean {
    const id = whoseWork(caller.id) ?? caller.id
    return this.#here.hasOther(id) || this.#elsewhere.hasOther(id)
  }
}
