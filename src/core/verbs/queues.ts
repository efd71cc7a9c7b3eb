/** Queues: made, changed, reported, listed and deleted, with the last hour of each. */
import type { Caller } from '../caller.ts'
import { largeCount } from '../large.ts'
import { limitSettings } from '../leaseLimits.ts'
import { listMax } from '../limits.ts'
import type { Digits } from '../message.ts'
import type { Parts } from '../engine/parts.ts'
import { invalidRequest, partlyDone, QueueError } from '../errors.ts'
import type { OnlyQueues } from '../queuePorts.ts'
import {
  queueNotFound,
  type NamePage,
  type Queue,
  type QueueChange,
  type QueueReport,
  type Revise
} from '../queue.ts'
import { checkQueues } from '../engine/autoQueues.ts'
import type { Standstills } from '../engine/standstills.ts'
import type { Holding } from '../fairShare.ts'
import { seriesOf, sparkOf, type Series, type Spark } from '../series.ts'

/** More than there can be. Unlike Infinity it can be told to other processes as JSON. */
const everybody = Number.MAX_SAFE_INTEGER

const putAttemptsMax = 3

function queueNotEmpty(name: string): QueueError {
  return new QueueError(
    'queueNotEmpty',
    `The queue ${name} gets another order, or its first limit per group, only while it holds no message, ` +
      'a dead one included; no setting was changed. Let workers empty the queue, or purge it, or make ' +
      'another one.'
  )
}

const isLarge = ({ queues }: { queues: unknown[] }) => queues.length >= largeCount

type Needs = Pick<
  Parts,
  'store' | 'queueCache' | 'wakeups' | 'signals' | 'siblings' | 'turns' | 'searchTurns'
>

export interface PutOptions {
  /** A new queue counts for the caller, as one that an enqueue makes. */
  isBounded?: boolean
  only?: OnlyQueues
  /** For a queue that there is. */
  revise?: Revise
}

/** core/broker.ts says what the methods do, and how they refuse. */
export class Queues {
  readonly #parts: Needs
  readonly #queuesMax: number
  readonly #standstills: Standstills

  /** `queuesMax` bounds the queues that count for callers. */
  constructor(parts: Needs, queuesMax: number, standstills: Standstills) {
    this.#parts = parts
    this.#queuesMax = queuesMax
    this.#standstills = standstills
  }

  async put(
    caller: Caller,
    name: string,
    change: QueueChange,
    { isBounded = false, ...terms }: PutOptions
  ): Promise<{ created: boolean; report: QueueReport }> {
    const { store, queueCache, signals, turns } = this.#parts
    const checkRoom = (held: Holding) => checkQueues(caller, name, this.#queuesMax, held)
    const maker = isBounded ? { callerId: caller.id, checkRoom } : null
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#standstills.run(caller, begin =>
        turns.run(caller, () => store.last.putQueue(name, change, { maker, begin, ...terms }))
      )
      if (outcome === 'notEmpty') throw queueNotEmpty(name)
      if (outcome === 'absent') throw queueNotFound(name)
      if (outcome === 'oneGroup') {
        throw invalidRequest(
          '/fairness',
          'must be none where the order is queue, which makes one group of all'
        )
      }
      const created = outcome === 'made'
      await queueCache.changed(name)
      try {
        const queue = await queueCache.find(caller, name)
        if (change.paused === false) signals.onReady(queue.id, listMax, 0)
        if (limitSettings.some(setting => setting in change)) this.#open(queue.id, listMax)
        return { created, report: await this.report(caller, name) }
      } catch (error) {
        if (!(error instanceof QueueError) || error.code !== 'queueNotFound') throw partlyDone(error as Error)
        // Somebody deleted the queue before it could be looked up.
        if (attempt === putAttemptsMax) {
          throw new QueueError(
            'queueNotFound',
            `The queue ${name} was made and deleted again in each of ${putAttemptsMax} attempts. ` +
              'Send the request again.'
          )
        }
      }
    }
  }

  find(caller: Caller, name: string): Promise<Queue> {
    return this.#parts.queueCache.find(caller, name)
  }

  async report(caller: Caller, name: string): Promise<QueueReport> {
    const { store, turns } = this.#parts
    const report = await turns.run(caller, () => store.last.reportQueue(name))
    if (report === null) throw queueNotFound(name)
    return report
  }

  async list(
    caller: Caller,
    page: NamePage,
    deadLetterQueue: string | null
  ): Promise<{ queues: QueueReport[]; next: string | null }> {
    const { store, searchTurns } = this.#parts
    const look = () => store.last.listQueues(page, deadLetterQueue)
    const { queues, more } = await searchTurns.run(caller, look, page.limit >= largeCount && isLarge)
    return { queues, next: more ? queues.at(-1)!.queue : null }
  }

  async listNames(
    caller: Caller,
    page: NamePage,
    deadLetterQueue: string | null
  ): Promise<{ names: string[]; next: string | null }> {
    const { store, turns } = this.#parts
    const { names, more } = await turns.run(caller, () => store.last.listQueueNames(page, deadLetterQueue))
    return { names, next: more ? names.at(-1)! : null }
  }

  async delete(caller: Caller, name: string, ifEmpty: boolean): Promise<void> {
    const { store, queueCache, turns } = this.#parts
    const queue = queueCache.remembered(name)
    const removed = await this.#standstills.run(caller, begin =>
      turns.run(caller, async () =>
        ifEmpty
          ? await store.last.removeEmptyQueue(name, begin)
          : await store.last.removeQueue(name).then(() => true)
      )
    )
    if (!removed) {
      throw new QueueError(
        'queueNotEmpty',
        `The queue ${name} holds messages, so it was not removed. Let workers empty it, purge it, or leave ` +
          'ifEmpty out to remove it with all in it.'
      )
    }
    await queueCache.changed(name)
    if (queue !== undefined) this.#open(queue.id, everybody)
  }

  /** Wakes callers, whatever was known of the queue's limits. */
  #open(queueId: Digits, count: number): void {
    this.#parts.wakeups.open(queueId, count)
    this.#parts.siblings.tell('open', queueId, count)
  }

  async series(caller: Caller, name: string): Promise<Series> {
    const { store, queueCache, turns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    const { last, samples, times } = await turns.run(caller, () => store.last.readSeries(id))
    return seriesOf(name, last, samples, times)
  }

  async sparks(names: string[]): Promise<Map<string, Spark>> {
    const rows = await this.#parts.store.last.readSparks(names)
    return new Map(rows.map(({ name, last, samples }) => [name, sparkOf(last, samples)]))
  }
}
