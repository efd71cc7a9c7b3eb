-- More settings of a queue. The defaults leave a queue as it was.

-- null: no message is dead by its attempts.
alter table holdfast.queues alter column max_attempts drop not null;

alter table holdfast.queues
  add column delay_seconds double precision not null default 0, -- of messages that give none
  add column ttl_seconds double precision,                      -- likewise; null: no time to live
  add column wait_seconds double precision not null default 0,  -- of leases that do not say
  add column message_bytes_max integer not null default 1048576,
  add column tags jsonb not null default '{}';
