/** A queue: its name, its settings, and its report. */
import type { StateCounts } from './counters.ts'
import { QueueError } from './errors.ts'
import type { Digits } from './message.ts'

export interface Retry {
  strategy: 'exponential' | 'linear' | 'fixed'
  delaySeconds: number
  maxDelaySeconds: number
  jitter: boolean
}

export interface Settings {
  leaseSeconds: number
  maxAttempts: number
  retry: Retry
  retentionSeconds: number
  dedupSeconds: number
  maxDepth: number | null
  paused: boolean
  keepAckedSeconds: number
}

/** Settings to change. What is left out stays as it is. */
export type SettingsChange = Partial<Omit<Settings, 'retry'> & { retry: Partial<Retry> }>

export interface Queue {
  id: Digits
  name: string
  settings: Settings
}

export interface QueueReport {
  queue: string
  settings: Settings
  counts: StateCounts
  reliability: number | null
  oldestReadySeconds: number | null
  createdAt: string
  updatedAt: string
}

/** The queues that a caller may see: by name, and by the beginning of the name. */
export interface NameScope {
  names: string[]
  prefixes: string[]
}

export const queueNamePattern = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$'

/**
 * The share of ended messages whose work was done. A dead message counts as ended until it is
 * redriven, an expired one for good. null before the first end.
 */
export function reliabilityOf({
  acked,
  dead,
  expired
}: {
  acked: number
  dead: number
  expired: number
}): number | null {
  const ended = acked + dead + expired
  return ended === 0 ? null : acked / ended
}

/**
 * A key without a right to the queue gets it too. So the answer never tells whether the queue
 * exists.
 */
export function queueNotFound(name: string): QueueError {
  return new QueueError(
    'queueNotFound',
    `There is no queue ${name}. Enqueue a message to it, or PUT /queues/${name}: both make it.`
  )
}
