/** Whether the PostgreSQL server keeps what it confirms. */
import { postgresVersionMin, serverVersionNumMin } from '../../config.ts'
import type { Facts } from '../../databaseTasks.ts'
import { bad, ok, size, sqlName, warning, type Judge } from './check.ts'

export const server: Judge = ({ server }) => {
  const name = 'PostgreSQL'
  const value = `${server.version}, ${server.encoding}, database ${server.database}, as ${server.role}`
  if (server.number < serverVersionNumMin) {
    return bad(name, value, `Holdfast needs PostgreSQL ${postgresVersionMin} or later. Upgrade the server.`)
  }
  if (server.encoding !== 'UTF8') {
    return bad(
      name,
      value,
      'Bodies are kept exactly only in UTF8. ' +
        "Use another database: create database … template template0 encoding 'UTF8';"
    )
  }
  if (server.standby) {
    return bad(
      name,
      `${value}, a standby`,
      'A standby takes no writes. Point HOLDFAST_DATABASE_URL at the primary.'
    )
  }
  return ok(name, value)
}

export const durability: Judge = ({ settings }) =>
  (['fsync', 'full_page_writes'] as const).map(name =>
    settings[name].value === 'on'
      ? ok(name, 'on')
      : bad(
          name,
          'off',
          'A crash could lose or damage confirmed messages, so the service refuses to start. ' +
            `Run: alter system set ${name} = on; select pg_reload_conf();`
        )
  )

// The service sets it for its own sessions, so this concerns poolers, and callers of
// holdfast.enqueue and holdfast.ack.
export const synchronousCommit: Judge = ({ settings, overrides, pooling }) => {
  const name = 'synchronous_commit'
  const isSafe = (value: string) => value !== 'off' && value !== 'local'
  const unsafe = overrides.filter(({ value }) => !isSafe(value))
  const own = settings.synchronous_commit
  const value = [`${own.value} (${own.source})`, ...unsafe.map(describeOverride)].join(', ')
  if (isSafe(own.value) && unsafe.length === 0) return ok(name, value)
  const fix =
    unsafe.map(removeOverride).join(' ') ||
    'alter system set synchronous_commit = on; select pg_reload_conf();'
  return pooling.pooling === 'transaction'
    ? bad(
        name,
        value,
        'A pooler may give each transaction another session, so a crash could lose confirmed ' +
          `messages. Run: ${fix}`
      )
    : warning(
        name,
        value,
        'The service sets it on for itself. But a crash could lose a transaction that calls ' +
          `holdfast.enqueue or holdfast.ack in SQL. Run: ${fix}`
      )
}

type Override = Facts['overrides'][number]

function describeOverride({ role, database, value }: Override): string {
  const subject = role === null ? 'every role' : `role ${role}`
  return `${value} for ${subject}${database === null ? '' : ` in ${database}`}`
}

function removeOverride({ role, database }: Override): string {
  const inDatabase = database === null ? '' : ` in database ${sqlName(database)}`
  const subject = role === null ? `database ${sqlName(database!)}` : `role ${sqlName(role)}${inDatabase}`
  return `alter ${subject} set synchronous_commit = on;`
}

export const standbys: Judge = ({ server, standbys }) => {
  const name = 'standbys'
  const synchronous = standbys.filter(({ sync }) => sync === 'sync' || sync === 'quorum')
  const value =
    `${standbys.length} connected, ${synchronous.length} synchronous; ` +
    `synchronous_standby_names = '${server.syncStandbys}'`
  if (server.syncStandbys === '' && standbys.length === 0) return ok(name, 'none')
  if (server.syncStandbys === '') {
    return warning(
      name,
      value,
      'A failover loses what the standby has not received yet. To prevent that, run: ' +
        "alter system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf();"
    )
  }
  // Only members of pg_read_all_stats are shown which of them are synchronous.
  if (server.seesAll && synchronous.length === 0) {
    return bad(
      name,
      value,
      'Commits wait for a synchronous standby, and none is connected. ' +
        'Connect it, or name a connected one in synchronous_standby_names.'
    )
  }
  const late = standbys.filter(({ behindBytes }) => behindBytes !== null && behindBytes >= behindBytesMax)
  if (late.length > 0) {
    const lags = late.map(standby => `${standby.name} is ${size(standby.behindBytes!)} behind`)
    return warning(
      name,
      `${value}; ${lags.join(', ')}`,
      'Commits that wait for it are slow, and it takes long to be promoted. Compare its disk and ' +
        'its network with those of the primary. A backup that runs there passes by itself.'
    )
  }
  return ok(name, value)
}

/** A standby that keeps up is some hundred kilobytes behind under load. */
const behindBytesMax = 64 * 2 ** 20

// PostgreSQL stops taking writes three million before two to the power of 31.
export const transactionIds: Judge = ({ server }) =>
  server.transactionIds < 1_000_000_000
    ? undefined
    : bad(
        'transaction ids',
        `${server.transactionIds.toLocaleString('en')} old`,
        'PostgreSQL stops taking writes at 2,140,000,000. End what holds the oldest snapshot, then ' +
          'run vacuum (freeze) on every table of the database.'
      )
