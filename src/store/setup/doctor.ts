/**
 * What a database tells of itself, for holdfast doctor: facts only, what they mean is judged
 * there. Changes nothing.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { compareMigrations, connect } from './migrate.ts'
import { holders, type Holder } from '../upkeep/snapshots.ts'

export interface Facts {
  server: {
    version: string
    number: number
    encoding: string
    role: string
    database: string
    standby: boolean
    syncStandbys: string
    mayCreate: boolean
    seesAll: boolean
    connectionsMax: number
    connectionsUsed: number
    replicas: number
    transactionIds: number
    databaseBytes: number
  }
  /** Whether the connection leads through a pooler. */
  pooled: boolean
  /** As this session has them, and where each comes from. */
  settings: Record<
    'fsync' | 'full_page_writes' | 'synchronous_commit' | 'autovacuum',
    { value: string; source: string }
  >
  /** Values of synchronous_commit that a role or the database carries. */
  overrides: { role: string | null; database: string | null; value: string }[]
  standbys: { name: string; sync: string | null }[]
  /** Of the service against the database's, and how far off that may be. */
  clock: { aheadMs: number; uncertainMs: number }
  /** Milliseconds of a NOTIFY's round trip, or why there was none. */
  notice: number | string
  /** Who keeps dead rows from being removed, the oldest first; of a slot nobody knows since when. */
  holders: (Omit<Holder, 'ageSeconds'> & { ageSeconds: number | null })[]
  /** How much WAL each replication slot keeps. */
  slots: { name: string; active: boolean; bytes: number }[]
  schema: null | {
    missing: string[]
    edited: string[]
    later: string[]
    tables: {
      name: string
      live: number
      dead: number
      vacuumedSecondsAgo: number | null
      bytes: number
      owned: boolean
    }[]
    keys: number | null
    /** pg-boss's, and when it last looked for chores that are due. */
    jobs: { version: number; lookedSecondsAgo: number | null } | null
  }
}

const answerMsMax = 5000

/** Throws an Error with a sentence when the database cannot be reached or read. */
export async function examine(target: pg.ClientConfig, listenUrl: string): Promise<Facts> {
  const client = await connect({ ...target, query_timeout: 20_000 }, 'holdfast doctor')
  const rows = async (text: string) => (await client.query(text)).rows
  try {
    await client.query("set timezone = 'UTC'; set statement_timeout = 15000; set lock_timeout = 1000")
    const [server] = await rows(serverQuery)
    const { pid, ...rest } = server
    const schema = (await rows("select to_regclass('holdfast.migrations') is not null as there"))[0].there
    return {
      server: rest,
      // a pooler makes its own number up
      pooled: pid !== (client as unknown as { processID: number }).processID,
      settings: Object.fromEntries(
        (await rows(settingsQuery)).map(({ name, value, source }) => [name, { value, source }])
      ) as Facts['settings'],
      overrides: await rows(overridesQuery),
      standbys: await rows('select application_name as name, sync_state as sync from pg_stat_replication'),
      clock: await compareClocks(client),
      notice: await noticeMs(client, listenUrl === '' ? target : { connectionString: listenUrl }),
      holders: (await rows(holders.text))
        .filter(({ hidden }) => !hidden)
        .sort((a, b) => (b.ageSeconds ?? Infinity) - (a.ageSeconds ?? Infinity)),
      slots: await rows(slotsQuery),
      schema: schema ? await examineSchema(client) : null
    }
  } finally {
    await client.end()
  }
}

async function examineSchema(client: pg.Client): Promise<Facts['schema']> {
  const { missing, edited, later } = await compareMigrations(client)
  const { rows: tables } = await client.query(tablesQuery)
  const keys = tables.some(({ name }) => name === 'keys')
    ? (await client.query('select count(*)::int as count from holdfast.keys')).rows[0].count
    : null
  const {
    rows: [{ there }]
  } = await client.query("select to_regclass('holdfast_jobs.version') is not null as there")
  const jobs = there
    ? (
        await client.query(
          'select version, extract(epoch from clock_timestamp() - cron_on)::float8 as ' +
            '"lookedSecondsAgo" from holdfast_jobs.version'
        )
      ).rows[0]
    : null
  return { missing: missing.map(({ name }) => name), edited, later, tables, keys, jobs: jobs ?? null }
}

// What a session of another role does is shown to members of pg_read_all_stats only.
const serverQuery = `
  select current_setting('server_version') as version, current_setting('server_version_num')::int as number, current_setting('server_encoding') as encoding,
    current_user as role, current_database() as database, pg_is_in_recovery() as standby, current_setting('synchronous_standby_names') as "syncStandbys",
    has_database_privilege(current_database(), 'create') as "mayCreate", pg_has_role('pg_read_all_stats', 'usage') as "seesAll", pg_backend_pid() as pid,
    least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true)::int, 0),
      (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user), nullif(d.datconnlimit, -1)) as "connectionsMax",
    (select sum(numbackends)::int from pg_stat_database) as "connectionsUsed",
    (select count(*)::int from pg_stat_activity where application_name = 'holdfast listener' and datname = current_database()) as replicas,
    age(d.datfrozenxid) as "transactionIds", pg_database_size(d.oid)::float8 as "databaseBytes"
  from pg_database d where d.datname = current_database()`

const settingsQuery =
  "select name, setting as value, source from pg_settings where name in ('fsync', " +
  "'full_page_writes', 'synchronous_commit', 'autovacuum')"

const overridesQuery = `
  select r.rolname as role, d.datname as database, split_part(setting, '=', 2) as value
  from pg_db_role_setting s
  cross join unnest(s.setconfig) as setting
  left join pg_roles r on r.oid = s.setrole
  left join pg_database d on d.oid = s.setdatabase
  where setting like 'synchronous_commit=%' and (s.setdatabase = 0 or d.datname = current_database())
  order by role, database`

const slotsQuery = `
  select slot_name as name, active, pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)::float8 as bytes
  from pg_replication_slots where restart_lsn is not null order by 3 desc`

const tablesQuery = `
  select c.relname as name, coalesce(s.n_live_tup, 0)::float8 as live, coalesce(s.n_dead_tup, 0)::float8 as dead, pg_total_relation_size(c.oid)::float8 as bytes,
    extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8 as "vacuumedSecondsAgo", pg_has_role(c.relowner, 'usage') as owned
  from pg_class c left join pg_stat_all_tables s on s.relid = c.oid
  where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p')
  order by bytes desc`

/** By the quickest of a few questions: the database's clock was read somewhere within it. */
async function compareClocks(client: pg.Client): Promise<Facts['clock']> {
  let best = { aheadMs: 0, uncertainMs: Infinity }
  for (let i = 0; i < 5; i++) {
    const [before, startedMs] = [Date.now(), performance.now()]
    const {
      rows: [{ ms }]
    } = await client.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms')
    const uncertainMs = (performance.now() - startedMs) / 2
    if (uncertainMs < best.uncertainMs) best = { aheadMs: before + uncertainMs - ms, uncertainMs }
  }
  return best
}

/** As the service's listener hears it, on a channel that nobody else knows. */
async function noticeMs(client: pg.Client, target: pg.ClientConfig): Promise<number | string> {
  const channel = `holdfast_doctor_${randomBytes(6).toString('hex')}`
  const listener = new pg.Client({
    ...target,
    application_name: 'holdfast doctor',
    connectionTimeoutMillis: answerMsMax,
    query_timeout: answerMsMax
  })
  let timer: NodeJS.Timeout | undefined
  try {
    const heard = new Promise<number>((resolve, reject) => {
      listener.on('notification', () => resolve(performance.now())).on('error', reject)
      timer = setTimeout(
        () => reject(new Error(`a notice has not come within ${answerMsMax / 1000} s`)),
        answerMsMax
      )
    })
    heard.catch(() => {}) // told below
    await listener.connect()
    await listener.query(`listen ${channel}`)
    const sentMs = performance.now()
    // Like the service's own: a notice needs no flush, and must not wait for a standby that is not there.
    await client.query("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')", [channel])
    return (await heard) - sentMs
  } catch (error) {
    return (error as Error).message
  } finally {
    clearTimeout(timer)
    await listener.end().catch(() => {})
  }
}
