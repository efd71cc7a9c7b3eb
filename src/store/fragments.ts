/** SQL that several statements share. */
import { historyBytesMax, historyMax } from '../core/limits.ts'
import { failureOutcomes, type AttemptOutcome } from '../core/message.ts'
import { hasLines } from './lines.ts'
import { priorityOf } from './rank.ts'
import { sql } from './statement.ts'

/**
 * True for ids of queues that exist, of the array `ids`. Written as `in (select …)`, PostgreSQL
 * looks up each queue once by key and keeps the order of the rows, in which positions are given
 * out. A join would hash the rows and lose the order.
 */
export const queueExists = (id: string, ids: string) =>
  `(${id} in (select id from holdfast.queues where id = any(${ids}::integer[]))) is true`

/**
 * As above, and without lines. An enqueue that has not heard yet that the queue has lines finds no
 * queue, and reads the settings again.
 */
export const takesPlain = (id: string, ids: string) => sql`
  (${id} in (
    select q.id
    from holdfast.queues q
    where q.id = any(${ids}::integer[])
      and not (${hasLines('q')})
  )) is true`

/** Whether this name is in a scope: it is among the names, or has one of the beginnings. */
export const inScope = (name: string, names: string, beginnings: string) => sql`
  (
    ${name} = any(${names}::text[])
    or exists (select from unnest(${beginnings}::text[]) as beginning where starts_with(${name}, beginning))
  )`

/** Whether message `m` is in the index of ready messages, in which leased ones stay. */
export const inReadyIndex = (m: string) => sql`
  ${m}visible_at is null
    and ${m}dead_at is null
    and ${m}position is not null`

/**
 * Finds messages of queue `$1` by key and by exact fence, so a superseded receipt matches nothing.
 * The ids come sorted and distinct: width_bucket finds an id's place among them by halving. An
 * index scan over sorted ids also locks in key order, so two batches cannot wait for one another.
 */
export const heldRows = (ids: string, fences: string) => sql`
  m.queue_id = $1
    and m.id = any(${ids}::bigint[])
    and m.fence = (${fences}::bigint[])[width_bucket(m.id, ${ids}::bigint[])]`

/** What an idempotency key stands for, as holdfast.digest_fits takes it. */
export const contentOf = (from: string, marks = `${from}marks`, headers = `${from}headers`) =>
  [
    ...['body', 'body_bytes', 'content_type'].map(column => from + column),
    headers,
    ...['priority', 'delay_seconds', 'given_visible_at', 'ttl_seconds', 'max_attempts'].map(
      column => from + column
    ),
    marks
  ].join(',\n')

/** The digest under which that is stored. Its columns stand alone. */
export const digestOf = (marks = 'marks') => sql`
  holdfast.digest_of(
    ${contentOf('', marks, 'holdfast.content_headers(headers)')}
  )`

/**
 * The columns of `held` as arrays by id. A join by id would compare each message with each held one,
 * which takes most of a second for a thousand receipts.
 */
export const byId = (...columns: string[]) => sql`
  held_by_id as materialized (
    select
      array_agg(id order by id) as ids,
      ${columns.map(column => `array_agg(${column} order by id) as ${column}`).join(',\n')}
    from held
  )`

/** A column of message `m` in `held`, from `h`, which is held_by_id. */
export const ofHeld = (column: string) => `h.${column}[width_bucket(m.id, h.ids)]`

/** The state of message `m`, which is not a kept acked one. */
export const openState = 'holdfast.state_of(m.visible_at, m.leased_until, m.dead_at)'

/** The worker that leased a message, from `l`, its row of leases. */
export const workerOf = (messageId: string) =>
  `l.workers[l.holders[array_position(l.message_ids, ${messageId})]]`

/** How an attempt ended, as SQL. The type keeps it to the names that core knows. */
export const endedBy = (outcome: AttemptOutcome) => `'${outcome}'`

/** An attempt that has ended, each column of the history as SQL. */
interface EndedAttempt {
  leased_at: string
  ended_at: string
  message_id: string
  fence: string
  queue_id: string
  attempt: string
  outcome: string
  worker: string
  reason?: string
}

/** Records attempts that have ended: one for each row that `from` and its conditions give. */
export const historyInsert = (attempt: EndedAttempt, from: string) => sql`
  insert into holdfast.history (
    ${Object.keys(attempt).join(',\n')}
  )
  select
    ${Object.values(attempt).join(',\n')}
  ${from}
  on conflict do nothing`

/** Whether row `h` of the history is a failure. A release is none. */
export const isFailure = `h.outcome in (${failureOutcomes.map(endedBy).join(', ')})`

/** A failure, from row `h` of the history. */
export const lastFailureJson = sql`
  json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  )`

/** The last attempts of a message as rows of the history, as many as an answer shows. */
export const lastAttempts = (condition: string) => sql`
  (
    select *
    from (
      select
        *,
        sum(octet_length(reason)) over (order by fence desc) as reason_bytes
      from holdfast.history
      where ${condition}
      order by fence desc
      limit ${historyMax}
    ) recent
    where coalesce(reason_bytes, 0) <= ${historyBytesMax}
  )`

/** An attempt, from row `h` of the history. `queue` is where it was made unless the row says another. */
export const attemptJson = (queue: string) => sql`
  json_build_object(
    'queue', coalesce(h.queue, ${queue}),
    'attempt', h.attempt,
    'worker', h.worker,
    'leasedAt', holdfast.rfc3339(h.leased_at),
    'endedAt', holdfast.rfc3339(h.ended_at),
    'outcome', h.outcome,
    'reason', h.reason
  )`

/** The last attempt of message `m` that ended badly. No row: there is none. */
export const lastFailureOf = (columns: string) => sql`
  select ${columns}
  from holdfast.history h
  where h.queue_id = $1
    and h.message_id = m.id
    and ${isFailure}
  order by h.fence desc
  limit 1`

/**
 * Joins `f.last_failure`: the last attempt of message `m` that ended badly. A message with at most
 * `fence` leases cannot have one, so its history is not read.
 */
export const lastFailureAbove = (fence: number) => sql`
  left join lateral (
    select ${lastFailureJson} as last_failure
    from holdfast.history h
    where m.fence > ${fence}
      and h.queue_id = $1
      and h.message_id = m.id
      and ${isFailure}
    order by h.fence desc
    limit 1
  ) f on true`

/**
 * The common table expression `buried`. It moves messages that a statement has just let die to the
 * dead-letter queues of their queues. They are those of `died` that meet the condition. The function
 * `holdfast.bury` is called once, and only where there are some. Their history must be written before
 * that, so `recorded`, which writes it, is read first.
 */
export const buried = ({ queue, died, condition }: { queue: string; died: string; condition: string }) => sql`
  buried as materialized (
    select b.*
    from (
      select
        array_agg(${queue}::integer) as queue_ids,
        array_agg(id) as ids
      from ${died}
      where ${condition}
        and (
          select dead_letter_queue
          from holdfast.queues
          where id = ${queue}
        ) is not null
        and (select count(*) from recorded) >= 0
      having count(*) > 0
    ) d
    cross join lateral holdfast.bury(d.queue_ids, d.ids) b
  )`

/** The common table expression that gives messages new positions, in the order of `messages`. */
export const placesIn = (messages: string) => sql`
  places as materialized (
    select
      array_agg(id order by id) as ids,
      array_agg(position order by id) as positions
    from (
      select id, nextval('holdfast.positions') as position
      from ${messages} c
    ) c
  )`

/**
 * The same for messages of several queues, which are found by their place in the table: the `place`
 * of each row of `rows`. The rows are numbered by `order`, as `alias`.
 */
export const placesOfRows = (rows: string, order: string, alias: string) => sql`
  places as materialized (
    select
      array_agg(place) as places,
      array_agg(id order by id) as ids,
      array_agg(position order by id) as positions
    from (
      select *, nextval('holdfast.positions') as position
      from (select * from ${rows} order by ${order}) ${alias}
    ) ${alias}
  )`

/** The new position of message `m`. */
export const newPosition = 'places.positions[width_bucket(m.id, places.ids)]'

/** What an answer's JSON adds to each message, beside its body and its headers. */
const otherMembersBytes = 600

/**
 * At most how many bytes message `m` takes in an answer's JSON, so that the answer can stop before
 * its limit. Bytes are shown as text, where one takes up to six, or as base64.
 */
export const answerBytes = sql`
  case
    when m.body is null then octet_length(m.body_bytes)
      * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
    when m.content_type is null then octet_length(m.body)
    else octet_length(to_json(m.body)::text)
  end
  + coalesce(octet_length(m.headers::text), 0)
  + coalesce(octet_length(m.origin::text), 0)
  + coalesce(octet_length(m.marks::text), 0)
  + ${otherMembersBytes}`

/** Where message `m` came from by its death, without what only a redrive needs. null: it did not. */
export const originOf = "m.origin - 'own'"

/** What a lease answers of message `m` of queue `q`. */
export const leasedColumns = sql`
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  ${priorityOf} as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  ${originOf} as origin`

/**
 * Deletes the history of messages of any queues: those of the common table expression `gone`, which
 * has their queue_id and id.
 */
export const forgetHistoryOf = (gone: string) => sql`
  delete from holdfast.history
  where ctid = any(array(
    select h.ctid
    from ${gone} g
    cross join lateral (
      select ctid
      from holdfast.history
      where queue_id = g.queue_id
        and message_id = g.id
      offset 0
    ) h
  ))`

/**
 * The common table expressions that make the queue `$1` if there is none. A conflict would use up an
 * id, and there are only two thousand million of them.
 */
export const madeQueue = sql`
  made as (
    insert into holdfast.queues (name)
    select $1
    where not exists (select from holdfast.queues where name = $1)
    on conflict (name) do nothing
    returning id
  ), counted as (
    insert into holdfast.counts (queue_id)
    select id
    from made
  )`
