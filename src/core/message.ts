/** A message: what is enqueued, what is leased, and what browsing shows. */
import type { State } from './counters.ts'
import { invalidRequest, QueueError } from './errors.ts'
import { contentTypeCharsMax, delaySecondsMax, messageBytesMax } from './limits.ts'
import type { HeldKey, MessageOptions } from './options.ts'

/**
 * A number of 64 bits, as text: message ids, queue ids and fences. JavaScript's numbers are too
 * small.
 */
export type Digits = string

export const idMax: Digits = '9223372036854775807'

/** A message as a front hands it in. Its body is the bytes or the text that came. */
export interface NewMessage extends MessageOptions {
  body: string | Buffer
  /** null: `application/json`. */
  contentType: string | null
  headers?: Record<string, string> | undefined
  /** Its idempotency key stands for the first message with it, whatever the content of others is. */
  firstWins?: true
}

export interface Enqueued {
  id: Digits
  duplicate: boolean
  /** The message that held its unique key has its content now. */
  replaced?: boolean
}

/** What answers show of few messages. */
export interface Marks {
  group?: string | undefined
  topic?: string | undefined
  routingKey?: string | undefined
}

export interface LastFailure {
  attempt: number
  reason: string | null
  at: string
}

/** Where a message died before it moved to a dead-letter queue. In a chain it is the first death. */
export interface Origin {
  queue: string
  diedAt: string
  /** Of its last failure there. null: it had none. */
  reason: string | null
  /** Made there. */
  attempts: number
}

/** A stored body: text if it could be kept as text, else bytes. */
export interface Body {
  body: string | null
  bodyBytes: Buffer | null
  contentType: string | null
}

/** What every answer shows of a message. */
interface Shown extends Body {
  id: Digits
  headers: Record<string, string> | null
  marks: Marks | null
  priority: number
  attempt: number
  /** null: it is never dead by its attempts. */
  maxAttempts: number | null
  enqueuedAt: string
  lastFailure: LastFailure | null
  /** null: it did not come here by a death. */
  origin: Origin | null
}

/** A leased message without its receipt. */
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

/**
 * A page of messages. `cursor` is null at the end. A page may be short, or empty, and still have
 * one.
 */
export interface MessagePage {
  messages: MessageView[]
  cursor: Digits | null
  /** What was searched for them. The bytes are those of bodies that were searched for a text. */
  examined: { messages: number; bytes: number }
}

/** One message with its lease, and each attempt that ended badly, the oldest first. */
export interface MessageDetail extends MessageView {
  /** What its ack said came of the work, as JSON text. null: nothing, or it is not acked. */
  result: string | null
  lease: { worker: string; leasedAt: string; expiresAt: string } | null
  /** null: it holds no unique key. */
  unique: HeldKey | null
  history: Attempt[]
  /** The dead-letter queue to which it has gone. null: it is here. */
  movedTo: string | null
}

/** How an attempt can end, beside its ack. */
export const attemptOutcomes = ['failed', 'expired', 'released'] as const
export type AttemptOutcome = (typeof attemptOutcomes)[number]
/** The ends that a message's `lastFailure` tells of. */
export const failureOutcomes = ['failed', 'expired'] as const satisfies AttemptOutcome[]

/**
 * Messages in these states can have failed. A delayed one that has been leased backs off. A ready one
 * counts if its death brought it to this queue.
 */
export const failingStates = ['dead', 'delayed', 'ready'] as const
export type FailingState = (typeof failingStates)[number]

/** An attempt that ended badly. */
export interface Attempt {
  /** The queue in which it was made. */
  queue: string
  attempt: number
  worker: string | null
  leasedAt: string | null
  endedAt: string
  outcome: AttemptOutcome
  reason: string | null
}

/** How many ready messages come before one. `all` is false when counting stopped at its bound. */
export interface Ahead {
  count: number
  all: boolean
}

/** Why a message is where it is. Times are RFC 3339. */
export interface Circumstances {
  state: State
  paused: boolean
  attempt: number
  maxAttempts: number | null
  visibleAt: string | null
  leasedUntil: string | null
  worker: string | null
  deadAt: string | null
  /** Where it goes when it dies. null: it stays. */
  deadLetterQueue: string | null
  lastFailure: LastFailure | null
  origin: Origin | null
  ackedAt: string | null
  keepUntil: string | null
  /** The limits of the queue: how many may be leased at once, and how many are. */
  maxLeased: number | null
  leased: number
  /** When its rate allows the next lease. null: at once. */
  nextTokenAt: string | null
  /** Its limit per group, and how many of its group are leased. null: it has none, or an order. */
  maxLeasedPerGroup: number | null
  leasedOfGroup: number
  /** When the rate of its group allows the next lease. null: at once. */
  groupDueAt: string | null
  /** When messages of the queue were last asked for, as far as the replicas have shared it. */
  askedAt: string | null
  /** The message of its group that goes first. null: it waits for none. */
  blocker: { id: Digits; state: State } | null
  /** Groups take turns, and another message of its group goes first. */
  turn: boolean
}

/**
 * Which messages pass. null: all do. `contains` is found in the body, if that is kept as text.
 * `reason` is found in the reason of the last failure. `group` is the whole name of the group.
 */
export interface Filter {
  contains: string | null
  reason: string | null
  enqueuedAfter: string | null
  enqueuedBefore: string | null
  group: string | null
}

/**
 * Which messages of a queue a bulk action changes: of those named in `ids`, or of all, the first
 * `limit` by id that pass the filter.
 */
export interface Selection {
  ids: Digits[] | null
  where: Filter | null
  limit: number
}

/** The `limit` of a selection that takes all that match. */
export const noLimit = Number.MAX_SAFE_INTEGER
/** Every message of a queue. */
export const everything: Selection = { ids: null, where: null, limit: noLimit }

/**
 * Applies the rules that a schema cannot say, and turns `visibleAt` into what the store takes.
 * `pointer` is the place of the message in the request. Refuses:
 * - with bodyTooLarge.
 * - with invalidRequest when the content type is too long.
 * - with invalidRequest when `visibleAt` cannot be read, is before 1970 or more than a year ahead,
 *   or comes together with `delaySeconds`.
 */
export function newMessage(
  message: NewMessage,
  pointer: string,
  contentTypePointer = `${pointer}/contentType`
): NewMessage {
  if (message.contentType !== null && message.contentType.length > contentTypeCharsMax) {
    throw invalidRequest(contentTypePointer, `must be at most ${contentTypeCharsMax} characters`)
  }
  checkBodySize(message.body, pointer)
  if (message.visibleAt === undefined) return message
  if (message.delaySeconds !== undefined) {
    throw invalidRequest(`${pointer}/visibleAt`, 'cannot stand beside delaySeconds')
  }
  const visibleAt = timeOf(message.visibleAt, `${pointer}/visibleAt`)
  if (Date.parse(visibleAt) > Date.now() + delaySecondsMax * 1000) {
    throw invalidRequest(`${pointer}/visibleAt`, 'must be a time at most a year ahead')
  }
  return { ...message, visibleAt }
}

/**
 * Refuses with bodyTooLarge. `pointer` is the place of the message in the request. `queue` is the
 * queue whose own bound this is.
 */
export function checkBodySize(
  body: string | Buffer,
  pointer: string,
  bytesMax = messageBytesMax,
  queue?: string
): void {
  if (body.length <= bytesMax && Buffer.byteLength(body) <= bytesMax) return
  const where = queue === undefined ? '' : ` in the queue ${queue}`
  throw new QueueError(
    'bodyTooLarge',
    `A message body is at most ${bytesMax} bytes${where}; nothing was stored. Store larger things ` +
      'elsewhere and enqueue where to find them.',
    { faults: [{ pointer: `${pointer}/body`, message: `is larger than ${bytesMax} bytes` }] }
  )
}

/**
 * Reads a filter that has passed its schema. Refuses with invalidRequest what is no time, or is a
 * time before 1970.
 */
export function filterOf(
  { contains, reason, enqueuedAfter, enqueuedBefore, group }: { [K in keyof Filter]?: string | undefined },
  pointer: string
): Filter {
  const read = (name: string, text: string | undefined) =>
    text === undefined ? null : timeOf(text, `${pointer}/${name}`)
  return {
    contains: contains ?? null,
    reason: reason ?? null,
    enqueuedAfter: read('enqueuedAfter', enqueuedAfter),
    enqueuedBefore: read('enqueuedBefore', enqueuedBefore),
    group: group ?? null
  }
}

/** A time as the store takes it. Refuses with invalidRequest. RFC 3339 allows a second 60. */
function timeOf(text: string, pointer: string): string {
  const timeMs = Date.parse(text)
  if (Number.isNaN(timeMs)) {
    throw invalidRequest(pointer, 'must be a time such as 2030-01-31T12:00:00Z, its seconds 00 to 59')
  }
  if (timeMs < 0) throw invalidRequest(pointer, 'must be a time from 1970 on')
  return new Date(timeMs).toISOString()
}

/** A text as PostgreSQL can hold it: U+FFFD takes the place of NUL and of half a surrogate pair. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/** Reads a message id. Refuses with messageNotFound one that no message can have. */
export function messageIdOf(queue: string, text: string): Digits {
  if (!isId(text)) throw new QueueError('messageNotFound', `The queue ${queue} has no such message.`)
  return text
}

/** Whether a text is an id that a message can have. */
export function isId(text: string): boolean {
  return /^(0|[1-9]\d{0,18})$/.test(text) && BigInt(text) <= BigInt(idMax)
}

/** A message is gone, or was never in the queue. */
export function messageNotFound(queue: string, id: Digits): QueueError {
  return new QueueError(
    'messageNotFound',
    `The queue ${queue} has no message ${id}: it was never there, was acked, cancelled or purged, or has ` +
      'expired.'
  )
}
