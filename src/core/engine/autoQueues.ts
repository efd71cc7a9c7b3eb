/** Makes the queues that enqueues name and that are not there, within a bound. */
import { QueueError } from '../errors.ts'
import type { Store } from '../ports.ts'
import { shareLeft, type Maker } from '../share.ts'

/**
 * A key makes its queues one after another, so they take one connection at a time. Nothing here
 * runs for a queue that exists.
 */
export class AutoQueues {
  readonly #store: Store
  readonly #max: number
  /** By maker, the queue that it makes last. */
  readonly #last = new Map<string | null, Promise<void>>()
  /** By maker and name: callers who need the same queue share the work. */
  readonly #making = new Map<string, Promise<void>>()

  constructor(store: Store, max: number) {
    this.#store = store
    this.#max = max
  }

  /** Makes the queue if there is none. Refuses with tooManyQueues. */
  make(name: string, maker: Maker | null): Promise<void> {
    const key = `${name} ${maker?.id ?? ''}`
    const underway = this.#making.get(key)
    if (underway !== undefined) return underway
    const makerId = maker?.id ?? null
    const before = this.#last.get(makerId) ?? Promise.resolve()
    const made = before
      .catch(() => {})
      .then(() => this.#make(name, maker))
      .finally(() => {
        this.#making.delete(key)
        if (this.#last.get(makerId) === made) this.#last.delete(makerId)
      })
    this.#making.set(key, made)
    this.#last.set(makerId, made)
    return made
  }

  async #make(name: string, maker: Maker | null): Promise<void> {
    const makerId = maker?.id ?? null
    await this.#store.transaction(async verbs => {
      const { exists, all, mine } = await verbs.countAutoQueues(name, makerId)
      if (exists) return
      if (all >= this.#max) throw totalUsedUp(name, this.#max)
      if (maker !== null && !maker.isAdmin && shareLeft(this.#max, all, mine) < 1) {
        throw shareUsedUp(name, this.#max, mine)
      }
      await verbs.createAutoQueue(name, makerId)
    })
  }
}

const wayOut = (name: string) =>
  'Delete queues that nobody needs, or make this one with a key that may manage it: ' +
  `PUT /queues/${name} is not bounded.`

function totalUsedUp(name: string, max: number): QueueError {
  return new QueueError(
    'tooManyQueues',
    `There is no queue ${name}, and enqueues have made ${max} queues already, which is the most ` +
      `that they may; nothing was stored. ${wayOut(name)}`
  )
}

function shareUsedUp(name: string, max: number, mine: number): QueueError {
  return new QueueError(
    'tooManyQueues',
    `There is no queue ${name}, and enqueues with this key have made ${mine} queues. That is the ` +
      `key's share of the ${max} that enqueues may make: half of what other keys leave. Nothing was ` +
      `stored. ${wayOut(name)}`
  )
}
