/** Reads the messages of enqueues and publishes, and writes what became of each. */
import type { FastifyRequest } from 'fastify'
import type { Broker } from '../../core/broker.ts'
import type { RawJson } from '../../core/engine/envelope.ts'
import { invalidRequest, QueueError } from '../../core/errors.ts'
import { newMessage, type NewMessage } from '../../core/message.ts'
import { storedForm } from '../shared/bodies.ts'
import type { Server } from '../shared/server.ts'
import { carriedFieldsOf, carrying } from './carriedFields.ts'
import type { MessageInput, QueryOptions } from './contract/enqueue.ts'

/** How the messages of a request are checked: one by itself, and a list. */
export interface MessageChecks {
  one: (body: unknown) => MessageInput
  list: (body: unknown) => { messages: MessageInput[] }
}

interface Given {
  messages: NewMessage[]
  isList: boolean
}

/** Has the routes of this scope take bodies of any content type. */
export function takeAnyBody(app: Server): void {
  app.removeContentTypeParser('*')
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes))
  app.addContentTypeParser('application/x-www-form-urlencoded', refuseForm)
}

/**
 * The messages of a request: one or a list as JSON, or a raw body with options in the query. They keep
 * some fields of the request. Refuses with invalidRequest and bodyTooLarge.
 */
export function messagesOf(
  request: FastifyRequest,
  query: QueryOptions,
  checks: MessageChecks,
  { makesSpans }: Pick<Broker, 'makesSpans'>
): Given {
  const given = givenMessages(request, query, checks)
  const fields = carriedFieldsOf(request.raw, !makesSpans)
  if (fields === null) return given
  return { ...given, messages: given.messages.map(message => carrying(message, fields)) }
}

function givenMessages(request: FastifyRequest, query: QueryOptions, checks: MessageChecks): Given {
  const { body, headers } = request
  const key = headerKey(request)
  if (Buffer.isBuffer(body)) {
    return { messages: [rawMessage(body, headers['content-type'], query, key)], isList: false }
  }
  const [parameter] = Object.keys(query)
  if (parameter !== undefined) {
    throw invalidRequest(`query/${parameter}`, 'belongs in the message when that is application/json')
  }
  if (typeof body === 'object' && body !== null && 'messages' in body) {
    return { messages: listedMessages(checks.list(body).messages, key), isList: true }
  }
  return { messages: [jsonMessage(withKey(checks.one(body), key), '')], isList: false }
}

// Almost always a curl without a content type: the JSON would be stored as a raw text.
function refuseForm(): never {
  throw new QueueError(
    'unsupportedMediaType',
    'Forms are not taken, and curl -d sends one unless it is told otherwise; nothing was stored. ' +
      "For JSON add -H 'content-type: application/json'. " +
      'For a raw body name its own type, such as text/plain.'
  )
}

/** A message of an answer. The marks are there only where they are true. */
export function storedJson<T extends { duplicate: boolean; replaced?: boolean }>({
  duplicate,
  replaced = false,
  ...others
}: T) {
  return {
    ...others,
    ...(duplicate && { duplicate: true as const }),
    ...(replaced && { replaced: true as const })
  }
}

function rawMessage(
  bytes: Buffer,
  contentType = 'application/octet-stream',
  { uniqueKey, uniqueUntil, uniqueOnConflict, ...query }: QueryOptions,
  key: string | undefined
): NewMessage {
  if (uniqueKey === undefined && (uniqueUntil ?? uniqueOnConflict) !== undefined) {
    const name = uniqueUntil === undefined ? 'uniqueOnConflict' : 'uniqueUntil'
    throw invalidRequest(`query/${name}`, 'needs uniqueKey beside it')
  }
  return newMessage(
    {
      body: storedForm(bytes, contentType),
      contentType,
      ...query,
      ...(uniqueKey !== undefined && {
        unique: { key: uniqueKey, until: uniqueUntil, onConflict: uniqueOnConflict }
      }),
      idempotencyKey: oneKey(query.idempotencyKey, key, 'query/idempotencyKey')
    },
    'query',
    'header/content-type'
  )
}

function listedMessages(messages: MessageInput[], key: string | undefined): NewMessage[] {
  if (key !== undefined) {
    throw invalidRequest(
      'header/idempotency-key',
      'serves a single message; give each message of a list its own idempotencyKey'
    )
  }
  return messages.map((message, index) => jsonMessage(message, `/messages/${index}`))
}

function withKey(message: MessageInput, key: string | undefined): KeyedMessage {
  return { ...message, idempotencyKey: oneKey(message.idempotencyKey, key, '/idempotencyKey') }
}

type KeyedMessage = Omit<MessageInput, 'idempotencyKey'> & { idempotencyKey?: string | undefined }

function jsonMessage({ body, ...rest }: KeyedMessage, pointer: string): NewMessage {
  return newMessage({ body: (body as RawJson).text, contentType: null, ...rest }, pointer)
}

/**
 * The idempotency key as the member or the header says it. Both may, if they agree. Otherwise it refuses
 * with invalidRequest, at the pointer of the member.
 */
export function oneKey(
  field: string | undefined,
  header: string | undefined,
  pointer: string
): string | undefined {
  if (field !== undefined && header !== undefined && field !== header) {
    throw invalidRequest(pointer, 'differs from the Idempotency-Key header')
  }
  return field ?? header
}

/**
 * The idempotency key of the header. Refuses two fields: Node joins them to one text, which would be a
 * third key.
 */
export function headerKey({ headers, raw }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'] as string | undefined
  if (key?.includes(',') && raw.headersDistinct['idempotency-key']!.length > 1) {
    throw invalidRequest('header/idempotency-key', 'must be a single field')
  }
  return key
}
