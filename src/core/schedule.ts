/** A schedule: a message that is enqueued at the times of a cron expression. */
import type { ApiKey } from './apiKey.ts'
import type { Caller } from './caller.ts'
import { invalidRequest, QueueError } from './errors.ts'
import { checkOneMore } from './fairShare.ts'
import { checkBodySize, type Digits } from './message.ts'
import { priorityDefault } from './options.ts'
import type { EnqueueDefaults } from './queue.ts'

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

/** All that a caller decides of a schedule, and when it is due next. */
export interface ScheduleState {
  settings: ScheduleSettings
  /** null: it was made without a key. */
  owner: Owner | null
  /** null while it is paused. */
  nextAt: string | null
}

export type ScheduleChange = Partial<ScheduleSettings>

/** What a new schedule has where it does not say. It must say the rest. */
export const scheduleDefaults = {
  timezone: 'UTC',
  headers: {},
  priority: priorityDefault,
  paused: false,
  missed: 'once'
} as const

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
export const runOutcomes = [
  'enqueued',
  'skipped',
  'rateLimited',
  'queueNotFound',
  'tooManyQueues',
  'queueFull',
  'bodyTooLarge',
  'invalidSchedule'
] as const

/** What became of the last time at which the schedule was due. */
export interface LastRun {
  /** The time it was due. Of several missed times, the first. */
  at: string
  firedAt: string
  outcome: (typeof runOutcomes)[number]
  messageId: Digits | null
}

/** The key that made a schedule, or has last changed what it does. It may be revoked by now. */
export interface Owner {
  id: string
  name: string
}

export interface Schedule extends ScheduleSettings {
  name: string
  /** null: it was made without a key. */
  owner: Owner | null
  /** null while it is paused. */
  nextAt: string | null
  lastRun: LastRun | null
  createdAt: string
  updatedAt: string
}

/** A schedule without its message. */
export type ListedSchedule = Omit<Schedule, 'body' | 'headers'>

/** Bodies that are fired in one commit, in bytes. A single one has room in it. */
export const firingBytesMax = 1024 * 1024

/** A schedule that is due, and which of its owner's turns it has: 1 is the first. */
export interface DueTurn {
  name: string
  turn: number
  /** The size of its body. */
  bytes: number
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
  ownerId: string | null
  /** null: there is no such queue. */
  queueId: Digits | null
  maxDepth: number | null
  /** Of no meaning where there is no queue. */
  messageBytesMax: number
  defaults: EnqueueDefaults | null
}

export interface FiredSchedule {
  name: string
  nextAt: string | null
  outcome: LastRun['outcome']
  messageId: Digits | null
}

/** A schedule that stays when its key is revoked. */
export interface KeptSchedule {
  name: string
  queue: string
  paused: boolean
}

/** Who acts on a schedule. */
export interface ScheduleCaller {
  caller: Caller
  /** null: callers need no key. */
  key: ApiKey | null
  /** Throws the refusal when the caller may not do this with a schedule of this queue. */
  permit: (queue: string) => void
}

/** Schedules beside the one in question. */
export interface HeldSchedules {
  all: number
  /** Those of the same owner. */
  mine: number
  onQueue: number
}
export interface ScheduleBounds {
  schedulesMax: number
  schedulesPerQueueMax: number
}

/** What a change means for the bounds. */
interface Placing {
  queue: string
  isNew: boolean
  /** It was not on this queue before. */
  isNewOnQueue: boolean
  /** It was not of this owner before. */
  isNewForOwner: boolean
}

/** Refuses with tooManySchedules when a bound leaves no room. */
export function checkRoom(
  { schedulesMax, schedulesPerQueueMax }: ScheduleBounds,
  { all, mine, onQueue }: HeldSchedules,
  { queue, isNew, isNewOnQueue, isNewForOwner }: Placing,
  key: Pick<ApiKey, 'isAdmin'> | null
): void {
  const isAdmin = key?.isAdmin === true
  const code = 'tooManySchedules'
  const advice = 'Delete a schedule that nobody needs.'
  if (isNewOnQueue && !isAdmin && onQueue >= schedulesPerQueueMax) {
    throw new QueueError(
      code,
      `The queue ${queue} has ${schedulesPerQueueMax} schedules already, which is the most it may have; ` +
        `nothing was changed. ${advice}`
    )
  }
  if (!isNewForOwner) return
  checkOneMore(
    { max: schedulesMax, held: { all, mine }, isAdmin, isThere: !isNew },
    {
      code,
      total: `There are ${all} schedules already`,
      share: `This key owns ${mine} schedules. That is its share of the ${schedulesMax} there may be`,
      advice
    }
  )
}

/**
 * Names of schedules are one namespace. Where callers need keys, a key must not learn which names are
 * taken. It may give the names that belong to its queue, or that its rights cover. For all other
 * names it gets this refusal, taken or not.
 */
export function checkName(key: ApiKey | null, name: string, queue: string): void {
  if (key === null || name === queue || name.startsWith(`${queue}.`) || key.may('manage', name)) return
  throw new QueueError(
    'forbidden',
    `This key may not name a schedule ${name}; nothing was changed. Take a name that begins with ` +
      `${queue}. (the queue and a dot), or a key with the right manage:${name}.`
  )
}

/** Refuses a name that `checkName` allows, and that a schedule out of the key's sight has. */
export function nameTaken(name: string): QueueError {
  return new QueueError(
    'forbidden',
    `The name ${name} is taken by a schedule of a queue to which this key has no right; nothing was ` +
      'changed. Take another name.'
  )
}

/** A time as every answer writes it. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString()
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
