/**
 * A raw lease: the answer is the message's own bytes with their content type, and everything else
 * stands in headers.
 */
import { rawHeadersBytesMax, rawReasonCharsMax } from '../../core/limits.ts'
import type { LeasedMessage, Origin } from '../../core/message.ts'
import type { Outcome } from '../../core/verbs/settle.ts'
import { contentTypeOf } from '../shared/bodies.ts'
import { strangersBytesFields } from '../shared/securityFields.ts'

// Many programs send Accept: */* by themselves, so */* counts as JSON.
const takesJson = /(^|[\s,])(\*\/\*|application\/(\*|json))\s*($|[,;])/i

/** Whether the caller asks for the message itself: its Accept takes something, and not JSON. */
export function wantsRaw(accept: string | undefined): boolean {
  return accept !== undefined && accept.trim() !== '' && !takesJson.test(accept)
}

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
  const headers: Record<string, string> = {
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
  let room = rawHeadersBytesMax
  let leftOut = 0
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const field = `holdfast-header-${encodedName(name).toLowerCase()}`
    const text = encodedValue(value)
    if (field in headers || field.length + text.length > room) leftOut++
    else {
      headers[field] = text
      room -= field.length + text.length
    }
  }
  if (leftOut > 0) headers['holdfast-headers-left-out'] = String(leftOut)
  return headers
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

export function ackHeader(outcomes: Outcome[]): Record<string, string> {
  return outcomes.length === 0 ? {} : { 'holdfast-ack-outcome': outcomes[0]!.outcome }
}

const percent = (text: string) => Buffer.from(text).toString('hex').toUpperCase().replace(/../g, '%$&')
// Keeps what a field name (RFC 9110, token) or a value may hold, and encodes the rest. % itself is
// encoded too, so decoding is always exact.
const encodedName = (name: string) => name.replace(/[^!#$&'*+.^_`|~0-9A-Za-z-]/gu, percent)
const encodedValue = (value: string) => value.replace(/[^\x20-\x24\x26-\x7e]|^ | $/gu, percent)
