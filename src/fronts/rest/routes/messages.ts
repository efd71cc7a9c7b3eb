/** Handlers of messages in a queue: browse, get one, explain, cancel. */
import type { Broker } from '../../../core/broker.ts'
import { pageRowsDefault } from '../../../core/limits.ts'
import { filterOf, messageIdOf, type Attempt, type MessageView } from '../../../core/message.ts'
import { bodyMembers, markMembers } from '../../shared/bodies.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { refuseEnded } from '../../shared/guard.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { cursorOf } from '../cursors.ts'
import { sendJson, sendPage } from '../sendJson.ts'
import { messageOperations } from '../contract/messages.ts'
import type { Server } from '../../shared/server.ts'

export function messageRoutes(app: Server, broker: Broker, answers: Answers): void {
  app.route({
    ...messageOperations.browse,
    async handler(request, reply) {
      const { state = null, limit = pageRowsDefault, cursor: from, ...where } = request.query
      const filter = Object.keys(where).length === 0 ? null : filterOf(where, 'query')
      const after = cursorOf(from, /^\d{1,19}$/) ?? '0'
      const asked = { state, where: filter, after, limit }
      const page = await broker.browse(request.caller, request.params.queue, asked)
      const list = page.messages.map(message => `{${viewJson(message)}}`)
      return sendPage(reply, 'messages', list, page.cursor, answers)
    }
  })

  app.route({
    ...messageOperations.getMessage,
    async handler(request, reply) {
      const { waitSeconds = 0 } = request.query
      const { queue, id } = request.params
      const wait = waitSeconds > 0 ? { seconds: waitSeconds, signal: givenUp(request, reply) } : null
      const message = await broker.message(request.caller, queue, messageIdOf(queue, id), wait)
      refuseEnded(request)
      const unique = message.unique === null ? '' : `,"unique":${JSON.stringify(message.unique)}`
      const lease = message.lease === null ? '' : `,"lease":${JSON.stringify(message.lease)}`
      const result = message.result === null ? '' : `,"result":${message.result}`
      const history = JSON.stringify(message.history.map(historyEntry))
      const moved = message.movedTo === null ? '' : `,"movedTo":"${message.movedTo}"`
      const text = `{${viewJson(message)}${unique}${lease}${result},"history":${history}${moved}}`
      return sendJson(reply, [text], answers)
    }
  })

  app.route({
    ...messageOperations.explainMessage,
    handler: ({ caller, params: { queue, id } }) => broker.explain(caller, queue, messageIdOf(queue, id))
  })

  app.route({
    ...messageOperations.cancelMessage,
    async handler({ caller, params: { queue, id } }, reply) {
      await broker.cancel(caller, queue, messageIdOf(queue, id))
      return reply.code(204).send(null)
    }
  })
}

// Written by hand, because a serializer would read a JSON body and write it anew.
function viewJson(message: MessageView): string {
  const { id, state, headers, priority, attempt, maxAttempts, enqueuedAt, visibleAt } = message
  const { lastFailure, origin } = message
  return (
    `"id":"${id}","state":"${state}",${bodyMembers(message)},` +
    `"headers":${JSON.stringify(headers ?? {})},"priority":${priority},` +
    `"attempt":${attempt},"maxAttempts":${maxAttempts},"enqueuedAt":"${enqueuedAt}"` +
    markMembers(message.marks) +
    (visibleAt === null ? '' : `,"visibleAt":"${visibleAt}"`) +
    (lastFailure === null ? '' : `,"lastFailure":${JSON.stringify(lastFailure)}`) +
    (origin === null ? '' : `,"origin":${JSON.stringify(origin)}`)
  )
}

function historyEntry({ reason, ...entry }: Attempt): object {
  return reason === null ? entry : { ...entry, reason }
}
