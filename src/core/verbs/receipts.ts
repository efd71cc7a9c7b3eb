/** What the receipts of one request stand for. */
import type { Caller } from '../caller.ts'
import type { QueueCache } from '../engine/queueCache.ts'
import type { Queue } from '../queue.ts'
import { parseReceipt, type Lease } from '../receipt.ts'

/**
 * Reads receipts. `current` are the indexes of those whose queue is still there. The queue of the
 * others, of the same name, was deleted. Refuses with invalidReceipt, queueNotFound.
 */
export async function readReceipts(
  queueCache: QueueCache,
  caller: Caller,
  name: string,
  receipts: string[],
  pointer: (index: number) => string
): Promise<{ queue: Queue; leases: Lease[]; current: number[] }> {
  const leases = receipts.map((receipt, index) => parseReceipt(name, receipt, pointer(index)))
  let queue = await queueCache.find(caller, name)
  if (leases.some(({ queueId }) => queueId !== queue.id)) {
    queueCache.forget(name)
    queue = await queueCache.find(caller, name)
  }
  const current = [...leases.keys()].filter(index => leases[index]!.queueId === queue.id)
  return { queue, leases, current }
}
