/** Handlers of the bulk actions: retry, redrive and purge, and their dry runs. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import type { State } from '../../../core/counters.ts'
import { filterOf, type Selection } from '../../../core/message.ts'
import type { BulkAction } from '../../../core/ports.ts'
import { givenUp } from '../common.ts'
import { queueOperations, type RetryRequest } from '../contract/queues.ts'
import type { Server } from '../../shared/server.ts'

interface BulkRequest {
  queue: string
  state: State | null
  selection: Selection
  signal: AbortSignal
}

export function bulkRoutes(app: Server, broker: Broker): void {
  /** Counts what an action would change, or does it and says how many it changed. */
  async function answer<Name extends string>(
    action: BulkAction,
    request: FastifyRequest,
    reply: FastifyReply,
    done: Name,
    act: (bulk: BulkRequest) => Promise<number>
  ) {
    const { queue } = request.params as { queue: string }
    const {
      state = null,
      dryRun,
      ...chosen
    } = request.body as Static<typeof RetryRequest> & { state?: State }
    const selection = selectionOf(chosen)
    const signal = givenUp(request, reply)
    if (!dryRun) return { [done]: await act({ queue, state, selection, signal }) } as Record<Name, number>
    const { matched, more } = await broker.countMatches(queue, action, state, selection, signal)
    return more ? { matched, more } : { matched }
  }

  app.route({
    ...queueOperations.retry,
    handler: (request, reply) =>
      answer('retry', request, reply, 'retried', ({ queue, selection, signal }) =>
        broker.retry(queue, selection, signal)
      )
  })

  app.route({
    ...queueOperations.redrive,
    handler: (request, reply) =>
      answer('redrive', request, reply, 'redriven', ({ queue, selection, signal }) =>
        broker.redrive(queue, selection, signal)
      )
  })

  app.route({
    ...queueOperations.purge,
    handler: (request, reply) =>
      answer('purge', request, reply, 'purged', ({ queue, state, selection, signal }) =>
        broker.purge(queue, state, selection, signal)
      )
  })
}

function selectionOf({ ids, where, limit }: Static<typeof RetryRequest>): Selection {
  return {
    ids: ids ?? null,
    where: where === undefined ? null : filterOf(where, '/where'),
    limit: limit ?? Number.MAX_SAFE_INTEGER
  }
}
