/** Limits of a queue: how many of its messages may be leased at once, and how many in a time. */
import type { Room } from './rows.ts'
import type { ActiveSettings } from './settings.ts'

/** Settings after whose change those who wait for a place may get one. */
export const limitSettings: string[] = [
  'maxLeased',
  'maxLeasedPerGroup',
  'rate',
  'ratePerGroup'
] satisfies (keyof ActiveSettings)[]

/** Limits that need lines. */
export const groupLimits: string[] = ['maxLeasedPerGroup', 'ratePerGroup'] satisfies (keyof ActiveSettings)[]

/** Whether the queue bounds its leases in any way. */
export function hasLimits(settings: ActiveSettings): boolean {
  return settings.maxLeased !== null || settings.rate !== null || hasGroupLimits(settings)
}

/** Whether it bounds the leases of each group. */
export function hasGroupLimits({ maxLeasedPerGroup, ratePerGroup }: ActiveSettings): boolean {
  return maxLeasedPerGroup !== null || ratePerGroup !== null
}

/** Whether another lease would get nothing just now. */
export function isUsedUp({ places, tokens }: Room): boolean {
  return (places !== null && places <= 0) || (tokens !== null && tokens < 1)
}
