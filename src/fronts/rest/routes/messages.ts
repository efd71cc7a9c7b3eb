/** Routes of messages: enqueue, lease, browse, look at one, cancel. */
import type { FastifyReply } from 'fastify'
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { RawJson } from '../../../core/engine/envelope.ts'
import { invalidRequest } from '../../../core/errors.ts'
import {
  filterOf,
  newMessage,
  type LeasedMessage,
  type NewMessage,
  type MessageDetail,
  type MessageView
} from '../../../core/message.ts'
import type { Outcome } from '../../../core/verbs/settle.ts'
import { ByteBudget } from '../../shared/byteBudget.ts'
import { bodyMembers, storedForm } from '../../shared/bodies.ts'
import { cursorOf, givenUp, idOf, problemResponses } from '../common.ts'
import { checkMessages, refuseEnded, takeMessages } from '../../shared/guard.ts'
import { ackHeader, rawAnswer, rawBody, rawHeaders, wantsRaw } from '../raw.ts'
import {
  BrowseQuery,
  EnqueueAnswer,
  EnqueueHeaders,
  EnqueueQuery,
  Leased,
  LeaseQuery,
  LeaseRequest,
  Message,
  MessageDetail as MessageDetailSchema,
  MessageList,
  MessagePage,
  MessageParams,
  QueueParams,
  WaitQuery,
  type MessageInput
} from '../schemas.ts'
import type { Server } from '../server.ts'
import { validator } from '../validation.ts'

const never = new AbortController().signal
const checkMessage = validator<MessageInput>(Message)
const checkList = validator<Static<typeof MessageList>>(MessageList)

/** Registered in a scope of its own, because only the enqueue takes bodies of any content type. */
export function messageRoutes(app: Server, broker: Broker, answers: ByteBudget): void {
  const json = (reply: FastifyReply, text: string) => sendJson(reply, text, answers)

  app.post(
    '/queues/:queue/lease',
    {
      config: { access: 'lease', makesRoom: true },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'lease',
        summary: 'Lease messages',
        description:
          'Takes ready messages for a time, the highest priority first. Each comes with a receipt to ' +
          'settle it with. With `waitSeconds` the call stays open until a message is there; ' +
          'an empty list means that none came in time. Receipts in `ack` are settled first, ' +
          'in the same commit, with their outcomes in the answer: so a worker needs one ' +
          'request per step. Options stand in the body, or in the address.\n\nFor programs ' +
          'that read no JSON: with an `Accept` that does not take it ' +
          '(`application/octet-stream`, `text/*`) the answer is the one message itself, its ' +
          'bytes and content type as they were enqueued, whatever that type is, and the rest ' +
          'stands in headers; 204 when none came in time. `*/*` stays JSON, since curl and ' +
          'others send it unasked.',
        params: QueueParams,
        querystring: LeaseQuery,
        body: LeaseRequest,
        response: {
          200: {
            description: 'The messages, now leased; an empty list when none came in time.',
            headers: rawAnswer.headers,
            content: { 'application/json': { schema: Leased }, ...rawAnswer.content }
          },
          204: {
            type: 'null',
            description: 'With an Accept that does not take JSON: no message came in time.'
          },
          ...problemResponses(400, 404, 413, 415, 429, 503)
        } as object as { 200: typeof Leased }
      }
    },
    async (request, reply) => {
      const raw = wantsRaw(request.headers.accept)
      const {
        max = 1,
        waitSeconds = 0,
        leaseSeconds = null,
        worker = request.headers['user-agent']?.slice(0, 128) || 'unknown',
        idempotencyKey = null,
        ack
      } = leaseOptions(request, raw)
      const wanted = checkMessages(request, ack !== undefined && ack.length > 0)
        ? { max, waitSeconds }
        : { max: 0, waitSeconds: 0 }
      const { messages, outcomes } = await broker.lease(
        request.params.queue,
        { ...wanted, leaseSeconds, worker, idempotencyKey },
        ack ?? [],
        waitSeconds > 0 ? givenUp(request, reply) : never
      )
      if (messages.length === 0 && outcomes.length === 0) refuseEnded(request)
      takeMessages(request, messages.length)
      if (raw) return sendRaw(reply, messages[0], outcomes, answers)
      const settled =
        ack === undefined
          ? ''
          : `,"outcomes":${JSON.stringify(outcomes.map((outcome, index) => ({ receipt: ack[index], ...outcome })))}`
      return json(reply, `{"messages":[${messages.map(leasedJson).join(',')}]${settled}}`)
    }
  )

  app.get(
    '/queues/:queue/messages',
    {
      config: { access: 'browse' },
      schema: {
        operationId: 'browse',
        summary: 'Browse messages',
        description:
          'Looks at messages by id without leasing them. One page looks at no more than some ' +
          'thousands of messages, so a page of a rare state or with a filter may be short, ' +
          'or empty, and still have a cursor.',
        params: QueueParams,
        querystring: BrowseQuery,
        response: { 200: MessagePage, ...problemResponses(400, 404, 503) }
      }
    },
    async (request, reply) => {
      const { state = null, limit = 100, cursor, ...where } = request.query
      const page = await broker.browse(
        request.params.queue,
        state,
        Object.keys(where).length === 0 ? null : filterOf(where, 'query'),
        cursorOf(cursor, /^\d{1,19}$/) ?? '0',
        limit
      )
      return json(
        reply,
        `{"messages":[${page.messages.map(message => `{${viewJson(message)}}`).join(',')}],"cursor":${JSON.stringify(cursorTo(page.cursor))}}`
      )
    }
  )

  app.get(
    '/queues/:queue/messages/:id',
    {
      config: { access: 'browse' },
      schema: {
        operationId: 'getMessage',
        summary: 'Look at one message',
        description:
          'One message with its lease and its history. With `waitSeconds` it answers when the ' +
          'message has been acked, is dead or gone, or the time is up, whatever the state ' +
          'then: so a producer waits for the confirmation of its consumer.',
        params: MessageParams,
        querystring: WaitQuery,
        response: { 200: MessageDetailSchema, ...problemResponses(400, 404, 409, 429, 503) }
      }
    },
    async (request, reply) => {
      const { waitSeconds = 0 } = request.query
      const message = await broker.message(
        request.params.queue,
        idOf(request.params),
        waitSeconds,
        waitSeconds > 0 ? givenUp(request, reply) : never
      )
      refuseEnded(request)
      return json(
        reply,
        `{${viewJson(message)}${message.lease === null ? '' : `,"lease":${JSON.stringify(message.lease)}`},"history":${JSON.stringify(message.history.map(historyEntry))}}`
      )
    }
  )

  app.delete(
    '/queues/:queue/messages/:id',
    {
      config: { access: 'manage' },
      schema: {
        operationId: 'cancelMessage',
        summary: 'Cancel one message',
        description: 'Removes a message that nobody holds just now.',
        params: MessageParams,
        response: {
          204: { type: 'null', description: 'It is removed.' },
          ...problemResponses(400, 404, 409, 503)
        }
      }
    },
    async (request, reply) => {
      await broker.cancel(request.params.queue, idOf(request.params))
      return reply.code(204).send(null)
    }
  )

  app.register(async instance => {
    const scope = instance as Server
    scope.removeContentTypeParser('*')
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes))
    scope.post(
      '/queues/:queue/messages',
      {
        config: { access: 'enqueue', stores: true },
        schema: {
          operationId: 'enqueue',
          summary: 'Enqueue messages',
          description:
            'Answers 201 only after the commit. `application/json` holds one message or a list that ' +
            'is stored whole or not at all; with any other content type the request body ' +
            '*is* the message body, byte for byte, and the options are query parameters.',
          params: QueueParams,
          querystring: EnqueueQuery,
          headers: EnqueueHeaders,
          body: {
            content: {
              'application/json': {
                schema: {
                  anyOf: [Message, MessageList],
                  examples: [{ body: { to: 'ada@example.org', subject: 'Welcome' } }]
                }
              },
              'text/plain': {
                schema: { type: 'string', description: 'Any other content type: the message body itself.' }
              }
            }
          },
          response: {
            200: EnqueueAnswer,
            201: EnqueueAnswer,
            ...problemResponses(400, 404, 413, 415, 422, 429, 503)
          }
        },
        validatorCompiler: ({ schema, httpPart, method, url }) =>
          httpPart === 'body'
            ? () => true
            : (app.validatorCompiler!({ schema, httpPart: httpPart!, method, url } as never) as never)
      },
      async (request, reply) => {
        const { messages, list } = Buffer.isBuffer(request.body)
          ? {
              messages: [
                rawMessage(
                  request.body,
                  request.headers['content-type'] ?? 'application/octet-stream',
                  request.query,
                  request.headers['idempotency-key']
                )
              ],
              list: false
            }
          : jsonMessages(request.body, request.query, request.headers['idempotency-key'])
        checkMessages(request)
        takeMessages(request, messages.length)
        const answers = await broker.enqueue(request.params.queue, messages, list)
        const ids = answers.map(({ id, duplicate }) =>
          duplicate ? { id, duplicate: true as const } : { id }
        )
        reply.code(answers.every(({ duplicate }) => duplicate) ? 200 : 201)
        return list ? { messages: ids } : ids[0]!
      }
    )
  })
}

function rawMessage(
  bytes: Buffer,
  contentType: string,
  query: Static<typeof EnqueueQuery>,
  key: string | undefined
): NewMessage {
  return newMessage(
    {
      body: storedForm(bytes, contentType),
      contentType,
      ...query,
      idempotencyKey: oneKey(query.idempotencyKey, key, 'query/idempotencyKey')
    },
    'query',
    'header/content-type'
  )
}

function jsonMessages(
  body: unknown,
  query: object,
  key: string | undefined
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
      messages: checkList(body).messages.map((message, index) => jsonMessage(message, `/messages/${index}`)),
      list: true
    }
  }
  const message = checkMessage(body)
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

function leaseOptions(
  { query: { ack, ...query }, body }: { query: Static<typeof LeaseQuery>; body: Static<typeof LeaseRequest> },
  raw: boolean
): Static<typeof LeaseRequest> {
  const inQuery = Object.keys(ack === undefined ? query : { ...query, ack })
  const twice = inQuery.find(name => name in body)
  if (twice !== undefined) throw invalidRequest(`query/${twice}`, 'stands in the body already')
  const options =
    inQuery.length === 0 ? body : { ...query, ...body, ...(ack !== undefined && { ack: [ack] }) }
  if (raw && options.max !== undefined && options.max > 1) {
    throw invalidRequest(
      inQuery.includes('max') ? 'query/max' : '/max',
      'must be 1 where the Accept header does not take JSON, because the answer is one message itself'
    )
  }
  if (raw && options.ack !== undefined && options.ack.length > 1) {
    throw invalidRequest(
      '/ack',
      'must be one receipt where the Accept header does not take JSON, because its outcome stands in a header'
    )
  }
  return options
}

// Sent as text, because a serializer would read a body and write it anew.
export function sendJson(reply: FastifyReply, text: string, answers: ByteBudget): FastifyReply {
  if (ByteBudget.counts(text.length)) answers.hold(text.length, reply.raw)
  return reply
    .type('application/json; charset=utf-8')
    .serializer((payload: string) => payload)
    .send(text)
}

function sendRaw(
  reply: FastifyReply,
  message: LeasedMessage | undefined,
  outcomes: Outcome[],
  answers: ByteBudget
): FastifyReply {
  reply.headers(ackHeader(outcomes))
  if (message === undefined) return reply.code(204).send()
  const body = rawBody(message)
  if (ByteBudget.counts(body.length)) answers.hold(body.length, reply.raw)
  return reply.headers(rawHeaders(message)).send(body)
}

function leasedJson(message: LeasedMessage): string {
  return (
    `{"id":"${message.id}","receipt":"${message.receipt}","fence":${message.fence},"attempt":${message.attempt},"maxAttempts":${message.maxAttempts},${bodyMembers(message)},` +
    `"headers":${message.headers === null ? '{}' : JSON.stringify(message.headers)},"priority":${message.priority},"enqueuedAt":"${message.enqueuedAt}","leaseExpiresAt":"${message.leaseExpiresAt}"` +
    `${message.lastFailure === null ? '' : `,"lastFailure":${JSON.stringify(message.lastFailure)}`}}`
  )
}

function viewJson(message: MessageView | MessageDetail): string {
  return (
    `"id":"${message.id}","state":"${message.state}",${bodyMembers(message)},"headers":${JSON.stringify(message.headers ?? {})},"priority":${message.priority},` +
    `"attempt":${message.attempt},"maxAttempts":${message.maxAttempts},"enqueuedAt":"${message.enqueuedAt}"${message.visibleAt === null ? '' : `,"visibleAt":"${message.visibleAt}"`}` +
    `${message.lastFailure === null ? '' : `,"lastFailure":${JSON.stringify(message.lastFailure)}`}`
  )
}

function historyEntry({ reason, ...entry }: MessageDetail['history'][number]): object {
  return reason === null ? entry : { ...entry, reason }
}

function cursorTo(id: string | null): string | null {
  return id === null ? null : Buffer.from(id).toString('base64url')
}
