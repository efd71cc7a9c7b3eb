/**
 * The store as the core needs it. The core knows these interfaces and no SQL.
 *
 * Glossary:
 * - A **queue** holds messages. It has a name and an id. A queue made again under an old name has a
 *   new id.
 * - A **message** is `ready`, `delayed`, `leased` or `dead`. It can also be `acked`, if its queue
 *   keeps acked messages.
 * - A **lease** holds a message for a time. Each lease of a message has a higher **fence** than the
 *   one before.
 * - A **receipt** names queue, message and fence. It is good until its message is leased again.
 * - A **flush** is one commit for many callers.
 * - A **position** is the place of a message among the ready ones. The message gets a new one each
 *   time it becomes ready.
 *
 * When PostgreSQL fails, every verb refuses in the same way: with `databaseUnavailable` when
 * nothing happened, with `outcomeUnknown` when the answer of the commit was lost, with `overloaded`
 * when no connection was free in time. A verb's own comment names only what it refuses beside that.
 */
import type {
  EnqueueAnswer,
  EnqueueRow,
  Follower,
  Freed,
  Head,
  Held,
  LeaseAsk,
  LeasedRow,
  LeaseFlush,
  LeaseMode
} from './rows.ts'
import type { ApiKeyChange, ApiKeyInfo, NewApiKey } from './apiKey.ts'
import type { State } from './counters.ts'
import type { GroupVerbs } from './groupPorts.ts'
import type {
  Ahead,
  Circumstances,
  Digits,
  FailingState,
  Filter,
  MessageDetail,
  MessagePage,
  Selection
} from './message.ts'
import type { QueueChange } from './queue.ts'
import type { PushVerbs } from './pushPorts.ts'
import type { NewQueueTerms, PutOutcome, QueueVerbs } from './queuePorts.ts'
import type { OnReadyChunk, RedriveVerbs } from './redrive.ts'
import type { KeptSchedule } from './schedule.ts'
import type { ScheduleVerbs } from './schedulePorts.ts'
import type { TopicVerbs } from './topicPorts.ts'
import type { Sample, SparkSample, StepTimes } from './series.ts'

export type * from './rows.ts'

/**
 * The verbs, each a commit of its own. `first` can also use the connections kept for settling,
 * because acks make room under load. `last` is for browsing and bulk actions. It comes after all
 * other work, and has at most half of the connections.
 */
export interface Store extends Place {
  readonly first: Place
  readonly last: Place
  /** True when `lease` failed because a key was used before. Nothing was leased or acked then. */
  isLeaseKeyTaken(error: unknown): boolean
  /** True when other sessions kept being faster. Nothing was done then. */
  isOutrun(error: unknown): boolean
  /** After a lost commit: the next lease scans the queue from its start. */
  forgetScan(queueId: Digits): void
}

/** Connections on which verbs run. */
export interface Place extends Verbs {
  /** Runs the work in one commit. An error undoes all of it. A deadlock runs it again. */
  transaction<T>(work: (verbs: Verbs) => Promise<T>): Promise<T>
  /**
   * Makes the queue if there is none, then changes the settings given. A new queue counts for its
   * maker, unless `checkRoom` refuses it. Without a maker it counts for nobody, and neither does one
   * that was there. With `only: 'new'` a queue that was there stays as it is.
   */
  putQueue(name: string, change: QueueChange, as: NewQueueTerms): Promise<PutOutcome>
}

export type Verbs = EnqueueVerbs &
  LeaseVerbs &
  SettleVerbs &
  QueueVerbs &
  BrowseVerbs &
  BulkVerbs &
  RedriveVerbs &
  FailureVerbs &
  ConsumerVerbs &
  GroupVerbs &
  SeriesVerbs &
  ScheduleVerbs &
  TopicVerbs &
  PushVerbs

interface EnqueueVerbs {
  /** Stores messages in the order given. No key of a queue may come twice, of either kind. */
  enqueue(rows: EnqueueRow[]): Promise<EnqueueAnswer[]>
  /**
   * Waits until nobody else enqueues unique keys to these queues, and keeps it so until the
   * transaction ends.
   */
  takeUniqueTurn(queueIds: Digits[]): Promise<void>
  /** Those of the unique keys that messages of the queue hold now. */
  heldUniqueKeys(queueId: Digits, keys: string[]): Promise<Set<string>>
  /** How many more messages the queue takes. Infinity without `maxDepth`. null: it is gone. */
  roomIn(queueId: Digits): Promise<number | null>
  /** The same of several queues. One that is missing in the answer has no bound, or is gone. */
  roomsIn(queueIds: Digits[]): Promise<Map<Digits, number>>
}

/** What one commit leases and acks. */
export interface LeaseWork {
  /**
   * At most as many messages are leased as these add up to. The first ask's messages come first, or as
   * `mode` says.
   */
  asks: LeaseAsk[]
  /** Before the answer has more, it stops, but it leases at least one message. */
  bytesMax: number
  /** No id may come twice. */
  acks?: Held[]
  /** Left out: a queue without an order and without limits. */
  mode?: LeaseMode
}

interface LeaseVerbs {
  /**
   * Acks, and leases the first ready messages of a queue in the same commit. It throws an error that
   * `isLeaseKeyTaken` of the store knows when a key was used before.
   */
  lease(queueId: Digits, work: LeaseWork): Promise<LeaseFlush>
  /** Locks the limits of a queue until the transaction ends. Lines and messages are locked after them. */
  lockLimits(queueId: Digits): Promise<void>
  /** Locks the lines of messages, until the transaction ends. */
  lockLinesOf(queueId: Digits, ids: Digits[]): Promise<void>
  /**
   * Leases what comes next in the lines of these heads: for the ask at `wanted[i]` at most that many
   * messages. The lines must be locked.
   */
  leaseFollowers(
    queueId: Digits,
    heads: Head[],
    wanted: number[],
    bytesMax: number,
    limited: boolean
  ): Promise<Follower[]>
  /** Leases more from the groups of messages that have just been leased, which take turns. */
  leaseTurns(
    queueId: Digits,
    heads: Held[],
    asks: LeaseAsk[],
    bytesMax: number,
    limited: boolean
  ): Promise<LeaseFlush>
  /** Which of these keys were used. Their messages may still be held. */
  usedLeaseKeys(queueId: Digits, keys: string[]): Promise<Set<string>>
  /** The messages that a lease with this key still holds. Without any, the key is free again. */
  leaseAgain(queueId: Digits, key: string): Promise<LeasedRow[]>
  /** Adds messages to those of a key. They were leased without it, for the same call. */
  addToLeaseKey(queueId: Digits, key: string, held: Held[]): Promise<void>
  /** Searches, when that is due, for ready messages that leases have passed by. Never fails. */
  findMissed(queueId: Digits): Promise<boolean>
}

/** `result`: what came of the work, as JSON text. It is kept where the queue keeps acked messages. */
export type Completed = Held & { result?: string | null }
export interface Failure extends Held {
  reason: string | null
  /** null: as the queue's retry curve says. */
  delaySeconds: number | null
  dead: boolean
}
export interface Extension extends Held {
  leaseSeconds: number
}

/** What a settling verb did to one message. Without a position it waits for others of its line. */
export interface Released extends Held {
  position: Digits | null
}
export interface Failed extends Held {
  position: Digits | null
  /** When it is ready again. */
  at: string
  ready: boolean
  dead: boolean
  /** The dead-letter queue to which it went. `position` is one there. */
  movedTo: string | null
  movedToId: number | null
}
export interface Extended extends Held {
  /** When the lease ends now. */
  at: string
}

/** The state of a message whose receipt changed nothing. */
export interface Standing {
  fence: Digits
  dead: boolean
  acked: boolean
}

/** What a settling verb is given of each message, and what it answers of each that it changed. */
interface SettleRows {
  ack: { held: Completed; changed: Held }
  fail: { held: Failure; changed: Failed }
  extend: { held: Extension; changed: Extended }
  release: { held: Held; changed: Released }
}
export type SettleVerb = keyof SettleRows
export type HeldBy<V extends SettleVerb> = SettleRows[V]['held']
export type ChangedBy<V extends SettleVerb> = SettleRows[V]['changed']

/** What a settling verb changed. A message that is missing in the rows was not held under that fence. */
export interface Changed<Row> {
  rows: Row[]
  freed: Freed | null
}

/** A message to store when the message that it follows is acked. It has no key of either kind. */
export interface NextRow {
  follows: Digits
  row: EnqueueRow
}

/** `acked` are those that were acked, as `id.fence`. `stored` has null for what follows others. */
export interface AckedWithNext {
  acked: string[]
  freed: Freed | null
  stored: EnqueueAnswer[]
}

/** No id may come twice. */
export type Settlers = {
  [V in SettleVerb]: (queueId: Digits, held: HeldBy<V>[]) => Promise<Changed<ChangedBy<V>>>
}
interface SettleVerbs extends Settlers {
  /**
   * Acks, and stores what follows from each message that it acked. null: a queue of what follows is
   * gone or has lines, and nothing was done.
   */
  ackWithNext(queueId: Digits, held: Completed[], next: NextRow[]): Promise<AckedWithNext | null>
  /** Locks messages in the order of all verbs. */
  lockMessages(queueId: Digits, ids: Digits[]): Promise<void>
  /** A message that is missing in the answer is gone. */
  standings(queueId: Digits, ids: Digits[]): Promise<Map<Digits, Standing>>
}

/** Which page of a queue's messages: `limit` of those that match, by id from the one after `after` on. */
export interface PageAsked {
  /** null: any. */
  state: State | null
  where: Filter | null
  after: Digits
  limit: number
}

interface BrowseVerbs {
  /** A page of messages by id. */
  browse(queueId: Digits, asked: PageAsked, bytesMax: number): Promise<MessagePage>
  /** One message, or one kept acked message. null: there is none. */
  findMessage(queueId: Digits, id: Digits): Promise<MessageDetail | null>
  /** For each message, in order: whether it is acked, dead or gone. */
  whichEnded(messages: { queueId: Digits; id: Digits }[]): Promise<boolean[]>
  /** Why one message is where it is. Only a ready one has an `ahead`. null: there is none. */
  circumstancesOf(
    queueId: Digits,
    id: Digits
  ): Promise<{ message: Circumstances; ahead: Ahead | null } | null>
}

export type BulkAction = 'purge' | 'redrive' | 'retry'

/** What is done, and to which messages. */
export interface BulkWork<Action extends BulkAction = BulkAction> {
  action: Action
  /** Only a purge looks at it. null: any. */
  state: State | null
  selection: Selection
}

/** With `more`, counting stopped at its time limit, and the real number is at least `matched`. */
export interface Matches {
  matched: number
  more: boolean
}

export interface Cancelled {
  outcome: 'cancelled' | 'leased' | 'unknown'
  freed: Freed | null
}

/**
 * Bulk actions work in chunks, each a commit of its own, and report each to `onDone`. When the
 * signal aborts, they end after the current chunk.
 */
interface BulkVerbs {
  /** Removes one message that nobody holds. */
  cancel(queueId: Digits, id: Digits): Promise<Cancelled>
  /** Removes messages of one state, or of all. Of those named by id it leaves the leased ones. */
  purge(
    queueId: Digits,
    state: State | null,
    selection: Selection,
    signal: AbortSignal,
    onDone: (count: number, freed: Freed | null) => void
  ): Promise<void>
  /** Makes delayed messages ready now. */
  retry(queueId: Digits, selection: Selection, signal: AbortSignal, onDone: OnReadyChunk): Promise<void>
  /** How many messages the action would change now. */
  countMatches(queueId: Digits, work: BulkWork, signal: AbortSignal): Promise<Matches>
}

/** A message whose last attempt failed. */
export interface FailedMessage {
  id: Digits
  attempt: number
  /** When the attempt ended. */
  at: string
  /** Its beginning. null: there was none. */
  reason: string | null
}

interface FailureVerbs {
  /** The failed ones of the next `limit` messages by id, after `after`. `cursor` is null at the end. */
  findFailed(
    queueId: Digits,
    state: FailingState,
    after: Digits,
    limit: number
  ): Promise<{ failed: FailedMessage[]; examined: number; cursor: Digits | null }>
}

/** A worker that was seen lately. Times that are not known are null. */
export interface Consumer {
  worker: string
  /** How many messages it holds now. */
  leases: number
  /** Since when it holds the oldest of them, and when the first of these leases ends. */
  oldestLeaseAt: string | null
  nextEndAt: string | null
  lastLeasedAt: string | null
  /** Of kept acked messages alone. */
  lastAckedAt: string | null
  lastFailedAt: string | null
}

export interface ConsumersFound {
  /** Those that hold the most messages come first. */
  consumers: Consumer[]
  /** There may be more, or more leases than counted. */
  more: boolean
  /** Whether the queue keeps acked messages. */
  keepsAcked: boolean
  /** When a lease was last asked for, as the replicas have written it. */
  askedAt: string | null
}

interface ConsumerVerbs {
  /** The workers that recent leases and attempts of the queue name. null: the queue is gone. */
  findConsumers(queueId: Digits): Promise<ConsumersFound | null>
}

interface SeriesVerbs {
  /** The last hour of a queue. `last` is the end of the last step written. */
  readSeries(queueId: Digits): Promise<{ last: number; samples: Sample[]; times: StepTimes[] }>
  /** The totals of these queues in the last hour. Queues that are not there are left out. */
  readSparks(names: string[]): Promise<{ name: string; last: number; samples: SparkSample[] }[]>
}

export interface Revocation {
  /** False when there is no such key, or no longer. */
  revoked: boolean
  /** Those that the key owns. They stay. */
  schedules: KeptSchedule[]
}

/** The API keys, for the front and the command line. */
export interface ApiKeys {
  /**
   * Makes a key. `secret` is answered here and never again. Refuses with tooManyKeys, and with
   * adminKeyFirst where it would be the first key and has not the right admin. `withoutKey` says
   * that keys are asked for, and that the caller was let in only because there was none: once there
   * is a key, it refuses such a caller with unauthorized.
   */
  create(wanted: NewApiKey, withoutKey?: boolean): Promise<ApiKeyInfo & { secret: string }>
  list(): Promise<ApiKeyInfo[]>
  /**
   * Changes what a key may do, and answers it. null: there is no such key. Refuses with adminKeyFirst to
   * take the right admin from the only key that has it.
   */
  change(id: string, change: ApiKeyChange): Promise<ApiKeyInfo | null>
  /** Ends a key, and pauses its schedules if asked to. */
  revoke(id: string, pauseSchedules: boolean): Promise<Revocation>
}
