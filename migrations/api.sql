-- SQL functions. The whole file is applied again whenever it has changed.
--
-- holdfast.enqueue and holdfast.ack are for applications that share the database. They run in the
-- caller's own transaction, so a message and a row of the caller's are committed together or not at
-- all. They set the search path: otherwise, whoever may make functions in a schema on the caller's path
-- could have them run with the caller's rights. They set standard_conforming_strings too, because regular
-- expressions depend on it. See docs/sql.md.

-- A message's state, from the columns that make it. Inlined into the statements that use it.
create or replace function holdfast.state_of (
  visible_at timestamptz,
  leased_until timestamptz,
  dead_at timestamptz
) returns text
language sql immutable as $$
  select case
    when dead_at is not null then 'dead'
    when leased_until is not null then 'leased'
    when visible_at is not null then 'delayed'
    else 'ready'
  end
$$;

-- A time as every answer writes it: RFC 3339, UTC, milliseconds.
create or replace function holdfast.rfc3339 (at timestamptz) returns text
language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- The elements of two arrays added up, place by place.
create or replace function holdfast.sums_of (a integer[], b integer[]) returns integer[]
language sql immutable as $$
  select coalesce(array_agg(coalesce(x, 0) + coalesce(y, 0) order by n), '{}')
  from unnest(a, b) with ordinality as pairs (x, y, n)
$$;

-- What two enqueues under one idempotency key must share: body, type, headers and options. Nothing
-- in it depends on the settings of a session, so a key means the same over HTTP and in SQL.
create or replace function holdfast.digest_of (
  body text,
  body_bytes bytea,
  content_type text,
  headers jsonb,
  priority integer,
  delay_seconds float8,
  visible_at timestamptz,
  ttl_seconds float8,
  max_attempts integer,
  marks jsonb
) returns bytea
language sql stable as $$
  select sha256(
    sha256(coalesce(body_bytes, convert_to(body, 'UTF8')))
    || convert_to(
      concat_ws(
        ' ',
        content_type,
        headers::text,
        'p', priority,
        'd', delay_seconds::numeric,
        'v', extract(epoch from visible_at),
        't', ttl_seconds::numeric,
        'm', max_attempts,
        marks::text
      ),
      'UTF8'
    )
  )
$$;

-- Headers without those of CloudEvents.
create or replace function holdfast.without_events (headers jsonb) returns jsonb
language sql immutable as $$
  select coalesce(jsonb_object_agg(h.key, h.value), '{}')
  from jsonb_each(headers) as h
  where not starts_with(h.key, 'ce-')
$$;

-- The headers that count as content. Those that a request can carry as its fields do not count. Each
-- repeat of a call has a span of its own, and is the same message. It must stay one expression, so that
-- it is inlined.
create or replace function holdfast.content_headers (headers jsonb) returns jsonb
language sql immutable as $$
  select nullif(
    case when headers::text like '%"ce-%' then holdfast.without_events(headers) else headers end
      - '{traceparent,tracestate,baggage}'::text[],
    '{}'
  )
$$;

-- Whether a stored digest stands for this content. Empty headers mean the same as none, and callers
-- leave them out before they make a digest, with what names a trace. Releases before that did not,
-- so their digests are accepted in each spelling. In a queue without a delay of its own, a delay of
-- 0 means the same as none too.
create or replace function holdfast.digest_fits (
  digest bytea,
  body text,
  body_bytes bytea,
  content_type text,
  headers jsonb,
  priority integer,
  delay_seconds float8,
  visible_at timestamptz,
  ttl_seconds float8,
  max_attempts integer,
  marks jsonb,
  queue_delay_seconds float8
) returns boolean
language sql stable as $$
  select digest in (
    select holdfast.digest_of(
      body,
      body_bytes,
      content_type,
      h.spelling,
      priority,
      d.spelling,
      visible_at,
      ttl_seconds,
      max_attempts,
      marks
    )
    from unnest(
      array[
        holdfast.content_headers(headers),
        coalesce(holdfast.content_headers(headers), '{}'),
        headers
      ]
    ) as h (spelling)
    cross join unnest(
      case
        when queue_delay_seconds = 0 and coalesce(delay_seconds, 0) = 0 then array[null, 0]
        else array[delay_seconds]
      end
    ) as d (spelling)
  )
$$;

-- The end of a receipt: FNV-1a over the queue's name and the numbers, as core/receipt.ts makes it.
create or replace function holdfast.receipt_check (queue text, numbers text) returns text
language plpgsql immutable strict as $$
declare
  hash bigint := 2166136261;
begin
  for i in 1 .. length(queue) + 1 + length(numbers) loop
    hash := ((hash # ascii(substr(queue || '/' || numbers, i, 1))) * 16777619) & 4294967295;
  end loop;
  return lpad(to_hex(hash), 8, '0');
end
$$;

/*
 For a transaction that keeps one snapshot, as at repeatable read and serializable. The snapshot may be
 older than the queue's settings, or than its deletion: then PostgreSQL raises a serialization failure.
 It may also be older than what waits behind a message of a group, which an ack must see. So queues in
 which groups wait are refused. It asks with the rights of its owner, because it locks the queue.
*/
create or replace function holdfast.check_snapshot (of_queue integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  target holdfast.queues;
begin
  if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
    return;
  end if;
  select * into target
  from holdfast.queues q
  where q.id = of_queue
  for share;
  if target.ordering <> 'none' or target.takes_turns then
    raise exception
      'invalidRequest: the queue % has an order, turns or limits per group, '
      'so the transaction must have the isolation level read committed',
      target.name
      using errcode = 'HF004';
  end if;
end
$$;

/*
 Acks a leased message in the caller's transaction: it is removed if, and only if, the caller's own
 writes are committed. Unless it removes the message itself, it raises one of these errors, which
 undoes the caller's writes too:
   HF001 leaseLost       the message has been leased again since
   HF002 gone            it was acked or purged, or has expired
   HF003 invalidReceipt  the receipt cannot be read
   HF004 invalidRequest  the result is larger than 65536 bytes, or see holdfast.check_snapshot
 The result, JSON text, is kept with the message where the queue keeps acked messages.
*/
create or replace function holdfast.ack (receipt text, result json) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on as $$
declare
  part text[] := regexp_match(
    receipt,
    '^(([1-9]\d{0,9})\.([1-9]\d{0,17})\.([1-9]\d{0,17}))\.([0-9a-f]{8})$'
  );
  queue holdfast.queues;
  message holdfast.messages;
  freed record;
  stood boolean;
  is_counted boolean;
begin
  if octet_length(result::text) > 65536 then
    raise exception
      'invalidRequest: the result is larger than 65536 bytes'
      using errcode = 'HF004';
  end if;
  select * into queue
  from holdfast.queues q
  where q.id = part[2]::bigint;
  if part is null or part[5] is distinct from holdfast.receipt_check(queue.name, part[1]) then
    raise exception
      'invalidReceipt: the receipt cannot be read; give it exactly as the lease gave it'
      using errcode = 'HF003';
  end if;
  perform holdfast.check_snapshot(queue.id);

  delete from holdfast.messages m
  where m.queue_id = queue.id
    and m.id = part[3]::bigint
    and m.fence = part[4]::bigint
  returning * into message;
  if message.id is null and exists (
    select
    from holdfast.messages m
    where m.queue_id = queue.id
      and m.id = part[3]::bigint
  ) then
    raise exception
      'leaseLost: the message has been leased again since; nothing was changed'
      using errcode = 'HF001';
  elsif message.id is null then
    raise exception
      'gone: the message was acked or purged, or has expired; nothing was changed'
      using errcode = 'HF002';
  end if;

  if queue.keep_acked_seconds > 0 then
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
      result,
      origin
    )
    values (
      message.id,
      message.enqueued_at,
      clock_timestamp(),
      clock_timestamp() + make_interval(secs => queue.keep_acked_seconds),
      message.fence,
      queue.id,
      message.attempt,
      coalesce(message.max_attempts, queue.max_attempts),
      coalesce(message.turn_rank, message.rank),
      message.body,
      message.body_bytes,
      message.content_type,
      message.headers,
      message.marks,
      result::text,
      message.origin
    );
  else
    delete from holdfast.history h
    where h.queue_id = queue.id
      and h.message_id = message.id;
  end if;

  insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
  select
    queue.id,
    -(state = 'ready')::integer,
    -(state = 'delayed')::integer,
    -(state = 'leased')::integer,
    -(state = 'dead')::integer,
    (queue.keep_acked_seconds > 0)::integer,
    1
  from holdfast.state_of(message.visible_at, message.leased_until, message.dead_at) as state;

  if queue.max_leased is not null then
    perform pg_notify('holdfast', format('sql free %s:1', queue.id));
  end if;

  is_counted := message.counted is true and message.leased_until is not null;
  stood := message.line is not null
    and message.dead_at is null
    and case
      when message.turn_rank is not null then message.position is not null and message.leased_until is null
      else message.position is not null or message.leased_until is not null
    end;
  if stood or is_counted then
    select * into freed
    from holdfast.settle_lines(
      queue.id,
      array[message.line],
      array[stood::integer],
      array[is_counted::integer],
      array[message.place],
      message.turn_rank is not null
    );
    if freed.ready > 0 then
      perform pg_notify('holdfast', format('sql ready %s:%s:%s', queue.id, freed.ready, freed.position));
    end if;
  end if;
end
$$;

-- An ack without a result.
create or replace function holdfast.ack (receipt text) returns void
language plpgsql as $$
begin
  perform holdfast.ack(receipt, null);
end
$$;

-- Fails as a serialization failure does, so that the service runs the statement again: what the
-- statement relied on was changed by another session.
create or replace function holdfast.run_again_if (outrun boolean) returns void
language plpgsql as $$
begin
  if outrun then
    raise exception 'another session was faster' using errcode = '40001';
  end if;
end
$$;

-- The same if one of these queues is gone now, also if it was deleted after the statement had begun.
create or replace function holdfast.run_again_if_gone (queue_ids integer[]) returns void
language plpgsql as $$
begin
  perform holdfast.run_again_if(
    (select count(*) from holdfast.queues where id = any(queue_ids)) < cardinality(queue_ids)
  );
end
$$;

-- What is wrong with an option that must be a number from one bound to another; null: nothing is.
create or replace function holdfast.number_fault (
  value jsonb,
  low float8,
  high float8,
  whole boolean
) returns text
language sql immutable as $$
  select case
    when jsonb_typeof(value) <> 'number'
      or (value #>> '{}')::numeric not between low::numeric and high::numeric
      or (whole and (value #>> '{}')::numeric % 1 <> 0)
      or (value #>> '{}')::numeric > 0 and (value #>> '{}')::numeric < 1e-300 -- no float8 is so small
    then format(
      'must be %s from %s to %s',
      case when whole then 'an integer' else 'a number' end,
      low,
      high
    )
  end
$$;

-- What is wrong with an option that must be a time, at most a year ahead; null: nothing is.
create or replace function holdfast.time_fault (value jsonb) returns text
language plpgsql stable as $$
declare
  given timestamptz;
begin
  if jsonb_typeof(value) <> 'string'
    or value #>> '{}' !~* '^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)$'
  then
    return 'must be a time as in RFC 3339';
  end if;
  given := (value #>> '{}')::timestamptz;
  return case
    when given < 'epoch' then 'must be a time from 1970 on'
    when given > statement_timestamp() + make_interval(secs => 31536000)
      then 'must be a time at most a year ahead'
  end;
exception
  when data_exception then
    return 'must be a time as in RFC 3339';
end
$$;

-- Puts the content of a message into the one that holds its unique key, and tells those who wait. The
-- caller has locked the holder, and its line where it is parked. The old receipt is good no more.
create or replace function holdfast.replace_message (
  holder holdfast.messages,
  message holdfast.messages
) returns void
language plpgsql as $$
declare
  turn record;
begin
  -- A delayed message has no turn.
  if holder.turn_rank is not null and message.visible_at is not null then
    holder.position := null;
  end if;
  -- A message that becomes ready by this goes behind those that are ready.
  if holder.visible_at is not null and message.visible_at is null then
    holder.ready_at := statement_timestamp();
    if holder.position is not null then
      holder.position := nextval('holdfast.positions');
    end if;
  end if;
  update holdfast.messages m
  set
    fence = m.fence + 1,
    body = message.body,
    body_bytes = null,
    content_type = null,
    headers = message.headers,
    marks = message.marks,
    rank = case when m.turn_rank is null then message.rank | (m.rank & 1) else m.rank end,
    turn_rank = message.turn_rank | (m.turn_rank & 1),
    max_attempts = message.max_attempts,
    visible_at = message.visible_at,
    expires_at = message.expires_at,
    kept_from = case
      when message.expires_at is null then m.kept_from
      else statement_timestamp()
    end,
    unique_until_leased = message.unique_until_leased,
    position = holder.position,
    ready_at = holder.ready_at
  where m.queue_id = message.queue_id
    and m.id = holder.id;
  -- The counts, the turn of its line, and those who wait.
  if (holder.visible_at is null) <> (message.visible_at is null) then
    insert into holdfast.ledger (queue_id, ready, delayed)
    values (
      message.queue_id,
      case when message.visible_at is null then 1 else -1 end,
      case when message.visible_at is null then -1 else 1 end
    );
  end if;
  if holder.turn_rank is not null then
    select * into turn
    from holdfast.take_turns(message.queue_id, array[holder.line]);
    holder.position := coalesce(turn.position, holder.position);
  end if;
  perform holdfast.notify_stored(message.queue_id, holder.position, message.visible_at);
end
$$;

/*
 What becomes of a message whose unique key another one may hold. Answers the id of that message: it
 stays as it is, or it is replaced by the new one. Answers null where nobody holds the key. Raises:
   HF007 uniqueGroup  the message to replace has another group, and the queue has an order
*/
create or replace function holdfast.meet_unique (
  message holdfast.messages,
  replaces boolean,
  keeps_group boolean
) returns bigint
language plpgsql as $$
declare
  holder holdfast.messages;
begin
  loop
    select * into holder
    from holdfast.messages m
    where m.queue_id = message.queue_id
      and m.unique_key = message.unique_key
      and m.dead_at is null;

    -- A holder past its time to live holds the key no more.
    if holder.leased_until is null and holder.expires_at <= statement_timestamp() then
      update holdfast.messages m
      set unique_key = null
      where m.queue_id = message.queue_id
        and m.id = holder.id
        and m.leased_until is null
        and m.expires_at <= statement_timestamp();
      continue;
    end if;

    -- Nobody holds the key, or its holder stays as it is.
    if holder.id is null or holder.leased_until is not null or not replaces then
      return holder.id;
    end if;
    if keeps_group and message.marks->>'group' is distinct from holder.marks->>'group' then
      raise exception
        'uniqueGroup: the message that holds this unique key has another group; nothing was stored'
        using errcode = 'HF007';
    end if;

    -- The line of a parked message is locked before the message.
    if holder.turn_rank is not null and holder.position is null then
      perform holdfast.open_lines(message.queue_id, array[holder.line]);
    end if;
    -- Another session may have changed it since. Then look again.
    select * into holder
    from holdfast.messages m
    where m.queue_id = message.queue_id
      and m.id = holder.id
      and m.fence = holder.fence
      and m.unique_key = message.unique_key
      and m.leased_until is null
      and m.dead_at is null
    for no key update;
    if holder.id is null then
      if message.turn_rank is not null then
        perform holdfast.take_turns(message.queue_id, array[message.line]);
      end if;
      continue;
    end if;
    perform holdfast.replace_message(holder, message);
    return holder.id;
  end loop;
end
$$;

-- Tells the replicas of a message that was stored or replaced. Without a position it waits in its line.
create or replace function holdfast.notify_stored (
  queue_id integer,
  "position" bigint,
  visible_at timestamptz
) returns void
language plpgsql as $$
begin
  if visible_at is not null then
    perform pg_notify('holdfast', format('sql due %s', ceil(extract(epoch from visible_at) * 1000)));
  elsif "position" is not null then
    perform pg_notify('holdfast', format('sql ready %s:1:%s', queue_id, "position"));
  end if;
end
$$;

-- What is wrong with the options of an enqueue; null: nothing is.
create or replace function holdfast.options_fault (options jsonb) returns text
language plpgsql stable as $$
begin
  return (
    select o.key || ' ' || o.fault
    from (
      select
        key,
        case key
          when 'priority' then holdfast.number_fault(value, 0, 9, true)
          when 'maxAttempts' then holdfast.number_fault(value, 1, 1000, true)
          when 'delaySeconds' then holdfast.number_fault(value, 0, 31536000, false)
          when 'ttlSeconds' then coalesce(
            holdfast.number_fault(value, 0, 315360000, false),
            case when value = '0' then 'must be above 0' end
          )
          when 'visibleAt' then holdfast.time_fault(value)
          when 'group' then case
            when jsonb_typeof(value) <> 'string'
              or length(value #>> '{}') not between 1 and 128
              or value #>> '{}' ~ '[\x01-\x1f\x7f-\x9f]'
            then 'must be 1 to 128 characters, none of them a control character'
          end
          when 'unique' then case
            when jsonb_typeof(value) <> 'object'
              or value - array['key', 'until', 'onConflict'] <> '{}'
              or jsonb_typeof(value->'key') is distinct from 'string'
              or value->>'key' !~ '^[ -~]{1,255}$'
              or coalesce(value->'until', '"settled"') not in ('"settled"', '"leased"')
              or coalesce(value->'onConflict', '"keep"') not in ('"keep"', '"replace"')
            then 'must have a key of 1 to 255 printable ASCII characters, '
              'and may have until (settled or leased) and onConflict (keep or replace)'
          end
          when 'idempotencyKey' then case
            when jsonb_typeof(value) <> 'string'
              or value #>> '{}' !~ '^[ -~]{1,255}$'
            then 'must be 1 to 255 printable ASCII characters'
          end
          when 'headers' then case
            when jsonb_typeof(value) <> 'object'
              or jsonb_path_exists(value, 'strict $.* ? (@.type() != "string")')
              or value ? '__proto__'
            then 'must be an object of strings, none of them named __proto__'
            when (
              select count(*) > 64
                or min(length(h.key)) < 1
                or max(length(h.key)) > 256
                or max(length(h.value)) > 4096
              from jsonb_each_text(value) h
            )
            then 'must be at most 64 texts of at most 4096 characters, with names of 1 to 256'
          end
          else 'is not a known option'
        end as fault
      from jsonb_each(options)
    ) o
    where o.fault is not null
    limit 1
  );
end
$$;

-- How many messages a queue holds that its maxDepth counts.
create or replace function holdfast.depth_of (of_queue integer) returns bigint
language plpgsql as $$
begin
  return (
    select c.ready + c.delayed + c.leased + (
      select coalesce(sum(l.ready + l.delayed + l.leased), 0)
      from holdfast.ledger l
      where l.queue_id = of_queue
    )
    from holdfast.counts c
    where c.queue_id = of_queue
  );
end
$$;

/*
 Gives a new message its idempotency key, and answers its id. If the key stands for an earlier message
 with the same content, it answers the id of that one. Raises:
   HF005 idempotencyMismatch  the key stands for other content
*/
create or replace function holdfast.claim_key (
  target holdfast.queues,
  new_id bigint,
  body text,
  options jsonb,
  content_marks jsonb
) returns bigint
language plpgsql as $$
declare
  priority integer := coalesce((options->>'priority')::numeric::integer, 4);
  delay_seconds float8 := (options->>'delaySeconds')::float8;
  visible_at timestamptz := (options->>'visibleAt')::timestamptz;
  ttl_seconds float8 := (options->>'ttlSeconds')::float8;
  max_attempts integer := (options->>'maxAttempts')::numeric::integer;
  new_digest bytea := holdfast.digest_of(
    body,
    null,
    null,
    holdfast.content_headers(options->'headers'),
    priority,
    delay_seconds,
    visible_at,
    ttl_seconds,
    max_attempts,
    content_marks
  );
  known_id bigint;
  known_digest bytea;
begin
  insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
  values (
    target.id,
    options->>'idempotencyKey',
    new_id,
    new_digest,
    statement_timestamp() + make_interval(secs => target.dedup_seconds)
  )
  on conflict on constraint idempotency_keys_pkey do update set
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
  returning k.message_id, k.digest into known_id, known_digest;

  if known_digest <> new_digest and not holdfast.digest_fits(
    known_digest,
    body,
    null,
    null,
    nullif(options->'headers', '{}'),
    priority,
    delay_seconds,
    visible_at,
    ttl_seconds,
    max_attempts,
    content_marks,
    target.delay_seconds
  ) then
    raise exception
      'idempotencyMismatch: this key was used for other content not long ago; nothing was stored'
      using errcode = 'HF005';
  end if;
  return known_id;
end
$$;

/*
 Enqueues a message in the caller's transaction. When that commits, the message exists and consumers
 are woken. Answers its id, or the id of the message that the idempotency key stands for already, or
 that holds the unique key.
 Makes an unknown queue, with the defaults.
 Options: headers, priority, delaySeconds or visibleAt, ttlSeconds, maxAttempts, group, unique,
 idempotencyKey, as over HTTP. Raises:
   HF004 invalidRequest       an argument that the call over HTTP would refuse, or see check_snapshot
   HF005 idempotencyMismatch  the key stands for other content
   HF006 queueFull            the queue holds as many messages as its maxDepth allows
   HF007 uniqueGroup          the message to replace has another group, and the queue has an order
   HF008 wrongCell            the queue belongs to another cell

 It is one function with numbered steps. Two functions for steps 2 and 5 made each call 8 % slower.
*/
create or replace function holdfast.enqueue (
  queue text,
  body json,
  options jsonb default '{}'
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on as $$
declare
  target holdfast.queues;
  message holdfast.messages;
  message_id bigint := nextval('holdfast.positions');
  marks jsonb := case
    when options ? 'group' then jsonb_build_object('group', options->'group')
  end;
  content_marks jsonb := marks;
  replaces boolean := options->'unique'->>'onConflict' is not distinct from 'replace';
  is_held boolean := false;
  met_id bigint;
  stands boolean := true;
  in_turns boolean;
  given_rank smallint;
  turn record;
  visible timestamptz;
  fault text;
  made_id integer;
  known_id bigint;
begin
  -- 1. Refuses what the call over HTTP would refuse.
  fault := case
    when queue is null or queue !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$'
      then 'the queue must be a name of 1 to 80 of A-Z a-z 0-9 _ . -'
    when body is null
      then 'the body is missing (the JSON null is ''null''::json)'
    when options is null or jsonb_typeof(options) <> 'object'
      then 'the options must be a JSON object'
    when options ? 'delaySeconds' and options ? 'visibleAt'
      then 'visibleAt cannot stand beside delaySeconds'
  end;
  if fault is null then
    fault := holdfast.options_fault(options);
  end if;
  if fault is not null then
    raise exception 'invalidRequest: %', fault using errcode = 'HF004';
  end if;

  -- 2. Finds or makes the queue. Its settings stay as they are while this transaction lasts, because a
  -- change of the order waits for the lock.
  lock table holdfast.messages in row exclusive mode;
  insert into holdfast.queues (name)
  select queue
  where not exists (select from holdfast.queues q where q.name = queue)
  on conflict (name) do nothing
  returning id into made_id;
  if made_id is not null then
    insert into holdfast.counts (queue_id) values (made_id);
  end if;
  select * into strict target
  from holdfast.queues q
  where q.name = queue;
  perform holdfast.keep_here(queue); -- it may be moving away
  perform holdfast.check_snapshot(target.id);

  -- 3. Refuses what the settings of the queue do not allow. A message that meets the holder of its
  -- unique key does not make the queue deeper.
  fault := case
    when target.ordering = 'none' then null
    when options ? 'priority' then 'priority cannot be given in a queue with an order'
    when options ? 'delaySeconds' then 'delaySeconds cannot be given in a queue with an order'
    when options ? 'visibleAt' then 'visibleAt cannot be given in a queue with an order'
  end;
  if fault is not null then
    raise exception 'invalidRequest: %', fault using errcode = 'HF004';
  end if;

  if octet_length(body::text) > target.message_bytes_max then
    raise exception
      'invalidRequest: the body is larger than % bytes',
      target.message_bytes_max
      using errcode = 'HF004';
  end if;

  message.unique_key := options->'unique'->>'key';
  if message.unique_key is not null then
    message.unique_until_leased := options->'unique'->>'until' is not distinct from 'leased';
    content_marks := coalesce(marks, '{}') || jsonb_build_object(
      'unique',
      jsonb_build_array(message.unique_key, message.unique_until_leased, replaces)
    );
    is_held := exists (
      select
      from holdfast.messages m
      where m.queue_id = target.id
        and m.unique_key = message.unique_key
        and m.dead_at is null
    );
  end if;

  if not is_held and target.max_depth is not null and target.max_depth <= holdfast.depth_of(target.id) then
    raise exception
      'queueFull: the queue % holds as many messages as its maxDepth allows',
      queue
      using errcode = 'HF006';
  end if;

  -- 4. Answers the message that the idempotency key stands for, or claims the key.
  if options ? 'idempotencyKey' then
    known_id := holdfast.claim_key(target, message_id, body::text, options, content_marks);
    if known_id <> message_id then
      return known_id;
    end if;
  end if;

  -- 5. Makes the row.
  visible := coalesce(
    (options->>'visibleAt')::timestamptz,
    statement_timestamp() + make_interval(
      secs => coalesce((options->>'delaySeconds')::float8, target.delay_seconds)
    )
  );
  visible := case when visible > statement_timestamp() then visible end;
  given_rank := coalesce((options->>'priority')::numeric::integer, 4) * 2;
  in_turns := target.takes_turns;
  message.id := message_id;
  message.queue_id := target.id;
  message.line := case
    when target.ordering = 'group' then options->>'group'
    when target.ordering = 'queue' then ''
    when in_turns then coalesce(options->>'group', '')
  end;
  message.marks := marks;
  message.enqueued_at := statement_timestamp();
  message.visible_at := visible;
  message.expires_at := statement_timestamp() + make_interval(
    secs => coalesce((options->>'ttlSeconds')::float8, target.ttl_seconds)
  );
  message.max_attempts := (options->>'maxAttempts')::numeric::integer;
  message.rank := case when in_turns then 8 else given_rank end;
  message.turn_rank := case when in_turns then given_rank end;
  message.body := body::text;
  message.headers := options->'headers';
  message.fence := 0;
  message.attempt := 0;

  -- 6. Stores the row, at once or when the session that held its unique key is done with it. A key with a
  -- holder ends here.
  loop
    if message.unique_key is not null then
      met_id := holdfast.meet_unique(
        message,
        replaces,
        target.ordering <> 'none' or in_turns
      );
      if met_id is not null then
        update holdfast.idempotency_keys k
        set message_id = met_id
        where k.queue_id = target.id
          and k.key = options->>'idempotencyKey';
        return met_id;
      end if;
    end if;
    if in_turns then
      stands := false;
    elsif message.line is not null then
      stands := cardinality(holdfast.open_lines(target.id, array[message.line])) > 0;
    end if;
    if message.line is not null then
      message.place := nextval('holdfast.positions');
    end if;
    message.position := case when stands then coalesce(message.place, message_id) end;
    if message.unique_key is null then
      insert into holdfast.messages values (message.*);
      exit;
    end if;
    insert into holdfast.messages values (message.*)
    on conflict (queue_id, unique_key) where unique_key is not null and dead_at is null do nothing;
    exit when found;
    -- Another session was faster, and now holds the key.
    if message.line is not null and stands then
      perform holdfast.free_lines(target.id, array[message.line], array[1], array[message.place]);
    end if;
  end loop;

  -- 7. Counts the message, lets its line take a turn, and wakes those who wait.
  insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
  values (target.id, (visible is null)::integer, (visible is not null)::integer, 1);
  if in_turns and visible is null then
    select * into turn
    from holdfast.take_turns(target.id, array[message.line]);
    message.position := turn.position;
  end if;
  perform holdfast.notify_stored(target.id, message.position, visible);
  return message_id;
end
$$;

-- The cell that new messages of this queue belong to. null: they belong here.
create or replace function holdfast.cell_of (queue_name text) returns text
language sql stable as $$
  select p.cell
  from holdfast.placement p
  where p.name = case when p.whole then queue_name else left(queue_name, length(p.name)) end
  order by
    p.whole desc,
    length(p.name) desc
  limit 1
$$;

-- Refuses a queue of another cell. It asks with the rights of its owner: a role that may enqueue in SQL
-- needs no right on the placement. A transaction may keep a snapshot that is older than the placement.
-- It then fails with a serialization failure, because the placement is replaced as a whole.
create or replace function holdfast.keep_here (queue_name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  cell text;
begin
  if not exists (select from holdfast.placement) then
    return;
  end if;
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    begin
      perform from holdfast.placement for key share;
      raise exception 'undone' using errcode = 'HF000'; -- a move must not wait for these locks
    exception
      when sqlstate 'HF000' then null;
    end;
  end if;
  cell := holdfast.cell_of(queue_name);
  if cell is not null then
    raise exception
      'wrongCell: the queue % belongs to the cell %, and this is another one; nothing was changed',
      queue_name,
      cell
      using errcode = 'HF008';
  end if;
end
$$;

-- The queue of this name. If there is none, it is made with the defaults. Beside a queue of a front, it
-- gets the order and the times of that one. It cannot be deleted before the transaction ends. A session
-- that is deleting it is waited for, and then the queue is made anew.
drop function if exists holdfast.open_queue (text);
create or replace function holdfast.open_queue (queue_name text, beside integer) returns integer
language plpgsql as $$
declare
  open_id integer;
begin
  loop
    select q.id into open_id
    from holdfast.queues q
    where q.name = queue_name
    for key share;
    if open_id is not null then
      return open_id;
    end if;
    insert into holdfast.queues (name)
    values (queue_name)
    on conflict (name) do nothing
    returning id into open_id;
    if open_id is not null then
      insert into holdfast.counts (queue_id) values (open_id);
      update holdfast.queues q
      set
        lease_seconds = b.lease_seconds,
        max_attempts = null,
        retry_strategy = b.retry_strategy,
        retry_delay_seconds = b.retry_delay_seconds,
        retry_max_delay_seconds = b.retry_max_delay_seconds,
        retry_jitter = b.retry_jitter,
        retention_seconds = b.retention_seconds,
        dedup_seconds = b.dedup_seconds,
        message_bytes_max = b.message_bytes_max,
        ordering = b.ordering,
        fairness = b.fairness,
        front = jsonb_build_object('Front', b.front->'Front')
      from holdfast.queues b
      where q.id = open_id
        and b.id = beside
        and b.front ? 'Front';
      return open_id;
    end if;
  end loop;
end
$$;

-- Moves the history of messages that have moved from one queue to another.
create or replace function holdfast.move_history (
  from_id integer,
  from_name text,
  to_id integer,
  message_ids bigint[]
) returns void
language sql as $$
  update holdfast.history h
  set
    queue_id = to_id,
    queue = coalesce(h.queue, from_name)
  where h.queue_id = from_id
    and h.message_id = any(message_ids)
$$;

-- The line of a message in this queue. null: it stands in none.
create or replace function holdfast.line_in (queue holdfast.queues, marks jsonb) returns text
language sql immutable as $$
  select case
    when queue.ordering = 'group' then marks->>'group'
    when queue.ordering = 'queue' then ''
    when queue.takes_turns then coalesce(marks->>'group', '')
  end
$$;

-- Before messages move to an ordered queue: locks the lines that they join, and answers those in
-- which none stands. Places are drawn after that. null: the queue has no order.
create or replace function holdfast.open_lines_for (
  from_id integer,
  message_ids bigint[],
  to_queue holdfast.queues
) returns text[]
language plpgsql as $$
begin
  if to_queue.ordering = 'none' then
    return null;
  end if;
  return holdfast.open_lines(
    to_queue.id,
    array(
      select l.line
      from holdfast.messages m
      cross join lateral holdfast.line_in(to_queue, m.marks) as l (line)
      where m.queue_id = from_id
        and m.id = any(message_ids)
        and l.line is not null
    )
  );
end
$$;

-- After messages have moved to a queue with lines: the first of each line that was opened stands. Of
-- lines that take turns, one message each is in the ready index. Answers how many messages a lease can
-- take now by that, and the lowest of their positions.
create or replace function holdfast.seat_moved (
  to_queue holdfast.queues,
  message_ids bigint[],
  opened text[],
  out ready integer,
  out lowest bigint
)
language plpgsql as $$
begin
  if to_queue.ordering = 'none' then
    select t.ready, t.position into ready, lowest
    from holdfast.take_turns(
      to_queue.id,
      array(
        select m.line
        from holdfast.messages m
        where m.queue_id = to_queue.id
          and m.id = any(message_ids)
        group by m.line
        order by min(m.place)
      )
    ) t;
    return;
  end if;
  if cardinality(opened) > 0 then
    perform holdfast.advance(to_queue.id, opened, array_fill(0::bigint, array[cardinality(opened)]));
  end if;
  select count(*), min(m.position) into ready, lowest
  from holdfast.messages m
  where m.queue_id = to_queue.id
    and m.id = any(message_ids)
    and m.position is not null;
end
$$;

-- Before a redrive moves messages out of a queue with lines: locks the lines of these messages, since
-- a parked message is never held while its line is waited for.
create or replace function holdfast.lock_lines_of (from_id integer, message_ids bigint[]) returns void
language plpgsql as $$
begin
  if exists (
    select
    from holdfast.lines l
    where l.queue_id = from_id
  ) then
    perform
    from holdfast.lines l
    where l.queue_id = from_id
      and l.line = any(array(
        select m.line
        from holdfast.messages m
        where m.queue_id = from_id
          and m.id = any(message_ids)
          and m.line is not null
      ))
    order by l.line
    for update;
  end if;
end
$$;

-- How long a message lives from the time that its time to live counts from.
create or replace function holdfast.ttl_of (
  enqueued_at timestamptz,
  kept_from timestamptz,
  expires_at timestamptz
) returns interval
language sql immutable as $$
  select expires_at - coalesce(kept_from, enqueued_at)
$$;

/*
 Moves messages that have just died to the dead-letter queues of their queues. The statement that
 let them die calls it, so it all is one commit, and tells their lines. Those whose queue has no
 dead-letter queue it leaves. Answers for each queue that received some: its id and name, how many
 came, how many of them a lease can take now, and the lowest of their positions.
*/
create or replace function holdfast.bury (queue_ids integer[], message_ids bigint[])
returns table (target_id integer, target text, moved integer, ready integer, lowest bigint)
language plpgsql as $$
declare
  source record;
  to_queue holdfast.queues;
  in_turns boolean;
  opened text[];
begin
  for source in
    select
      q.id,
      q.name,
      q.dead_letter_queue,
      array_agg(died.id order by died.id) as ids
    from unnest(queue_ids, message_ids) as died (queue_id, id)
    join holdfast.queues q on q.id = died.queue_id
    where q.id = any(queue_ids)
      and q.dead_letter_queue is not null
    group by q.id
    order by q.dead_letter_queue, q.id
  loop
    target := source.dead_letter_queue;
    target_id := holdfast.open_queue(target, source.id);
    select * into to_queue
    from holdfast.queues q
    where q.id = target_id;
    in_turns := to_queue.takes_turns;
    opened := holdfast.open_lines_for(source.id, source.ids, to_queue);

    with places as materialized (
      select
        array_agg(placed.id order by placed.id) as ids,
        array_agg(placed.place order by placed.id) as positions
      from (
        select in_order.id, nextval('holdfast.positions') as place
        from (
          select m.id
          from holdfast.messages m
          where m.queue_id = source.id
            and m.id = any(source.ids)
          order by coalesce(m.place, m.position)
        ) in_order
      ) placed
    ), buried as (
      update holdfast.messages m
      set
        queue_id = target_id,
        line = holdfast.line_in(to_queue, m.marks),
        place = case
          when holdfast.line_in(to_queue, m.marks) is not null
          then places.positions[width_bucket(m.id, places.ids)]
        end,
        position = case
          when holdfast.line_in(to_queue, m.marks) is null
          then places.positions[width_bucket(m.id, places.ids)]
        end,
        rank = case when in_turns then 8 else coalesce(m.turn_rank, m.rank) & ~1 end,
        turn_rank = case when in_turns then coalesce(m.turn_rank, m.rank) & ~1 end,
        fence = m.fence + 1,
        attempt = 0,
        max_attempts = null,
        dead_at = null,
        unique_key = null,
        ready_at = m.dead_at,
        kept_from = m.dead_at,
        expires_at = null,
        origin = coalesce(
          m.origin,
          jsonb_build_object(
            'queue', source.name,
            'diedAt', holdfast.rfc3339(m.dead_at),
            'reason', (
              select h.reason
              from holdfast.history h
              where h.queue_id = source.id
                and h.message_id = m.id
                and h.outcome in ('failed', 'expired')
              order by h.fence desc
              limit 1
            ),
            'attempts', m.attempt,
            'own', jsonb_strip_nulls(jsonb_build_object(
              'maxAttempts', m.max_attempts,
              'ttlSeconds', extract(epoch from holdfast.ttl_of(m.enqueued_at, m.kept_from, m.expires_at))
            ))
          )
        )
      from places
      where m.queue_id = source.id
        and m.id = any((select places.ids from places)::bigint[])
        and m.dead_at is not null
      returning m.position
    ), noted as (
      insert into holdfast.ledger (queue_id, ready, dead, buried_total, inherited_total)
      select
        change.queue_id,
        change.ready,
        change.dead,
        change.buried,
        change.inherited
      from (select count(*)::integer as n from buried) b
      cross join lateral (
        values
          (source.id, 0, -b.n, b.n, 0),
          (target_id, b.n, 0, 0, b.n)
      ) as change (queue_id, ready, dead, buried, inherited)
    )
    select count(*), count(b.position), min(b.position) into moved, ready, lowest
    from buried b;

    perform holdfast.move_history(source.id, source.name, target_id, source.ids);
    if in_turns or opened is not null then
      select s.ready, s.lowest into ready, lowest
      from holdfast.seat_moved(to_queue, source.ids, opened) s;
    end if;
    return next;
  end loop;
end
$$;

/*
 Redrives messages of a queue by moving them to another. The caller has locked them, and says how
 many are in which state, and whether one stands in a line. None of them is leased. Answers as
 holdfast.bury does, and also names the queue itself where messages became ready in its lines.
*/
create or replace function holdfast.send (
  from_id integer,
  message_ids bigint[],
  destination text,
  were_ready bigint,
  were_delayed bigint,
  were_dead bigint,
  in_lines boolean
)
returns table (target_id integer, target text, moved integer, ready integer, lowest bigint)
language plpgsql as $$
declare
  from_queue holdfast.queues;
  to_queue holdfast.queues;
  left_lines record;
  opened text[];
  positions bigint[];
  in_turns boolean;
begin
  select * into from_queue
  from holdfast.queues q
  where q.id = from_id;
  moved := cardinality(message_ids);
  target := destination;
  target_id := holdfast.open_queue(destination, from_id);

  if in_lines then
    select
      array_agg(left_line.line) as lines,
      array_agg(left_line.count) as counts,
      array_agg(left_line.place) as places,
      bool_or(left_line.in_turns) as in_turns
    into left_lines
    from (
      select
        m.line,
        count(*) as count,
        min(m.place) as place,
        bool_or(m.turn_rank is not null) as in_turns
      from holdfast.messages m
      where m.queue_id = from_id
        and m.id = any(message_ids)
        and m.line is not null
        and m.position is not null
        and m.dead_at is null
      group by m.line
    ) left_line;
  end if;

  select * into to_queue
  from holdfast.queues q
  where q.id = target_id;
  in_turns := to_queue.takes_turns;
  opened := holdfast.open_lines_for(from_id, message_ids, to_queue);
  -- They keep the order that they have here. Where groups take turns, they have none.
  select array_agg(placed.position order by placed.id)
  into positions
  from (
    select in_order.id, nextval('holdfast.positions') as position
    from (
      select m.id
      from holdfast.messages m
      where m.queue_id = from_id
        and m.id = any(message_ids)
      order by case when m.turn_rank is null then m.place end nulls first, m.id
    ) in_order
  ) placed;

  update holdfast.messages m
  set
    queue_id = target_id,
    line = holdfast.line_in(to_queue, m.marks),
    place = case
      when holdfast.line_in(to_queue, m.marks) is not null
      then positions[width_bucket(m.id, message_ids)]
    end,
    position = case
      when holdfast.line_in(to_queue, m.marks) is null
      then positions[width_bucket(m.id, message_ids)]
    end,
    rank = case when in_turns then 8 else coalesce(m.turn_rank, m.rank) & ~1 end,
    turn_rank = case when in_turns then coalesce(m.turn_rank, m.rank) & ~1 end,
    fence = m.fence + 1,
    attempt = 0,
    max_attempts = coalesce((m.origin->'own'->>'maxAttempts')::integer, m.max_attempts),
    visible_at = null,
    dead_at = null,
    unique_key = null,
    ready_at = statement_timestamp(),
    kept_from = statement_timestamp(),
    expires_at = statement_timestamp() + coalesce(
      make_interval(secs => (m.origin->'own'->>'ttlSeconds')::float8),
      holdfast.ttl_of(m.enqueued_at, m.kept_from, m.expires_at)
    ),
    origin = null
  where m.queue_id = from_id
    and m.id = any(message_ids);

  insert into holdfast.ledger (
    queue_id,
    ready,
    delayed,
    dead,
    redriven_total,
    sent_total,
    returned_total
  )
  values
    (from_id, -were_ready, -were_delayed, -were_dead, moved, moved, 0),
    (target_id, moved, 0, 0, 0, 0, moved);

  perform holdfast.move_history(from_id, from_queue.name, target_id, message_ids);
  ready := moved;
  lowest := (select min(p) from unnest(positions) as p);
  if in_turns or opened is not null then
    select s.ready, s.lowest into ready, lowest
    from holdfast.seat_moved(to_queue, message_ids, opened) s;
  end if;
  return next;

  if not in_lines then
    return;
  end if;
  if left_lines.lines is not null then
    select f.ready, f.position into ready, lowest
    from holdfast.settle_lines(
      from_id,
      left_lines.lines,
      left_lines.counts,
      array_fill(0::bigint, array[cardinality(left_lines.lines)]),
      left_lines.places,
      left_lines.in_turns
    ) f;
    target_id := from_id;
    target := from_queue.name;
    moved := 0;
    return next;
  end if;
end
$$;
