/** Queues: what they are set to and hold, and their end. */
import type { BeginStandstill } from '../../core/engine/standstills.ts'
import { states, type State, type Total } from '../../core/counters.ts'
import { answerBytesMax } from '../../core/limits.ts'
import type { Digits } from '../../core/message.ts'
import type { FrontNotes, NamePage, Queue, QueueReport } from '../../core/queue.ts'
import { reliabilityOf } from '../../core/queue.ts'
import { settingPaths, type ActiveSettings, type SettingRow, type Settings } from '../../core/settings.ts'
import { folded, totalColumn, unfolded } from '../ledger.ts'
import { nextTokenAt, tokensOf, withLimits } from '../leaseLimits.ts'
import { inReadyIndex, inScope, madeQueue } from '../fragments.ts'
import { hasLines, isParked } from '../lines.ts'
import { brief, holdMessages } from './order.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** The settings of a queue, as their columns. */
type SettingColumns = Record<SettingRow['column'], unknown>

interface QueueRow extends SettingColumns {
  id: number
  name: string
  front: FrontNotes
  moving_to: string | null
  created_at: string
  updated_at: string
}

const activePaths = settingPaths.filter(({ path }) => path[0] !== 'tags')
/** Of a note of a front. Calls act on short ones. The long ones are for reports. */
const shortNoteCharsMax = 64
/** What is read of a queue to act on it. Each process remembers that of thousands of queues. */
export const activeColumns = [
  'id',
  'name',
  sql`
    case
      when front <> '{}' then (
        select coalesce(jsonb_object_agg(key, value), '{}')
        from jsonb_each_text(front)
        where length(value) <= ${shortNoteCharsMax}
      )
      else front
    end as front`,
  // Nearly everywhere the table is empty, and then the function is not called.
  sql`
    case
      when exists (select from holdfast.placement) then holdfast.cell_of(name)
    end as moving_to`,
  ...activePaths.map(({ column }) => column)
]
export type ActiveRow = Pick<QueueRow, 'id' | 'name' | 'front' | 'moving_to'> & Omit<SettingColumns, 'tags'>

export const findStatement: Statement<ActiveRow> = {
  name: 'find_queue',
  parameters: '$1 name',
  text: sql`
    select
      ${activeColumns.join(',\n')}
    from holdfast.queues
    where name = $1`
}

/** A queue and the settings that are acted on. null when there is none. */
export async function findQueue(session: Session, name: string): Promise<Queue | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : queueOf(row)
}

/** A queue from its row. */
export function queueOf(row: ActiveRow): Queue {
  const settings = settingsOf<ActiveSettings>(row, activePaths)
  return { id: String(row.id), name: row.name, settings, front: row.front, movingTo: row.moving_to }
}

export const createStatement: Statement<{ id: number }> = {
  name: 'create_queue',
  parameters: '$1 name',
  text: sql`
    with ${madeQueue}
    select id
    from made`
}

/**
 * When the oldest ready message of a queue became ready that waits for no other, as a subselect. It
 * stands at the head of one of the ranks, because a message takes a new position whenever it becomes
 * ready. Leased messages stay in that index, so at most `examinedMax` of each rank are examined. Where
 * all of these are leased, the last of them stands for the ready ones behind it.
 */
const oldestStandingAt = (queueId: string, examinedMax: number) => sql`
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
          and ${inReadyIndex('m.')}
        order by m.position
        limit ${examinedMax}
      ) first
    ) head
  )`

/**
 * The same of parked messages: the first of their line may wait for its retry, or the line for its
 * rate. Of all messages of the queue, the first `examinedMax` by id are examined.
 */
const oldestParkedAt = (queueId: string, examinedMax: number) => sql`
  (
    select min(coalesce(m.ready_at, m.enqueued_at))
    from holdfast.queues lined
    cross join lateral (
      select *
      from holdfast.messages
      where queue_id = lined.id
      order by id
      limit ${examinedMax}
    ) m
    where lined.id = ${queueId}
      and ${hasLines('lined')}
      and ${isParked}
      and m.visible_at is null
  )`

/** When the oldest ready message of a queue became ready. */
export const oldestReadyAt = (queueId: string, examinedMax: number) => sql`
  least(
    ${oldestStandingAt(queueId, examinedMax)},
    ${oldestParkedAt(queueId, examinedMax)}
  )`

/** Messages examined for the oldest ready one, in each rank. */
const examinedMax = 1000

const totalsReported = ['acked', 'expired', 'buried', 'returned'] as const satisfies Total[]
const reported = [...states, ...totalsReported.map(totalColumn)]

type ReportRow = QueueRow &
  Record<State | ReturnType<typeof totalColumn<(typeof totalsReported)[number]>>, string> & {
    oldest_ready_seconds: number | null
    tokens: number | null
    next_token_at: string | null
  }

// The ledger's rows that are not folded yet, added to those that are: both in one snapshot, so the
// sum is exact.
const reportOn = (queues: string) => sql`
  with r as materialized (
    select
      q.*,
      ${reported.map(column => `(c.${column} + t.${column}) as ${column}`).join(',\n')},
      ${tokensOf('q', 'l', 'clock_timestamp()')} as tokens,
      ${nextTokenAt('q', 'l')} as next_token_at
    from ${queues} q
    ${folded('q.id')}
    ${unfolded(reported, 'q.id')}
    ${withLimits('q.id')}
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

/** A page ends after the queue whose tags pass this. */
const tagBytesMax = answerBytesMax / 2

export const listStatement: Statement<ReportRow & { found: number }> = {
  name: 'list_queues',
  parameters: [
    '$1 after this name · $2 page size · $3 names · $4 beginnings',
    '$5 dead-letter queue, or null'
  ].join('\n'),
  text: reportOn(sql`
    (
      select *
      from (
        select
          *,
          (count(*) over ())::integer as found,
          sum(octet_length(tags::text)) over (order by name) - octet_length(tags::text) as tag_bytes
        from (
          select *
          from holdfast.queues
          where name > $1
            and ${inScope('name', '$3', '$4')}
            and ($5::text is null or dead_letter_queue = $5)
          order by name
          limit $2
        ) q
      ) q
      where tag_bytes < ${tagBytesMax}
    )`)
}

/** What a queue is set to and holds. null when there is none. */
export async function reportQueue(session: Session, name: string): Promise<QueueReport | null> {
  const [row] = await session.query(reportStatement, [name])
  return row === undefined ? null : reportOf(row)
}

/**
 * Queues by name: those of the scope, of all or of one dead-letter queue. `more`: others may follow.
 * A page of queues with large tags may be short.
 */
export async function listQueues(
  session: Session,
  { after, limit, scope }: NamePage,
  deadLetterQueue: string | null
): Promise<{ queues: QueueReport[]; more: boolean }> {
  const rows = await session.query(listStatement, [
    after,
    limit + 1,
    scope.names,
    scope.prefixes,
    deadLetterQueue
  ])
  const more = rows.length > limit || rows.length < (rows[0]?.found ?? 0)
  return { queues: rows.slice(0, limit).map(reportOf), more }
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
    ${folded('q.id')}
    ${unfolded(depthStates, 'q.id')}
    where q.id = $1`
}

/** How many more messages a queue takes: Infinity without `maxDepth`, null when it is gone. */
async function roomIn(session: Session, queueId: Digits): Promise<number | null> {
  const [row] = await session.query(depthStatement, [queueId])
  if (row === undefined) return null
  return row.max_depth === null ? Infinity : Number(row.max_depth) - Number(row.depth)
}

export const depthsStatement: Statement<{ id: number; room: number }> = {
  name: 'depths',
  parameters: '$1 queue ids',
  text: sql`
    select
      q.id,
      (q.max_depth - (${depthStates.map(state => `c.${state} + t.${state}`).join(' + ')}))::float8 as room
    from holdfast.queues q
    ${folded('q.id')}
    ${unfolded(depthStates, 'q.id')}
    where q.id = any($1::integer[])
      and q.max_depth is not null`
}

/** How many more messages these queues take, by id. One that is missing has no bound, or is gone. */
async function roomsIn(session: Session, queueIds: Digits[]): Promise<Map<Digits, number>> {
  const rows = await session.query(depthsStatement, [queueIds])
  return new Map(rows.map(({ id, room }) => [String(id), room]))
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

export const holdsStatement: Statement<{ holds: boolean }> = {
  name: 'holds',
  parameters: '$1 queue',
  text: sql`
    select
      exists (select from holdfast.messages where queue_id = q.id)
        or exists (select from holdfast.acked where queue_id = q.id) as holds
    from holdfast.queues q
    where name = $1`
}

/**
 * In a transaction: removes a queue that holds nothing, and answers whether it is gone. It looks twice,
 * because everybody waits for the lock: a queue that holds something does not cost that.
 */
export async function removeEmptyQueue(
  session: Session,
  name: string,
  begin: BeginStandstill = () => {}
): Promise<boolean> {
  const holds = async () => (await session.query(holdsStatement, [name]))[0]?.holds
  const before = await holds()
  if (before !== false) return before === undefined
  begin()
  await holdMessages(session)
  if (await brief(session, holds)) return false
  await removeQueue(session, name)
  return true
}

function settingsOf<S>(row: Partial<SettingColumns>, paths: typeof settingPaths): S {
  const settings: Record<string, unknown> = {}
  for (const { path, column, type } of paths) {
    // A bigint comes as text.
    const value = type === 'integer' && row[column] !== null ? Number(row[column]) : row[column]
    const [name, member] = path as [string, string?]
    if (member === undefined) settings[name] = value
    else settings[name] = { ...(settings[name] as object), [member]: value }
  }
  return settings as S
}

function reportOf(row: ReportRow): QueueReport {
  const counts = countsOf(states, state => row[state])
  const oldest = row.oldest_ready_seconds
  const settings = settingsOf<Settings>(row, settingPaths)
  return {
    queue: row.name,
    settings,
    front: row.front,
    counts,
    reliability: reliabilityOf({
      ...countsOf(totalsReported, total => row[totalColumn(total)]),
      dead: counts.dead
    }),
    oldestReadySeconds: oldest === null ? null : Math.max(0, Math.round(oldest * 1000) / 1000),
    limits: {
      places: settings.maxLeased === null ? null : Math.max(0, settings.maxLeased - counts.leased),
      tokens: row.tokens === null ? null : Math.floor(row.tokens),
      nextTokenAt: row.next_token_at
    },
    createdAt: row.created_at,
    updatedAt: row.updated_at
  }
}

/** A number for each name, from what the database answers as text. */
export function countsOf<K extends string>(
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
  removeEmptyQueue,
  roomIn,
  roomsIn
}
