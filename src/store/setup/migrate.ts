/**
 * Brings the database to this release's schema. Numbered files run once and in order; api.sql runs
 * whenever it has changed.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { lockKeys } from '../lockKeys.ts'
import { postgresVersionMin, serverVersionNumMin } from './version.ts'

const folder = new URL('../../../migrations/', import.meta.url)

const createTable = `
  create table if not exists holdfast.migrations (
    name text primary key,
    hash text not null,
    applied_at timestamptz not null default now()
  )`

// $1 name of the file · $2 hash of its text
const recordMigration = `
  insert into holdfast.migrations (name, hash)
  values ($1, $2)
  on conflict (name) do update
  set hash = excluded.hash,
    applied_at = now()`

/**
 * Answers the names of the files it applied. Safe to call from any number of replicas at once: one
 * migrates, the others wait and find nothing to do. Throws an Error with a sentence for a person
 * when the database cannot be reached, is unsafe or was made from other files.
 */
export async function migrate(config: pg.ClientConfig): Promise<string[]> {
  const client = await connect(config, 'holdfast migrate')
  try {
    await refuseUnsafe(client)
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [lockKeys.migrate])
    await client.query('create schema if not exists holdfast')
    await client.query(createTable)
    const { missing, edited } = await compareMigrations(client)
    if (edited[0] !== undefined) {
      throw new Error(
        `The migration ${edited[0]} was edited after it had run on this database. Restore the file, ` +
          'and put the change into a new one.'
      )
    }
    for (const { name, text, hash } of missing) {
      await client.query(text)
      await client.query(recordMigration, [name, hash])
    }
    await client.query('commit')
    return missing.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

interface MigrationFile {
  name: string
  text: string
  hash: string
}

interface MigrationState {
  /** Files not applied yet, in order. */
  missing: MigrationFile[]
  /** Names of files that were changed after they had been applied. */
  edited: string[]
  /** Names of migrations that a later release has applied. */
  later: string[]
}

/** Compares this release's files with a database that has the table of migrations. */
export async function compareMigrations(client: pg.Client): Promise<MigrationState> {
  const files = await readMigrations()
  const { rows } = await client.query<{ name: string; hash: string }>(
    'select name, hash from holdfast.migrations'
  )
  const applied = new Map(rows.map(({ name, hash }) => [name, hash]))
  const runsAgain = (name: string) => name === 'api.sql'
  const differing = files.filter(({ name, hash }) => applied.get(name) !== hash)
  return {
    missing: differing.filter(({ name }) => !applied.has(name) || runsAgain(name)),
    edited: differing.map(({ name }) => name).filter(name => applied.has(name) && !runsAgain(name)),
    later: [...applied.keys()].filter(name => !files.some(file => file.name === name))
  }
}

async function readMigrations(): Promise<MigrationFile[]> {
  const names = (await readdir(folder)).filter(name => name.endsWith('.sql')).sort()
  return await Promise.all(
    names.map(async name => {
      const text = await readFile(new URL(name, folder), 'utf8')
      return { name, text, hash: createHash('sha256').update(text).digest('hex') }
    })
  )
}

/** A connection outside the pool, without the settings of the service's sessions. */
export async function connect(config: pg.ClientConfig, name: string): Promise<pg.Client> {
  const client = new pg.Client({ ...config, application_name: name, connectionTimeoutMillis: 5000 })
  client.on('error', () => {}) // the query under way reports it
  await client.connect().catch(error => {
    throw new Error(
      `The database cannot be reached (${error.message}). Start it, or correct HOLDFAST_DATABASE_URL.`
    )
  })
  return client
}

interface ServerRow {
  number: number
  version: string
  fsync: string
  full_page_writes: string
  encoding: string
  standby: boolean
}

const serverQuery = `
  select current_setting('server_version_num')::int as number,
    current_setting('server_version') as version,
    current_setting('fsync') as fsync,
    current_setting('full_page_writes') as full_page_writes,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() as standby`

async function refuseUnsafe(client: pg.Client): Promise<void> {
  const { rows } = await client.query<ServerRow>(serverQuery)
  const server = rows[0]!
  if (server.number < serverVersionNumMin) {
    throw new Error(
      `This is PostgreSQL ${server.version}, and Holdfast needs version ${postgresVersionMin} or ` +
        'later. Upgrade the server.'
    )
  }
  for (const setting of ['fsync', 'full_page_writes'] as const) {
    if (server[setting] !== 'on') {
      throw new Error(
        `PostgreSQL runs with ${setting} = off, so a committed message could be lost in a crash. ` +
          `Set ${setting} = on and start again.`
      )
    }
  }
  if (server.encoding !== 'UTF8') {
    throw new Error(
      `The database's encoding is ${server.encoding}. Holdfast keeps bodies exactly only in UTF8. ` +
        'Create a database with encoding UTF8 and use that.'
    )
  }
  if (server.standby) {
    throw new Error(
      'The database is a standby and takes no writes. Point HOLDFAST_DATABASE_URL at the primary.'
    )
  }
}
