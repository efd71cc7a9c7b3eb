/**
 * Followers: messages of a line that are leased in one answer with the one that stands. They stay
 * parked, so the lease is a HOT update. The row of the line counts them.
 */
import type { Digits } from '../../core/message.ts'
import type { Follower, FollowersWanted } from '../../core/ports.ts'
import { answerBytes, lastFailureAbove, leasedColumns } from '../fragments.ts'
import { noteLeased } from '../ledger.ts'
import { charging, hasLimits, inRoom, limiting, roomOfLine } from '../leaseLimits.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { uniqueKeyOfLeased } from './uniqueKeys.ts'

export const lockLinesStatement: Statement = {
  name: 'lock_lines',
  parameters: '$1 queue id · $2 message ids',
  text: sql`
    select
    from holdfast.lines l
    where l.queue_id = $1
      and l.line = any(array(
        select m.line
        from holdfast.messages m
        where m.queue_id = $1
          and m.id = any($2::bigint[])
      ))
    order by l.line
    for update`
}

/** A queue that has got limits since its heads were leased has no followers. */
const hasNoLimits = sql`
  exists (
    select
    from holdfast.queues
    where id = $1
      and not ${hasLimits('queues')}
  )`

const limitsOfQueue = sql`
  q as materialized (
    select id, max_leased, rate, max_leased_per_group, rate_per_group
    from holdfast.queues
    where id = $1
  ), ${limiting('(select sum(n) from unnest($5::integer[]) as n)', '0')}`

// The followers of a line are the next ones by place, up to one that is delayed. Those of an ask come
// one of each line in turn. A follower shares the lease of its head: its end, its worker, its key.
const headsOfAsks = sql`
  heads as materialized (
    select
      h.n,
      h.ask,
      m.id,
      m.line,
      m.place,
      m.lease_id,
      m.leased_until,
      l.holders[array_position(l.message_ids, m.id)] as holder
    from unnest($2::bigint[], $3::bigint[], $4::integer[]) with ordinality as h (id, fence, ask, n)
    cross join lateral (
      select *
      from holdfast.messages
      where queue_id = $1
        and id = h.id
        and fence = h.fence
        and line is not null
        and leased_until > statement_timestamp()
      limit 1
    ) m
    cross join lateral (
      select message_ids, holders
      from holdfast.leases
      where id = m.lease_id
      limit 1
    ) l
  )`

const followersOfHeads = (ofLineMax: string) => sql`
  ${headsOfAsks}, next as materialized (
    select
      f.id,
      f.round,
      f.bytes,
      h.n,
      h.ask,
      h.lease_id,
      h.leased_until,
      h.holder,
      row_number() over (partition by h.ask order by f.round, h.n) as taken
    from heads h
    cross join lateral (
      select
        m.id,
        ${answerBytes} as bytes,
        row_number() over (order by m.place) as round,
        bool_or(m.visible_at is not null) over (order by m.place) as blocked
      from (
        select *
        from holdfast.messages
        where queue_id = $1
          and line = h.line
          and place > h.place
          and position is null
          and dead_at is null
          and (expires_at is null or expires_at > statement_timestamp())
        order by place
        limit ${ofLineMax}
      ) m
    ) f
    where not f.blocked
  )`

const wantedByAsk = '($5::integer[])[h.ask]'
const wantedInRoom = sql`
  (
    select greatest(
      0,
      least(
        ${wantedByAsk},
        ${roomOfLine('q', 'h.line', '1')}
      )
    )::bigint
    from q
  )`

const limitedFollowers = sql`
  ${limitsOfQueue}, ${followersOfHeads(wantedInRoom)}`

const charged = sql`
  charged_lines as materialized (
    select holdfast.charge_lines($1, array_agg(line), array_agg(count)) as due_at
    from (select line, count(*) as count from leased group by line) c
  )`

/** Of the followers, those that the asks want, as far as their bytes and the condition allow. */
const choosing = (condition: string) => sql`
  chosen as materialized (
    select *
    from (
      select
        *,
        sum(bytes) over (order by round, n) as bytes_so_far,
        row_number() over (order by round, n) as number
      from next
      where taken <= ($5::integer[])[ask]
    ) c
    where bytes_so_far <= $6
      and ${condition}
  )`

const leasingChosen = sql`
  leased as (
    update holdfast.messages m
    set
      fence = m.fence + 1,
      attempt = m.attempt + 1,
      lease_id = c.lease_id,
      leased_until = c.leased_until,
      unique_key = ${uniqueKeyOfLeased},
      counted = null
    from chosen c
    where m.queue_id = $1
      and m.id = any(array(select id from chosen))
      and m.id = c.id
      and m.position is null
      and m.dead_at is null
      and m.leased_until is null
    returning m.*, c.ask - 1 as ask, c.round, c.n, c.holder
  ), counted as (
    update holdfast.lines l
    set followers = c.count
    from (select line, count(*) as count from leased group by line) c
    where l.queue_id = $1
      and l.line = any(array(select line from leased))
      and l.line = c.line
  ), entered as (
    update holdfast.leases l
    set
      message_ids = l.message_ids || e.ids,
      fences = l.fences || e.fences,
      holders = l.holders || e.holders
    from (
      select
        lease_id,
        array_agg(id order by round, n) as ids,
        array_agg(fence order by round, n) as fences,
        array_agg(holder order by round, n) as holders
      from leased
      group by lease_id
    ) e
    where l.id = any(array(select lease_id from leased))
      and l.id = e.lease_id
  ), noted as (
    ${noteLeased}
  )`

/** `from` joins what `dueAtMs` is read from. */
const followersAnswer = (dueAtMs: string, from = '') => sql`
  select
    ${leasedColumns},
    m.position,
    m.ask,
    ${dueAtMs} as "dueAtMs"
  from leased m
  cross join lateral (
    select max_attempts
    from holdfast.queues
    where id = $1
    limit 1
  ) q
  ${lastFailureAbove(1)}
  ${from}
  order by m.round, m.n`

const parameters = [
  '$1 queue id · of each head: $2 message id · $3 fence · $4 its ask',
  '$5 of each ask: messages wanted · $6 bytes allowed'
].join('\n')

export const followersStatement: Statement<Follower> = {
  name: 'lease_followers',
  parameters,
  text: sql`
    with ${followersOfHeads(wantedByAsk)}, ${choosing(hasNoLimits)}, ${leasingChosen}
    ${followersAnswer('null')}`
}

const isInRoom = `number <= ${inRoom}`

export const limitedFollowersStatement: Statement<Follower> = {
  name: 'lease_limited_followers',
  parameters,
  text: sql`
    with ${limitedFollowers}, ${choosing(isInRoom)}, ${leasingChosen}, ${charging}, ${charged}
    ${followersAnswer('extract(epoch from c.due_at)::float8 * 1000', 'cross join charged_lines c')}`
}

export const lockLimitsStatement: Statement = {
  name: 'lock_limits',
  parameters: '$1 queue id',
  text: sql`
    select
    from holdfast.limits
    where queue_id = $1
    for update`
}

/** Locks the limits of a queue. A lease locks them before it locks lines, so who takes both does too. */
async function lockLimits(session: Session, queueId: Digits): Promise<void> {
  await session.query(lockLimitsStatement, [queueId])
}

/** Locks the lines of messages. A statement after it sees what others had done to these lines. */
async function lockLinesOf(session: Session, queueId: Digits, ids: Digits[]): Promise<void> {
  await session.query(lockLinesStatement, [queueId, ids])
}

/**
 * Leases the messages that come next in the lines of these heads. The lines are locked. A head that
 * is no longer leased under its fence has none.
 */
async function leaseFollowers(
  session: Session,
  queueId: Digits,
  { heads, wanted, bytesMax, limited }: FollowersWanted
): Promise<Follower[]> {
  return await session.query(limited ? limitedFollowersStatement : followersStatement, [
    queueId,
    heads.map(({ id }) => id),
    heads.map(({ fence }) => fence),
    heads.map(({ ask }) => ask + 1),
    wanted,
    bytesMax
  ])
}

export const followerVerbs = { lockLimits, lockLinesOf, leaseFollowers }
