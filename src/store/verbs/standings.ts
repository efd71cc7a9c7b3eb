/** Where messages stand: those of receipts that changed nothing, or that hold several fences. */
import type { Digits } from '../../core/message.ts'
import type { Standing } from '../../core/ports.ts'
import { sql, type Session, type Statement } from '../statement.ts'

export const lockStatement: Statement = {
  name: 'lock',
  parameters: '$1 queue id · $2 message ids',
  text: sql`
    select
    from holdfast.messages
    where queue_id = $1
      and id = any($2::bigint[])
    order by id
    for no key update`
}

/**
 * Locks messages in the order in which every statement locks them: for a transaction that looks up
 * their fences before it settles them.
 */
async function lockMessages(session: Session, queueId: Digits, ids: Digits[]): Promise<void> {
  await session.query(lockStatement, [queueId, ids])
}

interface StandingRow {
  id: Digits
  fence: Digits | null
  dead: boolean
  acked: boolean
}

// Asked only for receipts that changed nothing: is the message still there, and under which fence?
export const standingStatement: Statement<StandingRow> = {
  name: 'standing',
  parameters: '$1 queue id · $2 message ids',
  text: sql`
    select
      i.id,
      coalesce(m.fence, a.fence) as fence,
      m.dead_at is not null as dead,
      a.id is not null as acked
    from (select distinct unnest($2::bigint[]) as id) i
    left join lateral (
      select *
      from holdfast.messages
      where queue_id = $1
        and id = i.id
      limit 1
    ) m on true
    left join lateral (
      select *
      from holdfast.acked
      where queue_id = $1
        and id = i.id
      limit 1
    ) a on true`
}

/** Where messages stand whose receipts changed nothing. One missing in the answer is gone. */
export async function standings(
  session: Session,
  queueId: Digits,
  ids: Digits[]
): Promise<Map<Digits, Standing>> {
  const rows = await session.query(standingStatement, [queueId, ids])
  return new Map(
    rows.flatMap(({ id, fence, dead, acked }) => (fence === null ? [] : [[id, { fence, dead, acked }]]))
  )
}

export const standingVerbs = { lockMessages, standings }
