/**
 * Groups of a standard queue take turns from the first one on. Until then its messages stand in no
 * lines, which cost more than all else that a message needs.
 */
import type { Broker } from '../../core/broker.ts'
import type { Caller } from '../../core/caller.ts'
import type { Queue } from '../../core/queue.ts'
import { isFifoName } from './ids.ts'

const settled = { Front: 'sqs' }
const noGroupYet = { Front: 'sqs, no group yet' }

/** The note by which a queue that was made here is known: one made beside it is set as it is. */
export const madeHere = (name: string) => (isFifoName(name) ? settled : noGroupYet)

/** Lets groups take turns, in queues of which a message names one for the first time. */
export class FirstGroups {
  /** By caller and queue: calls that bring the first groups of a queue share the work. */
  readonly #underway = new Map<string, Promise<unknown>>()

  /** The queue as a message with a group needs it. An operator's own setting stays. */
  async take(broker: Broker, caller: Caller, queue: Queue): Promise<Queue> {
    if (queue.front.Front !== noGroupYet.Front) return queue
    const { name } = queue
    const key = `${name} ${caller.id}`
    let change = this.#underway.get(key)
    if (change === undefined) {
      change = broker
        .putQueue(caller, name, { fairness: 'group', front: settled }, { only: 'existing' })
        .finally(() => this.#underway.delete(key))
      this.#underway.set(key, change)
    }
    await change
    return await broker.findQueue(caller, name)
  }
}
