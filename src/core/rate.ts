/** How many requests or messages a second a key may have. */
import { QueueError } from './errors.ts'

/**
 * A rate: `perSecond` a second, and at most one second's worth at once. More than is left may be
 * taken: the next calls are then refused until it is paid back.
 */
export class Rate {
  readonly perSecond: number | null
  #left: number
  #untold = 0
  #atMs = performance.now()

  constructor(perSecond: number | null) {
    this.perSecond = perSecond
    this.#left = Math.max(1, perSecond ?? 0)
  }

  get bounded(): boolean {
    return this.perSecond !== null
  }

  /** Whether nothing is left now. */
  get spent(): boolean {
    return this.spentBy(0)
  }

  /** Whether nothing is left once this many are taken. */
  spentBy(count: number): boolean {
    if (this.perSecond === null) return false
    const nowMs = performance.now()
    this.#left = Math.min(
      Math.max(1, this.perSecond),
      this.#left + ((nowMs - this.#atMs) / 1000) * this.perSecond
    )
    this.#atMs = nowMs
    return this.#left - count <= 0
  }

  /** Whole seconds until something is left, one at least. */
  get secondsLeft(): number {
    return Math.max(1, Math.ceil(-this.#left / (this.perSecond ?? 1)))
  }

  /** Refuses with rateLimited when nothing is left. */
  check(what: string): void {
    if (this.perSecond === null || !this.spent) return
    throw new QueueError(
      'rateLimited',
      `This key has used up its ${this.perSecond} ${what} a second; nothing was changed. Send the ` +
        'request again after the time in Retry-After.',
      {
        retryAfterSeconds: this.secondsLeft
      }
    )
  }

  take(count: number): void {
    this.#left -= count
    this.#untold += count
  }

  /** Another process of the replica has taken this many. */
  takenElsewhere(count: number): void {
    this.#left -= count
  }

  /** How many were taken here since the last call. */
  takeUntold(): number {
    const untold = this.#untold
    this.#untold = 0
    return untold
  }
}
