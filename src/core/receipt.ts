/** The receipt: the proof of one lease of one message. */
import { QueueError } from './errors.ts'
import type { Digits } from './message.ts'

/** What a receipt says. A queue made again under an old name has another `queueId`. */
export interface Lease {
  queueId: Digits
  id: Digits
  fence: Digits
}

const receiptPattern = /^(([1-9]\d{0,9})\.([1-9]\d{0,17})\.([1-9]\d{0,17}))\.([0-9a-f]{8})$/

/** The receipt of a lease. It fits queues of this name only. */
export function formatReceipt(queue: string, { queueId, id, fence }: Lease): string {
  const numbers = `${queueId}.${id}.${fence}`
  return `${numbers}.${checksum(queue, numbers)}`
}

/** Whether a text could be the receipt of some queue. */
export const isReceipt = (text: string): boolean => receiptPattern.test(text)

/**
 * Reads a receipt. Refuses with invalidReceipt when it is damaged, or was given for a queue of
 * another name.
 */
export function parseReceipt(queue: string, receipt: string, pointer: string): Lease {
  const parts = receiptPattern.exec(receipt)
  if (parts === null || parts[5] !== checksum(queue, parts[1]!)) {
    throw new QueueError(
      'invalidReceipt',
      'The receipt cannot be read, or it belongs to another queue. Send it exactly as the lease of ' +
        'this queue gave it.',
      { faults: [{ pointer, message: 'is not a receipt of this queue' }] }
    )
  }
  return { queueId: parts[2]!, id: parts[3]!, fence: parts[4]! }
}

// FNV-1a over the queue's name and the numbers. It finds mistakes: a receipt that was cut short, or
// sent to the wrong queue. It does not stop forgers. The API key decides who may settle, and the
// fence decides what is settled.
function checksum(queue: string, numbers: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < queue.length; i++) hash = Math.imul(hash ^ queue.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ 0x2f, 0x01000193)
  for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ numbers.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
