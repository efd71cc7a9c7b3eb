/** Unique keys: which of them messages hold, and turns in which one flush alone enqueues them. */
import type { Digits } from '../../core/message.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** Whether message `m` is past its time to live, and not yet removed. */
export const isExpired = '(m.expires_at <= statement_timestamp() and m.leased_until is null) is true'

/** The unique key of message `m` once it is leased. Where it has none, the lease stays a HOT update. */
export const uniqueKeyOfLeased = sql`
  case
    when m.unique_until_leased then null
    else m.unique_key
  end`

export const takeTurnStatement: Statement = {
  name: 'take_unique_turn',
  parameters: '$1 queue ids',
  text: sql`
    select pg_advisory_xact_lock(${lockKeys.unique}, id)
    from (select distinct unnest($1::integer[]) as id order by id) q`
}

/** Until the transaction ends, no other service enqueues unique keys to these queues. */
async function takeUniqueTurn(session: Session, queueIds: Digits[]): Promise<void> {
  await session.query(takeTurnStatement, [queueIds])
}

export const heldKeysStatement: Statement<{ key: string }> = {
  name: 'held_unique_keys',
  parameters: '$1 queue id · $2 unique keys',
  text: sql`
    select k.key
    from unnest($2::text[]) as k (key)
    cross join lateral (
      select
      from holdfast.messages m
      where m.queue_id = $1
        and m.unique_key = k.key
        and m.dead_at is null
        and not ${isExpired}
      limit 1
    ) m`
}

/** Those of the unique keys that messages of the queue hold now. */
async function heldUniqueKeys(session: Session, queueId: Digits, keys: string[]): Promise<Set<string>> {
  const rows = await session.query(heldKeysStatement, [queueId, keys])
  return new Set(rows.map(({ key }) => key))
}

export const uniqueKeyVerbs = { takeUniqueTurn, heldUniqueKeys }
