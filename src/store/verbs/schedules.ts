/** Schedules in the database: their settings and their owners. firings.ts has which are due. */
import type { NamePage, NameScope } from '../../core/queue.ts'
import type {
  HeldSchedules,
  KeptSchedule,
  LastRun,
  ListedSchedule,
  Owner,
  Schedule,
  ScheduleState
} from '../../core/schedule.ts'
import { inScope } from '../fragments.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** The last run and the owner, as their columns. */
interface NestedColumns {
  last_at: string | null
  last_fired_at: string
  last_outcome: LastRun['outcome']
  last_message_id: LastRun['messageId']
  owner_id: string | null
  owner_name: string
}
type Stored<S> = Omit<S, 'lastRun' | 'owner'> & NestedColumns

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
  last_message_id,
  owner_id,
  owner_name`
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
      and ${inScope('queue', '$3', '$4')}
    order by name
    limit $2`
}

/** Schedules by name, without their messages: those whose queues are in the scope. */
async function listSchedules(session: Session, { after, limit, scope }: NamePage): Promise<ListedSchedule[]> {
  const rows = await session.query(listStatement, [after, limit, scope.names, scope.prefixes])
  return rows.map(scheduleOf)
}

type LockedRow = { now: string } & (Stored<Schedule> | { name: null })

export const lockStatement: Statement<LockedRow> = {
  name: 'lock_schedule',
  parameters: '$1 name · $2 queues · $3 beginnings of queue names',
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
        and ${inScope('queue', '$2', '$3')}
      for update
    ) s on true`
}

/**
 * Keeps the schedule as it is until the end of the transaction, if the scope holds its queue, and
 * says what time it is there. A caller cannot hold up the firing of a schedule out of its scope.
 */
async function lockSchedule(
  session: Session,
  name: string,
  { names, prefixes }: NameScope
): Promise<{ now: string; schedule: Schedule | null }> {
  const [row] = await session.query(lockStatement, [name, names, prefixes])
  const { now, ...stored } = row!
  return { now, schedule: stored.name === null ? null : scheduleOf(stored) }
}

export const queueOfStatement: Statement<{ queue: string }> = {
  name: 'queue_of_schedule',
  parameters: '$1 name',
  text: 'select queue from holdfast.schedules where name = $1'
}

/** The queue of a schedule. null: there is none of this name. */
async function queueOfSchedule(session: Session, name: string): Promise<string | null> {
  return (await session.query(queueOfStatement, [name]))[0]?.queue ?? null
}

export const lockCountStatement: Statement = {
  name: 'lock_schedule_count',
  text: sql`select pg_advisory_xact_lock(${lockKeys.makeSchedule})`
}

export const countStatement: Statement<HeldSchedules> = {
  name: 'count_schedules',
  parameters: '$1 name of one that is not counted · $2 queue · $3 id of an owner, or null',
  text: sql`
    select
      count(*)::float8 as "all",
      (count(*) filter (where owner_id = $3))::float8 as mine,
      (count(*) filter (where queue = $2))::float8 as "onQueue"
    from holdfast.schedules
    where name <> $1`
}

/** Counts the other schedules, while no other session counts them. */
async function countSchedules(
  session: Session,
  name: string,
  queue: string,
  ownerId: string | null
): Promise<HeldSchedules> {
  await session.query(lockCountStatement)
  const [row] = await session.query(countStatement, [name, queue, ownerId])
  return row!
}

const settingsParameters = [
  '$1 name · $2 queue · $3 cron · $4 timezone · $5 body · $6 headers · $7 priority',
  '$8 paused · $9 missed · $10 next time · $11 id of the owner · $12 name of the owner'
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
      next_at,
      owner_id,
      owner_name
    )
    values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12)
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
      owner_id = $11,
      owner_name = $12,
      updated_at = clock_timestamp()
    where name = $1
    returning
      ${scheduleColumns}`
}

const valuesOf = (name: string, { settings, owner, nextAt }: ScheduleState) => [
  name,
  settings.queue,
  settings.cron,
  settings.timezone,
  settings.body,
  JSON.stringify(settings.headers),
  settings.priority,
  settings.paused,
  settings.missed,
  nextAt,
  owner?.id ?? null,
  owner?.name ?? null
]

/** Makes a schedule. null when another session has just made one of this name. */
async function createSchedule(
  session: Session,
  name: string,
  state: ScheduleState
): Promise<Schedule | null> {
  const [row] = await session.query(createStatement, valuesOf(name, state))
  return row === undefined ? null : scheduleOf(row)
}

/** Writes the whole state of a schedule that its caller has locked. */
async function changeSchedule(session: Session, name: string, state: ScheduleState): Promise<Schedule> {
  const [row] = await session.query(changeStatement, valuesOf(name, state))
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

export const pauseOfOwnerStatement: Statement = {
  name: 'pause_schedules_of_owner',
  parameters: '$1 id of the owner',
  text: sql`
    update holdfast.schedules
    set
      paused = true,
      next_at = null,
      updated_at = clock_timestamp()
    where owner_id = $1
      and not paused`
}

export const ofOwnerStatement: Statement<KeptSchedule> = {
  name: 'schedules_of_owner',
  parameters: '$1 id of the owner',
  text: sql`
    select name, queue, paused
    from holdfast.schedules
    where owner_id = $1
    order by name`
}

/** The schedules of an owner, paused first if asked to. */
export async function schedulesOfOwner(
  session: Session,
  ownerId: string,
  pause: boolean
): Promise<KeptSchedule[]> {
  if (pause) await session.query(pauseOfOwnerStatement, [ownerId])
  return await session.query(ofOwnerStatement, [ownerId])
}

/** Makes the last run and the owner of a row from their columns. */
function scheduleOf<Row extends object>({
  last_at: at,
  last_fired_at: firedAt,
  last_outcome: outcome,
  last_message_id: messageId,
  owner_id: ownerId,
  owner_name: ownerName,
  ...row
}: Row & NestedColumns) {
  const owner: Owner | null = ownerId === null ? null : { id: ownerId, name: ownerName }
  const lastRun: LastRun | null = at === null ? null : { at, firedAt, outcome, messageId }
  return { ...row, owner, lastRun }
}

export const scheduleVerbs = {
  findSchedule,
  listSchedules,
  lockSchedule,
  queueOfSchedule,
  countSchedules,
  createSchedule,
  changeSchedule,
  removeSchedule
}
