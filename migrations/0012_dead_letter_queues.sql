-- Dead-letter queues. A dead message moves to one, and says where it came from. Redrives may take
-- their time.

-- By name, since the queue may be made by the first death. null: dead messages stay where they are.
alter table holdfast.queues add column dead_letter_queue text collate "C";

-- Both stay null for a message that never died, so it takes no room for them.
--   origin     the queue in which it died, when, why, and after how many attempts; `own` keeps what
--              counts again after a redrive: its own maxAttempts, and its time to live in seconds
--   kept_from  its retention counts from here; null: from its enqueue
alter table holdfast.messages
  add column origin jsonb,
  add column kept_from timestamptz;
alter table holdfast.messages
  alter column origin set statistics 10,
  alter column kept_from set statistics 10;

-- For a redrive, and for the retention of messages whose ids do not tell their age.
create index messages_moved on holdfast.messages (queue_id, id) where origin is not null;
create index messages_by_kept_from on holdfast.messages (queue_id, kept_from) where kept_from is not null;

alter table holdfast.acked add column origin jsonb;

-- The name of the queue of this attempt. null: the queue in which the message is now.
alter table holdfast.history add column queue text collate "C";

alter table holdfast.ledger
  add column buried_total integer not null default 0,
  add column inherited_total integer not null default 0,
  add column sent_total integer not null default 0,
  add column returned_total integer not null default 0;
alter table holdfast.counts
  add column buried_total bigint not null default 0,
  add column inherited_total bigint not null default 0,
  add column sent_total bigint not null default 0,
  add column returned_total bigint not null default 0;

-- Redrives that keep to a rate. A replica takes a row that is due, moves some messages and writes
-- what it has done into the row, all in one transaction.
create table holdfast.redrives (
  id bigint generated always as identity primary key,
  queue_id integer not null references holdfast.queues on delete cascade,
  destination text collate "C",           -- null: each message goes home, or becomes ready here
  selection jsonb not null,               -- `ids` and `where`, as the call gave them
  rate double precision not null,         -- messages a second
  state text not null default 'running' check (state in ('running', 'done', 'stopped')),
  redriven bigint not null default 0,
  wanted bigint,                          -- how many at most; null: all
  after_id bigint not null default 0,     -- all messages up to this id have been examined
  last_id bigint not null,                -- the last id that existed when it began
  paid_to timestamptz not null,           -- up to this time the rate is used up
  next_at timestamptz not null,           -- no message is moved before
  started_at timestamptz not null,
  ended_at timestamptz
);
create unique index redrives_running on holdfast.redrives (queue_id) where state = 'running';
create index redrives_by_next_time on holdfast.redrives (next_at) where state = 'running';
create index redrives_by_queue on holdfast.redrives (queue_id, id);
create index redrives_by_end on holdfast.redrives (ended_at) where ended_at is not null;
