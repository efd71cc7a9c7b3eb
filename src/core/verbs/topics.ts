/** Topics: subscriptions made, changed, listed and ended. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import type { Verbs } from '../ports.ts'
import { deletedEachTime, type NamePage } from '../queue.ts'
import { checkSubscriptionRoom, topicNotFound, type TopicReport } from '../topic.ts'
import type { Publishing } from './publish.ts'

const putAttemptsMax = 3

type Needs = Pick<Parts, 'store' | 'turns'>

export class Topics {
  readonly #parts: Needs
  readonly #publishing: Pick<Publishing, 'changed'>

  constructor(parts: Needs, publishing: Pick<Publishing, 'changed'>) {
    this.#parts = parts
    this.#publishing = publishing
  }

  /**
   * Subscribes a queue to a topic, or changes the pattern where one is given. Makes the queue if there
   * is none. `created` is true when the subscription was made. Refuses with tooManySubscriptions.
   */
  async subscribe(
    caller: Caller,
    topic: string,
    queue: string,
    pattern: string | null
  ): Promise<{ created: boolean; pattern: string }> {
    for (let attempt = 1; attempt <= putAttemptsMax; attempt++) {
      const put = await this.#write(caller, topic, async verbs => {
        const held = await verbs.countSubscriptions(topic, queue, caller.id)
        if (!held.exists) checkSubscriptionRoom(topic, held, caller)
        await verbs.makeQueue(queue)
        return await verbs.putSubscription(topic, queue, { pattern, callerId: caller.id })
      })
      if (put !== null) return put
    }
    throw deletedEachTime(`The queue ${queue}`, putAttemptsMax, 'nothing was changed')
  }

  /** Ends a subscription. Nothing happens if there is none. */
  async unsubscribe(caller: Caller, topic: string, queue: string): Promise<void> {
    await this.#write(caller, topic, verbs => verbs.removeSubscription(topic, queue))
  }

  /** Ends all subscriptions of a topic. `permit` throws where the caller may not manage a queue. */
  async delete(caller: Caller, topic: string, permit: (queue: string) => void): Promise<void> {
    await this.#write(caller, topic, async verbs => {
      const queues = await verbs.lockTopic(topic)
      for (const queue of queues) permit(queue)
      await verbs.removeSubscriptions(topic, queues)
    })
  }

  /** The subscriptions of a topic. Refuses with topicNotFound. */
  async report(caller: Caller, topic: string): Promise<TopicReport> {
    const { store, turns } = this.#parts
    const report = await turns.run(caller, () => store.last.reportTopic(topic))
    if (report === null) throw topicNotFound(topic)
    return report
  }

  /**
   * Topics by name: those of the scope, which holds the topics that the caller may see. With `queue`,
   * only those to which this one subscribes. `next` is null on the last page.
   */
  async list(
    caller: Caller,
    page: NamePage,
    queue: string | null
  ): Promise<{ topics: { topic: string; subscriptions: number }[]; next: string | null }> {
    const { store, turns } = this.#parts
    const { limit } = page
    const topics = await turns.run(caller, () => store.last.listTopics({ ...page, limit: limit + 1 }, queue))
    return { topics: topics.slice(0, limit), next: topics.length > limit ? topics[limit - 1]!.topic : null }
  }

  // Publishes here know the change at once. Those of other replicas know it within a second.
  async #write<T>(caller: Caller, topic: string, work: (verbs: Verbs) => Promise<T>): Promise<T> {
    const { store, turns } = this.#parts
    try {
      return await turns.run(caller, () => store.last.transaction(work))
    } finally {
      await this.#publishing.changed(topic)
    }
  }
}
