/**
 * The nouns a message is made of: what is enqueued, what is leased, and the receipt that proves
 * one lease.
 */
import type { State } from './counters.ts'
import { QueueError } from './errors.ts'
import type { MessageOptions } from './options.ts'

/** Digits only: message ids, queue numbers and fences are 64-bit and stay text in JavaScript. */
export type Digits = string

/** The opaque proof of one lease of one message. */
export type Receipt = string & { readonly receipt: unique symbol }

export const idMax: Digits = '9223372036854775807'

/** A message as a front hands it in: checked against the schema, its body as the bytes or text that came. */
export interface NewMessage extends MessageOptions {
  body: string | Buffer
  /** null: `application/json`. */
  contentType: string | null
  headers?: Record<string, string> | undefined
}

export interface Enqueued {
  id: Digits
  duplicate: boolean
}

export interface LastFailure {
  attempt: number
  reason: string | null
  at: string
}

/** A stored body: text where it could be kept as text, else bytes. */
export interface Body {
  body: string | null
  bodyBytes: Buffer | null
  contentType: string | null
}

/** What every answer shows of a message. */
interface Shown extends Body {
  id: Digits
  headers: Record<string, string> | null
  priority: number
  attempt: number
  maxAttempts: number
  enqueuedAt: string
  lastFailure: LastFailure | null
}

/** A leased message, all but its proof. */
export interface LeasedBody extends Shown {
  leaseExpiresAt: string
}

export interface LeasedMessage extends LeasedBody {
  receipt: Receipt
  fence: number
}

/** A message as browsing shows it. */
export interface MessageView extends Shown {
  state: State
  visibleAt: string | null
}

/** One message with its lease and each attempt that ended badly, the oldest first. */
export interface MessageDetail extends MessageView {
  lease: { worker: string; leasedAt: string; expiresAt: string } | null
  history: Attempt[]
}

/** An attempt that ended badly. */
export interface Attempt {
  attempt: number
  worker: string | null
  leasedAt: string | null
  endedAt: string
  outcome: 'failed' | 'expired' | 'released'
  reason: string | null
}

/**
 * What a message must be; null: no matter. `contains` is a piece of a body kept as text, `reason`
 * of its last failure's.
 */
export interface Filter {
  contains: string | null
  reason: string | null
  enqueuedAfter: string | null
  enqueuedBefore: string | null
}

/**
 * Which messages of a queue a mass action is for: those named, or all; those that pass the filter;
 * the first `limit` of them by id.
 */
export interface Selection {
  ids: Digits[] | null
  where: Filter | null
  limit: number
}

/**
 * What a receipt says. `queueId` is the queue's number, so that a queue made anew under the same
 * name is another one.
 */
export interface Lease {
  queueId: Digits
  id: Digits
  fence: Digits
}

export function formatReceipt(queue: string, { queueId, id, fence }: Lease): Receipt {
  return `${queueId}.${id}.${fence}.${check(queue, `${queueId}.${id}.${fence}`)}` as Receipt
}

/**
 * Reads a receipt. Refuses with invalidReceipt one that is damaged, or was given for a queue of
 * another name.
 */
export function parseReceipt(queue: string, receipt: string, pointer: string): Lease {
  const parts = receiptPattern.exec(receipt)
  if (parts === null || parts[5] !== check(queue, parts[1]!)) {
    throw new QueueError(
      'invalidReceipt',
      'The receipt cannot be read, or it belongs to another queue. Send it exactly as the lease of ' +
        'this queue gave it.',
      {
        faults: [{ pointer, message: 'is not a receipt of this queue' }]
      }
    )
  }
  return { queueId: parts[2]!, id: parts[3]!, fence: parts[4]! }
}

const receiptPattern = /^(([1-9]\d{0,9})\.([1-9]\d{0,17})\.([1-9]\d{0,17}))\.([0-9a-f]{8})$/

// FNV-1a over the queue's name and the numbers. It finds mistakes (a truncated receipt, the wrong
// queue), not forgers: who may settle is a matter of the right to the queue, and what is settled
// is a matter of the fence.
function check(queue: string, numbers: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < queue.length; i++) hash = Math.imul(hash ^ queue.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ 0x2f, 0x01000193)
  for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ numbers.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
