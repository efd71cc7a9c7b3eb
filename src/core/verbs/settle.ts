/** Settling leases: receipts that end them, many callers' in one commit, with an outcome for each. */
import { Batcher, type Bounds } from '../engine/batcher.ts'
import { rounds } from '../engine/rounds.ts'
import type { Signals } from '../engine/signals.ts'
import type { Wakeups } from '../engine/wakeups.ts'
import type { Digits } from '../message.ts'
import type { Held, Standing, Store, Verbs } from '../ports.ts'

export type Outcome =
  | { outcome: 'acked' | 'released' | 'dead' | 'gone' | 'leaseLost' }
  | { outcome: 'retrying'; visibleAt: string }
  | { outcome: 'extended'; leaseExpiresAt: string }

/** A receipt as it came, with what its verb needs. */
export interface Settlement {
  receipt: string
  reason?: string
  delaySeconds?: number
  dead?: boolean
  leaseSeconds?: number
}

export type Verb = 'ack' | 'fail' | 'extend' | 'release'
/** What a verb is given of each receipt, and what it answers of each message that it changed. */
export type HeldBy<V extends Verb> = Parameters<Verbs[V]>[1][number]
export type ChangedBy<V extends Verb> = Awaited<ReturnType<Verbs[V]>>[number]

export class Settling {
  readonly #store: Store
  readonly #signals: Signals
  readonly #wakeups: Wakeups
  readonly #batchers: { [V in Exclude<Verb, 'ack'>]: Batcher<HeldBy<V>[], Outcome[]> }

  constructor(store: Store, signals: Signals, wakeups: Wakeups, bounds: Bounds) {
    this.#store = store
    this.#signals = signals
    this.#wakeups = wakeups
    const batcher = <V extends Exclude<Verb, 'ack'>>(verb: V) =>
      new Batcher<HeldBy<V>[], Outcome[]>({
        ...bounds,
        isUrgent: () => true,
        flush: (queueId, calls) => this.#flush(verb, queueId, calls),
        weigh: call => call.length,
        count: call => call.length,
        inFlightMax: 2
      })
    this.#batchers = { fail: batcher('fail'), extend: batcher('extend'), release: batcher('release') }
  }

  /**
   * An outcome for each, in their order, after the commit. Acks share the flushes of leases
   * instead, which the broker has.
   */
  settle<V extends Exclude<Verb, 'ack'>>(verb: V, queueId: Digits, held: HeldBy<V>[]): Promise<Outcome[]> {
    return (this.#batchers[verb] as unknown as Batcher<HeldBy<V>[], Outcome[]>).add(queueId, held)
  }

  async drained(): Promise<void> {
    await Promise.all(Object.values(this.#batchers).map(batcher => batcher.drained()))
  }

  async #flush<V extends Exclude<Verb, 'ack'>>(
    verb: V,
    queueId: Digits,
    calls: HeldBy<V>[][]
  ): Promise<(Outcome[] | Error)[]> {
    const store = this.#store.first
    const distinct = distinctOf(calls.flat())
    const parts = rounds([...distinct.values()], ({ id }) => id)
    const changed = await (parts.length > 1
      ? store.transaction(verbs => this.inRounds(verbs, verb, queueId, parts))
      : this.inRounds(store, verb, queueId, parts))
    const outcomes = await this.outcomesOf(verb, queueId, distinct, changed)
    return calls.map(call => outcomesFor(call, outcomes))
  }

  /**
   * Settles parts of which none holds an id twice, and answers what was changed by id and fence.
   * Receipts of one message under several fences need several statements, so all of the messages
   * are locked first, in order.
   */
  async inRounds<V extends Verb>(
    verbs: Verbs,
    verb: V,
    queueId: Digits,
    parts: HeldBy<V>[][]
  ): Promise<Map<string, ChangedBy<V>>> {
    if (parts.length > 1) {
      const ids = parts.flat().map(({ id }) => id)
      await verbs.lockMessages(queueId, ids)
    }
    const settle = verbs[verb] as (queueId: Digits, held: HeldBy<V>[]) => Promise<ChangedBy<V>[]>
    const changed = new Map<string, ChangedBy<V>>()
    for (const part of parts) {
      for (const row of await settle(queueId, part)) changed.set(keyOf(row), row)
    }
    return changed
  }

  /**
   * What came of each receipt: from the changed rows, and for the others from where their message
   * stands. Sends the signals.
   */
  async outcomesOf<V extends Verb>(
    verb: V,
    queueId: Digits,
    distinct: Map<string, Held>,
    changed: Map<string, ChangedBy<V>>
  ): Promise<Map<string, Outcome | Error>> {
    const effectOf = effects[verb] as (row: ChangedBy<V>) => Effect
    const unchangedIds = [...distinct].filter(([key]) => !changed.has(key)).map(([, { id }]) => id)
    // The changes are committed. If this look fails, only the receipts that changed nothing get its error.
    const standings =
      unchangedIds.length > 0
        ? await this.#store.first.standings(queueId, unchangedIds).catch((error: Error) => error)
        : new Map<Digits, Standing>()
    let readyCount = 0
    let lowest = Infinity
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
      const { outcome, readyAt, dueAt, ended } = effectOf(row)
      outcomes.set(key, outcome)
      if (readyAt !== undefined) {
        readyCount++
        lowest = Math.min(lowest, Number(readyAt))
      }
      if (dueAt !== undefined) this.#signals.onDue(Date.parse(dueAt))
      if (ended) this.#wakeups.wakeForEnd(id)
    }
    if (readyCount > 0) this.#signals.onReady(queueId, readyCount, lowest)
    return outcomes
  }
}

/** What a settled message means for its caller and for those who wait. */
interface Effect {
  outcome: Outcome
  /** The message is ready, at this position. */
  readyAt?: Digits
  /** Something falls due at this time: a retry, or the end of a lease. */
  dueAt?: string
  /** The message is acked or dead. */
  ended?: boolean
}

const effects: { [V in Verb]: (row: ChangedBy<V>) => Effect } = {
  ack: () => ({ outcome: { outcome: 'acked' }, ended: true }),
  fail({ at, position, ready, dead }) {
    if (dead) return { outcome: { outcome: 'dead' }, ended: true }
    const outcome: Outcome = { outcome: 'retrying', visibleAt: at }
    return ready ? { outcome, readyAt: position } : { outcome, dueAt: at }
  },
  extend: ({ at }) => ({ outcome: { outcome: 'extended', leaseExpiresAt: at }, dueAt: at }),
  release: ({ position }) => ({ outcome: { outcome: 'released' }, readyAt: position })
}

function keyOf({ id, fence }: Held): string {
  return `${id}.${fence}`
}

/** By id and fence, each once. */
export function distinctOf<H extends Held>(held: H[]): Map<string, H> {
  return new Map(held.map(one => [keyOf(one), one]))
}

/** The outcomes of one call's receipts; an error among them is the whole call's. */
export function outcomesFor(held: Held[], outcomes: Map<string, Outcome | Error>): Outcome[] | Error {
  const answers = held.map(one => outcomes.get(keyOf(one))!)
  return answers.find(answer => answer instanceof Error) ?? (answers as Outcome[])
}

// A receipt that changed nothing: its message is gone, or under another fence, or the same call came
// before.
function unchangedOutcome(verb: Verb, fence: Digits, standing: Standing | undefined): Outcome {
  if (standing === undefined) return { outcome: 'gone' }
  if (standing.fence !== fence) return { outcome: 'leaseLost' }
  if (standing.acked) return { outcome: verb === 'ack' ? 'acked' : 'gone' }
  if (verb === 'release') return { outcome: standing.dead ? 'dead' : 'released' }
  return { outcome: 'leaseLost' }
}
