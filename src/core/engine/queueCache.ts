/** Queues by name, as they were at most a second ago. */
import type { Caller } from '../caller.ts'
import type { Store } from '../ports.ts'
import { queueAttemptsMax, queueNotFound, type Queue } from '../queue.ts'
import { Recent } from './recent.ts'
import type { Siblings } from './siblings.ts'
import type { Turns } from './turns.ts'

const queuesMax = 10_000

/**
 * Looks up the settings of each queue at most once a second. Statements that need exact settings
 * read them themselves.
 */
export class QueueCache {
  readonly #recent: Recent<Queue>
  readonly #siblings: Siblings

  constructor(store: Store, turns: Turns, siblings: Siblings) {
    this.#siblings = siblings
    siblings.answer('forgetQueue', async name => {
      this.forget(name)
      return null
    })
    this.#recent = new Recent({
      turns,
      namesMax: queuesMax,
      lookUp: (name, inUse) => (inUse ? store.first : store).findQueue(name)
    })
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
    const cached = this.#recent.fresh(name)
    if (cached !== undefined) return cached
    let queue = await this.#recent.find(caller, name)
    const attempts = make === undefined ? 0 : queueAttemptsMax
    for (let attempt = 1; queue === null && attempt <= attempts; attempt++) {
      await make!(caller, name)
      this.forget(name)
      queue = await this.#recent.find(caller, name)
    }
    if (queue === null) throw queueNotFound(name)
    return queue
  }

  /** The queue as it was last seen, however long ago. */
  remembered(name: string): Queue | undefined {
    return this.#recent.remembered(name)
  }

  /** The queue was changed or deleted here: no process of the replica remembers it any more. */
  async changed(name: string): Promise<void> {
    this.forget(name)
    await this.#siblings.ask('forgetQueue', name)
  }

  /** Forgets a queue that may have changed, and a look-up that began before that. */
  forget(name: string): void {
    this.#recent.forget(name)
  }
}
