/** A queue: its name, its settings, and what it reports of itself. */
import type { StateCounts } from './counters.ts'
import { QueueError } from './errors.ts'
import { nameCharsMax } from './limits.ts'
import type { Digits } from './message.ts'
import type { Settings } from './settings.ts'

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

/** What queues and schedules may be called. */
export const namePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,${nameCharsMax - 1}}$`
export const queueNamePattern = namePattern

/**
 * Of the messages that have come to an end, the share whose work was done: what is dead counts
 * until it is redriven, what expired for good. null before the first end.
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

/** Also the answer to a key that has no right to the queue, so it tells nothing of whether there is one. */
export function queueNotFound(name: string): QueueError {
  return new QueueError(
    'queueNotFound',
    `There is no queue ${name}. The first message enqueued to it makes it, or PUT /queues/${name}.`
  )
}
