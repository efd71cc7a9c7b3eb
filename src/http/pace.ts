/** Keeps refusals to a share of the processor: in a flood of them each is answered a little late, so that those who are served are not slowed. */

// Measured on a machine of two cores: what a refusal costs, and to read a body and throw it away.
const costMs = 0.05
const costMsPerByte = 3e-6
const share = 0.1
const stepMs = 50
const lateMsMax = 1000
// Of the body of one that waits Node.js has read so much.
const readBytesMax = 128 * 1024
const readBytesSumMax = 16 * 1024 * 1024

export class Pace {
  #dueMs = 0
  #readBytes = 0

  /**
   * Milliseconds until a refusal whose caller has so many bytes left to send should be answered: none as long as they are
   * few. `turnOut`: there are so many that to close the connection is cheaper than to read what is left. Of those that have
   * something left, what they have sent is in memory: when that is too much the next are turned out at once. `answered()` follows.
   */
  next (bytesLeft: number): { lateMs: number, turnOut: boolean } {
    const nowMs = performance.now()
    const dueMs = Math.max(this.#dueMs, nowMs) + (costMs + bytesLeft * costMsPerByte) / share
    this.#dueMs = Math.min(dueMs, nowMs + lateMsMax)
    this.#readBytes += Math.min(bytesLeft, readBytesMax)
    if (bytesLeft > 0 && this.#readBytes > readBytesSumMax) return { lateMs: 0, turnOut: true }
    // In steps, so that those who are late share a few timers.
    return { lateMs: Math.floor((this.#dueMs - nowMs) / stepMs) * stepMs, turnOut: bytesLeft > 0 && dueMs > this.#dueMs }
  }

  answered (bytesLeft: number): void {
    this.#readBytes -= Math.min(bytesLeft, readBytesMax)
  }
}
