/** Routes for those who run it: alive, ready, metrics. */
import { Type } from 'typebox'
import { QueueError } from '../../../core/errors.ts'
import { problemResponses } from '../common.ts'
import type { Server } from '../server.ts'

export interface Health {
  /** Null while the service can serve, else why not. */
  unready: () => string | null
  /** In the text format of Prometheus. */
  metrics: () => Promise<string>
}

const Status = Type.Object({ status: Type.Literal('ok') }, { description: 'Yes.' })

export function healthRoutes(app: Server, { unready, metrics }: Health): void {
  app.get(
    '/livez',
    {
      config: { access: 'anyone', always: true },
      schema: {
        operationId: 'livez',
        summary: 'Alive?',
        description: 'Answers while the process does; it never asks the database.',
        response: { 200: Status }
      }
    },
    async () => ({ status: 'ok' as const })
  )

  app.get(
    '/readyz',
    {
      config: { access: 'anyone' },
      schema: {
        operationId: 'readyz',
        summary: 'Able to serve?',
        description: '503 while the database is away or the service is shutting down.',
        response: { 200: Status, 503: problemResponses(503)[503] }
      }
    },
    async () => {
      const reason = unready()
      if (reason !== null) throw new QueueError('databaseUnavailable', reason)
      return { status: 'ok' as const }
    }
  )

  app.get(
    '/metrics',
    {
      config: { access: 'metrics' },
      schema: {
        operationId: 'metrics',
        summary: 'Metrics',
        description:
          'In the text format of Prometheus. Where keys are in force they take a key with the right ' +
          '`browse:*`, unless they are open to all.',
        response: { 200: Type.String({ description: 'The metrics.' }), ...problemResponses() }
      }
    },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics())
  )
}
