/**
 * Brings the database to this release's schema: numbered files once and in order, api.sql whenever
 * it has changed.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'

const folder = new URL('../../../migrations/', import.meta.url)
export const versionMin = 150000
// One migrator at a time in a database; any number that nobody else is likely to use.
const lockKey = 4_011_976

/**
 * Answers the names of the files it applied. Safe to call from any number of replicas at once: one
 * migrates, the others wait and find nothing to do.
 */
export async function migrate(config: pg.ClientConfig): Promise<string[]> {
  const client = await connect(config, 'holdfast migrate')
  try {
    await refuseUnsafe(client)
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [lockKey])
    await client.query('create schema if not exists holdfast')
    await client.query(
      'create table if not exists holdfast.migrations (name text primary key, hash text not null, ' +
        'applied_at timestamptz not null default now())'
    )
    const { missing, edited } = await compareMigrations(client)
    if (edited[0] !== undefined) {
      throw new Error(
        `The migration ${edited[0]} was edited after it had run on this database; put it back and ` +
          'add a new file instead.'
      )
    }
    for (const { name, text, hash } of missing) {
      await client.query(text)
      await client.query(
        'insert into holdfast.migrations (name, hash) values ($1, $2) on conflict (name) do update ' +
          'set hash = excluded.hash, applied_at = now()',
        [name, hash]
      )
    }
    await client.query('commit')
    return missing.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

/**
 * What this release's files are to a database that has the table of migrations: not applied yet,
 * in order; edited since; and applied by a later release.
 */
export async function compareMigrations(
  client: pg.Client
): Promise<{ missing: { name: string; text: string; hash: string }[]; edited: string[]; later: string[] }> {
  const names = (await readdir(folder)).filter(file => file.endsWith('.sql')).sort()
  const files = await Promise.all(
    names.map(async name => {
      const text = await readFile(new URL(name, folder), 'utf8')
      return { name, text, hash: createHash('sha256').update(text).digest('hex') }
    })
  )
  const { rows } = await client.query<{ name: string; hash: string }>(
    'select name, hash from holdfast.migrations'
  )
  const applied = new Map(rows.map(row => [row.name, row.hash]))
  const differing = files.filter(({ name, hash }) => applied.get(name) !== hash)
  return {
    missing: differing.filter(({ name }) => !applied.has(name) || name === 'api.sql'),
    edited: differing.map(({ name }) => name).filter(name => applied.has(name) && name !== 'api.sql'),
    later: [...applied.keys()].filter(name => !names.includes(name))
  }
}

/** A connection of one's own, without the settings that the service's sessions have. */
export async function connect(config: pg.ClientConfig, name: string): Promise<pg.Client> {
  const client = new pg.Client({ ...config, application_name: name, connectionTimeoutMillis: 5000 })
  client.on('error', () => {}) // the query under way reports it
  await client.connect().catch(error => {
    throw new Error(
      `The database cannot be reached (${error.message}). Start it, or mend HOLDFAST_DATABASE_URL.`
    )
  })
  return client
}

async function refuseUnsafe(client: pg.Client): Promise<void> {
  const {
    rows: [server]
  } =
    await client.query(`select current_setting('server_version_num')::int as version, current_setting('server_version') as name,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes, current_setting('server_encoding') as encoding, pg_is_in_recovery() as standby`)
  if (server.version < versionMin) {
    throw new Error(`This is PostgreSQL ${server.name}; Holdfast needs PostgreSQL 15 or later.`)
  }
  for (const setting of ['fsync', 'full_page_writes']) {
    if (server[setting] !== 'on') {
      throw new Error(
        `PostgreSQL runs with ${setting} = off, so a committed message could be lost in a crash. Set ` +
          `${setting} = on and start again.`
      )
    }
  }
  if (server.encoding !== 'UTF8') {
    throw new Error(
      `The database's encoding is ${server.encoding}; Holdfast keeps bodies exactly only in a ` +
        'database created with encoding UTF8.'
    )
  }
  if (server.standby) {
    throw new Error(
      'The database is a standby and takes no writes; point HOLDFAST_DATABASE_URL at the primary.'
    )
  }
}
