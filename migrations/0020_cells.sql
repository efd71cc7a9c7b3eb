-- Cells are several databases, each with queues of its own. This table says where a name belongs.
-- Where there is one database only, it is empty.
create table holdfast.placement (
  name text collate "C" not null,
  whole boolean not null,       -- true: the queue of this name. false: all names that begin so.
  cell text collate "C",        -- null: here
  primary key (name, whole)
);

-- What names a queue of another cell is refused here. So enqueues, settings, topics, schedules,
-- dead letters and SQL need no check of their own. The argument is the column with the name.
create function holdfast.refuse_elsewhere () returns trigger
language plpgsql as $$
begin
  perform holdfast.keep_here(to_jsonb(new)->>tg_argv[0]);
  return new;
end
$$;

-- The same where the row has the id of the queue.
create function holdfast.refuse_queue_elsewhere () returns trigger
language plpgsql as $$
begin
  perform holdfast.keep_here((select name from holdfast.queues where id = new.queue_id));
  return new;
end
$$;

create trigger keep_here
before insert on holdfast.queues
for each row
execute function holdfast.refuse_elsewhere('name');

create trigger keep_dead_letters_here
before update of dead_letter_queue on holdfast.queues
for each row
when (new.dead_letter_queue is distinct from old.dead_letter_queue)
execute function holdfast.refuse_elsewhere('dead_letter_queue');

create trigger keep_new_here
before insert on holdfast.schedules
for each row
execute function holdfast.refuse_elsewhere('queue');

create trigger keep_here
before update of queue on holdfast.schedules
for each row
when (new.queue <> old.queue)
execute function holdfast.refuse_elsewhere('queue');

create trigger keep_here
before insert on holdfast.subscriptions
for each row
execute function holdfast.refuse_queue_elsewhere();
