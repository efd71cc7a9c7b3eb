-- An analyze reads 300 rows for each unit of the largest target among the columns, each from a page of its own, and it is due
-- every few seconds on a busy table. The statements of the hot path name the keys they want and their plans are generic,
-- so a tenth of the sample serves them as well.
alter table holdfast.messages
  alter column id set statistics 10, alter column position set statistics 10, alter column enqueued_at set statistics 10,
  alter column visible_at set statistics 10, alter column leased_until set statistics 10, alter column lease_id set statistics 10,
  alter column dead_at set statistics 10, alter column expires_at set statistics 10, alter column fence set statistics 10,
  alter column queue_id set statistics 10, alter column attempt set statistics 10, alter column max_attempts set statistics 10,
  alter column rank set statistics 10, alter column body set statistics 10, alter column body_bytes set statistics 10,
  alter column content_type set statistics 10, alter column headers set statistics 10;
