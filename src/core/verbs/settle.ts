/** Settling leases: receipts that end them, many callers' in one commit, with an outcome for each. */
import type { Row, Session } from '../../store/database.ts'
import type { Extension, Failure, Held } from '../../store/verbs/messages.ts'
import { Batcher, type Bounds } from '../engine/batcher.ts'
import type { Signals, Store } from '../broker.ts'
import type { Digits } from '../message.ts'

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
export type HeldBy<V extends Verb> = V extends 'fail' ? Failure : V extends 'extend' ? Extension : Held

export class Settling {
  readonly #store: Store
  readonly #signals: Signals
  readonly #onEnded: (queueId: Digits, id: Digits) => void
  readonly #batchers: { [V in Exclude<Verb, 'ack'>]: Batcher<HeldBy<V>[], Outcome[]> }

  /** `onEnded` hears of each message that is acked or dead. */
  constructor(
    store: Store,
    signals: Signals,
    onEnded: (queueId: Digits, id: Digits) => void,
    bounds: Bounds
  ) {
    this.#store = store
    this.#signals = signals
    this.#onEnded = onEnded
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
    const database = this.#store.database.first
    const distinct = distinctOf(calls.flat())
    const parts = rounds([...distinct.values()], ({ id }) => id)
    const changed = await (parts.length > 1
      ? database.transaction(session => this.inRounds(session, verb, queueId, parts))
      : this.inRounds(database, verb, queueId, parts))
    const outcomes = await this.outcomesOf(verb, queueId, distinct, changed)
    return calls.map(call => outcomesFor(call, outcomes))
  }

  /**
   * Settles parts of which none holds an id twice; answers the rows that were changed, by id and
   * fence. Receipts of one message under several fences take several statements, whose locks
   * together must be in order too.
   */
  async inRounds<V extends Verb>(
    session: Session,
    verb: V,
    queueId: Digits,
    parts: HeldBy<V>[][]
  ): Promise<Map<string, Row>> {
    const { messages } = this.#store
    const statement = messages.settle[verb] as (
      session: Session,
      queueId: Digits,
      held: HeldBy<V>[]
    ) => Promise<Row[]>
    const changed = new Map<string, Row>()
    if (parts.length > 1) {
      await messages.lock(
        session,
        queueId,
        parts.flat().map(({ id }) => id)
      )
    }
    for (const part of parts) {
      for (const row of await statement(session, queueId, part)) changed.set(keyOf(row as Row & Held), row)
    }
    return changed
  }

  /**
   * What came of each: the rows that were changed, and of the others where their message stands.
   * Tells the signals.
   */
  async outcomesOf(
    verb: Verb,
    queueId: Digits,
    distinct: Map<string, Held>,
    changed: Map<string, Row>
  ): Promise<Map<string, Outcome | Error>> {
    const {
      database: { first: database },
      messages
    } = this.#store
    const missed = [...distinct].filter(([key]) => !changed.has(key)).map(([, { id }]) => id)
    // What was changed is committed: a look that fails now is the answer of those alone whose
    // receipts changed nothing.
    const standing =
      missed.length > 0
        ? await messages.whereTheyStand(database, queueId, missed).catch((error: Error) => error)
        : new Map()
    let ready = 0
    let position = Infinity
    const makeReady = (row: Row) => {
      ready++
      position = Math.min(position, Number(row.position))
    }
    const outcomes = new Map<string, Outcome | Error>()
    for (const [key, { id, fence }] of distinct) {
      const row = changed.get(key)
      if (row === undefined) {
        outcomes.set(key, standing instanceof Error ? standing : unchanged(verb, fence, standing.get(id)))
      } else if (verb === 'fail') {
        outcomes.set(key, row.dead ? { outcome: 'dead' } : { outcome: 'retrying', visibleAt: row.at })
        if (row.ready) makeReady(row)
        else if (!row.dead) this.#signals.onDue(Date.parse(row.at))
        if (row.dead) this.#onEnded(queueId, id)
      } else if (verb === 'extend') {
        outcomes.set(key, { outcome: 'extended', leaseExpiresAt: row.at })
        this.#signals.onDue(Date.parse(row.at))
      } else {
        outcomes.set(key, { outcome: verb === 'ack' ? 'acked' : 'released' })
        if (verb === 'ack') this.#onEnded(queueId, id)
        else makeReady(row)
      }
    }
    if (ready > 0) this.#signals.onReady(queueId, ready, position)
    return outcomes
  }
}

/** Splits items so that none of the parts holds a key twice; what has no key goes with the first. */
export function rounds<T>(items: T[], keyOf: (item: T) => string | null): T[][] {
  const parts: T[][] = []
  const seen = new Map<string, number>()
  for (const item of items) {
    const key = keyOf(item)
    const round = key === null ? 0 : (seen.get(key) ?? 0)
    if (key !== null) seen.set(key, round + 1)
    if (parts.length <= round) parts.push([])
    parts[round]!.push(item)
  }
  return parts
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

// A receipt that changed nothing: its message is gone, or under another fence, or the same call came before.
function unchanged(
  verb: Verb,
  fence: Digits,
  at: { fence: Digits; dead: boolean; acked: boolean } | undefined
): Outcome {
  if (at === undefined) return { outcome: 'gone' }
  if (at.fence !== fence) return { outcome: 'leaseLost' }
  if (at.acked) return { outcome: verb === 'ack' ? 'acked' : 'gone' }
  if (verb === 'release') return { outcome: at.dead ? 'dead' : 'released' }
  return { outcome: 'leaseLost' }
}
