/** What the asks of a flush want, message by message. */
import type { LeaseAsk } from '../../core/ports.ts'

/** What asks want: four lists with a member for each message, and the rows of leases to make. */
export interface Wanted {
  /** The place of the ask that gets the message. */
  slots: number[]
  /** Who is to hold it: a number in `workers`, from 1 on. With a key, the only worker of its row. */
  holders: number[]
  /** For how long. 0: as long as the queue says. */
  seconds: number[]
  /** Its row of leases: a number in `keys`, from 1 on. */
  entries: number[]
  /** Of the first row of leases, in which all who ask without a key share. */
  workers: string[]
  /** Of each row of leases. The first has none. */
  keys: (string | null)[]
  keyWorkers: (string | null)[]
}

/** Without `inTurn`, the first ask's messages come first. With it, each ask gets one, and then again. */
export function wantedBy(asks: LeaseAsk[], inTurn: boolean): Wanted {
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
    entries: slots.map(index => entryOf[index]!),
    workers,
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
