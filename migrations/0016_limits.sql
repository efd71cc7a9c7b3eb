-- Limits of a queue: how many of its messages may be leased at once, and how many in a time.

alter table holdfast.queues
  add column max_leased integer,  -- null: no limit
  add column rate jsonb;          -- {"messages", "perSeconds", "burst"?}; null: no limit

-- A row stands for each queue that has or had a limit. A session locks it before it leases, so it is
-- current even in a statement that had to wait. Only leases and changes of the settings write it.
create table holdfast.limits (
  queue_id integer primary key,
  leased_total bigint not null default 0,  -- leases given while the queue had limits
  leased_most bigint,                      -- no more messages are leased than this; null: not known
  counted_at timestamptz,                  -- when leased_most was last counted
  tokens double precision,                 -- leases that the rate allowed at refilled_at; null: the burst
  refilled_at timestamptz
) with (
  fillfactor = 10,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
