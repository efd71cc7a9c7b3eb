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
  application_name: 'another',
  array_nulls: 'off',
  backslash_quote: 'off',
  bytea_output: 'escape',
  check_function_bodies: 'off',
  client_encoding: 'LATIN1',
  client_min_messages: 'debug1',
  constraint_exclusion: 'on',
  cursor_tuple_fraction: '1',
  DateStyle: 'SQL, DMY',
  deadlock_timeout: '10s',
  default_statistics_target: '1',
  default_transaction_deferrable: 'on',
  default_transaction_isolation: 'serializable',
  effective_cache_size: '1',
  enable_distinct_reordering: 'off',
  enable_gathermerge: 'off',
  enable_group_by_reordering: 'off',
  enable_hashagg: 'off',
  enable_hashjoin: 'off',
  enable_incremental_sort: 'off',
  enable_indexonlyscan: 'off',
  enable_indexscan: 'off',
  enable_material: 'off',
  enable_memoize: 'off',
  enable_nestloop: 'off',
  enable_partition_pruning: 'off',
  enable_partitionwise_join: 'on',
  enable_presorted_aggregate: 'off',
  enable_self_join_elimination: 'off',
  enable_sort: 'off',
  enable_tidscan: 'off',
  escape_string_warning: 'off',
  exit_on_error: 'on',
  extra_float_digits: '-15',
  from_collapse_limit: '1',
  geqo_threshold: '2',
  hash_mem_multiplier: '1',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
  IntervalStyle: 'iso_8601',
  jit_above_cost: '0',
  join_collapse_limit: '1',
  lock_timeout: '1ms',
  maintenance_work_mem: '64kB',
  max_parallel_workers_per_gather: '8',
  min_parallel_index_scan_size: '0',
  min_parallel_table_scan_size: '0',
  parallel_setup_cost: '0',
  parallel_tuple_cost: '0',
  plan_cache_mode: 'force_custom_plan',
  'plpgsql.extra_errors': 'all',
  'plpgsql.variable_conflict': 'use_variable',
  quote_all_identifiers: 'on',
  random_page_cost: '1000',
  restrict_nonsystem_relation_kind: 'view, foreign-table',
  row_security: 'off',
  search_path: 'evil, public',
  seq_page_cost: '0',
  standard_conforming_strings: 'off',
  statement_timeout: '1s',
  stats_fetch_consistency: 'snapshot',
  synchronize_seqscans: 'off',
  synchronous_commit: 'off',
  temp_buffers: '800kB',
  TimeZone: 'Asia/Kathmandu',
  timezone_abbreviations: 'Australia',
  transaction_timeout: '1s',
  transform_null_equals: 'on',
  vacuum_cost_delay: '100',
  vacuum_cost_limit: '1',
  work_mem: '64kB',
  xmlbinary: 'hex',
  xmloption: 'document'
}

/** Settings of which PostgreSQL stores a list of names. */
const lists = ['restrict_nonsystem_relation_kind', 'search_path']

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
    const values = (lists.includes(name) ? value.split(', ') : [value]).map(each => `'${each}'`)
    await sql.query(`alter database ${database.name} set ${name} = ${values.join(', ')}`)
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
  const given = [...sessionSettings.matchAll(/set \w+ = |set_config\(/g)]
  t.equal(rows.length, given.length, 'PostgreSQL knows each')
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

t.test('a service works in a database whose collation is of another language', async t => {
  const { url, name } = await freshDatabase(t, { migrated: false })
  const sql = await connect(t, url)
  const turkish = `${name}_turkish`
  await sql.query(
    `create database ${turkish} template template0 encoding UTF8 locale_provider icu icu_locale 'tr-TR'`
  )
  t.teardown(() => sql.query(`drop database ${turkish} with (force)`))
  await runThroughVerbs(t, await service(t, { database: { url: url.replace(name, turkish) } }))
})
