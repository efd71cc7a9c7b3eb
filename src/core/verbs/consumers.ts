/** Consumers of a queue: the workers seen lately, and when anybody last asked for messages. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import type { ConsumersFound } from '../ports.ts'
import { queueNotFound } from '../queue.ts'
import { lastAskedMs } from './explain.ts'

export interface Consumers extends Omit<ConsumersFound, 'askedAt'> {
  /** When anybody last asked for messages, on any replica. null: never. */
  lastAskedAt: string | null
}

type Needs = Pick<Parts, 'store' | 'queueCache' | 'wakeups' | 'replicaStats' | 'siblings' | 'searchTurns'>

export class Consuming {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
  }

  /** What each of the workers holds. Refuses with queueNotFound, overloaded. */
  async list(caller: Caller, name: string): Promise<Consumers> {
    const { store, queueCache, searchTurns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    const found = await searchTurns.run(caller, () => store.last.findConsumers(id))
    if (found === null) throw queueNotFound(name)
    const { askedAt, ...rest } = found
    const askedMs = await lastAskedMs(this.#parts, id, askedAt)
    return { ...rest, lastAskedAt: askedMs === null ? null : new Date(askedMs).toISOString() }
  }
}
