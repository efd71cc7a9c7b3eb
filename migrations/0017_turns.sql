-- Turns: groups that are served one after another. The messages of such a line do not wait for one
-- another, but only one at a time is in the ready index. See docs/decisions/0017-lines.md.

alter table holdfast.queues
  add column fairness text not null default 'none' check (fairness in ('none', 'group')),
  add constraint queues_one_group check (ordering <> 'queue' or fairness = 'none');

-- turn_rank: the rank within a line that takes turns. `rank` is then the same for all messages,
-- because priorities count within a group only. null: the message stands in no such line.
alter table holdfast.messages add column turn_rank smallint;
alter table holdfast.messages alter column turn_rank set statistics 10;

create index messages_by_turn on holdfast.messages (queue_id, line, position desc)
where turn_rank is not null and position is not null;
create index messages_parked on holdfast.messages (queue_id, line, turn_rank desc, place)
where turn_rank is not null and position is null;
