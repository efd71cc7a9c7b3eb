-- Cells: several databases, each with queues of its own. The table says which cell a new queue
-- belongs to. It is empty where there is one database only.
create table holdfast.placement (
  name text collate "C" not null,
  whole boolean not null,       -- true: the queue of this name; false: queues whose names begin so
  cell text collate "C",        -- null: they belong here
  primary key (name, whole)
);

-- Every way to make a queue passes here: enqueues, settings, dead letters, SQL.
create function holdfast.refuse_elsewhere () returns trigger
language plpgsql as $$
begin
  perform holdfast.keep_here(new.name);
  return new;
end
$$;
create trigger keep_here
before insert on holdfast.queues
for each row
execute function holdfast.refuse_elsewhere();
