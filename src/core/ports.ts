/**
 * The store as the core needs it. The core knows these interfaces and no SQL.
 *
 * Glossary:
 * - A **queue** holds messages. A queue made anew under an old name has a new id.
 * - A **message** is `ready`, `delayed`, `leased`, `dead` or, where its queue keeps them, `acked`.
 * - A **lease** is a message held for a time. Its **fence** rises with each lease of that message.
 * - A **receipt** names queue, message and fence. It is good until its message is leased again.
 * - A **flush** is one commit for many callers.
 * - A message's **position** is its place among the ready ones. It is drawn anew each time the
 *   message becomes ready.
 *
 * Every verb refuses in the same way when PostgreSQL does not take it: `databaseUnavailable` when
 * nothing happened, `outcomeUnknown` when the answer of the commit was lost, `overloaded` when no
 * connection was free in time. Only what a verb refuses beside that is written at the verb.
 */
import type { ApiKeyGrant, ApiKeyInfo } from './apiKey.ts'
import type { State } from './counters.ts'
import type {
  Digits,
  Filter,
  LastFailure,
  LeasedBody,
  MessageDetail,
  MessageView,
  NewMessage,
  Selection
} from './message.ts'
import type { Queue, QueueReport } from './queue.ts'
import type { SettingsChange } from './settings.ts'
import type { Missed, LastRun, Schedule, ScheduleSettings } from './schedule.ts'

/**
 * The verbs, each a commit of its own. `first` has the connections that settling keeps for itself,
 * because acks make room under load. `last` comes after all other work (browsing, bulk actions) and
 * has at most half of the connections.
 */
export interface Store extends Place {
  readonly first: Place
  readonly last: Place
}

/** Connections on which verbs run. */
export interface Place extends Verbs {
  /**
   * Runs the work in one commit. Whatever it throws undoes all of it. After a deadlock the work
   * runs again.
   */
  transaction<T>(work: (verbs: Verbs) => Promise<T>): Promise<T>
  /** Makes the queue if there is none, then changes the settings given. True when it was made. */
  putQueue(name: string, change: SettingsChange): Promise<boolean>
}

export type Verbs = EnqueueVerbs &
  LeaseVerbs &
  SettleVerbs &
  QueueVerbs &
  BrowseVerbs &
  BulkVerbs &
  SeriesVerbs &
  ScheduleVerbs

/** One message to store. */
export interface EnqueueRow extends NewMessage {
  queueId: Digits
  priority: number
}

/** null where the queue is gone. `mismatch`: the idempotency key stands for other content. */
export type EnqueueAnswer = { id: Digits; duplicate: boolean; mismatch: boolean } | null

export interface EnqueueVerbs {
  /** Stores messages in the order given. No idempotency key of a queue may come twice. */
  enqueue(rows: EnqueueRow[]): Promise<EnqueueAnswer[]>
  /**
   * How many more messages the queue takes: Infinity without `maxDepth`, null when the queue is
   * gone.
   */
  roomIn(queueId: Digits): Promise<number | null>
}

/** One caller's wish for messages. */
export interface LeaseAsk {
  max: number
  /** null: as long as the queue says. */
  leaseSeconds: number | null
  worker: string
  /** With a key the lease can be given again when its answer was lost. */
  idempotencyKey: string | null
}

/** What a receipt proves, within its queue. */
export interface Held {
  id: Digits
  fence: Digits
}

/** A message that has just been leased. */
export interface LeasedRow extends LeasedBody {
  fence: Digits
  position: Digits
}

export interface LeaseFlush {
  /** In order: the first ask's messages first. */
  rows: LeasedRow[]
  /** More was ready, and would have passed the bound in bytes. */
  full: boolean
  /** The acks that removed their message, as `id.fence`. */
  acked: string[]
  /** Keys of asks that an earlier lease has used, where there was no message to lease. */
  usedKeys: string[]
  /** When it leased, by the database's clock. */
  atMs: number
}

export interface LeaseVerbs {
  /**
   * Acks what is held in `acks`, then leases the first ready messages of a queue, in one commit. It
   * leases at most as many as the asks add up to, and at most `bytesMax` of answer, but one at
   * least. No id may come twice in `acks`. An error that `isLeaseKeyTaken` knows means that a key was used
   * before; then nothing was leased or acked.
   */
  lease(queueId: Digits, asks: LeaseAsk[], bytesMax: number, acks: Held[]): Promise<LeaseFlush>
  isLeaseKeyTaken(error: unknown): boolean
  /** Those of the keys under which messages have been leased, and may still be held. */
  usedLeaseKeys(queueId: Digits, keys: string[]): Promise<Set<string>>
  /**
   * The messages that a lease with this key took and still holds. When there are none, the key is
   * free again.
   */
  leaseAgain(queueId: Digits, key: string): Promise<LeasedRow[]>
  /**
   * Looks for ready messages that leases have passed by, when such a look is due. True when there
   * are some. Never fails.
   */
  findMissed(queueId: Digits): Promise<boolean>
  /** After a lost commit: the next lease looks through the queue from its start. */
  forgetScan(queueId: Digits): void
}

export interface Failure extends Held {
  reason: string | null
  /** null: as the queue's retry curve says. */
  delaySeconds: number | null
  dead: boolean
}
export interface Extension extends Held {
  leaseSeconds: number
}

/** What a settling verb did to one message. */
export interface Released extends Held {
  position: Digits
}
export interface Failed extends Held {
  position: Digits
  /** When it is ready again. */
  at: string
  ready: boolean
  dead: boolean
}
export interface Extended extends Held {
  /** When the lease ends now. */
  at: string
}

/** Where a message stands whose receipt changed nothing. */
export interface Standing {
  fence: Digits
  dead: boolean
  acked: boolean
}

/** What a settling verb is given of each message, and what it answers of each that it changed. */
export interface SettleRows {
  ack: { held: Held; changed: Held }
  fail: { held: Failure; changed: Failed }
  extend: { held: Extension; changed: Extended }
  release: { held: Held; changed: Released }
}
export type SettleVerb = keyof SettleRows
export type HeldBy<V extends SettleVerb> = SettleRows[V]['held']
export type ChangedBy<V extends SettleVerb> = SettleRows[V]['changed']

/**
 * Each settling verb answers the messages that it changed. A message that is missing in the answer
 * was not held under that fence. No id may come twice.
 */
export type Settlers = {
  [V in SettleVerb]: (queueId: Digits, held: HeldBy<V>[]) => Promise<ChangedBy<V>[]>
}
export interface SettleVerbs extends Settlers {
  /**
   * Locks messages in the order in which every verb locks them. For a transaction that settles some
   * of them twice.
   */
  lockMessages(queueId: Digits, ids: Digits[]): Promise<void>
  /** A message that is missing in the answer is gone. */
  standings(queueId: Digits, ids: Digits[]): Promise<Map<Digits, Standing>>
}

/** The queues a caller may see: those of these names, and those whose names begin so. */
export interface NameScope {
  names: string[]
  prefixes: string[]
}

export interface QueueVerbs {
  findQueue(name: string): Promise<Queue | null>
  reportQueue(name: string): Promise<QueueReport | null>
  /** By name, from the one after `after` on. */
  listQueues(after: string, limit: number, scope: NameScope): Promise<QueueReport[]>
  /**
   * Takes the name away at once. Maintenance removes the messages later. Does nothing if there is
   * no such queue.
   */
  removeQueue(name: string): Promise<void>
}

/** What is known of why a message is where it is; times as RFC 3339. */
export interface Circumstances {
  state: State
  paused: boolean
  attempt: number
  maxAttempts: number
  visibleAt: string | null
  leasedUntil: string | null
  worker: string | null
  deadAt: string | null
  lastFailure: LastFailure | null
  ackedAt: string | null
  keepUntil: string | null
  /** When a lease of the queue was last asked for, as far as replicas have shared it. */
  askedAt: string | null
}

export interface BrowseVerbs {
  /**
   * A page of messages by id. `cursor` is null at the end. A page may be short, or empty, and still
   * have one.
   */
  browse(
    queueId: Digits,
    state: State | null,
    where: Filter | null,
    after: Digits,
    limit: number,
    bytesMax: number
  ): Promise<{ messages: MessageView[]; cursor: Digits | null }>
  /**
   * One message with its lease and its history, kept acked ones included. null when there is none.
   */
  findMessage(queueId: Digits, id: Digits): Promise<MessageDetail | null>
  /** For each message, in order: whether it is acked, dead or gone. */
  whichEnded(messages: { queueId: Digits; id: Digits }[]): Promise<boolean[]>
  /**
   * Where one message stands. For a ready one also how many ready ones come before it; `all` is
   * false when counting stopped at its bound. null when there is no such message.
   */
  circumstancesOf(
    queueId: Digits,
    id: Digits
  ): Promise<{ message: Circumstances; ahead: { count: number; all: boolean } | null } | null>
}

export type BulkAction = 'purge' | 'redrive' | 'retry'

/**
 * Bulk actions work in chunks, each a commit of its own, and report each to `onDone`. They end
 * early when the signal aborts.
 */
export interface BulkVerbs {
  /** Removes one message that nobody holds. */
  cancel(queueId: Digits, id: Digits): Promise<'cancelled' | 'leased' | 'unknown'>
  /**
   * Removes messages of one state, or of all states. Of those named by id it leaves the leased
   * ones.
   */
  purge(
    queueId: Digits,
    state: State | null,
    selection: Selection,
    signal: AbortSignal,
    onDone: (count: number) => void
  ): Promise<void>
  /** Makes dead messages ready, with attempts from zero. `position` is the lowest of the chunk. */
  redrive(
    queueId: Digits,
    selection: Selection,
    signal: AbortSignal,
    onDone: (count: number, position: number) => void
  ): Promise<void>
  /** Makes delayed messages ready now. `position` is the lowest of the chunk. */
  retry(
    queueId: Digits,
    selection: Selection,
    signal: AbortSignal,
    onDone: (count: number, position: number) => void
  ): Promise<void>
  /**
   * How many messages the action would change now. `more` when counting stopped at its time limit.
   */
  countMatches(
    queueId: Digits,
    action: BulkAction,
    state: State | null,
    selection: Selection,
    signal: AbortSignal
  ): Promise<{ matched: number; more: boolean }>
}

/** The counts and totals at the end of a step; what is not written has not changed. */
export interface Sample {
  at: number
  ready: number
  delayed: number
  leased: number
  dead: number
  enqueued: number
  acked: number
  failed: number
}

/**
 * Messages by how long they waited and were worked on in a step, in the buckets of `ReplicaStats`.
 */
export interface StepTimes {
  at: number
  waits: number[]
  works: number[]
}

export interface SeriesVerbs {
  /** What is kept of a queue's last hour. `last` is the end of the last step written. */
  readSeries(queueId: Digits): Promise<{ last: number; samples: Sample[]; times: StepTimes[] }>
  /**
   * The samples of these queues, with their totals alone. Queues that are not there are left out.
   */
  readSparks(
    names: string[]
  ): Promise<{ name: string; last: number; samples: Pick<Sample, 'at' | 'enqueued' | 'acked'>[] }[]>
}

/** A schedule whose time has come, and what is known of its queue. */
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

export interface ScheduleVerbs {
  findSchedule(name: string): Promise<Schedule | null>
  /** By name, from the one after `after` on, without their messages. */
  listSchedules(after: string, limit: number, scope: NameScope): Promise<Omit<Schedule, 'body' | 'headers'>[]>
  /**
   * Keeps the schedule as it is until the end of the transaction, and says what time it is there.
   */
  lockSchedule(name: string): Promise<{ now: string; schedule: Schedule | null }>
  /** null when another session has just made one of this name. */
  createSchedule(name: string, settings: ScheduleSettings, nextAt: string | null): Promise<Schedule | null>
  changeSchedule(name: string, settings: ScheduleSettings, nextAt: string | null): Promise<Schedule>
  removeSchedule(name: string): Promise<void>
  /** Takes some of the due schedules until the end of the transaction, the earliest first. */
  takeDueSchedules(): Promise<DueSchedule[]>
  /** Writes down what became of schedules that were taken, and when they are due next. */
  moveSchedulesOn(fired: FiredSchedule[]): Promise<void>
  /** Queues that due schedules name and that are not there. */
  missingQueues(): Promise<string[]>
  /**
   * How long until the next schedule is due, on the database's clock. Infinity when there is none.
   */
  msUntilSchedule(): Promise<number>
}

/** The API keys, for the front and the command line that manage them. */
export interface ApiKeys {
  /** Makes a key. `secret` is told here and never again. Refuses with tooManyKeys. */
  create(grant: ApiKeyGrant): Promise<ApiKeyInfo & { secret: string }>
  list(): Promise<ApiKeyInfo[]>
  /** False when there is no such key. */
  revoke(id: string): Promise<boolean>
}
