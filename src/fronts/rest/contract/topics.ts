/** Shapes of topics: publishes, and subscriptions of queues. */
import { Type } from 'typebox'
import { listMax, publishBytesMax, publishCopiesMax, routingKeyCharsMax } from '../../../core/limits.ts'
import { namePattern } from '../../../core/queue.ts'
import { patternDefault, routingKeyHelp, routingKeyPattern } from '../../../core/topic.ts'
import {
  EnqueueHeaders,
  jsonOrRaw,
  message,
  queryOptions,
  type MessageInput,
  type QueryOptions
} from './enqueue.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import {
  maybe,
  messageId,
  nextCursor,
  object,
  PageQuery,
  QueueName,
  storedMarks,
  TopicName
} from './shapes.ts'

const words = (description: string) =>
  Type.String({ maxLength: routingKeyCharsMax, pattern: routingKeyPattern, description })

const routingKey = words(
  `Subscriptions match it with their patterns. ${routingKeyHelp} Without a key, only \`#\` matches.`
)
const pattern = words(
  'Which routing keys match: the same words, where `*` is any one word and `#` any number of words. ' +
    `Default \`${patternDefault}\`: every message.`
)

interface PublicationInput extends MessageInput {
  routingKey?: string
}

export const Publication = Type.Unsafe<PublicationInput>(
  object({ ...message, routingKey: maybe(routingKey) }, { title: 'Publication' })
)
export const PublicationList = object(
  {
    messages: Type.Array(Publication, {
      minItems: 1,
      maxItems: listMax,
      description: 'All copies of all messages are stored, or none.'
    })
  },
  { title: 'Publications' }
)
export const PublishQuery = Type.Unsafe<QueryOptions & { routingKey?: string }>(
  object({ routingKey: maybe(routingKey), ...queryOptions }, { title: 'RawPublication' })
)

export const PublishAnswer = Type.Object(
  {
    messages: Type.Array(
      Type.Object({
        index: Type.Integer({ description: 'The place of the message in the list. 0 for a single message.' }),
        queue: Type.String(),
        id: messageId,
        ...storedMarks('copy')
      }),
      { description: 'The copies. An empty list: no pattern matched, so nobody gets the message.' }
    )
  },
  {
    title: 'PublishAnswer',
    description: 'Committed. The status is 200 if keys already stood for all copies.'
  }
)

export const SubscriptionChange = object(
  { pattern: maybe(pattern) },
  { title: 'SubscriptionChange', examples: [{ pattern: 'eu.#' }] }
)
export const SubscriptionAnswer = Type.Object(
  { topic: Type.String(), queue: Type.String(), pattern: Type.String() },
  { title: 'Subscription', description: 'The subscription.' }
)
export const Topic = Type.Object(
  {
    topic: Type.String(),
    subscriptions: Type.Array(Type.Object({ queue: Type.String(), pattern: Type.String() }), {
      description: 'In the order of their queues.'
    })
  },
  { title: 'Topic', description: 'The topic.' }
)
export const TopicList = Type.Object(
  {
    topics: Type.Array(Type.Object({ topic: Type.String(), subscriptions: Type.Integer() })),
    cursor: nextCursor
  },
  { title: 'TopicList', description: 'A page of topics, by name, with the number of their subscriptions.' }
)

const TopicParams = object({ topic: TopicName })
const SubscriptionParams = object({ topic: TopicName, queue: QueueName })

export const TopicsQuery = object(
  {
    ...PageQuery.properties,
    queue: maybe(
      Type.String({ pattern: namePattern, description: 'Only topics to which this queue subscribes.' })
    )
  },
  { title: 'TopicsQuery' }
)

export const topicOperations = operations({
  publish: {
    method: 'POST',
    url: '/topics/:topic/messages',
    config: { access: 'publish', stores: true },
    schema: {
      summary: 'Publish messages',
      description:
        'Takes what an enqueue takes. Each message may have a `routingKey`. ' +
        'Every queue whose subscription matches gets a copy, all in one commit. ' +
        'If one queue refuses its copy, the whole publish is refused, and `detail` names the queue. ' +
        `At most ${publishCopiesMax.toLocaleString('en')} copies, ` +
        `with ${publishBytesMax.toLocaleString('en')} bytes of bodies and headers. ` +
        'Idempotency keys and unique keys count per queue. An empty list means that no pattern matched, ' +
        'or that there is no such topic: nobody gets the message. ' +
        'Subscriptions changed on another replica count within two seconds.',
      params: TopicParams,
      querystring: PublishQuery,
      headers: EnqueueHeaders,
      body: jsonOrRaw({
        anyOf: [Publication, PublicationList],
        examples: [{ routingKey: 'eu.created', body: { order: 4711 } }]
      }),
      response: {
        200: PublishAnswer,
        201: PublishAnswer,
        ...problemResponses(400, 'topicNotFound', 'uniqueGroup', 'queueFull', 413, 415, 'idempotencyMismatch')
      }
    }
  },
  subscribe: {
    method: 'PUT',
    url: '/topics/:topic/subscriptions/:queue',
    config: { access: 'subscribe' },
    preValidation: bodyOptional,
    schema: {
      summary: 'Subscribe a queue to a topic, or change its pattern',
      description:
        'A pattern that is left out stays as it is. Makes the queue if there is none. ' +
        'Needs the right `subscribe` on the topic and `manage` on the queue.',
      params: SubscriptionParams,
      body: SubscriptionChange,
      response: {
        200: SubscriptionAnswer,
        201: SubscriptionAnswer,
        ...problemResponses(
          400,
          'topicNotFound',
          'queueNotFound',
          'tooManySubscriptions',
          'tooManyQueues',
          413,
          415
        )
      }
    }
  },
  unsubscribe: {
    method: 'DELETE',
    url: '/topics/:topic/subscriptions/:queue',
    config: { access: 'subscribe' },
    schema: {
      summary: 'End a subscription',
      description: 'Copies that are already in the queue stay.',
      params: SubscriptionParams,
      response: {
        204: nothing('It is ended, or was not there.'),
        ...problemResponses(400, 'topicNotFound', 'queueNotFound')
      }
    }
  },
  listTopics: {
    method: 'GET',
    url: '/topics',
    config: { access: 'key' },
    schema: {
      summary: 'List topics',
      description: 'By name; with an API key, those to which it has a right.',
      querystring: TopicsQuery,
      response: { 200: TopicList, ...problemResponses(400) }
    }
  },
  getTopic: {
    method: 'GET',
    url: '/topics/:topic',
    config: { access: 'topic' },
    schema: {
      summary: 'Look at a topic',
      description: 'The subscriptions of the topic. A topic exists while it has one.',
      params: TopicParams,
      response: { 200: Topic, ...problemResponses(400, 'topicNotFound') }
    }
  },
  deleteTopic: {
    method: 'DELETE',
    url: '/topics/:topic',
    config: { access: 'subscribe' },
    schema: {
      summary: 'Delete a topic',
      description:
        'Ends all subscriptions of the topic. The key needs the right `manage` on each of their queues. ' +
        'The queues and their messages stay.',
      params: TopicParams,
      response: {
        204: nothing('It is deleted, or was not there.'),
        ...problemResponses(400, 'topicNotFound')
      }
    }
  }
})
