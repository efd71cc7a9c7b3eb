/** Cancelling one message that nobody holds. */
import { freeStates } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import type { Cancelled, Freed } from '../../core/ports.ts'
import { openState } from '../fragments.ts'
import { leaving, ledgerInsert } from '../ledger.ts'
import { freeLines, lineColumns, standsInLine } from '../lines.ts'
import { sql, type Session, type Statement } from '../statement.ts'

export const cancelStatement: Statement<{ leased: boolean; freed: Freed | null }> = {
  name: 'cancel',
  parameters: '$1 queue id · $2 message id',
  text: sql`
    with found as materialized (
      select
        m.id,
        m.leased_until is not null as leased,
        ${openState} as state
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = $2
      for update
    ), gone as (
      delete from holdfast.messages m
      using found
      where not found.leased
        and m.queue_id = $1
        and m.id = $2
      returning
        found.state,
        ${lineColumns},
        ${standsInLine} as stood
    ), forgotten as (
      delete from holdfast.history h
      using gone
      where h.queue_id = $1
        and h.message_id = $2
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'gone',
        states: leaving(freeStates),
        totals: { purged: 'count(*)' }
      })}
    )
    select
      leased,
      ${freeLines('gone')} as freed
    from found`
}

export const cancelAckedStatement: Statement = {
  name: 'cancel_acked',
  parameters: '$1 queue id · $2 message id',
  text: sql`
    with gone as (
      delete from holdfast.acked
      where queue_id = $1
        and id = $2
      returning id
    ), forgotten as (
      delete from holdfast.history h
      using gone
      where h.queue_id = $1
        and h.message_id = $2
    ), noted as (
      ${ledgerInsert({ queue: '$1', from: 'gone', states: { acked: '-count(*)' } })}
    )
    select id
    from gone`
}

/** Removes one message, which may be a kept acked one. One that is leased it leaves. */
export async function cancel(session: Session, queueId: Digits, id: Digits): Promise<Cancelled> {
  const [row] = await session.query(cancelStatement, [queueId, id])
  if (row !== undefined) return { outcome: row.leased ? 'leased' : 'cancelled', freed: row.freed }
  const acked = await session.query(cancelAckedStatement, [queueId, id])
  return { outcome: acked.length > 0 ? 'cancelled' : 'unknown', freed: null }
}

export const cancelVerbs = { cancel }
