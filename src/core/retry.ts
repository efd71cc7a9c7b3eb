/**
 * The retry curve: how long a failed message waits before its next attempt.
 *
 * The first delay is the setting `delaySeconds`. After each further attempt
 * - `exponential` doubles the delay,
 * - `linear` adds the first delay again,
 * - `fixed` leaves the delay as it is.
 *
 * Jitter then adds a random share of the delay, up to all of it. At last the delay is held to
 * `maxDelaySeconds`. PostgreSQL computes the delay with the fail, in store/verbs/settle.ts.
 * test/store/retry.test.ts computes it a second time, and compares the two.
 */

/** Further attempts that still double a delay. The bound keeps the number finite. */
export const doublingsMax = 60
