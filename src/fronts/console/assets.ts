/** The files of the console, as they are: they hold no data, so they are open to all. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Server } from '../shared/server.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml'
}

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for " +
    "'script'; trusted-types 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache' // asked for each time, and answered with 304 where it is the same
}

/** Packages whose files are served as they come. */
const vendored = {
  'vendor/htm.js': 'htm/preact/standalone',
  'vendor/uplot.js': 'uplot/dist/uPlot.esm.js',
  'vendor/uplot.css': 'uplot/dist/uPlot.min.css'
}

export async function assetRoutes(app: Server): Promise<void> {
  const pages = new URL('./pages/', import.meta.url)
  const own = (await readdir(pages))
    .filter(name => types[extname(name)] !== undefined)
    .map(name => [name, new URL(name, pages)] as const)
  const theirs = Object.entries(vendored).map(
    ([name, file]) => [name, new URL(import.meta.resolve(file))] as const
  )
  for (const [name, file] of [...own, ...theirs]) {
    const bytes = await readFile(fileURLToPath(file))
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
    app.get(
      name === 'index.html' ? '/console' : `/console/${name}`,
      { config: { access: 'anyone' }, schema: { hide: true } as object },
      async (request, reply) => {
        reply.headers({ ...headers, etag }).type(types[extname(name)]!)
        return request.headers['if-none-match'] === etag ? reply.code(304).send() : reply.send(bytes)
      }
    )
  }
  app.get(
    '/console/',
    { config: { access: 'anyone' }, schema: { hide: true } as object },
    async (_request, reply) => reply.redirect('../console', 308)
  )
}
