/** Dead-letter queues: no circle of them, and where a message has gone. */
import { invalidRequest } from '../../core/errors.ts'
import type { MessageDetail } from '../../core/message.ts'
import type { SettingsChange } from '../../core/settings.ts'
import { attemptJson, isFailure, lastAttempts, lastFailureJson } from '../fragments.ts'
import { lockKeys } from '../lockKeys.ts'
import { priorityOf } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'

// Two sessions that set the two halves of a circle take turns, so the second one sees the first.
export const lockChainsStatement: Statement = {
  name: 'lock_dead_letter_chains',
  text: sql`select pg_advisory_xact_lock(${lockKeys.deadLetterChains})`
}

/** For before a change of settings: nothing else sets a dead-letter queue until the commit. */
export async function lockChains(session: Session, { deadLetterQueue }: SettingsChange): Promise<void> {
  if (deadLetterQueue != null) await session.query(lockChainsStatement)
}

export const circleStatement: Statement<{ circle: boolean }> = {
  name: 'dead_letter_circle',
  parameters: '$1 name',
  text: sql`
    with recursive chain as (
      select dead_letter_queue as name
      from holdfast.queues
      where name = $1
      union
      select q.dead_letter_queue
      from chain c
      join holdfast.queues q on q.name = c.name
    )
    select exists (select from chain where name = $1) as circle`
}

/** For after the change. Refuses with invalidRequest a chain of queues that leads back to this one. */
export async function refuseCircle(
  session: Session,
  name: string,
  { deadLetterQueue: target }: SettingsChange
): Promise<void> {
  if (target == null) return
  const [row] = await session.query(circleStatement, [name])
  if (!row!.circle) return
  const subject = name === target ? 'must be another queue' : 'leads back to this queue'
  throw invalidRequest(
    '/deadLetterQueue',
    `${subject}: a dead message would go round in a circle. Choose a queue whose own ` +
      'deadLetterQueue is null, or leads elsewhere'
  )
}

/** Queue `home` and the dead-letter queues to which its messages may have gone, as `chain`. */
const chainFrom = sql`
  recursive chain as (
    select dead_letter_queue as name
    from holdfast.queues
    where id = $1
    union
    select q.dead_letter_queue
    from chain c
    join holdfast.queues q on q.name = c.name
  )`

// Only what the queue itself had of the message is shown: its caller may have no right to the other.
export const movedStatement: Statement<MessageDetail> = {
  name: 'moved_message',
  parameters: '$1 queue id · $2 message id',
  text: sql`
    with ${chainFrom}, found as materialized (
      select
        m.*,
        home.name as home,
        home.max_attempts as home_max_attempts,
        t.name as target
      from holdfast.queues home
      cross join chain c
      join holdfast.queues t on t.name = c.name
      cross join lateral (
        select *
        from holdfast.messages
        where queue_id = t.id
          and id = $2
        limit 1
      ) m
      where home.id = $1
    ), attempts as materialized (
      select h.*
      from found m
      cross join lateral ${lastAttempts('queue_id = m.queue_id\nand message_id = $2\nand queue = m.home')} h
    )
    select
      m.id,
      'dead' as state,
      m.body,
      m.body_bytes as "bodyBytes",
      m.content_type as "contentType",
      m.headers,
      m.marks,
      ${priorityOf} as priority,
      coalesce(
        case when m.origin->>'queue' = m.home then (m.origin->>'attempts')::integer end,
        (select max(attempt) from attempts)
      ) as attempt,
      coalesce(
        case
          when m.origin->>'queue' = m.home then (m.origin->'own'->>'maxAttempts')::integer
        end,
        m.home_max_attempts
      ) as "maxAttempts",
      m.enqueued_at as "enqueuedAt",
      null::timestamptz as "visibleAt",
      (
        select ${lastFailureJson}
        from attempts h
        where ${isFailure}
        order by h.fence desc
        limit 1
      ) as "lastFailure",
      null::jsonb as origin,
      null::json as unique,
      null::json as lease,
      null as result,
      (
        select coalesce(json_agg(${attemptJson('m.home')} order by h.fence), '[]')
        from attempts h
      ) as history,
      m.target as "movedTo"
    from found m
    where m.origin->>'queue' = m.home
      or exists (select from attempts)`
}
