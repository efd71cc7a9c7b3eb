/** Idempotency keys of leases: with its key a lease is given again when its answer was lost. */
import type { Digits } from '../../core/message.ts'
import type { Held, LeasedRow } from '../../core/ports.ts'
import { isServerError } from '../databaseErrors.ts'
import { lastFailureAbove, leasedColumns } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** True when a lease met the row of another one with the same key. Nothing was leased or acked. */
export function isLeaseKeyTaken(error: unknown): boolean {
  return isServerError(error) && error.constraint === 'leases_by_key'
}

export const usedKeysStatement: Statement<{ key: string }> = {
  name: 'used_keys',
  parameters: '$1 queue id · $2 keys',
  text: sql`
    select idempotency_key as key
    from holdfast.leases
    where queue_id = $1
      and idempotency_key = any($2::text[])`
}

/** Those of the keys with which messages have been leased, and may still be held. */
async function usedLeaseKeys(session: Session, queueId: Digits, keys: string[]): Promise<Set<string>> {
  const rows = await session.query(usedKeysStatement, [queueId, keys])
  return new Set(rows.map(({ key }) => key))
}

export const leasedByKeyStatement: Statement<LeasedRow> = {
  name: 'leased_by_key',
  parameters: '$1 queue id · $2 key',
  text: sql`
    select
      ${leasedColumns}
    from holdfast.leases l
    cross join unnest(l.message_ids, l.fences) with ordinality as h (id, fence, n)
    cross join lateral (
      select *
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = h.id
        and m.fence = h.fence
        and m.leased_until > statement_timestamp()
      limit 1
    ) m
    cross join lateral (
      select max_attempts
      from holdfast.queues
      where id = $1
      limit 1
    ) q
    ${lastFailureAbove(1)}
    where l.queue_id = $1
      and l.idempotency_key = $2
    order by h.n`
}

// It reads the leases again, since a call with the same key may have been committed since.
export const forgetLeaseKeyStatement: Statement = {
  name: 'forget_lease_key',
  parameters: '$1 queue id · $2 key',
  text: sql`
    update holdfast.leases l
    set idempotency_key = null
    where l.queue_id = $1
      and l.idempotency_key = $2
      and not exists (
        select
        from unnest(l.message_ids, l.fences) as h (id, fence)
        cross join lateral (
          select
          from holdfast.messages m
          where m.queue_id = $1
            and m.id = h.id
            and m.fence = h.fence
            and m.leased_until > statement_timestamp()
          limit 1
        ) m
      )`
}

/**
 * The messages that an earlier lease with this key took and still holds. When it holds none any
 * more, the key is free again and the answer is empty.
 */
export async function leaseAgain(session: Session, queueId: Digits, key: string): Promise<LeasedRow[]> {
  const rows = await session.query(leasedByKeyStatement, [queueId, key])
  if (rows.length === 0) await session.query(forgetLeaseKeyStatement, [queueId, key])
  return rows
}

// The messages stay in the row that they were leased into. So they are in two rows, of which each says
// who holds them and until when.
export const addToLeaseKeyStatement: Statement = {
  name: 'add_to_lease_key',
  parameters: '$1 queue id · $2 key · of each message: $3 id · $4 fence',
  text: sql`
    update holdfast.leases
    set
      message_ids = message_ids || $3::bigint[],
      fences = fences || $4::bigint[],
      holders = holders || array_fill(1::smallint, array[cardinality($3::bigint[])])
    where queue_id = $1
      and idempotency_key = $2`
}

/** Lets a lease with this key be given again with these messages too, which were leased for it. */
async function addToLeaseKey(session: Session, queueId: Digits, key: string, held: Held[]): Promise<void> {
  const ids = held.map(({ id }) => id)
  const fences = held.map(({ fence }) => fence)
  await session.query(addToLeaseKeyStatement, [queueId, key, ids, fences])
}

export const leaseKeyVerbs = { usedLeaseKeys, leaseAgain, addToLeaseKey }
