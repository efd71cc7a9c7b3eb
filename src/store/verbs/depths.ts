/** Depths: how many more messages queues with `maxDepth` take. */
import type { State } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { folded, unfolded } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** The states that `maxDepth` counts. */
const depthStates: State[] = ['ready', 'delayed', 'leased']

export const depthStatement: Statement<{ max_depth: string | null; depth: string }> = {
  name: 'depth',
  parameters: '$1 queue id',
  text: sql`
    select
      q.max_depth,
      (${depthStates.map(state => `c.${state} + t.${state}`).join(' + ')}) as depth
    from holdfast.queues q
    ${folded('q.id')}
    ${unfolded(depthStates, 'q.id')}
    where q.id = $1`
}

/** How many more messages a queue takes: Infinity without `maxDepth`, null when it is gone. */
async function roomIn(session: Session, queueId: Digits): Promise<number | null> {
  const [row] = await session.query(depthStatement, [queueId])
  if (row === undefined) return null
  return row.max_depth === null ? Infinity : Number(row.max_depth) - Number(row.depth)
}

export const depthsStatement: Statement<{ id: number; room: number }> = {
  name: 'depths',
  parameters: '$1 queue ids',
  text: sql`
    select
      q.id,
      (q.max_depth - (${depthStates.map(state => `c.${state} + t.${state}`).join(' + ')}))::float8 as room
    from holdfast.queues q
    ${folded('q.id')}
    ${unfolded(depthStates, 'q.id')}
    where q.id = any($1::integer[])
      and q.max_depth is not null`
}

/** How many more messages these queues take, by id. One that is missing has no bound, or is gone. */
async function roomsIn(session: Session, queueIds: Digits[]): Promise<Map<Digits, number>> {
  const rows = await session.query(depthsStatement, [queueIds])
  return new Map(rows.map(({ id, room }) => [String(id), room]))
}

export const depthVerbs = { roomIn, roomsIn }
