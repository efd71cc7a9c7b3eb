/** Handlers of topics: publish, subscribe, list, end. */
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import { checkMessages, permit, takeMessages, visibleTopics } from '../../shared/guard.ts'
import type { Server } from '../../shared/server.ts'
import { cursorTo, namePage } from '../cursors.ts'
import { Publication, PublicationList, topicOperations } from '../contract/topics.ts'
import { messagesOf, storedJson, takeAnyBody, type MessageChecks } from '../messages.ts'
import { uncheckedBody, validator } from '../validation.ts'

const checks: MessageChecks = {
  one: validator<Static<typeof Publication>>(Publication),
  list: validator<Static<typeof PublicationList>>(PublicationList)
}

/** Registered in a scope of its own, because a publish takes bodies of any content type. */
export async function publishRoutes(app: Server, broker: Broker): Promise<void> {
  takeAnyBody(app)
  app.route({
    ...topicOperations.publish,
    validatorCompiler: uncheckedBody,
    async handler(request, reply) {
      const { messages, isList } = messagesOf(request, request.query, checks, broker)
      checkMessages(request)
      takeMessages(request, messages.length)
      const copies = await broker.publish(request.caller, request.params.topic, messages, isList)
      takeMessages(request, Math.max(0, copies.length - messages.length))
      const isNew = copies.length === 0 || copies.some(({ duplicate, replaced }) => !duplicate && !replaced)
      reply.code(isNew ? 201 : 200)
      return { messages: copies.map(storedJson) }
    }
  })
}

export function topicRoutes(app: Server, broker: Broker): void {
  const { topics } = broker

  app.route({
    ...topicOperations.subscribe,
    async handler(request, reply) {
      const { topic, queue } = request.params
      permit(request, 'manage', queue)
      const { created, pattern } = await topics.subscribe(
        request.caller,
        topic,
        queue,
        request.body.pattern ?? null
      )
      return reply.code(created ? 201 : 200).send({ topic, queue, pattern })
    }
  })

  app.route({
    ...topicOperations.unsubscribe,
    async handler(request, reply) {
      const { topic, queue } = request.params
      permit(request, 'manage', queue)
      await topics.unsubscribe(request.caller, topic, queue)
      return reply.code(204).send(null)
    }
  })

  app.route({
    ...topicOperations.listTopics,
    async handler(request) {
      const { caller, query } = request
      const page = namePage(query, visibleTopics(request))
      const { topics: listed, next } = await topics.list(caller, page, query.queue ?? null)
      return { topics: listed, cursor: cursorTo(next) }
    }
  })

  app.route({
    ...topicOperations.getTopic,
    handler: request => topics.report(request.caller, request.params.topic)
  })

  app.route({
    ...topicOperations.deleteTopic,
    async handler(request, reply) {
      const { topic } = request.params
      await topics.delete(request.caller, topic, queue =>
        permit(request, 'manage', queue, () => notManaged(topic, queue))
      )
      return reply.code(204).send(null)
    }
  })
}

function notManaged(topic: string, queue: string): QueueError {
  return new QueueError(
    'forbidden',
    `The queue ${queue} is subscribed to the topic ${topic}, and this key may not manage it; nothing was ` +
      'changed. End the subscriptions of your own queues one by one.'
  )
}
