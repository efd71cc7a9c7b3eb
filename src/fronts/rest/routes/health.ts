/** Handlers for those who run the service: alive, ready, metrics. */
import { QueueError } from '../../../core/errors.ts'
import { healthOperations } from '../contract/health.ts'
import type { Server } from '../../shared/server.ts'

export interface Health {
  /** null while the service can serve, else why not. */
  unready: () => string | null
  /** In the text format of Prometheus. */
  metrics: () => Promise<string>
}

export function healthRoutes(app: Server, { unready, metrics }: Health): void {
  app.route({
    ...healthOperations.livez,
    handler: async () => ({ status: 'ok' as const })
  })

  app.route({
    ...healthOperations.readyz,
    async handler() {
      const reason = unready()
      if (reason !== null) throw new QueueError('databaseUnavailable', reason)
      return { status: 'ok' as const }
    }
  })

  app.route({
    ...healthOperations.metrics,
    handler: async (_request, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics())
  })
}
