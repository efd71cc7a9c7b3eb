/**
 * Bulk actions, and the cancel of one message. A bulk action works in chunks, each a commit of its
 * own. Between two of them others may have their turn, and it ends early when the caller hangs up. The
 * next call goes on where it stopped.
 */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import type { Pass } from '../engine/turns.ts'
import { partlyDone, QueueError } from '../errors.ts'
import { messageNotFound, type Digits } from '../message.ts'
import type { BulkAction, BulkWork, Freed, Matches, RankedVerbs } from '../ports.ts'
import type { Queue } from '../queue.ts'

type Needs = Pick<Parts, 'store' | 'queueCache' | 'wakeups' | 'signals' | 'turns' | 'searchTurns'>
/** Redrives have verbs of their own. */
export type PlainBulkWork = BulkWork<Exclude<BulkAction, 'redrive'>>
/**
 * A chunk is done: how many were changed, and what became ready. `queueId`: in that queue. Left out:
 * in the queue itself.
 */
type OnDone = (count: number, freed: Freed | null, queueId?: Digits) => void

/** core/broker.ts says what the methods do, and how they refuse. */
export class Bulk {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
  }

  act(
    caller: Caller,
    name: string,
    { action, state, selection }: PlainBulkWork,
    signal: AbortSignal
  ): Promise<number> {
    const { signals } = this.#parts
    return inChunks(this.#parts, caller, name, (store, { id, settings }, onDone, pass) =>
      action === 'purge'
        ? store.purge(id, { state, selection, signal, pass }, (count, freed) => {
            onDone(count, freed)
            if (settings.maxLeased !== null) signals.onFree(id, count)
          })
        : store[action](id, { selection, signal, pass }, (count, position) =>
            onDone(count, position === null ? null : { count, position })
          )
    )
  }

  async countMatches(caller: Caller, name: string, work: BulkWork, signal: AbortSignal): Promise<Matches> {
    const { store, queueCache, searchTurns } = this.#parts
    // A queue deleted in the last second may be remembered here, and still have rows to count.
    queueCache.forget(name)
    const { id } = await queueCache.find(caller, name)
    return await searchTurns.run(caller, pass => store.last.countMatches(id, work, { signal, pass }), true)
  }

  async cancel(caller: Caller, name: string, id: Digits): Promise<void> {
    const { store, queueCache, wakeups, signals, turns } = this.#parts
    const queue = await queueCache.find(caller, name)
    const { outcome, freed } = await turns.run(caller, () => store.last.cancel(queue.id, id))
    if (freed !== null) signals.onReady(queue.id, freed.count, freed.position)
    if (outcome === 'leased') {
      throw new QueueError(
        'messageLeased',
        'A worker holds the message just now. Cancel it when the lease has ended, or let the worker ack it.'
      )
    }
    if (outcome === 'unknown') throw messageNotFound(name, id)
    wakeups.wakeForEnd(id)
  }
}

/** Runs work that reports each chunk. Signals what is ready, and answers how many were changed. */
export async function inChunks(
  {
    store,
    queueCache,
    signals,
    searchTurns
  }: Pick<Needs, 'store' | 'queueCache' | 'signals' | 'searchTurns'>,
  caller: Caller,
  name: string,
  work: (store: RankedVerbs, queue: Queue, onDone: OnDone, pass: Pass) => Promise<void>
): Promise<number> {
  const queue = await queueCache.find(caller, name)
  let done = 0
  const onDone: OnDone = (count, freed, readyIn = queue.id) => {
    done += count
    if (freed !== null) signals.onReady(readyIn, freed.count, freed.position)
  }
  await searchTurns
    .run(caller, pass => work(store.last, queue, onDone, pass), true)
    .catch((error: Error) => {
      throw done > 0 ? partlyDone(error) : error
    })
  return done
}
