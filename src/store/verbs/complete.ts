/** Acks that may have results, and that may enqueue what follows. */
import type { Digits } from '../../core/message.ts'
import type { AckedWithNext, Changed, Completed, Freed, Held, NextRow } from '../../core/ports.ts'
import { int4Array } from '../arrays.ts'
import { describedColumns } from '../descriptions.ts'
import { heldRows, takesPlain } from '../fragments.ts'
import { freeLines } from '../lines.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { insertStored, noteStored, storedAs, storedIn, type StoredRow } from './enqueue.ts'
import { describedMessages } from './enqueueRows.ts'
import { ack as plainAck, acking, changedBy, heldArrays, type Settled } from './settle.ts'

const result = '($4::text[])[width_bucket(m.id, $2::bigint[])]'

// A statement of its own, so that an ack without a result pays nothing for those that have one.
export const completeStatement: Statement<Settled<Held>> = {
  name: 'complete',
  parameters: '$1 queue id · $2 message ids · $3 fences · $4 results',
  text: sql`
    with ${acking(heldRows('$2', '$3'), result)}
    select
      id,
      fence,
      ${freeLines('done')} as freed
    from done`
}

const heldIfAllArePlain = sql`
  ${heldRows('$2', '$3')}
    and (select all_are from plain)`

const nextOfDone = sql`
  unnest($6::bigint[], $7::integer[], $8::smallint[], $9::text[], $10::jsonb[])
    with ordinality as i (follows, queue_id, priority, body, rest, n)
  where (i.follows in (select id from done)) is true`

// The acks may wait for other sessions, and the snapshot is as old as before that. So the queues are
// looked for once more after them.
export const ackWithNextStatement: Statement<StoredRow & { acked: string | null; freed: Freed | null }> = {
  name: 'ack_with_next',
  parameters: [
    '$1 queue id · $2 message ids · $3 fences · $4 results',
    '$5 the queues of next messages, each once',
    'of each next message: $6 the message that it follows · $7 queue id · $8 priority',
    '$9 body kept as text · $10 all else, as JSON'
  ].join('\n'),
  text: sql`
    with plain as materialized (
      select count(*) = cardinality($5::integer[]) as all_are
      from unnest($5::integer[]) as id
      where ${takesPlain('id', '$5')}
    ), ${acking(heldIfAllArePlain, result)}, answered as materialized (
      select
        (select string_agg(id || '.' || fence, ' ') from done) as acked,
        ${freeLines('done')} as freed
    ), stored as materialized (
      ${describedMessages(nextOfDone)}
    ), inserted as (
      ${insertStored}
    ), noted as (
      ${noteStored}
    )
    select
      acked,
      freed,
      (select ${storedAs} from stored) as stored,
      holdfast.run_again_if_gone($5::integer[]) as checked
    from plain
    cross join answered
    where all_are`
}

/** Acks, and keeps the results where the queue keeps acked messages. No id may come twice. */
async function ack(session: Session, queueId: Digits, held: Completed[]): Promise<Changed<Held>> {
  if (held.every(({ result }) => result == null)) return await plainAck(session, queueId, held)
  const values = [queueId, ...heldArrays(held, 'id', 'fence', 'result')]
  return changedBy(await session.query(completeStatement, values))
}

/**
 * Acks, and stores the next messages of those that it acked. null: a queue of theirs is gone or has
 * lines, and nothing was done. No id may come twice.
 */
async function ackWithNext(
  session: Session,
  queueId: Digits,
  held: Completed[],
  next: NextRow[]
): Promise<AckedWithNext | null> {
  const rows = next.map(({ row }) => row)
  const [answer] = await session.query(ackWithNextStatement, [
    queueId,
    ...heldArrays(held, 'id', 'fence', 'result'),
    int4Array([...new Set(rows.map(row => Number(row.queueId)))]),
    next.map(({ follows }) => follows),
    ...describedColumns(rows)
  ])
  if (answer === undefined) return null
  const { acked, freed } = answer
  return { acked: acked?.split(' ') ?? [], freed, stored: storedIn(answer, rows.length) }
}

/** `ack` takes the place of the one in settleVerbs. */
export const completionVerbs = { ack, ackWithNext }
