/** Subscriptions in a file: below each topic, by queue. */
import type { Topic } from '../../client/types.ts'
import { patternDefault } from '../../core/topic.ts'
import { topicOperations } from '../../fronts/rest/contract/topics.ts'
import { mapSome, type Service } from '../restService.ts'
import { isThere, type Entry, type Found, type Kind } from './kind.ts'

async function readTopics(service: Service, names: string[]): Promise<Found[]> {
  const topics = await mapSome(names, topic =>
    service.find<Topic>(topicOperations.getTopic, { topic }, 'topicNotFound')
  )
  return topics
    .filter(isThere)
    .flatMap(({ topic, subscriptions }) =>
      subscriptions.map(({ queue, pattern }): Found => ({ id: [topic, queue], fields: { pattern } }))
    )
}

export const subscriptions: Kind = {
  section: 'topics',
  labelOf: ([topic, queue]) => `subscription of ${queue} to ${topic}`,
  defaults: { pattern: patternDefault },
  needs: [],
  isSecret: false,
  entriesOf: ({ topics = {} }) =>
    Object.entries(topics).flatMap(([topic, { subscriptions }]) =>
      Object.entries(subscriptions).map(([queue, fields]): Entry => ({
        id: [topic, queue],
        path: ['topics', topic, 'subscriptions', queue],
        fields
      }))
    ),
  async readAll(service) {
    const topics = await service.list<{ topic: string }>(topicOperations.listTopics, 'topics')
    return await readTopics(
      service,
      topics.map(({ topic }) => topic)
    )
  },
  readSome(service, ids) {
    const topics = new Set(ids.map(([topic]) => topic))
    return readTopics(service, [...topics])
  },
  async put(service, { id: [topic, queue], fields }) {
    await service.call(topicOperations.subscribe, { topic, queue: queue! }, { body: fields })
  },
  async remove(service, [topic, queue]) {
    await service.call(topicOperations.unsubscribe, { topic, queue: queue! })
  }
}
