/** The verbs that enqueue, as the store offers them. */
import type { Digits } from './message.ts'
import type { EnqueueAnswer, EnqueueRow } from './rows.ts'

export interface EnqueueVerbs {
  /** Stores messages in the order given. No key of a queue may come twice, of either kind. */
  enqueue(rows: EnqueueRow[]): Promise<EnqueueAnswer[]>
  /**
   * Waits until nobody else enqueues unique keys to these queues, and keeps it so until the
   * transaction ends.
   */
  takeUniqueTurn(queueIds: Digits[]): Promise<void>
  /** Those of the unique keys that messages of the queue hold now. */
  heldUniqueKeys(queueId: Digits, keys: string[]): Promise<Set<string>>
  /** How many more messages the queue takes. Infinity without `maxDepth`. null: it is gone. */
  roomIn(queueId: Digits): Promise<number | null>
  /** The same of several queues. One that is missing in the answer has no bound, or is gone. */
  roomsIn(queueIds: Digits[]): Promise<Map<Digits, number>>
}
