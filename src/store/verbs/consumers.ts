/** Who consumes a queue: the workers that recent leases and attempts name. */
import {
  consumerAttemptsMax,
  consumerHistoryMax,
  consumerLeaseRowsMax,
  consumerSeconds,
  consumersMax
} from '../../core/limits.ts'
import type { Digits } from '../../core/message.ts'
import type { Consumer, ConsumersFound } from '../../core/ports.ts'
import { isFailure } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'

type ConsumersRow = Omit<ConsumersFound, 'consumers'> & { consumers: Consumer[] | null }

// A lease is held while its message still has its fence. It examines a bounded number of rows of
// leases, of any queue, the newest first, because no index holds their queue.
const attempts = sql`
  select
    r.leased_at,
    r.workers[a.holder] as worker,
    a.id,
    a.fence
  from (
    select
      l.*,
      sum(cardinality(message_ids)) over (order by id desc) as messages
    from (
      select *
      from holdfast.leases
      order by id desc
      limit ${consumerLeaseRowsMax}
    ) l
    where queue_id = $1
  ) r
  cross join unnest(r.message_ids, r.fences, r.holders) as a (id, fence, holder)
  where r.messages - cardinality(r.message_ids) < ${consumerAttemptsMax}`

/** What each attempt says of its worker. */
const signs = sql`
  select
    a.worker,
    a.leased_at,
    m.leased_until,
    k.acked_at,
    null::timestamptz as failed_at
  from attempts a
  left join lateral (
    select leased_until
    from holdfast.messages
    where queue_id = $1
      and id = a.id
      and fence = a.fence
    limit 1
  ) m on true
  left join lateral (
    select acked_at
    from holdfast.acked
    where queue_id = $1
      and id = a.id
      and fence = a.fence
    limit 1
  ) k on true
  union all
  select
    h.worker,
    h.leased_at,
    null,
    null,
    case when ${isFailure} then h.ended_at end
  from (
    select *
    from holdfast.history
    where queue_id = $1
    order by message_id desc, fence desc
    limit ${consumerHistoryMax}
  ) h
  where h.ended_at > statement_timestamp() - interval '${consumerSeconds} seconds'`

export const consumersStatement: Statement<ConsumersRow> = {
  name: 'consumers',
  parameters: '$1 queue id',
  slow: true,
  text: sql`
    with attempts as materialized (
      ${attempts}
    ), signs as materialized (
      ${signs}
    ), consumers as materialized (
      select
        worker,
        count(leased_until) as leases,
        min(leased_at) filter (where leased_until is not null) as oldest_lease_at,
        min(leased_until) as next_end_at,
        max(leased_at) as last_leased_at,
        max(acked_at) as last_acked_at,
        max(failed_at) as last_failed_at
      from signs
      where worker is not null
      group by worker
      order by
        count(leased_until) desc,
        greatest(max(leased_at), max(acked_at), max(failed_at)) desc,
        worker
      limit ${consumersMax + 1}
    )
    select
      (
        select json_agg(
          json_build_object(
            'worker', worker,
            'leases', leases,
            'oldestLeaseAt', holdfast.rfc3339(oldest_lease_at),
            'nextEndAt', holdfast.rfc3339(next_end_at),
            'lastLeasedAt', holdfast.rfc3339(last_leased_at),
            'lastAckedAt', holdfast.rfc3339(last_acked_at),
            'lastFailedAt', holdfast.rfc3339(last_failed_at)
          )
          order by
            leases desc,
            greatest(last_leased_at, last_acked_at, last_failed_at) desc,
            worker
        )
        from consumers
      ) as consumers,
      (
        select count(*) = ${consumerLeaseRowsMax}
        from (
          select
          from holdfast.leases
          order by id desc
          limit ${consumerLeaseRowsMax}
        ) l
      ) or (select count(*) >= ${consumerAttemptsMax} from attempts) as more,
      q.keep_acked_seconds > 0 as "keepsAcked",
      (
        select asked_at
        from holdfast.asked
        where queue_id = $1
      ) as "askedAt"
    from holdfast.queues q
    where q.id = $1`
}

/** Who consumes the queue. null: the queue is gone. */
async function findConsumers(session: Session, queueId: Digits): Promise<ConsumersFound | null> {
  const [row] = await session.query(consumersStatement, [queueId])
  if (row === undefined) return null
  const consumers = row.consumers ?? []
  return {
    ...row,
    consumers: consumers.slice(0, consumersMax),
    more: row.more || consumers.length > consumersMax
  }
}

export const consumerVerbs = { findConsumers }
