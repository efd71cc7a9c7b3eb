/**
 * The settings that every session of the service has. Each is set on every connection, because a
 * role, a database or a server can carry another value without a word.
 */

// What statements mean, and what a commit promises.
const meaning = {
  synchronous_commit: 'on',
  default_transaction_isolation: 'read committed',
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  standard_conforming_strings: 'on',
  quote_all_identifiers: 'off',
  row_security: 'on',
  exit_on_error: 'off',
  idle_session_timeout: '0'
}

// How they run. The planner is kept to index scans: generic plans are made while tables are small
// and must stay right when they have grown.
const pace = {
  search_path: 'pg_catalog',
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_mergejoin: 'off',
  enable_indexscan: 'on',
  enable_indexonlyscan: 'on',
  enable_tidscan: 'on',
  enable_nestloop: 'on',
  enable_hashjoin: 'on',
  enable_hashagg: 'on',
  enable_sort: 'on',
  join_collapse_limit: '8',
  from_collapse_limit: '8',
  jit: 'off',
  vacuum_cost_delay: '0',
  statement_timeout: '15000',
  // Above the usual deadlock_timeout, so that the server finds a deadlock, and the work is done again.
  lock_timeout: '1250',
  idle_in_transaction_session_timeout: '10000'
}

/** The server ends a statement after this time. */
export const statementMsMax = Number(pace.statement_timeout)
/** A statement that waits longer for a lock fails. */
export const lockMsMax = Number(pace.lock_timeout)

type Settings = Record<string, string>

// PostgreSQL 17 brought it, and earlier releases refuse to set what they do not know.
const since17 = { transaction_timeout: '0' }
const endTimeout = (isLocal: boolean) =>
  `select set_config('transaction_timeout', '${since17.transaction_timeout}', ${isLocal}) ` +
  "where current_setting('transaction_timeout', true) is not null"

const setAll = (verb: string, settings: Settings) =>
  Object.entries(settings)
    .map(([name, value]) => `${verb} ${name} = '${value}'`)
    .join('; ')

/** Sets all of them for the session. */
export const sessionSettings = `${setAll('set', { ...meaning, ...pace })}; ${endTimeout(false)}`

/** Sets what a migration depends on, for one transaction. It may take as long as it needs. */
export const migrationSettings = `${setAll('set local', {
  ...meaning,
  search_path: pace.search_path,
  check_function_bodies: 'on',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0'
})}; ${endTimeout(true)}`

/** The role, and what a new session of it has before it sets anything. */
export const defaultsQuery = `
  select
    current_user as role,
    name,
    reset_val as value
  from pg_settings
  where name = any(array[${Object.keys({ ...meaning, ...pace, ...since17 })
    .map(name => `'${name}'`)
    .join(', ')}])`

/** Values that mean the same as ours. */
const equals: Record<string, RegExp> = {
  synchronous_commit: /^(on|remote_apply)$/,
  TimeZone: /^(Etc\/)?(UTC|GMT)$/,
  DateStyle: /^ISO/
}

/** The settings whose defaults differ from ours: those that change the meaning, and the others. */
export function differingDefaults(rows: { name: string; value: string }[]): {
  meaning: Settings
  pace: Settings
} {
  const defaults = new Map(rows.map(({ name, value }) => [name, value]))
  const differing = (settings: Settings) =>
    Object.fromEntries(
      Object.entries(settings).filter(([name, value]) => {
        const present = defaults.get(name)
        return present !== undefined && present !== value && !equals[name]?.test(present)
      })
    )
  return { meaning: differing(meaning), pace: differing({ ...pace, ...since17 }) }
}
