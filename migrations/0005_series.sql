-- What is told of the last hour. `at` is the end of a step of half a minute, in seconds since the epoch.

-- How many are in each state at the end of a step, and the totals by then: a row for each queue of which they have changed since its last.
create table holdfast.series (
  queue_id integer not null,
  at integer not null,
  ready bigint not null,
  delayed bigint not null,
  leased bigint not null,
  dead bigint not null,
  enqueued_total bigint not null,
  acked_total bigint not null,
  failed_total bigint not null,            -- attempts that ended badly: fails and leases that ran out
  primary key (queue_id, at)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- How long messages waited and were worked on, as the replicas have counted: element n counts those below 2^(n-1) ms that are in none before.
create table holdfast.times (
  queue_id integer not null,
  at integer not null,
  waits integer[] not null,
  works integer[] not null,
  primary key (queue_id, at)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- When a lease was last asked for, whether or not there was a message.
create table holdfast.asked (
  queue_id integer primary key,
  asked_at timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- The last step that has been written: one row, which whoever writes the next one takes.
create table holdfast.series_turn (at integer not null);
insert into holdfast.series_turn (at) values (0);

-- Where the rates of queues that are there already begin.
insert into holdfast.series (queue_id, at, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total)
select queue_id, 0, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total + lapsed_total from holdfast.counts;
