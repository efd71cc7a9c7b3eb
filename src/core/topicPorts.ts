/** The verbs of topics, as the store offers them. core/ports.ts has the others. */
import type { NamePage } from './queue.ts'
import type { HeldSubscriptions, Subscription, TopicReport } from './topic.ts'

export interface TopicVerbs {
  /** The subscriptions of a topic, by the names of their queues. null: it has none. */
  findTopic(topic: string): Promise<Subscription[] | null>
  /** The same, with the names of the queues alone. */
  reportTopic(topic: string): Promise<TopicReport | null>
  /**
   * Topics by name, with the number of their subscriptions. With `queue`, only those to which this
   * one subscribes.
   */
  listTopics(page: NamePage, queue: string | null): Promise<{ topic: string; subscriptions: number }[]>
  /** Counts subscriptions. Until the transaction ends, no other session counts. */
  countSubscriptions(topic: string, queue: string, callerId: string): Promise<HeldSubscriptions>
  /** Makes the queue if there is none. */
  makeQueue(name: string): Promise<void>
  /**
   * Makes a subscription, or changes its pattern where one is given. null: the queue was deleted in
   * between.
   */
  putSubscription(
    topic: string,
    queue: string,
    settings: { pattern: string | null; callerId: string }
  ): Promise<{ created: boolean; pattern: string } | null>
  /** Nothing happens if there is none. */
  removeSubscription(topic: string, queue: string): Promise<void>
  /** Locks the subscriptions of a topic until the transaction ends. Answers their queues. */
  lockTopic(topic: string): Promise<string[]>
  /** Removes the subscriptions of these queues. */
  removeSubscriptions(topic: string, queues: string[]): Promise<void>
}
