/**
 * What the facts of a deployment mean: each ok, a warning or bad, with what to do. Pure, so that
 * every judgement can be tested.
 */
import { isLoopback, type Config } from '../config.ts'
import type { Facts } from '../store/setup/doctor.ts'

export interface Check {
  name: string
  status: 'ok' | 'warning' | 'bad'
  /** What was measured. */
  value: string
  /** What to do about it. */
  advice?: string
}

const minute = 60
const hour = 60 * minute
const deadRowsMin = 50_000

export interface Around {
  replicas: number
  filesMax: number | null
}

export function judge(facts: Facts, config: Config, around: Around): Check[] {
  return [
    server,
    durability,
    synchronousCommit,
    standbys,
    clock,
    notices,
    pooler,
    connections,
    snapshots,
    slots,
    transactionIds,
    schema,
    owners,
    deadRows,
    autovacuum,
    jobs,
    keys,
    openFiles,
    size
  ].flatMap(check => check(facts, config, around) ?? [])
}

const ok = (name: string, value: string): Check => ({ name, status: 'ok', value })
const warning = (name: string, value: string, advice: string): Check => ({
  name,
  status: 'warning',
  value,
  advice
})
const bad = (name: string, value: string, advice: string): Check => ({ name, status: 'bad', value, advice })
type Judge = (facts: Facts, config: Config, around: Around) => Check | Check[] | undefined

const server: Judge = ({ server }) => {
  const name = 'PostgreSQL'
  const value = `${server.version}, ${server.encoding}, database ${server.database}, as ${server.role}`
  if (server.number < 150000) {
    return bad(name, value, 'Holdfast needs PostgreSQL 15 or later: upgrade the server.')
  }
  if (server.encoding !== 'UTF8') {
    return bad(
      name,
      value,
      "Bodies are kept exactly only in UTF8: create database … template template0 encoding 'UTF8'."
    )
  }
  if (server.standby) {
    return bad(
      name,
      `${value}, a standby`,
      'A standby takes no writes: point HOLDFAST_DATABASE_URL at the primary.'
    )
  }
  return ok(name, value)
}

const durability: Judge = ({ settings }) =>
  (['fsync', 'full_page_writes'] as const).map(name =>
    settings[name].value === 'on'
      ? ok(name, 'on')
      : bad(
          name,
          'off',
          `A crash could lose or damage what was confirmed, so the service refuses to start: alter system set ${name} = on; select pg_reload_conf();`
        )
  )

// The service's own sessions set it, so this is about those who call holdfast.enqueue, and about poolers.
const synchronousCommit: Judge = ({ settings, overrides, pooled }) => {
  const name = 'synchronous_commit'
  const safe = (value: string) => value !== 'off' && value !== 'local'
  const loose = overrides.filter(({ value }) => !safe(value))
  const own = settings.synchronous_commit
  const where = loose.map(
    ({ role, database, value }) =>
      `${value} for ` +
      `${role === null ? 'every role' : `role ${role}`}${database === null ? '' : ` in ${database}`}`
  )
  const value = [`${own.value} (${own.source})`, ...where].join(', ')
  if (safe(own.value) && loose.length === 0) return ok(name, value)
  const set = loose.map(
    ({ role, database }) =>
      'alter ' +
      `${role === null ? `database ${quote(database!)}` : `role ${quote(role)}${database === null ? '' : ` in database ${quote(database)}`}`} ` +
      'set synchronous_commit = on;'
  )
  const mend = set.join(' ') || 'alter system set synchronous_commit = on; select pg_reload_conf();'
  return pooled
    ? bad(
        name,
        value,
        'Through a pooler that gives each transaction another session, what was confirmed could be ' +
          `lost in a crash: ${mend}`
      )
    : warning(
        name,
        value,
        'The service sets it on for itself, but a transaction that calls holdfast.enqueue or ' +
          `holdfast.ack in SQL could be lost in a crash: ${mend}`
      )
}

const standbys: Judge = ({ server, standbys }) => {
  const name = 'standbys'
  const synchronous = standbys.filter(({ sync }) => sync === 'sync' || sync === 'quorum')
  const value =
    `${standbys.length}, of them synchronous ${synchronous.length}; ` +
    `synchronous_standby_names = '${server.syncStandbys}'`
  if (server.syncStandbys === '') {
    return standbys.length === 0
      ? ok(name, 'none')
      : warning(
          name,
          value,
          'A failover loses what the standby had not received yet. Where that must not be: alter ' +
            "system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf();"
        )
  }
  // Which of them are synchronous is shown to members of pg_read_all_stats only.
  if (server.seesAll && synchronous.length === 0) {
    return bad(
      name,
      value,
      'Commits wait for a synchronous standby, and none is connected: connect it, or set ' +
        'synchronous_standby_names to one that is.'
    )
  }
  return ok(name, value)
}

const clock: Judge = ({ clock: { aheadMs, uncertainMs } }) => {
  const value =
    `${Math.abs(Math.round(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} the ` +
    `database's (± ${Math.ceil(uncertainMs)} ms)`
  return Math.abs(aheadMs) - uncertainMs < 1000
    ? ok('clock', value)
    : warning(
        'clock',
        value,
        "Leases and delays go by the database's clock and are right, but due messages may be found " +
          'up to a second late, and logs do not fit together: let both keep time by NTP.'
      )
}

const notices: Judge = ({ notice }, { listenUrl }) => {
  const name = listenUrl === '' ? 'listener' : 'listener (HOLDFAST_LISTEN_URL)'
  if (typeof notice === 'number') {
    return notice < 100
      ? ok(name, `a notice took ${notice.toFixed(1)} ms`)
      : warning(
          name,
          `a notice took ${Math.round(notice)} ms`,
          'Waiting consumers hear so late of what is enqueued at another replica: look at the way to ' +
            'the database and its load.'
        )
  }
  return bad(
    name,
    notice,
    listenUrl === ''
      ? 'LISTEN does not work through a pooler in transaction mode: give a direct URL in ' +
          "HOLDFAST_LISTEN_URL. Until then waiting consumers hear of other replicas' messages " +
          'up to a second late.'
      : 'It must lead to PostgreSQL itself and to the same database as HOLDFAST_DATABASE_URL. Until ' +
          "then waiting consumers hear of other replicas' messages up to a second late."
  )
}

const pooler: Judge = ({ pooled }) =>
  pooled
    ? warning(
        'pooler',
        'the connection leads through one',
        'In transaction mode it needs max_prepared_statements above 200, HOLDFAST_LISTEN_URL, and ' +
          'synchronous_commit and timezone set on the role (docs/operations.md, PgBouncer).'
      )
    : undefined

const connections: Judge = ({ server, pooled }, { poolSize }, { replicas }) => {
  const count = replicas || Math.max(1, server.replicas)
  const wanted = count * (poolSize + 1)
  // Those that run now may have fewer connections open than they are entitled to.
  const free = server.connectionsMax - server.connectionsUsed
  const value =
    `${count} ${count === 1 ? 'replica' : 'replicas'} × (${poolSize} + 1) = ${wanted} of ` +
    `${server.connectionsMax}; ${server.connectionsUsed} in use now`
  if (pooled) return ok('connections', `${value}; a pooler shares them`)
  if (wanted > server.connectionsMax) {
    return bad(
      'connections',
      value,
      'Replicas will be refused connections: lower HOLDFAST_POOL_SIZE to ' +
        `${Math.max(2, Math.floor(server.connectionsMax / count) - 1)}, or raise ` +
        'max_connections (a restart of PostgreSQL; or the limit of the role or the database).'
    )
  }
  if (wanted > 0.8 * server.connectionsMax || free < 5) {
    return warning(
      'connections',
      value,
      'Little is left for others, and for a replica beside those that it replaces: lower ' +
        'HOLDFAST_POOL_SIZE, or raise max_connections.'
    )
  }
  return ok('connections', value)
}

const snapshots: Judge = ({ holders, server }) => {
  const name = 'oldest snapshot'
  const unseen = server.seesAll
    ? ''
    : ` (of the sessions that ${server.role} may see; grant pg_read_all_stats to ${server.role} shows all)`
  const old = holders.filter(
    ({ ageSeconds, state }) => (ageSeconds ?? (state === 'inactive' ? Infinity : 0)) >= minute
  )
  if (old.length === 0) {
    return ok(name, `${holders[0] === undefined ? 'none is held' : describeHolder(holders[0])}${unseen}`)
  }
  return old.slice(0, 3).map(holder => {
    const { kind, name: id } = holder
    const mend =
      kind === 'session'
        ? `end its transaction, or: select pg_terminate_backend(${id});`
        : kind === 'prepared transaction'
          ? `finish it: commit prepared ${literal(id)}; or rollback prepared ${literal(id)};`
          : `let its standby catch up, or if nobody needs it: select pg_drop_replication_slot(${literal(id)});`
    return (holder.ageSeconds ?? Infinity) >= hour
      ? bad(
          name,
          describeHolder(holder),
          `Dead rows of all that has passed since are kept, and the tables grow: ${mend}`
        )
      : warning(
          name,
          describeHolder(holder),
          `Until it ends no dead rows are removed, and the tables grow: ${mend}`
        )
  })
}

function describeHolder({
  kind,
  name,
  application,
  user,
  state,
  ageSeconds
}: Facts['holders'][number]): string {
  const more = [user === null ? '' : `of ${user}`, application ?? '', state ?? ''].filter(part => part !== '')
  return `${kind} ${name} (${more.join(', ')})${ageSeconds === null ? '' : `, since ${duration(ageSeconds)}`}`
}

const slots: Judge = ({ slots }) =>
  slots
    .filter(({ bytes }) => bytes >= 2 ** 30)
    .map(({ name, active, bytes }) => {
      const value = `${name} (${active ? 'in use' : 'not in use'}) keeps ${bytesOf(bytes)} of WAL`
      const advice = `It fills the disk. Let its reader catch up, or if nobody needs it: select pg_drop_replication_slot(${literal(name)}); max_slot_wal_keep_size bounds it.`
      return active ? warning('replication slot', value, advice) : bad('replication slot', value, advice)
    })

// PostgreSQL stops taking writes some three million before two thousand million.
const transactionIds: Judge = ({ server }) =>
  server.transactionIds < 1_000_000_000
    ? undefined
    : bad(
        'transaction ids',
        `${server.transactionIds.toLocaleString('en')} old`,
        'PostgreSQL stops taking writes at 2,140,000,000: end what holds the oldest snapshot, then ' +
          'vacuum (freeze) every table of the database.'
      )

const schema: Judge = ({ schema, server }) => {
  const name = 'schema'
  if (schema === null) {
    return server.mayCreate
      ? warning(name, 'not made yet', 'holdfast migrate makes it, and so does holdfast serve at its start.')
      : bad(
          name,
          'not made yet',
          `The role may not make it: grant create on database ${quote(server.database)} to ` +
            `${quote(server.role)};`
        )
  }
  const { missing, edited, later } = schema
  if (edited.length > 0) {
    return bad(
      name,
      `${edited.join(', ')} differs from what was applied`,
      'This program is not the release that it says, or its files were changed: install it anew.'
    )
  }
  if (later.length > 0) {
    return warning(
      name,
      `${later.join(', ')} is of a later release`,
      'Services of this release go on beside the later one; finish the upgrade.'
    )
  }
  if (missing.length > 0) {
    return warning(
      name,
      `${missing.join(', ')} not applied yet`,
      'holdfast migrate applies them, and so does holdfast serve at its start.'
    )
  }
  return ok(name, 'every migration of this release is applied')
}

const owners: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const foreign = schema.tables.filter(({ owned }) => !owned).map(({ name }) => name)
  if (foreign.length === 0) return ok('ownership', `${server.role} may vacuum and migrate the tables`)
  return bad(
    'ownership',
    `${server.role} does not own ${foreign.join(', ')}`,
    'The service can neither vacuum nor migrate them. As their owner, for each: alter table ' +
      `holdfast.${foreign[0]} owner to ${quote(server.role)};`
  )
}

const deadRows: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const worst = schema.tables
    .filter(({ dead, live }) => dead >= deadRowsMin && dead > live)
    .map(table =>
      warning(
        'dead rows',
        describeTable(table),
        server.replicas > 0
          ? 'Services run and vacuum it, so something keeps the rows: see the oldest snapshot and ' +
              `ownership. By hand: vacuum holdfast.${table.name};`
          : `No service runs that would remove them: start one, or vacuum holdfast.${table.name};`
      )
    )
  if (worst.length > 0) return worst
  const most = schema.tables.reduce((a, b) => (b.dead > a.dead ? b : a))
  return ok('dead rows', `at most ${describeTable(most)}`)
}

const describeTable = ({
  name,
  dead,
  live,
  vacuumedSecondsAgo: ago
}: NonNullable<Facts['schema']>['tables'][number]) =>
  `${name}: ${dead.toLocaleString('en')} beside ${live.toLocaleString('en')} live, vacuumed ` +
  `${ago === null ? 'never' : `${duration(ago)} ago`}`

const autovacuum: Judge = ({ settings }) =>
  settings.autovacuum.value === 'on'
    ? ok('autovacuum', 'on')
    : warning(
        'autovacuum',
        'off',
        'Services vacuum only the tables that turn over in seconds, while they run: alter system set ' +
          'autovacuum = on; select pg_reload_conf();'
      )

const jobs: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const { jobs } = schema
  if (jobs === null) {
    return server.replicas === 0
      ? undefined
      : warning(
          'chores',
          'the schema of pg-boss is not there',
          'A service makes holdfast_jobs at its start; retention and schedules wait for it. Start one anew.'
        )
  }
  const value =
    'pg-boss schema ' +
    `${jobs.version}${jobs.lookedSecondsAgo === null ? '' : `, looked ${duration(jobs.lookedSecondsAgo)} ago`}`
  return server.replicas > 0 && jobs.lookedSecondsAgo !== null && jobs.lookedSecondsAgo > 10 * minute
    ? warning(
        'chores',
        value,
        'Services run, and none has looked for chores that are due: their log ' +
          '(HOLDFAST_LOG_LEVEL=warn) says why, under housekeeping.'
      )
    : ok('chores', value)
}

const keys: Judge = ({ schema }, { auth, adminKeyFile, host }) => {
  const count = schema?.keys ?? 0
  const value =
    `${count} ` +
    `${count === 1 ? 'key' : 'keys'}${adminKeyFile === '' ? '' : ' and an admin key from a file'}; ` +
    `served on ${host}`
  if (auth === 'off') {
    return isLoopback(host)
      ? ok('keys', 'HOLDFAST_AUTH=off, loopback only')
      : warning(
          'keys',
          `HOLDFAST_AUTH=off; served on ${host}`,
          'Whoever reaches it may use every queue: make keys and leave HOLDFAST_AUTH at keys.'
        )
  }
  if (count > 0 || adminKeyFile !== '') return ok('keys', `in force: ${value}`)
  return isLoopback(host)
    ? ok('keys', `not in force: ${value}, so only this machine`)
    : bad(
        'keys',
        value,
        "The service refuses to start so: holdfast keys create 'ops' --allow admin, or " +
          'HOLDFAST_ADMIN_KEY_FILE.'
      )
}

// A connection takes one, and the service some fifty of its own.
const openFiles: Judge = (_, { connectionsMax }, { filesMax }) => {
  if (filesMax === null) return undefined
  const value = `${filesMax} here, for ${connectionsMax} connections (HOLDFAST_CONNECTIONS_MAX)`
  return filesMax >= connectionsMax + 100
    ? ok('open files', value)
    : warning(
        'open files',
        value,
        'Callers beyond the limit hang instead of being refused: ulimit -n ' +
          `${2 ** Math.ceil(Math.log2(connectionsMax + 100))} (LimitNOFILE in systemd, ulimits ` +
          'in Compose), or a lower HOLDFAST_CONNECTIONS_MAX.'
      )
}

const size: Judge = ({ schema, server }) => {
  const tables = schema?.tables.slice(0, 3).map(({ name, bytes }) => `${name} ${bytesOf(bytes)}`) ?? []
  return ok('size', [`${bytesOf(server.databaseBytes)} in all`, ...tables].join(', '))
}

function bytesOf(bytes: number): string {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`
}

function duration(seconds: number): string {
  return seconds < 2 * minute
    ? `${Math.round(seconds)} s`
    : seconds < 2 * hour
      ? `${Math.round(seconds / minute)} min`
      : seconds < 48 * hour
        ? `${Math.round(seconds / hour)} h`
        : `${Math.round(seconds / (24 * hour))} days`
}

const quote = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
