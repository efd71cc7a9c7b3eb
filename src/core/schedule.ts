/** A schedule: a message that is enqueued at the times of a cron expression. */
import { invalidRequest, QueueError } from './errors.ts'
import { checkBodySize, type Digits } from './message.ts'
import { namePattern } from './queue.ts'

export const scheduleNamePattern = namePattern
/** A time that is past for longer than this was missed, as in an outage. */
export const lateMsMax = 60_000

/** After an outage: one message for all missed times, or none. */
export const missedChoices = ['once', 'skip'] as const
type Missed = (typeof missedChoices)[number]

export interface ScheduleSettings {
  queue: string
  cron: string
  timezone: string
  /** JSON, as the text that came. */
  body: string
  headers: Record<string, string>
  priority: number
  paused: boolean
  missed: Missed
}

export type ScheduleChange = Partial<ScheduleSettings>

/** The headers that a schedule sets on each of its messages: its name, and the time it was due. */
export const nameHeader = 'holdfast-schedule'
export const dueHeader = 'holdfast-scheduled-for'

/**
 * Applies the rules that a schema cannot say. Refuses with bodyTooLarge; with invalidRequest when
 * the headers hold one that the schedule sets itself.
 */
export function checkChange({ headers, body }: ScheduleChange): void {
  for (const header of [nameHeader, dueHeader]) {
    if (headers !== undefined && Object.hasOwn(headers, header)) {
      throw invalidRequest(`/headers/${header}`, 'is set by the schedule itself')
    }
  }
  if (body !== undefined) checkBodySize(body, '')
}

/** What can become of a time at which a schedule is due. */
export const runOutcomes = ['enqueued', 'skipped', 'queueNotFound', 'queueFull', 'invalidSchedule'] as const

/** What became of the last time at which the schedule was due. */
export interface LastRun {
  /** The time it was due. Of several missed times, the first. */
  at: string
  firedAt: string
  outcome: (typeof runOutcomes)[number]
  messageId: Digits | null
}

export interface Schedule extends ScheduleSettings {
  name: string
  /** null while it is paused. */
  nextAt: string | null
  lastRun: LastRun | null
  createdAt: string
  updatedAt: string
}

/** A schedule that is due, with its queue. */
export interface DueSchedule {
  name: string
  queue: string
  cron: string
  timezone: string
  missed: Missed
  body: string
  headers: Record<string, string>
  priority: number
  nextAt: string
  now: string
  /** null: there is no such queue. */
  queueId: Digits | null
  maxDepth: number | null
}

export interface FiredSchedule {
  name: string
  nextAt: string | null
  outcome: LastRun['outcome']
  messageId: Digits | null
}

/**
 * The next time after `afterMs` at which a cron expression is due. Refuses with invalidSchedule.
 */
export type Calendar = (cron: string, timezone: string, afterMs: number) => number

/**
 * A key without a right to the queue gets it too. So the answer never tells whether the schedule
 * exists.
 */
export function scheduleNotFound(name: string): QueueError {
  return new QueueError(
    'scheduleNotFound',
    `There is no schedule ${name}; nothing was changed. A new one needs queue, cron and body: PUT ` +
      `/schedules/${name}.`
  )
}
