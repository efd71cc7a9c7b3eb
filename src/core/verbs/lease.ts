/**
 * Leasing: askers and acks of a queue in one commit, and keys under which what was leased is given
 * again when its answer was lost.
 */
import { Batcher, type Bounds } from '../engine/batcher.ts'
import type { ReplicaStats } from '../engine/replicaStats.ts'
import { rounds } from '../engine/rounds.ts'
import type { Wakeups } from '../engine/wakeups.ts'
import { partlyDone, QueueError } from '../errors.ts'
import { answerBytesMax, type Digits } from '../message.ts'
import type { Held, LeasedRow, Place, Store, Verbs } from '../ports.ts'
import { distinctOf, outcomesFor, type Outcome, type Settling } from './settle.ts'

export interface LeaseRequest {
  max: number
  waitSeconds: number
  leaseSeconds: number | null
  worker: string
  idempotencyKey: string | null
}
type Call = LeaseRequest & { acks: Held[] }
/**
 * `used`: messages have been leased with this key before, perhaps for this very call; they are to
 * be given again.
 */
export interface LeaseAnswer {
  rows: LeasedRow[]
  more: boolean
  outcomes: Outcome[]
  used: boolean
}

const noLease: LeaseRequest = { max: 0, waitSeconds: 0, leaseSeconds: null, worker: '', idempotencyKey: null }

export const answersBacklogged = new QueueError(
  'overloaded',
  'Too much is waiting to be read by callers already; nothing was changed. Send the request again a ' +
    'little later.'
)

export class Leasing {
  readonly #store: Store
  readonly #wakeups: Wakeups
  readonly #replicaStats: ReplicaStats
  readonly #settling: Settling
  readonly #answersFull: () => boolean
  readonly #batcher: Batcher<Call, LeaseAnswer>

  /**
   * `answersFull`: whether callers have so many bytes of answers still to take that there should
   * be no more just now.
   */
  constructor(
    store: Store,
    wakeups: Wakeups,
    replicaStats: ReplicaStats,
    settling: Settling,
    answersFull: () => boolean,
    bounds: Bounds
  ) {
    this.#store = store
    this.#wakeups = wakeups
    this.#replicaStats = replicaStats
    this.#settling = settling
    this.#answersFull = answersFull
    this.#batcher = new Batcher({
      ...bounds,
      flush: (queueId, calls) => this.#flush(queueId, calls),
      weigh: ({ max, acks }) => max + acks.length,
      count: ({ max, acks }) => max + acks.length,
      isUrgent: ({ acks }) => acks.length > 0,
      inFlightMax: 2
    })
  }

  /** Acks, and takes what there is, in one commit. Refuses with overloaded. */
  lease(queueId: Digits, request: LeaseRequest, acks: Held[]): Promise<LeaseAnswer> {
    return this.#batcher.add(queueId, { ...request, acks })
  }

  async ack(queueId: Digits, acks: Held[]): Promise<Outcome[]> {
    return (await this.lease(queueId, noLease, acks)).outcomes
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  // Leases and acks share their flushes: consumers bring both in turn, and apart each flush would
  // be half as full.
  async #flush(queueId: Digits, calls: Call[]): Promise<(LeaseAnswer | Error)[]> {
    const store = this.#store
    const keyed = calls.filter(({ idempotencyKey: key, max }) => key !== null && max > 0)
    const firstOf = new Map(keyed.toReversed().map(call => [call.idempotencyKey, call]))
    // Calls whose keys have been used, a moment ago in this flush or before it: here only their
    // acks are done.
    const aside = new Set(keyed.filter(call => firstOf.get(call.idempotencyKey) !== call))
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#commit(queueId, calls, aside)
      } catch (error) {
        if (!store.isLeaseKeyTaken(error)) throw error
        const used =
          attempt === 1
            ? await store.usedLeaseKeys(
                queueId,
                keyed.map(({ idempotencyKey }) => idempotencyKey!)
              )
            : null
        for (const call of keyed) if (used === null || used.has(call.idempotencyKey!)) aside.add(call)
        // what the failed statement had locked, others may have missed
        this.#wakeups.wake(queueId, keyed.length)
      }
    }
  }

  async #commit(queueId: Digits, calls: Call[], aside: Set<Call>): Promise<(LeaseAnswer | Error)[]> {
    const distinct = distinctOf(calls.flatMap(call => call.acks))
    const parts = rounds([...distinct.values()], ({ id }) => id)
    const store: Place = distinct.size > 0 ? this.#store.first : this.#store
    // Asked here, in the last moment, because of those who have waited in the meantime thousands
    // may have been answered.
    const full = this.#answersFull()
    const asks = full ? [] : calls.filter(call => call.max > 0 && !aside.has(call))
    const take = (verbs: Verbs, acks: Held[]) => verbs.lease(queueId, asks, answerBytesMax, acks)
    const apart = async (verbs: Verbs) => {
      const settled = await this.#settling.inRounds(verbs, 'ack', queueId, parts)
      return {
        ...(asks.length > 0 ? await take(verbs, []) : { rows: [], full: false, usedKeys: [], atMs: 0 }),
        acked: [...settled.keys()]
      }
    }
    if (asks.length > 0) {
      this.#replicaStats.asked(queueId)
      this.#store.last.findMissed(queueId).then(missed => {
        if (missed) this.#wakeups.wake(queueId, 1)
      })
    }
    const {
      rows,
      full: cut,
      acked,
      usedKeys,
      atMs
    } = await (parts.length > 1
      ? this.#transaction(store, queueId, apart)
      : asks.length === 0
        ? apart(store)
        : take(store, parts[0] ?? []))
    this.#replicaStats.leased(queueId, rows, atMs)
    this.#replicaStats.acked(queueId, acked)
    const outcomes = await this.#settling.outcomesOf(
      'ack',
      queueId,
      distinct,
      new Map(acked.map(key => [key, distinct.get(key)!]))
    )
    return calls.map(call => {
      const share = aside.has(call) ? [] : rows.splice(0, call.max)
      const answers = outcomesFor(call.acks, outcomes)
      if (answers instanceof Error) return call.max > 0 ? partlyDone(answers) : answers
      if (full && call.max > 0) {
        // With a key there may be messages that are already the caller's, so "none" would be wrong.
        if (call.acks.length === 0) return answersBacklogged
        if (call.idempotencyKey !== null) return partlyDone(answersBacklogged)
      }
      const used =
        aside.has(call) ||
        (share.length === 0 && call.idempotencyKey !== null && usedKeys.includes(call.idempotencyKey))
      return { rows: share, more: cut, outcomes: answers, used }
    })
  }

  /**
   * What was leased with the key of this request, as far as it is still held; when nothing is,
   * leases anew. Refuses with overloaded. The row that holds the key is unique, so of two calls at
   * once one takes messages and the other finds them taken.
   */
  async leaseWithUsedKey(queueId: Digits, request: LeaseRequest): Promise<LeasedRow[]> {
    const store = this.#store
    if (this.#answersFull()) throw answersBacklogged
    for (let attempt = 1; ; attempt++) {
      try {
        const { rows, atMs } = await this.#transaction(store, queueId, async verbs => {
          const again = await verbs.leaseAgain(queueId, request.idempotencyKey!)
          return again.length > 0
            ? { rows: again, atMs: null }
            : await verbs.lease(queueId, [request], answerBytesMax, [])
        })
        if (atMs !== null) this.#replicaStats.leased(queueId, rows, atMs)
        return rows
      } catch (error) {
        if (!store.isLeaseKeyTaken(error)) throw error
        this.#wakeups.wake(queueId, request.max)
        if (attempt === 3) {
          throw new QueueError(
            'overloaded',
            'Others lease with this idempotency key again and again; nothing was leased. Use a key ' +
              'of its own for each lease.'
          )
        }
      }
    }
  }

  async #transaction<T>(store: Place, queueId: Digits, work: (verbs: Verbs) => Promise<T>): Promise<T> {
    try {
      return await store.transaction(work)
    } catch (error) {
      // perhaps raised past messages that the lost commit has left where they were
      this.#store.forgetScan(queueId)
      throw error
    }
  }
}
