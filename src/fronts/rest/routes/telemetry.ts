/** Routes that say how a queue is doing, and why a message is where it is. */
import type { Broker } from '../../../core/broker.ts'
import { idOf, problemResponses } from '../common.ts'
import { Explanation } from '../contract/messages.ts'
import { Series } from '../contract/series.ts'
import { MessageParams, QueueParams } from '../contract/shapes.ts'
import type { Server } from '../server.ts'

export function telemetryRoutes(app: Server, broker: Broker): void {
  app.get(
    '/queues/:queue/series',
    {
      config: { access: 'browse' },
      schema: {
        operationId: 'getSeries',
        summary: "A queue's last hour",
        description:
          'Counts, rates, waiting and working times in steps of half a minute, over all replicas. ' +
          'The last step is the last that has ended.',
        params: QueueParams,
        response: { 200: Series, ...problemResponses(400, 404, 503) }
      }
    },
    request => broker.series(request.params.queue)
  )

  app.get(
    '/queues/:queue/messages/:id/explain',
    {
      config: { access: 'browse' },
      schema: {
        operationId: 'explainMessage',
        summary: 'Why is a message where it is?',
        description:
          'Says what it waits for: a pause, consumers that do not ask (for a minute), a delay, those ' +
          'before it; or who holds it, or why it is dead.',
        params: MessageParams,
        response: { 200: Explanation, ...problemResponses(400, 404, 503) }
      }
    },
    request => broker.explain(request.params.queue, idOf(request.params))
  )
}
