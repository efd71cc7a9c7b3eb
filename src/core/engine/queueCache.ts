/** Queues by name, as they were at most a second ago. */
import type { Caller } from '../caller.ts'
import type { Store } from '../ports.ts'
import { queueNotFound, type Queue } from '../queue.ts'
import type { Turns } from './turns.ts'

const ageMsMax = 1000
const queuesMax = 10_000
/** A queue that was just made may be deleted before it is looked up. */
const makingAttemptsMax = 10

/**
 * Looks up the settings of each queue at most once a second. Statements that need exact settings
 * read them themselves.
 */
export class QueueCache {
  readonly #store: Store
  readonly #turns: Turns
  readonly #queues = new Map<string, { queue: Queue; untilMs: number }>()
  readonly #finding = new Map<string, Promise<Queue | null>>()

  constructor(store: Store, turns: Turns) {
    this.#store = store
    this.#turns = turns
  }

  /**
   * The queue of this name. With `make` it is made if there is none. Refuses with queueNotFound, and
   * as `make` does.
   */
  async find(
    caller: Caller,
    name: string,
    make?: (caller: Caller, name: string) => Promise<void>
  ): Promise<Queue> {
    const cached = this.#queues.get(name)
    if (cached !== undefined && cached.untilMs > performance.now()) return cached.queue
    let queue = await this.#lookUp(caller, name, cached !== undefined)
    const attempts = make === undefined ? 0 : makingAttemptsMax
    for (let attempt = 1; queue === null && attempt <= attempts; attempt++) {
      await make!(caller, name)
      this.forget(name)
      queue = await this.#lookUp(caller, name, false)
    }
    if (queue === null) throw queueNotFound(name)
    return queue
  }

  /** The queue as it was last seen, however long ago. */
  remembered(name: string): Queue | undefined {
    return this.#queues.get(name)?.queue
  }

  /** Forgets a queue that was changed or deleted, and a look-up that began before that. */
  forget(name: string): void {
    this.#queues.delete(name)
    this.#finding.delete(name)
  }

  // Callers share a look-up. A busy queue has hundreds of callers when its second ends. Acks may be
  // among them, so the look-up of a queue in use goes first. Other names do not: anyone can make
  // them up, so their callers take turns.
  #lookUp(caller: Caller, name: string, inUse: boolean): Promise<Queue | null> {
    const underway = this.#finding.get(name)
    if (underway !== undefined) return underway
    const found = (
      inUse ? this.#store.first.findQueue(name) : this.#turns.run(caller, () => this.#store.findQueue(name))
    )
      .then(queue => {
        if (queue !== null && this.#finding.get(name) === found) {
          if (this.#queues.size >= queuesMax) this.#queues.clear()
          this.#queues.set(name, { queue, untilMs: performance.now() + ageMsMax })
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
