/** A queue: its name, its settings, and its report. */
import type { StateCounts } from './counters.ts'
import { QueueError } from './errors.ts'
import { nameCharsMax } from './limits.ts'
import type { Digits } from './message.ts'
import type { ActiveSettings, Settings, SettingsChange } from './settings.ts'

export interface Queue {
  id: Digits
  name: string
  settings: ActiveSettings
  /** The short ones. A report has all. */
  front: FrontNotes
  /** The cell to which it is moving: new messages belong there. null: it stays. */
  movingTo: string | null
}

/** What a front keeps of a queue, and the core does not act on. */
export type FrontNotes = Record<string, string>

/** Entries to set by name, and with null to remove. Others stay. */
export type EntryChanges = Record<string, string | null>

/** Settings to change, and single notes and tags. `tags` among the settings replaces all tags. */
export type QueueChange = SettingsChange & { front?: EntryChanges; tagChanges?: EntryChanges }

/** The tags and notes of a queue. */
export interface Entries {
  tags: Record<string, string>
  front: FrontNotes
}

/**
 * How entries change, by what they are. Nobody else changes them until the commit. What it throws
 * refuses the whole change.
 */
export type Revise = (now: Entries) => Pick<QueueChange, 'front' | 'tagChanges'>

/** What the settings of a queue say of messages that do not say it themselves. */
export type EnqueueDefaults = Pick<ActiveSettings, 'delaySeconds' | 'ttlSeconds'>

/** null where the settings say nothing of messages, as they do at first. */
export function enqueueDefaultsOf({ delaySeconds, ttlSeconds }: EnqueueDefaults): EnqueueDefaults | null {
  return delaySeconds === 0 && ttlSeconds === null ? null : { delaySeconds, ttlSeconds }
}

export interface QueueReport {
  queue: string
  settings: Settings
  front: FrontNotes
  counts: StateCounts
  reliability: number | null
  oldestReadySeconds: number | null
  /**
   * How many more messages its limits allow to lease now. null: it has no such limit. `nextTokenAt` is
   * null while there is a token.
   */
  limits: { places: number | null; tokens: number | null; nextTokenAt: string | null }
  createdAt: string
  updatedAt: string
}

/** What queues, topics and schedules may be called. */
export const namePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,${nameCharsMax - 1}}$`
export const nameTest = new RegExp(namePattern)

/** The queues that a caller may see: by name, and by the beginning of the name. */
export interface NameScope {
  names: string[]
  prefixes: string[]
}

/** What a page of a list by name shows: the first `limit` names of the scope after `after`. */
export interface NamePage {
  after: string
  limit: number
  scope: NameScope
}

export const everyQueue: NameScope = { names: [], prefixes: [''] }

/**
 * The share of ended messages whose work was done. A dead message counts as ended until it is
 * redriven, in a dead-letter queue too: `buried` went there, and `returned` came back. An expired
 * message counts for good. null before the first end.
 */
export function reliabilityOf({
  acked,
  dead,
  expired,
  buried,
  returned
}: Record<'acked' | 'dead' | 'expired' | 'buried' | 'returned', number>): number | null {
  const ended = acked + dead + Math.max(0, buried - returned) + expired
  return ended === 0 ? null : acked / ended
}

/** The words are those of `keep_here` in migrations/api.sql. */
export function wrongCell(queue: string, cell: string): QueueError {
  return new QueueError(
    'wrongCell',
    `The queue ${queue} belongs to the cell ${cell}, and this is another one; nothing was changed. ` +
      'Send the request to that cell, or through the router of all cells.'
  )
}

/** Another caller may delete the queue before each attempt. A busy caller does so in half of them. */
export const queueAttemptsMax = 100

/** `what` is the queue, as a sentence begins with it. `undone` says what was not done. */
export function deletedEachTime(what: string, attempts: number, undone: string): QueueError {
  return new QueueError(
    'queueNotFound',
    `${what} was deleted during each of ${attempts} attempts; ${undone}. Send the request again.`
  )
}

/** A key without a right to the queue gets the same code, from the guard. */
export function queueNotFound(name: string): QueueError {
  return new QueueError(
    'queueNotFound',
    `There is no queue ${name}. PUT /queues/${name} makes it. An enqueue does too, unless the service ` +
      'runs with HOLDFAST_CREATE_QUEUES=off.'
  )
}
