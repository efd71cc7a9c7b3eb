/**
 * A raw lease: the answer is the message's own bytes with their content type, and everything else
 * stands in headers.
 */
import { rawHeadersBytesMax, rawReasonCharsMax } from '../../core/limits.ts'
import type { LeasedMessage, Origin } from '../../core/message.ts'
import type { Outcome } from '../../core/verbs/settle.ts'
import { contentTypeOf } from '../shared/bodies.ts'
import { strangersBytesFields } from '../shared/securityFields.ts'
import { isCarried } from './carriedFields.ts'

// Many programs send Accept: */* by themselves, so */* counts as JSON.
const takesJson = /(^|[\s,])(\*\/\*|application\/(\*|json))\s*($|[,;])/i

/** Whether the caller asks for the message itself: its Accept takes something, and not JSON. */
export function wantsRaw(accept: string | undefined): boolean {
  return accept !== undefined && accept.trim() !== '' && !takesJson.test(accept)
}

/** The header fields of a raw lease. The message's own headers are among them as far as there is room. */
export function rawHeaders(message: LeasedMessage): Record<string, string> {
  const {
    id,
    receipt,
    fence,
    attempt,
    maxAttempts,
    priority,
    enqueuedAt,
    leaseExpiresAt,
    lastFailure,
    origin,
    marks
  } = message
  const fields: Record<string, string> = {
    'content-type': contentTypeOf(message),
    ...strangersBytesFields,
    'cache-control': 'no-store',
    'holdfast-id': id,
    'holdfast-receipt': receipt,
    'holdfast-fence': String(fence),
    'holdfast-attempt': String(attempt),
    ...(maxAttempts !== null && { 'holdfast-max-attempts': String(maxAttempts) }),
    'holdfast-priority': String(priority),
    ...(marks?.topic !== undefined && { 'holdfast-topic': marks.topic }),
    ...(marks?.routingKey !== undefined && {
      'holdfast-routing-key': encodedValue(marks.routingKey)
    }),
    'holdfast-enqueued-at': enqueuedAt,
    'holdfast-lease-expires-at': leaseExpiresAt,
    ...(marks?.group !== undefined && { 'holdfast-group': encodedValue(marks.group) }),
    ...(lastFailure?.reason != null && { 'holdfast-last-failure': encodedReason(lastFailure.reason) }),
    ...(origin !== null && originHeaders(origin))
  }
  return { ...fields, ...ownHeaders(message.headers ?? {}) }
}

/** The message's own headers, and how many are left out: too large together, or alike but for their case. */
function ownHeaders(headers: Record<string, string>): Record<string, string> {
  const fields: Record<string, string> = {}
  let room = rawHeadersBytesMax
  let leftOut = 0
  for (const [name, value] of Object.entries(headers)) {
    const field = `holdfast-header-${encodedName(name).toLowerCase()}`
    const text = encodedValue(value)
    if (field in fields || field.length + text.length > room) leftOut++
    else {
      fields[field] = text
      room -= field.length + text.length
    }
    const plain = name.toLowerCase()
    if (isCarried(plain, value) && !(plain in fields) && plain.length + value.length <= room) {
      fields[plain] = value
      room -= plain.length + value.length
    }
  }
  return leftOut === 0 ? fields : { ...fields, 'holdfast-headers-left-out': String(leftOut) }
}

function originHeaders({ queue, diedAt, reason, attempts }: Origin): Record<string, string> {
  return {
    'holdfast-origin-queue': queue,
    'holdfast-origin-died-at': diedAt,
    ...(reason !== null && { 'holdfast-origin-reason': encodedReason(reason) }),
    'holdfast-origin-attempts': String(attempts)
  }
}

const encodedReason = (reason: string) => encodedValue(reason.slice(0, rawReasonCharsMax).toWellFormed())

/** The header field that tells what became of the receipt in `ack`. */
export function ackHeader(outcomes: Outcome[]): Record<string, string> {
  return outcomes.length === 0 ? {} : { 'holdfast-ack-outcome': outcomes[0]!.outcome }
}

const percent = (text: string) => Buffer.from(text).toString('hex').toUpperCase().replace(/../g, '%$&')
// Keeps what a field name (RFC 9110, token) or a value may hold, and encodes the rest. % itself is
// encoded too, so decoding is always exact.
const encodedName = (name: string) => name.replace(/[^!#$&'*+.^_`|~0-9A-Za-z-]/gu, percent)
const encodedValue = (value: string) => value.replace(/[^\x20-\x24\x26-\x7e]|^ | $/gu, percent)
