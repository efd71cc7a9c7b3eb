/** The rows of holdfast.leases that a flush makes. */
import { sql } from '../statement.ts'

/** How the messages of a flush are entered in holdfast.leases. */
export interface LeaseEntries {
  /** Draws the ids of the rows. */
  ids: string
  /** The id of the row for a message, by the message's number in the flush. */
  idOf: (n: string) => string
  /** Selects the rows. */
  rows: string
  /** Keys of this flush that an earlier lease has used. */
  usedKeys: string
}

export const sharedRow: LeaseEntries = {
  ids: "nextval('holdfast.lease_ids')",
  idOf: () => 'lease.rows',
  rows: sql`
    select
      lease.rows,
      min(l.leased_until),
      lease.at,
      $1,
      array_agg(l.id),
      array_agg(l.fence),
      $8::text[],
      array_agg(l.holder),
      null
    from leased l, lease
    group by lease.rows, lease.at`,
  usedKeys: 'null'
}

/**
 * One row for the messages that were leased without a key, and one for each key. This is a statement
 * of its own, because it would cost leases without keys a twentieth of their rate.
 *
 * Where there are messages to lease, the unique index refuses a key that has been used before. Where
 * there are none, only `usedKeys` says so.
 */
export const rowPerKey = (entries: string, keys: string, workers: string): LeaseEntries => ({
  ids: sql`
    (
      select array_agg(nextval('holdfast.lease_ids'))
      from generate_series(1, cardinality(${keys}::text[]))
    )`,
  idOf: n => `lease.rows[(${entries}::smallint[])[${n}]]`,
  rows: sql`
    select
      l.id,
      l.ends_at,
      lease.at,
      $1,
      l.ids,
      l.fences,
      case part when 1 then $8::text[] else array[(${workers}::text[])[part]] end,
      l.holders,
      (${keys}::text[])[part] as key
    from (
      select
        lease_id as id,
        min(leased_until) as ends_at,
        array_agg(id) as ids,
        array_agg(fence) as fences,
        array_agg(holder) as holders
      from leased
      group by lease_id
    ) l, lease, lateral array_position(lease.rows, l.id) as part
    order by key`,
  usedKeys: sql`
    (
      select array_agg(idempotency_key)
      from holdfast.leases
      where queue_id = $1
        and idempotency_key = any(${keys}::text[])
    )`
})
