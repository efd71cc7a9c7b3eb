-- Push: the endpoint to which the messages of a queue are delivered.
-- Each change takes the next version under one lock, so a reader that knows the newest has seen all.
create sequence holdfast.push_versions;
create table holdfast.pushes (
  queue_id integer primary key references holdfast.queues on delete cascade,
  url text not null,
  max_concurrent integer not null default 10,
  timeout_seconds double precision not null default 30,
  headers jsonb not null default '{}',
  key_id text collate "C" not null,       -- the secret that signs is made from it; it is none itself
  old_key_id text collate "C",            -- signs too until old_key_until, while the secret is replaced
  old_key_until timestamptz,
  caller_id text collate "C" not null,    -- who made it: a key, or an address where none was needed
  version bigint not null default nextval('holdfast.push_versions'),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);

-- The secret of the service, where no file holds one. At most one row.
create table holdfast.push_secret (
  id boolean primary key default true check (id),
  secret bytea not null
);

-- A queue that moves to another cell takes no new push.
create trigger keep_here
before insert on holdfast.pushes
for each row
execute function holdfast.refuse_queue_elsewhere();
