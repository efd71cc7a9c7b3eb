-- What a front keeps of a queue and nobody else acts on, such as attributes that it only gives back.
alter table holdfast.queues add column front jsonb not null default '{}';
