/** Queues: their settings, their counts, their end. */
import { states, totalNames, type QueueTotals, type StateCounts } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { reliabilityOf, type Queue, type QueueReport } from '../../core/queue.ts'
import { settingPaths, type SettingRow, type Settings, type SettingsChange } from '../../core/settings.ts'
import type { Database, Row, Session, Statement } from '../database.ts'

const findStatement: Statement = { name: 'find_queue', text: 'select * from holdfast.queues where name = $1' }

export async function findQueue(session: Session, name: string): Promise<Queue | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : { id: String(row.id), name: row.name, settings: settingsOf(row) }
}

const createStatement: Statement = {
  name: 'create_queue',
  text: `
  with made as (
    insert into holdfast.queues (name) values ($1) on conflict (name) do nothing returning id
  ), counted as (
    insert into holdfast.counts (queue_id) select id from made
  )
  select id from made`
}

const sqlTypes = { number: 'float8', integer: 'integer', choice: 'text', flag: 'boolean' }

// Only a setting without a bound may be set to null. For the others null stands for "left out".
function assignment({ path, column, type, default: value }: SettingRow & { path: string[] }): string {
  const given = `($2::jsonb #>> '{${path.join(',')}}')::${sqlTypes[type]}`
  return value === null
    ? `${column} = case when $2::jsonb ? '${path[0]}' then ${given} else q.${column} end`
    : `${column} = coalesce(${given}, q.${column})`
}

const changeStatement: Statement = {
  name: 'change_queue',
  text: `
  update holdfast.queues q
  set
    ${settingPaths.map(assignment).join(',\n    ')},
    updated_at = case when $2::jsonb = '{}' then q.updated_at else clock_timestamp() end
  where q.name = $1`
}

/** Makes the queue where there is none, then changes the settings given. True when it was made. */
export async function putQueue(database: Database, name: string, change: SettingsChange): Promise<boolean> {
  return await database.transaction(async session => {
    const made = await session.query(createStatement, [name])
    await session.query(changeStatement, [name, JSON.stringify(change)])
    return made.length > 0
  })
}

// The ledger's rows that are not folded yet, added to those that are: both in one snapshot, so the
// sum is exact.
const reportColumns = `
    q.*, (c.ready + t.ready) as ready, (c.delayed + t.delayed) as delayed, (c.leased + t.leased) as leased, (c.dead + t.dead) as dead, (c.acked + t.acked) as acked,
    (c.acked_total + t.acked_total) as acked_total, (c.expired_total + t.expired_total) as expired_total`
const reportJoins = `
  join holdfast.counts c on c.queue_id = q.id
  cross join lateral (
    select coalesce(sum(l.ready), 0) as ready, coalesce(sum(l.delayed), 0) as delayed, coalesce(sum(l.leased), 0) as leased,
      coalesce(sum(l.dead), 0) as dead, coalesce(sum(l.acked), 0) as acked,
      coalesce(sum(l.acked_total), 0) as acked_total, coalesce(sum(l.expired_total), 0) as expired_total
    from holdfast.ledger l where l.queue_id = q.id
  ) t`

/**
 * When the oldest ready message of a queue was enqueued, as a subselect: it stands at the head of
 * one of the ranks. Leased messages stay in that index, so the look is bounded: where so many of
 * them come first, the last of those stands for the ready ones behind it.
 */
export const oldestReadyAt = (queueId: string, look: number) => `(
    select min(coalesce(head.ready, head.any))
    from generate_series(0, 19) as level (rank)
    cross join lateral (
      select min(enqueued_at) filter (where leased_until is null) as ready, max(enqueued_at) as any
      from (
        select m.enqueued_at, m.leased_until from holdfast.messages m
        where m.queue_id = ${queueId} and m.rank = level.rank::smallint and m.visible_at is null and m.dead_at is null
        order by m.position limit ${look}
      ) first
    ) head
  )`

const withOldest = `
  select r.*, case when r.ready > 0 then extract(epoch from clock_timestamp() - ${oldestReadyAt('r.id', 1000)})::float8 end as oldest_ready_seconds from r order by r.name`

const reportStatement: Statement = {
  name: 'report_queue',
  text: `with r as materialized (select ${reportColumns} from holdfast.queues q ${reportJoins} where q.name = $1) ${withOldest}`
}

const listStatement: Statement = {
  name: 'list_queues',
  text: `with r as materialized (select ${reportColumns} from (select * from holdfast.queues where name > $1 and (name = any($3::text[]) or exists (select from unnest($4::text[]) as beginning where starts_with(name, beginning))) order by name limit $2) q ${reportJoins}) ${withOldest}`
}

export async function reportQueue(session: Session, name: string): Promise<QueueReport | null> {
  const [row] = await session.query(reportStatement, [name])
  return row === undefined ? null : reportOf(row)
}

/** Queues by name, beyond the one named `after`: those of these names and beginnings. */
export async function listQueues(
  session: Session,
  after: string,
  limit: number,
  { names, prefixes }: { names: string[]; prefixes: string[] }
): Promise<QueueReport[]> {
  return (await session.query(listStatement, [after, limit, names, prefixes])).map(reportOf)
}

const depthStatement: Statement = {
  name: 'depth',
  text: `
  select q.max_depth, (c.ready + t.ready + c.delayed + t.delayed + c.leased + t.leased) as depth
  from holdfast.queues q ${reportJoins} where q.id = $1`
}

/** How many more messages the queue takes; Infinity without a `maxDepth`, null when the queue is gone. */
export async function roomIn(session: Session, queueId: Digits): Promise<number | null> {
  const [row] = await session.query(depthStatement, [queueId])
  if (row === undefined) return null
  return row.max_depth === null ? Infinity : Number(row.max_depth) - Number(row.depth)
}

const removeStatement: Statement = {
  name: 'remove_queue',
  text: `
  with gone as (
    delete from holdfast.queues where name = $1 returning id
  ), uncounted as (
    delete from holdfast.counts c using gone where c.queue_id = gone.id
  )
  insert into holdfast.removed_queues (queue_id) select id from gone`
}

/** Takes the name and the number away at once; the rows behind the number go later, in chunks. */
export async function removeQueue(session: Session, name: string): Promise<void> {
  await session.query(removeStatement, [name])
}

function settingsOf(row: Row): Settings {
  const settings: Record<string, unknown> = {}
  for (const { path, column, type } of settingPaths) {
    // A bigint comes as text.
    const value = type === 'integer' && row[column] !== null ? Number(row[column]) : row[column]
    const [name, member] = path as [string, string?]
    if (member === undefined) settings[name] = value
    else settings[name] = { ...(settings[name] as object), [member]: value }
  }
  return settings as unknown as Settings
}

function reportOf(row: Row): QueueReport {
  const counts = Object.fromEntries(states.map(state => [state, Number(row[state])])) as StateCounts
  const oldest = row.oldest_ready_seconds
  return {
    queue: row.name,
    settings: settingsOf(row),
    counts,
    reliability: reliabilityOf({
      acked: Number(row.acked_total),
      dead: counts.dead,
      expired: Number(row.expired_total)
    }),
    oldestReadySeconds: oldest === null ? null : Math.max(0, Math.round(oldest * 1000) / 1000),
    createdAt: row.created_at,
    updatedAt: row.updated_at
  }
}

const totalsStatement: Statement = {
  name: 'queue_totals',
  text:
    'select q.name, c.* from (select id, name from holdfast.queues order by name limit 1000) q ' +
    'join holdfast.counts c on c.queue_id = q.id'
}

/** The folded counts and totals of the first thousand queues. */
export async function queueTotals(session: Session): Promise<QueueTotals[]> {
  return (await session.query(totalsStatement)).map(row => ({
    id: row.queue_id,
    queue: row.name,
    states: numbersOf(states, row, name => name),
    totals: numbersOf(totalNames, row, name => `${name}_total`)
  }))
}

function numbersOf<N extends string>(
  names: readonly N[],
  row: Row,
  columnOf: (name: N) => string
): Record<N, number> {
  const entries = names.map(name => [name, Math.max(0, Number(row[columnOf(name)]))])
  return Object.fromEntries(entries) as Record<N, number>
}

export const queueVerbs = { findQueue, reportQueue, listQueues, removeQueue, roomIn }
