/**
 * The console's own routes: its files, what a key may do, and the live figures. Everything that the
 * pages do, they do through the REST routes.
 */
import type { FastifyInstance } from 'fastify'
import { Type, type Static } from 'typebox'
import { queueActions, topicActions } from '../../core/apiKey.ts'
import type { Share, ShareReport } from '../../core/engine/share.ts'
import { QueueError } from '../../core/errors.ts'
import { consolePageMax, consoleRowsDefault, consoleRowsMax, nameCharsMax } from '../../core/limits.ts'
import { everyQueue } from '../../core/queue.ts'
import { browsable } from '../shared/guard.ts'
import { assetRoutes } from './assets.ts'
import { OverviewCache, type Sources } from './overviewCache.ts'
import { sorts, type QueueRow } from './queueList.ts'
import { Streams } from './streams.ts'
import { hidden } from '../shared/server.ts'

const LiveQuery = Type.Object(
  {
    search: Type.Optional(Type.String({ maxLength: nameCharsMax })),
    sort: Type.Optional(Type.Enum([...sorts])),
    descending: Type.Optional(Type.Boolean()),
    page: Type.Optional(Type.Integer({ minimum: 0, maximum: consolePageMax })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: consoleRowsMax }))
  },
  { additionalProperties: false }
)

/** Where the console's own routes read from. */
interface ConsoleSources extends Sources {
  /** Who holds how much of each bound. Without it, the page of shares is not offered. */
  shares?: () => Promise<ShareReport[]>
}

/** Registers every route of the console. `pages` bounds the open event streams. */
export async function consoleRoutes(
  app: FastifyInstance,
  sources: ConsoleSources,
  pages: Share
): Promise<void> {
  await assetRoutes(app)
  rightsRoute(app, sources.shares !== undefined)
  if (sources.shares !== undefined) sharesRoute(app, sources.shares)
  liveRoutes(app, sources, pages)
}

function rightsRoute(app: FastifyInstance, withShares: boolean): void {
  app.get('/console/rights', { config: { access: 'key' }, schema: hidden }, async ({ key }, reply) => {
    reply.header('cache-control', 'no-store')
    const rights = [
      ...queueActions.map(action => [action, key?.within(action) ?? everyQueue]),
      ...topicActions.map(action => [action, key?.topicsWithin(action) ?? everyQueue])
    ]
    const admin = key?.isAdmin ?? true
    return {
      signedIn: key !== null,
      admin,
      shares: withShares && admin,
      rights: Object.fromEntries(rights)
    }
  })
}

/** It names no access, so it is for admins. */
function sharesRoute(app: FastifyInstance, shares: () => Promise<ShareReport[]>): void {
  app.get('/console/shares', { schema: hidden }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { shares: await shares() }
  })
}

function liveRoutes(app: FastifyInstance, sources: Sources, pages: Share): void {
  const overviewCache = new OverviewCache(sources)
  const streams = new Streams(overviewCache, pages)
  app.addHook('preClose', () => streams.close())

  app.get(
    '/console/live',
    { config: { access: 'key' }, schema: { hide: true, querystring: LiveQuery } as object },
    (request, reply) => {
      const query = request.query as Static<typeof LiveQuery>
      const { search = '', sort = 'name', descending = false, page = 0, limit = consoleRowsDefault } = query
      const within = browsable(request)
      if (within.names.length === 0 && within.prefixes.length === 0) throw nothingToShow()
      const view = { search, sort, descending, page, limit, within }
      return streams.send(request, reply, () => {
        const { rows, ...rest } = overviewCache.page(view)
        const sparks = rows.map(({ queue }) => [queue, overviewCache.spark(queue)])
        // Two parts: the last hours are as large as the rest, and change in every 15th read only.
        return [{ ...rest, rows: rows.map(shown) }, { sparks: Object.fromEntries(sparks) }]
      })
    }
  )

  app.get('/console/live/:queue', { config: { access: 'browse' }, schema: hidden }, (request, reply) => {
    const { queue } = request.params as { queue: string }
    return streams.send(request, reply, () => {
      const row = overviewCache.row(queue)
      return [{ row: row === undefined ? null : shown(row) }]
    })
  })
}

/** A queue as pages get it. */
function shown({ id: _, ...row }: QueueRow): object {
  return row
}

function nothingToShow(): QueueError {
  return new QueueError(
    'forbidden',
    'This key may browse no queue, so there are no figures to show. Use a key with a browse right.'
  )
}
