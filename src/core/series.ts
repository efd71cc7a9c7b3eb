/**
 * The last hour of a queue, step by step. A row is stored only for a step in which something
 * changed.
 */
import type { OpenState, Total } from './counters.ts'

export const stepSeconds = 30
export const stepsCount = 120
/** How far back the series goes. */
export const hourSeconds = stepsCount * stepSeconds
const sparkSteps = stepsCount / 2

type SampledTotal = Extract<Total, 'enqueued' | 'acked' | 'failed'>

/** The counts and totals at the end of a step. A step in which nothing changed has none. */
export interface Sample extends Record<OpenState | SampledTotal, number> {
  at: number
}

/**
 * How many messages of a step waited, and were worked on, for how long: the buckets of
 * `ReplicaStats`.
 */
export interface StepTimes {
  at: number
  waits: number[]
  works: number[]
}

/** What a spark needs of a sample. */
export type SparkSample = Pick<Sample, 'at' | 'enqueued' | 'acked'>

export interface Series extends Record<OpenState, (number | null)[]> {
  queue: string
  stepSeconds: number
  at: number[]
  enqueuedPerSecond: number[]
  ackedPerSecond: number[]
  failedPerSecond: number[]
  waitSecondsP50: (number | null)[]
  waitSecondsP95: (number | null)[]
  workSecondsP50: (number | null)[]
  workSecondsP95: (number | null)[]
}

export interface Spark {
  enqueuedPerSecond: number[]
  ackedPerSecond: number[]
}

/**
 * `last` is the end of the last step written. The samples are in order of time. The first may be
 * from before the hour.
 */
export function seriesOf(queue: string, last: number, samples: Sample[], times: StepTimes[]): Series {
  const at = steps(last, stepsCount, stepSeconds)
  const held = at.map(latest(samples))
  const count = (state: OpenState) => held.map(sample => sample?.[state] ?? null)
  const timesAt = new Map(times.map(step => [step.at, step]))
  const quantiles = (kind: 'waits' | 'works', share: number) =>
    at.map(end => quantileSeconds(timesAt.get(end)?.[kind] ?? [], share))
  return {
    queue,
    stepSeconds,
    at,
    ready: count('ready'),
    delayed: count('delayed'),
    leased: count('leased'),
    dead: count('dead'),
    enqueuedPerSecond: rates(at, samples, 'enqueued'),
    ackedPerSecond: rates(at, samples, 'acked'),
    failedPerSecond: rates(at, samples, 'failed'),
    waitSecondsP50: quantiles('waits', 0.5),
    waitSecondsP95: quantiles('waits', 0.95),
    workSecondsP50: quantiles('works', 0.5),
    workSecondsP95: quantiles('works', 0.95)
  }
}

/** The rates alone, in half as many steps. */
export function sparkOf(last: number, samples: SparkSample[]): Spark {
  const at = steps(last, sparkSteps, 2 * stepSeconds)
  return { enqueuedPerSecond: rates(at, samples, 'enqueued'), ackedPerSecond: rates(at, samples, 'acked') }
}

function steps(last: number, count: number, seconds: number): number[] {
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * seconds)
}

/**
 * A function that answers the latest sample at a time. Call it in order of time. null before the
 * first sample, when there was no queue.
 */
function latest<S extends { at: number }>(samples: S[]): (at: number) => S | null {
  let next = 0
  return at => {
    while (next < samples.length && samples[next]!.at <= at) next++
    return samples[next - 1] ?? null
  }
}

// A queue's first row is written when the queue is made, or, for an older queue, when the table was
// made. Before it the totals count as 0.
function rates<K extends SampledTotal>(
  at: number[],
  samples: ({ at: number } & Record<K, number>)[],
  total: K
): number[] {
  const seconds = at[1]! - at[0]!
  const find = latest(samples)
  const totals = [at[0]! - seconds, ...at].map(end => find(end)?.[total] ?? 0)
  return at.map((_, index) =>
    Math.max(0, Math.round(((totals[index + 1]! - totals[index]!) / seconds) * 1000) / 1000)
  )
}

/**
 * The time within which this share of the messages was, as if each bucket were evenly filled. null
 * when there are no messages.
 */
export function quantileSeconds(buckets: number[], share: number): number | null {
  const wanted = buckets.reduce((sum, count) => sum + count, 0) * share
  if (wanted === 0) return null
  let index = 0
  let counted = buckets[0]!
  while (counted < wanted) counted += buckets[++index]!
  const from = index === 0 ? 0 : 2 ** (index - 1)
  const to = 2 ** index
  const within = 1 - (counted - wanted) / buckets[index]!
  return Math.round(from + (to - from) * within) / 1000
}
