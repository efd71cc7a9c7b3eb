-- Tables and indexes. Run once and never edited: a change is a new file.

create schema if not exists holdfast;

-- One row per queue: its settings. No counters live here, because every statement of the hot path reads it.
create table holdfast.queues (
  id integer generated always as identity primary key,
  name text collate "C" not null unique,
  lease_seconds double precision not null default 30,
  max_attempts integer not null default 5,
  retry_strategy text not null default 'exponential' check (retry_strategy in ('exponential', 'linear', 'fixed')),
  retry_delay_seconds double precision not null default 1,
  retry_max_delay_seconds double precision not null default 3600,
  retry_jitter boolean not null default true,
  retention_seconds double precision not null default 1209600,
  dedup_seconds double precision not null default 86400,
  max_depth bigint,
  paused boolean not null default false,
  keep_acked_seconds double precision not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Numbers of deleted queues whose rows are still to be removed, in chunks.
create table holdfast.removed_queues (
  queue_id integer primary key,
  removed_at timestamptz not null default now()
);

-- Ids and positions share it: a message's first position is its id, and every later one is beyond all ids drawn before.
create sequence holdfast.positions as bigint;

-- A lease changes fence, attempt, leased_until and lease_id only: no index holds them, so it is a HOT update. The
-- fillfactor leaves room for that update on the row's own page.
create table holdfast.messages (
  id bigint not null,
  position bigint not null,
  enqueued_at timestamptz not null,
  visible_at timestamptz,                 -- delayed or backing off until then; null: not delayed
  leased_until timestamptz,               -- null: nobody holds it
  lease_id bigint,                        -- the row of holdfast.leases that says who holds it
  dead_at timestamptz,
  expires_at timestamptz,                 -- from ttlSeconds; null: only the queue's retention ends it
  fence bigint not null default 0,        -- rises with every lease and never falls
  queue_id integer not null,
  attempt integer not null default 0,
  max_attempts integer,                   -- null: the queue's, as it is when the attempt ends
  rank smallint not null,                 -- 2 * priority, plus 1 for a message that came back
  body text,                              -- text without U+0000, exactly as it was sent
  body_bytes bytea,                       -- anything else
  content_type text,                      -- null: application/json
  headers jsonb,
  primary key (queue_id, id)
) with (
  fillfactor = 60,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
  autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);

-- Compressing a body costs more processor time than writing it, so large ones move out as they are.
alter table holdfast.messages alter column body set storage external, alter column body_bytes set storage external;

create index messages_in_order on holdfast.messages (queue_id, rank, position) where visible_at is null and dead_at is null;
create index messages_by_due_time on holdfast.messages (visible_at) where visible_at is not null;
create index messages_dead on holdfast.messages (queue_id, id) where dead_at is not null;
create index messages_by_expiry on holdfast.messages (expires_at) where expires_at is not null;

-- Which leases have run out? One row per flush that leased, so that no index has to hold a lease's end.
create sequence holdfast.lease_ids as bigint;

create table holdfast.leases (
  id bigint primary key,
  ends_at timestamptz not null,           -- no later than the first of its leases to end
  leased_at timestamptz not null,
  queue_id integer not null,
  message_ids bigint[] not null,
  fences bigint[] not null,
  workers text[] not null,
  holders smallint[] not null,            -- per message, which of the workers
  idempotency_key text collate "C"
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index leases_by_end on holdfast.leases (ends_at);
create unique index leases_by_key on holdfast.leases (queue_id, idempotency_key) where idempotency_key is not null;

-- One row per attempt that ended badly.
create table holdfast.history (
  leased_at timestamptz,
  ended_at timestamptz not null,
  message_id bigint not null,
  fence bigint not null,
  queue_id integer not null,
  attempt integer not null,
  outcome text not null check (outcome in ('failed', 'expired', 'released')),
  worker text,
  reason text,
  primary key (queue_id, message_id, fence)
);

-- Messages kept after their ack, where the queue asks for it.
create table holdfast.acked (
  id bigint not null,
  enqueued_at timestamptz not null,
  acked_at timestamptz not null,
  keep_until timestamptz not null,
  fence bigint not null,
  queue_id integer not null,
  attempt integer not null,
  max_attempts integer,
  rank smallint not null,
  body text,
  body_bytes bytea,
  content_type text,
  headers jsonb,
  primary key (queue_id, id)
);

alter table holdfast.acked alter column body set storage external, alter column body_bytes set storage external;
create index acked_by_end on holdfast.acked (keep_until);

create table holdfast.idempotency_keys (
  expires_at timestamptz not null,
  message_id bigint not null,
  queue_id integer not null,
  key text collate "C" not null,
  digest bytea not null,
  primary key (queue_id, key)
);

create index idempotency_keys_by_end on holdfast.idempotency_keys (expires_at);

-- What each flush did to each queue. The sweeper folds these rows into holdfast.counts every second; a reader adds
-- the ones not folded yet. The first five columns are changes of how many messages are in a state, the others totals.
create table holdfast.ledger (
  id bigint generated always as identity primary key,
  queue_id integer not null,
  ready integer not null default 0,
  delayed integer not null default 0,
  leased integer not null default 0,
  dead integer not null default 0,
  acked integer not null default 0,
  enqueued_total integer not null default 0,
  leased_total integer not null default 0,
  acked_total integer not null default 0,
  failed_total integer not null default 0,
  lapsed_total integer not null default 0,
  released_total integer not null default 0,
  dead_total integer not null default 0,
  redriven_total integer not null default 0,
  expired_total integer not null default 0,
  purged_total integer not null default 0
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create table holdfast.counts (
  queue_id integer primary key,
  ready bigint not null default 0,
  delayed bigint not null default 0,
  leased bigint not null default 0,
  dead bigint not null default 0,
  acked bigint not null default 0,
  enqueued_total bigint not null default 0,
  leased_total bigint not null default 0,
  acked_total bigint not null default 0,
  failed_total bigint not null default 0,
  lapsed_total bigint not null default 0,
  released_total bigint not null default 0,
  dead_total bigint not null default 0,
  redriven_total bigint not null default 0,
  expired_total bigint not null default 0,
  purged_total bigint not null default 0
) with (fillfactor = 50);
