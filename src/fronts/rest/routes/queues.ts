/** Handlers of queues: make and change, report, list, delete. */
import type { Broker } from '../../../core/broker.ts'
import { browsable, hasQueueBound, permit } from '../../shared/guard.ts'
import { namePage } from '../cursors.ts'
import { sendPage } from '../sendJson.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { queueOperations } from '../contract/queues.ts'
import type { Server } from '../../shared/server.ts'

export function queueRoutes(app: Server, broker: Broker, answers: Answers): void {
  app.route({
    ...queueOperations.putQueue,
    async handler(request, reply) {
      const { caller, params, body } = request
      const { deadLetterQueue: target = null } = body
      if (target !== null) permit(request, 'enqueue', target)
      const options = { isBounded: hasQueueBound(request) }
      const { created, report } = await broker.putQueue(caller, params.queue, body, options)
      return reply.code(created ? 201 : 200).send(report)
    }
  })

  app.route({
    ...queueOperations.listQueues,
    async handler(request, reply) {
      const { caller, query } = request
      const page = namePage(query, browsable(request))
      const { queues, next } = await broker.listQueues(caller, page, query.deadLetterQueue)
      const list = queues.map(report => JSON.stringify(report))
      return sendPage(reply, 'queues', list, next, answers)
    }
  })

  app.route({
    ...queueOperations.getQueue,
    handler: request => broker.reportQueue(request.caller, request.params.queue)
  })

  app.route({
    ...queueOperations.getSeries,
    handler: request => broker.series(request.caller, request.params.queue)
  })

  app.route({
    ...queueOperations.deleteQueue,
    async handler(request, reply) {
      const { ifEmpty = false } = request.query
      await broker.deleteQueue(request.caller, request.params.queue, ifEmpty)
      return reply.code(204).send(null)
    }
  })
}
