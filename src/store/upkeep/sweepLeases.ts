/** Leases that have ended. What sweeps.ts says of its statements holds for this one too. */
import { buried, endedBy, historyInsert, newPosition, placesOfRows } from '../fragments.ts'
import { ledgerInsert } from '../ledger.ts'
import { freeLinesOfQueues, lineColumnsOf, lineIsFree } from '../lines.ts'
import { rankAsReturned } from '../rank.ts'
import { sql, type Statement } from '../statement.ts'
import { carefulAfter, dueInTurns, othersAfter, type SweptQueue } from './sweeps.ts'

/** Rows of leases in one statement. A row holds one message, or as many as a flush leases. */
export const leaseRowsMax = 500
/** Leases in one statement, unless a single row holds more. Other queues wait meanwhile. */
const leasesMax = 4000

/** CTEs that take the leases of `due` away. */
const lapsing = sql`
  open as materialized (
    select
      due.id as lease_id,
      due.leased_at,
      due.workers[t.holder] as worker,
      due.queue_id,
      t.id,
      t.fence,
      m.attempt,
      m.leased_until,
      m.line
    from due
    cross join unnest(due.message_ids, due.fences, due.holders) as t (id, fence, holder)
    cross join lateral (
      select attempt, leased_until, line
      from holdfast.messages
      where queue_id = due.queue_id
        and id = t.id
        and fence = t.fence
        and leased_until is not null
      limit 1
    ) m
  ), locked as materialized (
    select open.id, open.leased_until, m.place
    from open
    cross join lateral (
      select ctid as place
      from holdfast.messages
      where queue_id = open.queue_id
        and id = open.id
        and leased_until <= statement_timestamp()
      limit 1
      for no key update skip locked
    ) m
    where ${lineIsFree('open.queue_id', 'open.line', '$2')}
  ), ${placesOfRows('locked', 'leased_until, id', 'l')}, lapsed as (
    update holdfast.messages m
    set
      leased_until = null,
      lease_id = null,
      ${rankAsReturned},
      position = case
        when m.line is null then ${newPosition}
      end,
      place = case
        when m.turn_rank is not null then ${newPosition}
        else m.place
      end,
      ready_at = m.leased_until,
      dead_at = case
        when m.attempt >= coalesce(
          m.max_attempts,
          (select max_attempts from holdfast.queues where id = m.queue_id)
        ) then statement_timestamp()
      end
    from places
    where m.ctid = any((select places from places)::tid[])
    returning
      m.id,
      ${lineColumnsOf('m.counted is true')},
      m.line is not null as stood,
      m.dead_at is not null as died
  ), recorded as (
    ${historyInsert(
      {
        leased_at: 'o.leased_at',
        ended_at: 'o.leased_until',
        message_id: 'o.id',
        fence: 'o.fence',
        queue_id: 'o.queue_id',
        attempt: 'o.attempt',
        outcome: endedBy('expired'),
        worker: 'o.worker',
        reason: "'lease expired'"
      },
      sql`
        from open o
        where (o.id in (select id from lapsed)) is true`
    )}
    returning 1
  ), noted as (
    ${ledgerInsert({
      queue: 'queue_id',
      from: 'lapsed',
      states: {
        ready: 'count(*) filter (where not died)',
        leased: '-count(*)',
        dead: 'count(*) filter (where died)'
      },
      totals: { lapsed: 'count(*)', dead: 'count(*) filter (where died)' }
    })}
  ), rest as materialized (
    select o.lease_id, min(o.leased_until) as ends_at
    from open o
    where (o.id in (select id from lapsed)) is false
    group by o.lease_id
  ), moved as (
    update holdfast.leases l
    set ends_at = greatest(rest.ends_at, statement_timestamp() + interval '250 ms')
    from rest
    where l.id = any(array(select lease_id from rest))
      and l.id = rest.lease_id
  ), swept as (
    delete from holdfast.leases
    where id = any(array(
      select id
      from due
      where not exists (select from rest where rest.lease_id = due.id)
    ))
  ), ${buried({ queue: 'queue_id', died: 'lapsed', condition: 'died' })}`

/** Joins what became ready, and how many leases ended. */
const ended = sql`
  left join (
    select
      queue_id,
      count(*) filter (where not died) as ready,
      min(position) filter (where not died) as position,
      null::bigint as freed
    from lapsed
    where not stood
    group by queue_id
    union all
    select *, null
    from (
      ${freeLinesOfQueues('lapsed')}
    ) f
    union all
    select target_id, ready, lowest, null
    from buried
    where lowest is not null
    union all
    select *
    from (select queue_id, null::bigint, null::bigint, count(*) from lapsed group by queue_id) e
    where (select max_leased from holdfast.queues where id = e.queue_id) is not null
  ) l on true`

/**
 * Takes leases away that have ended. A lease counts only while its fence is still the message's. A row
 * of leases goes when none of its leases is open. Otherwise it moves to the end of the next one.
 */
const sweeping = (
  name: string,
  parameters: string,
  seen: string,
  order: string,
  found: string
): Statement<SweptQueue> => ({
  name,
  parameters,
  text: sql`
    with ${seen}, due as materialized (
      select *
      from (
        select
          seen.*,
          sum(cardinality(message_ids)) over in_turn as messages,
          row_number() over in_turn as n
        from seen
        window in_turn as (order by ${order})
      ) s
      where n = 1
        or messages <= ${leasesMax}
    ), ${lapsing}
    select
      case
        when due.n < (select count(*) from seen) then ${leaseRowsMax}
        else (select count(*) from ${found})
      end as taken,
      statement_timestamp()::text as began_at,
      due.late_ms,
      l.*
    from (
      select
        count(*) as n,
        extract(epoch from statement_timestamp() - min(ends_at)) * 1000 as late_ms
      from due
    ) due
    ${ended}`
})

export const sweepLeases = sweeping(
  'sweep_leases',
  carefulAfter,
  sql`
    seen as materialized (
      select l.*
      from holdfast.leases l
      where l.ends_at <= statement_timestamp()
        and l.ends_at > $1
      order by l.ends_at
      limit ${leaseRowsMax}
      for update skip locked
    )`,
  'ends_at, id',
  'seen'
)

/** The same for all queues but one, which have turns. */
export const sweepOtherLeases = sweeping(
  'sweep_other_leases',
  othersAfter,
  sql`
    ${dueInTurns('holdfast.leases', 'ends_at', leaseRowsMax)}, seen as materialized (
      select l.*, turns.turn
      from turns
      cross join lateral (
        select *
        from holdfast.leases
        where ctid = turns.place
          and ends_at <= statement_timestamp()
        limit 1
        for update skip locked
      ) l
    )`,
  'turn, ends_at, id',
  'turns'
)
