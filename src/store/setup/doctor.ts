/** Measures a database for holdfast doctor, which judges the facts. Changes nothing. */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { Target } from '../hosts.ts'
import { connect, explainConnection, open } from './connect.ts'
import { findHiding, findLacking } from './grants.ts'
import { compareMigrations } from './migrate.ts'
import { probePooling, type PoolingFacts } from './pooling.ts'
import type { HostFacts } from '../hostFacts.ts'
import { reasonOf } from '../databaseErrors.ts'
import { lockMsMax, statementMsMax } from '../sessionSettings.ts'
import { holders, type Holder } from '../upkeep/snapshots.ts'

interface ServerFacts {
  version: string
  /** As server_version_num: 150004 is 15.4. */
  number: number
  encoding: string
  role: string
  database: string
  standby: boolean
  syncStandbys: string
  /** Whether the role may create a schema. */
  mayCreate: boolean
  /** Whether the role is shown what sessions of other roles do. */
  seesAll: boolean
  /** The least of what the server, the role and the database allow. */
  connectionsMax: number
  connectionsUsed: number
  /** Processes of services that run now. Each has one listener. */
  listeners: number
  /** Age of the oldest transaction id. */
  transactionIds: number
  databaseBytes: number
}

interface SettingFacts {
  value: string
  source: string
}

/** A value of synchronous_commit that a role or the database carries. */
interface OverrideFacts {
  role: string | null
  database: string | null
  value: string
}

interface StandbyFacts {
  name: string
  sync: string | null
  /** WAL that it has not written to its disk yet. null: this role is not shown. */
  behindBytes: number | null
}

/** How much WAL a replication slot keeps. */
interface SlotFacts {
  name: string
  active: boolean
  bytes: number
  /** The server has removed WAL that its reader still needs. */
  lost: boolean
}

/** What keeps dead rows from being removed. PostgreSQL does not say since when a slot does. */
type HolderFacts = Omit<Holder, 'ageSeconds'> & { ageSeconds: number | null }

interface TableFacts {
  name: string
  live: number
  dead: number
  bytes: number
  vacuumedSecondsAgo: number | null
  /** Whether the role may migrate it. */
  owned: boolean
  mayVacuum: boolean
}

/** The schema of pg-boss, and when pg-boss last checked for jobs that are due. */
interface JobFacts {
  version: number
  checkedSecondsAgo: number | null
}

/** One host of a URL with several. */
interface HostState {
  name: string
  /** Null: it gave no answer. */
  facts: HostFacts | null
  /** Why not. */
  error: string | null
}

interface SchemaFacts {
  missing: string[]
  edited: string[]
  later: string[]
  tables: TableFacts[]
  /** Tables, sequences and functions on which the role lacks rights that the service needs. */
  lacking: string[]
  /** Tables of which row-level security hides rows from the role. */
  hiding: string[]
  /** The number of API keys; null before their table is made. */
  apiKeys: number | null
  jobs: JobFacts | null
}

export interface Facts {
  server: ServerFacts
  /** What a pooler does, if the connection leads through one. */
  pooling: PoolingFacts
  /** As this session has them, and where each comes from. */
  settings: Record<'fsync' | 'full_page_writes' | 'synchronous_commit' | 'autovacuum', SettingFacts>
  overrides: OverrideFacts[]
  standbys: StandbyFacts[]
  /** This machine's clock against the database's, and how far off the measurement may be. */
  clock: { aheadMs: number; uncertainMs: number }
  /** Milliseconds of a NOTIFY's round trip, or why there was none. */
  notice: number | string
  /** The oldest first. */
  holders: HolderFacts[]
  slots: SlotFacts[]
  /** Empty when the URL names one host. */
  hosts: HostState[]
  /** Null before the first migration. */
  schema: SchemaFacts | null
}

const answerMsMax = 5000

/** Throws an Error with a sentence for a person when the database cannot be reached or read. */
export async function gatherFacts(target: Target, listenTarget: Target = target): Promise<Facts> {
  const setting = listenTarget === target ? 'HOLDFAST_DATABASE_URL' : 'HOLDFAST_LISTEN_URL'
  const pooling = await probePooling(target, 'holdfast doctor')
  const client = await connect({ ...target, query_timeout: 20_000 }, 'holdfast doctor')
  try {
    // Through a pooler the next client of this session is the service, so these are its own values.
    await client.query(
      `set timezone = 'UTC'; set statement_timeout = ${statementMsMax}; set lock_timeout = ${lockMsMax}`
    )
    return {
      server: (await rowsOf<ServerFacts>(client, serverQuery))[0]!,
      pooling,
      settings: await gatherSettings(client),
      overrides: await rowsOf<OverrideFacts>(client, overridesQuery),
      standbys: await rowsOf<StandbyFacts>(client, standbysQuery),
      clock: await compareClocks(client),
      notice: await measureNotice(client, listenTarget, setting),
      holders: await gatherHolders(client),
      slots: await rowsOf<SlotFacts>(client, slotsQuery),
      hosts: await gatherHosts(target),
      schema: (await exists(client, 'holdfast.migrations')) ? await gatherSchema(client) : null
    }
  } finally {
    await client.end()
  }
}

async function rowsOf<R extends object>(client: pg.Client, text: string): Promise<R[]> {
  return (await client.query<R>(text)).rows
}

async function exists(client: pg.Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
    table
  ])
  return rows[0]!.exists
}

async function gatherSettings(client: pg.Client): Promise<Facts['settings']> {
  const rows = await rowsOf<SettingFacts & { name: string }>(client, settingsQuery)
  return Object.fromEntries(
    rows.map(({ name, value, source }) => [name, { value, source }])
  ) as Facts['settings']
}

async function gatherHolders(client: pg.Client): Promise<HolderFacts[]> {
  const rows = await rowsOf<HolderFacts & { keeps: string | null; hidden: boolean }>(client, holders.text)
  return rows
    .filter(({ hidden }) => !hidden)
    .map(({ keeps: _, hidden: __, ...holder }) => holder)
    .sort((a, b) => (b.ageSeconds ?? Infinity) - (a.ageSeconds ?? Infinity))
}

async function gatherHosts({ hosts }: Target): Promise<HostState[]> {
  const answers = (await hosts?.survey()) ?? []
  return answers.map(({ name, facts, error }) => ({
    name,
    facts,
    error: facts === null ? reasonOf(error) : null
  }))
}

async function gatherSchema(client: pg.Client): Promise<SchemaFacts> {
  const { missing, edited, later } = await compareMigrations(client)
  const tables = await rowsOf<TableFacts>(client, tablesQuery)
  const apiKeys = tables.some(({ name }) => name === 'keys')
    ? (await rowsOf<{ count: number }>(client, 'select count(*)::int as count from holdfast.keys'))[0]!.count
    : null
  const jobs = (await exists(client, 'holdfast_jobs.version'))
    ? ((await rowsOf<JobFacts>(client, jobsQuery))[0] ?? null)
    : null
  return {
    missing: missing.map(({ name }) => name),
    edited,
    later,
    tables,
    lacking: await findLacking(client),
    hiding: await findHiding(client),
    apiKeys,
    jobs
  }
}

const serverQuery = `
  select
    current_setting('server_version') as version,
    current_setting('server_version_num')::int as number,
    current_setting('server_encoding') as encoding,
    current_user as role,
    current_database() as database,
    pg_is_in_recovery() as standby,
    current_setting('synchronous_standby_names') as "syncStandbys",
    has_database_privilege(current_database(), 'create') as "mayCreate",
    pg_has_role('pg_read_all_stats', 'usage') as "seesAll",
    least(
      current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
      (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
      nullif(d.datconnlimit, -1)
    ) as "connectionsMax",
    (select sum(numbackends)::int from pg_stat_database) as "connectionsUsed",
    (
      select count(*)::int
      from pg_stat_activity
      where application_name = 'holdfast listener'
        and datname = current_database()
    ) as listeners,
    age(d.datfrozenxid) as "transactionIds",
    pg_database_size(d.oid)::float8 as "databaseBytes"
  from pg_database d
  where d.datname = current_database()`

const settingsQuery = `
  select
    name,
    setting as value,
    source
  from pg_settings
  where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum')`

const overridesQuery = `
  select
    r.rolname as role,
    d.datname as database,
    split_part(setting, '=', 2) as value
  from pg_db_role_setting s
  cross join unnest(s.setconfig) as setting
  left join pg_roles r on r.oid = s.setrole
  left join pg_database d on d.oid = s.setdatabase
  where setting like 'synchronous_commit=%'
    and (s.setdatabase = 0 or d.datname = current_database())
  order by role, database`

const standbysQuery = `
  select
    application_name as name,
    sync_state as sync,
    case
      when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::float8
    end as "behindBytes"
  from pg_stat_replication`

const slotsQuery = `
  select
    slot_name as name,
    active,
    coalesce(
      pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
        restart_lsn
      ),
      0
    )::float8 as bytes,
    wal_status is not distinct from 'lost' as lost
  from pg_replication_slots
  where restart_lsn is not null
    or wal_status = 'lost'
  order by bytes desc`

const tablesQuery = `
  select
    c.relname as name,
    coalesce(s.n_live_tup, 0)::float8 as live,
    coalesce(s.n_dead_tup, 0)::float8 as dead,
    pg_total_relation_size(c.oid)::float8 as bytes,
    extract(
      epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum)
    )::float8 as "vacuumedSecondsAgo",
    pg_has_role(c.relowner, 'usage') as owned,
    case
      when pg_has_role(c.relowner, 'usage') then true
      when current_setting('server_version_num')::int >= 170000 then has_table_privilege(c.oid, 'maintain')
      else false
    end as "mayVacuum"
  from pg_class c
  left join pg_stat_all_tables s on s.relid = c.oid
  where c.relnamespace = 'holdfast'::regnamespace
    and c.relkind in ('r', 'p')
  order by bytes desc`

const jobsQuery = `
  select
    version,
    extract(epoch from clock_timestamp() - cron_on)::float8 as "checkedSecondsAgo"
  from holdfast_jobs.version`

/** The quickest of five queries decides: the database read its clock somewhere within it. */
async function compareClocks(client: pg.Client): Promise<Facts['clock']> {
  let best = { aheadMs: 0, uncertainMs: Infinity }
  for (let i = 0; i < 5; i++) {
    const beforeMs = Date.now()
    const startedMs = performance.now()
    const [row] = await rowsOf<{ ms: number }>(
      client,
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms'
    )
    const uncertainMs = (performance.now() - startedMs) / 2
    if (uncertainMs < best.uncertainMs) best = { aheadMs: beforeMs + uncertainMs - row!.ms, uncertainMs }
  }
  return best
}

/** Listens as the service does, on a channel that nobody else knows. */
async function measureNotice(client: pg.Client, target: Target, setting: string): Promise<number | string> {
  const channel = `holdfast_doctor_${randomBytes(6).toString('hex')}`
  let listener: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    const listening = await open(target, {
      application_name: 'holdfast doctor',
      connectionTimeoutMillis: answerMsMax,
      query_timeout: answerMsMax
    }).catch(error => {
      throw new Error(explainConnection(error, setting))
    })
    listener = listening
    const heard = new Promise<number>((resolve, reject) => {
      listening.on('notification', () => resolve(performance.now())).on('error', reject)
      timer = setTimeout(
        () => reject(new Error(`a notice has not come within ${answerMsMax / 1000} s`)),
        answerMsMax
      )
    })
    heard.catch(() => {}) // awaited below
    await listening.query(`listen ${channel}`)
    const sentMs = performance.now()
    // Like the service's own notices: no flush, and no wait for a standby that is not there.
    await client.query("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')", [channel])
    return (await heard) - sentMs
  } catch (error) {
    return (error as Error).message
  } finally {
    clearTimeout(timer)
    await listener?.end().catch(() => {})
  }
}
