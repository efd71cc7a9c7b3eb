/** Handler of the consumers of a queue. */
import type { Broker } from '../../../core/broker.ts'
import { consumerOperations } from '../contract/consumers.ts'
import type { Server } from '../../shared/server.ts'

export function consumerRoutes(app: Server, broker: Broker): void {
  app.route({
    ...consumerOperations.listConsumers,
    handler: request => broker.consumers.list(request.caller, request.params.queue)
  })
}
