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
 * - A **position** orders ready messages. A message gets a new one each time it becomes ready.
 * - A **place** orders the messages of a line, whatever their state.
 *
 * When PostgreSQL fails, every verb refuses in the same way.
 * - `databaseUnavailable`: nothing happened.
 * - `outcomeUnknown`: the answer of the commit was lost.
 * - `overloaded`: no connection was free in time.
 *
 * A verb's own comment names only what it refuses beside that.
 */
import type { BeginStandstill } from './engine/standstills.ts'
import type { BrowseVerbs, ConsumerVerbs, FailureVerbs, SeriesVerbs } from './browsePorts.ts'
import type { BulkVerbs } from './bulkPorts.ts'
import type { EnqueueVerbs } from './enqueuePorts.ts'
import type { GroupVerbs } from './groupPorts.ts'
import type { LeaseVerbs } from './leasePorts.ts'
import type { Digits } from './message.ts'
import type { PushVerbs } from './pushPorts.ts'
import type { QueueChange } from './queue.ts'
import type { NewQueueTerms, PutOutcome, QueueVerbs } from './queuePorts.ts'
import type { RedriveVerbs } from './redrivePorts.ts'
import type { ScheduleVerbs } from './schedulePorts.ts'
import type { SettleVerbs } from './settlePorts.ts'
import type { TopicVerbs } from './topicPorts.ts'

export type * from './apiKeyPorts.ts'
export type * from './browsePorts.ts'
export type * from './bulkPorts.ts'
export type * from './leasePorts.ts'
export type * from './rows.ts'
export type * from './settlePorts.ts'

/**
 * The verbs, each a commit of its own. `first` can also use the connections kept for settling,
 * because acks make room under load. `last` is for browsing and bulk actions. It comes after all
 * other work, and has at most half of the connections.
 */
export interface Store extends RankedVerbs {
  readonly first: RankedVerbs
  readonly last: RankedVerbs
  /** True when `lease` failed because a key was used before. Nothing was leased or acked then. */
  isLeaseKeyTaken(error: unknown): boolean
  /** True when other sessions kept being faster. Nothing was done then. */
  isOutrun(error: unknown): boolean
  /** After a lost commit: the next lease scans the queue from its start. */
  forgetScan(queueId: Digits): void
}

/** The verbs at one rank: which connections they may use when all are busy. */
export interface RankedVerbs extends Verbs {
  /** Runs the work in one commit. An error undoes all of it. A deadlock runs it again. */
  transaction<T>(work: (verbs: Verbs) => Promise<T>): Promise<T>
  /**
   * Makes the queue if there is none, then changes the settings given. A new queue counts for its
   * maker, unless `checkRoom` refuses it. Without a maker it counts for nobody, and neither does one
   * that was there. With `only: 'new'` a queue that was there stays as it is.
   */
  putQueue(name: string, change: QueueChange, as: NewQueueTerms): Promise<PutOutcome>
  /**
   * Removes a queue that holds nothing, and answers whether it is gone. An enqueue that is under way
   * comes before that, or finds no queue. Throws messagesBusy while an open transaction has written
   * messages of any queue, and what `begin` throws.
   */
  removeEmptyQueue(name: string, begin: BeginStandstill): Promise<boolean>
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
