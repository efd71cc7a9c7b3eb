/**
 * Brings the database to this release's schema. Numbered files run once and in order; the
 * others, of functions, run whenever they have changed.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type pg from 'pg'
import { isServerError, sqlState } from '../databaseErrors.ts'
import type { Target } from '../hosts.ts'
import { lockKeys } from '../lockKeys.ts'
import { migrationSettings } from '../sessionSettings.ts'
import { connect } from './connect.ts'
import { findHiding, findLacking, grantsFor, showRows, sqlName } from './grants.ts'
import { postgresVersionMin, serverVersionNumMin } from './version.ts'

const folder = new URL('../../../migrations/', import.meta.url)

// To create a schema `if not exists` needs a right on the database, even where the schema is there.
// It reads the table of schemas, because to_regnamespace may answer from before a wait for a lock.
export const schemaExists = 'select exists (select from pg_namespace where nspname = $1) as made'

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
 * migrates, the others wait and find nothing to do. Where nothing is left to do, it needs no right
 * to create anything. Throws an Error with a sentence for a person if the database cannot be
 * reached, is unsafe or was made from other files. It also throws one if the role lacks rights.
 */
export async function migrate(target: Target): Promise<string[]> {
  const client = await connect(target, 'holdfast migrate')
  try {
    const { role, database } = await refuseUnsafe(client)
    // First, because the table of migrations may be hidden too, and then looks empty.
    const hiding = await findHiding(client)
    if (hiding.length > 0) throw new Error(explainHiding(role, hiding))
    const missing = await findMissing(client).catch(error => {
      throw isDenied(error) ? new Error(explainLacking(role, 'the schema holdfast')) : error
    })
    if (missing === null || missing.length > 0) {
      return await applyMissing(client).catch(error => {
        throw isDenied(error) ? new Error(explainDenied(role, database, missing, error)) : error
      })
    }
    const lacking = await findLacking(client)
    if (lacking.length > 0) throw new Error(explainLacking(role, lacking.join(', ')))
    return []
  } finally {
    await client.end()
  }
}

/** What is not applied yet; null when not even the table of migrations is there. */
async function findMissing(client: pg.Client): Promise<MigrationFile[] | null> {
  const { rows } = await client.query<{ made: boolean }>(
    "select to_regclass('holdfast.migrations') is not null as made"
  )
  return rows[0]!.made ? await compareUnedited(client) : null
}

async function applyMissing(client: pg.Client): Promise<string[]> {
  // Only at this isolation has the comparison a snapshot that is younger than the lock.
  await client.query(`begin isolation level read committed read write; ${migrationSettings}`)
  await client.query('select pg_advisory_xact_lock($1)', [lockKeys.migrate])
  const { rows } = await client.query<{ made: boolean }>(schemaExists, ['holdfast'])
  if (!rows[0]!.made) await client.query('create schema holdfast')
  await client.query(createTable)
  const missing = await compareUnedited(client)
  for (const { name, text, hash } of missing) {
    // The first file makes the schema too.
    await client.query(text.replace('create schema if not exists holdfast;', ''))
    await client.query(recordMigration, [name, hash])
  }
  await client.query('commit')
  return missing.map(({ name }) => name)
}

async function compareUnedited(client: pg.Client): Promise<MigrationFile[]> {
  const { missing, edited } = await compareMigrations(client)
  if (edited[0] === undefined) return missing
  throw new Error(
    `The migration ${edited[0]} was edited after it had run on this database. Restore the file, ` +
      'and put the change into a new one.'
  )
}

const isDenied = (error: unknown) => isServerError(error, sqlState.rightLacking)

const explainLacking = (role: string, subject: string) =>
  `The role ${role} lacks rights on ${subject}. As the owner, run: ${grantsFor(role)}`

const explainHiding = (role: string, tables: string[]) =>
  `Row-level security keeps rows of ${tables.join(', ')} from the role ${role}. As the owner, run: ` +
  showRows(tables)

function explainDenied(
  role: string,
  database: string,
  missing: MigrationFile[] | null,
  { message }: Error
): string {
  const subject =
    missing === null
      ? 'The schema of Holdfast is not made yet'
      : `${missing.map(({ name }) => name).join(', ')} must be applied`
  const migrator = missing === null ? 'another role' : 'the owner of the tables'
  const otherwise = missing === null ? ` Or run: grant create on database ${database} to ${role};` : ''
  return (
    `${subject}, and the role ${role} may not do that (${message}). Run holdfast migrate as ${migrator}, ` +
    `and then as that role: ${grantsFor(role)}${otherwise}`
  )
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
  const runsAgain = (name: string) => !/^\d/.test(name)
  const differing = files.filter(({ name, hash }) => applied.get(name) !== hash)
  const later = [...applied.keys()].filter(name => !files.some(file => file.name === name))
  return {
    // The functions of a later release stay. They serve this release too.
    missing: differing.filter(({ name }) => !applied.has(name) || (runsAgain(name) && later.length === 0)),
    edited: differing.map(({ name }) => name).filter(name => applied.has(name) && !runsAgain(name)),
    later
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

interface ServerRow {
  number: number
  version: string
  fsync: string
  full_page_writes: string
  encoding: string
  standby: boolean
  role: string
  database: string
  settings: Record<RefusedSetting, { value: string; source: Source }>
}

/** Where a value comes from, as pg_settings names it. */
type Source = string

// The service does not override these: the first, because somebody wanted no writes; the second, because
// only a superuser may.
const refusedSettings = {
  default_transaction_read_only: { value: 'on', means: 'The database takes no writes' },
  session_replication_role: { value: 'replica', means: 'Triggers and foreign keys do not work' }
}
type RefusedSetting = keyof typeof refusedSettings

const serverQuery = `
  select
    current_setting('server_version_num')::int as number,
    current_setting('server_version') as version,
    current_setting('fsync') as fsync,
    current_setting('full_page_writes') as full_page_writes,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() as standby,
    current_user as role,
    current_database() as database,
    (
      select jsonb_object_agg(name, jsonb_build_object('value', setting, 'source', source))
      from pg_settings
      where name in (${Object.keys(refusedSettings)
        .map(name => `'${name}'`)
        .join(', ')})
    ) as settings`

/** Answers the role and the database, as SQL writes them. */
async function refuseUnsafe(client: pg.Client): Promise<{ role: string; database: string }> {
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
  const [role, database] = [sqlName(server.role), sqlName(server.database)]
  for (const [name, { value, means }] of Object.entries(refusedSettings)) {
    const found = server.settings[name as RefusedSetting]
    if (found.value !== value) continue
    throw new Error(
      `${means}: ${name} is ${value}. Where nobody wants it so, run: ` +
        resetSetting(name, found.source, role, database)
    )
  }
  return { role, database }
}

function resetSetting(name: string, source: Source, role: string, database: string): string {
  const reset = `reset ${name};`
  if (source === 'user') return `alter role ${role} ${reset}`
  if (source === 'database user') return `alter role ${role} in database ${database} ${reset}`
  if (source === 'database') return `alter database ${database} ${reset}`
  if (source === 'client') return 'remove it from the options in HOLDFAST_DATABASE_URL.'
  return `alter system ${reset} select pg_reload_conf();`
}
