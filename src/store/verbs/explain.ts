/** Where a message stands, and how many come before it. */
import { aheadMax } from '../../core/limits.ts'
import type { Circumstances, Digits } from '../../core/message.ts'
import { inReadyIndex, lastFailureAbove, openState, originOf, workerOf } from '../fragments.ts'
import { unfolded } from '../ledger.ts'
import { countedOfLine, nextTokenAt, withLimits } from '../leaseLimits.ts'
import { sql, type Session, type Statement } from '../statement.ts'

type CircumstancesRow = Circumstances & { rank: number; position: Digits | null; takesTurns: boolean }

// Which message of its line stands in front of a parked one. Dead ones keep their places, so a
// bounded number is examined.
const blocker = sql`
  left join lateral (
    select json_build_object('id', ahead.id::text, 'state', ahead.state) as blocker
    from (
      select
        l.id,
        l.place,
        holdfast.state_of(l.visible_at, l.leased_until, l.dead_at) as state
      from holdfast.messages l
      where l.queue_id = $1
        and l.line = m.line
        and l.place < m.place
      order by l.place
      limit ${aheadMax}
    ) ahead
    where ahead.state <> 'dead'
    order by ahead.place
    limit 1
  ) b on m.position is null
    and m.leased_until is null
    and m.dead_at is null
    and m.turn_rank is null`

export const circumstancesStatement: Statement<CircumstancesRow> = {
  name: 'explain',
  parameters: '$1 queue id · $2 message id',
  text: sql`
    select
      case
        when k.id is null then ${openState}
        else 'acked'
      end as state,
      q.paused,
      m.attempt,
      coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
      m.visible_at as "visibleAt",
      m.leased_until as "leasedUntil",
      m.dead_at as "deadAt",
      q.dead_letter_queue as "deadLetterQueue",
      ${originOf} as origin,
      f.last_failure as "lastFailure",
      q.max_leased as "maxLeased",
      (c.leased + t.leased)::float8 as leased,
      ${nextTokenAt('q', 'l')} as "nextTokenAt",
      case when m.turn_rank is not null then q.max_leased_per_group end as "maxLeasedPerGroup",
      case
        when m.turn_rank is not null and q.max_leased_per_group is not null
        then ${countedOfLine('q', 'm.line')}
        else 0
      end::float8 as "leasedOfGroup",
      case when m.position is null then r.due_at end as "groupDueAt",
      k.acked_at as "ackedAt",
      k.keep_until as "keepUntil",
      m.rank,
      m.position,
      m.turn_rank is not null as "takesTurns",
      b.blocker,
      (
        select asked_at
        from holdfast.asked
        where queue_id = $1
      ) as "askedAt",
      (
        select ${workerOf('m.id')}
        from holdfast.leases l
        where l.id = m.lease_id
      ) as worker
    from (select * from holdfast.queues where id = $1) q
    left join lateral (
      select *
      from holdfast.messages
      where queue_id = $1
        and id = $2
      limit 1
    ) m on true
    left join lateral (
      select *
      from holdfast.acked
      where queue_id = $1
        and id = $2
      limit 1
    ) k on true
    join holdfast.counts c on c.queue_id = $1
    ${unfolded(['leased'], '$1')}
    ${withLimits('$1')}
    left join lateral (
      select due_at
      from holdfast.line_rates
      where queue_id = $1
        and line = m.line
        and due_at > clock_timestamp()
      limit 1
    ) r on true
    ${blocker}
    ${lastFailureAbove(0)}
    where coalesce(m.id, k.id) is not null`
}

// In the order in which leases take them. Leased ones stay in that index and are walked over, so
// they count against the bound too.
export const aheadStatement: Statement<{ ready: string; examined: string }> = {
  name: 'ahead',
  parameters: '$1 queue id · $2 rank of the message · $3 its position',
  text: sql`
    select
      count(*) filter (where leased_until is null) as ready,
      count(*) as examined
    from (
      (
        select m.leased_until
        from holdfast.messages m
        where m.queue_id = $1
          and m.rank > $2
          and ${inReadyIndex('m.')}
        order by m.rank desc, m.position desc
        limit ${aheadMax}
      )
      union all
      (
        select m.leased_until
        from holdfast.messages m
        where m.queue_id = $1
          and m.rank = $2
          and m.position < $3
          and ${inReadyIndex('m.')}
        order by m.position desc
        limit ${aheadMax}
      )
      limit ${aheadMax}
    ) before`
}

// Whether another ready message of its group goes before a parked one.
export const behindStatement: Statement = {
  name: 'explain_turn',
  parameters: '$1 queue id · $2 message id',
  text: sql`
    select
    from holdfast.messages m
    cross join lateral (
      select
      from holdfast.messages o
      where o.queue_id = $1
        and o.line = m.line
        and o.turn_rank is not null
        and o.visible_at is null
        and o.leased_until is null
        and o.dead_at is null
        and (
          o.position is not null
          or o.turn_rank > m.turn_rank
          or o.turn_rank = m.turn_rank and o.place < m.place
        )
      limit 1
    ) before
    where m.queue_id = $1
      and m.id = $2`
}

/**
 * Where one message stands, and of a ready one how many ready ones come before it. `all` is false
 * when counting stopped at `aheadMax` messages examined. null when there is no such message.
 */
export async function circumstancesOf(
  session: Session,
  queueId: Digits,
  id: Digits
): Promise<{ message: Circumstances; ahead: { count: number; all: boolean } | null } | null> {
  const [message] = await session.query(circumstancesStatement, [queueId, id])
  if (message === undefined) return null
  const { state, position, takesTurns } = message
  const mayStandBehind = state === 'ready' && position === null && takesTurns
  message.turn = mayStandBehind && (await session.query(behindStatement, [queueId, id])).length > 0
  if (state !== 'ready' || position === null) return { message, ahead: null }
  const [before] = await session.query(aheadStatement, [queueId, message.rank, message.position])
  return {
    message,
    ahead: { count: Number(before!.ready), all: Number(before!.examined) < aheadMax }
  }
}

export const explainVerbs = { circumstancesOf }
