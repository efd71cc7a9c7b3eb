/** Ready messages that leases have passed by, because a hint was too high. */
import type { Digits } from '../../core/message.ts'
import { inReadyIndex } from '../fragments.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import type { ScanHints } from '../upkeep/scanHints.ts'

export const firstReadyStatement: Statement<{ rank: number; position: Digits }> = {
  name: 'first_ready',
  parameters: '$1 queue id · $2 ranks',
  slow: true,
  text: sql`
    select level.rank, m.position
    from unnest($2::smallint[]) as level (rank)
    cross join lateral (
      select position
      from holdfast.messages
      where queue_id = $1
        and rank = level.rank
        and ${inReadyIndex('')}
        and leased_until is null
      order by position
      limit 1
    ) m`
}

/**
 * Checks a queue from its very start, if that is due, and lowers hints that were too high. True
 * when one was. It runs beside the leases, because past a million dead rows it takes a second or
 * two. It never fails: after an error it is simply due again.
 */
export async function findMissed(session: Session, scanHints: ScanHints, queueId: Digits): Promise<boolean> {
  if (!scanHints.takeCheck(queueId)) return false
  const rows = await session.query(firstReadyStatement, [queueId, ranks]).catch(() => [])
  return scanHints.checked(
    queueId,
    rows.map(({ rank, position }) => ({ rank, position: Number(position) }))
  )
}
