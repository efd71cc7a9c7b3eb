/**
 * Settling: ends or extends leases by their receipts. Many callers share a commit, and each receipt
 * has its own outcome.
 */
import { Batcher } from '../engine/batcher.ts'
import type { Caller } from '../caller.ts'
import type { Followed } from '../completion.ts'
import type { Parts } from '../engine/parts.ts'
import { ReadyCounts } from '../engine/signals.ts'
import { largeBytes, largeCount } from '../large.ts'
import { storable, type Digits } from '../message.ts'
import type { ChangedBy, Freed, Held, HeldBy, SettleVerb, Settlers, Standing, Verbs } from '../ports.ts'
import type { Queue } from '../queue.ts'
import { readReceipts } from './receipts.ts'

/** The outcomes without fields of their own, but for what an ack enqueued. */
type PlainOutcome = 'acked' | 'dead' | 'released' | 'gone' | 'leaseLost'

/** What can become of a receipt. */
export type Outcome =
  | { outcome: PlainOutcome; then?: Followed[] }
  | { outcome: 'dead'; movedTo: string }
  | { outcome: 'retrying'; visibleAt: string }
  | { outcome: 'extended'; leaseExpiresAt: string }

/** Those that end a lease. */
const leaseEnds: Outcome['outcome'][] = ['acked', 'retrying', 'dead', 'released']

/** One receipt from a front, with the fields that its verb needs. */
export interface Settlement {
  receipt: string
  reason?: string
  delaySeconds?: number
  dead?: boolean
  leaseSeconds?: number
}

/** What follows from a settled message, for its caller and for callers that wait. */
interface Effect {
  outcome: Outcome
  /** The position of the message, if it is ready now. */
  readyAt?: Digits
  /** The queue in which it is ready, if it has moved to another. */
  readyIn?: Digits
  /** When the sweeper must look at the message: its retry, or the end of its lease. */
  dueAt?: string
  /** The message is acked or dead. */
  ended?: boolean
}

interface Rules<V extends SettleVerb> {
  /** What the store needs to know of a receipt. */
  held: (lease: Held, settlement: Settlement) => HeldBy<V>
  /** What follows when the store changed the message. */
  changed: (row: ChangedBy<V>) => Effect
  /**
   * The outcome when the store changed nothing although the message was not leased again. Then the
   * lease has ended, or the same call came before.
   */
  unchanged: (standing: Standing) => PlainOutcome
}

/** One for all acks, because there may be thousands in a flush. */
const ackEffect: Effect = { outcome: { outcome: 'acked' }, ended: true }

const rules: { [V in SettleVerb]: Rules<V> } = {
  ack: {
    held: lease => lease,
    changed: () => ackEffect,
    unchanged: ({ acked }) => (acked ? 'acked' : 'leaseLost')
  },
  fail: {
    held: ({ id, fence }, { reason = null, delaySeconds = null, dead = false }) => ({
      id,
      fence,
      reason: reason === null ? null : storable(reason),
      delaySeconds,
      dead
    }),
    changed({ at, position, ready, dead, movedTo, movedToId }) {
      if (movedTo !== null) {
        const outcome: Outcome = { outcome: 'dead', movedTo }
        const ready = position === null ? {} : { readyAt: position, readyIn: String(movedToId) }
        return { outcome, ended: true, ...ready }
      }
      if (dead) return { outcome: { outcome: 'dead' }, ended: true }
      const outcome: Outcome = { outcome: 'retrying', visibleAt: at }
      return ready ? { outcome, readyAt: position! } : { outcome, dueAt: at }
    },
    unchanged: ({ acked }) => (acked ? 'gone' : 'leaseLost')
  },
  extend: {
    held: ({ id, fence }, { leaseSeconds }) => ({ id, fence, leaseSeconds: leaseSeconds! }),
    changed: ({ at }) => ({ outcome: { outcome: 'extended', leaseExpiresAt: at }, dueAt: at }),
    unchanged: ({ acked }) => (acked ? 'gone' : 'leaseLost')
  },
  release: {
    held: lease => lease,
    changed: ({ position }) => ({
      outcome: { outcome: 'released' },
      ...(position !== null && { readyAt: position })
    }),
    unchanged({ acked, dead }) {
      if (acked) return 'gone'
      return dead ? 'dead' : 'released'
    }
  }
}

/** What a flush changed, by `id.fence`, and what became ready in lines by that. */
export interface Settled<V extends SettleVerb> {
  changed: Map<string, ChangedBy<V>>
  freed: Freed | null
}

type Commit<V extends SettleVerb> = (caller: Caller, queue: Queue, held: HeldBy<V>[]) => Promise<Outcome[]>
type Needs = Pick<Parts, 'store' | 'queueCache' | 'wakeups' | 'signals' | 'bounds' | 'shares'>

export class Settling {
  readonly #parts: Needs
  readonly #commits: { [V in SettleVerb]: Commit<V> }
  readonly #batchers: { drained(): Promise<void> }[] = []

  /** `ackWithLeases` commits acks, because acks share their flushes with leases. */
  constructor(parts: Needs, ackWithLeases: Commit<'ack'>) {
    this.#parts = parts
    this.#commits = {
      ack: ackWithLeases,
      fail: this.#batched('fail'),
      extend: this.#batched('extend'),
      release: this.#batched('release')
    }
  }

  /** core/broker.ts says what it does, and how it refuses. */
  async settle(
    caller: Caller,
    name: string,
    verb: SettleVerb,
    settlements: Settlement[],
    pointer: (index: number) => string
  ): Promise<Outcome[]> {
    const receipts = settlements.map(({ receipt }) => receipt)
    const { queueCache } = this.#parts
    const { queue, leases, current } = await readReceipts(queueCache, caller, name, receipts, pointer)
    const outcomes: Outcome[] = settlements.map(() => ({ outcome: 'gone' }))
    if (current.length === 0) return outcomes
    const held = current.map(index => rules[verb].held(leases[index]!, settlements[index]!))
    const answers = await this.commit(caller, verb, queue, held)
    current.forEach((index, i) => {
      outcomes[index] = answers[i]!
    })
    return outcomes
  }

  /** Settles leases of one queue, in a commit that other callers may share. Refuses with overloaded. */
  commit<V extends SettleVerb>(caller: Caller, verb: V, queue: Queue, held: HeldBy<V>[]): Promise<Outcome[]> {
    return this.#commits[verb](caller, queue, held)
  }

  /** Tells who waits for a place that these outcomes have ended leases of the queue. */
  tellFreed({ id, settings }: Queue, outcomes: Outcome[]): void {
    if (settings.maxLeased === null) return
    const ended = outcomes.filter(({ outcome }) => leaseEnds.includes(outcome)).length
    if (ended > 0) this.#parts.signals.onFree(id, ended)
  }

  async drained(): Promise<void> {
    await Promise.all(this.#batchers.map(batcher => batcher.drained()))
  }

  /**
   * Settles what is held, and answers what was changed, by `id.fence`. No statement may hold an id
   * twice. If a message stands here under several fences, all messages are locked first, in order.
   * Only the fence that each has then can still settle it.
   */
  async settleOnce<V extends SettleVerb>(
    verbs: Verbs,
    verb: V,
    queueId: Digits,
    held: HeldBy<V>[]
  ): Promise<Settled<V>> {
    const settlers: Settlers = verbs
    let current = held
    if (hasTwoFences(held)) {
      const ids = [...new Set(held.map(({ id }) => id))]
      await verbs.lockMessages(queueId, ids)
      const now = await verbs.standings(queueId, ids)
      current = held.filter(({ id, fence }) => now.get(id)?.fence === fence)
    }
    const { rows, freed } =
      current.length > 0 ? await settlers[verb](queueId, current) : { rows: [], freed: null }
    return { changed: changesOf(rows), freed }
  }

  /**
   * Answers the outcome of each receipt, by `id.fence`. It comes from the row that was changed. If
   * there is none, it comes from the present state of the message. Also sends the signals.
   */
  async outcomesOf<V extends SettleVerb>(
    verb: V,
    queueId: Digits,
    distinct: Map<string, Held>,
    { changed, freed }: Settled<V>
  ): Promise<Map<string, Outcome | Error>> {
    const { store, wakeups, signals } = this.#parts
    const { changed: effectOf } = rules[verb]
    const unchangedIds = [...distinct].filter(([key]) => !changed.has(key)).map(([, { id }]) => id)
    // The changes are committed by now. If this look-up fails, only the receipts that changed nothing
    // get its error.
    const standings =
      unchangedIds.length > 0
        ? await store.first.standings(queueId, unchangedIds).catch((error: Error) => error)
        : new Map<Digits, Standing>()
    const ready = new ReadyCounts()
    if (freed !== null) ready.add(queueId, freed.count, freed.position)
    const outcomes = new Map<string, Outcome | Error>()
    for (const [key, { id, fence }] of distinct) {
      const row = changed.get(key)
      if (row === undefined) {
        outcomes.set(
          key,
          standings instanceof Error ? standings : unchangedOutcome(verb, fence, standings.get(id))
        )
        continue
      }
      const { outcome, readyAt, readyIn = queueId, dueAt, ended } = effectOf(row)
      outcomes.set(key, outcome)
      if (readyAt !== undefined) ready.add(readyIn, 1, Number(readyAt))
      if (dueAt !== undefined) signals.onDue(Date.parse(dueAt))
      if (ended) wakeups.wakeForEnd(id)
    }
    ready.signal(signals)
    return outcomes
  }

  #batched<V extends SettleVerb>(verb: V): Commit<V> {
    const batcher = new Batcher<HeldBy<V>[], Outcome[]>({
      ...this.#parts.bounds,
      share: this.#parts.shares.settlements,
      isUrgent: () => true,
      flush: (queueId, calls) => this.#flush(verb, queueId, calls),
      weigh: call => call.length,
      count: call => call.length,
      inFlightMax: 2,
      isHeavy: call => call.length >= largeCount || reasonCharsOf(call) >= largeBytes
    })
    this.#batchers.push(batcher)
    return async (caller, queue, held) => {
      const outcomes = await batcher.add(caller, queue.id, held)
      this.tellFreed(queue, outcomes)
      return outcomes
    }
  }

  async #flush<V extends SettleVerb>(
    verb: V,
    queueId: Digits,
    calls: HeldBy<V>[][]
  ): Promise<(Outcome[] | Error)[]> {
    const store = this.#parts.store.first
    const distinct = distinctOf(calls.flat())
    const held = [...distinct.values()]
    const settled = await (hasTwoFences(held)
      ? store.transaction(verbs => this.settleOnce(verbs, verb, queueId, held))
      : this.settleOnce(store, verb, queueId, held))
    const outcomes = await this.outcomesOf(verb, queueId, distinct, settled)
    return calls.map(call => outcomesFor(call, outcomes))
  }
}

/** Characters of the reasons of failures, which are stored. */
function reasonCharsOf(held: Held[]): number {
  return held.reduce((chars, lease) => chars + ('reason' in lease ? String(lease.reason).length : 0), 0)
}

/** Names one lease of a message. */
export function keyOf({ id, fence }: Held): string {
  return `${id}.${fence}`
}

function changesOf<C extends Held>(rows: C[]): Map<string, C> {
  return new Map(rows.map(row => [keyOf(row), row]))
}

/** Whether a message stands here under several fences. Each lease must stand here once. */
export function hasTwoFences(held: Held[]): boolean {
  return new Set(held.map(({ id }) => id)).size < held.length
}

/** Each lease once, by `id.fence`. */
export function distinctOf<H extends Held>(held: H[]): Map<string, H> {
  return new Map(held.map(lease => [keyOf(lease), lease]))
}

/** The outcomes of one call's receipts. If one of them is an error, the whole call gets that error. */
export function outcomesFor(held: Held[], outcomes: Map<string, Outcome | Error>): Outcome[] | Error {
  const answers = held.map(lease => outcomes.get(keyOf(lease))!)
  return answers.find(answer => answer instanceof Error) ?? (answers as Outcome[])
}

// For a receipt that changed nothing. If its message exists and was not leased again, the rule of the
// verb decides.
function unchangedOutcome(verb: SettleVerb, fence: Digits, standing: Standing | undefined): Outcome {
  if (standing === undefined) return { outcome: 'gone' }
  if (standing.fence !== fence) return { outcome: 'leaseLost' }
  return { outcome: rules[verb].unchanged(standing) }
}
