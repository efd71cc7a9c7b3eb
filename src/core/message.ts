/** A message: what is enqueued, what is leased, and what browsing shows. */
import type { State } from './counters.ts'
import { QueueError } from './errors.ts'

/** Digits only: message ids, queue numbers and fences are 64-bit and stay text in JavaScript. */
export type Digits = string

export const priorityDefault = 4
export const messageBytesMax = 1_048_576
export const listMax = 1000
export const idMax: Digits = '9223372036854775807'
/** An answer that carries bodies stops before this many bytes, though it brings at least one message. */
export const answerBytesMax = 8_388_608

/** A message as a front hands it in: checked against the schema, its body as the bytes or text that came. */
export interface NewMessage {
  body: string | Buffer
  /** null: `application/json`. */
  contentType: string | null
  headers?: Record<string, string> | undefined
  priority?: number | undefined
  delaySeconds?: number | undefined
  visibleAt?: string | undefined
  ttlSeconds?: number | undefined
  maxAttempts?: number | undefined
  idempotencyKey?: string | undefined
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
  receipt: string
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

export function messageNotFound(queue: string, id: Digits): QueueError {
  return new QueueError(
    'messageNotFound',
    `The queue ${queue} has no message ${id}: it was never there, was acked or purged, or has expired.`
  )
}
