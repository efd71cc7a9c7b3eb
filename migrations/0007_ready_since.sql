-- When a message became ready by its end of a delay, a lease or a death. null: at its enqueue, so a
-- message that is enqueued and acked takes no room for it. No index holds it.
alter table holdfast.messages add column ready_at timestamptz;
alter table holdfast.messages alter column ready_at set statistics 10;
