/** A completion: an ack that says what came of the work, and what follows from it. */
import type { Digits, Enqueued, NewMessage } from './message.ts'

/** A message to enqueue in the commit of the ack. `pointer` is its place in the request. */
export interface NextMessage {
  queue: string
  message: NewMessage
  pointer: string
}

/** A completion from a front. `pointer` is the place of its receipt in the request. */
export interface Completion {
  receipt: string
  pointer: string
  /** JSON, as it was sent. null: none. */
  result: string | null
  then: NextMessage[]
}

/** What became of a next message. */
export interface Followed extends Pick<Enqueued, 'id'> {
  queue: string
  duplicate?: true
}

/** A lease whose work is done, for the store. */
export interface Completed {
  id: Digits
  fence: Digits
  /** JSON text. null: none. */
  result: string | null
}

export interface CompletionVerbs {
  /** Acks, and keeps the results where the queue keeps acked messages. No id may come twice. */
  complete(queueId: Digits, completed: Completed[]): Promise<{ id: Digits; fence: Digits }[]>
}
