/** The verbs of the queue. Each is one line here; its work is in `verbs/`. */
import type { SettingsChange } from './settings.ts'
import type { State } from './counters.ts'
import type { Bounds } from './engine/batcher.ts'
import type { Parts } from './engine/parts.ts'
import { QueueCache } from './engine/queueCache.ts'
import { ReplicaStats } from './engine/replicaStats.ts'
import type { Signals } from './engine/signals.ts'
import type { Wakeups } from './engine/wakeups.ts'
import type {
  Digits,
  Enqueued,
  Filter,
  LeasedMessage,
  MessageDetail,
  MessagePage,
  NewMessage,
  Selection
} from './message.ts'
import type { BulkAction, Matches, SettleVerb, Store } from './ports.ts'
import type { NameScope, QueueReport } from './queue.ts'
import type { Series, Spark } from './series.ts'
import type { Maker } from './share.ts'
import { Browsing } from './verbs/browse.ts'
import { Bulk } from './verbs/bulk.ts'
import { Enqueueing, type EnqueueingOptions } from './verbs/enqueue.ts'
import { Explaining, type Explanation } from './verbs/explain.ts'
import { Leasing, type LeaseRequest } from './verbs/lease.ts'
import { LeaseFlushes } from './verbs/leaseFlush.ts'
import { Queues } from './verbs/queues.ts'
import { Settling, type Outcome, type Settlement } from './verbs/settle.ts'
import { Watching } from './verbs/watch.ts'

export interface BrokerOptions extends EnqueueingOptions {
  /**
   * True when too many response bytes are still unread. New leases and browses are then refused.
   */
  answersFull: () => boolean
  /** Whether an error is the fault of one message. */
  isPoison: (error: unknown) => boolean
}

/** The bounds of every batcher. */
const bounds: Omit<Bounds, 'isPoison'> = {
  // A larger flush is hardly cheaper for each message, and leaves less to do side by side: of 1600
  // messages at hand, the next share is parsed here while the database stores the last.
  flushCountMax: 600,
  flushWeightMax: Infinity,
  waitingItemsMax: 20_000,
  waitingWeightMax: 100_000,
  waitingMsMax: 5000
}

export class Broker {
  readonly replicaStats = new ReplicaStats()
  readonly #enqueueing: Enqueueing
  readonly #settling: Settling
  readonly #leaseFlushes: LeaseFlushes
  readonly #leasing: Leasing
  readonly #queues: Queues
  readonly #bulk: Bulk
  readonly #watching: Watching
  readonly #browsing: Browsing
  readonly #explaining: Explaining

  constructor(
    store: Store,
    wakeups: Wakeups,
    signals: Signals,
    { answersFull, isPoison, ...options }: BrokerOptions
  ) {
    const parts: Parts = {
      store,
      queueCache: new QueueCache(store),
      wakeups,
      signals,
      replicaStats: this.replicaStats,
      bounds: { ...bounds, isPoison },
      answersFull
    }
    this.#enqueueing = new Enqueueing(parts, options)
    this.#settling = new Settling(parts, (queueId, acks) => this.#leaseFlushes.ack(queueId, acks))
    this.#leaseFlushes = new LeaseFlushes(parts, this.#settling)
    this.#leasing = new Leasing(parts, this.#leaseFlushes, this.#settling)
    this.#queues = new Queues(parts)
    this.#bulk = new Bulk(parts)
    this.#watching = new Watching(parts)
    this.#browsing = new Browsing(parts, this.#watching)
    this.#explaining = new Explaining(parts)
  }

  /** Whether an enqueue would be refused with overloaded now. Asked before a body is read. */
  get enqueuesFull(): boolean {
    return this.#enqueueing.full
  }

  /**
   * Stores messages, of a list all or none, and answers after the commit. Refuses with
   * idempotencyMismatch, queueFull, queueNotFound, tooManyQueues, overloaded. `maker` is the key
   * that a new queue counts for.
   */
  enqueue(
    name: string,
    messages: NewMessage[],
    list: boolean,
    maker: Maker | null = null
  ): Promise<Enqueued[]> {
    return this.#enqueueing.enqueue(name, messages, list, maker)
  }

  /** Makes the queue if there is none, as an enqueue does. Refuses with tooManyQueues. */
  makeQueue(name: string, maker: Maker | null): Promise<void> {
    return this.#enqueueing.makeQueue(name, maker)
  }

  /**
   * Acks receipts and takes up to `max` messages. Waits up to `waitSeconds` for the first one. The
   * acks never wait: they are committed with the first attempt to lease. When the signal aborts, it
   * stops waiting, and gives back what it has just leased. Refuses with invalidReceipt,
   * queueNotFound, tooManyWaiting, overloaded.
   */
  lease(
    name: string,
    request: LeaseRequest,
    receipts: string[],
    signal: AbortSignal
  ): Promise<{ messages: LeasedMessage[]; outcomes: Outcome[] }> {
    return this.#leasing.lease(name, request, receipts, signal)
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
   * queueNotFound, overloaded.
   */
  settle(
    verb: SettleVerb,
    name: string,
    settlements: Settlement[],
    pointer: (index: number) => string
  ): Promise<Outcome[]> {
    return this.#settling.settle(verb, name, settlements, pointer)
  }

  /**
   * Makes a queue, or changes the settings given. `created` is true when it was made. Refuses with
   * queueNotFound when others delete it again each time.
   */
  putQueue(name: string, change: SettingsChange): Promise<{ created: boolean; report: QueueReport }> {
    return this.#queues.put(name, change)
  }

  /** The settings of a queue and its counts. Refuses with queueNotFound. */
  reportQueue(name: string): Promise<QueueReport> {
    return this.#queues.report(name)
  }

  /**
   * Reports of queues by name, from the one after `after` on. `scope` holds the queues that the
   * caller may see. `next` is null on the last page.
   */
  listQueues(
    after: string,
    limit: number,
    scope: NameScope
  ): Promise<{ queues: QueueReport[]; next: string | null }> {
    return this.#queues.list(after, limit, scope)
  }

  /** Removes a queue and all in it. Nothing happens if there is no such queue. */
  deleteQueue(name: string): Promise<void> {
    return this.#queues.delete(name)
  }

  /** The last hour of a queue, step by step. Refuses with queueNotFound. */
  series(name: string): Promise<Series> {
    return this.#queues.series(name)
  }

  /** The rates of the last hour of these queues. Queues that are not there are left out. */
  sparks(names: string[]): Promise<Map<string, Spark>> {
    return this.#queues.sparks(names)
  }

  /**
   * Removes messages, and answers how many. Of those named by id it leaves the leased ones. Ends
   * early when the caller hangs up. Refuses with queueNotFound.
   */
  purge(name: string, state: State | null, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk.purge(name, state, selection, signal)
  }

  /**
   * Makes dead messages ready, with attempts from zero, and answers how many. Ends early when the
   * caller hangs up. Refuses with queueNotFound.
   */
  redrive(name: string, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk.redrive(name, selection, signal)
  }

  /**
   * Makes delayed and backing-off messages ready now, and answers how many. Ends early when the
   * caller hangs up. Refuses with queueNotFound.
   */
  retry(name: string, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk.retry(name, selection, signal)
  }

  /** How many messages a bulk action would change now. Refuses with queueNotFound. */
  countMatches(
    name: string,
    action: BulkAction,
    state: State | null,
    selection: Selection,
    signal: AbortSignal
  ): Promise<Matches> {
    return this.#bulk.countMatches(name, action, state, selection, signal)
  }

  /**
   * Removes one message that nobody holds. Refuses with messageLeased, messageNotFound,
   * queueNotFound.
   */
  cancel(name: string, id: Digits): Promise<void> {
    return this.#bulk.cancel(name, id)
  }

  /**
   * A page of messages by id, from the one after `after` on. Refuses with queueNotFound,
   * overloaded.
   */
  browse(
    name: string,
    state: State | null,
    where: Filter | null,
    after: Digits,
    limit: number
  ): Promise<MessagePage> {
    return this.#browsing.browse(name, state, where, after, limit)
  }

  /**
   * One message. With `waitSeconds` it answers when the message is acked, dead or gone, or when the
   * time is up. Refuses with messageNotFound, queueNotFound, tooManyWaiting, and with ackedNotKept
   * where an ack would leave nothing to show.
   */
  message(name: string, id: Digits, waitSeconds: number, signal: AbortSignal): Promise<MessageDetail> {
    return this.#browsing.message(name, id, waitSeconds, signal)
  }

  /** Why a message is where it is. Refuses with messageNotFound, queueNotFound. */
  explain(name: string, id: Digits): Promise<Explanation> {
    return this.#explaining.explain(name, id)
  }

  /** Resolves when every call taken in has been answered. */
  async drained(): Promise<void> {
    const batched = [this.#enqueueing, this.#leaseFlushes, this.#settling, this.#watching]
    await Promise.all(batched.map(verb => verb.drained()))
  }
}
