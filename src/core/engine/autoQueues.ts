/** Makes the queues that enqueues name and that are not there, within a bound. */
import type { Caller } from '../caller.ts'
import { checkOneMore, type Holding } from '../fairShare.ts'
import type { Store } from '../ports.ts'
import type { Share } from './share.ts'
import { Turns } from './turns.ts'

/** A burst of new queues of one caller may take longer than other waits. */
const waitSecondsMax = 15

/**
 * Queues are made one after another, because each is counted, and callers take turns. Nothing here
 * runs for a queue that exists.
 */
export class AutoQueues {
  readonly #store: Store
  readonly #turns: Pick<Turns, 'run'>
  readonly #makers: Turns
  readonly #max: number
  /** By name, caller and whose turn it takes: calls that need the same queue share the work. */
  readonly #making = new Map<string, Promise<void>>()

  /** `places` is the bound of the calls that wait. */
  constructor(store: Store, turns: Pick<Turns, 'run'>, places: Share, max: number) {
    this.#store = store
    this.#turns = turns
    this.#makers = new Turns(1, places, { waitSecondsMax })
    this.#max = max
  }

  /**
   * Makes the queue if there is none. It counts for `caller`, and takes a turn of `inTurnOf`. Refuses
   * with tooManyQueues, shareUsedUp, overloaded.
   */
  make(caller: Caller, name: string, inTurnOf = caller): Promise<void> {
    const key = `${name} ${caller.id} ${inTurnOf.id}`
    const underway = this.#making.get(key)
    if (underway !== undefined) return underway
    const made = this.#makers
      .run(inTurnOf, () => this.#turns.run(inTurnOf, () => this.#make(caller, name)))
      .finally(() => this.#making.delete(key))
    this.#making.set(key, made)
    return made
  }

  async #make(caller: Caller, name: string): Promise<void> {
    await this.#store.transaction(async verbs => {
      const { exists, ...held } = await verbs.countAutoQueues(name, caller.id)
      if (exists) return
      checkQueues(caller, name, this.#max, held)
      await verbs.createAutoQueue(name, caller.id)
    })
  }
}

/** Refuses with tooManyQueues when the caller may not make one more. */
export function checkQueues({ isAdmin }: Caller, name: string, max: number, held: Holding): void {
  const noQueue = `There is no queue ${name}, and`
  checkOneMore(
    { max, held, isAdmin },
    {
      code: 'tooManyQueues',
      total:
        `${noQueue} ${held.all} queues have been made already by enqueues and by keys that are not ` +
        'admin',
      share:
        `${noQueue} this caller has made ${held.mine} queues. That is its share of the ${max} that ` +
        'enqueues and keys that are not admin may make',
      advice:
        'Delete queues that nobody needs, or make this one with an admin key: ' +
        `its PUT /queues/${name} is not bounded.`
    }
  )
}
