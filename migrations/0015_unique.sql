-- Unique work: while a message holds its key, the queue stores no second one of that key.

-- unique_key: the key that the message holds. The first lease gives it up where unique_until_leased.
-- A dead message keeps it to no effect, and gives it up when it is redriven.
alter table holdfast.messages
  add column unique_key text collate "C",
  add column unique_until_leased boolean;
alter table holdfast.messages
  alter column unique_key set statistics 10,
  alter column unique_until_leased set statistics 10;

create unique index messages_unique on holdfast.messages (queue_id, unique_key)
where unique_key is not null and dead_at is null;
