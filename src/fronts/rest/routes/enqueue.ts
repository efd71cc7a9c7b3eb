/** The handler of enqueues: one message or a list as JSON, or a raw body of any content type. */
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { checkMessages, takeMessages } from '../../shared/guard.ts'
import type { Server } from '../../shared/server.ts'
import { enqueueOperations, Message, MessageList, type MessageInput } from '../contract/enqueue.ts'
import { messagesOf, storedJson, takeAnyBody, type MessageChecks } from '../messages.ts'
import { uncheckedBody, validator } from '../validation.ts'

const checks: MessageChecks = {
  one: validator<MessageInput>(Message),
  list: validator<Static<typeof MessageList>>(MessageList)
}

/** Registered in a scope of its own, because only enqueues take bodies of any content type. */
export async function enqueueRoutes(app: Server, broker: Broker): Promise<void> {
  takeAnyBody(app)
  app.route({
    ...enqueueOperations.enqueue,
    validatorCompiler: uncheckedBody,
    async handler(request, reply) {
      const { messages, isList } = messagesOf(request, request.query, checks, broker)
      checkMessages(request)
      takeMessages(request, messages.length)
      const answers = await broker.enqueue(request.caller, request.params.queue, messages, isList)
      const isNew = answers.some(({ duplicate, replaced = false }) => !duplicate && !replaced)
      const stored = answers.map(storedJson)
      reply.code(isNew ? 201 : 200)
      return isList ? { messages: stored } : stored[0]!
    }
  })
}
