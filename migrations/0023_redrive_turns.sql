-- Redrives that keep to a rate go on in turns of the callers that began them.
alter table holdfast.redrives
  -- A key, or an address where none was needed. Those that are older than this have one together.
  add column caller_id text collate "C" not null default '';
create index redrives_by_caller on holdfast.redrives (caller_id, next_at) where state = 'running';
