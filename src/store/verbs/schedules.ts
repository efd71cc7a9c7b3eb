/** Schedules in the database: their settings, which are due, and what became of them. */
import type { NameScope } from '../../core/queue.ts'
import type { DueSchedule, FiredSchedule, LastRun, Schedule, ScheduleSettings } from '../../core/schedule.ts'
import { sql, type Session, type Statement } from '../statement.ts'

type ListedSchedule = Omit<Schedule, 'body' | 'headers'>

/** The last run as its columns. */
interface LastRunColumns {
  last_at: string | null
  last_fired_at: string
  last_outcome: LastRun['outcome']
  last_message_id: LastRun['messageId']
}
type Stored<S> = Omit<S, 'lastRun'> & LastRunColumns

const listedColumns = sql`
  name,
  queue,
  cron,
  timezone,
  paused,
  missed,
  priority,
  next_at as "nextAt",
  created_at as "createdAt",
  updated_at as "updatedAt",
  last_at,
  last_fired_at,
  last_outcome,
  last_message_id`
const scheduleColumns = sql`
  ${listedColumns},
  body,
  headers`

export const findStatement: Statement<Stored<Schedule>> = {
  name: 'find_schedule',
  parameters: '$1 name',
  text: sql`
    select
      ${scheduleColumns}
    from holdfast.schedules
    where name = $1`
}

/** A schedule with its message. null when there is none. */
async function findSchedule(session: Session, name: string): Promise<Schedule | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : scheduleOf(row)
}

export const listStatement: Statement<Stored<ListedSchedule>> = {
  name: 'list_schedules',
  parameters: '$1 after this name · $2 schedules on the page · $3 queues · $4 beginnings of queue names',
  text: sql`
    select
      ${listedColumns}
    from holdfast.schedules
    where name > $1
      and (
        queue = any($3::text[])
        or exists (select from unnest($4::text[]) as beginning where starts_with(queue, beginning))
      )
    order by name
    limit $2`
}

/**
 * Schedules by name, from the one after `after` on, without their messages: those whose queues the
 * scope allows.
 */
async function listSchedules(
  session: Session,
  after: string,
  limit: number,
  { names, prefixes }: NameScope
): Promise<ListedSchedule[]> {
  return (await session.query(listStatement, [after, limit, names, prefixes])).map(scheduleOf<ListedSchedule>)
}

type LockedRow = { now: string } & (Stored<Schedule> | { name: null })

export const lockStatement: Statement<LockedRow> = {
  name: 'lock_schedule',
  parameters: '$1 name',
  text: sql`
    select
      statement_timestamp() as now,
      s.*
    from (select) one
    left join lateral (
      select
        ${scheduleColumns}
      from holdfast.schedules
      where name = $1
      for update
    ) s on true`
}

/** Keeps the schedule as it is until the end of the transaction, and says what time it is there. */
async function lockSchedule(
  session: Session,
  name: string
): Promise<{ now: string; schedule: Schedule | null }> {
  const [row] = await session.query(lockStatement, [name])
  const { now, ...stored } = row!
  return { now, schedule: stored.name === null ? null : scheduleOf<Schedule>(stored) }
}

const settingsParameters = [
  '$1 name · $2 queue · $3 cron · $4 timezone · $5 body · $6 headers · $7 priority',
  '$8 paused · $9 missed · $10 next time'
].join('\n')

export const createStatement: Statement<Stored<Schedule>> = {
  name: 'create_schedule',
  parameters: settingsParameters,
  text: sql`
    insert into holdfast.schedules (
      name,
      queue,
      cron,
      timezone,
      body,
      headers,
      priority,
      paused,
      missed,
      next_at
    )
    values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10)
    on conflict (name) do nothing
    returning
      ${scheduleColumns}`
}

export const changeStatement: Statement<Stored<Schedule>> = {
  name: 'change_schedule',
  parameters: settingsParameters,
  text: sql`
    update holdfast.schedules
    set
      queue = $2,
      cron = $3,
      timezone = $4,
      body = $5,
      headers = $6::jsonb,
      priority = $7,
      paused = $8,
      missed = $9,
      next_at = $10,
      updated_at = clock_timestamp()
    where name = $1
    returning
      ${scheduleColumns}`
}

const valuesOf = (name: string, settings: ScheduleSettings, nextAt: string | null) => [
  name,
  settings.queue,
  settings.cron,
  settings.timezone,
  settings.body,
  JSON.stringify(settings.headers),
  settings.priority,
  settings.paused,
  settings.missed,
  nextAt
]

/** Makes a schedule. null when another session has just made one of this name. */
async function createSchedule(
  session: Session,
  name: string,
  settings: ScheduleSettings,
  nextAt: string | null
): Promise<Schedule | null> {
  const [row] = await session.query(createStatement, valuesOf(name, settings, nextAt))
  return row === undefined ? null : scheduleOf(row)
}

/** Changes all settings of a schedule that its caller has locked. */
async function changeSchedule(
  session: Session,
  name: string,
  settings: ScheduleSettings,
  nextAt: string | null
): Promise<Schedule> {
  const [row] = await session.query(changeStatement, valuesOf(name, settings, nextAt))
  return scheduleOf(row!)
}

export const removeStatement: Statement = {
  name: 'remove_schedule',
  parameters: '$1 name',
  text: 'delete from holdfast.schedules where name = $1'
}

/** Removes a schedule. Nothing happens if there is none of this name. */
async function removeSchedule(session: Session, name: string): Promise<void> {
  await session.query(removeStatement, [name])
}

/** Schedules taken in one transaction, at most. */
const chunk = 200
/** Their bodies together, at most. */
const chunkBytesMax = 4 * 1024 * 1024

// The first is taken however large it is. What another session has taken is passed by: it is fired
// there.
export const takeDueStatement: Statement<DueSchedule> = {
  name: 'take_due_schedules',
  text: sql`
    with due as materialized (
      select *
      from holdfast.schedules
      where next_at <= statement_timestamp()
      order by next_at
      limit ${chunk}
      for update skip locked
    )
    select
      d.name,
      d.queue,
      d.cron,
      d.timezone,
      d.missed,
      d.body,
      d.headers,
      d.priority,
      d.next_at as "nextAt",
      statement_timestamp() as now,
      q.id::text as "queueId",
      q.max_depth::float8 as "maxDepth"
    from (
      select
        *,
        sum(octet_length(body)) over (order by next_at, name) - octet_length(body) as bytes_before
      from due
    ) d
    left join lateral (
      select id, max_depth
      from holdfast.queues
      where name = d.queue
      limit 1
    ) q on true
    where d.bytes_before < ${chunkBytesMax}
    order by d.next_at, d.name`
}

/** Takes some of the due schedules until the end of the transaction, the earliest first. */
async function takeDueSchedules(session: Session): Promise<DueSchedule[]> {
  return await session.query(takeDueStatement)
}

export const moveOnStatement: Statement = {
  name: 'move_schedules_on',
  parameters: '$1 names · $2 next times · $3 outcomes · $4 message ids',
  text: sql`
    update holdfast.schedules s
    set
      next_at = d.next_at,
      last_at = s.next_at,
      last_fired_at = statement_timestamp(),
      last_outcome = d.outcome,
      last_message_id = d.message_id
    from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])
      as d (name, next_at, outcome, message_id)
    where s.name = any($1::text[])
      and s.name = d.name`
}

/** Writes down what became of schedules that were taken, and when they are due next. */
async function moveSchedulesOn(session: Session, fired: FiredSchedule[]): Promise<void> {
  await session.query(moveOnStatement, [
    fired.map(({ name }) => name),
    fired.map(({ nextAt }) => nextAt),
    fired.map(({ outcome }) => outcome),
    fired.map(({ messageId }) => messageId)
  ])
}

export const queuesMissingStatement: Statement<{ queue: string }> = {
  name: 'queues_missing',
  text: sql`
    select distinct d.queue
    from (
      select queue
      from holdfast.schedules
      where next_at <= statement_timestamp()
      order by next_at
      limit ${chunk}
    ) d
    where not exists (select from holdfast.queues q where q.name = d.queue)`
}

/** Queues that due schedules name and that are not there. */
async function missingQueues(session: Session): Promise<string[]> {
  return (await session.query(queuesMissingStatement)).map(({ queue }) => queue)
}

export const nextStatement: Statement<{ ms: number }> = {
  name: 'next_schedule',
  text: sql`
    select extract(epoch from next_at - statement_timestamp())::float8 * 1000 as ms
    from holdfast.schedules
    where next_at is not null
    order by next_at
    limit 1`
}

/** How long until the next schedule is due, by the database's clock. Infinity: there is none. */
async function msUntilSchedule(session: Session): Promise<number> {
  return (await session.query(nextStatement))[0]?.ms ?? Infinity
}

function scheduleOf<S extends ListedSchedule>({
  last_at: at,
  last_fired_at: firedAt,
  last_outcome: outcome,
  last_message_id: messageId,
  ...row
}: Stored<S>): S {
  return { ...row, lastRun: at === null ? null : { at, firedAt, outcome, messageId } } as unknown as S
}

export const scheduleVerbs = {
  findSchedule,
  listSchedules,
  lockSchedule,
  createSchedule,
  changeSchedule,
  removeSchedule,
  takeDueSchedules,
  moveSchedulesOn,
  missingQueues,
  msUntilSchedule
}
