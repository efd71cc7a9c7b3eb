/**
 * The retry curve: how long a failed message waits before its next attempt. PostgreSQL computes the
 * delay with the fail, by the same formula in store/verbs/settle.ts and with the values of this
 * table. test/store/retry.test.ts compares the two.
 */
import type { Retry } from './settings.ts'

/** How a delay grows with each further attempt: it is multiplied, or the first delay is added. */
export interface Growth {
  /** The delay is multiplied by this. */
  factor: number
  /** This many first delays are added. */
  added: number
}

export const growthOf: Record<Retry['strategy'], Growth> = {
  exponential: { factor: 2, added: 0 },
  linear: { factor: 1, added: 1 },
  fixed: { factor: 1, added: 0 }
}

/** Further attempts that still multiply a delay. The bound keeps the number finite. */
export const multiplicationsMax = 60

/**
 * The delay after this attempt has failed, 1 being the first, without jitter. Jitter adds a random
 * share of the delay, up to all of it, before the delay is held to the longest one.
 */
export function retryDelaySeconds(
  { strategy, delaySeconds, maxDelaySeconds }: Retry,
  attempt: number
): number {
  const { factor, added } = growthOf[strategy]
  const further = Math.max(attempt - 1, 0)
  const growth = factor ** Math.min(further, multiplicationsMax) * (1 + added * further)
  return Math.min(maxDelaySeconds, delaySeconds * growth)
}
