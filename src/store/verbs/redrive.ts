/**
 * Redriving: messages go home to the queues in which they died, or to a queue that the caller names,
 * and dead ones that never moved become ready where they are.
 */
import type { Digits, Selection } from '../../core/message.ts'
import type { OnRedriven } from '../../core/redrive.ts'
import { placesIn } from '../fragments.ts'
import { ledgerInsert } from '../ledger.ts'
import { rankOfRenewed } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { eachChunk } from './bulk.ts'
import { redrivable } from './search.ts'

/** Messages that are ready now in a queue. `position` is the lowest of them. */
interface RedrivenRow {
  queue_id: number
  redriven: string
  position: Digits | null
}

const chosenOf = (columns: string) => sql`
  chosen as materialized (
    select ${columns}
    from holdfast.messages m
    where m.queue_id = $1
      and m.id = any($2::bigint[])
      and (m.dead_at is not null or m.origin is not null)
      and m.leased_until is null
    order by m.id
    for no key update
  )`

export const redriveStatement: Statement<RedrivenRow> = {
  name: 'redrive',
  parameters: '$1 queue id · $2 message ids',
  slow: true,
  text: sql`
    with ${chosenOf('m.id, m.origin is not null as moves')}, ${placesIn(
      '(select id from chosen where not moves order by id)'
    )}, changed as (
      update holdfast.messages m
      set
        position = places.positions[width_bucket(m.id, places.ids)],
        ready_at = statement_timestamp(),
        dead_at = null,
        fence = m.fence + 1,
        attempt = 0,
        rank = ${rankOfRenewed},
        kept_from = case
          when m.expires_at is null then m.kept_from
          else statement_timestamp()
        end,
        expires_at = statement_timestamp() + holdfast.ttl_of(m.enqueued_at, m.kept_from, m.expires_at)
      from places
      where m.queue_id = $1
        and m.id = any((select ids from places)::bigint[])
      returning m.position
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'changed',
        states: { ready: 'count(*)', dead: '-count(*)' },
        totals: { redriven: 'count(*)' }
      })}
    )
    select
      $1::integer as queue_id,
      count(*) as redriven,
      min(position) as position
    from changed
    union all
    select s.target_id, s.moved, s.lowest
    from (
      select array_agg(id) as ids
      from chosen
      where moves
      having count(*) > 0
    ) c
    cross join lateral holdfast.send($1, c.ids, null) s`
}

export const redriveToStatement: Statement<RedrivenRow> = {
  name: 'redrive_to',
  parameters: '$1 queue id · $2 message ids · $3 name of the queue to send them to',
  slow: true,
  text: sql`
    with ${chosenOf('m.id')}
    select
      s.target_id as queue_id,
      s.moved as redriven,
      s.lowest as position
    from (
      select array_agg(id) as ids
      from chosen
      having count(*) > 0
    ) c
    cross join lateral holdfast.send($1, c.ids, $3) s`
}

/** Redrives those of the messages that a redrive takes, in one commit. Answers how many. */
export async function redriveIds(
  session: Session,
  queueId: Digits,
  ids: Digits[],
  to: string | null,
  onReady: OnRedriven
): Promise<number> {
  const rows = await (to === null
    ? session.query(redriveStatement, [queueId, ids])
    : session.query(redriveToStatement, [queueId, ids, to]))
  let redriven = 0
  for (const { queue_id: readyIn, redriven: count, position } of rows) {
    redriven += Number(count)
    if (Number(count) > 0) onReady(Number(count), Number(position), String(readyIn))
  }
  return redriven
}

/** Redrives messages in chunks, each a commit of its own, and reports each to `onReady`. */
export async function redrive(
  session: Session,
  queueId: Digits,
  selection: Selection,
  to: string | null,
  signal: AbortSignal,
  onReady: OnRedriven
): Promise<void> {
  await eachChunk(session, queueId, [redrivable], selection, signal, ids =>
    redriveIds(session, queueId, ids, to, onReady)
  )
}

export const redriveVerbs = { redrive }
