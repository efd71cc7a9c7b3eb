/**
 * Keeps refusals to a share of the processor: in a flood of them each is answered a little late,
 * so that those who are served are not slowed.
 */

// Measured on a machine of two cores: what a refusal costs, and to read a body and throw it away.
const costMs = 0.05
const costMsPerByte = 3e-6
const share = 0.05
const stepMs = 50
const lateMsMax = 2000

export class RefusalThrottle {
  #dueMs = 0

  /**
   * Milliseconds until a refusal whose caller has so many bytes left to send should be answered:
   * none as long as they are few.
   */
  next(bytesLeft: number): number {
    const nowMs = performance.now()
    const dueMs = Math.max(this.#dueMs, nowMs) + (costMs + bytesLeft * costMsPerByte) / share
    this.#dueMs = Math.min(dueMs, nowMs + lateMsMax)
    // In steps, so that those who are late share a few timers.
    return Math.floor((this.#dueMs - nowMs) / stepMs) * stepMs
  }
}
