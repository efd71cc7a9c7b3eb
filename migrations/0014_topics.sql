-- Topics: which queues get a copy of what is published. A topic exists while it has a subscription.
-- A table of its own, because the hot path reads whole rows of holdfast.queues.
create table holdfast.subscriptions (
  topic text collate "C" not null,
  queue_id integer not null references holdfast.queues on delete cascade,
  pattern text collate "C" not null,
  caller_id text collate "C" not null,    -- who made it: a key, or an address where none was needed
  primary key (topic, queue_id)
);
create index subscriptions_by_queue on holdfast.subscriptions (queue_id);
