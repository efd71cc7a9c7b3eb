-- Lines: messages that wait for one another. The whole file is applied again whenever it has changed.
--
-- One message of a line stands: it has a position, and is ready, delayed or leased. The others are
-- parked. A lease with several messages also takes followers, which stay parked while leased. A line
-- has a row in holdfast.lines while a message of it stands or is leased.
--
-- Whoever changes a line locks its row first. Places are drawn after that, so places follow the order
-- of commits. A function like these sees what was committed while it waited for a lock, because each
-- of its statements has a snapshot of its own. One statement alone would miss it.

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

-- Gives the first parked message of each line a position, from the place `from_places` on. The caller
-- has locked the lines. `empty` are the lines that have no parked message.
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
begin
  select
    array_agg(m.id order by m.id) filter (where m.id is not null),
    array_agg(k.line) filter (where m.id is null)
  into ids, empty
  from unnest(of_lines, from_places) as k (line, from_place)
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
 Sees to it that one message of each of these lines is in the ready index, if any is ready: the one
 of the highest rank, and among these the one with the lowest place. For lines that take turns. It
 may be called at any time, and with any lines. Answers as free_lines does.
*/
create or replace function holdfast.take_turns (
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
begin
  perform holdfast.open_lines(of_queue, of_lines);

  select
    array_agg(parked.id order by k.n) filter (where standing.id is null and parked.id is not null),
    array_agg(k.line) filter (where standing.id is null and parked.id is null),
    array_agg(standing.id order by parked.id) filter (where standing.turn_rank < parked.turn_rank),
    array_agg(standing.position order by parked.id) filter (where standing.turn_rank < parked.turn_rank),
    array_agg(parked.id order by parked.id) filter (where standing.turn_rank < parked.turn_rank)
  into promoted, empty, swapped_out, taken_over, swapped_in
  from unnest(of_lines) with ordinality as k (line, n)
  left join lateral (
    select m.id, m.turn_rank, m.position
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
    select m.id, m.turn_rank
    from holdfast.messages m
    where m.queue_id = of_queue
      and m.line = k.line
      and m.turn_rank is not null
      and m.position is null
      and m.visible_at is null
      and m.leased_until is null
      and m.dead_at is null
    order by m.turn_rank desc, m.place
    limit 1
    for no key update
  ) parked on true;

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
  update holdfast.messages m
  set position = taken_over[width_bucket(m.id, swapped_in)]
  where m.queue_id = of_queue
    and m.id = any(swapped_in)
    and (
      select s.position is null
      from holdfast.messages s
      where s.queue_id = of_queue
        and s.id = swapped_out[width_bucket(m.id, swapped_in)]
    );

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
  select count(*), min(a.position)
  into ready, "position"
  from advanced a;

  delete from holdfast.lines l
  where l.queue_id = of_queue
    and l.line = any(empty);
end
$$;

-- Calls free_lines, or take_turns for lines that take turns.
create or replace function holdfast.settle_lines (
  of_queue integer,
  of_lines text[],
  counts bigint[],
  places bigint[],
  in_turns boolean,
  out ready bigint,
  out "position" bigint
)
language plpgsql as $$
begin
  if in_turns then
    select t.ready, t.position into ready, "position"
    from holdfast.take_turns(of_queue, of_lines) t;
  else
    select f.ready, f.position into ready, "position"
    from holdfast.free_lines(of_queue, of_lines, counts, places) f;
  end if;
end
$$;
