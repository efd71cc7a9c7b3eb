/**
 * PostgreSQL for tests: a fresh, migrated database for each test file, all on one server; and
 * servers of their own for tests that kill one.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import tap, { type Test } from 'tap'
import { startEmbedded, type Embedded } from '../../src/store/setup/embedded.ts'
import { migrate } from '../../src/store/setup/migrate.ts'
import { tcpServer } from './tcpServer.ts'

export interface Database {
  name: string
  /**
   * Single fields, so that a test can replace one, such as the port. Beside a url pg would ignore
   * it.
   */
  config: { host: string; port: number; user: string; database: string; password?: string; ssl: false }
  /** For HOLDFAST_DATABASE_URL. */
  url: string
  /** Cuts every connection and drops the database. Happens by itself when `t` ends. */
  drop(): Promise<void>
}

/**
 * An empty database that lives as long as `t`: migrated, or with `migrated: false` without a
 * schema.
 */
export async function freshDatabase(t: Pick<Test, 'teardown'>, { migrated = true } = {}): Promise<Database> {
  const server = await sharedServer()
  const template = migrated ? await templateOn(server) : 'template0'
  const name = `test_${randomBytes(6).toString('hex')}`
  await onServer(server, client => client.query(`create database ${name} template ${template}`))
  const drop = async () => {
    await onServer(server, client => client.query(`drop database if exists ${name} with (force)`))
  }
  t.teardown(drop)
  return { name, ...locate(server, name), drop }
}

/** A server that a test may kill, with an empty database `holdfast` without a schema. */
export async function freshServer(
  t: Pick<Test, 'teardown' | 'comment'>
): Promise<Embedded & { dataDir: string }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  const server = await startEmbedded(dataDir, line => t.comment(line))
  t.teardown(() => server.stop())
  return Object.defineProperty(server, 'dataDir', { value: dataDir }) as typeof server & { dataDir: string }
}

/** A session that ends with `t`. An error between two queries fails no test: the next query reports it. */
export async function connect(t: Pick<Test, 'teardown'>, to: string | pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(to)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

let shared: Promise<string> | undefined
let template: Promise<string> | undefined

/** The url of the server that test/run.ts has started. A file run by itself starts its own. */
function sharedServer(): Promise<string> {
  shared ??= startShared()
  return shared
}

async function startShared(): Promise<string> {
  // A pooler runs as another user, to whom the folder of a socket is closed.
  if (process.env.HOLDFAST_TEST_POOLER !== undefined) return (await tcpServer(tap)).url()
  return process.env.HOLDFAST_TEST_POSTGRES ?? (await freshServer(tap)).url
}

/**
 * The template of migrated databases. The first file to need it makes it. Its name is a digest of
 * the migrations, since a server may outlive an edit of them.
 */
function templateOn(server: string): Promise<string> {
  template ??= onServer(server, async client => {
    const folder = new URL('../../migrations/', import.meta.url)
    const hash = createHash('sha256')
    for (const name of (await readdir(folder)).sort()) {
      hash.update(name).update(await readFile(new URL(name, folder)))
    }
    const name = `holdfast_template_${hash.digest('hex').slice(0, 12)}`
    await client.query('select pg_advisory_lock(7081)') // released when onServer ends the connection
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
    if (rowCount === 0) {
      // It gets its name once it is complete.
      await client.query('drop database if exists holdfast_draft with (force)')
      await client.query('create database holdfast_draft template template0')
      await migrate(locate(server, 'holdfast_draft').config)
      await client.query(`alter database holdfast_draft rename to ${name}`)
    }
    return name
  })
  return template
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function locate(server: string, database: string): Pick<Database, 'config' | 'url'> {
  const { host, port, user = '', password } = new pg.Client(server)
  return {
    config: { host, port, user, database, ssl: false, ...(typeof password === 'string' && { password }) },
    url: server.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1${database}`)
  }
}
