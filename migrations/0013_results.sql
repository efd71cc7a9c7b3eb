-- What a worker said came of the work, as the JSON text that it sent. null: it said nothing. Only
-- kept acked messages have one.
alter table holdfast.acked add column result text;
