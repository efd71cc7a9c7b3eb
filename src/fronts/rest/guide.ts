/** Serves the guide: the documents as a static site, where `npm run docs` has built them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import { ownPageFields } from '../shared/securityFields.ts'
import { hidden } from '../shared/server.ts'

const builtFolder = fileURLToPath(new URL('../../../dist/guide', import.meta.url))

/** Adds /docs/guide. It holds no data, so it needs no key. */
export async function guideRoutes(app: FastifyInstance, folder = builtFolder): Promise<void> {
  await app.register(async scope => {
    scope.addHook('onRoute', route => {
      route.config = { ...route.config, access: 'anyone' }
      route.schema = hidden
    })
    // Looked up each time, so a guide that is built later needs no restart.
    scope.addHook('onRequest', (_request, reply, done) => {
      if (!existsSync(join(folder, 'index.html'))) return done(notBuilt())
      reply.headers(ownPageFields)
      done()
    })
    // The links of the pages are relative, so a proxy may serve them below another path.
    scope.get('/docs/guide', async ({ url }, reply) =>
      reply.redirect(/^[^?]*\/(\?|$)/.test(url) ? 'index.html' : 'guide/index.html', 302)
    )
    await scope.register(fastifyStatic, {
      root: folder,
      prefix: '/docs/guide/',
      index: false,
      suppressWarning: true // that there is no folder yet
    })
  })
}

function notBuilt(): QueueError {
  return new QueueError('routeNotFound', 'The guide is not built here. Run npm run docs in the repository.')
}
