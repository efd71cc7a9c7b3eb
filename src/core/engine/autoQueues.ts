/** Makes the queues that enqueues name and that are not there, within a bound. */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import type { Store } from '../ports.ts'
import { obstacleTo } from './share.ts'
import type { Turns } from './turns.ts'

/**
 * A caller makes its queues one after another, so they take one connection at a time. Nothing here
 * runs for a queue that exists.
 */
export class AutoQueues {
  readonly #store: Store
  readonly #turns: Pick<Turns, 'run'>
  readonly #max: number
  /** By caller, the queue that it makes last. */
  readonly #last = new Map<string, Promise<void>>()
  /** By caller and name: calls that need the same queue share the work. */
  readonly #making = new Map<string, Promise<void>>()

  constructor(store: Store, turns: Pick<Turns, 'run'>, max: number) {
    this.#store = store
    this.#turns = turns
    this.#max = max
  }

  /** Makes the queue if there is none. Refuses with tooManyQueues. */
  make(caller: Caller, name: string): Promise<void> {
    const key = `${name} ${caller.id}`
    const underway = this.#making.get(key)
    if (underway !== undefined) return underway
    const before = this.#last.get(caller.id) ?? Promise.resolve()
    const made = before
      .catch(() => {})
      .then(() => this.#turns.run(caller, () => this.#make(caller, name)))
      .finally(() => {
        this.#making.delete(key)
        if (this.#last.get(caller.id) === made) this.#last.delete(caller.id)
      })
    this.#making.set(key, made)
    this.#last.set(caller.id, made)
    return made
  }

  async #make({ id, isAdmin }: Caller, name: string): Promise<void> {
    await this.#store.transaction(async verbs => {
      const { exists, ...held } = await verbs.countAutoQueues(name, id)
      if (exists) return
      const obstacle = obstacleTo(1, this.#max, held, isAdmin)
      if (obstacle === 'total') throw totalUsedUp(name, held.all)
      if (obstacle === 'share') throw shareUsedUp(name, this.#max, held.mine)
      await verbs.createAutoQueue(name, id)
    })
  }
}

const wayOut = (name: string) =>
  'Delete queues that nobody needs, or make this one with a key that may manage it: ' +
  `PUT /queues/${name} is not bounded.`

function totalUsedUp(name: string, all: number): QueueError {
  return new QueueError(
    'tooManyQueues',
    `There is no queue ${name}, and enqueues have made ${all} queues already, which is the most that ` +
      `they may; nothing was stored. ${wayOut(name)}`
  )
}

function shareUsedUp(name: string, max: number, mine: number): QueueError {
  return new QueueError(
    'tooManyQueues',
    `There is no queue ${name}, and enqueues of this caller have made ${mine} queues. That is the ` +
      `caller's share of the ${max} that enqueues may make: half of what others leave. Nothing was ` +
      `stored. ${wayOut(name)}`
  )
}
