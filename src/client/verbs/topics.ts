/** Publishes, and subscriptions of queues. */
import { keyed, path, rawRequest, type CallOptions, type Request } from '../calls.ts'
import { Bulk } from './bulk.ts'
import type {
  Publication,
  PublishAnswer,
  RawPublication,
  Subscription,
  SubscriptionChange,
  Topic,
  TopicList,
  TopicsQuery
} from '../types.ts'

/** A copy of a published message. */
export type Copy = PublishAnswer['messages'][number]

export class Topics extends Bulk {
  /**
   * Publishes a message to a topic: every queue whose subscription matches gets a copy. Answers the
   * copies. An empty list means that nobody got the message. Safe to repeat, as `enqueue`.
   */
  async publish(topic: string, message: Publication, options?: CallOptions): Promise<Copy[]> {
    return await this.#publish(topic, { body: keyed(message) }, options)
  }

  /** Publishes 1 to 1000 messages. All their copies are stored, or none. */
  async publishMany(topic: string, messages: Publication[], options?: CallOptions): Promise<Copy[]> {
    return await this.#publish(topic, { body: { messages: messages.map(keyed) } }, options)
  }

  /** Publishes bytes, as `enqueueRaw` stores them. */
  async publishRaw(
    topic: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawPublication = {},
    options?: CallOptions
  ): Promise<Copy[]> {
    return await this.#publish(topic, rawRequest(body, contentType, message), options)
  }

  async #publish(topic: string, request: Request, options?: CallOptions): Promise<Copy[]> {
    return (await this.call<PublishAnswer>('POST', path('topics', topic, 'messages'), request, options))
      .messages
  }

  /** Subscribes a queue to a topic, or changes the pattern given. Makes the queue if there is none. */
  subscribe(
    topic: string,
    queue: string,
    change: SubscriptionChange = {},
    options?: CallOptions
  ): Promise<Subscription> {
    return this.call('PUT', path('topics', topic, 'subscriptions', queue), { body: change }, options)
  }

  /** Ends a subscription. Copies that the queue holds stay. */
  async unsubscribe(topic: string, queue: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('topics', topic, 'subscriptions', queue), {}, options)
  }

  /** A page of topics, by name: all, or those to which a queue subscribes. */
  topics(query: TopicsQuery = {}, options?: CallOptions): Promise<TopicList> {
    return this.call('GET', '/topics', { query }, options)
  }

  /** The subscriptions of a topic. */
  topic(topic: string, options?: CallOptions): Promise<Topic> {
    return this.call('GET', path('topics', topic), {}, options)
  }

  /** Ends all subscriptions of a topic. */
  async deleteTopic(topic: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('topics', topic), {}, options)
  }
}
