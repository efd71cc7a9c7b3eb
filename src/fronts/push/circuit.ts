/** Slows deliveries down while an endpoint fails, so that an outage does not use up attempts. */
import type { Slowdown } from '../../core/push.ts'

/** After so many failures in a row deliveries are slowed down. */
const failuresMin = 5
const backoffMsMin = 1000
const backoffMsMax = 60_000
/** What an endpoint may ask for by Retry-After. */
const askedMsMax = 300_000

/**
 * While the endpoint works, any number of deliveries may begin. Once it is slowed, one is tried at a
 * time, after a wait that doubles. The first that is answered well ends that.
 */
export class Circuit {
  #failures = 0
  #backoffMs = backoffMsMin
  #untilMs = 0
  #reason = ''
  /** A delivery that was let through while slowed is under way. */
  #probing = false

  /** How many of these deliveries may begin now. */
  allows(wanted: number): number {
    if (!this.isSlowed) return wanted
    return this.#probing || Date.now() < this.#untilMs ? 0 : Math.min(1, wanted)
  }

  /** A delivery begins. Answers whether it is a trial. */
  begin(): boolean {
    if (!this.isSlowed) return false
    this.#probing = true
    return true
  }

  /** In how many ms the next delivery may begin. null: when the one under way has ended. */
  get waitMs(): number | null {
    return this.#probing ? null : Math.max(0, this.#untilMs - Date.now())
  }

  get isSlowed(): boolean {
    return this.#failures >= failuresMin
  }

  get slowed(): Slowdown | null {
    if (!this.isSlowed) return null
    const until = new Date(Math.max(Date.now(), this.#untilMs)).toISOString()
    return { failures: this.#failures, reason: this.#reason, until }
  }

  /** The endpoint works. */
  worked(): void {
    this.reset()
  }

  /** The endpoint failed, and may have asked for a wait. Deliveries begun before the slowdown count too. */
  failed(reason: string, wasTrial: boolean, askedMs = 0): void {
    const wasSlowed = this.isSlowed
    this.#failures++
    this.#reason = reason
    if (wasTrial) this.#probing = false
    if (!this.isSlowed || (wasSlowed && !wasTrial)) return
    // At random, so that queues of one endpoint do not come back together.
    const waitMs = this.#backoffMs * (0.75 + Math.random() / 2)
    this.#untilMs = Date.now() + Math.max(waitMs, Math.min(askedMs, askedMsMax))
    this.#backoffMs = Math.min(backoffMsMax, 2 * this.#backoffMs)
  }

  /** A trial has ended without telling anything of the endpoint. */
  trialEnded(): void {
    this.#probing = false
  }

  /** At full speed again: the endpoint works, or its settings have changed. */
  reset(): void {
    this.#failures = 0
    this.#backoffMs = backoffMsMin
    this.#untilMs = 0
    this.#probing = false
  }
}
