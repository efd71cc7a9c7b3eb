/**
 * The console's own routes: its files, what a key may do, and the live figures. All that is done
 * from its pages is done by the REST routes.
 */
import type { FastifyRequest } from 'fastify'
import type { Action } from '../../core/apiKey.ts'
import type { Server } from '../shared/server.ts'
import { assetRoutes } from './assets.ts'
import { OverviewCache, sorts, type QueueRow, type Sort, type Sources } from './overviewCache.ts'
import { Streams } from './streams.ts'

const actions = ['enqueue', 'lease', 'browse', 'manage'] as const satisfies Action[]
const everywhere = { names: [], prefixes: [''] }

const liveQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    search: { type: 'string', maxLength: 80, default: '' },
    sort: { enum: sorts },
    descending: { type: 'boolean' },
    page: { type: 'integer', minimum: 0, maximum: 1_000_000 },
    limit: { type: 'integer', minimum: 1, maximum: 100 }
  }
}

export async function consoleRoutes(app: Server, sources: Sources): Promise<void> {
  const streams = new Streams(new OverviewCache(sources))
  const overviewCache = streams.overviewCache
  app.addHook('preClose', () => streams.close())
  await assetRoutes(app)

  app.get(
    '/console/rights',
    { config: { access: 'key' }, schema: { hide: true } as object },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      return {
        signedIn: request.key !== null,
        admin: request.key?.isAdmin ?? true,
        rights: Object.fromEntries(actions.map(action => [action, request.key?.within(action) ?? everywhere]))
      }
    }
  )

  app.get(
    '/console/live',
    { config: { access: 'key' }, schema: { hide: true, querystring: liveQuery } as object },
    (request, reply) => {
      const {
        search = '',
        sort = 'name',
        descending = false,
        page = 0,
        limit = 50
      } = request.query as {
        search?: string
        sort?: Sort
        descending?: boolean
        page?: number
        limit?: number
      }
      const view = { search, sort, descending, page, limit, within: withinOf(request) }
      return streams.send(request, reply, () => {
        const { rows, ...rest } = overviewCache.page(view)
        // The last hour is as large as all else together, and changes once in fifteen times.
        return [
          { ...rest, rows: rows.map(shown) },
          { sparks: Object.fromEntries(rows.map(({ queue }) => [queue, overviewCache.spark(queue)])) }
        ]
      })
    }
  )

  app.get(
    '/console/live/:queue',
    { config: { access: 'browse' }, schema: { hide: true } as object },
    (request, reply) => {
      const { queue } = request.params as { queue: string }
      return streams.send(request, reply, () => {
        const row = overviewCache.row(queue)
        return [{ row: row === undefined ? null : shown(row) }]
      })
    }
  )
}

function withinOf({ key }: FastifyRequest): { names: string[]; prefixes: string[] } {
  return key?.within('browse') ?? everywhere
}

function shown({ id: _, enqueuedTotal: _enqueued, ackedTotal: _acked, ...row }: QueueRow): object {
  return row
}
