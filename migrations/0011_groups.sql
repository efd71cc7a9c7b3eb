-- Order within groups. The messages of a group stand in a line, of which one at a time is in the
-- ready index. See docs/decisions/0017-lines.md.

alter table holdfast.queues
  add column ordering text not null default 'none' check (ordering in ('none', 'group', 'queue'));

-- line: the line that the message stands in. null: it waits for no other.
-- place: its place in the line.
-- position: null while the message is parked, because another one of its line goes first.
-- marks: what answers show of few messages, such as their group.
alter table holdfast.messages
  add column line text collate "C",
  add column place bigint,
  add column marks jsonb,
  alter column position drop not null;
alter table holdfast.messages
  alter column line set statistics 10,
  alter column place set statistics 10,
  alter column marks set statistics 10;
alter table holdfast.acked add column marks jsonb;

drop index holdfast.messages_in_order;
create index messages_in_order on holdfast.messages (queue_id, rank, position)
where visible_at is null and dead_at is null and position is not null;
create index messages_by_line on holdfast.messages (queue_id, line, place)
where line is not null;

-- A row stands for each line in which a message is ready, delayed or leased. To change a line, a
-- session locks its row.
-- followers: messages that are leased in one answer with the first, and still out.
-- came_back: the lowest place of those that came back before the others.
create table holdfast.lines (
  queue_id integer not null,
  line text collate "C" not null,
  followers integer not null default 0,
  came_back bigint,
  primary key (queue_id, line)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
