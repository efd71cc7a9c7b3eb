/** Enqueues, leases, and looks at messages. */
import { Calls, keyed, path, rawRequest, type CallOptions } from '../calls.ts'
import { waitSecondsMax } from '../limits.ts'
import type {
  BrowseQuery,
  Enqueued,
  Explanation,
  Leased,
  LeaseRequest,
  MessageDetail,
  MessagePage,
  NewMessage,
  RawOptions
} from '../types.ts'

export class Messages extends Calls {
  /**
   * Stores a message. Resolves after the commit. Without an `idempotencyKey` the client makes one, so
   * that a repeated try stores no second message. Give a key of your own if your program may run again.
   */
  enqueue(queue: string, message: NewMessage, options?: CallOptions): Promise<Enqueued> {
    return this.call('POST', path('queues', queue, 'messages'), { body: keyed(message) }, options)
  }

  /** Stores 1 to 1000 messages, all or none. Answers their ids in the order given. */
  async enqueueMany(queue: string, messages: NewMessage[], options?: CallOptions): Promise<Enqueued[]> {
    return (
      await this.call<{ messages: Enqueued[] }>(
        'POST',
        path('queues', queue, 'messages'),
        { body: { messages: messages.map(keyed) } },
        options
      )
    ).messages
  }

  /** Stores bytes. A lease gives them back unchanged, with their content type. */
  enqueueRaw(
    queue: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawOptions = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    return this.call(
      'POST',
      path('queues', queue, 'messages'),
      rawRequest(body, contentType, message),
      options
    )
  }

  /**
   * Leases up to `max` messages for a time. Without an `idempotencyKey` the client makes one, so that
   * a repeated try gets the same messages. An empty list means that no message came in time.
   */
  lease(queue: string, request: LeaseRequest = {}, options?: CallOptions): Promise<Leased> {
    return this.call(
      'POST',
      path('queues', queue, 'lease'),
      // Without waitSeconds the queue says how long.
      { body: keyed(request), waitSeconds: request.waitSeconds ?? waitSecondsMax },
      options
    )
  }

  /** A page of messages by id, without leasing them. */
  browse(queue: string, query: BrowseQuery = {}, options?: CallOptions): Promise<MessagePage> {
    return this.call('GET', path('queues', queue, 'messages'), { query }, options)
  }

  /**
   * One message with its lease and its history. With `waitSeconds`, up to 60, resolves when the message
   * is acked, dead or gone, or when the time is up. The queue must keep acked messages for that.
   */
  message(
    queue: string,
    id: string,
    query: { waitSeconds?: number | undefined } = {},
    options?: CallOptions
  ): Promise<MessageDetail> {
    return this.call(
      'GET',
      path('queues', queue, 'messages', id),
      { query, waitSeconds: query.waitSeconds },
      options
    )
  }

  /** Why a message is where it is. What to fix first comes first. */
  explain(queue: string, id: string, options?: CallOptions): Promise<Explanation> {
    return this.call('GET', path('queues', queue, 'messages', id, 'explain'), {}, options)
  }

  /** Removes a message that is not leased. Throws `messageLeased` if a worker holds it. */
  async cancel(queue: string, id: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'messages', id), {}, options)
  }
}
