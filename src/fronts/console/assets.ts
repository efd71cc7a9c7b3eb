/** The files of the console. They hold no data, so they need no key. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { openStates, states } from '../../core/counters.ts'
import {
  consoleRowsDefault,
  listMax,
  messageBytesMax,
  nameCharsMax,
  nextRunsMax,
  pageRowsMax
} from '../../core/limits.ts'
import { options, uniqueMembers, type OptionRow } from '../../core/options.ts'
import { pushDefaults } from '../../core/push.ts'
import { settingPaths } from '../../core/settings.ts'
import { boundsOf } from '../../core/table.ts'
import { ownPageFields } from '../shared/securityFields.ts'
import { hidden } from '../shared/server.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml'
}

const headers = {
  ...ownPageFields,
  'cache-control': 'no-cache' // browsers ask each time, and get 304 while the file is the same
}

/** Files of packages, served as the packages hold them. */
const vendored = {
  'vendor/htm.js': 'htm/preact/standalone',
  'vendor/uplot.js': 'uplot/dist/uPlot.esm.js',
  'vendor/uplot.css': 'uplot/dist/uPlot.min.css'
}

const open = { config: { access: 'anyone' }, schema: hidden } as const

/** The tables that core holds, so that no page writes them again. */
const tables = {
  settings: settingPaths.map(({ column: _, ...row }) => row),
  options: Object.fromEntries(
    Object.entries<OptionRow>(options)
      .filter(([, { label }]) => label !== undefined)
      .map(([name, row]) => [name, { name, ...row, bounds: 'max' in row ? boundsOf(row) : undefined }])
  ),
  uniqueMembers: Object.entries(uniqueMembers).map(([name, row]) => ({ name, ...row })),
  pushDefaults,
  states,
  openStates,
  limits: { consoleRowsDefault, listMax, messageBytesMax, nameCharsMax, nextRunsMax, pageRowsMax }
}

/** They reach the pages as a module. */
const tablesModule = Object.entries(tables)
  .map(([name, table]) => `export const ${name} = ${JSON.stringify(table)}\n`)
  .join('')

/** Serves every file in `pages`, the vendored ones, tables.js, and index.html as `/console`. */
export async function assetRoutes(app: FastifyInstance): Promise<void> {
  const pages = new URL('./pages/', import.meta.url)
  for (const name of await readdir(pages)) {
    const type = types[extname(name)]
    if (type === undefined) continue
    const bytes = await readFile(new URL(name, pages))
    if (name === 'index.html') serve(app, '/console', bytes, type, fromItsFolder(bytes))
    else serve(app, `/console/${name}`, bytes, type)
  }
  for (const [name, file] of Object.entries(vendored)) {
    const bytes = await readFile(fileURLToPath(import.meta.resolve(file)))
    serve(app, `/console/${name}`, bytes, types[extname(name)]!)
  }
  serve(app, '/console/tables.js', Buffer.from(tablesModule), types['.js']!)
}

/** The page for `/console/`: its files then stand beside it, and no longer below. */
function fromItsFolder(page: Buffer): Buffer {
  return Buffer.from(page.toString().replaceAll('"console/', '"'))
}

function serve(app: FastifyInstance, path: string, bytes: Buffer, type: string, withSlash = bytes): void {
  const plain = tagged(bytes)
  const slashed = tagged(withSlash)
  app.get(path, open, async (request, reply) => {
    const { bytes, etag } = /^[^?]*\/(\?|$)/.test(request.url) ? slashed : plain
    reply.headers({ ...headers, etag }).type(type)
    return request.headers['if-none-match'] === etag ? reply.code(304).send() : reply.send(bytes)
  })
}

function tagged(bytes: Buffer): { bytes: Buffer; etag: string } {
  return { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` }
}
