/** What the asks of a flush want, message by message. */
import type { LeaseAsk } from '../../core/ports.ts'

/**
 * What the asks want, message by message: whose it is, who is to hold it, for how long (0: as long as
 * the queue says), and which row of leases it goes in. All who ask without a key share the first row.
 * Each of the other rows has one key and one worker.
 */
export function wantedBy(asks: LeaseAsk[], inTurn: boolean) {
  const workers = [...new Set(asks.filter(ask => ask.idempotencyKey === null).map(ask => ask.worker))]
  const keys: (string | null)[] = [null]
  const keyWorkers: (string | null)[] = [null]
  const holderOf: number[] = []
  const entryOf: number[] = []
  for (const { worker, idempotencyKey: key } of asks) {
    holderOf.push(key === null ? workers.indexOf(worker) + 1 : 1)
    entryOf.push(key === null ? 1 : keys.push(key))
    if (key !== null) keyWorkers.push(worker)
  }
  const slots = inTurn ? slotsInTurn(asks) : asks.flatMap(({ max }, index) => Array<number>(max).fill(index))
  return {
    slots,
    holders: slots.map(index => holderOf[index]!),
    seconds: slots.map(index => asks[index]!.leaseSeconds ?? 0),
    workers,
    entries: slots.map(index => entryOf[index]!),
    keys,
    keyWorkers
  }
}

/** Each ask once, and then again, as often as it wants messages. */
function slotsInTurn(asks: LeaseAsk[]): number[] {
  const slots: number[] = []
  let open = [...asks.keys()]
  for (let turn = 1; open.length > 0; turn++) {
    slots.push(...open)
    open = open.filter(index => asks[index]!.max > turn)
  }
  return slots
}
