-- SQL functions. The whole file is applied again whenever it has changed.

-- A message's state, from the columns that make it. Inlined into the statements that ask.
create or replace function holdfast.state_of (visible_at timestamptz, leased_until timestamptz, dead_at timestamptz) returns text
language sql immutable as $$
  select case when dead_at is not null then 'dead' when leased_until is not null then 'leased' when visible_at is not null then 'delayed' else 'ready' end
$$;

-- What two enqueues under one idempotency key must share: the body, its type, the headers and the options.
create or replace function holdfast.digest_of (body text, body_bytes bytea, content_type text, headers jsonb, options text) returns bytea
language sql immutable as $$
  select sha256(sha256(coalesce(body_bytes, convert_to(body, 'UTF8'))) || convert_to(concat_ws(chr(1), content_type, headers::text, options), 'UTF8'))
$$;

-- A time as every answer writes it: RFC 3339, UTC, milliseconds.
create or replace function holdfast.rfc3339 (at timestamptz) returns text
language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
