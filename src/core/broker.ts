/** The verbs of the queue. Each is a few lines: bounds, batching and waking here, SQL in the store. */
import { Batcher } from './engine/batcher.ts'
import { QueueCache } from './engine/queueCache.ts'
import { Enqueueing } from './verbs/enqueue.ts'
import { partlyDone, QueueError } from './errors.ts'
import { reasonsOf, type Explanation } from './verbs/explain.ts'
import { Leasing, answersBacklogged, type LeaseRequest } from './verbs/lease.ts'
import {
  answerBytesMax,
  listMax,
  priorityDefault,
  type Digits,
  type Enqueued,
  type Filter,
  type LeasedMessage,
  type NewMessage,
  type Selection,
  type MessageDetail,
  type MessageView
} from './message.ts'
import type { State } from './counters.ts'
import type { BulkAction, EnqueueRow, Held, LeasedRow, NameScope, Place, Store } from './ports.ts'
import { formatReceipt, parseReceipt, type Lease } from './receipt.ts'
import { queueNotFound, type Queue, type QueueReport, type SettingsChange } from './queue.ts'
import { seriesOf, sparkOf, type Series, type Spark } from './verbs/series.ts'
import { Settling, type Outcome, type Settlement } from './verbs/settle.ts'
import { ReplicaStats } from './engine/replicaStats.ts'
import type { Signals } from './engine/signals.ts'
import type { Wakeups } from './engine/wakeups.ts'

export interface BrokerOptions {
  /** Whether the first enqueue makes an unknown queue. */
  createQueues: boolean
  /** Bytes of messages that may wait for a flush. */
  waitingBytesMax: number
  /** Whether callers have so many bytes of answers still to take that there should be no more just now. */
  answersFull: () => boolean
  isPoison: (error: unknown) => boolean
}

// More at once is hardly cheaper for each, and leaves less to do side by side: of 1600 messages at
// hand, the next share is read and parsed here while the database stores the last.
const flushMessagesMax = 600
const watchMs = 500
const waitingMsMax = 5000
const waitingCallsMax = 20_000

export class Broker {
  readonly replicaStats = new ReplicaStats()
  readonly #store: Store
  readonly #wakeups: Wakeups
  readonly #signals: Signals
  readonly #createQueues: boolean
  readonly #answersFull: () => boolean
  readonly #queueCache: QueueCache
  readonly #settling: Settling
  readonly #enqueueing: Enqueueing
  readonly #leasing: Leasing
  readonly #watches: Batcher<{ queueId: Digits; id: Digits }, boolean>

  constructor(
    store: Store,
    wakeups: Wakeups,
    signals: Signals,
    { createQueues, waitingBytesMax, answersFull, isPoison }: BrokerOptions
  ) {
    this.#store = store
    this.#wakeups = wakeups
    this.#signals = signals
    this.#createQueues = createQueues
    this.#answersFull = answersFull
    this.#queueCache = new QueueCache(store)
    const bounds = {
      flushCountMax: flushMessagesMax,
      flushWeightMax: Infinity,
      waitingItemsMax: waitingCallsMax,
      waitingWeightMax: 100_000,
      waitingMsMax,
      isPoison
    }
    this.#enqueueing = new Enqueueing(store, signals, this.replicaStats, waitingBytesMax, bounds)
    this.#settling = new Settling(store, signals, wakeups, bounds)
    this.#leasing = new Leasing(store, wakeups, this.replicaStats, this.#settling, answersFull, bounds)
    this.#watches = new Batcher({
      ...bounds,
      flush: (_, messages) => store.last.whichEnded(messages),
      weigh: () => 1,
      count: () => 1,
      isUrgent: () => false,
      inFlightMax: 1
    })
  }

  /** Whether an enqueue would be refused with overloaded just now: asked before its body is read. */
  get enqueuesFull(): boolean {
    return this.#enqueueing.full
  }

  /**
   * Stores messages, all or none of a list; answers after the commit. Refuses with
   * idempotencyMismatch, queueFull, queueNotFound, overloaded.
   */
  async enqueue(name: string, messages: NewMessage[], list: boolean): Promise<Enqueued[]> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const queue = await this.#queueCache.find(name, this.#createQueues)
      const rows = messages.map(
        ({ idempotencyKey, priority, ...message }): EnqueueRow =>
          ({
            ...message,
            queueId: queue.id,
            idempotencyKey,
            priority: priority ?? priorityDefault
          }) as EnqueueRow
      )
      const answers = await this.#enqueueing.add(rows, list, queue.settings.maxDepth !== null)
      if (answers.every(answer => answer !== null)) return answers
      this.#queueCache.forget(name) // deleted elsewhere since it was looked up; nothing was stored
    }
    throw new QueueError(
      'queueNotFound',
      `The queue ${name} is being deleted again and again; nothing was stored.`
    )
  }

  /**
   * Acks what it is given, and takes up to `max` messages, waiting for the first one if asked to.
   * The acks are committed with the first look, and never wait. Refuses with invalidReceipt,
   * queueNotFound, tooManyWaiting, overloaded.
   */
  async lease(
    name: string,
    request: LeaseRequest,
    receipts: string[],
    signal: AbortSignal
  ): Promise<{ messages: LeasedMessage[]; outcomes: Outcome[] }> {
    const untilMs = performance.now() + request.waitSeconds * 1000
    let { queue, leases, ours } = await this.#held(name, receipts, index => `/ack/${index}`)
    let acks = ours.map(index => leases[index]!)
    const outcomes: Outcome[] = receipts.map(() => ({ outcome: 'gone' }))
    try {
      for (;;) {
        // Taken before the look, or a message committed between the two would be missed.
        const seat = request.waitSeconds > 0 ? this.#wakeups.sit({ queueId: queue.id }) : null
        try {
          for (let again = true; again;) {
            const answer = await this.#leasing.lease(queue.id, request, acks)
            acks.forEach((_, i) => {
              outcomes[ours[i]!] = answer.outcomes[i]!
            })
            acks = []
            const rows = answer.used ? await this.#leasing.leaseWithUsedKey(queue.id, request) : answer.rows
            if (rows.length > 0 && signal.aborted) {
              await this.#settling.settle(
                'release',
                queue.id,
                rows.map(({ id, fence }) => ({ id, fence }))
              )
              return { messages: [], outcomes }
            }
            if (rows.length > 0) {
              return { messages: rows.map(row => leasedMessage(name, queue.id, row)), outcomes }
            }
            again = answer.more && !signal.aborted
          }
          if (seat === null || !(await seat.wait(untilMs, signal))) return { messages: [], outcomes }
        } finally {
          seat?.leave()
        }
        queue = await this.#queueCache.find(name)
      }
    } catch (error) {
      if (ours.length === 0 || acks.length > 0) throw error
      // Once the acks are committed their outcomes are the answer, whatever the wait for messages
      // has met; but not where the key may stand for messages that nobody would ask for again.
      if (request.idempotencyKey !== null) throw partlyDone(error as Error)
      return { messages: [], outcomes }
    }
  }

  /**
   * Ends messages whose work is done. A superseded receipt changes nothing. Refuses with
   * invalidReceipt, queueNotFound.
   */
  ack(name: string, settlements: Settlement[], pointer: (index: number) => string): Promise<Outcome[]> {
    return this.#settle(
      name,
      settlements,
      pointer,
      (_, lease) => lease,
      (queueId, acks) => this.#leasing.ack(queueId, acks)
    )
  }

  /**
   * Ends attempts that did not work out: the message is retried after a delay, or dead after its
   * last attempt.
   */
  fail(name: string, settlements: Settlement[], pointer: (index: number) => string): Promise<Outcome[]> {
    return this.#settle(
      name,
      settlements,
      pointer,
      ({ reason, delaySeconds, dead }, lease) => ({
        ...lease,
        reason: reason ?? null,
        delaySeconds: delaySeconds ?? null,
        dead: dead ?? false
      }),
      (queueId, held) => this.#settling.settle('fail', queueId, held)
    )
  }

  /** Moves the end of leases, counted from now. */
  extend(name: string, settlements: Settlement[], pointer: (index: number) => string): Promise<Outcome[]> {
    return this.#settle(
      name,
      settlements,
      pointer,
      ({ leaseSeconds }, lease) => ({ ...lease, leaseSeconds: leaseSeconds! }),
      (queueId, held) => this.#settling.settle('extend', queueId, held)
    )
  }

  /** Gives messages back; the attempt is not counted. */
  release(name: string, settlements: Settlement[], pointer: (index: number) => string): Promise<Outcome[]> {
    return this.#settle(
      name,
      settlements,
      pointer,
      (_, lease) => lease,
      (queueId, held) => this.#settling.settle('release', queueId, held)
    )
  }

  /**
   * Makes a queue or changes settings. True when it was made. Refuses with queueNotFound where
   * others delete it each time.
   */
  async putQueue(name: string, change: SettingsChange): Promise<{ created: boolean; report: QueueReport }> {
    for (let attempt = 1; ; attempt++) {
      const created = await this.#store.last.putQueue(name, change)
      this.#queueCache.forget(name)
      try {
        const queue = await this.#queueCache.find(name)
        if (change.paused === false) this.#signals.onReady(queue.id, listMax, 0)
        return { created, report: await this.reportQueue(name) }
      } catch (error) {
        // Made, and deleted by somebody else before it could be looked at: whoever makes it last has it.
        if (error instanceof QueueError && error.code === 'queueNotFound') {
          if (attempt < 3) continue
          throw new QueueError(
            'queueNotFound',
            `The queue ${name} is being deleted again and again: it was made, and is gone by now.`
          )
        }
        throw partlyDone(error as Error)
      }
    }
  }

  async reportQueue(name: string): Promise<QueueReport> {
    const report = await this.#store.last.reportQueue(name)
    if (report === null) throw queueNotFound(name)
    return report
  }

  /**
   * By name, from `after` on; `within` names the queues that the caller may look at, and
   * beginnings of such names.
   */
  async listQueues(
    after: string,
    limit: number,
    within: NameScope
  ): Promise<{ queues: QueueReport[]; next: string | null }> {
    const queues = await this.#store.last.listQueues(after, limit, within)
    return { queues, next: queues.length === limit ? queues.at(-1)!.queue : null }
  }

  /** The last hour of a queue. */
  async series(name: string): Promise<Series> {
    const { id } = await this.#queueCache.find(name)
    const { last, samples, times } = await this.#store.last.readSeries(id)
    return seriesOf(name, last, samples, times)
  }

  /** The rates of these queues' last hour, of those that there are. */
  async sparks(names: string[]): Promise<Map<string, Spark>> {
    const rows = await this.#store.last.readSparks(names)
    return new Map(rows.map(({ name, last, samples }) => [name, sparkOf(last, samples)]))
  }

  /** Removes the queue and all in it; no matter if there is none. */
  async deleteQueue(name: string): Promise<void> {
    const known = this.#queueCache.remembered(name)
    await this.#store.last.removeQueue(name)
    this.#queueCache.forget(name)
    if (known !== undefined) this.#wakeups.wake(known.id, Infinity)
  }

  /**
   * Removes messages; of those named by id, those that nobody holds. Answers how many; a caller
   * that hangs up ends it, here and in the verbs below.
   */
  purge(name: string, state: State | null, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk(name, (store, id, onDone) => store.purge(id, state, selection, signal, onDone))
  }

  /** Dead messages become ready again, attempts from zero. */
  redrive(name: string, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk(name, (store, id, onDone) => store.redrive(id, selection, signal, onDone))
  }

  /** Delayed and backing-off messages become ready now. */
  retry(name: string, selection: Selection, signal: AbortSignal): Promise<number> {
    return this.#bulk(name, (store, id, onDone) => store.retry(id, selection, signal, onDone))
  }

  /**
   * How many messages one of these would change just now; `more` when there was no time to count
   * them all.
   */
  async matched(
    name: string,
    action: BulkAction,
    state: State | null,
    selection: Selection,
    signal: AbortSignal
  ): Promise<{ matched: number; more: boolean }> {
    // of a queue deleted in the last second there would be rows to count, that are on their way out
    this.#queueCache.forget(name)
    return await this.#store.last.countMatches(
      (await this.#queueCache.find(name)).id,
      action,
      state,
      selection,
      signal
    )
  }

  async browse(
    name: string,
    state: State | null,
    where: Filter | null,
    after: Digits,
    limit: number
  ): Promise<{ messages: MessageView[]; cursor: Digits | null }> {
    const page = await this.#store.last.browse(
      (await this.#queueCache.find(name)).id,
      state,
      where,
      after,
      limit,
      answerBytesMax
    )
    if (this.#answersFull()) throw answersBacklogged
    return page
  }

  /**
   * One message. With `waitSeconds`, only once it has come to an end or the time is up; refuses
   * with ackedNotKept where an ack leaves nothing to see.
   */
  async message(name: string, id: Digits, waitSeconds: number, signal: AbortSignal): Promise<MessageDetail> {
    const queue = await this.#queueCache.find(name)
    if (waitSeconds > 0) {
      if (queue.settings.keepAckedSeconds <= 0) {
        throw new QueueError(
          'ackedNotKept',
          `The queue ${name} keeps no acked messages, so their end cannot be waited for. Set its ` +
            'keepAckedSeconds first.'
        )
      }
      const untilMs = performance.now() + waitSeconds * 1000
      const seat = this.#wakeups.sit({ messageId: id })
      try {
        while (
          !(await this.#watches.add('', { queueId: queue.id, id })) &&
          performance.now() < untilMs &&
          !signal.aborted
        ) {
          // An ack here wakes it at once; one on another replica, or in SQL, is seen at the next
          // look, shared by all who wait.
          if (
            !(await seat.wait(Math.min(untilMs, performance.now() + watchMs), signal)) &&
            this.#wakeups.closed
          ) {
            break
          }
        }
      } finally {
        seat.leave()
      }
    }
    const found = await this.#store.last.findMessage(queue.id, id)
    if (found === null) throw messageNotFound(name, id)
    return found
  }

  /** Why a message is where it is. Refuses with messageNotFound. */
  async explain(name: string, id: Digits): Promise<Explanation> {
    const queue = await this.#queueCache.find(name)
    const found = await this.#store.last.circumstancesOf(queue.id, id)
    if (found === null) throw messageNotFound(name, id)
    const { message: at, ahead } = found
    const hereMs = this.#wakeups.waitsFor(queue.id) ? Date.now() : this.replicaStats.askedMs(queue.id)
    const askedMs = Math.max(hereMs ?? 0, at.askedAt === null ? 0 : Date.parse(at.askedAt))
    return { id, state: at.state, reasons: reasonsOf(at, ahead, askedMs === 0 ? null : askedMs) }
  }

  /** Removes one message that nobody holds. Refuses with messageLeased, messageNotFound. */
  async cancel(name: string, id: Digits): Promise<void> {
    const queue = await this.#queueCache.find(name)
    const result = await this.#store.last.cancel(queue.id, id)
    if (result === 'leased') {
      throw new QueueError(
        'messageLeased',
        'A worker holds the message just now. Cancel it when the lease has ended, or let the worker ack it.'
      )
    }
    if (result === 'unknown') {
      throw new QueueError('messageNotFound', `The queue ${name} has no message ${id}.`)
    }
    this.#wakeups.wakeForEnd(id)
  }

  /** Resolves once every call taken in has been answered. */
  async drained(): Promise<void> {
    await Promise.all(
      [this.#enqueueing, this.#leasing, this.#watches, this.#settling].map(batcher => batcher.drained())
    )
  }

  async #settle<H extends Held>(
    name: string,
    settlements: Settlement[],
    pointer: (index: number) => string,
    held: (settlement: Settlement, lease: Held) => H,
    add: (queueId: Digits, held: H[]) => Promise<Outcome[]>
  ): Promise<Outcome[]> {
    const { queue, leases, ours } = await this.#held(
      name,
      settlements.map(({ receipt }) => receipt),
      pointer
    )
    const outcomes: Outcome[] = settlements.map(() => ({ outcome: 'gone' }))
    if (ours.length > 0) {
      const answers = await add(
        queue.id,
        ours.map(index => held(settlements[index]!, leases[index]!))
      )
      ours.forEach((index, i) => {
        outcomes[index] = answers[i]!
      })
    }
    return outcomes
  }

  // What receipts stand for. `ours` are those of the queue as it is now; the others' queue, of the
  // same name, is gone.
  async #held(
    name: string,
    receipts: string[],
    pointer: (index: number) => string
  ): Promise<{ queue: Queue; leases: Lease[]; ours: number[] }> {
    const leases = receipts.map((receipt, index) => parseReceipt(name, receipt, pointer(index)))
    let queue = await this.#queueCache.find(name)
    if (leases.some(({ queueId }) => queueId !== queue.id)) {
      this.#queueCache.forget(name)
      queue = await this.#queueCache.find(name)
    }
    return { queue, leases, ours: [...leases.keys()].filter(index => leases[index]!.queueId === queue.id) }
  }

  // In chunks, each a commit of its own, of which it is told.
  async #bulk(
    name: string,
    work: (store: Place, queueId: Digits, onDone: (count: number, position?: number) => void) => Promise<void>
  ): Promise<number> {
    const { id } = await this.#queueCache.find(name)
    let done = 0
    await work(this.#store.last, id, (count, position) => {
      done += count
      if (position !== undefined) this.#signals.onReady(id, count, position)
    }).catch((error: Error) => {
      throw done > 0 ? partlyDone(error) : error
    })
    return done
  }
}

function messageNotFound(name: string, id: Digits): QueueError {
  return new QueueError(
    'messageNotFound',
    `The queue ${name} has no message ${id}: it was never there, or it has been acked, purged, or ` +
      'has expired.'
  )
}

function leasedMessage(name: string, queueId: Digits, row: LeasedRow): LeasedMessage {
  return {
    id: row.id,
    receipt: formatReceipt(name, { queueId, id: row.id, fence: row.fence }),
    fence: Number(row.fence),
    attempt: row.attempt,
    maxAttempts: row.maxAttempts,
    body: row.body,
    bodyBytes: row.bodyBytes,
    contentType: row.contentType,
    headers: row.headers,
    priority: row.priority,
    enqueuedAt: row.enqueuedAt,
    leaseExpiresAt: row.leaseExpiresAt,
    lastFailure: row.lastFailure
  }
}
