-- Who made what stays. An id of a key is kept here after the key was revoked.

-- The key that made a schedule, or has last changed it. null: it needed no key, or the schedule is
-- older than this.
alter table holdfast.schedules add column owner_id text collate "C";
alter table holdfast.schedules add column owner_name text;

-- The queues that an enqueue made, and its caller: a key, or an address where none was needed. A
-- table of its own, because the hot path reads whole rows of holdfast.queues.
create table holdfast.auto_queues (
  queue_id integer primary key references holdfast.queues on delete cascade,
  caller_id text collate "C" not null
);
create index auto_queues_by_caller on holdfast.auto_queues (caller_id);
