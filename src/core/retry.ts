/**
 * The retry curve: how long a failed message waits before its next attempt. PostgreSQL computes the
 * delay with the fail. Its formula, `growthSql` in store/verbs/settle.ts, is chosen by this table,
 * and test/store/retry.test.ts compares it with `retryDelaySeconds`.
 */
import type { Retry } from './settings.ts'

/** How a delay grows with the attempts: not at all, by its first length each time, or doubling. */
export type Growth = 'constant' | 'linear' | 'doubling'

/** How the delay of each strategy grows. */
export const growthOf: Record<Retry['strategy'], Growth> = {
  exponential: 'doubling',
  linear: 'linear',
  fixed: 'constant'
}

/** A delay doubles at most so often, which keeps the number finite at any attempt. */
export const doublingsMax = 60

/**
 * The delay after this attempt has failed, 1 being the first, without jitter. With jitter a random
 * share of it, up to all of it, is added before it is held to the longest delay.
 */
export function retryDelaySeconds(
  { strategy, delaySeconds, maxDelaySeconds }: Retry,
  attempt: number
): number {
  const growth = growthOf[strategy]
  const factor = {
    constant: 1,
    linear: Math.max(attempt, 1),
    doubling: 2 ** Math.min(Math.max(attempt - 1, 0), doublingsMax)
  }[growth]
  return Math.min(maxDelaySeconds, delaySeconds * factor)
}
