/** The messages of a flush as rows, before they are stored. */
import { takesPlain } from '../fragments.ts'
import { rankOfNew } from '../rank.ts'
import { sql } from '../statement.ts'

const dueAt = sql`
  coalesce(
    (i.rest->>'visibleAt')::timestamptz,
    statement_timestamp() + make_interval(
      secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
    )
  )`

/**
 * The messages of a flush, from `from`, with the columns of their rows. What few messages carry comes
 * as JSON, `rest`: null where a message has nothing of it. Empty headers become null, because under an
 * idempotency key they are the same as none. What the queue says of messages is no content of one.
 */
export const describedMessages = (from: string, ...columns: string[]) => sql`
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    ${rankOfNew('i.priority')} as rank,
    (i.rest->>'maxAttempts')::integer as max_attempts,
    i.rest->>'idempotencyKey' as key,
    statement_timestamp() as enqueued_at,
    statement_timestamp() + make_interval(
      secs => coalesce(i.rest->>'ttlSeconds', i.rest->>'queueTtlSeconds')::float8
    ) as expires_at,
    i.priority,
    (i.rest->>'delaySeconds')::float8 as delay_seconds,
    coalesce((i.rest->>'queueDelaySeconds')::float8, 0) as queue_delay_seconds,
    (i.rest->>'visibleAt')::timestamptz as given_visible_at,
    (i.rest->>'ttlSeconds')::float8 as ttl_seconds,
    case
      when i.rest is null then null
      when ${dueAt} > statement_timestamp() then ${dueAt}
    end as visible_at,
    ${["i.rest->'marks' as marks", ...columns].join(',\n')}
  from ${from}`

const described = sql`
  unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[])
    with ordinality as i (queue_id, priority, body, rest, n)`

export const plainMessages = describedMessages(sql`
  ${described}
  where ${takesPlain('i.queue_id', '$1')}`)

/** The messages `i` with their queues `q`. A queue without lines may come here too. */
export const withQueue = (messages: string) => sql`
  ${messages}
  cross join lateral (
    select ordering, takes_turns
    from holdfast.queues
    where id = i.queue_id
    limit 1
  ) q`

/** The line of message `i`, and its rank there. */
export const lineOfNew = [
  sql`
    case
      when q.ordering = 'group' then i.rest->'marks'->>'group'
      when q.ordering = 'queue' then ''
      when q.takes_turns then coalesce(i.rest->'marks'->>'group', '')
    end as line`,
  sql`
    case
      when q.takes_turns then ${rankOfNew('i.priority')}
    end as turn_rank`
]

// As above, with the line of each message.
export const linedMessages = describedMessages(withQueue(described), ...lineOfNew)

/** The columns of an array for each of them, as messages that have only what is named here. */
interface Simple {
  arrays: string
  columns: string
  contentType: string
  headers: string
}

const simpleMessages = ({ arrays, columns, contentType, headers }: Simple) => sql`
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    null::bytea as body_bytes,
    ${contentType} as content_type,
    ${headers} as headers,
    ${rankOfNew('i.priority')} as rank,
    null::integer as max_attempts,
    statement_timestamp() as enqueued_at,
    null::timestamptz as expires_at,
    null::timestamptz as visible_at,
    null::jsonb as marks
  from unnest(${arrays})
    with ordinality as i (${columns}, n)
  where ${takesPlain('i.queue_id', '$1')}`

// In most flushes no message has more than a body and a priority, so the rest is not worked out.
export const bareMessages = simpleMessages({
  arrays: '$1::integer[], $2::smallint[], $3::text[]',
  columns: 'queue_id, priority, body',
  contentType: 'null',
  headers: 'null::jsonb'
})

// Nor here: no message of such a flush has more than a type and headers beside that.
export const typedMessages = simpleMessages({
  arrays: '$1::integer[], $2::smallint[], $3::text[], $4::text[], $5::jsonb[]',
  columns: 'queue_id, priority, body, content_type, headers',
  contentType: 'i.content_type',
  headers: 'i.headers'
})

/** The columns of these rows that are stored as they are. */
export const messageColumns = [
  'enqueued_at',
  'visible_at',
  'expires_at',
  'queue_id',
  'max_attempts',
  'rank',
  'body',
  'body_bytes',
  'content_type',
  'headers',
  'marks'
]
