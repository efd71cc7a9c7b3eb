-- Schedules: what is to be enqueued, and when next. The times are worked out by the service, which knows cron and time zones.
create table holdfast.schedules (
  name text collate "C" primary key,
  queue text collate "C" not null,        -- by name, since a queue may be made by the message
  cron text not null,
  timezone text not null,
  body text not null,                     -- JSON, exactly as it was sent
  headers jsonb not null,
  priority smallint not null,
  paused boolean not null,
  missed text not null check (missed in ('once', 'skip')),
  next_at timestamptz,                    -- null: paused, or it cannot be said
  last_at timestamptz,                    -- what became of the last time at which it was due
  last_fired_at timestamptz,
  last_outcome text,
  last_message_id bigint,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index schedules_by_next_time on holdfast.schedules (next_at) where next_at is not null;
