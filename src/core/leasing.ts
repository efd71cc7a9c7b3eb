/** Leasing: askers and acks of a queue in one commit, and keys under which what was leased is given again when its answer was lost. */
import type { Session } from '../store/database.ts'
import type { Held, LeasedRow } from '../store/messages.ts'
import { Batcher, type Bounds } from './batcher.ts'
import type { Store } from './broker.ts'
import { partlyDone, QueueError } from './errors.ts'
import { answerBytesMax, type Digits } from './message.ts'
import { distinctOf, outcomesFor, rounds, type Outcome, type Settling } from './settling.ts'
import type { Tally } from './tally.ts'
import type { Wakeups } from './wakeups.ts'

export interface LeaseRequest { max: number, waitSeconds: number, leaseSeconds: number | null, worker: string, idempotencyKey: string | null }
type Call = LeaseRequest & { acks: Held[] }
/** `used`: with this key messages have been leased before, perhaps for this very caller; whose are to be given again. */
export interface LeaseAnswer { rows: LeasedRow[], more: boolean, outcomes: Outcome[], used: boolean }

const noLease: LeaseRequest = { max: 0, waitSeconds: 0, leaseSeconds: null, worker: '', idempotencyKey: null }

export const unread = new QueueError('overloaded', 'Too much is waiting to be read by callers already; nothing was changed. Send the request again a little later.')

export class Leasing {
  readonly #store: Store
  readonly #wakeups: Wakeups
  readonly #tally: Tally
  readonly #settling: Settling
  readonly #answersFull: () => boolean
  readonly #batcher: Batcher<Call, LeaseAnswer>

  /** `answersFull`: whether callers have so many bytes of answers still to take that there should be no more just now. */
  constructor (store: Store, wakeups: Wakeups, tally: Tally, settling: Settling, answersFull: () => boolean, bounds: Bounds) {
    this.#store = store
    this.#wakeups = wakeups
    this.#tally = tally
    this.#settling = settling
    this.#answersFull = answersFull
    this.#batcher = new Batcher({
      ...bounds, flush: (queueId, calls) => this.#flush(queueId, calls), weigh: ({ max, acks }) => max + acks.length, count: ({ max, acks }) => max + acks.length, isUrgent: ({ acks }) => acks.length > 0, inFlightMax: 2,
      isPoison: (error) => bounds.isPoison(error) || store.messages.isKeyTaken(error)
    })
  }

  /** Acks, and takes what there is, in one commit. Refuses with overloaded. */
  lease (queueId: Digits, request: LeaseRequest, acks: Held[]): Promise<LeaseAnswer> {
    return this.#batcher.add(queueId, { ...request, acks })
  }

  async ack (queueId: Digits, acks: Held[]): Promise<Outcome[]> {
    return (await this.lease(queueId, noLease, acks)).outcomes
  }

  drained (): Promise<void> {
    return this.#batcher.drained()
  }

  // Leases and acks share their flushes: consumers bring both in turn, and apart each flush would be half as full.
  async #flush (queueId: Digits, calls: Call[]): Promise<(LeaseAnswer | Error)[]> {
    const { hints, messages } = this.#store
    const distinct = distinctOf(calls.flatMap((call) => call.acks))
    const parts = rounds([...distinct.values()], ({ id }) => id)
    const database = distinct.size > 0 ? this.#store.database.first : this.#store.database
    // Asked here, in the last moment, because of those who have waited in the meantime thousands may have been answered.
    const full = this.#answersFull()
    const asks = full ? [] : calls.filter(({ max }) => max > 0)
    const take = (session: Session, acks: Held[]) => messages.lease(session, hints, queueId, asks, answerBytesMax, { acks })
    const apart = async (session: Session) => {
      const settled = await this.#settling.inRounds(session, 'ack', queueId, parts)
      return { ...asks.length > 0 ? await take(session, []) : { rows: [], full: false, known: [], atMs: 0 }, acked: [...settled.keys()] }
    }
    if (asks.length > 0) this.#tally.asked(queueId)
    if (asks.length > 0) messages.lookFromStart(database.last, hints, queueId).then((missed) => { if (missed) this.#wakeups.wake(queueId, 1) })
    if (asks.length === 0 && distinct.size === 0) return calls.map(() => unread)
    const flushed = await (parts.length > 1 ? database.transaction(apart) : asks.length === 0 ? apart(database) : take(database, parts[0] ?? [])).catch((error: Error) => {
      if (calls.length > 1 || !messages.isKeyTaken(error)) throw error // whose key it was the batcher finds out
      return null
    })
    if (flushed === null) return [await this.#withUsedKey(queueId, calls[0]!)]
    const { rows, full: cut, acked, known, atMs } = flushed
    this.#tally.leased(queueId, rows, atMs)
    this.#tally.acked(queueId, acked)
    const outcomes = await this.#settling.outcomesOf('ack', queueId, distinct, new Map(acked.map((key) => [key, {}])))
    return calls.map((call) => {
      if (full && call.acks.length === 0) return unread
      const share = rows.splice(0, call.max)
      const answers = outcomesFor(call.acks, outcomes)
      if (answers instanceof Error) return call.max > 0 ? partlyDone(answers) : answers
      return { rows: share, more: cut, outcomes: answers, used: share.length === 0 && call.idempotencyKey !== null && known.includes(call.idempotencyKey) }
    })
  }

  // What its failed statement had locked, others may have missed meanwhile; its acks are still to be done.
  async #withUsedKey (queueId: Digits, call: Call): Promise<LeaseAnswer | Error> {
    this.#wakeups.wake(queueId, call.max)
    const [settled] = call.acks.length > 0 ? await this.#flush(queueId, [{ ...call, max: 0 }]) : [{ outcomes: [] }]
    return settled instanceof Error ? settled : { rows: [], more: false, outcomes: settled!.outcomes, used: true }
  }

  /**
   * What was leased with the key of this request, as far as it is still held; when nothing is, leases anew. Refuses with
   * overloaded. The row that holds the key is unique, so of two calls at once one takes messages and the other finds them taken.
   */
  async leaseAgain (queueId: Digits, request: LeaseRequest): Promise<LeasedRow[]> {
    const { database, hints, messages } = this.#store
    if (this.#answersFull()) throw unread
    for (let attempt = 1; ; attempt++) {
      try {
        const { rows, atMs } = await database.transaction(async (session) => {
          const again = await messages.leaseAgain(session, queueId, request.idempotencyKey!)
          return again.length > 0 ? { rows: again, atMs: null } : await messages.lease(session, hints, queueId, [request], answerBytesMax)
        })
        if (atMs !== null) this.#tally.leased(queueId, rows, atMs)
        return rows
      } catch (error) {
        hints.forget(queueId) // raised past messages that the lost commit may have left where they were
        if (!messages.isKeyTaken(error)) throw error
        if (attempt === 3) throw new QueueError('overloaded', 'Others lease with this idempotency key again and again; nothing was leased. Use a key of its own for each lease.')
      }
    }
  }
}
