/** Groups of a queue: how many messages of each wait, and which one goes first. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import type { GroupPage } from '../groupPorts.ts'

type Needs = Pick<Parts, 'store' | 'queueCache' | 'searchTurns'>

export class Groups {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
  }

  /**
   * The next groups of a queue by name, after `after`. Refuses with queueNotFound, overloaded.
   */
  async list(caller: Caller, name: string, after: string | null, limit: number): Promise<GroupPage> {
    const { store, queueCache, searchTurns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    return await searchTurns.run(caller, () => store.last.listGroups(id, after, limit))
  }
}
