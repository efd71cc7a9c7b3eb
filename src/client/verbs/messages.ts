/** Enqueues, leases, and looks at messages. */
import { Calls, keyed, path, rawRequest, type CallOptions } from '../calls.ts'
import { waitSecondsMax } from '../limits.ts'
import type {
  BrowseQuery,
  Enqueued,
  Explanation,
  LeasedMessage,
  LeaseRequest,
  MessageDetail,
  MessagePage,
  NewMessage,
  Outcome,
  RawOptions
} from '../types.ts'

export class Messages extends Calls {
  /**
   * Stores a message. The answer comes after the commit. Without an `idempotencyKey` the client
   * makes one, so that a try after a lost answer stores nothing twice.
   */
  enqueue(queue: string, message: NewMessage, options?: CallOptions): Promise<Enqueued> {
    return this.call('POST', path('queues', queue, 'messages'), { body: keyed(message) }, options)
  }

  /** Stores 1 to 1000 messages, all or none. */
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
   * Takes messages for a time. Without an `idempotencyKey` the client makes one, so that a try
   * after a lost answer brings the same messages.
   */
  lease(
    queue: string,
    request: LeaseRequest = {},
    options?: CallOptions
  ): Promise<{ messages: LeasedMessage[]; outcomes?: Outcome[] }> {
    return this.call(
      'POST',
      path('queues', queue, 'lease'),
      // Without waitSeconds the queue says how long.
      { body: keyed(request), waitSeconds: request.waitSeconds ?? waitSecondsMax },
      options
    )
  }

  /** Lists messages by id, without leasing them. */
  browse(queue: string, query: BrowseQuery = {}, options?: CallOptions): Promise<MessagePage> {
    return this.call('GET', path('queues', queue, 'messages'), { query }, options)
  }

  /**
   * One message with its lease and its history. With `waitSeconds` the answer comes when the
   * message is acked, dead or gone, or when the time is up.
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

  /** Why a message is where it is. */
  explain(queue: string, id: string, options?: CallOptions): Promise<Explanation> {
    return this.call('GET', path('queues', queue, 'messages', id, 'explain'), {}, options)
  }

  /** Removes a message that is not leased. */
  async cancel(queue: string, id: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'messages', id), {}, options)
  }
}
