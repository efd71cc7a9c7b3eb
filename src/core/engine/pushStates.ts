/** What the processes of this replica know of pushes: their last deliveries, and whether one is slowed. */
import { pushDeliveriesMax } from '../limits.ts'
import type { Digits } from '../message.ts'
import type { PushState } from '../push.ts'
import type { Siblings } from './siblings.ts'

export class PushStates {
  readonly #siblings: Siblings
  /** Set by who delivers: what this process knows. null: it does not deliver for the queue. */
  read: (queueId: Digits) => PushState | null = () => null

  constructor(siblings: Siblings) {
    this.#siblings = siblings
    siblings.answer('pushState', async queueId => this.read(queueId))
  }

  /** What all processes of the replica know. Of several that are slowed, the one that goes on first. */
  async of(queueId: Digits): Promise<PushState> {
    const answers = await this.#siblings.ask('pushState', queueId)
    const states = [this.read(queueId), ...answers].filter(state => state !== null)
    const slowed = states.flatMap(state => state.slowed ?? []).sort((a, b) => (a.until < b.until ? -1 : 1))
    return {
      slowed: slowed[0] ?? null,
      deliveries: states
        .flatMap(({ deliveries }) => deliveries)
        .sort((a, b) => (a.at < b.at ? 1 : -1))
        .slice(0, pushDeliveriesMax)
    }
  }
}
