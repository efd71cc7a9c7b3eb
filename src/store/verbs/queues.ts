/** Queues: their settings, their counts, their end. */
import { states, totalNames, type QueueTotals, type State, type Total } from '../../core/counters.ts'
import { metricsQueuesMax } from '../../core/limits.ts'
import type { Digits } from '../../core/message.ts'
import { reliabilityOf, type NameScope, type Queue, type QueueReport } from '../../core/queue.ts'
import { settingPaths, type SettingRow, type Settings, type SettingsChange } from '../../core/settings.ts'
import type { Database } from '../database.ts'
import { totalColumn, unfolded } from '../ledger.ts'
import { lockKeys } from '../lockKeys.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { lockChains, refuseCircle } from './deadLetters.ts'

/** The settings of a queue, as their columns. */
type SettingColumns = Record<SettingRow['column'], unknown>

interface QueueRow extends SettingColumns {
  id: number
  name: string
  created_at: string
  updated_at: string
}

export const findStatement: Statement<QueueRow> = {
  name: 'find_queue',
  parameters: '$1 name',
  text: 'select * from holdfast.queues where name = $1'
}

/** A queue and its settings. null when there is none. */
export async function findQueue(session: Session, name: string): Promise<Queue | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : { id: String(row.id), name: row.name, settings: settingsOf(row) }
}

const madeQueue = sql`
  made as (
    insert into holdfast.queues (name)
    values ($1)
    on conflict (name) do nothing
    returning id
  ), counted as (
    insert into holdfast.counts (queue_id)
    select id
    from made
  )`

export const createStatement: Statement<{ id: number }> = {
  name: 'create_queue',
  parameters: '$1 name',
  text: sql`
    with ${madeQueue}
    select id
    from made`
}

const sqlTypes = { number: 'float8', integer: 'integer', choice: 'text', flag: 'boolean', queue: 'text' }

// Only a setting whose default is null may be set to null. For the others null stands for "left out".
function assignment({ path, column, type, default: value }: (typeof settingPaths)[number]): string {
  const given = `(c.new #>> '{${path.join(',')}}')::${sqlTypes[type]}`
  if (value !== null) {
    return sql`
      ${column} = coalesce(
        ${given},
        q.${column}
      )`
  }
  return sql`
    ${column} = case
      when c.new ? '${path[0]!}' then ${given}
      else q.${column}
    end`
}

export const changeStatement: Statement = {
  name: 'change_queue',
  parameters: '$1 name · $2 change, as JSON',
  text: sql`
    update holdfast.queues q
    set
      ${settingPaths.map(assignment).join(',\n')},
      updated_at = case when c.new = '{}' then q.updated_at else clock_timestamp() end
    from (select $2::jsonb as new) c
    where q.name = $1`
}

export const adoptStatement: Statement = {
  name: 'adopt_queue',
  parameters: '$1 name',
  text: sql`
    delete from holdfast.auto_queues
    where queue_id = (select id from holdfast.queues where name = $1)`
}

/**
 * Makes the queue if there is none, then changes the settings given. True when it was made. It no
 * longer counts as made by an enqueue.
 */
export async function putQueue(database: Database, name: string, change: SettingsChange): Promise<boolean> {
  return await database.transaction(async session => {
    await lockChains(session, change)
    const made = await session.query(createStatement, [name])
    await session.query(changeStatement, [name, JSON.stringify(change)])
    await refuseCircle(session, name, change)
    if (made.length === 0) await session.query(adoptStatement, [name])
    return made.length > 0
  })
}

export const lockAutoQueuesStatement: Statement = {
  name: 'lock_auto_queues',
  text: sql`select pg_advisory_xact_lock(${lockKeys.makeQueue})`
}

export const countAutoQueuesStatement: Statement<{ exists: boolean; all: number; mine: number }> = {
  name: 'count_auto_queues',
  parameters: '$1 name · $2 id of a caller',
  text: sql`
    select
      exists (select from holdfast.queues where name = $1) as exists,
      count(*)::float8 as "all",
      (count(*) filter (where caller_id = $2))::float8 as mine
    from holdfast.auto_queues`
}

/** Queues that enqueues have made, and whether there is one of this name. */
async function countAutoQueues(
  session: Session,
  name: string,
  callerId: string
): Promise<{ exists: boolean; all: number; mine: number }> {
  await session.query(lockAutoQueuesStatement)
  const [row] = await session.query(countAutoQueuesStatement, [name, callerId])
  return row!
}

export const createAutoStatement: Statement = {
  name: 'create_auto_queue',
  parameters: '$1 name · $2 id of a caller',
  text: sql`
    with ${madeQueue}
    insert into holdfast.auto_queues (queue_id, caller_id)
    select id, $2
    from made`
}

/** Makes a queue for an enqueue. Nothing happens if there is one. */
async function createAutoQueue(session: Session, name: string, callerId: string): Promise<void> {
  await session.query(createAutoStatement, [name, callerId])
}

/**
 * When the oldest ready message of a queue became ready, as a subselect. It stands at the head of
 * one of the ranks, because a message takes a new position whenever it becomes ready. Leased
 * messages stay in that index, so at most `examinedMax` of each rank are examined. Where all of
 * these are leased, the last of them stands for the ready ones behind it.
 */
export const oldestReadyAt = (queueId: string, examinedMax: number) => sql`
  (
    select min(coalesce(head.ready, head.any))
    from generate_series(0, ${ranks.length - 1}) as level (rank)
    cross join lateral (
      select
        min(ready_at) filter (where leased_until is null) as ready,
        max(ready_at) as any
      from (
        select
          coalesce(m.ready_at, m.enqueued_at) as ready_at,
          m.leased_until
        from holdfast.messages m
        where m.queue_id = ${queueId}
          and m.rank = level.rank::smallint
          and m.visible_at is null
          and m.dead_at is null
        order by m.position
        limit ${examinedMax}
      ) first
    ) head
  )`

/** Messages examined for the oldest ready one, in each rank. */
const examinedMax = 1000

const totalsReported = ['acked', 'expired', 'buried', 'returned'] as const satisfies Total[]
const reported = [...states, ...totalsReported.map(totalColumn)]

type ReportRow = QueueRow &
  Record<State | ReturnType<typeof totalColumn<(typeof totalsReported)[number]>>, string> & {
    oldest_ready_seconds: number | null
  }

// The ledger's rows that are not folded yet, added to those that are: both in one snapshot, so the
// sum is exact.
const reportOn = (queues: string) => sql`
  with r as materialized (
    select
      q.*,
      ${reported.map(column => `(c.${column} + t.${column}) as ${column}`).join(',\n')}
    from ${queues} q
    join holdfast.counts c on c.queue_id = q.id
    ${unfolded(reported, 'q.id')}
  )
  select
    r.*,
    case
      when r.ready > 0 then extract(
        epoch from clock_timestamp() - ${oldestReadyAt('r.id', examinedMax)}
      )::float8
    end as oldest_ready_seconds
  from r
  order by r.name`

export const reportStatement: Statement<ReportRow> = {
  name: 'report_queue',
  parameters: '$1 name',
  text: reportOn('(select * from holdfast.queues where name = $1)')
}

export const listStatement: Statement<ReportRow> = {
  name: 'list_queues',
  parameters: '$1 after this name · $2 queues on the page · $3 names · $4 beginnings of names',
  text: reportOn(sql`
    (
      select *
      from holdfast.queues
      where name > $1
        and (
          name = any($3::text[])
          or exists (select from unnest($4::text[]) as beginning where starts_with(name, beginning))
        )
      order by name
      limit $2
    )`)
}

/** What a queue is set to and holds. null when there is none. */
export async function reportQueue(session: Session, name: string): Promise<QueueReport | null> {
  const [row] = await session.query(reportStatement, [name])
  return row === undefined ? null : reportOf(row)
}

/** Queues by name, from the one after `after` on: those that the scope allows. */
export async function listQueues(
  session: Session,
  after: string,
  limit: number,
  { names, prefixes }: NameScope
): Promise<QueueReport[]> {
  return (await session.query(listStatement, [after, limit, names, prefixes])).map(reportOf)
}

/** The states that `maxDepth` counts. */
const depthStates: State[] = ['ready', 'delayed', 'leased']

export const depthStatement: Statement<{ max_depth: string | null; depth: string }> = {
  name: 'depth',
  parameters: '$1 queue id',
  text: sql`
    select
      q.max_depth,
      (${depthStates.map(state => `c.${state} + t.${state}`).join(' + ')}) as depth
    from holdfast.queues q
    join holdfast.counts c on c.queue_id = q.id
    ${unfolded(depthStates, 'q.id')}
    where q.id = $1`
}

/** How many more messages a queue takes: Infinity without `maxDepth`, null when it is gone. */
async function roomIn(session: Session, queueId: Digits): Promise<number | null> {
  const [row] = await session.query(depthStatement, [queueId])
  if (row === undefined) return null
  return row.max_depth === null ? Infinity : Number(row.max_depth) - Number(row.depth)
}

export const removeStatement: Statement = {
  name: 'remove_queue',
  parameters: '$1 name',
  text: sql`
    with gone as (
      delete from holdfast.queues
      where name = $1
      returning id
    ), uncounted as (
      delete from holdfast.counts c
      using gone
      where c.queue_id = gone.id
    )
    insert into holdfast.removed_queues (queue_id)
    select id
    from gone`
}

/**
 * Takes the name and the id away at once. The rows behind the id go later, in chunks. Nothing
 * happens if there is no such queue.
 */
export async function removeQueue(session: Session, name: string): Promise<void> {
  await session.query(removeStatement, [name])
}

function settingsOf(row: SettingColumns): Settings {
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

function reportOf(row: ReportRow): QueueReport {
  const counts = countsOf(states, state => row[state])
  const oldest = row.oldest_ready_seconds
  return {
    queue: row.name,
    settings: settingsOf(row),
    counts,
    reliability: reliabilityOf({
      acked: Number(row.acked_total),
      dead: counts.dead,
      expired: Number(row.expired_total),
      buried: Number(row.buried_total),
      returned: Number(row.returned_total)
    }),
    oldestReadySeconds: oldest === null ? null : Math.max(0, Math.round(oldest * 1000) / 1000),
    createdAt: row.created_at,
    updatedAt: row.updated_at
  }
}

/** A queue whose counts have changed so lately is active, even if it is empty now. */
const activeSeconds = 3600

type TotalsRow = { queue_id: number; name: string; paused: boolean; queues: number } & Record<
  State | ReturnType<typeof totalColumn<Total>>,
  string
>

// Active queues come first: those with messages, and those whose counts have changed in the last
// hour. Of these, queues made by PUT come first, then the oldest. So new queues push no older ones
// out, and the choice changes only when a queue has been empty and at rest for an hour.
export const totalsStatement: Statement<TotalsRow> = {
  name: 'queue_totals',
  text: sql`
    select q.name, q.paused, q.queues, c.*
    from (
      select
        q.id,
        q.name,
        q.paused,
        (count(*) over ())::float8 as queues
      from holdfast.queues q
      join holdfast.counts c on c.queue_id = q.id
      order by
        ${states.map(state => `c.${state} <= 0`).join('\nand ')}
        and not exists (
          select
          from holdfast.series s
          where s.queue_id = q.id
            and s.at > extract(epoch from statement_timestamp()) - ${activeSeconds}
        ),
        exists (select from holdfast.auto_queues a where a.queue_id = q.id),
        q.id
      limit ${metricsQueuesMax}
    ) q
    join holdfast.counts c on c.queue_id = q.id`
}

/** The folded counts and totals of at most a thousand queues, and how many queues are left out. */
export async function queueTotals(session: Session): Promise<{ queues: QueueTotals[]; leftOut: number }> {
  const rows = await session.query(totalsStatement)
  const queues = rows.map(row => ({
    id: row.queue_id,
    queue: row.name,
    paused: row.paused,
    states: countsOf(states, state => Math.max(0, Number(row[state]))),
    totals: countsOf(totalNames, total => Math.max(0, Number(row[totalColumn(total)])))
  }))
  return { queues, leftOut: (rows[0]?.queues ?? 0) - rows.length }
}

function countsOf<K extends string>(
  names: readonly K[],
  countOf: (name: K) => string | number
): Record<K, number> {
  return Object.fromEntries(names.map(name => [name, Number(countOf(name))])) as Record<K, number>
}

export const queueVerbs = {
  findQueue,
  reportQueue,
  listQueues,
  removeQueue,
  roomIn,
  countAutoQueues,
  createAutoQueue
}
