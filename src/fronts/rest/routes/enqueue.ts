/** The handler of enqueues: one message or a list as JSON, or a raw body of any content type. */
import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import type { RawJson } from '../../../core/engine/envelope.ts'
import { invalidRequest, QueueError } from '../../../core/errors.ts'
import { newMessage, type Enqueued, type NewMessage } from '../../../core/message.ts'
import { storedForm } from '../../shared/bodies.ts'
import { checkMessages, takeMessages } from '../../shared/guard.ts'
import {
  enqueueOperations,
  Message,
  MessageList,
  type Enqueued as EnqueuedAnswer,
  type MessageInput,
  type QueryOptions
} from '../contract/enqueue.ts'
import type { Server } from '../../shared/server.ts'
import { uncheckedBody, validator } from '../validation.ts'

/** How the messages of a request are checked: one by itself, and a list. */
export interface MessageChecks {
  one: (body: unknown) => MessageInput
  list: (body: unknown) => { messages: MessageInput[] }
}

const checks: MessageChecks = {
  one: validator<MessageInput>(Message),
  list: validator<Static<typeof MessageList>>(MessageList)
}

/** Has the routes of this scope take bodies of any content type. */
export function takeAnyBody(app: Server): void {
  app.removeContentTypeParser('*')
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes))
  app.addContentTypeParser('application/x-www-form-urlencoded', refuseForm)
}

/** Registered in a scope of its own, because only enqueues take bodies of any content type. */
export async function enqueueRoutes(app: Server, broker: Broker): Promise<void> {
  takeAnyBody(app)
  app.route({
    ...enqueueOperations.enqueue,
    validatorCompiler: uncheckedBody,
    async handler(request, reply) {
      const { messages, list } = messagesOf(request, request.query, checks)
      checkMessages(request)
      takeMessages(request, messages.length)
      const answers = await broker.enqueue(request.caller, request.params.queue, messages, list)
      const ids = answers.map(answerOf)
      reply.code(ids.every(answer => Object.keys(answer).length > 1) ? 200 : 201)
      return list ? { messages: ids } : ids[0]!
    }
  })
}

/** The messages of a request: one or a list as JSON, or a raw body with options in the query. */
export function messagesOf(
  request: FastifyRequest,
  query: QueryOptions,
  checks: MessageChecks
): { messages: NewMessage[]; list: boolean } {
  const { body, headers } = request
  const key = headerKey(request)
  return Buffer.isBuffer(body)
    ? { messages: [rawMessage(body, headers['content-type'], query, key)], list: false }
    : jsonMessages(body, query, key, checks)
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

function answerOf({ id, duplicate, replaced = false }: Enqueued): Static<typeof EnqueuedAnswer> {
  return { id, ...(duplicate && { duplicate }), ...(replaced && { replaced }) }
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

function jsonMessages(
  body: unknown,
  query: object,
  key: string | undefined,
  checks: MessageChecks
): { messages: NewMessage[]; list: boolean } {
  const [parameter] = Object.keys(query)
  if (parameter !== undefined) {
    throw invalidRequest(`query/${parameter}`, 'belongs in the message when that is application/json')
  }
  if (typeof body === 'object' && body !== null && 'messages' in body) {
    if (key !== undefined) {
      throw invalidRequest(
        'header/idempotency-key',
        'serves a single message; give each message of a list its own idempotencyKey'
      )
    }
    return {
      messages: checks
        .list(body)
        .messages.map((message, index) => jsonMessage(message, `/messages/${index}`)),
      list: true
    }
  }
  const message = checks.one(body)
  return {
    messages: [
      jsonMessage({ ...message, idempotencyKey: oneKey(message.idempotencyKey, key, '/idempotencyKey') }, '')
    ],
    list: false
  }
}

function jsonMessage(
  { body, ...rest }: Omit<MessageInput, 'idempotencyKey'> & { idempotencyKey?: string | undefined },
  pointer: string
): NewMessage {
  return newMessage({ body: (body as RawJson).text, contentType: null, ...rest }, pointer)
}

/** The key as the member or the header says it; both may, if they agree. */
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

/** The key of the header. Node joins two fields to one text, which would be a third key. */
export function headerKey({ headers, raw }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'] as string | undefined
  if (key?.includes(',') && raw.headersDistinct['idempotency-key']!.length > 1) {
    throw invalidRequest('header/idempotency-key', 'must be a single field')
  }
  return key
}
