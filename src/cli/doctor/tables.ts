/** The state of Holdfast's tables, and of the work that keeps them small. */
import type { Facts } from '../../databaseTasks.ts'
import { bad, duration, minute, ok, size, sqlName, warning, type Judge } from './check.ts'

const deadRowsMin = 50_000

export const schema: Judge = ({ schema, server }) => {
  const name = 'schema'
  if (schema === null) {
    if (server.mayCreate) {
      return warning(
        name,
        'not created yet',
        'holdfast migrate creates it, and so does holdfast serve at its start.'
      )
    }
    const grant = `grant create on database ${sqlName(server.database)} to ${sqlName(server.role)};`
    const advice = `The role may not create it. Run holdfast migrate as another role, or run: ${grant}`
    return bad(name, 'not created yet', advice)
  }
  const { missing, edited, later, tables } = schema
  if (edited.length > 0) {
    return bad(
      name,
      `${edited.join(', ')} differs from what was applied`,
      'This program is another release than it says, or its files were changed. Install it again.'
    )
  }
  if (later.length > 0) {
    return warning(
      name,
      `${later.join(', ')} is of a later release`,
      'Services of this release still work beside the later one. Finish the upgrade.'
    )
  }
  if (missing.length > 0) {
    const value = `${missing.join(', ')} not applied yet`
    if (!tables.every(({ owned }) => owned)) {
      return bad(name, value, 'The role does not own the tables. Run holdfast migrate as their owner.')
    }
    return warning(name, value, 'holdfast migrate applies them, and so does holdfast serve at its start.')
  }
  return ok(name, 'every migration of this release is applied')
}

export const ownership: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const role = sqlName(server.role)
  const foreign = schema.tables.filter(({ owned }) => !owned).map(({ name }) => name)
  if (foreign.length === 0) return ok('ownership', `${server.role} may vacuum and migrate the tables`)
  if (schema.tables.every(({ mayVacuum }) => mayVacuum)) {
    return ok('ownership', `${server.role} may vacuum the tables; their owner runs holdfast migrate`)
  }
  if (foreign.length === schema.tables.length) {
    return warning(
      'ownership',
      `${server.role} owns none of the tables; their owner runs holdfast migrate`,
      server.number >= 170_000
        ? `The service may not vacuum them. Run: grant maintain on all tables in schema holdfast to ${role};`
        : 'The service may not vacuum them, and autovacuum looks once a minute. To have it look more ' +
            "often, run: alter system set autovacuum_naptime = '10s'; select pg_reload_conf();"
    )
  }
  return bad(
    'ownership',
    `${server.role} does not own ${foreign.join(', ')}`,
    'The service can neither vacuum nor migrate them. As their owner, run for each: ' +
      `alter table holdfast.${foreign[0]} owner to ${role};`
  )
}

export const grants: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const { lacking, hiding } = schema
  if (lacking.length > 0) {
    return bad(
      'grants',
      `${server.role} lacks rights on ${lacking.join(', ')}`,
      'The service refuses to start. As their owner, run the grants of docs/operations.md, under Roles.'
    )
  }
  if (hiding.length === 0) return undefined
  return bad(
    'grants',
    `row-level security hides rows of ${hiding.join(', ')} from ${server.role}`,
    'The service refuses to start. As their owner, run alter table … disable row level security for each.'
  )
}

type Table = NonNullable<Facts['schema']>['tables'][number]

export const deadRows: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const name = 'dead rows'
  const worst = schema.tables.filter(({ dead, live }) => dead >= deadRowsMin && dead > live)
  if (worst.length === 0) {
    const most = schema.tables.reduce((a, b) => (b.dead > a.dead ? b : a))
    return ok(name, `most in ${describeTable(most)}`)
  }
  return worst.map(table =>
    warning(
      name,
      describeTable(table),
      server.listeners > 0
        ? 'Services run and vacuum the table, so something keeps the rows. Check the oldest snapshot ' +
            `and ownership. By hand: vacuum holdfast.${table.name};`
        : `No service runs that would remove them. Start one, or run: vacuum holdfast.${table.name};`
    )
  )
}

function describeTable({ name, dead, live, vacuumedSecondsAgo }: Table): string {
  const vacuumed =
    vacuumedSecondsAgo === null ? 'never vacuumed' : `vacuumed ${duration(vacuumedSecondsAgo)} ago`
  return `${name}: ${dead.toLocaleString('en')} beside ${live.toLocaleString('en')} live, ${vacuumed}`
}

export const autovacuum: Judge = ({ settings }) =>
  settings.autovacuum.value === 'on'
    ? ok('autovacuum', 'on')
    : warning(
        'autovacuum',
        'off',
        'Services vacuum only the tables that turn over in seconds, and only while they run. ' +
          'Run: alter system set autovacuum = on; select pg_reload_conf();'
      )

export const maintenance: Judge = ({ schema, server }) => {
  if (schema === null) return undefined
  const name = 'maintenance'
  const { jobs } = schema
  if (jobs === null) {
    if (server.listeners === 0) return undefined
    return warning(
      name,
      'the schema of pg-boss is missing',
      'Retention and schedules need holdfast_jobs, which a service creates at its start. Restart one.'
    )
  }
  const { version, checkedSecondsAgo } = jobs
  const checked = checkedSecondsAgo === null ? '' : `, last checked ${duration(checkedSecondsAgo)} ago`
  const value = `pg-boss schema ${version}${checked}`
  const isLate = server.listeners > 0 && checkedSecondsAgo !== null && checkedSecondsAgo > 10 * minute
  return isLate
    ? warning(
        name,
        value,
        'Services run, but none has checked for due jobs. Their log says why, under housekeeping ' +
          '(HOLDFAST_LOG_LEVEL=warn).'
      )
    : ok(name, value)
}

export const databaseSize: Judge = ({ schema, server }) => {
  const largest = schema?.tables.slice(0, 3) ?? []
  const tables = largest.map(({ name, bytes }) => `${name} ${size(bytes)}`)
  return ok('size', [`${size(server.databaseBytes)} in all`, ...tables].join(', '))
}
