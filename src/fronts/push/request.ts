/** What a delivery sends: the body of a message, signed as Standard Webhooks say. */
import { createHmac, type KeyObject } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { LeasedMessage } from '../../core/message.ts'
import type { Push } from '../../core/push.ts'
import { bytesOf, contentTypeOf } from '../shared/bodies.ts'

/** Message headers that go along, so that a trace goes on at the endpoint. */
const traceFields = ['traceparent', 'tracestate', 'baggage']

export interface Signable {
  id: string
  attempt: number
  contentType: string
  headers: Record<string, string> | null
  body: Buffer | string
}

export function signableOf(message: LeasedMessage): Signable {
  const { id, attempt, headers } = message
  return { id, attempt, headers, contentType: contentTypeOf(message), body: message.body ?? bytesOf(message) }
}

/** The fields of a request. Each key makes a signature, and one of them must fit. */
export function fieldsOf(push: Push, keys: KeyObject[], message: Signable): OutgoingHttpHeaders {
  const { id, attempt, contentType, body } = message
  const timestamp = Math.floor(Date.now() / 1000)
  return {
    ...push.headers,
    'user-agent': 'Holdfast',
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'accept-encoding': 'identity',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': keys.map(key => signature(key, id, timestamp, body)).join(' '),
    'holdfast-queue': push.queue,
    'holdfast-attempt': attempt,
    ...traceOf(message.headers)
  }
}

const signature = (key: KeyObject, id: string, timestamp: number, body: Buffer | string) =>
  `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`

function traceOf(headers: Record<string, string> | null): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers ?? {})) {
    const field = name.toLowerCase()
    if (traceFields.includes(field) && /^[\x20-\x7e]+$/.test(value)) fields[field] = value
  }
  return fields
}

/** What Retry-After asks for, in seconds. null: nothing that can be read. */
export function retryAfterOf(text: string | undefined): number | null {
  if (text === undefined) return null
  if (/^\d{1,9}$/.test(text.trim())) return Number(text)
  // Date.parse alone would read 1.5 as a day of 2001.
  const timeMs = /^[A-Z][a-z]+, .* GMT$/.test(text.trim()) ? Date.parse(text) : NaN
  return Number.isNaN(timeMs) ? null : Math.max(0, (timeMs - Date.now()) / 1000)
}
