/** Schedules in the database: their settings, which are due, and what became of them. */
import type { DueSchedule, FiredSchedule, Schedule, ScheduleSettings } from '../../core/schedule.ts'
import type { Row, Session, Statement } from '../database.ts'

const views = `
    name, queue, cron, timezone, paused, missed, priority, next_at as "nextAt", created_at as "createdAt", updated_at as "updatedAt",
    last_at, last_fired_at, last_outcome, last_message_id`

const findStatement: Statement = {
  name: 'find_schedule',
  text: `select ${views}, body, headers from holdfast.schedules where name = $1`
}

export async function findSchedule(session: Session, name: string): Promise<Schedule | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : scheduleOf(row)
}

const listStatement: Statement = {
  name: 'list_schedules',
  text: `
  select ${views} from holdfast.schedules
  where name > $1 and (queue = any($3::text[]) or exists (select from unnest($4::text[]) as beginning where starts_with(queue, beginning)))
  order by name limit $2`
}

/**
 * Schedules by name, beyond the one named `after`, without their messages: those for queues of
 * these names and beginnings.
 */
export async function listSchedules(
  session: Session,
  after: string,
  limit: number,
  { names, prefixes }: { names: string[]; prefixes: string[] }
): Promise<Omit<Schedule, 'body' | 'headers'>[]> {
  return (await session.query(listStatement, [after, limit, names, prefixes])).map(scheduleOf)
}

const lockStatement: Statement = {
  name: 'lock_schedule',
  text: `
  select statement_timestamp() as now, s.* from (select) one
  left join lateral (select ${views}, body, headers from holdfast.schedules where name = $1 for update) s on true`
}

/** Keeps it as it is until the end of the transaction, and says what time it is there. */
export async function lockSchedule(
  session: Session,
  name: string
): Promise<{ now: string; schedule: Schedule | null }> {
  const [row] = await session.query(lockStatement, [name])
  return { now: row!.now, schedule: row!.name === null ? null : scheduleOf(row!) }
}

const createStatement: Statement = {
  name: 'create_schedule',
  text: `
  insert into holdfast.schedules (name, queue, cron, timezone, body, headers, priority, paused, missed, next_at)
  values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10) on conflict (name) do nothing
  returning ${views}, body, headers`
}

const changeStatement: Statement = {
  name: 'change_schedule',
  text: `
  update holdfast.schedules
  set queue = $2, cron = $3, timezone = $4, body = $5, headers = $6::jsonb, priority = $7, paused = $8, missed = $9, next_at = $10, updated_at = clock_timestamp()
  where name = $1
  returning ${views}, body, headers`
}

const valuesOf = (name: string, s: ScheduleSettings, nextAt: string | null) => [
  name,
  s.queue,
  s.cron,
  s.timezone,
  s.body,
  JSON.stringify(s.headers),
  s.priority,
  s.paused,
  s.missed,
  nextAt
]

/** null when somebody else has just made one of this name. */
export async function createSchedule(
  session: Session,
  name: string,
  settings: ScheduleSettings,
  nextAt: string | null
): Promise<Schedule | null> {
  const [row] = await session.query(createStatement, valuesOf(name, settings, nextAt))
  return row === undefined ? null : scheduleOf(row)
}

export async function changeSchedule(
  session: Session,
  name: string,
  settings: ScheduleSettings,
  nextAt: string | null
): Promise<Schedule> {
  return scheduleOf((await session.query(changeStatement, valuesOf(name, settings, nextAt)))[0]!)
}

const removeStatement: Statement = {
  name: 'remove_schedule',
  text: 'delete from holdfast.schedules where name = $1'
}

export async function removeSchedule(session: Session, name: string): Promise<void> {
  await session.query(removeStatement, [name])
}

const chunk = 200
const chunkBytesMax = 4 * 1024 * 1024

// The first is taken however large it is. What another session has taken is passed by: it is fired there.
const takeDueStatement: Statement = {
  name: 'take_due_schedules',
  text: `
  with due as materialized (
    select * from holdfast.schedules where next_at <= statement_timestamp() order by next_at limit ${chunk} for update skip locked
  )
  select d.name, d.queue, d.cron, d.timezone, d.missed, d.body, d.headers, d.priority, d.next_at as "nextAt",
    statement_timestamp() as now, q.id::text as "queueId", q.max_depth::float8 as "maxDepth"
  from (select *, sum(octet_length(body)) over (order by next_at, name) - octet_length(body) as bytes_before from due) d
  left join lateral (select id, max_depth from holdfast.queues where name = d.queue limit 1) q on true
  where d.bytes_before < ${chunkBytesMax}
  order by d.next_at, d.name`
}

/** Takes some of those that are due until the end of the transaction, those due first before all. */
export async function takeDueSchedules(session: Session): Promise<DueSchedule[]> {
  return (await session.query(takeDueStatement)) as DueSchedule[]
}

const movedOnStatement: Statement = {
  name: 'move_schedules_on',
  text: `
  update holdfast.schedules s
  set next_at = d.next_at, last_at = s.next_at, last_fired_at = statement_timestamp(), last_outcome = d.outcome, last_message_id = d.message_id
  from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[]) as d (name, next_at, outcome, message_id)
  where s.name = any($1::text[]) and s.name = d.name`
}

/** Writes down what became of schedules that were taken, and when they are due next. */
export async function moveSchedulesOn(session: Session, fired: FiredSchedule[]): Promise<void> {
  await session.query(movedOnStatement, [
    fired.map(({ name }) => name),
    fired.map(({ nextAt }) => nextAt),
    fired.map(({ outcome }) => outcome),
    fired.map(({ messageId }) => messageId)
  ])
}

const queuesMissingStatement: Statement = {
  name: 'queues_missing',
  text: `
  select distinct d.queue from (select queue from holdfast.schedules where next_at <= statement_timestamp() order by next_at limit ${chunk}) d
  where not exists (select from holdfast.queues q where q.name = d.queue)`
}

/** Queues that schedules due now want and that are not there. */
export async function missingQueues(session: Session): Promise<string[]> {
  return (await session.query(queuesMissingStatement)).map(({ queue }) => queue)
}

const nextStatement: Statement = {
  name: 'next_schedule',
  text:
    'select extract(epoch from next_at - statement_timestamp())::float8 * 1000 as ms from ' +
    'holdfast.schedules where next_at is not null order by next_at limit 1'
}

/** How long until one is due, on the database's clock; Infinity when none is. */
export async function msUntilSchedule(session: Session): Promise<number> {
  return (await session.query(nextStatement))[0]?.ms ?? Infinity
}

function scheduleOf({
  last_at: at,
  last_fired_at: firedAt,
  last_outcome: outcome,
  last_message_id: messageId,
  now: _,
  ...row
}: Row): Schedule {
  return { ...row, lastRun: at === null ? null : { at, firedAt, outcome, messageId } } as Schedule
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
