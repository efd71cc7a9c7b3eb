-- Lines: messages that wait for one another. The whole file is applied again whenever it has changed.
--
-- One message of a line stands: it has a position, and is ready, delayed or leased. The others are
-- parked. A lease with several messages also takes followers, which stay parked while leased. A line
-- has a row in holdfast.lines while a message of it stands or is leased.
--
-- Whoever changes a line locks its row first. Places are drawn after that, so places follow the order
-- of commits. A function like these sees what was committed while it waited for a lock, because each
-- of its statements has a snapshot of its own. One statement alone would miss it.
--
-- Three functions look for the message that has the turn of its line: it has a turn_rank and a position,
-- and is neither leased nor dead. They repeat this condition. A function for it would be inlined, but
-- an enqueue to a queue with turns would then take 3 % longer.
--
-- In the queries, k is one of the lines given, l its row, r its rate, m a message, and q the queue.

-- Locks these lines, and answers those that had no row. The first message of such a line may stand.
create or replace function holdfast.open_lines (of_queue integer, of_lines text[]) returns text[]
language sql as $$
  with opened as (
    insert into holdfast.lines (queue_id, line)
    select of_queue, k.line
    from (select distinct line collate "C" as line from unnest(of_lines) as line) k
    order by k.line
    on conflict (queue_id, line) do update set followers = 0 where false
    returning line
  )
  select coalesce(array_agg(line), '{}')
  from opened
$$;

-- Whether no other session is making the row of this line, which has none yet. It makes no row itself.
-- In a queue where a session is, no further line is tried by this transaction.
create or replace function holdfast.may_open_line (of_queue integer, of_line text) returns boolean
language plpgsql
set lock_timeout = '1ms' as $$
declare
  held text := coalesce(current_setting('holdfast.held_queues', true), '');
begin
  if position(format('[%s]', of_queue) in held) > 0 then
    return false;
  end if;
  begin
    perform holdfast.open_lines(of_queue, array[of_line]);
    raise exception 'undone' using errcode = 'HF000';
  exception
    when lock_not_available then
      perform set_config('holdfast.held_queues', held || format('[%s]', of_queue), true);
      return false;
    when sqlstate 'HF000' then
      return true;
  end;
end
$$;

-- How many leases a rate gives in a second.
create or replace function holdfast.per_second (rate jsonb) returns double precision
language sql immutable as $$
  select (rate->'messages')::float8 / (rate->'perSeconds')::float8
$$;

-- How many leases a rate gives at once after a pause.
create or replace function holdfast.burst (rate jsonb) returns double precision
language sql immutable as $$
  select coalesce(rate->'burst', rate->'messages')::float8
$$;

-- The leases that a rate allows at a time. null: the queue has no rate. A rate that nobody has used
-- yet, with tokens null, is full.
create or replace function holdfast.tokens_at (
  rate jsonb,
  tokens double precision,
  refilled_at timestamptz,
  at timestamptz
) returns double precision
language sql immutable as $$
  select least(
    holdfast.burst(rate),
    coalesce(
      tokens + holdfast.per_second(rate) * greatest(0, extract(epoch from at - refilled_at)::float8),
      holdfast.burst(rate)
    )
  )
$$;

-- When a rate with these tokens at this time next allows a lease. If it allows one now, when it is full
-- and may be forgotten. A busy line would make its row anew for each lease, so it keeps it for a while.
create or replace function holdfast.rate_due (rate jsonb, tokens double precision, at timestamptz)
returns timestamptz
language sql stable as $$
  select at + make_interval(
    secs => case
      when tokens < 1 then (1 - tokens) / holdfast.per_second(rate)
      else greatest(10, (holdfast.burst(rate) - tokens) / holdfast.per_second(rate))
    end
  )
$$;

-- Those of the lines in which no message may be leased now: as many are leased as the limit allows, or
-- the rate is used up. The caller has locked the lines.
create or replace function holdfast.lines_at_limit (of_queue integer, of_lines text[]) returns text[]
language plpgsql as $$
declare
  leased_max integer;
  rate jsonb;
begin
  select q.max_leased_per_group, q.rate_per_group
  into leased_max, rate
  from holdfast.queues q
  where q.id = of_queue;

  if leased_max is null and rate is null then
    return '{}';
  end if;

  return array(
    select k.line
    from unnest(of_lines) as k (line)
    where leased_max is not null
      and (
        select l.leased
        from holdfast.lines l
        where l.queue_id = of_queue
          and l.line = k.line
      ) >= leased_max
      or rate is not null
      and (
        select holdfast.tokens_at(rate, r.tokens, r.refilled_at, clock_timestamp())
        from holdfast.line_rates r
        where r.queue_id = of_queue
          and r.line = k.line
      ) < 1
  );
end
$$;

-- Takes leases out of the rate of these lines. The caller has locked the lines. Answers when the first
-- of them may go on whose rate is used up.
create or replace function holdfast.charge_lines (of_queue integer, of_lines text[], counts bigint[])
returns timestamptz
language plpgsql as $$
declare
  rate jsonb;
  burst double precision;
  due timestamptz;
begin
  select q.rate_per_group, holdfast.burst(q.rate_per_group)
  into rate, burst
  from holdfast.queues q
  where q.id = of_queue;

  if rate is null then
    return null;
  end if;

  with charged as (
    insert into holdfast.line_rates as r (queue_id, line, tokens, refilled_at, due_at)
    select
      of_queue,
      k.line,
      burst - k.count,
      c.at,
      holdfast.rate_due(rate, burst - k.count, c.at)
    from (select clock_timestamp() as at offset 0) c
    cross join (
      select *
      from unnest(of_lines, counts) as k (line, count)
      order by k.line collate "C"
    ) k
    on conflict (queue_id, line) do update set
      (tokens, refilled_at, due_at) = (
        select
          n.tokens,
          excluded.refilled_at,
          least(r.due_at, holdfast.rate_due(rate, n.tokens, excluded.refilled_at))
        from (
          select
            holdfast.tokens_at(rate, r.tokens, r.refilled_at, excluded.refilled_at)
              + excluded.tokens
              - burst
              as tokens
          offset 0
        ) n
      )
    returning r.tokens, r.due_at
  )
  select min(c.due_at)
  into due
  from charged c
  where c.tokens < 1;
  return due;
end
$$;

-- Says when the rates of these lines next allow a lease, or are full. Those that are full now, and all
-- where there is no rate, it forgets. The caller has locked the lines.
create or replace function holdfast.plan_rates (of_queue integer, of_lines text[], rate jsonb)
returns void
language plpgsql as $$
begin
  delete from holdfast.line_rates r
  where r.queue_id = of_queue
    and r.line = any(of_lines)
    and (
      rate is null
      or holdfast.tokens_at(rate, r.tokens, r.refilled_at, clock_timestamp()) >= holdfast.burst(rate)
    );
  update holdfast.line_rates r
  set due_at = holdfast.rate_due(
    rate,
    holdfast.tokens_at(rate, r.tokens, r.refilled_at, statement_timestamp()),
    statement_timestamp()
  )
  where r.queue_id = of_queue
    and r.line = any(of_lines);
end
$$;

-- Gives the first parked message of each line a position, from the place `from_places` on. The caller
-- has locked the lines. `empty` are the lines that have no parked message. In a line whose rate is
-- used up, none gets a position: the line waits, also if it is empty.
create or replace function holdfast.advance (
  of_queue integer,
  of_lines text[],
  from_places bigint[],
  out ready bigint,
  out "position" bigint,
  out empty text[]
)
language plpgsql as $$
declare
  ids bigint[];
  waiting text[] := holdfast.lines_at_limit(of_queue, of_lines);
begin
  if cardinality(waiting) > 0 then
    update holdfast.lines l
    set waits = true
    where l.queue_id = of_queue
      and l.line = any(waiting);
  end if;

  select
    array_agg(m.id order by m.id) filter (where m.id is not null),
    array_agg(k.line) filter (where m.id is null)
  into ids, empty
  from (
    select *
    from unnest(of_lines, from_places) as k (line, from_place)
    where k.line <> all(waiting)
  ) k
  left join lateral (
    select m.id
    from holdfast.messages m
    where m.queue_id = of_queue
      and m.line = k.line
      and m.place >= k.from_place
      and m.position is null
      and m.dead_at is null
    order by m.place
    limit 1
    for no key update
  ) m on true;

  with advanced as (
    update holdfast.messages m
    set position = nextval('holdfast.positions')
    where m.queue_id = of_queue
      and m.id = any(ids)
    returning m.position, m.visible_at
  )
  select
    count(*) filter (where a.visible_at is null),
    min(a.position) filter (where a.visible_at is null)
  into ready, "position"
  from advanced a;
end
$$;

/*
 Says that messages of these lines no longer stand or are no longer leased: how many of each line,
 and the lowest of their places. They were acked, have died or were removed; or they came back, and
 the caller has parked them. When none of a line is out any more, its first parked message stands.
 Answers how many messages are ready by that, and the lowest of their positions.
*/
create or replace function holdfast.free_lines (
  of_queue integer,
  of_lines text[],
  counts bigint[],
  places bigint[],
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
declare
  held_lines text[];
  held_counts bigint[];
  held_places bigint[];
  done_lines text[];
  done_places bigint[];
  used_lines text[];
  empty text[];
begin
  select
    array_agg(k.line) filter (where l.followers >= k.count),
    array_agg(k.count) filter (where l.followers >= k.count),
    array_agg(k.place) filter (where l.followers >= k.count),
    array_agg(k.line) filter (where l.followers < k.count),
    array_agg(least(l.came_back, k.place)) filter (where l.followers < k.count),
    array_agg(k.line) filter (where l.followers < k.count and (l.followers > 0 or l.came_back is not null))
  into held_lines, held_counts, held_places, done_lines, done_places, used_lines
  from (
    select *
    from unnest(of_lines, counts, places) as k (line, count, place)
    order by k.line collate "C"
    offset 0
  ) k
  cross join lateral (
    select l.followers, l.came_back
    from holdfast.lines l
    where l.queue_id = of_queue
      and l.line = k.line
    limit 1
    for update
  ) l;

  if held_lines is not null then
    update holdfast.lines l
    set
      followers = l.followers - k.count,
      came_back = least(l.came_back, k.place)
    from unnest(held_lines, held_counts, held_places) as k (line, count, place)
    where l.queue_id = of_queue
      and l.line = any(held_lines)
      and l.line = k.line;
  end if;

  if done_lines is not null then
    select a.ready, a.position, a.empty
    into ready, "position", empty
    from holdfast.advance(of_queue, done_lines, done_places) a;
    delete from holdfast.lines l
    where l.queue_id = of_queue
      and l.line = any(empty);
    if used_lines is not null then
      update holdfast.lines l
      set
        followers = 0,
        came_back = null
      where l.queue_id = of_queue
        and l.line = any(used_lines);
    end if;
  end if;
end
$$;

/*
 Sees to it that one message of each of these lines is in the ready index, if any is ready. That is
 the one of the highest rank, and among these the one with the lowest place. None of a line at its
 limit is. For lines that take turns, which the caller has locked. Answers as free_lines does.
*/
create or replace function holdfast.give_turns (
  of_queue integer,
  of_lines text[],
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
declare
  promoted bigint[];
  swapped_out bigint[];
  swapped_in bigint[];
  taken_over bigint[];
  empty text[];
  at_limit text[] := holdfast.lines_at_limit(of_queue, of_lines);
begin
  ready := 0;
  select
    array_agg(parked.id order by k.n) filter (where standing.id is null and parked.id is not null),
    array_agg(k.line) filter (where standing.id is null and parked.id is null),
    array_agg(standing.id order by parked.id) filter (where goes_before.it),
    array_agg(standing.position order by parked.id) filter (where goes_before.it),
    array_agg(parked.id order by parked.id) filter (where goes_before.it)
  into promoted, empty, swapped_out, taken_over, swapped_in
  from unnest(of_lines) with ordinality as k (line, n)
  left join lateral (
    select m.id, m.turn_rank, m.place, m.position
    from holdfast.messages m
    where m.queue_id = of_queue
      and m.line = k.line
      and m.turn_rank is not null
      and m.position is not null
      and m.leased_until is null
      and m.dead_at is null
    order by m.position desc
    limit 1
  ) standing on true
  left join lateral (
    select m.id, m.turn_rank, m.place
    from holdfast.messages m
    where m.queue_id = of_queue
      and m.line = k.line
      and m.turn_rank is not null
      and m.position is null
      and m.visible_at is null
      and m.leased_until is null
      and m.dead_at is null
      and k.line <> all(at_limit)
    order by m.turn_rank desc, m.place
    limit 1
    for no key update
  ) parked on true
  cross join lateral (
    select (standing.turn_rank, parked.place) < (parked.turn_rank, standing.place) as it
  ) goes_before;

  if swapped_in is not null then
    -- A lease that has locked the standing one takes it, and then calls this function itself.
    update holdfast.messages m
    set position = null
    where m.queue_id = of_queue
      and m.id in (
        select s.id
        from holdfast.messages s
        where s.queue_id = of_queue
          and s.id = any(swapped_out)
          and s.leased_until is null
        for no key update skip locked
      );
    -- A lease that met the swap has passed its position by. So the answer counts it as ready again.
    with swapped as (
      update holdfast.messages m
      set position = taken_over[width_bucket(m.id, swapped_in)]
      where m.queue_id = of_queue
        and m.id = any(swapped_in)
        and (
          select s.position is null
          from holdfast.messages s
          where s.queue_id = of_queue
            and s.id = swapped_out[width_bucket(m.id, swapped_in)]
        )
      returning m.position
    )
    select count(*), min(s.position)
    into ready, "position"
    from swapped s;
  end if;

  if promoted is not null then
    with turns as materialized (
      select
        array_agg(t.id order by t.id) as ids,
        array_agg(t.turn order by t.id) as positions
      from (
        select p.id, nextval('holdfast.positions') as turn
        from (select * from unnest(promoted) with ordinality as p (id, n) order by n) p
      ) t
    ), advanced as (
      update holdfast.messages m
      set position = turns.positions[width_bucket(m.id, turns.ids)]
      from turns
      where m.queue_id = of_queue
        and m.id = any(promoted)
      returning m.position
    )
    select ready + count(*), least(give_turns.position, min(a.position))
    into ready, "position"
    from advanced a;
  end if;

  if empty is not null then
    delete from holdfast.lines l
    where l.queue_id = of_queue
      and l.line = any(empty)
      and l.leased = 0;
  end if;
end
$$;

-- As give_turns. It may be called at any time, and with any lines.
create or replace function holdfast.take_turns (
  of_queue integer,
  of_lines text[],
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
begin
  perform holdfast.open_lines(of_queue, of_lines);
  select t.ready, t.position into ready, "position"
  from holdfast.give_turns(of_queue, of_lines) t;
end
$$;

/*
 Says that messages of these lines have left or come back: `counts` of each. `counted` of each were
 leased and are not now, so the line counts them no longer. A line that takes turns takes one, unless
 another message of it stands already. Answers as free_lines does.
*/
create or replace function holdfast.settle_lines (
  of_queue integer,
  of_lines text[],
  counts bigint[],
  counted bigint[],
  places bigint[],
  in_turns boolean,
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
declare
  turns text[] := of_lines;
begin
  if not in_turns then
    select f.ready, f.position into ready, "position"
    from holdfast.free_lines(of_queue, of_lines, counts, places) f;
    return;
  end if;

  if 0 < any(counted) then
    turns := holdfast.uncount_lines(of_queue, of_lines, counts, counted);
  end if;
  if cardinality(turns) > 0 then
    select t.ready, t.position into ready, "position"
    from holdfast.take_turns(of_queue, turns) t;
  end if;
end
$$;

-- Takes messages that are no longer leased out of the count of their lines. Answers the lines in which a
-- turn may be taken, in their order. A line that is empty now is one of them, so that its row goes.
create or replace function holdfast.uncount_lines (
  of_queue integer,
  of_lines text[],
  counts bigint[],
  counted bigint[]
) returns text[]
language plpgsql as $$
declare
  at_limit text[];
  ended text[];
begin
  with uncounted as (
    -- Each has a row. An insert finds it, locks it and changes it at once, which costs least.
    insert into holdfast.lines as l (queue_id, line, leased)
    select of_queue, k.line, -k.counted
    from (
      select *
      from unnest(of_lines, counted) as k (line, counted)
      where k.counted > 0
      order by k.line collate "C"
    ) k
    on conflict (queue_id, line) do update set leased = l.leased + excluded.leased
    returning l.line, l.leased
  )
  select
    array_agg(u.line) filter (where u.leased + k.counted >= (
      select q.max_leased_per_group
      from holdfast.queues q
      where q.id = of_queue
    )),
    array_agg(u.line) filter (where u.leased = 0)
  into at_limit, ended
  from uncounted u
  join unnest(of_lines, counted) as k (line, counted) on k.line = u.line;

  return array(
    select k.line
    from unnest(of_lines, counts) with ordinality as k (line, count, n)
    where k.count > 0
      or k.line = any(at_limit)
      or k.line = any(ended)
      and not exists (
        select
        from holdfast.messages m
        where m.queue_id = of_queue
          and m.line = k.line
          and m.turn_rank is not null
          and m.position is not null
          and m.leased_until is null
          and m.dead_at is null
      )
    order by k.n
  );
end
$$;

-- Says that messages of these lines have been leased: `counts` of each. The line counts `counted` of
-- these. Answers as free_lines does, and also when the first line may go on whose rate is used up.
create or replace function holdfast.lease_lines (
  of_queue integer,
  of_lines text[],
  counts bigint[],
  counted bigint[],
  in_turns boolean,
  out ready bigint,
  out "position" bigint,
  out due_at timestamptz
)
language plpgsql as $$
begin
  if 0 < any(counted) then
    insert into holdfast.lines as l (queue_id, line, leased)
    select of_queue, k.line, k.counted
    from (
      select *
      from unnest(of_lines, counted) as k (line, counted)
      order by k.line collate "C"
    ) k
    on conflict (queue_id, line) do update set leased = l.leased + excluded.leased;
  else
    perform holdfast.open_lines(of_queue, of_lines);
  end if;
  due_at := holdfast.charge_lines(of_queue, of_lines, counts);
  if in_turns then
    select t.ready, t.position into ready, "position"
    from holdfast.give_turns(of_queue, of_lines) t;
  end if;
end
$$;

-- Messages of a queue that have left their lines, have come back or were leased, by line: arrays for
-- settle_lines and lease_lines. Lines stand in the order of the last of their `turns`.
create or replace function holdfast.by_line (
  of_lines text[],
  places bigint[],
  turns bigint[],
  in_turns boolean[],
  stood boolean[],
  was_counted boolean[]
) returns table (
  "lines" text[],
  counts bigint[],
  counted bigint[],
  first_places bigint[],
  "turning" boolean
)
language plpgsql as $$
begin
  return query
  select
    array_agg(l.line order by l.turn, l.place),
    array_agg(l.count order by l.turn, l.place),
    array_agg(l.counted order by l.turn, l.place),
    array_agg(l.place order by l.turn, l.place),
    l.turning
  from (
    select
      m.line,
      m.turning,
      count(*) filter (where m.stood) as count,
      count(*) filter (where m.counted) as counted,
      min(m.place) as place,
      max(m.turn) as turn
    from unnest(of_lines, places, turns, in_turns, stood, was_counted)
      as m (line, place, turn, turning, stood, counted)
    group by m.line, m.turning
  ) l
  group by l.turning
  order by l.turning;
end
$$;

-- As settle_lines, for messages given one by one. Answers JSON, or null where nothing became ready.
create or replace function holdfast.settled_messages (
  of_queue integer,
  of_lines text[],
  places bigint[],
  turns bigint[],
  in_turns boolean[],
  stood boolean[],
  was_counted boolean[]
) returns json
language plpgsql as $$
begin
  return (
    select json_build_object('count', sum(f.ready), 'position', min(f.position))
    from holdfast.by_line(of_lines, places, turns, in_turns, stood, was_counted) k
    cross join lateral holdfast.settle_lines(
      of_queue,
      k.lines,
      k.counts,
      k.counted,
      k.first_places,
      k.turning
    ) f
    where f.ready > 0
    having count(*) > 0
  );
end
$$;

-- As lease_lines, for messages given one by one. Answers JSON, or null where nothing became ready.
create or replace function holdfast.leased_messages (
  of_queue integer,
  of_lines text[],
  places bigint[],
  turns bigint[],
  in_turns boolean[],
  stood boolean[],
  was_counted boolean[]
) returns json
language plpgsql as $$
begin
  return (
    select json_build_object(
      'count', coalesce(sum(f.ready), 0),
      'position', min(f.position),
      'dueAtMs', extract(epoch from min(f.due_at)) * 1000
    )
    from holdfast.by_line(of_lines, places, turns, in_turns, stood, was_counted) k
    cross join lateral holdfast.lease_lines(of_queue, k.lines, k.counts, k.counted, k.turning) f
    where f.ready > 0
      or f.due_at is not null
    having count(*) > 0
  );
end
$$;

-- Lets those of these lines go on whose rate allows it again. It may be called at any time, and with
-- any lines. Answers as free_lines does.
create or replace function holdfast.resume_lines (
  of_queue integer,
  of_lines text[],
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
declare
  queue holdfast.queues;
  waiting text[];
  empty text[];
begin
  select * into queue
  from holdfast.queues q
  where q.id = of_queue;

  if queue.ordering = 'none' then
    perform holdfast.open_lines(of_queue, of_lines);
    perform holdfast.plan_rates(of_queue, of_lines, queue.rate_per_group);
    select t.ready, t.position into ready, "position"
    from holdfast.give_turns(of_queue, of_lines) t;
    return;
  end if;

  with locked as materialized (
    select l.line, l.waits
    from holdfast.lines l
    where l.queue_id = of_queue
      and l.line = any(of_lines)
    order by l.line
    for update
  )
  select array_agg(line)
  into waiting
  from locked
  where waits;
  perform holdfast.plan_rates(of_queue, of_lines, queue.rate_per_group);

  if waiting is not null then
    update holdfast.lines l
    set waits = false
    where l.queue_id = of_queue
      and l.line = any(waiting);
    select a.ready, a.position, a.empty
    into ready, "position", empty
    from holdfast.advance(of_queue, waiting, array_fill(0::bigint, array[cardinality(waiting)])) a;
    delete from holdfast.lines l
    where l.queue_id = of_queue
      and l.line = any(empty);
  end if;
end
$$;

-- After the limits per group of a queue have changed. The caller keeps others from leasing.
create or replace function holdfast.change_line_limits (of_queue integer) returns void
language plpgsql as $$
declare
  is_limited boolean;
  changed_lines text[];
  changes bigint[];
  limited_lines text[];
begin
  select q.max_leased_per_group is not null
  into is_limited
  from holdfast.queues q
  where q.id = of_queue;

  -- What another session has settled meanwhile is no longer leased, and so is not changed here.
  with changed as (
    update holdfast.messages m
    set counted = is_limited
    where m.queue_id = of_queue
      and m.id = any(array(
        select unnest(l.message_ids)
        from holdfast.leases l
        where l.queue_id = of_queue
      ))
      and m.turn_rank is not null
      and m.leased_until is not null
      and m.dead_at is null
      and (m.counted is true) <> is_limited
    returning m.line
  )
  select array_agg(c.line), array_agg(c.count)
  into changed_lines, changes
  from (
    select line, count(*)
    from changed
    group by line
  ) c;
  perform holdfast.open_lines(of_queue, changed_lines);
  update holdfast.lines l
  set leased = l.leased + case when is_limited then k.count else -k.count end
  from unnest(changed_lines, changes) as k (line, count)
  where l.queue_id = of_queue
    and l.line = k.line;

  limited_lines := array(
    select l.line
    from holdfast.lines l
    where l.queue_id = of_queue
      and (l.leased > 0 or l.line = any(changed_lines))
    order by l.line
    for update
  );
  update holdfast.messages m
  set position = null
  where m.queue_id = of_queue
    and m.line = any(holdfast.lines_at_limit(of_queue, limited_lines))
    and m.turn_rank is not null
    and m.position is not null
    and m.leased_until is null
    and m.dead_at is null;
  perform holdfast.give_turns(of_queue, limited_lines);

  perform holdfast.resume_lines(
    of_queue,
    array(
      select r.line
      from holdfast.line_rates r
      where r.queue_id = of_queue
    )
  );
end
$$;
