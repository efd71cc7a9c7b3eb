/** Acks with results. */
import type { Completed } from '../../core/completion.ts'
import type { Digits } from '../../core/message.ts'
import type { Held } from '../../core/ports.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { ack, acking, heldArrays } from './settle.ts'

// A statement of its own, so that an ack without a result pays nothing for those that have one.
export const completeStatement: Statement<Held> = {
  name: 'complete',
  parameters: '$1 queue id · $2 message ids · $3 fences · $4 results',
  text: sql`
    with ${acking('$2', '$3', '($4::text[])[width_bucket(m.id, $2::bigint[])]')}
    select id, fence
    from done`
}

/** Acks, and keeps the results where the queue keeps acked messages. No id may come twice. */
export async function complete(session: Session, queueId: Digits, completed: Completed[]): Promise<Held[]> {
  if (completed.every(({ result }) => result === null)) return await ack(session, queueId, completed)
  const values = heldArrays(queueId, completed)
  return await session.query(completeStatement, [...values, completed.map(({ result }) => result)])
}

export const completionVerbs = { complete }
