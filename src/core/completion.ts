/** A completion: an ack that says what came of the work, and what follows from it. */
import type { Enqueued, NewMessage } from './message.ts'

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
  /** It held the unique key, and has the new content now. */
  replaced?: true
}
