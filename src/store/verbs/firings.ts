/** Schedules that are due, and what became of them. */
import { priorityDefault } from '../../core/options.ts'
import { enqueueDefaultsOf } from '../../core/queue.ts'
import type { DueSchedule, FiredSchedule } from '../../core/schedule.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** Schedules taken in one transaction, at most. */
const chunk = 200
/** Their bodies together, at most. */
const chunkBytesMax = 4 * 1024 * 1024

// The first is taken however large it is. What another session has taken is passed by: it is fired
// there.
type DueRow = Omit<DueSchedule, 'defaults'> & { delaySeconds: number | null; ttlSeconds: number | null }

export const takeDueStatement: Statement<DueRow> = {
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
    where d.bytes_before < ${chunkBytesMax}
    order by d.next_at, d.name`
}

/** Takes some of the due schedules until the end of the transaction, the earliest first. */
async function takeDueSchedules(session: Session): Promise<DueSchedule[]> {
  const rows = await session.query(takeDueStatement)
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
  text: sql`
    select distinct
      d.queue,
      d.owner_id as "ownerId"
    from (
      select queue, owner_id
      from holdfast.schedules
      where next_at <= statement_timestamp()
      order by next_at
      limit ${chunk}
    ) d
    where not exists (select from holdfast.queues q where q.name = d.queue)`
}

/** Queues that due schedules name and that are not there, with the owners of these schedules. */
async function missingQueues(session: Session): Promise<{ queue: string; ownerId: string | null }[]> {
  return await session.query(queuesMissingStatement)
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

export const firingVerbs = { takeDueSchedules, moveSchedulesOn, missingQueues, msUntilSchedule }
