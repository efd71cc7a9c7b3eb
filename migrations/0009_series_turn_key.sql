-- The one row of series_turn gets a key. Without one, its updates fail where a publication for all
-- tables replicates them.
alter table holdfast.series_turn
  add column only_row boolean not null default true check (only_row),
  add primary key (only_row);
