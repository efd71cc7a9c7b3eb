/** More messages for the asks of a flush, from the groups of messages that it has just leased. */
import { isUsedUp } from '../leaseLimits.ts'
import { answerBytesMax } from '../limits.ts'
import type { Digits } from '../message.ts'
import type { Head, LeaseAsk, LeasedRow, LeaseFlush, LeaseMode, Store, Verbs } from '../ports.ts'

/**
 * Adds messages to the flush. In an ordered queue, a group's next messages go to the ask that has its
 * first one. Where groups take turns, they go to any ask that wants more. Without them the answers
 * are right too, so an error only leaves them out.
 */
export async function addMore(
  store: Store,
  queueId: Digits,
  asks: LeaseAsk[],
  flush: LeaseFlush,
  mode: LeaseMode
): Promise<void> {
  if (flush.full || (flush.room !== null && isUsedUp(flush.room))) return
  const wanted = asks.map(({ max }, ask) => max - flush.shares[ask]!.length)
  if (mode.ordered) await addFollowers(store, queueId, wanted, flush).catch(() => {})
  if ((flush.turned?.count ?? 0) > 0) await addTurns(store, queueId, asks, wanted, flush).catch(() => {})
}

// The heads are leased, so nobody else takes from their lines meanwhile.
async function addFollowers(
  store: Store,
  queueId: Digits,
  wanted: number[],
  flush: LeaseFlush
): Promise<void> {
  const heads: Head[] = flush.shares.flatMap((share, ask) =>
    wanted[ask]! > 0 ? share.map(({ id, fence }) => ({ id, fence, ask })) : []
  )
  if (heads.length === 0) return
  const ids = heads.map(({ id }) => id)
  const limited = flush.room !== null
  const followers = await store.transaction(async verbs => {
    if (limited) await verbs.lockLimits(queueId)
    await verbs.lockLinesOf(queueId, ids)
    return await verbs.leaseFollowers(queueId, heads, wanted, answerBytesMax - flush.bytes, limited)
  })
  for (const row of followers) add(flush, row.ask, [row])
  const dueAtMs = followers[0]?.dueAtMs ?? null
  if (dueAtMs !== null) flush.turned = { count: 0, position: 0, dueAtMs }
}

async function addTurns(
  store: Store,
  queueId: Digits,
  asks: LeaseAsk[],
  wanted: number[],
  flush: LeaseFlush
): Promise<void> {
  const open = [...asks.keys()].filter(ask => wanted[ask]! > 0)
  if (open.length === 0) return
  const limited = flush.room !== null
  const leaseTurns = (verbs: Verbs) =>
    verbs.leaseTurns(
      queueId,
      flush.rows.map(({ id, fence }) => ({ id, fence })),
      // A key that has messages already has its row of leases. What is added to them is leased without
      // it: the same call again does not get that, until its lease is over.
      open.map(ask => ({
        ...asks[ask]!,
        max: wanted[ask]!,
        idempotencyKey: flush.shares[ask]!.length === 0 ? asks[ask]!.idempotencyKey : null
      })),
      answerBytesMax - flush.bytes,
      limited
    )
  // With the limits locked, no other lease of the queue is under way, and all before it are counted.
  const more = limited
    ? await store.transaction(async verbs => {
        await verbs.lockLimits(queueId)
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
