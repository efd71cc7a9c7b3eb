/**
 * Rests of callers between flushes that keep the database busy for long. Commits of other callers wait
 * for the disk meanwhile, so each such flush is followed by a pause of the same length. While the
 * flushes of others are slow, the pause is longer.
 */
import type { Caller } from '../caller.ts'
import type { Activity } from './activity.ts'

const restMsMax = 1500
/** A rest is this many times longer while small flushes are slow. */
const slowFactor = 3

export class Rests {
  readonly #activity: Activity
  readonly #onEnd: (lane: string) => void
  /** By lane: the callers that rest there. */
  readonly #resting = new Map<string, Map<Caller, NodeJS.Timeout>>()

  /** `onEnd` is called when the rest of a caller in a lane has ended. */
  constructor(activity: Activity, onEnd: (lane: string) => void) {
    this.#activity = activity
    this.#onEnd = onEnd
  }

  /** A flush of these callers has taken so long. Each of them rests if others call. */
  begin(lane: string, callers: Set<Caller>, tookMs: number): void {
    const restMs = Math.min(tookMs * (this.#activity.isSlow ? slowFactor : 1), restMsMax)
    for (const caller of callers) {
      clearTimeout(this.#resting.get(lane)?.get(caller))
      if (this.#activity.hasOthers(caller)) this.#begin(lane, caller, restMs)
      else this.#end(lane, caller)
    }
  }

  /** Whether each of these callers rests in the lane. Another caller need not wait for their rest. */
  includeAll(lane: string, callers: Iterable<Caller>): boolean {
    const resting = this.#resting.get(lane)
    return resting !== undefined && [...callers].every(caller => resting.has(caller))
  }

  #begin(lane: string, caller: Caller, ms: number): void {
    const timer = setTimeout(() => {
      this.#end(lane, caller)
      this.#onEnd(lane)
    }, ms)
    const resting = this.#resting.get(lane)
    if (resting === undefined) this.#resting.set(lane, new Map([[caller, timer]]))
    else resting.set(caller, timer)
  }

  #end(lane: string, caller: Caller): void {
    const resting = this.#resting.get(lane)
    if (resting?.delete(caller) === true && resting.size === 0) this.#resting.delete(lane)
  }
}
