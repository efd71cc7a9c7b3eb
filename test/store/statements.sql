-- Every statement of src/store that is composed of fragments, whole as PostgreSQL gets it.
-- Generated; test/store/statements.test.ts compares it with the source. To write it anew:
--   HOLDFAST_TEST_WRITE=1 npm test -- test/store/statements.test.ts

-- ack
-- $1 queue id · $2 message ids · $3 fences
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
)
select
  id,
  fence,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from done
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from done;

-- ack_and_lease
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
-- of each ack: $9 message id · $10 fence
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($9::bigint[])
    and m.fence = ($10::bigint[])[width_bucket(m.id, $9::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
), q as materialized (
  select id, lease_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and not paused
    and not (
      queues.max_leased is not null
        or queues.rate is not null
        or queues.max_leased_per_group is not null
        or queues.rate_per_group is not null
    )
    and (select count(*) from done) >= 0
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit $4
    for no key update skip locked
  ) m
  limit $4
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    nextval('holdfast.lease_ids') as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows,
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = null
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    m.turn_rank is not null as stood,
    false as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    lease.rows,
    min(l.leased_until),
    lease.at,
    $1,
    array_agg(l.id),
    array_agg(l.fence),
    $8::text[],
    array_agg(l.holder),
    null
  from leased l, lease
  group by lease.rows, lease.at
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'hasLimits', case
      when q.id is null then exists (
        select
        from holdfast.queues
        where id = $1
          and (
            queues.max_leased is not null
              or queues.rate is not null
              or queues.max_leased_per_group is not null
              or queues.rate_per_group is not null
          )
      )
      else false
    end,
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', null,
    'acked', (select string_agg(id || '.' || fence, ',') from done),
    'freed', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from done
      where stood
        or was_counted
      having count(*) > 0
    ),
    'turned', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- ack_and_lease_keyed
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
-- of each ack: $9 message id · $10 fence
-- of each message wanted: $11 its row of leases, by number in $12
-- of each row of leases: $12 key · $13 worker
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($9::bigint[])
    and m.fence = ($10::bigint[])[width_bucket(m.id, $9::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
), q as materialized (
  select id, lease_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and not paused
    and not (
      queues.max_leased is not null
        or queues.rate is not null
        or queues.max_leased_per_group is not null
        or queues.rate_per_group is not null
    )
    and (select count(*) from done) >= 0
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit $4
    for no key update skip locked
  ) m
  limit $4
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    (
      select array_agg(nextval('holdfast.lease_ids'))
      from generate_series(1, cardinality($12::text[]))
    ) as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows[($11::smallint[])[places.ns[width_bucket(m.id, places.ids)]]],
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = null
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    m.turn_rank is not null as stood,
    false as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    l.id,
    l.ends_at,
    lease.at,
    $1,
    l.ids,
    l.fences,
    case part when 1 then $8::text[] else array[($13::text[])[part]] end,
    l.holders,
    ($12::text[])[part] as key
  from (
    select
      lease_id as id,
      min(leased_until) as ends_at,
      array_agg(id) as ids,
      array_agg(fence) as fences,
      array_agg(holder) as holders
    from leased
    group by lease_id
  ) l, lease, lateral array_position(lease.rows, l.id) as part
  order by key
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'hasLimits', case
      when q.id is null then exists (
        select
        from holdfast.queues
        where id = $1
          and (
            queues.max_leased is not null
              or queues.rate is not null
              or queues.max_leased_per_group is not null
              or queues.rate_per_group is not null
          )
      )
      else false
    end,
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', (
      select array_agg(idempotency_key)
      from holdfast.leases
      where queue_id = $1
        and idempotency_key = any($12::text[])
    ),
    'acked', (select string_agg(id || '.' || fence, ',') from done),
    'freed', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from done
      where stood
        or was_counted
      having count(*) > 0
    ),
    'turned', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- ack_with_next
-- $1 queue id · $2 message ids · $3 fences · $4 results
-- $5 the queues of next messages, each once
-- of each next message: $6 the message that it follows · $7 queue id · $8 priority
-- $9 body kept as text · $10 all else, as JSON
with plain as materialized (
  select count(*) = cardinality($5::integer[]) as all_are
  from unnest($5::integer[]) as id
  where (id in (
    select q.id
    from holdfast.queues q
    where q.id = any($5::integer[])
      and not ((q.ordering <> 'none' or q.takes_turns))
  )) is true
), keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
    and (select all_are from plain)
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin,
    result
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    ($4::text[])[width_bucket(m.id, $2::bigint[])]
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
), answered as materialized (
  select
    (select string_agg(id || '.' || fence, ' ') from done) as acked,
    (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from done
      where stood
        or was_counted
      having count(*) > 0
    ) as freed
), stored as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    i.priority * 2 as rank,
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
      when coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      ) > statement_timestamp() then coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      )
    end as visible_at,
    i.rest->'marks' as marks
  from unnest($6::bigint[], $7::integer[], $8::smallint[], $9::text[], $10::jsonb[])
    with ordinality as i (follows, queue_id, priority, body, rest, n)
  where (i.follows in (select id from done)) is true
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    id,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stored
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select
  acked,
  freed,
  (select string_agg(n || ' ' || id, ' ') from stored) as stored,
  holdfast.run_again_if_gone($5::integer[]) as checked
from plain
cross join answered
where all_are;

-- acked_message
-- $1 queue id · $2 message id
select
  m.id,
  'acked' as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  m.rank >> 1 as priority,
  m.attempt,
  m.max_attempts as "maxAttempts",
  m.enqueued_at as "enqueuedAt",
  null::timestamptz as "visibleAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.result,
  null::json as unique,
  null::json as lease,
  (
    select coalesce(
      json_agg(
        json_build_object(
          'queue', coalesce(h.queue, q.name),
          'attempt', h.attempt,
          'worker', h.worker,
          'leasedAt', holdfast.rfc3339(h.leased_at),
          'endedAt', holdfast.rfc3339(h.ended_at),
          'outcome', h.outcome,
          'reason', h.reason
        )
        order by h.fence
      ),
      '[]'
    )
    from (
      select *
      from (
        select
          *,
          sum(octet_length(reason)) over (order by fence desc) as reason_bytes
        from holdfast.history
        where queue_id = $1
        and message_id = $2
        order by fence desc
        limit 1000
      ) recent
      where coalesce(reason_bytes, 0) <= 262144
    ) h
  ) as history,
  null as "movedTo"
from holdfast.acked m
join holdfast.queues q on q.id = $1
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 0
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where m.queue_id = $1
  and m.id = $2;

-- add_limits
-- $1 name
insert into holdfast.limits (queue_id)
select id
from holdfast.queues
where name = $1
  and (
    queues.max_leased is not null
      or queues.rate is not null
      or queues.max_leased_per_group is not null
      or queues.rate_per_group is not null
  )
on conflict (queue_id) do nothing;

-- ahead
-- $1 queue id · $2 rank of the message · $3 its position
select
  count(*) filter (where leased_until is null) as ready,
  count(*) as examined
from (
  (
    select m.leased_until
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank > $2
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
    order by m.rank desc, m.position desc
    limit 10000
  )
  union all
  (
    select m.leased_until
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = $2
      and m.position < $3
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
    order by m.position desc
    limit 10000
  )
  limit 10000
) before;

-- all_pushes
select
  p.queue_id as "queueId",
  p.url,
  p.max_concurrent as "maxConcurrent",
  p.timeout_seconds as "timeoutSeconds",
  p.headers,
  p.key_id as "keyId",
  p.old_key_id as "oldKeyId",
  p.old_key_until as "oldKeyUntil",
  p.caller_id as "callerId",
  p.created_at as "createdAt",
  p.updated_at as "updatedAt",
  q.name as queue
from holdfast.pushes p
cross join lateral (
  select name
  from holdfast.queues
  where id = p.queue_id
  limit 1
) q;

-- browse
-- $1 queue id · $2 message ids · $3 state, null: any · $4 bytes allowed
with picked as materialized (
  select
    m.id,
    case
      when m.body is null then octet_length(m.body_bytes)
        * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
      when m.content_type is null then octet_length(m.body)
      else octet_length(to_json(m.body)::text)
    end
    + coalesce(octet_length(m.headers::text), 0)
    + coalesce(octet_length(m.origin::text), 0)
    + coalesce(octet_length(m.marks::text), 0)
    + 600 as bytes
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and ($3::text is null or holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = $3)
), fitting as materialized (
  select id
  from (
    select
      id,
      row_number() over (order by id) as n,
      sum(bytes) over (order by id) as bytes
    from picked
  ) p
  where n = 1
    or bytes <= $4
)
select
  m.id,
  holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.enqueued_at as "enqueuedAt",
  m.visible_at as "visibleAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  (select count(*) from picked) > (select count(*) from fitting) as cut
from holdfast.messages m
left join holdfast.queues q on q.id = $1
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 0
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where m.queue_id = $1
  and m.id = any(array(select id from fitting))
order by m.id;

-- browse_acked
-- $1 queue id · $2 message ids · $3 state, null: any · $4 bytes allowed
with picked as materialized (
  select
    m.id,
    case
      when m.body is null then octet_length(m.body_bytes)
        * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
      when m.content_type is null then octet_length(m.body)
      else octet_length(to_json(m.body)::text)
    end
    + coalesce(octet_length(m.headers::text), 0)
    + coalesce(octet_length(m.origin::text), 0)
    + coalesce(octet_length(m.marks::text), 0)
    + 600 as bytes
  from holdfast.acked m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and ($3::text is null or 'acked' = $3)
), fitting as materialized (
  select id
  from (
    select
      id,
      row_number() over (order by id) as n,
      sum(bytes) over (order by id) as bytes
    from picked
  ) p
  where n = 1
    or bytes <= $4
)
select
  m.id,
  'acked' as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  m.rank >> 1 as priority,
  m.attempt,
  m.max_attempts as "maxAttempts",
  m.enqueued_at as "enqueuedAt",
  null::timestamptz as "visibleAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  (select count(*) from picked) > (select count(*) from fitting) as cut
from holdfast.acked m
left join holdfast.queues q on q.id = $1
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 0
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where m.queue_id = $1
  and m.id = any(array(select id from fitting))
order by m.id;

-- cancel
-- $1 queue id · $2 message id
with found as materialized (
  select
    m.id,
    m.leased_until is not null as leased,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = $2
  for update
), gone as (
  delete from holdfast.messages m
  using found
  where not found.leased
    and m.queue_id = $1
    and m.id = $2
  returning
    found.state,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history h
  using gone
  where h.queue_id = $1
    and h.message_id = $2
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, dead, purged_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from gone
  having count(*) > 0
)
select
  leased,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from gone
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from found;

-- cancel_acked
-- $1 queue id · $2 message id
with gone as (
  delete from holdfast.acked
  where queue_id = $1
    and id = $2
  returning id
), forgotten as (
  delete from holdfast.history h
  using gone
  where h.queue_id = $1
    and h.message_id = $2
), noted as (
  insert into holdfast.ledger (queue_id, acked)
  select
    $1,
    -count(*)
  from gone
  having count(*) > 0
)
select id
from gone;

-- change_queue
-- $1 name · $2 change, as JSON
update holdfast.queues q
set
  lease_seconds = coalesce(
    (c.new #>> '{leaseSeconds}')::float8,
    q.lease_seconds
  ),
  max_attempts = case
    when c.new ? 'maxAttempts' then (c.new #>> '{maxAttempts}')::integer
    else q.max_attempts
  end,
  retry_strategy = coalesce(
    (c.new #>> '{retry,strategy}')::text,
    q.retry_strategy
  ),
  retry_delay_seconds = coalesce(
    (c.new #>> '{retry,delaySeconds}')::float8,
    q.retry_delay_seconds
  ),
  retry_max_delay_seconds = coalesce(
    (c.new #>> '{retry,maxDelaySeconds}')::float8,
    q.retry_max_delay_seconds
  ),
  retry_jitter = coalesce(
    (c.new #>> '{retry,jitter}')::boolean,
    q.retry_jitter
  ),
  delay_seconds = coalesce(
    (c.new #>> '{delaySeconds}')::float8,
    q.delay_seconds
  ),
  ttl_seconds = case
    when c.new ? 'ttlSeconds' then (c.new #>> '{ttlSeconds}')::float8
    else q.ttl_seconds
  end,
  wait_seconds = coalesce(
    (c.new #>> '{waitSeconds}')::float8,
    q.wait_seconds
  ),
  retention_seconds = coalesce(
    (c.new #>> '{retentionSeconds}')::float8,
    q.retention_seconds
  ),
  dedup_seconds = coalesce(
    (c.new #>> '{dedupSeconds}')::float8,
    q.dedup_seconds
  ),
  max_depth = case
    when c.new ? 'maxDepth' then (c.new #>> '{maxDepth}')::integer
    else q.max_depth
  end,
  message_bytes_max = coalesce(
    (c.new #>> '{messageBytesMax}')::integer,
    q.message_bytes_max
  ),
  paused = coalesce(
    (c.new #>> '{paused}')::boolean,
    q.paused
  ),
  ordering = coalesce(
    (c.new #>> '{ordering}')::text,
    q.ordering
  ),
  fairness = coalesce(
    (c.new #>> '{fairness}')::text,
    q.fairness
  ),
  max_leased = case
    when c.new ? 'maxLeased' then (c.new #>> '{maxLeased}')::integer
    else q.max_leased
  end,
  max_leased_per_group = case
    when c.new ? 'maxLeasedPerGroup' then (c.new #>> '{maxLeasedPerGroup}')::integer
    else q.max_leased_per_group
  end,
  rate = case
    when c.new ? 'rate' then (c.new #>> '{rate}')::jsonb
    else q.rate
  end,
  rate_per_group = case
    when c.new ? 'ratePerGroup' then (c.new #>> '{ratePerGroup}')::jsonb
    else q.rate_per_group
  end,
  keep_acked_seconds = coalesce(
    (c.new #>> '{keepAckedSeconds}')::float8,
    q.keep_acked_seconds
  ),
  dead_letter_queue = case
    when c.new ? 'deadLetterQueue' then (c.new #>> '{deadLetterQueue}')::text
    else q.dead_letter_queue
  end,
  tags = jsonb_strip_nulls(coalesce(c.new->'tags', q.tags) || coalesce(c.new->'tagChanges', '{}')),
  front = jsonb_strip_nulls(q.front || coalesce(c.new->'front', '{}')),
  updated_at = case when c.new = '{}' then q.updated_at else clock_timestamp() end
from (select $2::jsonb as new) c
where q.name = $1;

-- change_schedule
-- $1 name · $2 queue · $3 cron · $4 timezone · $5 body · $6 headers · $7 priority
-- $8 paused · $9 missed · $10 next time · $11 id of the owner · $12 name of the owner
update holdfast.schedules
set
  queue = $2,
  cron = $3,
  timezone = $4,
  body = $5,
  headers = $6::jsonb,
  priority = $7,
  paused = $8,
  missed = $9,
  next_at = $10,
  owner_id = $11,
  owner_name = $12,
  updated_at = clock_timestamp()
where name = $1
returning
  name,
  queue,
  cron,
  timezone,
  paused,
  missed,
  priority,
  next_at as "nextAt",
  created_at as "createdAt",
  updated_at as "updatedAt",
  last_at,
  last_fired_at,
  last_outcome,
  last_message_id,
  owner_id,
  owner_name,
  body,
  headers;

-- changes_order
-- $1 name · $2 change, as JSON
select
  coalesce($2::jsonb->>'ordering' <> ordering, false) as changes,
  ordering = 'none'
    and max_leased_per_group is null
    and rate_per_group is null
    and ($2::jsonb->>'maxLeasedPerGroup' is not null
    or $2::jsonb->>'ratePerGroup' is not null) as limits
from holdfast.queues
where name = $1;

-- complete
-- $1 queue id · $2 message ids · $3 fences · $4 results
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin,
    result
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    ($4::text[])[width_bucket(m.id, $2::bigint[])]
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
)
select
  id,
  fence,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from done
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from done;

-- consumers
-- $1 queue id
with attempts as materialized (
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
      limit 10000
    ) l
    where queue_id = $1
  ) r
  cross join unnest(r.message_ids, r.fences, r.holders) as a (id, fence, holder)
  where r.messages - cardinality(r.message_ids) < 20000
), signs as materialized (
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
    case when h.outcome in ('failed', 'expired') then h.ended_at end
  from (
    select *
    from holdfast.history
    where queue_id = $1
    order by message_id desc, fence desc
    limit 2000
  ) h
  where h.ended_at > statement_timestamp() - interval '3600 seconds'
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
  limit 201
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
    select count(*) = 10000
    from (
      select
      from holdfast.leases
      order by id desc
      limit 10000
    ) l
  ) or (select count(*) >= 20000 from attempts) as more,
  q.keep_acked_seconds > 0 as "keepsAcked",
  (
    select asked_at
    from holdfast.asked
    where queue_id = $1
  ) as "askedAt"
from holdfast.queues q
where q.id = $1;

-- counts_of
-- $1 queue id
select
  sum(ready) as ready,
  sum(delayed) as delayed,
  sum(leased) as leased,
  sum(dead) as dead,
  sum(acked) as acked
from (
  select ready, delayed, leased, dead, acked
  from holdfast.counts
  where queue_id = $1
  union all
  select ready, delayed, leased, dead, acked
  from holdfast.ledger
  where queue_id = $1
) l;

-- create_auto_queue
-- $1 name · $2 id of a caller
with made as (
  insert into holdfast.queues (name)
  select $1
  where not exists (select from holdfast.queues where name = $1)
  on conflict (name) do nothing
  returning id
), counted as (
  insert into holdfast.counts (queue_id)
  select id
  from made
)
insert into holdfast.auto_queues (queue_id, caller_id)
select id, $2
from made;

-- create_queue
-- $1 name
with made as (
  insert into holdfast.queues (name)
  select $1
  where not exists (select from holdfast.queues where name = $1)
  on conflict (name) do nothing
  returning id
), counted as (
  insert into holdfast.counts (queue_id)
  select id
  from made
)
select id
from made;

-- create_schedule
-- $1 name · $2 queue · $3 cron · $4 timezone · $5 body · $6 headers · $7 priority
-- $8 paused · $9 missed · $10 next time · $11 id of the owner · $12 name of the owner
insert into holdfast.schedules (
  name,
  queue,
  cron,
  timezone,
  body,
  headers,
  priority,
  paused,
  missed,
  next_at,
  owner_id,
  owner_name
)
values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12)
on conflict (name) do nothing
returning
  name,
  queue,
  cron,
  timezone,
  paused,
  missed,
  priority,
  next_at as "nextAt",
  created_at as "createdAt",
  updated_at as "updatedAt",
  last_at,
  last_fired_at,
  last_outcome,
  last_message_id,
  owner_id,
  owner_name,
  body,
  headers;

-- depth
-- $1 queue id
select
  q.max_depth,
  (c.ready + t.ready + c.delayed + t.delayed + c.leased + t.leased) as depth
from holdfast.queues q
cross join lateral (
  select *
  from holdfast.counts
  where queue_id = q.id
  limit 1
) c
cross join lateral (
  select
    coalesce(sum(l.ready), 0) as ready,
    coalesce(sum(l.delayed), 0) as delayed,
    coalesce(sum(l.leased), 0) as leased
  from holdfast.ledger l
  where l.queue_id = q.id
) t
where q.id = $1;

-- depths
-- $1 queue ids
select
  q.id,
  (q.max_depth - (c.ready + t.ready + c.delayed + t.delayed + c.leased + t.leased))::float8 as room
from holdfast.queues q
cross join lateral (
  select *
  from holdfast.counts
  where queue_id = q.id
  limit 1
) c
cross join lateral (
  select
    coalesce(sum(l.ready), 0) as ready,
    coalesce(sum(l.delayed), 0) as delayed,
    coalesce(sum(l.leased), 0) as leased
  from holdfast.ledger l
  where l.queue_id = q.id
) t
where q.id = any($1::integer[])
  and q.max_depth is not null;

-- enqueue
-- $1 queue ids · $2 priorities · $3 bodies kept as text
with stored as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    null::bytea as body_bytes,
    null as content_type,
    null::jsonb as headers,
    i.priority * 2 as rank,
    null::integer as max_attempts,
    statement_timestamp() as enqueued_at,
    null::timestamptz as expires_at,
    null::timestamptz as visible_at,
    null::jsonb as marks
  from unnest($1::integer[], $2::smallint[], $3::text[])
    with ordinality as i (queue_id, priority, body, n)
  where (i.queue_id in (
    select q.id
    from holdfast.queues q
    where q.id = any($1::integer[])
      and not ((q.ordering <> 'none' or q.takes_turns))
  )) is true
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    id,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stored
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select string_agg(n || ' ' || id, ' ') as stored
from stored;

-- enqueue_described
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
with stored as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    i.priority * 2 as rank,
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
      when coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      ) > statement_timestamp() then coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      )
    end as visible_at,
    i.rest->'marks' as marks
  from unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[])
    with ordinality as i (queue_id, priority, body, rest, n)
  where (i.queue_id in (
    select q.id
    from holdfast.queues q
    where q.id = any($1::integer[])
      and not ((q.ordering <> 'none' or q.takes_turns))
  )) is true
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    id,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stored
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select string_agg(n || ' ' || id, ' ') as stored
from stored;

-- enqueue_keyed
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
with candidates as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    i.priority * 2 as rank,
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
      when coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      ) > statement_timestamp() then coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      )
    end as visible_at,
    i.rest->'marks' as marks
  from unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[])
    with ordinality as i (queue_id, priority, body, rest, n)
  where (i.queue_id in (
    select q.id
    from holdfast.queues q
    where q.id = any($1::integer[])
      and not ((q.ordering <> 'none' or q.takes_turns))
  )) is true
), digested as materialized (
  select
    *,
    holdfast.digest_of(
      body,
      body_bytes,
      content_type,
      holdfast.content_headers(headers),
      priority,
      delay_seconds,
      given_visible_at,
      ttl_seconds,
      max_attempts,
      marks
    ) as digest
  from candidates
), claimed as (
  insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
  select queue_id, key, d.id, digest, enqueued_at + make_interval(secs => q.dedup_seconds)
  from digested d
  cross join lateral (
    select dedup_seconds
    from holdfast.queues
    where id = d.queue_id
    limit 1
  ) q
  where key is not null
  order by queue_id, key
  on conflict (queue_id, key) do update set
    message_id = case
      when k.expires_at <= statement_timestamp() then excluded.message_id
      else k.message_id
    end,
    digest = case
      when k.expires_at <= statement_timestamp() then excluded.digest
      else k.digest
    end,
    expires_at = case
      when k.expires_at <= statement_timestamp() then excluded.expires_at
      else k.expires_at
    end
  returning queue_id, key, message_id, digest
), stored as materialized (
  select d.*
  from digested d
  left join claimed c on c.queue_id = d.queue_id and c.key = d.key
  where d.key is null
    or c.message_id = d.id
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    id,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stored
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select
  d.n,
  coalesce(c.message_id, d.id) as id,
  coalesce(c.message_id <> d.id, false) as duplicate,
  case
    when c.digest <> d.digest then not holdfast.digest_fits(
      c.digest,
      d.body,
      d.body_bytes,
      d.content_type,
      d.headers,
      d.priority,
      d.delay_seconds,
      d.given_visible_at,
      d.ttl_seconds,
      d.max_attempts,
      d.marks,
      d.queue_delay_seconds
    )
    else false
  end as mismatch,
  d.id as position
from digested d
left join claimed c on c.queue_id = d.queue_id and c.key = d.key;

-- enqueue_lined
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
with stored as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    i.priority * 2 as rank,
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
      when coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      ) > statement_timestamp() then coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      )
    end as visible_at,
    i.rest->'marks' as marks,
    case
      when q.ordering = 'group' then i.rest->'marks'->>'group'
      when q.ordering = 'queue' then ''
      when q.takes_turns then coalesce(i.rest->'marks'->>'group', '')
    end as line,
    case
      when q.takes_turns then i.priority * 2
    end as turn_rank
  from unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[])
    with ordinality as i (queue_id, priority, body, rest, n)
  cross join lateral (
    select ordering, takes_turns
    from holdfast.queues
    where id = i.queue_id
    limit 1
  ) q
), lines as materialized (
  insert into holdfast.lines (queue_id, line)
  select distinct queue_id, line
  from stored
  where line is not null
    and turn_rank is null
  order by queue_id, line
  on conflict (queue_id, line) do update set followers = 0 where false
  returning queue_id, line
), placed as materialized (
  select
    s.*,
    case
      when s.line is not null then nextval('holdfast.positions')
    end as place
  from (select count(*) from lines) locked
  cross join (select * from stored order by n) s
), stood as materialized (
  select
    p.*,
    case
      when p.line is null then p.id
      when p.turn_rank is not null then null
      when l.line is not null
        and row_number() over (partition by p.queue_id, p.line order by p.n) = 1 then p.place
    end as position
  from placed p
  left join lines l on l.queue_id = p.queue_id and l.line = p.line
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    line,
    place,
    turn_rank,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    position,
    line,
    place,
    turn_rank,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    case when turn_rank is null then rank else 8 end,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stood
  returning queue_id, line, place, turn_rank, visible_at
), turns as materialized (
  select
    k.queue_id,
    t.position
  from (
    select queue_id, array_agg(line order by place) as lines
    from (
      select queue_id, line, min(place) as place
      from inserted
      where turn_rank is not null
        and visible_at is null
      group by queue_id, line
    ) l
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.take_turns(k.queue_id, k.lines) t
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select
  n,
  id,
  false as duplicate,
  false as mismatch,
  case
    when stood.turn_rank is not null then coalesce(
      (select t.position from turns t where t.queue_id = stood.queue_id),
      stood.place
    )
    else stood.position
  end as position
from stood;

-- enqueue_lined_keyed
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
with candidates as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    decode(i.rest->>'bytes', 'base64') as body_bytes,
    i.rest->>'contentType' as content_type,
    nullif(i.rest->'headers', '{}') as headers,
    i.priority * 2 as rank,
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
      when coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      ) > statement_timestamp() then coalesce(
        (i.rest->>'visibleAt')::timestamptz,
        statement_timestamp() + make_interval(
          secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
        )
      )
    end as visible_at,
    i.rest->'marks' as marks,
    case
      when q.ordering = 'group' then i.rest->'marks'->>'group'
      when q.ordering = 'queue' then ''
      when q.takes_turns then coalesce(i.rest->'marks'->>'group', '')
    end as line,
    case
      when q.takes_turns then i.priority * 2
    end as turn_rank
  from unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[])
    with ordinality as i (queue_id, priority, body, rest, n)
  cross join lateral (
    select ordering, takes_turns
    from holdfast.queues
    where id = i.queue_id
    limit 1
  ) q
), digested as materialized (
  select
    *,
    holdfast.digest_of(
      body,
      body_bytes,
      content_type,
      holdfast.content_headers(headers),
      priority,
      delay_seconds,
      given_visible_at,
      ttl_seconds,
      max_attempts,
      marks
    ) as digest
  from candidates
), claimed as (
  insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
  select queue_id, key, d.id, digest, enqueued_at + make_interval(secs => q.dedup_seconds)
  from digested d
  cross join lateral (
    select dedup_seconds
    from holdfast.queues
    where id = d.queue_id
    limit 1
  ) q
  where key is not null
  order by queue_id, key
  on conflict (queue_id, key) do update set
    message_id = case
      when k.expires_at <= statement_timestamp() then excluded.message_id
      else k.message_id
    end,
    digest = case
      when k.expires_at <= statement_timestamp() then excluded.digest
      else k.digest
    end,
    expires_at = case
      when k.expires_at <= statement_timestamp() then excluded.expires_at
      else k.expires_at
    end
  returning queue_id, key, message_id, digest
), stored as materialized (
  select d.*
  from digested d
  left join claimed c on c.queue_id = d.queue_id and c.key = d.key
  where d.key is null
    or c.message_id = d.id
), lines as materialized (
  insert into holdfast.lines (queue_id, line)
  select distinct queue_id, line
  from stored
  where line is not null
    and turn_rank is null
  order by queue_id, line
  on conflict (queue_id, line) do update set followers = 0 where false
  returning queue_id, line
), placed as materialized (
  select
    s.*,
    case
      when s.line is not null then nextval('holdfast.positions')
    end as place
  from (select count(*) from lines) locked
  cross join (select * from stored order by n) s
), stood as materialized (
  select
    p.*,
    case
      when p.line is null then p.id
      when p.turn_rank is not null then null
      when l.line is not null
        and row_number() over (partition by p.queue_id, p.line order by p.n) = 1 then p.place
    end as position
  from placed p
  left join lines l on l.queue_id = p.queue_id and l.line = p.line
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    line,
    place,
    turn_rank,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    position,
    line,
    place,
    turn_rank,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    case when turn_rank is null then rank else 8 end,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stood
  returning queue_id, line, place, turn_rank, visible_at
), turns as materialized (
  select
    k.queue_id,
    t.position
  from (
    select queue_id, array_agg(line order by place) as lines
    from (
      select queue_id, line, min(place) as place
      from inserted
      where turn_rank is not null
        and visible_at is null
      group by queue_id, line
    ) l
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.take_turns(k.queue_id, k.lines) t
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select
  d.n,
  coalesce(c.message_id, d.id) as id,
  coalesce(c.message_id <> d.id, false) as duplicate,
  case
    when c.digest <> d.digest then not holdfast.digest_fits(
      c.digest,
      d.body,
      d.body_bytes,
      d.content_type,
      d.headers,
      d.priority,
      d.delay_seconds,
      d.given_visible_at,
      d.ttl_seconds,
      d.max_attempts,
      d.marks,
      d.queue_delay_seconds
    )
    else false
  end as mismatch,
  (
    select case
      when s.turn_rank is not null then coalesce(
        (select t.position from turns t where t.queue_id = s.queue_id),
        s.place
      )
      else s.position
    end
    from stood s
    where s.n = d.n
  ) as position
from digested d
left join claimed c on c.queue_id = d.queue_id and c.key = d.key;

-- enqueue_lined_unique
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
-- $5 unique keys · $6 whether the first lease gives up the key · $7 whether it replaces
with free as materialized (
  select holdfast.run_again_if(not bool_and(
    pg_try_advisory_xact_lock_shared(4011982, q.id)
  ))
  from (select distinct unnest($1::integer[]) as id) q
), candidates as materialized (
  select m.*
  from (select count(*) from free) f
  cross join (
    select
      i.n,
      i.queue_id,
      nextval('holdfast.positions') as id,
      i.body,
      decode(i.rest->>'bytes', 'base64') as body_bytes,
      i.rest->>'contentType' as content_type,
      nullif(i.rest->'headers', '{}') as headers,
      i.priority * 2 as rank,
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
        when coalesce(
          (i.rest->>'visibleAt')::timestamptz,
          statement_timestamp() + make_interval(
            secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
          )
        ) > statement_timestamp() then coalesce(
          (i.rest->>'visibleAt')::timestamptz,
          statement_timestamp() + make_interval(
            secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
          )
        )
      end as visible_at,
      i.rest->'marks' as marks,
      i.unique_key,
      i.until_leased as unique_until_leased,
      i.replaces,
      (q.ordering <> 'none' or q.takes_turns) as keeps_group,
      case
        when q.ordering = 'group' then i.rest->'marks'->>'group'
        when q.ordering = 'queue' then ''
        when q.takes_turns then coalesce(i.rest->'marks'->>'group', '')
      end as line,
      case
        when q.takes_turns then i.priority * 2
      end as turn_rank
    from unnest(
      $1::integer[],
      $2::smallint[],
      $3::text[],
      $4::jsonb[],
      $5::text[],
      $6::boolean[],
      $7::boolean[]
    ) with ordinality as i (queue_id, priority, body, rest, unique_key, until_leased, replaces, n)
    cross join lateral (
      select ordering, takes_turns
      from holdfast.queues
      where id = i.queue_id
      limit 1
    ) q
  ) m
), digested as materialized (
  select
    *,
    case
      when key is not null then holdfast.digest_of(
        body,
        body_bytes,
        content_type,
        holdfast.content_headers(headers),
        priority,
        delay_seconds,
        given_visible_at,
        ttl_seconds,
        max_attempts,
        case
          when unique_key is null then marks
          else coalesce(marks, '{}') || jsonb_build_object(
            'unique',
            jsonb_build_array(unique_key, unique_until_leased, replaces)
          )
        end
      )
    end as digest
  from candidates
), met as materialized (
  select
    d.*,
    k.digest as known_digest,
    coalesce(k.message_id, h.id) as met_id,
    h.is_parked,
    h.is_expired,
    case
      when k.message_id is not null then 'known'
      when h.id is null or h.is_expired then 'new'
      when h.is_leased or not d.replaces then 'held'
      when d.keeps_group and d.marks->>'group' is distinct from h.group then 'refused'
      else 'replacing'
    end as fate
  from digested d
  left join lateral (
    select message_id, digest
    from holdfast.idempotency_keys
    where queue_id = d.queue_id
      and key = d.key
      and expires_at > statement_timestamp()
    limit 1
  ) k on true
  left join lateral (
    select
      m.id,
      m.position is null as is_parked,
      m.leased_until is not null as is_leased,
      m.marks->>'group' as group,
      (m.expires_at <= statement_timestamp() and m.leased_until is null) is true as is_expired
    from holdfast.messages m
    where m.queue_id = d.queue_id
      and m.unique_key = d.unique_key
      and m.dead_at is null
      and k.message_id is null
    limit 1
  ) h on true
), claimed as (
  insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
  select
    queue_id,
    key,
    case
      when fate = 'new' then d.id
      else d.met_id
    end,
    digest,
    enqueued_at + make_interval(secs => q.dedup_seconds)
  from met d
  cross join lateral (
    select dedup_seconds
    from holdfast.queues
    where id = d.queue_id
    limit 1
  ) q
  where key is not null
    and fate not in ('known', 'refused')
  order by queue_id, key
  on conflict (queue_id, key) do update set
    message_id = excluded.message_id,
    digest = excluded.digest,
    expires_at = excluded.expires_at
  where k.expires_at <= statement_timestamp()
  returning 1
), cleared as (
  update holdfast.messages m
  set unique_key = null
  where m.queue_id = any(array(select queue_id from met where is_expired))
    and m.id = any(array(select met_id from met where is_expired))
    and (m.expires_at <= statement_timestamp() and m.leased_until is null) is true
  returning 1
), standing as materialized (
  select r.*, m.was_delayed
  from (select count(*) as done from claimed) a
  cross join (
    select *
    from met
    where fate = 'replacing'
      and not is_parked
    order by queue_id, met_id
  ) r
  cross join lateral (
    select visible_at is not null as was_delayed
    from holdfast.messages
    where a.done >= 0
      and queue_id = r.queue_id
      and id = r.met_id
      and unique_key = r.unique_key
      and dead_at is null
    limit 1
    for no key update
  ) m
), stored as materialized (
  select d.*
  from (select count(*) from standing) a
  cross join (select count(*) from cleared) b
  cross join met d
  where fate = 'new'
), opened as materialized (
  select holdfast.open_lines(queue_id, array_agg(line))
  from (
    select queue_id, line from stored where turn_rank is not null
    union
    select queue_id, line from met where fate = 'replacing' and turn_rank is not null
  ) l
  cross join (select count(*) from stored) a
  group by queue_id
  order by queue_id
), lines as materialized (
  insert into holdfast.lines (queue_id, line)
  select distinct queue_id, line
  from stored
  where line is not null
    and turn_rank is null
  order by queue_id, line
  on conflict (queue_id, line) do update set followers = 0 where false
  returning queue_id, line
), placed as materialized (
  select
    s.*,
    case
      when s.line is not null then nextval('holdfast.positions')
    end as place
  from (select count(*) from lines) locked
  cross join (select * from stored order by n) s
), stood as materialized (
  select
    p.*,
    case
      when p.line is null then p.id
      when p.turn_rank is not null then null
      when l.line is not null
        and row_number() over (partition by p.queue_id, p.line order by p.n) = 1 then p.place
    end as position
  from placed p
  left join lines l on l.queue_id = p.queue_id and l.line = p.line
), parked as materialized (
  select r.*, m.was_delayed
  from (select count(*) as done from (select 1 from opened union all select 1 from stood) l) a
  cross join (
    select *
    from met
    where fate = 'replacing'
      and is_parked
    order by queue_id, met_id
  ) r
  cross join lateral (
    select visible_at is not null as was_delayed
    from holdfast.messages
    where a.done >= 0
      and queue_id = r.queue_id
      and id = r.met_id
      and unique_key = r.unique_key
      and dead_at is null
    limit 1
    for no key update skip locked
  ) m
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    line,
    place,
    turn_rank,
    unique_key,
    unique_until_leased,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    position,
    line,
    place,
    turn_rank,
    unique_key,
    unique_until_leased,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    case when turn_rank is null then rank else 8 end,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from (select count(*) from parked) a
  cross join (select * from stood order by queue_id, unique_key) s
  on conflict (queue_id, unique_key) where unique_key is not null and dead_at is null do nothing
  returning 1
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
), taken as materialized (
  select * from standing
  union all
  select * from parked
), replaced as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    body = t.body,
    body_bytes = t.body_bytes,
    content_type = t.content_type,
    headers = t.headers,
    marks = t.marks,
    rank = case
      when m.turn_rank is null then t.rank | (m.rank & 1)
      else 8
    end,
    turn_rank = t.rank | (m.turn_rank & 1),
    max_attempts = t.max_attempts,
    visible_at = t.visible_at,
    expires_at = t.expires_at,
    kept_from = case
      when t.expires_at is null then m.kept_from
      else statement_timestamp()
    end,
    unique_until_leased = t.unique_until_leased,
    position = case
      when m.turn_rank is not null and t.visible_at is not null then null
      when m.position is not null and m.visible_at is not null and t.visible_at is null
      then nextval('holdfast.positions')
      else m.position
    end,
    ready_at = case
      when m.visible_at is not null and t.visible_at is null then statement_timestamp()
      else m.ready_at
    end
  from taken t
  where m.queue_id = any(array(select queue_id from taken))
    and m.id = any(array(select met_id from taken))
    and m.id = t.met_id
    and m.leased_until is null
  returning
    t.n,
    m.queue_id,
    m.position,
    m.line,
    m.place,
    m.turn_rank,
    t.was_delayed,
    m.visible_at is not null as is_delayed
), moved as (
  insert into holdfast.ledger (queue_id, ready, delayed)
  select
    queue_id,
    count(*) filter (where was_delayed) - count(*) filter (where is_delayed),
    count(*) filter (where is_delayed) - count(*) filter (where was_delayed)
  from (select * from replaced where was_delayed <> is_delayed) r
  group by queue_id
), turns as materialized (
  select
    k.queue_id,
    t.position
  from (
    select queue_id, array_agg(line order by place) as lines
    from (
      select queue_id, line, min(place) as place
      from (
        select queue_id, line, place, turn_rank from stood
        union all
        select queue_id, line, place, turn_rank from replaced
      ) r
      cross join (select count(*) from inserted) a
      where turn_rank is not null
        and true
      group by queue_id, line
    ) l
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.take_turns(k.queue_id, k.lines) t
)
select
  d.n,
  case
    when d.fate = 'new' then d.id
    else d.met_id
  end as id,
  d.fate in ('known', 'held') or d.fate = 'replacing' and r.n is null as duplicate,
  r.n is not null as replaced,
  d.fate = 'refused' as "otherGroup",
  case
    when d.fate = 'known' and d.known_digest <> d.digest then not holdfast.digest_fits(
      d.known_digest,
      d.body,
      d.body_bytes,
      d.content_type,
      d.headers,
      d.priority,
      d.delay_seconds,
      d.given_visible_at,
      d.ttl_seconds,
      d.max_attempts,
      case
        when d.unique_key is null then d.marks
        else coalesce(d.marks, '{}') || jsonb_build_object(
          'unique',
          jsonb_build_array(d.unique_key, d.unique_until_leased, d.replaces)
        )
      end,
      d.queue_delay_seconds
    )
    else false
  end as mismatch,
  case
    when r.n is null then case
      when s.turn_rank is not null then coalesce(
        (select t.position from turns t where t.queue_id = s.queue_id),
        s.place
      )
      else s.position
    end
    when r.turn_rank is not null then coalesce(
      (select t.position from turns t where t.queue_id = d.queue_id),
      r.position
    )
    else r.position
  end as position
from (
  select holdfast.run_again_if(
    (select count(*) from claimed) < (
      select count(*)
      from met
      where key is not null
        and fate not in ('known', 'refused')
    )
      or (select count(*) from taken) < (select count(*) from met where fate = 'replacing')
      or (select count(*) from inserted) < (select count(*) from stored)
  )
) a
cross join met d
left join replaced r on r.n = d.n
left join stood s on s.n = d.n;

-- enqueue_typed
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 content types · $5 headers
with stored as materialized (
  select
    i.n,
    i.queue_id,
    nextval('holdfast.positions') as id,
    i.body,
    null::bytea as body_bytes,
    i.content_type as content_type,
    i.headers as headers,
    i.priority * 2 as rank,
    null::integer as max_attempts,
    statement_timestamp() as enqueued_at,
    null::timestamptz as expires_at,
    null::timestamptz as visible_at,
    null::jsonb as marks
  from unnest($1::integer[], $2::smallint[], $3::text[], $4::text[], $5::jsonb[])
    with ordinality as i (queue_id, priority, body, content_type, headers, n)
  where (i.queue_id in (
    select q.id
    from holdfast.queues q
    where q.id = any($1::integer[])
      and not ((q.ordering <> 'none' or q.takes_turns))
  )) is true
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    id,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from stored
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
)
select string_agg(n || ' ' || id, ' ') as stored
from stored;

-- enqueue_unique
-- $1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON
-- $5 unique keys · $6 whether the first lease gives up the key · $7 whether it replaces
with free as materialized (
  select holdfast.run_again_if(not bool_and(
    pg_try_advisory_xact_lock_shared(4011982, q.id)
  ))
  from (select distinct unnest($1::integer[]) as id) q
), candidates as materialized (
  select m.*
  from (select count(*) from free) f
  cross join (
    select
      i.n,
      i.queue_id,
      nextval('holdfast.positions') as id,
      i.body,
      decode(i.rest->>'bytes', 'base64') as body_bytes,
      i.rest->>'contentType' as content_type,
      nullif(i.rest->'headers', '{}') as headers,
      i.priority * 2 as rank,
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
        when coalesce(
          (i.rest->>'visibleAt')::timestamptz,
          statement_timestamp() + make_interval(
            secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
          )
        ) > statement_timestamp() then coalesce(
          (i.rest->>'visibleAt')::timestamptz,
          statement_timestamp() + make_interval(
            secs => coalesce(i.rest->>'delaySeconds', i.rest->>'queueDelaySeconds')::float8
          )
        )
      end as visible_at,
      i.rest->'marks' as marks,
      i.unique_key,
      i.until_leased as unique_until_leased,
      i.replaces,
      false as keeps_group,
      null as line,
      null::smallint as turn_rank
    from unnest(
      $1::integer[],
      $2::smallint[],
      $3::text[],
      $4::jsonb[],
      $5::text[],
      $6::boolean[],
      $7::boolean[]
    ) with ordinality as i (queue_id, priority, body, rest, unique_key, until_leased, replaces, n)
    where (i.queue_id in (
      select q.id
      from holdfast.queues q
      where q.id = any($1::integer[])
        and not ((q.ordering <> 'none' or q.takes_turns))
    )) is true
  ) m
), digested as materialized (
  select
    *,
    case
      when key is not null then holdfast.digest_of(
        body,
        body_bytes,
        content_type,
        holdfast.content_headers(headers),
        priority,
        delay_seconds,
        given_visible_at,
        ttl_seconds,
        max_attempts,
        case
          when unique_key is null then marks
          else coalesce(marks, '{}') || jsonb_build_object(
            'unique',
            jsonb_build_array(unique_key, unique_until_leased, replaces)
          )
        end
      )
    end as digest
  from candidates
), met as materialized (
  select
    d.*,
    k.digest as known_digest,
    coalesce(k.message_id, h.id) as met_id,
    h.is_parked,
    h.is_expired,
    case
      when k.message_id is not null then 'known'
      when h.id is null or h.is_expired then 'new'
      when h.is_leased or not d.replaces then 'held'
      when d.keeps_group and d.marks->>'group' is distinct from h.group then 'refused'
      else 'replacing'
    end as fate
  from digested d
  left join lateral (
    select message_id, digest
    from holdfast.idempotency_keys
    where queue_id = d.queue_id
      and key = d.key
      and expires_at > statement_timestamp()
    limit 1
  ) k on true
  left join lateral (
    select
      m.id,
      m.position is null as is_parked,
      m.leased_until is not null as is_leased,
      m.marks->>'group' as group,
      (m.expires_at <= statement_timestamp() and m.leased_until is null) is true as is_expired
    from holdfast.messages m
    where m.queue_id = d.queue_id
      and m.unique_key = d.unique_key
      and m.dead_at is null
      and k.message_id is null
    limit 1
  ) h on true
), claimed as (
  insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
  select
    queue_id,
    key,
    case
      when fate = 'new' then d.id
      else d.met_id
    end,
    digest,
    enqueued_at + make_interval(secs => q.dedup_seconds)
  from met d
  cross join lateral (
    select dedup_seconds
    from holdfast.queues
    where id = d.queue_id
    limit 1
  ) q
  where key is not null
    and fate not in ('known', 'refused')
  order by queue_id, key
  on conflict (queue_id, key) do update set
    message_id = excluded.message_id,
    digest = excluded.digest,
    expires_at = excluded.expires_at
  where k.expires_at <= statement_timestamp()
  returning 1
), cleared as (
  update holdfast.messages m
  set unique_key = null
  where m.queue_id = any(array(select queue_id from met where is_expired))
    and m.id = any(array(select met_id from met where is_expired))
    and (m.expires_at <= statement_timestamp() and m.leased_until is null) is true
  returning 1
), standing as materialized (
  select r.*, m.was_delayed
  from (select count(*) as done from claimed) a
  cross join (
    select *
    from met
    where fate = 'replacing'
      and not is_parked
    order by queue_id, met_id
  ) r
  cross join lateral (
    select visible_at is not null as was_delayed
    from holdfast.messages
    where a.done >= 0
      and queue_id = r.queue_id
      and id = r.met_id
      and unique_key = r.unique_key
      and dead_at is null
    limit 1
    for no key update
  ) m
), stored as materialized (
  select d.*
  from (select count(*) from standing) a
  cross join (select count(*) from cleared) b
  cross join met d
  where fate = 'new'
), opened as materialized (
  select holdfast.open_lines(queue_id, array_agg(line))
  from (
    select queue_id, line from stored where turn_rank is not null
    union
    select queue_id, line from met where fate = 'replacing' and turn_rank is not null
  ) l
  cross join (select count(*) from stored) a
  group by queue_id
  order by queue_id
), stood as materialized (
  select
    *,
    null::bigint as place,
    id as position
  from stored
), parked as materialized (
  select r.*, m.was_delayed
  from (select count(*) as done from (select 1 from opened union all select 1 from stood) l) a
  cross join (
    select *
    from met
    where fate = 'replacing'
      and is_parked
    order by queue_id, met_id
  ) r
  cross join lateral (
    select visible_at is not null as was_delayed
    from holdfast.messages
    where a.done >= 0
      and queue_id = r.queue_id
      and id = r.met_id
      and unique_key = r.unique_key
      and dead_at is null
    limit 1
    for no key update skip locked
  ) m
), inserted as (
  insert into holdfast.messages (
    id,
    position,
    line,
    place,
    turn_rank,
    unique_key,
    unique_until_leased,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  )
  select
    id,
    position,
    line,
    place,
    turn_rank,
    unique_key,
    unique_until_leased,
    enqueued_at,
    visible_at,
    expires_at,
    queue_id,
    max_attempts,
    case when turn_rank is null then rank else 8 end,
    body,
    body_bytes,
    content_type,
    headers,
    marks
  from (select count(*) from parked) a
  cross join (select * from stood order by queue_id, unique_key) s
  on conflict (queue_id, unique_key) where unique_key is not null and dead_at is null do nothing
  returning 1
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  select
    queue_id,
    count(*) filter (where visible_at is null),
    count(*) filter (where visible_at is not null),
    count(*)
  from stored
  group by queue_id
), taken as materialized (
  select * from standing
  union all
  select * from parked
), replaced as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    body = t.body,
    body_bytes = t.body_bytes,
    content_type = t.content_type,
    headers = t.headers,
    marks = t.marks,
    rank = case
      when m.turn_rank is null then t.rank | (m.rank & 1)
      else 8
    end,
    turn_rank = t.rank | (m.turn_rank & 1),
    max_attempts = t.max_attempts,
    visible_at = t.visible_at,
    expires_at = t.expires_at,
    kept_from = case
      when t.expires_at is null then m.kept_from
      else statement_timestamp()
    end,
    unique_until_leased = t.unique_until_leased,
    position = case
      when m.turn_rank is not null and t.visible_at is not null then null
      when m.position is not null and m.visible_at is not null and t.visible_at is null
      then nextval('holdfast.positions')
      else m.position
    end,
    ready_at = case
      when m.visible_at is not null and t.visible_at is null then statement_timestamp()
      else m.ready_at
    end
  from taken t
  where m.queue_id = any(array(select queue_id from taken))
    and m.id = any(array(select met_id from taken))
    and m.id = t.met_id
    and m.leased_until is null
  returning
    t.n,
    m.queue_id,
    m.position,
    m.line,
    m.place,
    m.turn_rank,
    t.was_delayed,
    m.visible_at is not null as is_delayed
), moved as (
  insert into holdfast.ledger (queue_id, ready, delayed)
  select
    queue_id,
    count(*) filter (where was_delayed) - count(*) filter (where is_delayed),
    count(*) filter (where is_delayed) - count(*) filter (where was_delayed)
  from (select * from replaced where was_delayed <> is_delayed) r
  group by queue_id
), turns as materialized (
  select
    k.queue_id,
    t.position
  from (
    select queue_id, array_agg(line order by place) as lines
    from (
      select queue_id, line, min(place) as place
      from (
        select queue_id, line, place, turn_rank from stood
        union all
        select queue_id, line, place, turn_rank from replaced
      ) r
      cross join (select count(*) from inserted) a
      where turn_rank is not null
        and true
      group by queue_id, line
    ) l
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.take_turns(k.queue_id, k.lines) t
)
select
  d.n,
  case
    when d.fate = 'new' then d.id
    else d.met_id
  end as id,
  d.fate in ('known', 'held') or d.fate = 'replacing' and r.n is null as duplicate,
  r.n is not null as replaced,
  d.fate = 'refused' as "otherGroup",
  case
    when d.fate = 'known' and d.known_digest <> d.digest then not holdfast.digest_fits(
      d.known_digest,
      d.body,
      d.body_bytes,
      d.content_type,
      d.headers,
      d.priority,
      d.delay_seconds,
      d.given_visible_at,
      d.ttl_seconds,
      d.max_attempts,
      case
        when d.unique_key is null then d.marks
        else coalesce(d.marks, '{}') || jsonb_build_object(
          'unique',
          jsonb_build_array(d.unique_key, d.unique_until_leased, d.replaces)
        )
      end,
      d.queue_delay_seconds
    )
    else false
  end as mismatch,
  case
    when r.n is null then case
      when s.turn_rank is not null then coalesce(
        (select t.position from turns t where t.queue_id = s.queue_id),
        s.place
      )
      else s.position
    end
    when r.turn_rank is not null then coalesce(
      (select t.position from turns t where t.queue_id = d.queue_id),
      r.position
    )
    else r.position
  end as position
from (
  select holdfast.run_again_if(
    (select count(*) from claimed) < (
      select count(*)
      from met
      where key is not null
        and fate not in ('known', 'refused')
    )
      or (select count(*) from taken) < (select count(*) from met where fate = 'replacing')
      or (select count(*) from inserted) < (select count(*) from stored)
  )
) a
cross join met d
left join replaced r on r.n = d.n
left join stood s on s.n = d.n;

-- expire
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
with due as materialized (
  select m.ctid as row_place
  from holdfast.messages m
  where m.expires_at <= statement_timestamp()
    and m.expires_at > $1
    and m.leased_until is null
    and not (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
    and (
      m.line is null
      or exists (
        select
        from holdfast.lines l
        where l.queue_id = m.queue_id
          and l.line = m.line
        for update skip locked
      )
      or not exists (
        select
        from holdfast.lines l
        where l.queue_id = m.queue_id
          and l.line = m.line
      )
      and case
        when $2::boolean then holdfast.may_open_line(m.queue_id, m.line)
        else true
      end
    )
  order by m.expires_at
  limit 1000
  for update skip locked
), expired as (
  delete from holdfast.messages m
  where m.ctid = any(array(select row_place from due))
  returning
    m.id,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history
  where ctid = any(array(
    select h.ctid
    from expired g
    cross join lateral (
      select ctid
      from holdfast.history
      where queue_id = g.queue_id
        and message_id = g.id
      offset 0
    ) h
  ))
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
  select
    queue_id,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from expired
  group by queue_id
)
select
  due.n as taken,
  null as late_ms,
  freed.*
from (select count(*) as n from due) due
left join (
  select
    k.queue_id,
    (f.freed->>'count')::bigint as ready,
    (f.freed->>'position')::bigint as position
  from (
    select
      queue_id,
      array_agg(line) as lines,
      array_agg(place) as places,
      array_agg(position) as turns,
      array_agg(turn_rank is not null) as in_turns,
      array_agg(stood) as stood,
      array_agg(was_counted) as was_counted
    from expired
    where stood
      or was_counted
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.settled_messages(
    k.queue_id,
    k.lines,
    k.places,
    k.turns,
    k.in_turns,
    k.stood,
    k.was_counted
  ) as f (freed)
) freed on true;

-- expire_parked
-- $1 what fell due up to this time has been swept before
with due as materialized (
  select m.ctid as row_place
  from holdfast.messages m
  where m.expires_at <= statement_timestamp()
    and m.expires_at > $1
    and m.leased_until is null
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.expires_at
  limit 1000
  for update skip locked
), expired as (
  delete from holdfast.messages m
  where m.ctid = any(array(select row_place from due))
  returning
    m.id,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history
  where ctid = any(array(
    select h.ctid
    from expired g
    cross join lateral (
      select ctid
      from holdfast.history
      where queue_id = g.queue_id
        and message_id = g.id
      offset 0
    ) h
  ))
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
  select
    queue_id,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from expired
  group by queue_id
)
select
  due.n as taken,
  null as late_ms,
  freed.*
from (select count(*) as n from due) due
left join (
  select
    k.queue_id,
    (f.freed->>'count')::bigint as ready,
    (f.freed->>'position')::bigint as position
  from (
    select
      queue_id,
      array_agg(line) as lines,
      array_agg(place) as places,
      array_agg(position) as turns,
      array_agg(turn_rank is not null) as in_turns,
      array_agg(stood) as stood,
      array_agg(was_counted) as was_counted
    from expired
    where stood
      or was_counted
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.settled_messages(
    k.queue_id,
    k.lines,
    k.places,
    k.turns,
    k.in_turns,
    k.stood,
    k.was_counted
  ) as f (freed)
) freed on true;

-- explain
-- $1 queue id · $2 message id
select
  case
    when k.id is null then holdfast.state_of(m.visible_at, m.leased_until, m.dead_at)
    else 'acked'
  end as state,
  q.paused,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.visible_at as "visibleAt",
  m.leased_until as "leasedUntil",
  m.dead_at as "deadAt",
  q.dead_letter_queue as "deadLetterQueue",
  m.origin - 'own' as origin,
  f.last_failure as "lastFailure",
  q.max_leased as "maxLeased",
  (c.leased + t.leased)::float8 as leased,
  (
    select n.at + make_interval(
      secs => (1 - n.tokens) / (holdfast.per_second(q.rate))
    )
    from (
      select c.at, holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, c.at) as tokens
      from (select clock_timestamp() as at offset 0) c
    ) n
    where n.tokens < 1
  ) as "nextTokenAt",
  case when m.turn_rank is not null then q.max_leased_per_group end as "maxLeasedPerGroup",
  case
    when m.turn_rank is not null and q.max_leased_per_group is not null
    then coalesce(
      (
        select leased
        from holdfast.lines counting
        where counting.queue_id = q.id
          and counting.line = m.line
      ),
      0
    )
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
    select l.workers[l.holders[array_position(l.message_ids, m.id)]]
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
cross join lateral (
  select
    coalesce(sum(l.leased), 0) as leased
  from holdfast.ledger l
  where l.queue_id = $1
) t
left join lateral (
  select *
  from holdfast.limits
  where queue_id = $1
  limit 1
) l on true
left join lateral (
  select due_at
  from holdfast.line_rates
  where queue_id = $1
    and line = m.line
    and due_at > clock_timestamp()
  limit 1
) r on true
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
    limit 10000
  ) ahead
  where ahead.state <> 'dead'
  order by ahead.place
  limit 1
) b on m.position is null
  and m.leased_until is null
  and m.dead_at is null
  and m.turn_rank is null
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 0
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where coalesce(m.id, k.id) is not null;

-- expose_due
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
with due as materialized (
  select m.id, m.visible_at, m.ctid as place
  from holdfast.messages m
  where m.visible_at <= statement_timestamp()
    and m.visible_at > $1
    and (
      m.line is null
      or exists (
        select
        from holdfast.lines l
        where l.queue_id = m.queue_id
          and l.line = m.line
        for update skip locked
      )
      or not exists (
        select
        from holdfast.lines l
        where l.queue_id = m.queue_id
          and l.line = m.line
      )
      and case
        when $2::boolean then holdfast.may_open_line(m.queue_id, m.line)
        else true
      end
    )
  order by m.visible_at
  limit 1000
  for no key update skip locked
), places as materialized (
  select
    array_agg(place) as places,
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select *, nextval('holdfast.positions') as position
    from (select * from due order by visible_at, id) d
  ) d
), exposed as (
  update holdfast.messages m
  set
    visible_at = null,
    position = case
      when m.position is not null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.turn_rank is not null then places.positions[width_bucket(m.id, places.ids)]
      else m.place
    end,
    ready_at = m.visible_at
  from places
  where m.ctid = any((select places from places)::tid[])
  returning
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    m.turn_rank is not null as stood
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed)
  select
    queue_id,
    count(*),
    -count(*)
  from exposed
  group by queue_id
)
select
  (select count(*) from due) as taken,
  statement_timestamp()::text as began_at,
  due.late_ms,
  ready.*
from (
  select
    extract(epoch from statement_timestamp() - min(visible_at)) * 1000 as late_ms
  from due
) due
left join (
  select
    queue_id,
    count(position) as ready,
    min(position) as position
  from exposed
  group by queue_id
  union all
  select
    k.queue_id,
    (f.freed->>'count')::bigint as ready,
    (f.freed->>'position')::bigint as position
  from (
    select
      queue_id,
      array_agg(line) as lines,
      array_agg(place) as places,
      array_agg(position) as turns,
      array_agg(turn_rank is not null) as in_turns,
      array_agg(stood) as stood,
      array_agg(was_counted) as was_counted
    from exposed
    where stood
      or was_counted
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.settled_messages(
    k.queue_id,
    k.lines,
    k.places,
    k.turns,
    k.in_turns,
    k.stood,
    k.was_counted
  ) as f (freed)
) ready on true;

-- expose_others
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
-- $3 the queue that has the most, or 0
with others as materialized (
  select queue_id, visible_at as due_at, ctid as place
  from holdfast.messages
  where visible_at <= statement_timestamp()
    and visible_at > $1
    and queue_id <> $3::integer
  order by visible_at
  limit 100000
), turns as materialized (
  select
    place,
    row_number() over (partition by queue_id order by due_at) as turn
  from others
  order by turn, due_at
  limit 1000
), due as materialized (
  select due.*
  from turns
  cross join lateral (
    select m.id, m.visible_at, m.ctid as place
    from holdfast.messages m
    where m.ctid = turns.place
      and m.visible_at <= statement_timestamp()
      and (
        m.line is null
        or exists (
          select
          from holdfast.lines l
          where l.queue_id = m.queue_id
            and l.line = m.line
          for update skip locked
        )
        or not exists (
          select
          from holdfast.lines l
          where l.queue_id = m.queue_id
            and l.line = m.line
        )
        and case
          when $2::boolean then holdfast.may_open_line(m.queue_id, m.line)
          else true
        end
      )
    limit 1
    for no key update skip locked
  ) due
), places as materialized (
  select
    array_agg(place) as places,
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select *, nextval('holdfast.positions') as position
    from (select * from due order by visible_at, id) d
  ) d
), exposed as (
  update holdfast.messages m
  set
    visible_at = null,
    position = case
      when m.position is not null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.turn_rank is not null then places.positions[width_bucket(m.id, places.ids)]
      else m.place
    end,
    ready_at = m.visible_at
  from places
  where m.ctid = any((select places from places)::tid[])
  returning
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    m.turn_rank is not null as stood
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed)
  select
    queue_id,
    count(*),
    -count(*)
  from exposed
  group by queue_id
)
select
  (select count(*) from turns) as taken,
  statement_timestamp()::text as began_at,
  due.late_ms,
  ready.*
from (
  select
    extract(epoch from statement_timestamp() - min(visible_at)) * 1000 as late_ms
  from due
) due
left join (
  select
    queue_id,
    count(position) as ready,
    min(position) as position
  from exposed
  group by queue_id
  union all
  select
    k.queue_id,
    (f.freed->>'count')::bigint as ready,
    (f.freed->>'position')::bigint as position
  from (
    select
      queue_id,
      array_agg(line) as lines,
      array_agg(place) as places,
      array_agg(position) as turns,
      array_agg(turn_rank is not null) as in_turns,
      array_agg(stood) as stood,
      array_agg(was_counted) as was_counted
    from exposed
    where stood
      or was_counted
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.settled_messages(
    k.queue_id,
    k.lines,
    k.places,
    k.turns,
    k.in_turns,
    k.stood,
    k.was_counted
  ) as f (freed)
) ready on true;

-- extend
-- $1 queue id · $2 message ids · $3 fences · $4 seconds from now
with extended as (
  update holdfast.messages m
  set leased_until = statement_timestamp()
    + make_interval(secs => ($4::float8[])[width_bucket(m.id, $2::bigint[])])
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
    and m.leased_until > statement_timestamp()
    and m.dead_at is null
  returning m.id, m.fence, m.lease_id, m.leased_until
), drawn as (
  update holdfast.leases l
  set ends_at = e.ends_at
  from (
    select lease_id, min(leased_until) as ends_at
    from extended
    group by lease_id
    order by lease_id
  ) e
  where l.id = any(array(select lease_id from extended))
    and l.id = e.lease_id
    and l.ends_at > e.ends_at
)
select id, fence, leased_until as at
from extended;

-- fail
-- $1 queue id · $2 message ids · $3 fences
-- $4 reasons · $5 delays in seconds, null: the retry curve · $6 dead now
with held as materialized (
  select
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      (
        m.line is not null
        and m.dead_at is null
        and case
          when m.turn_rank is not null then m.position is not null and m.leased_until is null
          else m.position is not null or m.leased_until is not null
        end
      )
      or m.turn_rank is not null and m.dead_at is null
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted,
    ($4::text[])[i.n] as reason,
    m.dead_at is not null
      or ($6::boolean[])[i.n]
      or (m.attempt >= coalesce(m.max_attempts, q.max_attempts)) is true as dies,
    coalesce(
      ($5::float8[])[i.n],
      least(
        q.retry_max_delay_seconds,
        (1 + case when q.retry_jitter then random() else 0 end)
          * q.retry_delay_seconds
          * case q.retry_strategy
              when 'exponential' then 2 ^ least(greatest(m.attempt - 1, 0), 60)
              when 'linear' then greatest(m.attempt, 1)
              else 1
            end
      )
    ) as delay_seconds
  from holdfast.messages m
  cross join lateral (select width_bucket(m.id, $2::bigint[]) as n) i
  cross join lateral (
    select *
    from holdfast.queues
    where id = $1
    limit 1
  ) q
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
  order by m.id
  for no key update of m
), held_by_id as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(dies order by id) as dies,
    array_agg(delay_seconds order by id) as delay_seconds,
    array_agg(state order by id) as state,
    array_agg(stood order by id) as stood,
    array_agg(was_counted order by id) as was_counted
  from held
), failed as (
  update holdfast.messages m
  set
    leased_until = null,
    lease_id = null,
    rank = case
      when m.line is null then m.rank | 1
      when m.turn_rank is not null
        or (
          select q.fairness = 'group'
          from holdfast.queues q
          where q.id = m.queue_id
        )
      then m.rank
      else m.rank | 1
    end,
    turn_rank = m.turn_rank | 1,
    position = case
      when m.line is null then nextval('holdfast.positions')
    end,
    place = case
      when m.turn_rank is not null then nextval('holdfast.positions')
      else m.place
    end,
    ready_at = statement_timestamp(),
    dead_at = case
      when h.dies[width_bucket(m.id, h.ids)] then coalesce(m.dead_at, statement_timestamp())
    end,
    visible_at = case
      when not h.dies[width_bucket(m.id, h.ids)] and h.delay_seconds[width_bucket(m.id, h.ids)] > 0
      then statement_timestamp() + make_interval(secs => h.delay_seconds[width_bucket(m.id, h.ids)])
    end
  from held_by_id h
  where m.queue_id = $1
    and m.id = any((select ids from held_by_id)::bigint[])
  returning
    m.id,
    m.fence,
    m.visible_at,
    m.dead_at,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    h.was_counted[width_bucket(m.id, h.ids)] as was_counted,
    h.state[width_bucket(m.id, h.ids)] as state,
    h.stood[width_bucket(m.id, h.ids)] as stood
), recorded as (
  insert into holdfast.history (
    leased_at,
    ended_at,
    message_id,
    fence,
    queue_id,
    attempt,
    outcome,
    worker,
    reason
  )
  select
    l.leased_at,
    statement_timestamp(),
    h.id,
    h.fence,
    $1,
    h.attempt,
    'failed',
    l.workers[l.holders[array_position(l.message_ids, h.id)]],
    h.reason
  from held h
  left join lateral (
    select *
    from holdfast.leases
    where id = h.lease_id
    limit 1
  ) l on true
  where h.state = 'leased'
  on conflict do nothing
  returning 1
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, failed_total, dead_total)
  select
    $1,
    count(*) filter (where new = 'ready') - count(*) filter (where state = 'ready'),
    count(*) filter (where new = 'delayed') - count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    count(*) filter (where new = 'dead') - count(*) filter (where state = 'dead'),
    count(*) filter (where state = 'leased'),
    count(*) filter (where new = 'dead' and state <> 'dead')
  from (select state, holdfast.state_of(visible_at, null, dead_at) as new from failed) f
  having count(*) > 0
), buried as materialized (
  select b.*
  from (
    select
      array_agg($1::integer) as queue_ids,
      array_agg(id) as ids
    from failed
    where dead_at is not null and state <> 'dead'
      and (
        select dead_letter_queue
        from holdfast.queues
        where id = $1
      ) is not null
      and (select count(*) from recorded) >= 0
    having count(*) > 0
  ) d
  cross join lateral holdfast.bury(d.queue_ids, d.ids) b
)
select
  f.id,
  f.fence,
  case when b.target is null then f.position else b.lowest end as position,
  coalesce(f.visible_at, statement_timestamp()) as at,
  f.position is not null and f.visible_at is null and f.dead_at is null as ready,
  f.dead_at is not null as dead,
  b.target as "movedTo",
  b.target_id as "movedToId",
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from failed
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from failed f
left join buried b on f.dead_at is not null and f.state <> 'dead';

-- failed
-- $1 queue id · $2 message ids · $3 state
select
  m.id,
  coalesce(nullif(m.attempt, 0), (m.origin->>'attempts')::integer, 0) as attempt,
  coalesce(
    holdfast.rfc3339(coalesce(f.ended_at, m.dead_at)),
    m.origin->>'diedAt',
    holdfast.rfc3339(m.enqueued_at)
  ) as at,
  left(coalesce(f.reason, m.origin->>'reason'), 500) as reason
from holdfast.messages m
left join lateral (
  select h.ended_at, h.reason
  from holdfast.history h
  where h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where m.queue_id = $1
  and m.id = any($2::bigint[])
  and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = $3
  and (m.attempt > 0 or $3 <> 'delayed')
order by m.id;

-- find_key
-- $1 id
select *
from (
  select
    id,
    name,
    rights,
    requests_per_second as "requestsPerSecond",
    messages_per_second as "messagesPerSecond",
    created_at as "createdAt",
    digest
  from holdfast.keys
  order by created_at, id
) k
where id = $1;

-- find_push
-- $1 queue
select
  p.queue_id as "queueId",
  p.url,
  p.max_concurrent as "maxConcurrent",
  p.timeout_seconds as "timeoutSeconds",
  p.headers,
  p.key_id as "keyId",
  p.old_key_id as "oldKeyId",
  p.old_key_until as "oldKeyUntil",
  p.caller_id as "callerId",
  p.created_at as "createdAt",
  p.updated_at as "updatedAt"
from holdfast.pushes p
where p.queue_id = (select id from holdfast.queues where name = $1);

-- find_queue
-- $1 name
select
  id,
  name,
  case
    when front <> '{}' then (
      select coalesce(jsonb_object_agg(key, value), '{}')
      from jsonb_each_text(front)
      where length(value) <= 64
    )
    else front
  end as front,
  case
    when exists (select from holdfast.placement) then holdfast.cell_of(name)
  end as moving_to,
  lease_seconds,
  max_attempts,
  retry_strategy,
  retry_delay_seconds,
  retry_max_delay_seconds,
  retry_jitter,
  delay_seconds,
  ttl_seconds,
  wait_seconds,
  retention_seconds,
  dedup_seconds,
  max_depth,
  message_bytes_max,
  paused,
  ordering,
  fairness,
  max_leased,
  max_leased_per_group,
  rate,
  rate_per_group,
  keep_acked_seconds,
  dead_letter_queue
from holdfast.queues
where name = $1;

-- find_schedule
-- $1 name
select
  name,
  queue,
  cron,
  timezone,
  paused,
  missed,
  priority,
  next_at as "nextAt",
  created_at as "createdAt",
  updated_at as "updatedAt",
  last_at,
  last_fired_at,
  last_outcome,
  last_message_id,
  owner_id,
  owner_name,
  body,
  headers
from holdfast.schedules
where name = $1;

-- find_topic
-- $1 topic
select
  s.pattern,
  q.*
from holdfast.subscriptions s
cross join lateral (
  select
    id,
    name,
    case
      when front <> '{}' then (
        select coalesce(jsonb_object_agg(key, value), '{}')
        from jsonb_each_text(front)
        where length(value) <= 64
      )
      else front
    end as front,
    case
      when exists (select from holdfast.placement) then holdfast.cell_of(name)
    end as moving_to,
    lease_seconds,
    max_attempts,
    retry_strategy,
    retry_delay_seconds,
    retry_max_delay_seconds,
    retry_jitter,
    delay_seconds,
    ttl_seconds,
    wait_seconds,
    retention_seconds,
    dedup_seconds,
    max_depth,
    message_bytes_max,
    paused,
    ordering,
    fairness,
    max_leased,
    max_leased_per_group,
    rate,
    rate_per_group,
    keep_acked_seconds,
    dead_letter_queue
  from holdfast.queues
  where id = s.queue_id
  limit 1
) q
where s.topic = $1
order by q.name;

-- first_ready
-- $1 queue id · $2 ranks
select level.rank, m.position
from unnest($2::smallint[]) as level (rank)
cross join lateral (
  select position
  from holdfast.messages
  where queue_id = $1
    and rank = level.rank
    and visible_at is null
      and dead_at is null
      and position is not null
    and leased_until is null
  order by position
  limit 1
) m;

-- fold_ledger
-- $1 the rows up to this id have been folded before
with turn as materialized (
  select pg_try_advisory_xact_lock(4011977) as ours
), taken as (
  delete from holdfast.ledger l
  using turn
  where turn.ours
    and l.id > $1
  returning l.*
), sums as (
  select
    queue_id,
    sum(ready) as ready,
    sum(delayed) as delayed,
    sum(leased) as leased,
    sum(dead) as dead,
    sum(acked) as acked,
    sum(enqueued_total) as enqueued_total,
    sum(leased_total) as leased_total,
    sum(acked_total) as acked_total,
    sum(failed_total) as failed_total,
    sum(lapsed_total) as lapsed_total,
    sum(released_total) as released_total,
    sum(dead_total) as dead_total,
    sum(redriven_total) as redriven_total,
    sum(expired_total) as expired_total,
    sum(purged_total) as purged_total,
    sum(buried_total) as buried_total,
    sum(inherited_total) as inherited_total,
    sum(sent_total) as sent_total,
    sum(returned_total) as returned_total
  from taken
  group by queue_id
), folded as (
  update holdfast.counts c
  set
    ready = c.ready + s.ready,
    delayed = c.delayed + s.delayed,
    leased = c.leased + s.leased,
    dead = c.dead + s.dead,
    acked = c.acked + s.acked,
    enqueued_total = c.enqueued_total + s.enqueued_total,
    leased_total = c.leased_total + s.leased_total,
    acked_total = c.acked_total + s.acked_total,
    failed_total = c.failed_total + s.failed_total,
    lapsed_total = c.lapsed_total + s.lapsed_total,
    released_total = c.released_total + s.released_total,
    dead_total = c.dead_total + s.dead_total,
    redriven_total = c.redriven_total + s.redriven_total,
    expired_total = c.expired_total + s.expired_total,
    purged_total = c.purged_total + s.purged_total,
    buried_total = c.buried_total + s.buried_total,
    inherited_total = c.inherited_total + s.inherited_total,
    sent_total = c.sent_total + s.sent_total,
    returned_total = c.returned_total + s.returned_total
  from sums s
  where c.queue_id = s.queue_id
)
select coalesce(max(id), $1) as folded_to
from taken;

-- forget_acked
with gone as (
  delete from holdfast.acked
  where ctid = any(array(
    select ctid
    from holdfast.acked
    where keep_until <= statement_timestamp()
    order by keep_until
    limit 5000
    for update skip locked
  ))
  returning queue_id, id
), forgotten as (
  delete from holdfast.history
  where ctid = any(array(
    select h.ctid
    from gone g
    cross join lateral (
      select ctid
      from holdfast.history
      where queue_id = g.queue_id
        and message_id = g.id
      offset 0
    ) h
  ))
), noted as (
  insert into holdfast.ledger (queue_id, acked)
  select
    queue_id,
    -count(*)
  from gone
  group by queue_id
)
select count(*) as removed
from gone;

-- forget_keys
with gone as (
  delete from holdfast.idempotency_keys
  where ctid = any(array(
    select ctid
    from holdfast.idempotency_keys
    where expires_at <= statement_timestamp()
    order by expires_at
    limit 5000
    for update skip locked
  ))
  returning 1
)
select count(*) as removed
from gone;

-- forget_redrives
with gone as (
  delete from holdfast.redrives
  where ended_at <= statement_timestamp() - interval '7 days'
  returning 1
)
select count(*) as removed
from gone;

-- forget_series
with gone as (
  delete from holdfast.series
  where ctid = any(array(
    select old.ctid
    from holdfast.series_turn t
    cross join holdfast.counts c
    cross join lateral (
      select ctid
      from holdfast.series
      where queue_id = c.queue_id
        and at < (
          select at
          from holdfast.series
          where queue_id = c.queue_id
            and at <= t.at - 3600
          order by at desc
          limit 1
        )
      offset 0
    ) old
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- forget_times
with gone as (
  delete from holdfast.times
  where ctid = any(array(
    select old.ctid
    from holdfast.series_turn t
    cross join holdfast.counts c
    cross join lateral (
      select ctid
      from holdfast.times
      where queue_id = c.queue_id
        and at <= t.at - 3600
      offset 0
    ) old
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- groups
-- $1 queue id · $2 after this line · $3 groups on the page
with examined as materialized (
  select k.line
  from (
    (
      select line
      from holdfast.lines
      where queue_id = $1
        and line >= coalesce($2, '')
        and line is distinct from $2
      order by line
      limit 5000
    )
    union
    (
      select line
      from holdfast.line_rates
      where queue_id = $1
        and line >= coalesce($2, '')
        and line is distinct from $2
      order by line
      limit 5000
    )
  ) k
  order by k.line
  limit 5000
)
select
  e.to as "examinedTo",
  g.line,
  nullif(g.line, '') as "group",
  c.waiting,
  c.leased,
  c.more,
  (
    select r.refilled_at + make_interval(
      secs => (1 - r.tokens) / holdfast.per_second(q.rate_per_group)
    )
    from holdfast.line_rates r
    where r.queue_id = q.id
      and r.line = g.line
      and holdfast.tokens_at(q.rate_per_group, r.tokens, r.refilled_at, clock_timestamp()) < 1
    limit 1
  ) as "nextTokenAt",
  f.first
from (select * from holdfast.queues where id = $1) q
cross join (
  select case when count(*) = 5000 then max(line) end as to
  from examined
) e
left join (
  select k.line
  from (select line from examined order by line offset 0) k
  where exists (
    select from holdfast.messages m
    where m.queue_id = $1
      and m.line = k.line
  )
  order by k.line
  limit $3
) g on true
left join lateral (
  select
    (count(*) filter (where e.state in ('ready', 'delayed')))::float8 as waiting,
    (count(*) filter (where e.state = 'leased'))::float8 as leased,
    count(*) = 1000 as more,
    (array_agg(e.id order by (e.turn_rank is not null and e.state <> 'ready'),
    e.turn_rank desc,
    e.place) filter (where e.state <> 'dead'))[1] as first_id
  from (
    select
      m.id,
      m.place,
      m.turn_rank,
      holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
    from holdfast.messages m
    where m.queue_id = $1
      and m.line = g.line
    order by m.place
    limit 1000
  ) e
) c on true
left join lateral (
  select
    json_build_object(
      'id', m.id::text,
      'state', holdfast.state_of(m.visible_at, m.leased_until, m.dead_at),
      'attempt', m.attempt,
      'until', holdfast.rfc3339(coalesce(m.leased_until, m.visible_at))
    ) as first
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = c.first_id
  limit 1
) f on true
order by g.line;

-- held_unique_keys
-- $1 queue id · $2 unique keys
select k.key
from unnest($2::text[]) as k (key)
cross join lateral (
  select
  from holdfast.messages m
  where m.queue_id = $1
    and m.unique_key = k.key
    and m.dead_at is null
    and not (m.expires_at <= statement_timestamp() and m.leased_until is null) is true
  limit 1
) m;

-- lease
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
with q as materialized (
  select id, lease_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and not paused
    and not (
      queues.max_leased is not null
        or queues.rate is not null
        or queues.max_leased_per_group is not null
        or queues.rate_per_group is not null
    )
    and true
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit $4
    for no key update skip locked
  ) m
  limit $4
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    nextval('holdfast.lease_ids') as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows,
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = null
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    m.turn_rank is not null as stood,
    false as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    lease.rows,
    min(l.leased_until),
    lease.at,
    $1,
    array_agg(l.id),
    array_agg(l.fence),
    $8::text[],
    array_agg(l.holder),
    null
  from leased l, lease
  group by lease.rows, lease.at
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'hasLimits', case
      when q.id is null then exists (
        select
        from holdfast.queues
        where id = $1
          and (
            queues.max_leased is not null
              or queues.rate is not null
              or queues.max_leased_per_group is not null
              or queues.rate_per_group is not null
          )
      )
      else false
    end,
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', null,
    'acked', null,
    'freed', null,
    'turned', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- lease_followers
-- $1 queue id · of each head: $2 message id · $3 fence · $4 its ask
-- $5 of each ask: messages wanted · $6 bytes allowed
with heads as materialized (
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
), next as materialized (
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
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes,
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
      limit ($5::integer[])[h.ask]
    ) m
  ) f
  where not f.blocked
), chosen as materialized (
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
    and exists (
      select
      from holdfast.queues
      where id = $1
        and not (
          queues.max_leased is not null
            or queues.rate is not null
            or queues.max_leased_per_group is not null
            or queues.rate_per_group is not null
        )
    )
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = c.lease_id,
    leased_until = c.leased_until,
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
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
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  m.ask,
  null as "dueAtMs"
from leased m
cross join lateral (
  select max_attempts
  from holdfast.queues
  where id = $1
  limit 1
) q
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.round, m.n;

-- lease_limited_followers
-- $1 queue id · of each head: $2 message id · $3 fence · $4 its ask
-- $5 of each ask: messages wanted · $6 bytes allowed
with q as materialized (
  select id, max_leased, rate, max_leased_per_group, rate_per_group
  from holdfast.queues
  where id = $1
), limits_row as materialized (
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
      and l.leased_most + (select sum(n) from unnest($5::integer[]) as n) < q.max_leased
      and l.counted_at > l.at - interval '1 s'
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
    end - 0 as leased,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, l.at) as tokens
  from counting l, q
), room as materialized (
  select
    r.*,
    greatest(
      0,
      least(
        (select sum(n) from unnest($5::integer[]) as n),
        q.max_leased - r.leased,
        floor(r.tokens)
      )
    )::bigint as messages
  from reckoned r, q
), heads as materialized (
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
), next as materialized (
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
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes,
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
      limit (
        select greatest(
          0,
          least(
            ($5::integer[])[h.ask],
            least(
              q.max_leased_per_group - 1,
              floor((
                select holdfast.tokens_at(q.rate_per_group, r.tokens, r.refilled_at, clock_timestamp())
                from (select) one
                left join lateral (
                  select tokens, refilled_at
                  from holdfast.line_rates
                  where queue_id = q.id
                    and line = h.line
                  limit 1
                ) r on true
              ))
            )
          )
        )::bigint
        from q
      )
    ) m
  ) f
  where not f.blocked
), chosen as materialized (
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
    and number <= coalesce((select messages from room), 0)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = c.lease_id,
    leased_until = c.leased_until,
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
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
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
), charged as (
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
), charged_lines as materialized (
  select holdfast.charge_lines($1, array_agg(line), array_agg(count)) as due_at
  from (select line, count(*) as count from leased group by line) c
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  m.ask,
  extract(epoch from c.due_at)::float8 * 1000 as "dueAtMs"
from leased m
cross join lateral (
  select max_attempts
  from holdfast.queues
  where id = $1
  limit 1
) q
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
cross join charged_lines c
order by m.round, m.n;

-- lease_turns
-- $1 queue id · of messages whose groups are meant: $2 id · $3 fence
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers · $9 its row of leases, by number in $10
-- of each row of leases: $10 key · $11 worker
with q as materialized (
  select id, lease_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and not paused
    and not (
      queues.max_leased is not null
        or queues.rate is not null
        or queues.max_leased_per_group is not null
        or queues.rate_per_group is not null
    )
    and true
), lines as materialized (
  select
    m.line,
    min(h.n) as n
  from unnest($2::bigint[], $3::bigint[]) with ordinality as h (id, fence, n)
  cross join lateral (
    select line
    from holdfast.messages
    where queue_id = $1
      and id = h.id
      and fence = h.fence
      and turn_rank is not null
    limit 1
  ) m
  group by m.line
), locked as materialized (
  select k.line, k.n
  from (select * from lines order by line offset 0) k
  cross join lateral (
    select
    from holdfast.lines
    where queue_id = $1
      and line = k.line
    limit 1
    for update
  ) l
), found as materialized (
  select
    f.id,
    f.rank,
    f.bytes,
    f.round,
    l.n
  from q, locked l
  cross join lateral (
    select
      *,
      row_number() over (order by standing desc, turn_rank desc, place) as round
    from (
      select *
      from (
        select
          true as standing,
          m.id,
          m.rank,
          m.turn_rank,
          m.place,
          case
            when m.body is null then octet_length(m.body_bytes)
              * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
            when m.content_type is null then octet_length(m.body)
            else octet_length(to_json(m.body)::text)
          end
          + coalesce(octet_length(m.headers::text), 0)
          + coalesce(octet_length(m.origin::text), 0)
          + coalesce(octet_length(m.marks::text), 0)
          + 600 as bytes
        from holdfast.messages m
        where m.queue_id = $1
          and m.line = l.line
          and m.turn_rank is not null
          and m.visible_at is null
          and m.dead_at is null
          and m.leased_until is null
          and (m.expires_at is null or m.expires_at > statement_timestamp())
          and m.position is not null
        order by m.position desc
        limit 1
        for no key update skip locked
      ) stands
      union all
      select *
      from (
        select
          false as standing,
          m.id,
          m.rank,
          m.turn_rank,
          m.place,
          case
            when m.body is null then octet_length(m.body_bytes)
              * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
            when m.content_type is null then octet_length(m.body)
            else octet_length(to_json(m.body)::text)
          end
          + coalesce(octet_length(m.headers::text), 0)
          + coalesce(octet_length(m.origin::text), 0)
          + coalesce(octet_length(m.marks::text), 0)
          + 600 as bytes
        from holdfast.messages m
        where m.queue_id = $1
          and m.line = l.line
          and m.turn_rank is not null
          and m.visible_at is null
          and m.dead_at is null
          and m.leased_until is null
          and (m.expires_at is null or m.expires_at > statement_timestamp())
          and m.position is null
        order by m.turn_rank desc, m.place
        limit $4
        for no key update skip locked
      ) parked
    ) ready
  ) f
  order by f.round, l.n
  limit $4
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by round, n)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    (
      select array_agg(nextval('holdfast.lease_ids'))
      from generate_series(1, cardinality($10::text[]))
    ) as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows[($9::smallint[])[places.ns[width_bucket(m.id, places.ids)]]],
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = null
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    m.turn_rank is not null as stood,
    false as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    l.id,
    l.ends_at,
    lease.at,
    $1,
    l.ids,
    l.fences,
    case part when 1 then $8::text[] else array[($11::text[])[part]] end,
    l.holders,
    ($10::text[])[part] as key
  from (
    select
      lease_id as id,
      min(leased_until) as ends_at,
      array_agg(id) as ids,
      array_agg(fence) as fences,
      array_agg(holder) as holders
    from leased
    group by lease_id
  ) l, lease, lateral array_position(lease.rows, l.id) as part
  order by key
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'hasLimits', case
      when q.id is null then exists (
        select
        from holdfast.queues
        where id = $1
          and (
            queues.max_leased is not null
              or queues.rate is not null
              or queues.max_leased_per_group is not null
              or queues.rate_per_group is not null
          )
      )
      else false
    end,
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', (
      select array_agg(idempotency_key)
      from holdfast.leases
      where queue_id = $1
        and idempotency_key = any($10::text[])
    ),
    'acked', null,
    'freed', null,
    'turned', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- leased_by_key
-- $1 queue id · $2 key
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin
from holdfast.leases l
cross join unnest(l.message_ids, l.fences) with ordinality as h (id, fence, n)
cross join lateral (
  select *
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = h.id
    and m.fence = h.fence
    and m.leased_until > statement_timestamp()
  limit 1
) m
cross join lateral (
  select max_attempts
  from holdfast.queues
  where id = $1
  limit 1
) q
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where l.queue_id = $1
  and l.idempotency_key = $2
order by h.n;

-- limited_ack_and_lease
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
-- of each ack: $9 message id · $10 fence
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($9::bigint[])
    and m.fence = ($10::bigint[])[width_bucket(m.id, $9::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
), q as materialized (
  select id, lease_seconds, max_attempts, max_leased, rate, max_leased_per_group, rate_per_group
  from holdfast.queues
  where id = $1
    and not paused
    and (select count(*) from done) >= 0
), limits_row as materialized (
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
      and l.leased_most + $4 < q.max_leased
      and l.counted_at > l.at - interval '1 s'
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
    end - (select count(*) filter (where state = 'leased') from done) as leased,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, l.at) as tokens
  from counting l, q
), room as materialized (
  select
    r.*,
    greatest(
      0,
      least(
        $4,
        q.max_leased - r.leased,
        floor(r.tokens)
      )
    )::bigint as messages
  from reckoned r, q
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit coalesce((select messages from room), 0)
    for no key update skip locked
  ) m
  limit coalesce((select messages from room), 0)
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    nextval('holdfast.lease_ids') as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows,
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = case
      when m.turn_rank is not null and q.max_leased_per_group is not null then true
    end
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    (m.turn_rank is not null or m.line is not null and q.rate_per_group is not null) as stood,
    m.counted is true as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    lease.rows,
    min(l.leased_until),
    lease.at,
    $1,
    array_agg(l.id),
    array_agg(l.fence),
    $8::text[],
    array_agg(l.holder),
    null
  from leased l, lease
  group by lease.rows, lease.at
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
), charged as (
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
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'room', (
      select json_build_object(
        'messages', room.messages,
        'places', q.max_leased - room.leased - n.count,
        'tokens', room.tokens - n.count,
        'perSecond', holdfast.per_second(q.rate),
        'burst', holdfast.burst(q.rate)
      )
      from room, q, (select count(*) as count from leased) n
    ),
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', null,
    'acked', (select string_agg(id || '.' || fence, ',') from done),
    'freed', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from done
      where stood
        or was_counted
      having count(*) > 0
    ),
    'turned', (
      select holdfast.leased_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- limited_ack_and_lease_keyed
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
-- of each ack: $9 message id · $10 fence
-- of each message wanted: $11 its row of leases, by number in $12
-- of each row of leases: $12 key · $13 worker
with keeping as materialized (
  select keep_acked_seconds, max_attempts
  from holdfast.queues
  where id = $1
    and keep_acked_seconds > 0
), done as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($9::bigint[])
    and m.fence = ($10::bigint[])[width_bucket(m.id, $9::bigint[])]
  returning
    m.*,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
), archived as (
  insert into holdfast.acked (
    id,
    enqueued_at,
    acked_at,
    keep_until,
    fence,
    queue_id,
    attempt,
    max_attempts,
    rank,
    body,
    body_bytes,
    content_type,
    headers,
    marks,
    origin
  )
  select
    m.id,
    m.enqueued_at,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds),
    m.fence,
    m.queue_id,
    m.attempt,
    coalesce(m.max_attempts, keeping.max_attempts),
    coalesce(m.turn_rank, m.rank),
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin
  from keeping, done m
  returning 1
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from done where fence > 1))
    and not exists (select from keeping)
), acks_noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    (select count(*) from archived),
    count(*)
  from done
  having count(*) > 0
), q as materialized (
  select id, lease_seconds, max_attempts, max_leased, rate, max_leased_per_group, rate_per_group
  from holdfast.queues
  where id = $1
    and not paused
    and (select count(*) from done) >= 0
), limits_row as materialized (
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
      and l.leased_most + $4 < q.max_leased
      and l.counted_at > l.at - interval '1 s'
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
    end - (select count(*) filter (where state = 'leased') from done) as leased,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, l.at) as tokens
  from counting l, q
), room as materialized (
  select
    r.*,
    greatest(
      0,
      least(
        $4,
        q.max_leased - r.leased,
        floor(r.tokens)
      )
    )::bigint as messages
  from reckoned r, q
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit coalesce((select messages from room), 0)
    for no key update skip locked
  ) m
  limit coalesce((select messages from room), 0)
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    (
      select array_agg(nextval('holdfast.lease_ids'))
      from generate_series(1, cardinality($12::text[]))
    ) as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows[($11::smallint[])[places.ns[width_bucket(m.id, places.ids)]]],
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = case
      when m.turn_rank is not null and q.max_leased_per_group is not null then true
    end
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    (m.turn_rank is not null or m.line is not null and q.rate_per_group is not null) as stood,
    m.counted is true as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    l.id,
    l.ends_at,
    lease.at,
    $1,
    l.ids,
    l.fences,
    case part when 1 then $8::text[] else array[($13::text[])[part]] end,
    l.holders,
    ($12::text[])[part] as key
  from (
    select
      lease_id as id,
      min(leased_until) as ends_at,
      array_agg(id) as ids,
      array_agg(fence) as fences,
      array_agg(holder) as holders
    from leased
    group by lease_id
  ) l, lease, lateral array_position(lease.rows, l.id) as part
  order by key
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
), charged as (
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
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'room', (
      select json_build_object(
        'messages', room.messages,
        'places', q.max_leased - room.leased - n.count,
        'tokens', room.tokens - n.count,
        'perSecond', holdfast.per_second(q.rate),
        'burst', holdfast.burst(q.rate)
      )
      from room, q, (select count(*) as count from leased) n
    ),
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', (
      select array_agg(idempotency_key)
      from holdfast.leases
      where queue_id = $1
        and idempotency_key = any($12::text[])
    ),
    'acked', (select string_agg(id || '.' || fence, ',') from done),
    'freed', (
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from done
      where stood
        or was_counted
      having count(*) > 0
    ),
    'turned', (
      select holdfast.leased_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- limited_lease
-- $1 queue id · $2 ranks · $3 where the scan begins in each rank
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers
with q as materialized (
  select id, lease_seconds, max_attempts, max_leased, rate, max_leased_per_group, rate_per_group
  from holdfast.queues
  where id = $1
    and not paused
    and true
), limits_row as materialized (
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
      and l.leased_most + $4 < q.max_leased
      and l.counted_at > l.at - interval '1 s'
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
    end - 0 as leased,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, l.at) as tokens
  from counting l, q
), room as materialized (
  select
    r.*,
    greatest(
      0,
      least(
        $4,
        q.max_leased - r.leased,
        floor(r.tokens)
      )
    )::bigint as messages
  from reckoned r, q
), found as materialized (
  select m.*
  from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
  cross join lateral (
    select
      m.id,
      m.rank,
      m.position,
      case
        when m.body is null then octet_length(m.body_bytes)
          * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body)
        else octet_length(to_json(m.body)::text)
      end
      + coalesce(octet_length(m.headers::text), 0)
      + coalesce(octet_length(m.origin::text), 0)
      + coalesce(octet_length(m.marks::text), 0)
      + 600 as bytes
    from holdfast.messages m
    where m.queue_id = $1
      and m.rank = level.rank
      and m.position >= level.hint
      and m.visible_at is null
        and m.dead_at is null
        and m.position is not null
      and m.leased_until is null
      and (m.expires_at is null or m.expires_at > statement_timestamp())
    order by m.position
    limit coalesce((select messages from room), 0)
    for no key update skip locked
  ) m
  limit coalesce((select messages from room), 0)
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by rank desc, position)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
), lease as materialized (
  select
    nextval('holdfast.lease_ids') as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows,
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = case
      when m.turn_rank is not null and q.max_leased_per_group is not null then true
    end
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    (m.turn_rank is not null or m.line is not null and q.rate_per_group is not null) as stood,
    m.counted is true as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    lease.rows,
    min(l.leased_until),
    lease.at,
    $1,
    array_agg(l.id),
    array_agg(l.fence),
    $8::text[],
    array_agg(l.holder),
    null
  from leased l, lease
  group by lease.rows, lease.at
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
), charged as (
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
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'room', (
      select json_build_object(
        'messages', room.messages,
        'places', q.max_leased - room.leased - n.count,
        'tokens', room.tokens - n.count,
        'perSecond', holdfast.per_second(q.rate),
        'burst', holdfast.burst(q.rate)
      )
      from room, q, (select count(*) as count from leased) n
    ),
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', null,
    'acked', null,
    'freed', null,
    'turned', (
      select holdfast.leased_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- limited_lease_turns
-- $1 queue id · of messages whose groups are meant: $2 id · $3 fence
-- $4 messages wanted · $5 bytes allowed
-- of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says
-- $8 workers · $9 its row of leases, by number in $10
-- of each row of leases: $10 key · $11 worker
with q as materialized (
  select id, lease_seconds, max_attempts, max_leased, rate, max_leased_per_group, rate_per_group
  from holdfast.queues
  where id = $1
    and not paused
    and true
), limits_row as materialized (
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
      and l.leased_most + $4 < q.max_leased
      and l.counted_at > l.at - interval '1 s'
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
    end - 0 as leased,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, l.at) as tokens
  from counting l, q
), room as materialized (
  select
    r.*,
    greatest(
      0,
      least(
        $4,
        q.max_leased - r.leased,
        floor(r.tokens)
      )
    )::bigint as messages
  from reckoned r, q
), lines as materialized (
  select
    m.line,
    min(h.n) as n
  from unnest($2::bigint[], $3::bigint[]) with ordinality as h (id, fence, n)
  cross join lateral (
    select line
    from holdfast.messages
    where queue_id = $1
      and id = h.id
      and fence = h.fence
      and turn_rank is not null
    limit 1
  ) m
  group by m.line
), locked as materialized (
  select k.line, k.n
  from (select * from lines order by line offset 0) k
  cross join lateral (
    select
    from holdfast.lines
    where queue_id = $1
      and line = k.line
    limit 1
    for update
  ) l
), found as materialized (
  select
    f.id,
    f.rank,
    f.bytes,
    f.round,
    l.n
  from q, locked l
  cross join lateral (
    select
      *,
      row_number() over (order by standing desc, turn_rank desc, place) as round
    from (
      select *
      from (
        select
          true as standing,
          m.id,
          m.rank,
          m.turn_rank,
          m.place,
          case
            when m.body is null then octet_length(m.body_bytes)
              * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
            when m.content_type is null then octet_length(m.body)
            else octet_length(to_json(m.body)::text)
          end
          + coalesce(octet_length(m.headers::text), 0)
          + coalesce(octet_length(m.origin::text), 0)
          + coalesce(octet_length(m.marks::text), 0)
          + 600 as bytes
        from holdfast.messages m
        where m.queue_id = $1
          and m.line = l.line
          and m.turn_rank is not null
          and m.visible_at is null
          and m.dead_at is null
          and m.leased_until is null
          and (m.expires_at is null or m.expires_at > statement_timestamp())
          and m.position is not null
        order by m.position desc
        limit 1
        for no key update skip locked
      ) stands
      union all
      select *
      from (
        select
          false as standing,
          m.id,
          m.rank,
          m.turn_rank,
          m.place,
          case
            when m.body is null then octet_length(m.body_bytes)
              * case when m.content_type ~ '^(text/|application/(.*\+)?(xml|json))' then 6 else 2 end
            when m.content_type is null then octet_length(m.body)
            else octet_length(to_json(m.body)::text)
          end
          + coalesce(octet_length(m.headers::text), 0)
          + coalesce(octet_length(m.origin::text), 0)
          + coalesce(octet_length(m.marks::text), 0)
          + 600 as bytes
        from holdfast.messages m
        where m.queue_id = $1
          and m.line = l.line
          and m.turn_rank is not null
          and m.visible_at is null
          and m.dead_at is null
          and m.leased_until is null
          and (m.expires_at is null or m.expires_at > statement_timestamp())
          and m.position is null
        order by m.turn_rank desc, m.place
        limit greatest(
          0,
          least(
            coalesce((select messages from room), 0),
            least(
              q.max_leased_per_group - coalesce(
                (
                  select leased
                  from holdfast.lines counting
                  where counting.queue_id = q.id
                    and counting.line = l.line
                ),
                0
              ),
              floor((
                select holdfast.tokens_at(q.rate_per_group, r.tokens, r.refilled_at, clock_timestamp())
                from (select) one
                left join lateral (
                  select tokens, refilled_at
                  from holdfast.line_rates
                  where queue_id = q.id
                    and line = l.line
                  limit 1
                ) r on true
              ))
            ) - (
              select count(*)
              from (
                select
                from holdfast.messages m
                where m.queue_id = $1
                  and m.line = l.line
                  and m.turn_rank is not null
                  and m.visible_at is null
                  and m.dead_at is null
                  and m.leased_until is null
                  and (m.expires_at is null or m.expires_at > statement_timestamp())
                  and m.position is not null
                limit 1
              ) stands
            )
          )
        )::bigint
        for no key update skip locked
      ) parked
    ) ready
  ) f
  order by f.round, l.n
  limit coalesce((select messages from room), 0)
), taken as materialized (
  select id, rank, n, bytes
  from (
    select
      id,
      rank,
      row_number() over in_order as n,
      sum(bytes) over in_order as bytes
    from found
    window in_order as (order by round, n)
  ) f
  where n = 1
    or bytes <= $5
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(n order by id) as ns
  from taken
),
lease as materialized (
  select
    (
      select array_agg(nextval('holdfast.lease_ids'))
      from generate_series(1, cardinality($10::text[]))
    ) as rows,
    clock_timestamp() as at
  where exists (select from taken)
), leased as (
  update holdfast.messages m
  set
    fence = m.fence + 1,
    attempt = m.attempt + 1,
    lease_id = lease.rows[($9::smallint[])[places.ns[width_bucket(m.id, places.ids)]]],
    leased_until = lease.at + make_interval(
      secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds)
    ),
    unique_key = case
      when m.unique_until_leased then null
      else m.unique_key
    end,
          counted = case
      when m.turn_rank is not null and q.max_leased_per_group is not null then true
    end
  from lease, q, places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.id,
    m.fence,
    m.attempt,
    m.max_attempts,
    m.body,
    m.body_bytes,
    m.content_type,
    m.headers,
    m.marks,
    m.origin,
    m.rank,
    m.position,
    m.enqueued_at,
    m.leased_until,
    m.lease_id,
    m.queue_id,
    m.line,
    m.place,
    m.turn_rank,
    (m.turn_rank is not null or m.line is not null and q.rate_per_group is not null) as stood,
    m.counted is true as was_counted,
    places.ns[width_bucket(m.id, places.ids)] as n,
    ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
), kept as (
  insert into holdfast.leases (
    id,
    ends_at,
    leased_at,
    queue_id,
    message_ids,
    fences,
    workers,
    holders,
    idempotency_key
  )
  select
    l.id,
    l.ends_at,
    lease.at,
    $1,
    l.ids,
    l.fences,
    case part when 1 then $8::text[] else array[($11::text[])[part]] end,
    l.holders,
    ($10::text[])[part] as key
  from (
    select
      lease_id as id,
      min(leased_until) as ends_at,
      array_agg(id) as ids,
      array_agg(fence) as fences,
      array_agg(holder) as holders
    from leased
    group by lease_id
  ) l, lease, lateral array_position(lease.rows, l.id) as part
  order by key
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, leased_total)
  select
    $1,
    -count(*),
    count(*),
    count(*)
  from leased
  having count(*) > 0
), charged as (
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
)
select
  m.id,
  m.fence,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.enqueued_at as "enqueuedAt",
  m.leased_until as "leaseExpiresAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  m.position,
  case when coalesce(m.n, 1) = 1 then json_build_object(
    'scanned', q.id is not null,
    'room', (
      select json_build_object(
        'messages', room.messages,
        'places', q.max_leased - room.leased - n.count,
        'tokens', room.tokens - n.count,
        'perSecond', holdfast.per_second(q.rate),
        'burst', holdfast.burst(q.rate)
      )
      from room, q, (select count(*) as count from leased) n
    ),
    'last', (select last_value from holdfast.positions),
    'rank', (select min(rank) from taken),
    'found', (select count(*) from found),
    'bytes', (select coalesce(max(bytes), 0) from taken),
    'full', (select coalesce(sum(bytes), 0) > $5 from found),
    'usedKeys', (
      select array_agg(idempotency_key)
      from holdfast.leases
      where queue_id = $1
        and idempotency_key = any($10::text[])
    ),
    'acked', null,
    'freed', null,
    'turned', (
      select holdfast.leased_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(n),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from leased
      where stood
        or was_counted
      having count(*) > 0
    ),
    'atMs', (select extract(epoch from at) * 1000 from lease)
  ) end as scan
from (select) one
left join q on true
left join leased m on true
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 1
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
order by m.n;

-- list_due_schedules
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
    limit 10000
  ) due
) d
order by d.turn, bytes, next_at, name;

-- list_queue_names
-- $1 after this name · $2 page size · $3 names · $4 beginnings
-- $5 dead-letter queue, or null
select name
from holdfast.queues
where name > $1
  and (
    name = any($3::text[])
    or exists (select from unnest($4::text[]) as beginning where starts_with(name, beginning))
  )
  and ($5::text is null or dead_letter_queue = $5)
order by name
limit $2;

-- list_queues
-- $1 after this name · $2 page size · $3 names · $4 beginnings
-- $5 dead-letter queue, or null
with r as materialized (
  select
    q.*,
    (c.ready + t.ready) as ready,
    (c.delayed + t.delayed) as delayed,
    (c.leased + t.leased) as leased,
    (c.dead + t.dead) as dead,
    (c.acked + t.acked) as acked,
    (c.acked_total + t.acked_total) as acked_total,
    (c.expired_total + t.expired_total) as expired_total,
    (c.buried_total + t.buried_total) as buried_total,
    (c.returned_total + t.returned_total) as returned_total,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, clock_timestamp()) as tokens,
    (
      select n.at + make_interval(
        secs => (1 - n.tokens) / (holdfast.per_second(q.rate))
      )
      from (
        select c.at, holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, c.at) as tokens
        from (select clock_timestamp() as at offset 0) c
      ) n
      where n.tokens < 1
    ) as next_token_at
  from (
    select *
    from (
      select
        *,
        (count(*) over ())::integer as found,
        sum(octet_length(tags::text)) over (order by name) - octet_length(tags::text) as tag_bytes
      from (
        select *
        from holdfast.queues
        where name > $1
          and (
            name = any($3::text[])
            or exists (select from unnest($4::text[]) as beginning where starts_with(name, beginning))
          )
          and ($5::text is null or dead_letter_queue = $5)
        order by name
        limit $2
      ) q
    ) q
    where tag_bytes < 4194304
  ) q
  cross join lateral (
    select *
    from holdfast.counts
    where queue_id = q.id
    limit 1
  ) c
  cross join lateral (
    select
      coalesce(sum(l.ready), 0) as ready,
      coalesce(sum(l.delayed), 0) as delayed,
      coalesce(sum(l.leased), 0) as leased,
      coalesce(sum(l.dead), 0) as dead,
      coalesce(sum(l.acked), 0) as acked,
      coalesce(sum(l.acked_total), 0) as acked_total,
      coalesce(sum(l.expired_total), 0) as expired_total,
      coalesce(sum(l.buried_total), 0) as buried_total,
      coalesce(sum(l.returned_total), 0) as returned_total
    from holdfast.ledger l
    where l.queue_id = q.id
  ) t
  left join lateral (
    select *
    from holdfast.limits
    where queue_id = q.id
    limit 1
  ) l on true
)
select
  r.*,
  case
    when r.ready > 0 then extract(
      epoch from clock_timestamp() - least(
        (
          select min(coalesce(head.ready, head.any))
          from generate_series(0, 19) as level (rank)
          cross join lateral (
            select
              min(ready_at) filter (where leased_until is null) as ready,
              max(ready_at) as any
            from (
              select
                coalesce(m.ready_at, m.enqueued_at) as ready_at,
                m.leased_until
              from holdfast.messages m
              where m.queue_id = r.id
                and m.rank = level.rank::smallint
                and m.visible_at is null
                  and m.dead_at is null
                  and m.position is not null
              order by m.position
              limit 1000
            ) first
          ) head
        ),
        (
          select min(coalesce(m.ready_at, m.enqueued_at))
          from holdfast.queues lined
          cross join lateral (
            select *
            from holdfast.messages
            where queue_id = lined.id
            order by id
            limit 1000
          ) m
          where lined.id = r.id
            and (lined.ordering <> 'none' or lined.takes_turns)
            and (
              m.line is not null
              and m.position is null
              and m.leased_until is null
              and m.dead_at is null
            )
            and m.visible_at is null
        )
      )
    )::float8
  end as oldest_ready_seconds
from r
order by r.name;

-- list_redrives
-- $1 queue id
select
  id::text as task,
  destination as "to",
  rate as "ratePerSecond",
  redriven::float8 as redriven,
  state,
  failure,
  started_at as "startedAt"
from holdfast.redrives
where queue_id = $1
order by id desc
limit 100;

-- list_schedules
-- $1 after this name · $2 schedules on the page · $3 queues · $4 beginnings of queue names
select
  name,
  queue,
  cron,
  timezone,
  paused,
  missed,
  priority,
  next_at as "nextAt",
  created_at as "createdAt",
  updated_at as "updatedAt",
  last_at,
  last_fired_at,
  last_outcome,
  last_message_id,
  owner_id,
  owner_name
from holdfast.schedules
where name > $1
  and (
    queue = any($3::text[])
    or exists (select from unnest($4::text[]) as beginning where starts_with(queue, beginning))
  )
order by name
limit $2;

-- list_topics
-- $1 after this topic · $2 page size · $3 names · $4 beginnings
-- $5 a subscriber, or null
select
  topic,
  count(*)::float8 as subscriptions
from holdfast.subscriptions s
where topic > $1
  and (
    topic = any($3::text[])
    or exists (select from unnest($4::text[]) as beginning where starts_with(topic, beginning))
  )
  and (
    $5::text is null
    or exists (
      select from holdfast.subscriptions o
      where o.topic = s.topic
        and o.queue_id = (select id from holdfast.queues where name = $5)
    )
  )
group by topic
order by topic
limit $2;

-- lock_auto_queues
select pg_advisory_xact_lock(4011979);

-- lock_dead_letter_chains
select pg_advisory_xact_lock(4011990);

-- lock_pushes
select pg_advisory_xact_lock(4011983);

-- lock_schedule
-- $1 name · $2 queues · $3 beginnings of queue names
select
  statement_timestamp() as now,
  s.*
from (select) one
left join lateral (
  select
    name,
    queue,
    cron,
    timezone,
    paused,
    missed,
    priority,
    next_at as "nextAt",
    created_at as "createdAt",
    updated_at as "updatedAt",
    last_at,
    last_fired_at,
    last_outcome,
    last_message_id,
    owner_id,
    owner_name,
    body,
    headers
  from holdfast.schedules
  where name = $1
    and (
      queue = any($2::text[])
      or exists (select from unnest($3::text[]) as beginning where starts_with(queue, beginning))
    )
  for update
) s on true;

-- lock_schedule_count
select pg_advisory_xact_lock(4011980);

-- lock_subscriptions
select pg_advisory_xact_lock(4011981);

-- many_rates
-- $1 name
select exists (
  select
  from holdfast.line_rates
  where queue_id = (select id from holdfast.queues where name = $1)
  offset 1000
) as many;

-- message
-- $1 queue id · $2 message id
select
  m.id,
  holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
  m.attempt,
  coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
  m.enqueued_at as "enqueuedAt",
  m.visible_at as "visibleAt",
  f.last_failure as "lastFailure",
  m.origin - 'own' as origin,
  null as result,
  case
    when m.unique_key is not null and m.dead_at is null then json_build_object(
      'key', m.unique_key,
      'until', case when m.unique_until_leased then 'leased' else 'settled' end
    )
  end as unique,
  (
    select json_build_object(
      'worker', l.workers[l.holders[array_position(l.message_ids, m.id)]],
      'leasedAt', holdfast.rfc3339(l.leased_at),
      'expiresAt', holdfast.rfc3339(m.leased_until)
    )
    from holdfast.leases l
    where l.id = m.lease_id
      and m.leased_until is not null
  ) as lease,
  (
    select coalesce(
      json_agg(
        json_build_object(
          'queue', coalesce(h.queue, q.name),
          'attempt', h.attempt,
          'worker', h.worker,
          'leasedAt', holdfast.rfc3339(h.leased_at),
          'endedAt', holdfast.rfc3339(h.ended_at),
          'outcome', h.outcome,
          'reason', h.reason
        )
        order by h.fence
      ),
      '[]'
    )
    from (
      select *
      from (
        select
          *,
          sum(octet_length(reason)) over (order by fence desc) as reason_bytes
        from holdfast.history
        where queue_id = $1
        and message_id = $2
        order by fence desc
        limit 1000
      ) recent
      where coalesce(reason_bytes, 0) <= 262144
    ) h
  ) as history,
  null as "movedTo"
from holdfast.messages m
join holdfast.queues q on q.id = $1
left join lateral (
  select json_build_object(
    'attempt', h.attempt,
    'reason', h.reason,
    'at', holdfast.rfc3339(h.ended_at)
  ) as last_failure
  from holdfast.history h
  where m.fence > 0
    and h.queue_id = $1
    and h.message_id = m.id
    and h.outcome in ('failed', 'expired')
  order by h.fence desc
  limit 1
) f on true
where m.queue_id = $1
  and m.id = $2;

-- move_to
-- $1 queue id · $2 message ids · $3 name of the queue to send them to
with lined as materialized (
  select holdfast.lock_lines_of($1, $2)
), chosen as materialized (
  select
    m.id,
    m.line,
    m.place,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    null as home
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.leased_until is null
    and (select count(*) from lined) > 0
  order by m.id
  for no key update
)
select
  s.target_id as queue_id,
  s.moved as redriven,
  s.ready,
  s.lowest as position
from (
  select
    $3::text as name,
    array_agg(id order by id) as ids,
    count(*) filter (where state = 'ready'),
    count(*) filter (where state = 'delayed'),
    count(*) filter (where state = 'dead'),
    bool_or(line is not null)
  from chosen
  where $3::text is not null
  group by 1
  order by 1
) c (name, ids, ready, delayed, dead, in_lines)
cross join lateral holdfast.send(
  $1,
  c.ids,
  c.name,
  c.ready,
  c.delayed,
  c.dead,
  c.in_lines
) s;

-- moved_message
-- $1 queue id · $2 message id
with recursive chain as (
  select dead_letter_queue as name
  from holdfast.queues
  where id = $1
  union
  select q.dead_letter_queue
  from chain c
  join holdfast.queues q on q.name = c.name
), found as materialized (
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
  cross join lateral (
    select *
    from (
      select
        *,
        sum(octet_length(reason)) over (order by fence desc) as reason_bytes
      from holdfast.history
      where queue_id = m.queue_id
      and message_id = $2
      and queue = m.home
      order by fence desc
      limit 1000
    ) recent
    where coalesce(reason_bytes, 0) <= 262144
  ) h
)
select
  m.id,
  'dead' as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  coalesce(m.turn_rank, m.rank) >> 1 as priority,
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
    select json_build_object(
      'attempt', h.attempt,
      'reason', h.reason,
      'at', holdfast.rfc3339(h.ended_at)
    )
    from attempts h
    where h.outcome in ('failed', 'expired')
    order by h.fence desc
    limit 1
  ) as "lastFailure",
  null::jsonb as origin,
  null::json as unique,
  null::json as lease,
  null as result,
  (
    select coalesce(json_agg(json_build_object(
      'queue', coalesce(h.queue, m.home),
      'attempt', h.attempt,
      'worker', h.worker,
      'leasedAt', holdfast.rfc3339(h.leased_at),
      'endedAt', holdfast.rfc3339(h.ended_at),
      'outcome', h.outcome,
      'reason', h.reason
    ) order by h.fence), '[]')
    from attempts h
  ) as history,
  m.target as "movedTo"
from found m
where m.origin->>'queue' = m.home
  or exists (select from attempts);

-- next_delay
-- $1 what fell due up to this time has been swept before
select
  extract(epoch from (
    select min(visible_at)
    from holdfast.messages
    where visible_at > $1
  ) - clock_timestamp()) * 1000 as ms,
  (statement_timestamp() - interval '1 minute')::text as a_minute_ago;

-- next_lease
-- $1 what fell due up to this time has been swept before
select
  extract(epoch from (
    select min(ends_at) + interval '200 ms'
    from holdfast.leases
    where ends_at > $1
  ) - clock_timestamp()) * 1000 as ms,
  (statement_timestamp() - interval '1 minute')::text as a_minute_ago;

-- next_rate
-- $1 what fell due up to this time has been swept before
select
  extract(epoch from (
    select min(due_at)
    from holdfast.line_rates
    where due_at > $1
  ) - clock_timestamp()) * 1000 as ms,
  (statement_timestamp() - interval '1 minute')::text as a_minute_ago;

-- oldest
select *
from (
  select
    q.id,
    (q.ordering <> 'none' or q.takes_turns) as "hasLines",
    first.enqueued_at <= q.ends_from as enqueued,
    kept.kept_from <= q.ends_from as kept
  from (
    select
      id,
      ordering,
      takes_turns,
      statement_timestamp() - make_interval(secs => retention_seconds) as ends_from
    from holdfast.queues
  ) q
  cross join lateral (
    select *
    from holdfast.counts
    where queue_id = q.id
    limit 1
  ) c
  left join lateral (
    select m.enqueued_at
    from holdfast.messages m
    where m.queue_id = q.id
      and m.kept_from is null
      and (c.enqueued_total > 0 or c.inherited_total = 0)
    order by m.id
    limit 1
  ) first on true
  left join lateral (
    select m.kept_from
    from holdfast.messages m
    where m.queue_id = q.id
      and m.kept_from is not null
    order by m.kept_from
    limit 1
  ) kept on true
) q
where enqueued
  or kept;

-- oldest_ready
-- $1 queue ids
select
  q.id,
  extract(
    epoch from clock_timestamp() - least(
      (
        select min(coalesce(head.ready, head.any))
        from generate_series(0, 19) as level (rank)
        cross join lateral (
          select
            min(ready_at) filter (where leased_until is null) as ready,
            max(ready_at) as any
          from (
            select
              coalesce(m.ready_at, m.enqueued_at) as ready_at,
              m.leased_until
            from holdfast.messages m
            where m.queue_id = q.id
              and m.rank = level.rank::smallint
              and m.visible_at is null
                and m.dead_at is null
                and m.position is not null
            order by m.position
            limit 100
          ) first
        ) head
      ),
      (
        select min(coalesce(m.ready_at, m.enqueued_at))
        from holdfast.queues lined
        cross join lateral (
          select *
          from holdfast.messages
          where queue_id = lined.id
          order by id
          limit 100
        ) m
        where lined.id = q.id
          and (lined.ordering <> 'none' or lined.takes_turns)
          and (
            m.line is not null
            and m.position is null
            and m.leased_until is null
            and m.dead_at is null
          )
          and m.visible_at is null
      )
    )
  )::float8 as age_seconds
from unnest($1::integer[]) as q (id);

-- overview
with unfolded as materialized (
  select
    queue_id,
    sum(ready) as ready,
    sum(delayed) as delayed,
    sum(leased) as leased,
    sum(dead) as dead,
    sum(acked) as acked,
    sum(enqueued_total) as enqueued_total,
    sum(acked_total) as acked_total
  from holdfast.ledger
  group by queue_id
)
select
  extract(epoch from statement_timestamp())::float8 as at_seconds,
  (
    select greatest(count(*) - 20000, 0)
    from holdfast.queues
  )::float8 as left_out,
  coalesce(
    string_agg(
      concat_ws(
        ' ',
        q.id,
        q.name,
        q.paused::integer,
        c.ready + coalesce(l.ready, 0),
        c.delayed + coalesce(l.delayed, 0),
        c.leased + coalesce(l.leased, 0),
        c.dead + coalesce(l.dead, 0),
        c.acked + coalesce(l.acked, 0),
        c.enqueued_total + coalesce(l.enqueued_total, 0),
        c.acked_total + coalesce(l.acked_total, 0)
      ),
      E'\n' order by q.name
    ),
    ''
  ) as lines
from (
  select id, name, paused
  from holdfast.queues
  order by name
  limit 20000
) q
cross join lateral (
  select *
  from holdfast.counts
  where queue_id = q.id
  limit 1
) c
left join unfolded l on l.queue_id = q.id;

-- purge
-- $1 queue id · $2 message ids · $3 states
with matched as materialized (
  select (
    m.line is not null
    and m.position is null
    and m.leased_until is null
    and m.dead_at is null
  ) as parked
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = any($3::text[])
), free as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = any($3::text[])
    and exists (select from matched where parked)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  for update skip locked
), awaited as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = any($3::text[])
    and exists (select from matched where parked)
    and not exists (select from free)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  limit 1
  for update
), standing as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = any($3::text[])
    and not exists (select from matched where parked)
    and not (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  for update
), locked as materialized (
  select id from free
  union all
  select id from awaited
  union all
  select id from standing
), purged as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any(array(select id from locked))
  returning
    m.id,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from purged))
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, purged_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'leased'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from purged
  having count(*) > 0
)
select
  count(*) as purged,
  (select count(*) from matched) > (select count(*) from purged) as more,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from purged
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from purged;

-- purge_acked
-- $1 queue id · $2 message ids
with purged as (
  delete from holdfast.acked
  where queue_id = $1
    and id = any($2::bigint[])
  returning id
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from purged))
), noted as (
  insert into holdfast.ledger (queue_id, acked)
  select
    $1,
    -count(*)
  from purged
  having count(*) > 0
)
select count(*) as purged
from purged;

-- put_push
-- $1 queue · $2 url · $3 requests at one time · $4 timeout in seconds · $5 headers
-- $6 id of a new key · $7 id of a caller; null in $2 to $5: as it is
with q as materialized (
  select id
  from holdfast.queues
  where name = $1
  for key share
)
insert into holdfast.pushes as p (
  queue_id,
  url,
  max_concurrent,
  timeout_seconds,
  headers,
  key_id,
  caller_id
)
select
  q.id,
  coalesce($2::text, o.url),
  coalesce($3::integer, 10),
  coalesce($4::float8, 30),
  coalesce($5::jsonb, '{}'),
  $6::text,
  $7::text
from q
left join holdfast.pushes o on o.queue_id = q.id
where coalesce($2, o.url) is not null
on conflict (queue_id) do update set
  url = coalesce($2, p.url),
  max_concurrent = coalesce($3, p.max_concurrent),
  timeout_seconds = coalesce($4, p.timeout_seconds),
  headers = coalesce($5, p.headers),
  version = nextval('holdfast.push_versions'),
  updated_at = clock_timestamp()
returning
  p.queue_id as "queueId",
  p.url,
  p.max_concurrent as "maxConcurrent",
  p.timeout_seconds as "timeoutSeconds",
  p.headers,
  p.key_id as "keyId",
  p.old_key_id as "oldKeyId",
  p.old_key_until as "oldKeyUntil",
  p.caller_id as "callerId",
  p.created_at as "createdAt",
  p.updated_at as "updatedAt",
  p.xmax = 0 as created;

-- put_subscription
-- $1 topic · $2 queue · $3 pattern, null: as it is · $4 id of a caller
with q as materialized (
  select id
  from holdfast.queues
  where name = $2
  for key share
)
insert into holdfast.subscriptions as s (topic, queue_id, pattern, caller_id)
select $1, id, coalesce($3, '#'), $4
from q
on conflict (topic, queue_id) do update set pattern = coalesce($3, s.pattern)
returning pattern, xmax = 0 as created;

-- queue_totals
select q.name, q.paused, q.queues, c.*
from (
  select
    q.id,
    q.name,
    q.paused,
    (count(*) over ())::float8 as queues
  from holdfast.queues q
  cross join lateral (
    select *
    from holdfast.counts
    where queue_id = q.id
    limit 1
  ) c
  order by
    c.ready <= 0
    and c.delayed <= 0
    and c.leased <= 0
    and c.dead <= 0
    and c.acked <= 0
    and not exists (
      select
      from holdfast.series s
      where s.queue_id = q.id
        and s.at > extract(epoch from statement_timestamp()) - 3600
    ),
    exists (select from holdfast.auto_queues a where a.queue_id = q.id),
    q.id
  limit 1000
) q
cross join lateral (
  select *
  from holdfast.counts
  where queue_id = q.id
  limit 1
) c;

-- queues_with_ready
-- $1 queue ids
select w.queue_id, w.ready
from (
  select
    c.queue_id,
    greatest(
      0,
      least(
        c.ready + t.ready,
        q.max_leased - c.leased - t.leased,
        floor(holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, clock_timestamp()))
      )
    )::bigint as ready
  from holdfast.counts c
  cross join lateral (select * from holdfast.queues where id = c.queue_id limit 1) q
  left join lateral (
    select *
    from holdfast.limits
    where queue_id = c.queue_id
    limit 1
  ) l on true
  cross join lateral (
    select
      coalesce(sum(l.ready), 0) as ready,
      coalesce(sum(l.leased), 0) as leased
    from holdfast.ledger l
    where l.queue_id = c.queue_id
  ) t
  where c.queue_id = any($1::integer[])
) w
where w.ready > 0;

-- redrive
-- $1 queue id · $2 message ids
with lined as materialized (
  select holdfast.lock_lines_of($1, $2)
), chosen as materialized (
  select
    m.id,
    m.line,
    m.place,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    m.turn_rank,
    m.origin->>'queue' as home
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and (m.dead_at is not null or m.origin is not null)
    and m.leased_until is null
    and (select count(*) from lined) > 0
  order by m.id
  for no key update
), opened as materialized (
  select holdfast.open_lines($1, k.lines) as lines
  from (
    select array_agg(line) as lines
    from chosen
    where line is not null
      and turn_rank is null
      and home is null
    having count(*) > 0
  ) k
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select id, nextval('holdfast.positions') as position
    from (
      select id
      from chosen
      cross join (select count(*) from opened) o
      where home is null
      order by case when turn_rank is null then place end nulls first, id
    ) c
  ) c
), changed as (
  update holdfast.messages m
  set
    position = case
      when m.line is null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.line is not null then places.positions[width_bucket(m.id, places.ids)]
    end,
    ready_at = statement_timestamp(),
    dead_at = null,
    unique_key = null,
    fence = m.fence + 1,
    attempt = 0,
    rank = m.rank & ~1,
    turn_rank = m.turn_rank & ~1,
    kept_from = case
      when m.expires_at is null then m.kept_from
      else statement_timestamp()
    end,
    expires_at = statement_timestamp() + holdfast.ttl_of(m.enqueued_at, m.kept_from, m.expires_at)
  from places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    m.turn_rank is not null as stood
), noted as (
  insert into holdfast.ledger (queue_id, ready, dead, redriven_total)
  select
    $1,
    count(*),
    -count(*),
    count(*)
  from changed
  having count(*) > 0
)
select
  $1::integer as queue_id,
  count(*) as redriven,
  count(*) as ready,
  least(
    min(position),
    (
      select a.position
      from opened o
      cross join lateral holdfast.advance(
        $1,
        o.lines,
        array_fill(0::bigint, array[cardinality(o.lines)])
      ) a
      where (select count(*) from changed) > 0
    ),
    ((
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from changed
      where stood
        or was_counted
      having count(*) > 0
    )->>'position')::bigint
  ) as position
from changed
union all
select *
from (
  select
    s.target_id as queue_id,
    s.moved as redriven,
    s.ready,
    s.lowest as position
  from (
    select
      home as name,
      array_agg(id order by id) as ids,
      count(*) filter (where state = 'ready'),
      count(*) filter (where state = 'delayed'),
      count(*) filter (where state = 'dead'),
      bool_or(line is not null)
    from chosen
    where home is not null
    group by 1
    order by 1
  ) c (name, ids, ready, delayed, dead, in_lines)
  cross join lateral holdfast.send(
    $1,
    c.ids,
    c.name,
    c.ready,
    c.delayed,
    c.dead,
    c.in_lines
  ) s
) s;

-- redrive_to
-- $1 queue id · $2 message ids · $3 name of the queue to send them to
with lined as materialized (
  select holdfast.lock_lines_of($1, $2)
), chosen as materialized (
  select
    m.id,
    m.line,
    m.place,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    null as home
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and (m.dead_at is not null or m.origin is not null)
    and m.leased_until is null
    and (select count(*) from lined) > 0
  order by m.id
  for no key update
)
select
  s.target_id as queue_id,
  s.moved as redriven,
  s.ready,
  s.lowest as position
from (
  select
    $3::text as name,
    array_agg(id order by id) as ids,
    count(*) filter (where state = 'ready'),
    count(*) filter (where state = 'delayed'),
    count(*) filter (where state = 'dead'),
    bool_or(line is not null)
  from chosen
  where $3::text is not null
  group by 1
  order by 1
) c (name, ids, ready, delayed, dead, in_lines)
cross join lateral holdfast.send(
  $1,
  c.ids,
  c.name,
  c.ready,
  c.delayed,
  c.dead,
  c.in_lines
) s;

-- release
-- $1 queue id · $2 message ids · $3 fences
with held as materialized (
  select
    m.id,
    m.fence,
    m.attempt,
    m.lease_id,
    (
      (
        m.line is not null
        and m.dead_at is null
        and case
          when m.turn_rank is not null then m.position is not null and m.leased_until is null
          else m.position is not null or m.leased_until is not null
        end
      )
      or m.turn_rank is not null and m.dead_at is null
    ) as stood,
    (m.counted is true and m.leased_until is not null) as was_counted
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and m.fence = ($3::bigint[])[width_bucket(m.id, $2::bigint[])]
    and m.leased_until > statement_timestamp()
    and m.dead_at is null
  order by m.id
  for no key update
), held_by_id as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(stood order by id) as stood,
    array_agg(was_counted order by id) as was_counted
  from held
), released as (
  update holdfast.messages m
  set
    leased_until = null,
    lease_id = null,
    rank = case
      when m.line is null then m.rank | 1
      when m.turn_rank is not null
        or (
          select q.fairness = 'group'
          from holdfast.queues q
          where q.id = m.queue_id
        )
      then m.rank
      else m.rank | 1
    end,
    turn_rank = m.turn_rank | 1,
    position = case
      when m.line is null then nextval('holdfast.positions')
    end,
    place = case
      when m.turn_rank is not null then nextval('holdfast.positions')
      else m.place
    end,
    ready_at = statement_timestamp(),
    attempt = m.attempt - 1
  from held_by_id h
  where m.queue_id = $1
    and m.id = any((select ids from held_by_id)::bigint[])
  returning
    m.id,
    m.fence,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    h.was_counted[width_bucket(m.id, h.ids)] as was_counted,
    h.stood[width_bucket(m.id, h.ids)] as stood
), recorded as (
  insert into holdfast.history (
    leased_at,
    ended_at,
    message_id,
    fence,
    queue_id,
    attempt,
    outcome,
    worker
  )
  select
    l.leased_at,
    statement_timestamp(),
    h.id,
    h.fence,
    $1,
    h.attempt,
    'released',
    l.workers[l.holders[array_position(l.message_ids, h.id)]]
  from held h
  left join lateral (
    select *
    from holdfast.leases
    where id = h.lease_id
    limit 1
  ) l on true
  on conflict do nothing
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, released_total)
  select
    $1,
    count(*),
    -count(*),
    count(*)
  from released
  having count(*) > 0
)
select
  id,
  fence,
  position,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from released
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from released;

-- remove_acked
with gone as (
  delete from holdfast.acked
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.acked
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_asked
with gone as (
  delete from holdfast.asked
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.asked
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_history
with gone as (
  delete from holdfast.history
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.history
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_idempotency_keys
with gone as (
  delete from holdfast.idempotency_keys
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.idempotency_keys
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_leases
with gone as (
  delete from holdfast.leases
  where ctid = any(array(
    select t.ctid
    from holdfast.leases t
    where exists (select from holdfast.removed_queues r where r.queue_id = t.queue_id)
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_ledger
with gone as (
  delete from holdfast.ledger
  where ctid = any(array(
    select t.ctid
    from holdfast.ledger t
    where exists (select from holdfast.removed_queues r where r.queue_id = t.queue_id)
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_limits
with gone as (
  delete from holdfast.limits
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.limits
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_line_rates
with gone as (
  delete from holdfast.line_rates
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.line_rates
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_lines
with gone as (
  delete from holdfast.lines
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.lines
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_messages
with gone as (
  delete from holdfast.messages
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.messages
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_series
with gone as (
  delete from holdfast.series
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.series
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- remove_times
with gone as (
  delete from holdfast.times
  where ctid = any(array(
    select t.ctid
    from holdfast.removed_queues r
    cross join lateral (
      select ctid
      from holdfast.times
      where queue_id = r.queue_id
      limit 5000
    ) t
    limit 5000
  ))
  returning 1
)
select count(*) as removed
from gone;

-- report_queue
-- $1 name
with r as materialized (
  select
    q.*,
    (c.ready + t.ready) as ready,
    (c.delayed + t.delayed) as delayed,
    (c.leased + t.leased) as leased,
    (c.dead + t.dead) as dead,
    (c.acked + t.acked) as acked,
    (c.acked_total + t.acked_total) as acked_total,
    (c.expired_total + t.expired_total) as expired_total,
    (c.buried_total + t.buried_total) as buried_total,
    (c.returned_total + t.returned_total) as returned_total,
    holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, clock_timestamp()) as tokens,
    (
      select n.at + make_interval(
        secs => (1 - n.tokens) / (holdfast.per_second(q.rate))
      )
      from (
        select c.at, holdfast.tokens_at(q.rate, l.tokens, l.refilled_at, c.at) as tokens
        from (select clock_timestamp() as at offset 0) c
      ) n
      where n.tokens < 1
    ) as next_token_at
  from (select * from holdfast.queues where name = $1) q
  cross join lateral (
    select *
    from holdfast.counts
    where queue_id = q.id
    limit 1
  ) c
  cross join lateral (
    select
      coalesce(sum(l.ready), 0) as ready,
      coalesce(sum(l.delayed), 0) as delayed,
      coalesce(sum(l.leased), 0) as leased,
      coalesce(sum(l.dead), 0) as dead,
      coalesce(sum(l.acked), 0) as acked,
      coalesce(sum(l.acked_total), 0) as acked_total,
      coalesce(sum(l.expired_total), 0) as expired_total,
      coalesce(sum(l.buried_total), 0) as buried_total,
      coalesce(sum(l.returned_total), 0) as returned_total
    from holdfast.ledger l
    where l.queue_id = q.id
  ) t
  left join lateral (
    select *
    from holdfast.limits
    where queue_id = q.id
    limit 1
  ) l on true
)
select
  r.*,
  case
    when r.ready > 0 then extract(
      epoch from clock_timestamp() - least(
        (
          select min(coalesce(head.ready, head.any))
          from generate_series(0, 19) as level (rank)
          cross join lateral (
            select
              min(ready_at) filter (where leased_until is null) as ready,
              max(ready_at) as any
            from (
              select
                coalesce(m.ready_at, m.enqueued_at) as ready_at,
                m.leased_until
              from holdfast.messages m
              where m.queue_id = r.id
                and m.rank = level.rank::smallint
                and m.visible_at is null
                  and m.dead_at is null
                  and m.position is not null
              order by m.position
              limit 1000
            ) first
          ) head
        ),
        (
          select min(coalesce(m.ready_at, m.enqueued_at))
          from holdfast.queues lined
          cross join lateral (
            select *
            from holdfast.messages
            where queue_id = lined.id
            order by id
            limit 1000
          ) m
          where lined.id = r.id
            and (lined.ordering <> 'none' or lined.takes_turns)
            and (
              m.line is not null
              and m.position is null
              and m.leased_until is null
              and m.dead_at is null
            )
            and m.visible_at is null
        )
      )
    )::float8
  end as oldest_ready_seconds
from r
order by r.name;

-- resume_lines
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
with due as materialized (
  select queue_id, line, due_at
  from holdfast.line_rates r
  where due_at <= statement_timestamp()
    and due_at > $1
    and (
      r.line is null
      or exists (
        select
        from holdfast.lines l
        where l.queue_id = r.queue_id
          and l.line = r.line
        for update skip locked
      )
      or not exists (
        select
        from holdfast.lines l
        where l.queue_id = r.queue_id
          and l.line = r.line
      )
      and case
        when $2::boolean then holdfast.may_open_line(r.queue_id, r.line)
        else true
      end
    )
  order by due_at
  limit 1000
)
select
  (select count(*) from due) as taken,
  statement_timestamp()::text as began_at,
  null as late_ms,
  resumed.*
from (select) one
left join (
  select
    k.queue_id,
    f.ready,
    f.position
  from (
    select queue_id, array_agg(line order by due_at) as lines
    from due
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.resume_lines(k.queue_id, k.lines) f
) resumed on true;

-- resume_other_lines
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
-- $3 the queue that has the most, or 0
with others as materialized (
  select queue_id, due_at as due_at, ctid as place
  from holdfast.line_rates
  where due_at <= statement_timestamp()
    and due_at > $1
    and queue_id <> $3::integer
  order by due_at
  limit 100000
), turns as materialized (
  select
    place,
    row_number() over (partition by queue_id order by due_at) as turn
  from others
  order by turn, due_at
  limit 1000
), due as materialized (
  select due.*
  from turns
  cross join lateral (
    select queue_id, line, due_at
    from holdfast.line_rates r
    where ctid = turns.place
      and due_at <= statement_timestamp()
      and (
        r.line is null
        or exists (
          select
          from holdfast.lines l
          where l.queue_id = r.queue_id
            and l.line = r.line
          for update skip locked
        )
        or not exists (
          select
          from holdfast.lines l
          where l.queue_id = r.queue_id
            and l.line = r.line
        )
        and case
          when $2::boolean then holdfast.may_open_line(r.queue_id, r.line)
          else true
        end
      )
    limit 1
  ) due
)
select
  (select count(*) from turns) as taken,
  statement_timestamp()::text as began_at,
  null as late_ms,
  resumed.*
from (select) one
left join (
  select
    k.queue_id,
    f.ready,
    f.position
  from (
    select queue_id, array_agg(line order by due_at) as lines
    from due
    group by queue_id
    order by queue_id
  ) k
  cross join lateral holdfast.resume_lines(k.queue_id, k.lines) f
) resumed on true;

-- retention
-- $1 queue id · $2 after this message id · $3 whether parked messages are meant
with old as materialized (
  select m.id
  from holdfast.messages m
  join holdfast.queues q on q.id = m.queue_id
  where m.queue_id = $1
    and m.id > $2 and m.kept_from is null
    and m.enqueued_at <= statement_timestamp() - make_interval(secs => q.retention_seconds)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    ) = $3
  order by m.id
  limit 5000
  for update of m skip locked
), expired as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any(array(select id from old))
    and m.leased_until is null
  returning
    m.id,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from expired))
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from expired
  having count(*) > 0
)
select
  max(id) as seen_to,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from expired
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from old;

-- retention_of_kept
-- $1 queue id · $2 after this message id · $3 whether parked messages are meant
with old as materialized (
  select m.id
  from holdfast.messages m
  join holdfast.queues q on q.id = m.queue_id
  where m.queue_id = $1
    and m.leased_until is null and $2::bigint = 0
    and m.kept_from <= statement_timestamp() - make_interval(secs => q.retention_seconds)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    ) = $3
  order by m.kept_from
  limit 5000
  for update of m skip locked
), expired as (
  delete from holdfast.messages m
  where m.queue_id = $1
    and m.id = any(array(select id from old))
    and m.leased_until is null
  returning
    m.id,
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state,
    (
      m.line is not null
      and m.dead_at is null
      and case
        when m.turn_rank is not null then m.position is not null and m.leased_until is null
        else m.position is not null or m.leased_until is not null
      end
    ) as stood
), forgotten as (
  delete from holdfast.history
  where queue_id = $1
    and message_id = any(array(select id from expired))
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
  select
    $1,
    -count(*) filter (where state = 'ready'),
    -count(*) filter (where state = 'delayed'),
    -count(*) filter (where state = 'dead'),
    count(*)
  from expired
  having count(*) > 0
)
select
  max(id) as seen_to,
  (
    select holdfast.settled_messages(
      min(queue_id),
      array_agg(line),
      array_agg(place),
      array_agg(position),
      array_agg(turn_rank is not null),
      array_agg(stood),
      array_agg(was_counted)
    )
    from expired
    where stood
      or was_counted
    having count(*) > 0
  ) as freed
from old;

-- retry
-- $1 queue id · $2 message ids
with matched as materialized (
  select (
    m.line is not null
    and m.position is null
    and m.leased_until is null
    and m.dead_at is null
  ) as parked
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = 'delayed'
), free as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = 'delayed'
    and exists (select from matched where parked)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  for no key update skip locked
), awaited as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = 'delayed'
    and exists (select from matched where parked)
    and not exists (select from free)
    and (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  limit 1
  for no key update
), standing as materialized (
  select m.id
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any($2::bigint[])
    and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = 'delayed'
    and not exists (select from matched where parked)
    and not (
      m.line is not null
      and m.position is null
      and m.leased_until is null
      and m.dead_at is null
    )
  order by m.id
  for no key update
), locked as materialized (
  select id from free
  union all
  select id from awaited
  union all
  select id from standing
), chosen as materialized (
  select m.id, m.visible_at
  from holdfast.messages m
  where m.queue_id = $1
    and m.id = any(array(select id from locked))
), places as materialized (
  select
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select id, nextval('holdfast.positions') as position
    from (select id from chosen order by visible_at, id) c
  ) c
), changed as (
  update holdfast.messages m
  set
    position = case
      when m.position is not null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.turn_rank is not null then places.positions[width_bucket(m.id, places.ids)]
      else m.place
    end,
    ready_at = statement_timestamp(),
    visible_at = null
  from places
  where m.queue_id = $1
    and m.id = any((select ids from places)::bigint[])
  returning
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    (m.counted is true and m.leased_until is not null) as was_counted,
    m.turn_rank is not null as stood
), noted as (
  insert into holdfast.ledger (queue_id, ready, delayed)
  select
    $1,
    count(*),
    -count(*)
  from changed
  having count(*) > 0
)
select
  count(*) as changed,
  (select count(*) from matched) > (select count(*) from changed) as more,
  least(
    min(position),
    ((
      select holdfast.settled_messages(
        min(queue_id),
        array_agg(line),
        array_agg(place),
        array_agg(position),
        array_agg(turn_rank is not null),
        array_agg(stood),
        array_agg(was_counted)
      )
      from changed
      where stood
        or was_counted
      having count(*) > 0
    )->>'position')::bigint
  ) as position
from changed;

-- rotate_push
-- $1 queue · $2 id of a new key · $3 seconds for which the old one signs too
update holdfast.pushes p
set
  old_key_id = p.key_id,
  old_key_until = clock_timestamp() + $3 * interval '1 second',
  key_id = $2,
  version = nextval('holdfast.push_versions'),
  updated_at = clock_timestamp()
where p.queue_id = (select id from holdfast.queues where name = $1)
returning
  p.queue_id as "queueId",
  p.url,
  p.max_concurrent as "maxConcurrent",
  p.timeout_seconds as "timeoutSeconds",
  p.headers,
  p.key_id as "keyId",
  p.old_key_id as "oldKeyId",
  p.old_key_until as "oldKeyUntil",
  p.caller_id as "callerId",
  p.created_at as "createdAt",
  p.updated_at as "updatedAt";

-- search
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
        from holdfast.messages m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and true
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_acked
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          'acked' as state
        from holdfast.acked m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and true
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_acked_by_id
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
-- $11 message ids
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          'acked' as state
        from holdfast.acked m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and m.id = any($11::bigint[])
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_all_redrivable
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined
select
  count(*) as examined,
  null as bytes,
  max(id) as examined_to,
  count(*) = $4 as more,
  coalesce(array_agg(id order by id) filter (where state <> 'leased'), '{}') as ids
from (
  (
    select
      m.id,
      m.body,
      m.enqueued_at,
      m.marks,
      holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
    from holdfast.messages m
    where m.queue_id = $1
      and m.id > $2
      and m.id <= $3
      and m.dead_at is not null and m.origin is null
    order by m.id
    limit $4
  )
  union all
  (
    select
      m.id,
      m.body,
      m.enqueued_at,
      m.marks,
      holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
    from holdfast.messages m
    where m.queue_id = $1
      and m.id > $2
      and m.id <= $3
      and m.origin is not null
    order by m.id
    limit $4
  )
  order by id
  limit $4
) m;

-- search_by_id
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
-- $11 message ids
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
        from holdfast.messages m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and m.id = any($11::bigint[])
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_dead
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          'dead' as state
        from holdfast.messages m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and m.dead_at is not null
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_redrivable
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        (
          select
            m.id,
            m.body,
            m.enqueued_at,
            m.marks,
            holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
          from holdfast.messages m
          where m.queue_id = $1
            and m.id > $2
            and m.id <= $3
            and m.dead_at is not null and m.origin is null
          order by m.id
          limit $4
        )
        union all
        (
          select
            m.id,
            m.body,
            m.enqueued_at,
            m.marks,
            holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
          from holdfast.messages m
          where m.queue_id = $1
            and m.id > $2
            and m.id <= $3
            and m.origin is not null
          order by m.id
          limit $4
        )
        order by id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- search_redrivable_by_id
-- $1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states
-- $6 piece of the body · $7 piece of the last reason
-- $8 enqueued at or after · $9 enqueued before · $10 group
-- $11 message ids
select
  count(*) filter (where fits) as examined,
  max(bytes) filter (where fits and $6::text is not null) as bytes,
  max(id) filter (where fits) as examined_to,
  count(*) = $4 or bool_or(not fits) as more,
  coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
from (
  select
    m.id,
    m.bytes,
    m.fits,
    case
      when m.fits then
        m.state = any($5::text[])
        and ($8::timestamptz is null or m.enqueued_at >= $8)
        and ($9::timestamptz is null or m.enqueued_at < $9)
        and ($10::text is null or m.marks->>'group' = $10)
        and ($6::text is null or position(convert_to($6, 'UTF8') in convert_to(m.body, 'UTF8')) > 0)
        and ($7::text is null or exists (
          select
          from (
            select h.reason
            from holdfast.history h
            where h.queue_id = $1
              and h.message_id = m.id
              and h.outcome in ('failed', 'expired')
            order by h.fence desc
            limit 1
          ) h
          where position(convert_to($7, 'UTF8') in convert_to(h.reason, 'UTF8')) > 0
        ))
    end as matched
  from (
    select
      m.*,
      m.place = 1 or $6::text is null or m.bytes <= 4194304 as fits
    from (
      select
        m.*,
        row_number() over in_order as place,
        sum(octet_length(m.body)) over in_order as bytes
      from (
        select
          m.id,
          m.body,
          m.enqueued_at,
          m.marks,
          holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
        from holdfast.messages m
        where m.queue_id = $1
          and m.id > $2
          and m.id <= $3
          and m.id = any($11::bigint[]) and (m.origin is not null or m.dead_at is not null)
        order by m.id
        limit $4
      ) m
      window in_order as (order by m.id rows unbounded preceding)
    ) m
  ) m
) examined;

-- series
-- $1 queue id
select
  t.at as last,
  (
    select json_agg(
      json_build_object(
        'at', at,
        'ready', ready,
        'delayed', delayed,
        'leased', leased,
        'dead', dead,
        'enqueued', enqueued_total,
        'acked', acked_total,
        'failed', failed_total
      )
      order by s.at
    )
    from (
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at <= t.at - 3600
        order by at desc
        limit 1
      )
      union all
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at > t.at - 3600
        order by at
        limit 120
      )
    ) s
  ) as samples,
  (
    select json_agg(json_build_object('at', at, 'waits', waits, 'works', works))
    from holdfast.times
    where queue_id = q.id
      and at > t.at - 3600
  ) as times
from holdfast.series_turn t
cross join (select $1::integer as id) q;

-- share_stats
-- $1 queue ids · $2 milliseconds since a lease was asked for, null: it was not
-- $3 messages by waiting time, $4 by working time: the buckets, as text
with counted as materialized (
  select i.*
  from unnest($1::integer[], $2::float8[], $3::text[], $4::text[])
    as i (queue_id, asked_ms_ago, waits, works)
  where (i.queue_id in (select id from holdfast.queues where id = any($1::integer[]))) is true
  order by i.queue_id
), timed as (
  insert into holdfast.times as t (queue_id, at, waits, works)
  select
    queue_id,
    (floor(extract(epoch from statement_timestamp()) / 30) * 30)::integer,
    waits::integer[],
    works::integer[]
  from counted
  where waits <> '{}'
    or works <> '{}'
  on conflict (queue_id, at) do update set
    waits = holdfast.sums_of(t.waits, excluded.waits),
    works = holdfast.sums_of(t.works, excluded.works)
)
insert into holdfast.asked as a (queue_id, asked_at)
select queue_id, statement_timestamp() - make_interval(secs => asked_ms_ago / 1000)
from counted
where asked_ms_ago is not null
on conflict (queue_id) do update set asked_at = excluded.asked_at
where a.asked_at < excluded.asked_at;

-- sparks
-- $1 names
select
  q.name,
  t.at as last,
  (
    select json_agg(
      json_build_object(
        'at', at,
        'enqueued', enqueued_total,
        'acked', acked_total
      )
      order by s.at
    )
    from (
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at <= t.at - 3600
        order by at desc
        limit 1
      )
      union all
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at > t.at - 3600
        order by at
        limit 120
      )
    ) s
  ) as samples
from holdfast.series_turn t
cross join (
  select id, name
  from holdfast.queues
  where name = any($1::text[])
) q;

-- sweep_leases
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
with seen as materialized (
  select l.*
  from holdfast.leases l
  where l.ends_at <= statement_timestamp()
    and l.ends_at > $1
  order by l.ends_at
  limit 500
  for update skip locked
), due as materialized (
  select *
  from (
    select
      seen.*,
      sum(cardinality(message_ids)) over in_turn as messages,
      row_number() over in_turn as n
    from seen
    window in_turn as (order by ends_at, id)
  ) s
  where n = 1
    or messages <= 4000
), open as materialized (
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
  where (
    open.line is null
    or exists (
      select
      from holdfast.lines l
      where l.queue_id = open.queue_id
        and l.line = open.line
      for update skip locked
    )
    or not exists (
      select
      from holdfast.lines l
      where l.queue_id = open.queue_id
        and l.line = open.line
    )
    and case
      when $2::boolean then holdfast.may_open_line(open.queue_id, open.line)
      else true
    end
  )
), places as materialized (
  select
    array_agg(place) as places,
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select *, nextval('holdfast.positions') as position
    from (select * from locked order by leased_until, id) l
  ) l
), lapsed as (
  update holdfast.messages m
  set
    leased_until = null,
    lease_id = null,
    rank = case
      when m.line is null then m.rank | 1
      when m.turn_rank is not null
        or (
          select q.fairness = 'group'
          from holdfast.queues q
          where q.id = m.queue_id
        )
      then m.rank
      else m.rank | 1
    end,
    turn_rank = m.turn_rank | 1,
    position = case
      when m.line is null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.turn_rank is not null then places.positions[width_bucket(m.id, places.ids)]
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
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    m.counted is true as was_counted,
    m.line is not null as stood,
    m.dead_at is not null as died
), recorded as (
  insert into holdfast.history (
    leased_at,
    ended_at,
    message_id,
    fence,
    queue_id,
    attempt,
    outcome,
    worker,
    reason
  )
  select
    o.leased_at,
    o.leased_until,
    o.id,
    o.fence,
    o.queue_id,
    o.attempt,
    'expired',
    o.worker,
    'lease expired'
  from open o
  where (o.id in (select id from lapsed)) is true
  on conflict do nothing
  returning 1
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, dead, lapsed_total, dead_total)
  select
    queue_id,
    count(*) filter (where not died),
    -count(*),
    count(*) filter (where died),
    count(*),
    count(*) filter (where died)
  from lapsed
  group by queue_id
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
), buried as materialized (
  select b.*
  from (
    select
      array_agg(queue_id::integer) as queue_ids,
      array_agg(id) as ids
    from lapsed
    where died
      and (
        select dead_letter_queue
        from holdfast.queues
        where id = queue_id
      ) is not null
      and (select count(*) from recorded) >= 0
    having count(*) > 0
  ) d
  cross join lateral holdfast.bury(d.queue_ids, d.ids) b
)
select
  case
    when due.n < (select count(*) from seen) then 500
    else (select count(*) from seen)
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
    select
      k.queue_id,
      (f.freed->>'count')::bigint as ready,
      (f.freed->>'position')::bigint as position
    from (
      select
        queue_id,
        array_agg(line) as lines,
        array_agg(place) as places,
        array_agg(position) as turns,
        array_agg(turn_rank is not null) as in_turns,
        array_agg(stood) as stood,
        array_agg(was_counted) as was_counted
      from lapsed
      where stood
        or was_counted
      group by queue_id
      order by queue_id
    ) k
    cross join lateral holdfast.settled_messages(
      k.queue_id,
      k.lines,
      k.places,
      k.turns,
      k.in_turns,
      k.stood,
      k.was_counted
    ) as f (freed)
  ) f
  union all
  select target_id, ready, lowest, null
  from buried
  where lowest is not null
  union all
  select *
  from (select queue_id, null::bigint, null::bigint, count(*) from lapsed group by queue_id) e
  where (select max_leased from holdfast.queues where id = e.queue_id) is not null
) l on true;

-- sweep_other_leases
-- $1 what fell due up to this time has been swept before
-- $2 whether others may be making lines
-- $3 the queue that has the most, or 0
with others as materialized (
  select queue_id, ends_at as due_at, ctid as place
  from holdfast.leases
  where ends_at <= statement_timestamp()
    and ends_at > $1
    and queue_id <> $3::integer
  order by ends_at
  limit 100000
), turns as materialized (
  select
    place,
    row_number() over (partition by queue_id order by due_at) as turn
  from others
  order by turn, due_at
  limit 500
), seen as materialized (
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
), due as materialized (
  select *
  from (
    select
      seen.*,
      sum(cardinality(message_ids)) over in_turn as messages,
      row_number() over in_turn as n
    from seen
    window in_turn as (order by turn, ends_at, id)
  ) s
  where n = 1
    or messages <= 4000
), open as materialized (
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
  where (
    open.line is null
    or exists (
      select
      from holdfast.lines l
      where l.queue_id = open.queue_id
        and l.line = open.line
      for update skip locked
    )
    or not exists (
      select
      from holdfast.lines l
      where l.queue_id = open.queue_id
        and l.line = open.line
    )
    and case
      when $2::boolean then holdfast.may_open_line(open.queue_id, open.line)
      else true
    end
  )
), places as materialized (
  select
    array_agg(place) as places,
    array_agg(id order by id) as ids,
    array_agg(position order by id) as positions
  from (
    select *, nextval('holdfast.positions') as position
    from (select * from locked order by leased_until, id) l
  ) l
), lapsed as (
  update holdfast.messages m
  set
    leased_until = null,
    lease_id = null,
    rank = case
      when m.line is null then m.rank | 1
      when m.turn_rank is not null
        or (
          select q.fairness = 'group'
          from holdfast.queues q
          where q.id = m.queue_id
        )
      then m.rank
      else m.rank | 1
    end,
    turn_rank = m.turn_rank | 1,
    position = case
      when m.line is null then places.positions[width_bucket(m.id, places.ids)]
    end,
    place = case
      when m.turn_rank is not null then places.positions[width_bucket(m.id, places.ids)]
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
    m.queue_id,
    m.line,
    m.place,
    m.position,
    m.turn_rank,
    m.counted is true as was_counted,
    m.line is not null as stood,
    m.dead_at is not null as died
), recorded as (
  insert into holdfast.history (
    leased_at,
    ended_at,
    message_id,
    fence,
    queue_id,
    attempt,
    outcome,
    worker,
    reason
  )
  select
    o.leased_at,
    o.leased_until,
    o.id,
    o.fence,
    o.queue_id,
    o.attempt,
    'expired',
    o.worker,
    'lease expired'
  from open o
  where (o.id in (select id from lapsed)) is true
  on conflict do nothing
  returning 1
), noted as (
  insert into holdfast.ledger (queue_id, ready, leased, dead, lapsed_total, dead_total)
  select
    queue_id,
    count(*) filter (where not died),
    -count(*),
    count(*) filter (where died),
    count(*),
    count(*) filter (where died)
  from lapsed
  group by queue_id
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
), buried as materialized (
  select b.*
  from (
    select
      array_agg(queue_id::integer) as queue_ids,
      array_agg(id) as ids
    from lapsed
    where died
      and (
        select dead_letter_queue
        from holdfast.queues
        where id = queue_id
      ) is not null
      and (select count(*) from recorded) >= 0
    having count(*) > 0
  ) d
  cross join lateral holdfast.bury(d.queue_ids, d.ids) b
)
select
  case
    when due.n < (select count(*) from seen) then 500
    else (select count(*) from turns)
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
    select
      k.queue_id,
      (f.freed->>'count')::bigint as ready,
      (f.freed->>'position')::bigint as position
    from (
      select
        queue_id,
        array_agg(line) as lines,
        array_agg(place) as places,
        array_agg(position) as turns,
        array_agg(turn_rank is not null) as in_turns,
        array_agg(stood) as stood,
        array_agg(was_counted) as was_counted
      from lapsed
      where stood
        or was_counted
      group by queue_id
      order by queue_id
    ) k
    cross join lateral holdfast.settled_messages(
      k.queue_id,
      k.lines,
      k.places,
      k.turns,
      k.in_turns,
      k.stood,
      k.was_counted
    ) as f (freed)
  ) f
  union all
  select target_id, ready, lowest, null
  from buried
  where lowest is not null
  union all
  select *
  from (select queue_id, null::bigint, null::bigint, count(*) from lapsed group by queue_id) e
  where (select max_leased from holdfast.queues where id = e.queue_id) is not null
) l on true;

-- take_due_schedules
-- $1 names
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
    when q.ordering <> 'none' then 4
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
where d.bytes_before < 1048576
order by d.next_at, d.name;

-- take_redrive
-- $1 caller
select
  id,
  queue_id,
  destination,
  kind,
  selection->'ids' as ids,
  selection->'where' as where,
  after_id,
  last_id,
  least(
    greatest(1, floor(rate * least(1, extract(epoch from statement_timestamp() - paid_to)))),
    coalesce(wanted - redriven, 2000),
    2000
  )::float8 as allowed
from holdfast.redrives
where state = 'running'
  and caller_id = $1
  and next_at <= statement_timestamp()
order by next_at
limit 1
for update skip locked;

-- take_time
set local statement_timeout = 15000;

-- take_unique_turn
-- $1 queue ids
select pg_advisory_xact_lock(4011982, id)
from (select distinct unnest($1::integer[]) as id order by id) q;

-- write_series
with free as materialized (
  select at
  from holdfast.series_turn
  where at < (floor(extract(epoch from statement_timestamp()) / 30) * 30)::integer
  for update skip locked
), turn as (
  update holdfast.series_turn t
  set at = (floor(extract(epoch from statement_timestamp()) / 30) * 30)::integer
  from free
  where t.at = free.at
  returning t.at
), counted as (
  select
    turn.at,
    c.queue_id,
    greatest(c.ready, 0) as ready,
    greatest(c.delayed, 0) as delayed,
    greatest(c.leased, 0) as leased,
    greatest(c.dead, 0) as dead,
    c.enqueued_total as enqueued_total,
    c.acked_total as acked_total,
    c.failed_total + c.lapsed_total as failed_total
  from turn
  cross join holdfast.counts c
), written as (
  insert into holdfast.series (
    queue_id,
    at,
    ready,
    delayed,
    leased,
    dead,
    enqueued_total,
    acked_total,
    failed_total
  )
  select
    c.queue_id,
    c.at,
    c.ready,
    c.delayed,
    c.leased,
    c.dead,
    c.enqueued_total,
    c.acked_total,
    c.failed_total
  from counted c
  left join lateral (
    select *
    from holdfast.series
    where queue_id = c.queue_id
    order by at desc
    limit 1
  ) last on true
  where (
    c.ready,
    c.delayed,
    c.leased,
    c.dead,
    c.enqueued_total,
    c.acked_total,
    c.failed_total
  ) is distinct from (
    last.ready,
    last.delayed,
    last.leased,
    last.dead,
    last.enqueued_total,
    last.acked_total,
    last.failed_total
  )
  returning queue_id
)
select
  (select count(*) from written) as written,
  (30 - extract(epoch from clock_timestamp()) % 30) * 1000 as next_in_ms;
