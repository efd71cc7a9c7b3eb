/** More messages for the asks of a flush, from the groups of messages that it has just leased. */
import type { Parts } from '../engine/parts.ts'
import { isUsedUp } from '../leaseLimits.ts'
import { answerBytesMax } from '../limits.ts'
import type { Digits } from '../message.ts'
import type { Head, LeaseAsk, LeasedRow, LeaseFlush, LeaseMode, Store, Verbs } from '../ports.ts'

/** A flush, and the asks that it is for. */
interface Flushed {
  queueId: Digits
  asks: LeaseAsk[]
  mode: LeaseMode
  flush: LeaseFlush
}

/**
 * Adds messages to the flush. In an ordered queue, a group's next messages go to the ask that has its
 * first one. Where groups take turns, they go to any ask that wants more. Without them the answers
 * are right too, so an error only leaves them out, and is swallowed.
 */
export async function addMore(
  { store, swallow }: Pick<Parts, 'store' | 'swallow'>,
  flushed: Flushed
): Promise<void> {
  const { asks, mode, flush } = flushed
  if (flush.full || (flush.room !== null && isUsedUp(flush.room))) return
  const wanted = asks.map(({ max }, ask) => max - flush.shares[ask]!.length)
  if (mode.ordered) await addFollowers(store, flushed, wanted).catch(swallow)
  if ((flush.turned?.count ?? 0) > 0) await addTurns(store, flushed, wanted).catch(swallow)
}

// The heads are leased, so nobody else takes from their lines meanwhile.
async function addFollowers(store: Store, { queueId, flush }: Flushed, wanted: number[]): Promise<void> {
  const heads: Head[] = flush.shares.flatMap((share, ask) =>
    wanted[ask]! > 0 ? share.map(({ id, fence }) => ({ id, fence, ask })) : []
  )
  if (heads.length === 0) return
  const ids = heads.map(({ id }) => id)
  const limited = flush.room !== null
  const followers = await store.transaction(async verbs => {
    if (limited) await verbs.lockLimits(queueId)
    await verbs.lockLinesOf(queueId, ids)
    const bytesMax = answerBytesMax - flush.bytes
    return await verbs.leaseFollowers(queueId, { heads, wanted, bytesMax, limited })
  })
  for (const row of followers) add(flush, row.ask, [row])
  const dueAtMs = followers[0]?.dueAtMs ?? null
  if (dueAtMs !== null) flush.turned = { count: 0, position: 0, dueAtMs }
}

async function addTurns(store: Store, { queueId, asks, flush }: Flushed, wanted: number[]): Promise<void> {
  const open = [...asks.keys()].filter(ask => wanted[ask]! > 0)
  if (open.length === 0) return
  const limited = flush.room !== null
  // A key that has messages already has its row of leases, so what is added to them joins that row.
  const joins = (ask: number) => asks[ask]!.idempotencyKey !== null && flush.shares[ask]!.length > 0
  const leaseTurns = async (verbs: Verbs): Promise<LeaseFlush> => {
    const more = await verbs.leaseTurns(queueId, {
      heads: flush.rows.map(({ id, fence }) => ({ id, fence })),
      asks: open.map(ask => ({
        ...asks[ask]!,
        max: wanted[ask]!,
        idempotencyKey: joins(ask) ? null : asks[ask]!.idempotencyKey
      })),
      bytesMax: answerBytesMax - flush.bytes,
      limited
    })
    for (const [index, ask] of open.entries()) {
      const share = more.shares[index]!
      if (!joins(ask) || share.length === 0) continue
      await verbs.addToLeaseKey(queueId, asks[ask]!.idempotencyKey!, share)
    }
    return more
  }
  // With the limits locked, no other lease of the queue is under way, and all before it are counted.
  const more =
    limited || open.some(joins)
      ? await store.transaction(async verbs => {
          if (limited) await verbs.lockLimits(queueId)
          return await leaseTurns(verbs)
        })
      : await leaseTurns(store)
  open.forEach((ask, index) => add(flush, ask, more.shares[index]!))
  flush.turned = more.turned
  flush.room = more.room ?? flush.room
}

function add(flush: LeaseFlush, ask: number, rows: LeasedRow[]): void {
  flush.rows.push(...rows)
  flush.shares[ask]!.push(...rows)
}
