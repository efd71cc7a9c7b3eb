/** Queues by name, as they were at most a second ago. */
import type { Store } from '../ports.ts'
import { queueNotFound, type Queue } from '../queue.ts'

const settingsMsMax = 1000
const queuesMax = 10_000

/**
 * Settings are looked up at most once a second per queue; what must be exact, the statements read
 * themselves.
 */
export class QueueCache {
  readonly #store: Store
  readonly #queues = new Map<string, { queue: Queue; untilMs: number }>()
  readonly #finding = new Map<string, Promise<Queue | null>>()

  constructor(store: Store) {
    this.#store = store
  }

  /** The queue of this name; with `create` one is made where there is none. Refuses with queueNotFound. */
  async find(name: string, create = false): Promise<Queue> {
    const known = this.#queues.get(name)
    if (known !== undefined && known.untilMs > performance.now()) return known.queue
    let queue = await this.#lookUp(name, known !== undefined)
    if (queue === null && create) {
      await this.#store.putQueue(name, {})
      this.forget(name)
      queue = await this.#lookUp(name, false)
    }
    if (queue === null) throw queueNotFound(name)
    return queue
  }

  /** The queue as it was last seen, however long ago. */
  remembered(name: string): Queue | undefined {
    return this.#queues.get(name)?.queue
  }

  /** It has been changed or deleted; a look-up under way may have begun before that. */
  forget(name: string): void {
    this.#queues.delete(name)
    this.#finding.delete(name)
  }

  // One look-up for all who need it at the moment: at its second's end a busy queue has hundreds.
  // Acks among them, so that of a queue in use goes first; of a name that anyone may have made up
  // it does not.
  #lookUp(name: string, inUse: boolean): Promise<Queue | null> {
    const underway = this.#finding.get(name)
    if (underway !== undefined) return underway
    const found = (inUse ? this.#store.first : this.#store)
      .findQueue(name)
      .then(queue => {
        if (queue !== null && this.#finding.get(name) === found) {
          if (this.#queues.size >= queuesMax) this.#queues.clear()
          this.#queues.set(name, { queue, untilMs: performance.now() + settingsMsMax })
        }
        return queue
      })
      .finally(() => {
        if (this.#finding.get(name) === found) this.#finding.delete(name)
      })
    this.#finding.set(name, found)
    return found
  }
}
