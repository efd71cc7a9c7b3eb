/** Whatever a role or a database carries as settings, the service's sessions have their own. */
import pg from 'pg'
import t from 'tap'
import { differingDefaults, defaultsQuery, sessionSettings } from '../../src/store/sessionSettings.ts'
import { openDatabase } from '../../src/store/database.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'
import { runThroughVerbs } from '../support/steps.ts'

/** Values that a role can have, each as far from the service's as it goes. */
const hostile: Record<string, string> = {
  array_nulls: 'off',
  backslash_quote: 'off',
  bytea_output: 'escape',
  check_function_bodies: 'off',
  client_min_messages: 'debug1',
  constraint_exclusion: 'on',
  cursor_tuple_fraction: '1',
  DateStyle: 'SQL, DMY',
  default_transaction_deferrable: 'on',
  default_transaction_isolation: 'serializable',
  enable_hashagg: 'off',
  enable_hashjoin: 'off',
  enable_indexonlyscan: 'off',
  enable_indexscan: 'off',
  enable_nestloop: 'off',
  enable_sort: 'off',
  enable_tidscan: 'off',
  escape_string_warning: 'off',
  exit_on_error: 'on',
  extra_float_digits: '-15',
  from_collapse_limit: '1',
  geqo_threshold: '2',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
  IntervalStyle: 'iso_8601',
  jit_above_cost: '0',
  join_collapse_limit: '1',
  lock_timeout: '1ms',
  'plpgsql.extra_errors': 'all',
  quote_all_identifiers: 'on',
  row_security: 'off',
  search_path: 'evil, public',
  standard_conforming_strings: 'off',
  statement_timeout: '1s',
  synchronize_seqscans: 'off',
  synchronous_commit: 'off',
  TimeZone: 'Asia/Kathmandu',
  timezone_abbreviations: 'Australia',
  transform_null_equals: 'on',
  vacuum_cost_delay: '100',
  work_mem: '64kB',
  xmloption: 'document'
}

async function hostileDatabase(t: Parameters<typeof freshDatabase>[0], options = {}) {
  const database = await freshDatabase(t, options)
  const sql = await connect(t, database.url)
  await sql.query('create schema evil')
  for (const body of [
    "now() returns timestamptz return '2001-01-01'::timestamptz",
    'lower(text) returns text return 1'
  ]) {
    await sql.query(`create function evil.${body}`)
  }
  for (const [name, value] of Object.entries(hostile)) {
    await sql.query(
      `alter database ${database.name} set ${name} = ${name === 'search_path' ? value : `'${value}'`}`
    )
  }
  return { ...database, sql }
}

t.test('a service works where the database carries hostile settings', async t => {
  const database = await hostileDatabase(t, { migrated: false })
  const { rows } = await new Promise<pg.QueryResult>((resolve, reject) => {
    const client = new pg.Client(database.url)
    client
      .connect()
      .then(() => client.query('show array_nulls'))
      .then(resolve, reject)
      .finally(() => client.end())
  })
  t.strictSame(rows, [{ array_nulls: 'off' }], 'they are in force')
  const holdfast = await service(t, { database })
  await runThroughVerbs(t, holdfast)
})

t.test('every session of the pool has the values of the service', async t => {
  const { config } = await hostileDatabase(t)
  const database = openDatabase(config, { poolSize: 2, onError: () => {} })
  t.teardown(() => database.close())
  const query = defaultsQuery.replace('reset_val', 'setting')
  const rows = (await database.query(query)) as { name: string; value: string }[]
  t.strictSame(differingDefaults(rows), { meaning: {}, pace: {} })
  t.equal(rows.length, [...sessionSettings.matchAll(/set \w+ = /g)].length, 'PostgreSQL knows each')
  const hidden = await database.query(defaultsQuery)
  t.match(differingDefaults(hidden as { name: string; value: string }[]).meaning, {
    synchronous_commit: 'on',
    TimeZone: 'UTC',
    array_nulls: 'on'
  })
})

t.test('the server finds a deadlock before a wait for a lock ends', async t => {
  const { url } = await freshDatabase(t)
  const database = openDatabase({ connectionString: url }, { poolSize: 1, onError: () => {} })
  t.teardown(() => database.close())
  const [server] = await database.query<{ deadlock: number; lock: number }>(
    `select
      (select setting::int from pg_settings where name = 'deadlock_timeout') as deadlock,
      (select setting::int from pg_settings where name = 'lock_timeout') as lock`
  )
  t.ok(server!.lock > server!.deadlock, `${server!.lock} ms, ${server!.deadlock} ms`)
})
