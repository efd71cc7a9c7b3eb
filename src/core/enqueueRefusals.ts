/**
 * How an enqueue is refused, by itself or as what follows from an ack. `undone` says what was not
 * done: "nothing was stored".
 */
import { QueueError } from './errors.ts'

/** Refuses where the queue has no room for all messages of a call. */
export function queueFull(queue: string, undone: string): QueueError {
  return new QueueError(
    'queueFull',
    `The queue ${queue} holds as many messages as its maxDepth allows; ${undone}. Send the request again ` +
      'when some of its messages have been acked.'
  )
}

/** `where`: of calls to several queues, the queue, as " in the queue mail". */
export function idempotencyMismatch(undone: string, where = ''): QueueError {
  return new QueueError(
    'idempotencyMismatch',
    `This idempotency key was used for other content not long ago${where}; ${undone}. Use a new key for a ` +
      'new message.'
  )
}

/** Refuses a message that would change the group of the one that holds its unique key. */
export function uniqueGroup(undone: string): QueueError {
  return new QueueError(
    'uniqueGroup',
    `The message that holds this unique key has another group, and its queue keeps groups; ${undone}. Give ` +
      'the message the same group, or a key of its own.'
  )
}
