-- Limits per group: how many of a group may be leased at once, and how many in a time.

alter table holdfast.queues
  add column max_leased_per_group integer,  -- null: no limit
  add column rate_per_group jsonb;          -- {"messages", "perSeconds", "burst"?}; null: no limit

-- A limit per group needs lines. Where messages have no order, their groups take turns.
alter table holdfast.queues
  add column takes_turns boolean not null generated always as (
    ordering = 'none'
      and (fairness <> 'none' or max_leased_per_group is not null or rate_per_group is not null)
  ) stored;

-- counted: while the message is leased, its line counts it. null: no.
alter table holdfast.messages add column counted boolean;
alter table holdfast.messages alter column counted set statistics 10;

-- leased: messages that count for the limit of the line. Only lines that take turns have them.
-- waits: nothing of the line stands, because its rate is used up.
alter table holdfast.lines
  add column leased integer not null default 0,
  add column waits boolean not null default false;

-- A row stands for each line whose rate is not full. To write it, a session locks the line first.
create table holdfast.line_rates (
  queue_id integer not null,
  line text collate "C" not null,
  tokens double precision not null,   -- leases that the rate allowed at refilled_at
  refilled_at timestamptz not null,
  due_at timestamptz not null,        -- when the rate allows a lease again, or is full; or earlier
  primary key (queue_id, line)
) with (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
create index line_rates_due on holdfast.line_rates (due_at);

drop function if exists holdfast.line_in (text, text, jsonb);
drop function if exists holdfast.settle_lines (integer, text[], bigint[], bigint[], boolean);
