/**
 * Limits of a queue: `maxLeased` and `rate`. A lease of a queue with limits locks the row of the queue
 * in holdfast.limits, and changes it. Nothing else does, so whatever ends a lease costs as ever.
 *
 * A statement that waited for the row has an older snapshot than the row that it then gets. It misses
 * leases given meanwhile, and adds them from the row: they are what `leased_total` is ahead of the row
 * in the snapshot. It misses leases ended meanwhile too, and so finds fewer free places, never more.
 */
import { sql } from './statement.ts'

/** Whether queue `q` has limits. */
export const hasLimits = (q: string) => sql`
  (
    ${q}.max_leased is not null
      or ${q}.rate is not null
      or ${q}.max_leased_per_group is not null
      or ${q}.rate_per_group is not null
  )`

const perSecond = (q: string) => `holdfast.per_second(${q}.rate)`

/** The tokens of queue `q` at a time, by `l`, its row of limits. null: the queue has no rate. */
export const tokensOf = (q: string, l: string, at: string) =>
  `holdfast.tokens_at(${q}.rate, ${l}.tokens, ${l}.refilled_at, ${at})`

/** The tokens of a line of queue `q`. null: the queue has no rate per group. */
const tokensOfLine = (q: string, line: string) => sql`
  (
    select holdfast.tokens_at(${q}.rate_per_group, r.tokens, r.refilled_at, clock_timestamp())
    from (select) one
    left join lateral (
      select tokens, refilled_at
      from holdfast.line_rates
      where queue_id = ${q}.id
        and line = ${line}
      limit 1
    ) r on true
  )`

/** When queue `q` has its next token, by `l`, its row of limits. null: it has one, or no rate. */
export const nextTokenAt = (q: string, l: string) => sql`
  (
    select n.at + make_interval(
      secs => (1 - n.tokens) / (${perSecond(q)})
    )
    from (
      select c.at, ${tokensOf(q, l, 'c.at')} as tokens
      from (select clock_timestamp() as at offset 0) c
    ) n
    where n.tokens < 1
  )`

/** When a line of queue `q` has its next token. null: it has one, or the queue has no rate per group. */
export const nextTokenOfLineAt = (q: string, line: string) => sql`
  (
    select r.refilled_at + make_interval(
      secs => (1 - r.tokens) / holdfast.per_second(${q}.rate_per_group)
    )
    from holdfast.line_rates r
    where r.queue_id = ${q}.id
      and r.line = ${line}
      and holdfast.tokens_at(${q}.rate_per_group, r.tokens, r.refilled_at, clock_timestamp()) < 1
    limit 1
  )`

/** Joins `l`: the row of limits of a queue, if it has one. */
export const withLimits = (queueId: string) => sql`
  left join lateral (
    select *
    from holdfast.limits
    where queue_id = ${queueId}
    limit 1
  ) l on true`

/** How many of `wanted` messages may be leased, for which `places` are free and tokens are there. */
export const allowed = (wanted: string, places: string, tokens: string) => sql`
  greatest(
    0,
    least(
      ${wanted},
      ${places},
      floor(${tokens})
    )
  )::bigint`

/** For so long a count of leased messages serves the leases after it, which add theirs to it. */
const countSeconds = 1

/**
 * The common table expressions that lock the limits of queue `q`, and say in `room` how many of
 * `wanted` messages may be leased. Of the messages that the same statement acks, `acked` were leased.
 * Without a row of limits there is no room.
 *
 * The sum over the ledger is spared while the queue is known to have more than enough places.
 */
export const limiting = (wanted: string, acked: string) => sql`
  limits_row as materialized (
    select *
    from holdfast.limits
    where queue_id = (select id from q)
    for update
  ), clocked as materialized (
    select *, clock_timestamp() as at
    from limits_row
  ), counting as materialized (
    select
      l.*,
      q.max_leased is not null
        and l.leased_most + ${wanted} < q.max_leased
        and l.counted_at > l.at - interval '${countSeconds} s'
        and l.counted_at <= l.at
        as is_known
    from clocked l, q
  ), reckoned as materialized (
    select
      l.leased_total,
      l.at,
      case when l.is_known then l.counted_at else l.at end as counted_at,
      case
        when l.is_known then l.leased_most
        when q.max_leased is not null then (
          select coalesce(sum(leased), 0)
          from holdfast.ledger
          where queue_id = $1
        )
          + coalesce((select leased from holdfast.counts where queue_id = $1), 0)
          + l.leased_total
          - (select leased_total from holdfast.limits where queue_id = $1)
      end - ${acked} as leased,
      ${tokensOf('q', 'l', 'l.at')} as tokens
    from counting l, q
  ), room as materialized (
    select
      r.*,
      ${allowed(wanted, 'q.max_leased - r.leased', 'r.tokens')} as messages
    from reckoned r, q
  )`

/** How many messages of a line of which `leased` are leased may follow. null: it has no limit. */
export const roomOfLine = (q: string, line: string, leased: string) => sql`
  least(
    ${q}.max_leased_per_group - ${leased},
    floor(${tokensOfLine(q, line)})
  )`

/** How many leased messages a line of queue `q` counts. */
export const countedOfLine = (q: string, line: string) => sql`
  coalesce(
    (
      select leased
      from holdfast.lines counting
      where counting.queue_id = ${q}.id
        and counting.line = ${line}
    ),
    0
  )`

/** How many messages may be leased, after `limiting`. */
export const inRoom = 'coalesce((select messages from room), 0)'

/** The common table expression that takes what `leased` has leased out of the limits. */
export const charging = sql`
  charged as (
    update holdfast.limits l
    set
      leased_total = room.leased_total + n.count,
      leased_most = room.leased + n.count,
      counted_at = room.counted_at,
      tokens = room.tokens - n.count,
      refilled_at = room.at
    from room, (select count(*) as count from leased) n
    where l.queue_id = $1
      and n.count > 0
  )`

/** What is left of the limits: a member of the report, as `Room`. */
export const roomLeft = sql`
  'room', (
    select json_build_object(
      'messages', room.messages,
      'places', q.max_leased - room.leased - n.count,
      'tokens', room.tokens - n.count,
      'perSecond', ${perSecond('q')},
      'burst', holdfast.burst(q.rate)
    )
    from room, q, (select count(*) as count from leased) n
  )`
