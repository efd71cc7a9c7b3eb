/** Acks that may have results. */
import type { Digits } from '../../core/message.ts'
import type { Changed, Completed, Held } from '../../core/ports.ts'
import { freeLines } from '../lines.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { ack as plainAck, acking, changedBy, heldArrays, type Settled } from './settle.ts'

// A statement of its own, so that an ack without a result pays nothing for those that have one.
export const completeStatement: Statement<Settled<Held>> = {
  name: 'complete',
  parameters: '$1 queue id · $2 message ids · $3 fences · $4 results',
  text: sql`
    with ${acking('$2', '$3', '($4::text[])[width_bucket(m.id, $2::bigint[])]')}
    select
      id,
      fence,
      ${freeLines('done')} as freed
    from done`
}

/** Acks, and keeps the results where the queue keeps acked messages. No id may come twice. */
async function ack(session: Session, queueId: Digits, held: Completed[]): Promise<Changed<Held>> {
  if (held.every(({ result }) => result == null)) return await plainAck(session, queueId, held)
  const values = heldArrays(queueId, held)
  return changedBy(
    await session.query(completeStatement, [...values, held.map(({ result = null }) => result)])
  )
}

/** Takes the place of the ack in settleVerbs. */
export const completionVerbs = { ack }
