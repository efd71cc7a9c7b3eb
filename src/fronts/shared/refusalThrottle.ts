/**
 * Keeps the refusals of a caller to a share of the processor. In a flood each refusal is answered a
 * little late, so that callers who are served are not slowed.
 */
import type { Caller } from '../../core/caller.ts'

// Measured on two cores: one refusal, and one byte of a body that is read and thrown away.
const refusalCostMs = 0.05
const byteCostMs = 3e-6
const processorShare = 0.05
const stepMs = 50
const lateMsMax = 2000

export class RefusalThrottle {
  #dueMs = 0

  /**
   * Milliseconds until a refusal should be answered: 0 while refusals are few. `bytesLeft` is what
   * its caller still has to send.
   */
  next(bytesLeft: number): number {
    const nowMs = performance.now()
    const dueMs = Math.max(this.#dueMs, nowMs) + (refusalCostMs + bytesLeft * byteCostMs) / processorShare
    this.#dueMs = Math.min(dueMs, nowMs + lateMsMax)
    // In steps, so that late refusals share a few timers.
    return Math.floor((this.#dueMs - nowMs) / stepMs) * stepMs
  }
}

/** A throttle for each caller, so that the flood of one does not delay the refusals of another. */
export class RefusalThrottles {
  readonly #throttles = new WeakMap<Caller, RefusalThrottle>()
  readonly #ofNobody = new RefusalThrottle()

  /** As `next` of the caller's throttle. Without a caller, the request was refused before it was known. */
  next(caller: Caller | undefined, bytesLeft: number): number {
    if (!caller) return this.#ofNobody.next(bytesLeft)
    let throttle = this.#throttles.get(caller)
    if (throttle === undefined) {
      throttle = new RefusalThrottle()
      this.#throttles.set(caller, throttle)
    }
    return throttle.next(bytesLeft)
  }
}
