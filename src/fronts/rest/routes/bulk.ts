/** Handlers of the bulk actions, and of their dry runs. All actions are alike. */
import type { Broker } from '../../../core/broker.ts'
import { filterOf, noLimit, type Selection } from '../../../core/message.ts'
import { keysOf } from '../../../core/table.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { Bulk, bulkOperation, type BulkRequest } from '../contract/bulk.ts'
import type { Server } from '../../shared/server.ts'

export function bulkRoutes(app: Server, broker: Broker): void {
  for (const action of keysOf(Bulk)) {
    app.route({
      ...bulkOperation(action),
      async handler(request, reply) {
        const {
          caller,
          params: { queue }
        } = request
        const { state = null, dryRun, ...chosen } = request.body
        const work = { action, state, selection: selectionOf(chosen) }
        const signal = givenUp(request, reply)
        if (!dryRun) {
          return { [Bulk[action].done]: await broker.bulk(caller, queue, work, signal) }
        }
        return matchedJson(await broker.countMatches(caller, queue, work, signal))
      }
    })
  }
}

/** The answer of a dry run. */
export function matchedJson({ matched, more }: { matched: number; more: boolean }) {
  return { matched, ...(more && { more: true as const }) }
}

/** Reads which messages a bulk action takes. Refuses with invalidRequest. */
export function selectionOf({ ids, where, limit }: Pick<BulkRequest, 'ids' | 'where' | 'limit'>): Selection {
  return {
    ids: ids ?? null,
    where: where === undefined ? null : filterOf(where, '/where'),
    limit: limit ?? noLimit
  }
}
