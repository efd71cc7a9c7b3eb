-- Redrive tasks that cannot go on say so. A task of the kind `move` takes every message of its queue,
-- makes no queue, and fails where a message has none to go to.
alter table holdfast.redrives
  add column kind text not null default 'redrive' check (kind in ('redrive', 'move')),
  add column failure text,                -- why it has failed
  drop constraint redrives_state_check,
  add constraint redrives_state_check check (state in ('running', 'done', 'stopped', 'failed'));
