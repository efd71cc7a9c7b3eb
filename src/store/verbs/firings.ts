/** Schedules that are due, and what became of them. */
import { priorityDefault } from '../../core/options.ts'
import { enqueueDefaultsOf } from '../../core/queue.ts'
import { firingBytesMax, type DueSchedule, type DueTurn, type FiredSchedule } from '../../core/schedule.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** Due schedules that are looked at together, the earliest first. */
const listedMax = 10_000

export const listDueStatement: Statement<DueTurn> = {
  name: 'list_due_schedules',
  text: sql`
    select
      name,
      turn::float8 as turn,
      bytes
    from (
      select
        name,
        next_at,
        bytes,
        row_number() over (partition by owner_id order by next_at, name) as turn
      from (
        select name, next_at, owner_id, octet_length(body) as bytes
        from holdfast.schedules
        where next_at <= statement_timestamp()
        order by next_at
        limit ${listedMax}
      ) due
    ) d
    order by d.turn, bytes, next_at, name`
}

/** The due schedules in the order of their turns. In each turn, small messages come first. */
async function listDueSchedules(session: Session): Promise<DueTurn[]> {
  return await session.query(listDueStatement)
}

// What another session has taken is passed by: it is fired there. Bodies may have grown since the
// list was made. What is too much then waits for the next list.
type DueRow = Omit<DueSchedule, 'defaults'> & { delaySeconds: number | null; ttlSeconds: number | null }

export const takeDueStatement: Statement<DueRow> = {
  name: 'take_due_schedules',
  parameters: '$1 names',
  text: sql`
    with due as materialized (
      select *
      from holdfast.schedules
      where name = any($1::text[])
        and next_at <= statement_timestamp()
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
      case
        when q.ordering <> 'none' then ${priorityDefault}
        else d.priority
      end as priority,
      d.next_at as "nextAt",
      d.owner_id as "ownerId",
      statement_timestamp() as now,
      q.id::text as "queueId",
      q.max_depth::float8 as "maxDepth",
      q.message_bytes_max as "messageBytesMax",
      q.delay_seconds as "delaySeconds",
      q.ttl_seconds as "ttlSeconds"
    from (
      select
        *,
        sum(octet_length(body)) over (order by next_at, name) - octet_length(body) as bytes_before
      from due
    ) d
    left join lateral (
      select id, ordering, max_depth, message_bytes_max, delay_seconds, ttl_seconds
      from holdfast.queues
      where name = d.queue
      limit 1
    ) q on true
    where d.bytes_before < ${firingBytesMax}
    order by d.next_at, d.name`
}

/** Takes those of the schedules that are due, until the end of the transaction. The earliest come first. */
async function takeDueSchedules(session: Session, names: string[]): Promise<DueSchedule[]> {
  const rows = await session.query(takeDueStatement, [names])
  return rows.map(({ delaySeconds, ttlSeconds, ...due }) => ({
    ...due,
    defaults: enqueueDefaultsOf({ delaySeconds: delaySeconds ?? 0, ttlSeconds })
  }))
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

export const queuesMissingStatement: Statement<{ queue: string; ownerId: string | null }> = {
  name: 'queues_missing',
  parameters: '$1 names of schedules',
  text: sql`
    select distinct
      s.queue,
      s.owner_id as "ownerId"
    from unnest($1::text[]) as n (name)
    cross join lateral (
      select queue, owner_id
      from holdfast.schedules
      where name = n.name
      limit 1
    ) s
    left join lateral (
      select id
      from holdfast.queues
      where name = s.queue
      limit 1
    ) q on true
    where q.id is null`
}

/** Queues that these schedules name and that are not there, with the owners of the schedules. */
async function missingQueues(
  session: Session,
  names: string[]
): Promise<{ queue: string; ownerId: string | null }[]> {
  return await session.query(queuesMissingStatement, [names])
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

export const firingVerbs = {
  listDueSchedules,
  takeDueSchedules,
  moveSchedulesOn,
  missingQueues,
  msUntilSchedule
}
