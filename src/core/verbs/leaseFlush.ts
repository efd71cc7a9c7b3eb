/**
 * Flushes of leases. Callers who lease and callers who ack share the flushes of a queue: consumers
 * do both in turn, and separate flushes would be half as full.
 */
import { largeCount } from '../large.ts'
import { answerBytesMax } from '../limits.ts'
import type { Caller } from '../caller.ts'
import { Batcher } from '../engine/batcher.ts'
import type { Parts } from '../engine/parts.ts'
import type { Share } from '../engine/share.ts'
import { partlyDone, QueueError } from '../errors.ts'
import { hasGroupLimits, hasLimits } from '../leaseLimits.ts'
import { isOrdered } from '../lines.ts'
import type { Digits } from '../message.ts'
import type {
  Held,
  LeaseAsk,
  LeasedRow,
  LeaseFlush,
  LeaseMode,
  RankedVerbs,
  Turned,
  Verbs
} from '../ports.ts'
import type { Queue } from '../queue.ts'
import { addMore } from './leaseMore.ts'
import { distinctOf, hasTwoFences, outcomesFor, type Outcome, type Settling } from './settle.ts'

type Call = LeaseAsk & { caller: Caller; acks: Held[]; queue: Queue }

interface LeaseAnswer {
  rows: LeasedRow[]
  /** More was ready, and would have passed the bound in bytes. */
  more: boolean
  /** Of the acks, in their order. */
  outcomes: Outcome[]
  /** The key was used before, perhaps for this very call. `leaseAgain` gives what it leased. */
  used: boolean
}

const noLease: LeaseAsk = { max: 0, leaseSeconds: null, worker: '', idempotencyKey: null }
const keyAttemptsMax = 3

type Needs = Pick<
  Parts,
  'store' | 'wakeups' | 'signals' | 'replicaStats' | 'bounds' | 'shares' | 'swallow' | 'turns'
>

export class LeaseFlushes {
  readonly #parts: Needs
  readonly #settling: Settling
  readonly #batcher: Batcher<Call, LeaseAnswer>

  constructor(parts: Needs, settling: Settling) {
    this.#parts = parts
    this.#settling = settling
    this.#batcher = new Batcher({
      ...parts.bounds,
      share: parts.shares.leases,
      flush: (queueId, calls) => this.#flush(queueId, calls),
      weigh: ({ max, acks }) => max + acks.length,
      count: ({ max, acks }) => max + acks.length,
      isUrgent: ({ acks }) => acks.length > 0,
      isAlone: ({ max, queue }) => max > 0 && hasLimits(queue.settings),
      inFlightMax: 2,
      isHeavy: ({ max, acks }) => max + acks.length >= largeCount
    })
  }

  /** Acks, and leases what is ready, in one commit. Refuses with overloaded. */
  lease(caller: Caller, queue: Queue, ask: LeaseAsk, acks: Held[]): Promise<LeaseAnswer> {
    return this.#batcher.add(caller, queue.id, { ...ask, caller, acks, queue })
  }

  /** Acks. Refuses with overloaded. */
  async ack(caller: Caller, queue: Queue, acks: Held[]): Promise<Outcome[]> {
    return (await this.lease(caller, queue, noLease, acks)).outcomes
  }

  /**
   * Gives again the messages that were leased with this key and are still held. When there are
   * none, leases. The row that holds the key is unique: of two calls at once, one leases, and the
   * other finds what was leased. Refuses with overloaded.
   */
  async leaseAgain(caller: Caller, queue: Queue, ask: LeaseAsk): Promise<LeasedRow[]> {
    const { store, swallow, wakeups, replicaStats, shares, turns } = this.#parts
    const queueId = queue.id
    const mode = modeOf([queue])
    const backlogged = shares.answerBytes.refusal(caller, 1)
    if (backlogged !== null) throw backlogged
    for (let attempt = 1; ; attempt++) {
      const frees = wakeups.frees(queueId)
      try {
        const answer = await turns.run(caller, () =>
          this.#transaction(store, queueId, async verbs => {
            if (mode.limited) await verbs.lockLimits(queueId)
            const held = await verbs.leaseAgain(queueId, ask.idempotencyKey!)
            if (held.length > 0) return held
            return await verbs.lease(queueId, { asks: headsOf([ask]), bytesMax: answerBytesMax, mode })
          })
        )
        if (Array.isArray(answer)) return answer
        await addMore({ store, swallow }, { queueId, asks: [ask], mode, flush: answer })
        if (answer.room !== null) wakeups.limit(queueId, answer.room, frees)
        this.#tellTurned(queueId, answer.turned)
        replicaStats.leased(queueId, answer.rows, answer.atMs)
        return answer.rows
      } catch (error) {
        if (!store.isLeaseKeyTaken(error)) throw error
        wakeups.wake(queueId, ask.max)
        if (attempt === keyAttemptsMax) {
          throw new QueueError(
            'overloaded',
            'Other calls keep leasing with this idempotency key; nothing was leased. Use a new key for ' +
              'each lease.'
          )
        }
      }
    }
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  async #flush(queueId: Digits, calls: Call[]): Promise<(LeaseAnswer | Error)[]> {
    const hasBoth = calls.some(({ acks }) => acks.length > 0) && calls.some(({ max }) => max > 0)
    if (hasBoth && calls.some(({ queue }) => hasGroupLimits(queue.settings))) {
      return await this.#ackThenLease(queueId, calls)
    }
    const { store, wakeups } = this.#parts
    const keyed = calls.filter(({ idempotencyKey: key, max }) => key !== null && max > 0)
    const firstOf = new Map(keyed.toReversed().map(call => [call.idempotencyKey, call]))
    // Calls whose key was used: by another call of this flush, or before it. Only their acks are
    // done here.
    const usedKeyCalls = new Set(keyed.filter(call => firstOf.get(call.idempotencyKey) !== call))
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#commit(queueId, calls, usedKeyCalls)
      } catch (error) {
        if (!store.isLeaseKeyTaken(error)) throw error
        const keys = keyed.map(({ idempotencyKey }) => idempotencyKey!)
        // The keys are looked up once. If the statement fails again, all of them count as used.
        const used = attempt === 1 ? await store.usedLeaseKeys(queueId, keys) : null
        for (const call of keyed) {
          if (used === null || used.has(call.idempotencyKey!)) usedKeyCalls.add(call)
        }
        // Others may have passed by the messages that the failed statement had locked.
        wakeups.wake(queueId, keyed.length)
      }
    }
  }

  // Where groups have limits, acks and leases both lock lines, each in their order. In one commit the
  // two orders could meet those of another and deadlock.
  async #ackThenLease(queueId: Digits, calls: Call[]): Promise<(LeaseAnswer | Error)[]> {
    const acked = await this.#flush(
      queueId,
      calls.map(call => ({ ...call, max: 0 }))
    )
    const leased = await this.#flush(
      queueId,
      calls.map(call => ({ ...call, acks: [] }))
    ).catch((error: Error) => {
      this.#parts.swallow(error)
      return calls.map(() => error)
    })
    return leased.map((answer, index) => {
      const { acks, idempotencyKey, max } = calls[index]!
      const settled = acked[index]!
      if (settled instanceof Error) return max > 0 ? partlyDone(settled) : settled
      if (!(answer instanceof Error)) return { ...answer, outcomes: settled.outcomes }
      if (acks.length === 0) return answer
      // The acks are done, so their outcomes are told. With a key, messages may be leased already.
      return idempotencyKey === null ? { ...settled, more: false } : partlyDone(answer)
    })
  }

  async #commit(queueId: Digits, calls: Call[], usedKeyCalls: Set<Call>): Promise<(LeaseAnswer | Error)[]> {
    const { store, swallow, wakeups, replicaStats, shares } = this.#parts
    const distinct = distinctOf(calls.flatMap(call => call.acks))
    // Asked at the last moment: thousands may have been answered while these calls waited.
    const backlogged = refusalsOf(calls, shares.answerBytes)
    const asks = calls.filter(
      call => call.max > 0 && !usedKeyCalls.has(call) && backlogged.get(call.caller) === null
    )
    if (asks.length > 0) {
      replicaStats.asked(queueId)
      this.#findMissed(queueId)
    }
    const queues = calls.map(({ queue }) => queue)
    const mode = modeOf(queues)
    const frees = wakeups.frees(queueId)
    const flush = await this.#send(queueId, asks, [...distinct.values()], mode)
    await addMore({ store, swallow }, { queueId, asks, mode, flush })
    if (flush.room !== null) wakeups.limit(queueId, flush.room, frees)
    this.#tellFreed(queues, flush)
    this.#tellTurned(queueId, flush.turned)
    const { rows, acked, freed, atMs } = flush
    replicaStats.leased(queueId, rows, atMs)
    replicaStats.acked(queueId, acked)
    const changed = new Map(acked.map(key => [key, distinct.get(key)!]))
    const outcomes = await this.#settling.outcomesOf('ack', queueId, distinct, { changed, freed })
    const shareOf = new Map(asks.map((ask, index) => [ask, flush.shares[index]!]))
    const done: Done = { flush, outcomes, shareOf, backlogged, usedKeyCalls }
    return calls.map(call => answerTo(call, done))
  }

  // One statement, where no message is acked under two fences.
  #send(queueId: Digits, asks: LeaseAsk[], acks: Held[], mode: LeaseMode): Promise<LeaseFlush> {
    const store = acks.length > 0 ? this.#parts.store.first : this.#parts.store
    const settleAndLease = async (verbs: Verbs): Promise<LeaseFlush> => {
      const { changed, freed } = await this.#settling.settleOnce(verbs, 'ack', queueId, acks)
      const leased =
        asks.length > 0
          ? await verbs.lease(queueId, { asks: headsOf(asks), bytesMax: answerBytesMax, mode })
          : { rows: [], shares: [], bytes: 0, full: false, turned: null, usedKeys: [], room: null, atMs: 0 }
      return { ...leased, acked: [...changed.keys()], freed }
    }
    if (hasTwoFences(acks)) return this.#transaction(store, queueId, settleAndLease)
    if (asks.length === 0) return settleAndLease(store)
    return store.lease(queueId, { asks: headsOf(asks), bytesMax: answerBytesMax, acks, mode })
  }

  /** Tells of the places that the acks of a flush have freed, and that its leases have not taken. */
  #tellFreed([queue]: Queue[], { acked, room }: LeaseFlush): void {
    if (queue!.settings.maxLeased === null) return
    const free = Math.min(acked.length, room?.places ?? Infinity)
    if (free > 0) this.#parts.signals.onFree(queue!.id, free)
  }

  /** Tells of what the leases of a flush have put in the place of their messages, in lines. */
  #tellTurned(queueId: Digits, turned: Turned | null): void {
    const { signals } = this.#parts
    if (turned !== null && turned.count > 0) signals.onReady(queueId, turned.count, turned.position)
    if (turned?.dueAtMs != null) signals.onDue(turned.dueAtMs)
  }

  #findMissed(queueId: Digits): void {
    const { store, wakeups } = this.#parts
    store.last.findMissed(queueId).then(missed => {
      if (missed) wakeups.wake(queueId, 1)
    })
  }

  async #transaction<T>(store: RankedVerbs, queueId: Digits, work: (verbs: Verbs) => Promise<T>): Promise<T> {
    try {
      return await store.transaction(work)
    } catch (error) {
      // The hints may have been raised past messages that the lost commit did not lease.
      this.#parts.store.forgetScan(queueId)
      throw error
    }
  }
}

/** What a flush has done for its calls. */
interface Done {
  flush: LeaseFlush
  /** Of all acks, by `id.fence`. */
  outcomes: Map<string, Outcome | Error>
  /** The messages of each call that asked for some. */
  shareOf: Map<Call, LeasedRow[]>
  /** The refusal of more answers to each caller, or null. */
  backlogged: Map<Caller, QueueError | null>
  /** Calls whose key was used before. */
  usedKeyCalls: Set<Call>
}

function answerTo(call: Call, { flush, outcomes, shareOf, backlogged, usedKeyCalls }: Done) {
  const { max, acks, idempotencyKey: key } = call
  const settled = outcomesFor(acks, outcomes)
  if (settled instanceof Error) return max > 0 ? partlyDone(settled) : settled
  const refusal = backlogged.get(call.caller)!
  if (refusal !== null && max > 0) {
    if (acks.length === 0) return refusal
    // The key may stand for messages that the caller holds already, so an empty answer would be wrong.
    if (key !== null) return partlyDone(refusal)
  }
  const rows = shareOf.get(call) ?? []
  const foundUsed = rows.length === 0 && key !== null && flush.usedKeys.includes(key)
  // What its acks have freed was not yet to be seen by the same statement.
  const hasFreed = flush.freed !== null && acks.length > 0
  return {
    rows,
    more: flush.full || hasFreed,
    outcomes: settled,
    used: foundUsed || usedKeyCalls.has(call)
  }
}

/** What the asks take first. The others of a group are added to its first one. */
const headsOf = (asks: LeaseAsk[]): LeaseAsk[] =>
  asks.map(ask => (ask.ofOneGroup === true ? { ...ask, max: 1 } : ask))

/** How to lease for calls that have looked up their queue at most a second ago. */
const modeOf = (queues: Queue[]): LeaseMode => ({
  ordered: queues.some(({ settings }) => isOrdered(settings)),
  limited: queues.some(({ settings }) => hasLimits(settings))
})

/** For each caller of the calls: the refusal of more bytes of answers, or null. */
function refusalsOf(calls: Call[], answerBytes: Share): Map<Caller, QueueError | null> {
  const refusals = new Map<Caller, QueueError | null>()
  for (const { caller } of calls) {
    if (!refusals.has(caller)) refusals.set(caller, answerBytes.refusal(caller, 1))
  }
  return refusals
}
