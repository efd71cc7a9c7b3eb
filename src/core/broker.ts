/**
 * The verbs of the queue. Each is one line here; its work is in `verbs/`. Every verb may refuse with
 * shareUsedUp and overloaded, and as core/ports.ts says of the store. Its comment names what else.
 */
import { QueueError } from './errors.ts'
import type { Caller } from './caller.ts'
import type { Completion } from './completion.ts'
import type { Bounds } from './engine/batcherOptions.ts'
import { batchBounds, type Parts } from './engine/parts.ts'
import { PushStates } from './engine/pushStates.ts'
import { QueueCache } from './engine/queueCache.ts'
import { ReplicaStats } from './engine/replicaStats.ts'
import type { Activity } from './engine/activity.ts'
import type { Elsewhere } from './engine/elsewhere.ts'
import { Standstills } from './engine/standstills.ts'
import { Flights } from './engine/flights.ts'
import { Rests } from './engine/rests.ts'
import type { Signals } from './engine/signals.ts'
import { Turns } from './engine/turns.ts'
import type { Wakeups } from './engine/wakeups.ts'
import type { Digits, Enqueued, FailingState, MessageDetail, MessagePage, NewMessage } from './message.ts'
import type { BulkWork, Matches, PageAsked, SettleVerb, Store } from './ports.ts'
import type { NamePage, Queue, QueueChange, QueueReport } from './queue.ts'
import type { RedriveScope, RedriveTask, RedriveWanted } from './redrive.ts'
import type { Series, Spark } from './series.ts'
import type { Publication, PublishedCopy } from './topic.ts'
import { Browsing } from './verbs/browse.ts'
import { Completing } from './verbs/complete.ts'
import { Bulk, type PlainBulkWork } from './verbs/bulk.ts'
import { Groups } from './verbs/groups.ts'
import { Consuming } from './verbs/consumers.ts'
import { Enqueueing, type EnqueueingOptions } from './verbs/enqueue.ts'
import { Explaining, type Explanation } from './verbs/explain.ts'
import { FailureGroups, type Failures } from './verbs/failures.ts'
import { Leasing, type Leased, type LeaseRequest } from './verbs/lease.ts'
import { LeaseFlushes } from './verbs/leaseFlush.ts'
import { Publishing } from './verbs/publish.ts'
import { Pushes } from './verbs/pushes.ts'
import { Queues, type PutOptions } from './verbs/queues.ts'
import { Redriving } from './verbs/redrives.ts'
import { Settling, type Outcome, type Settlement } from './verbs/settle.ts'
import { Topics } from './verbs/topics.ts'
import { Watching, type Wait } from './verbs/watch.ts'

export interface BrokerOptions extends EnqueueingOptions, Pick<Parts, 'shares' | 'siblings'> {
  isPoison: Bounds['isPoison']
  /** The secrets of the service, from which those of pushes are made. */
  signingSecrets?: Buffer[]
  /** Who has called lately. */
  activity: Activity
  /** Where else callers let everybody wait. */
  elsewhere: Elsewhere
  /** Connections to the database: for flushes, and for work that is let in last. */
  flushConnections: number
  lastConnections: number
  /** Hears of errors that no caller is told of. */
  onError: (error: unknown) => void
}

export class Broker {
  /** Whether messages name the span that sends them as their trace. */
  readonly makesSpans: boolean = false
  readonly replicaStats = new ReplicaStats()
  readonly #turns: Turns
  readonly #enqueueing: Enqueueing
  readonly #settling: Settling
  readonly #leaseFlushes: LeaseFlushes
  readonly #leasing: Leasing
  readonly #completing: Completing
  readonly #queues: Queues
  readonly #bulk: Bulk
  readonly #redriving: Redriving
  readonly #watching: Watching
  readonly #browsing: Browsing
  readonly #explaining: Explaining
  readonly #failureGroups: FailureGroups
  readonly #publishing: Publishing
  /** Endpoints to which queues are delivered, and what this replica knows of them. */
  readonly pushes: Pushes
  /** Subscriptions of queues to topics. */
  readonly topics: Topics
  /** The workers seen lately on a queue, and its groups. */
  readonly consumers: Consuming
  readonly groups: Groups

  constructor(store: Store, wakeups: Wakeups, signals: Signals, options: BrokerOptions) {
    const { activity, elsewhere, shares, siblings, flushConnections, lastConnections, isPoison } = options
    const turns = (this.#turns = new Turns(lastConnections, shares.turns))
    const rests = new Rests(activity, elsewhere)
    const parts: Parts = {
      store,
      queueCache: new QueueCache(store, turns, siblings),
      wakeups,
      signals,
      siblings,
      replicaStats: this.replicaStats,
      pushStates: new PushStates(siblings),
      bounds: { ...batchBounds, flights: new Flights(flushConnections), activity, rests, isPoison },
      shares,
      swallow: error => {
        if (!(error instanceof QueueError)) options.onError(error)
      },
      turns,
      // One connection stays free for short work.
      searchTurns: new Turns(Math.max(1, lastConnections - 1), shares.searches, { rests })
    }
    this.#enqueueing = new Enqueueing(parts, options)
    this.#settling = new Settling(parts, (caller, queue, acks) => this.#leaseFlushes.ack(caller, queue, acks))
    this.#leaseFlushes = new LeaseFlushes(parts, this.#settling)
    this.#leasing = new Leasing(parts, this.#leaseFlushes, this.#settling)
    this.#completing = new Completing(parts, this.#enqueueing, this.#settling, this.#leasing)
    this.#queues = new Queues(parts, options.autoQueuesMax, new Standstills(elsewhere))
    this.#bulk = new Bulk(parts)
    this.#redriving = new Redriving(parts)
    this.#watching = new Watching(parts)
    this.#browsing = new Browsing(parts, this.#watching)
    this.#explaining = new Explaining(parts)
    this.#failureGroups = new FailureGroups(parts)
    this.consumers = new Consuming(parts)
    this.groups = new Groups(parts)
    this.#publishing = new Publishing(parts, this.#enqueueing)
    this.topics = new Topics(parts, this.#publishing)
    this.pushes = new Pushes(parts, options.signingSecrets ?? [])
  }

  /** The refusal of an enqueue now; null where there is room. Asked before a body is read. */
  enqueueRefusal(caller: Caller): QueueError | null {
    return this.#enqueueing.refusal(caller)
  }

  /**
   * Stores messages, of a list all or none, and answers after the commit. With `mayMake` it may make
   * the queue. Refuses with queueNotFound, tooManyQueues, queueFull, idempotencyMismatch, uniqueGroup,
   * bodyTooLarge, wrongCell, and with invalidRequest what the settings of the queue do not take.
   */
  enqueue(
    caller: Caller,
    name: string,
    messages: NewMessage[],
    list: boolean,
    mayMake = true
  ): Promise<Enqueued[]> {
    return this.#enqueueing.enqueue(caller, name, messages, list, mayMake)
  }

  /**
   * Stores a copy of each message in every queue whose subscription matches, all or none, and
   * answers the copies after the commit: none where nothing matches. Refuses as an enqueue to these
   * queues does, and with requestTooLarge when the copies are too many.
   */
  publish(caller: Caller, topic: string, messages: Publication[], list: boolean): Promise<PublishedCopy[]> {
    return this.#publishing.publish(caller, topic, messages, list)
  }

  /**
   * Makes the queue if there is none, as an enqueue of the owner does. It does not wait for what the
   * owner itself is making, because the schedules of others wait for it. Refuses with tooManyQueues.
   */
  makeQueueFor(owner: Caller, name: string): Promise<void> {
    return this.#enqueueing.makeQueueFor(owner, name)
  }

  /**
   * Acks receipts and takes up to `max` messages. Waits up to `waitSeconds` for the first one, or as
   * long as the queue says. The acks never wait: they are committed with the first attempt to lease.
   * Only a call that waits asks for a signal. When that aborts, it stops waiting, and gives back what
   * it has just leased. Refuses with invalidReceipt, queueNotFound, tooManyWaiting.
   */
  lease(
    caller: Caller,
    name: string,
    request: LeaseRequest,
    receipts: string[],
    signalOf: () => AbortSignal
  ): Promise<Leased> {
    return this.#leasing.lease(caller, name, request, receipts, signalOf)
  }

  /**
   * Settles receipts, and answers an outcome for each, in their order, after the commit:
   * - `ack` ends messages whose work is done.
   * - `fail` ends attempts that went wrong. A message is retried after a delay, or dead after its
   *   last attempt.
   * - `extend` moves the end of leases, counted from now.
   * - `release` gives messages back. The attempt does not count.
   *
   * A receipt whose message was leased again changes nothing. Refuses with invalidReceipt,
   * queueNotFound.
   */
  settle(
    caller: Caller,
    name: string,
    verb: SettleVerb,
    settlements: Settlement[],
    pointer: (index: number) => string
  ): Promise<Outcome[]> {
    return this.#settling.settle(caller, name, verb, settlements, pointer)
  }

  /**
   * Acks receipts, of a list all or none, with their results, and enqueues what follows from those
   * whose messages it removes, in one commit. Answers an outcome for each, as `settle` does.
   * Refuses with invalidReceipt, queueNotFound, and as an enqueue of what follows does.
   */
  complete(caller: Caller, name: string, completions: Completion[]): Promise<Outcome[]> {
    return this.#completing.complete(caller, name, completions)
  }

  /** Completes, and then leases. Refuses as `complete` and `lease` do. */
  completeAndLease(
    caller: Caller,
    name: string,
    request: LeaseRequest,
    completions: Completion[],
    signalOf: () => AbortSignal
  ): Promise<Leased> {
    return this.#completing.completeAndLease(caller, name, request, completions, signalOf)
  }

  /**
   * Makes a queue, or changes the settings given. `created` is true when it was made. Refuses with
   * tooManyQueues, queueNotEmpty, what `revise` throws, and with invalidRequest settings that do not
   * go together. Refuses with queueNotFound when others delete it again each time.
   */
  putQueue(
    caller: Caller,
    name: string,
    change: QueueChange,
    options: PutOptions = {}
  ): Promise<{ created: boolean; report: QueueReport }> {
    return this.#queues.put(caller, name, change, options)
  }

  /** A queue as it was at most a second ago. Refuses with queueNotFound. */
  findQueue(caller: Caller, name: string): Promise<Queue> {
    return this.#queues.find(caller, name)
  }

  /** The settings of a queue and its counts. Refuses with queueNotFound. */
  reportQueue(caller: Caller, name: string): Promise<QueueReport> {
    return this.#queues.report(caller, name)
  }

  /**
   * Reports of queues by name: those of the scope, which holds the queues that the caller may see.
   * With `deadLetterQueue`, only those that have this one. `next` is null on the last page.
   */
  listQueues(
    caller: Caller,
    page: NamePage,
    deadLetterQueue: string | null = null
  ): Promise<{ queues: QueueReport[]; next: string | null }> {
    return this.#queues.list(caller, page, deadLetterQueue)
  }

  /** The same queues by their names alone, which takes a small part of the time. */
  listQueueNames(
    caller: Caller,
    page: NamePage,
    deadLetterQueue: string | null = null
  ): Promise<{ names: string[]; next: string | null }> {
    return this.#queues.listNames(caller, page, deadLetterQueue)
  }

  /**
   * Removes a queue and all in it. Nothing happens if there is no such queue. With `ifEmpty` it refuses
   * with queueNotEmpty where the queue holds a message.
   */
  async deleteQueue(caller: Caller, name: string, ifEmpty = false): Promise<void> {
    await this.#queues.delete(caller, name, ifEmpty)
    await this.pushes.queueDeleted(name)
  }

  /** The last hour of a queue, step by step. Refuses with queueNotFound. */
  series(caller: Caller, name: string): Promise<Series> {
    return this.#queues.series(caller, name)
  }

  /** The rates of the last hour of these queues. Queues that are not there are left out. */
  sparks(names: string[]): Promise<Map<string, Spark>> {
    return this.#queues.sparks(names)
  }

  /**
   * Changes many messages, and answers how many:
   * - `purge` removes messages of one state, or of all. Of those named by id it leaves the leased
   *   ones.
   * - `retry` makes delayed and backing-off messages ready now.
   *
   * Ends early when the caller hangs up. Refuses with queueNotFound.
   */
  bulk(caller: Caller, name: string, work: PlainBulkWork, signal: AbortSignal): Promise<number> {
    return this.#bulk.act(caller, name, work, signal)
  }

  /**
   * Messages that died are ready again, with attempts from zero, and answers how many. Each goes to
   * `to`, or home to the queue of its origin. Without either it is ready where it is. Ends early
   * when the signal aborts. Refuses with queueNotFound.
   */
  redrive(caller: Caller, name: string, scope: Omit<RedriveScope, 'pass'>): Promise<number> {
    return this.#redriving.redrive(caller, name, scope)
  }

  /** A redrive that keeps to a rate. Answers its task. Refuses with redriveRunning, queueNotFound. */
  startRedrive(caller: Caller, name: string, wanted: RedriveWanted): Promise<Digits> {
    return this.#redriving.start(caller, name, wanted)
  }

  /** The last redrive tasks of a queue. Refuses with queueNotFound. */
  listRedrives(caller: Caller, name: string): Promise<RedriveTask[]> {
    return this.#redriving.list(caller, name)
  }

  /** Stops a redrive task and leaves the rest. Refuses with redriveNotFound, queueNotFound. */
  stopRedrive(caller: Caller, name: string, task: string): Promise<void> {
    return this.#redriving.stop(caller, name, task)
  }

  /**
   * Drives the redrive tasks that are due, in turns of the callers that began them. Answers in how many
   * ms the next one is. Tells what the database refused for good.
   */
  driveRedrives(onRefused: (refusal: unknown) => void): Promise<number> {
    return this.#redriving.drive(onRefused)
  }

  /** How many messages a bulk action would change now. Refuses with queueNotFound. */
  countMatches(caller: Caller, name: string, work: BulkWork, signal: AbortSignal): Promise<Matches> {
    return this.#bulk.countMatches(caller, name, work, signal)
  }

  /** Removes a message that nobody holds. Refuses with messageLeased, messageNotFound, queueNotFound. */
  cancel(caller: Caller, name: string, id: Digits): Promise<void> {
    return this.#bulk.cancel(caller, name, id)
  }

  /** A page of messages by id. Refuses with queueNotFound. */
  browse(caller: Caller, name: string, asked: PageAsked): Promise<MessagePage> {
    return this.#browsing.browse(caller, name, asked)
  }

  /**
   * One message. With `wait` it answers when the message is acked, dead or gone, or when the time is
   * up. Refuses with messageNotFound, queueNotFound, tooManyWaiting, and with ackedNotKept
   * where an ack would leave nothing to show.
   */
  message(caller: Caller, name: string, id: Digits, wait: Wait | null = null): Promise<MessageDetail> {
    return this.#browsing.message(caller, name, id, wait)
  }

  /** Why a message is where it is. Refuses with messageNotFound, queueNotFound. */
  explain(caller: Caller, name: string, id: Digits): Promise<Explanation> {
    return this.#explaining.explain(caller, name, id)
  }

  /**
   * Messages in these states whose last attempts failed, grouped by reason. Ends early, with
   * `more`, after two seconds or when the signal aborts. Refuses with queueNotFound.
   */
  failures(caller: Caller, name: string, states: FailingState[], signal: AbortSignal): Promise<Failures> {
    return this.#failureGroups.list(caller, name, states, signal)
  }

  /** Runs work at the database that no flush shares, when it is the caller's turn. */
  inTurn<T>(caller: Caller, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(caller, work)
  }

  /** Resolves when no batcher holds a call. */
  async drained(): Promise<void> {
    const batched = [this.#enqueueing, this.#leaseFlushes, this.#settling, this.#completing, this.#watching]
    await Promise.all(batched.map(verb => verb.drained()))
  }
}
