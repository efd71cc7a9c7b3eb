/**
 * Errors as callers see them: application/problem+json (RFC 9457), from one table that every code
 * must stand in.
 */
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { invalidRequest, QueueError, type Code } from '../../core/errors.ts'
import { causeOf, FaultLog } from '../shared/faultLog.ts'
import type { Refusal, WriteRefusal } from '../shared/refusals.ts'
import { RefusalThrottle } from '../shared/refusalThrottle.ts'
import { faultOf } from './faults.ts'

/** Status and title of every code; a new code does not compile until it stands here. */
export const problems = {
  malformedRequest: { status: 400, title: 'The request is not well-formed HTTP' },
  malformedJson: { status: 400, title: 'The body is not well-formed JSON' },
  invalidRequest: { status: 400, title: 'The request does not fit the schema' },
  invalidReceipt: { status: 400, title: 'The receipt cannot be read' },
  invalidCursor: { status: 400, title: 'The cursor cannot be read' },
  invalidSchedule: { status: 400, title: 'The schedule cannot be kept' },
  unauthorized: { status: 401, title: 'An API key is needed' },
  forbidden: { status: 403, title: 'The API key may not do this' },
  queueNotFound: { status: 404, title: 'There is no such queue' },
  messageNotFound: { status: 404, title: 'There is no such message' },
  keyNotFound: { status: 404, title: 'There is no such key' },
  scheduleNotFound: { status: 404, title: 'There is no such schedule' },
  redriveNotFound: { status: 404, title: 'There is no such redrive' },
  topicNotFound: { status: 404, title: 'There is no such topic' },
  pushNotFound: { status: 404, title: 'The queue has no push' },
  routeNotFound: { status: 404, title: 'There is no such route' },
  methodNotAllowed: { status: 405, title: 'The route does not take this method' },
  leaseLost: { status: 409, title: 'The lease has been lost' },
  gone: { status: 409, title: 'The message is gone' },
  queueNotEmpty: { status: 409, title: 'The queue is not empty' },
  uniqueGroup: { status: 409, title: 'The message to replace has another group' },
  messageLeased: { status: 409, title: 'The message is leased' },
  ackedNotKept: { status: 409, title: 'The queue keeps no acked messages' },
  redriveRunning: { status: 409, title: 'A redrive of the queue runs already' },
  adminKeyFirst: { status: 409, title: 'There must be an admin key first' },
  requestTimeout: { status: 408, title: 'The request took too long to arrive' },
  wrongCell: { status: 421, title: 'The queue belongs to another cell' },
  bodyTooLarge: { status: 413, title: 'The message is too large' },
  requestTooLarge: { status: 413, title: 'The request is too large' },
  headersTooLarge: { status: 431, title: 'The header fields are too large' },
  unsupportedMediaType: { status: 415, title: 'The content type is not taken here' },
  expectationFailed: { status: 417, title: 'The expectation cannot be met' },
  idempotencyMismatch: { status: 422, title: 'The idempotency key stands for other content' },
  queueFull: { status: 429, title: 'The queue is full' },
  tooManyWaiting: { status: 429, title: 'Too many calls are waiting' },
  shareUsedUp: { status: 429, title: 'The caller has used up its share' },
  rateLimited: { status: 429, title: 'The API key has used up its rate' },
  tooManyKeys: { status: 429, title: 'There are too many keys' },
  tooManyQueues: { status: 429, title: 'There are too many queues' },
  tooManySchedules: { status: 429, title: 'There are too many schedules' },
  tooManySubscriptions: { status: 429, title: 'There are too many subscriptions' },
  tooManyPushes: { status: 429, title: 'There are too many pushes' },
  databaseUnavailable: { status: 503, title: 'The database is away' },
  cellUnavailable: { status: 503, title: 'A cell does not answer' },
  outcomeUnknown: { status: 503, title: 'It is not known whether the change was made' },
  overloaded: { status: 503, title: 'The service is overloaded' },
  shuttingDown: { status: 503, title: 'The service is shutting down' },
  internal: { status: 500, title: 'Something went wrong here' }
} as const satisfies Record<Code, { status: number; title: string }>

// At random, so that callers refused together do not come back together.
const retryAfterSeconds = (code: Code) => (code === 'overloaded' ? 1 + Math.floor(Math.random() * 3) : 1)
/** Refusals that a caller can bring on itself again as fast as they are answered. */
const throttled = new Set<Code>([
  'overloaded',
  'rateLimited',
  'queueFull',
  'tooManyWaiting',
  'shareUsedUp',
  'tooManyQueues',
  'tooManySchedules',
  'tooManySubscriptions',
  'tooManyPushes'
])
/** How long a refused caller may go on sending before its connection is closed. */
export const lingerMs = 1000

/** Sends a refusal, in the protocol of the caller. */
export type SendProblem = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** Every bug is logged. Of what the database causes, and of refusals, one line a second of each kind. */
type LogFault = (request: FastifyRequest, error: QueueError) => void

/** The error handler of every route. It logs what is our fault or the database's. */
export const problemSender = (log: Logger, writeRefusal: WriteRefusal): SendProblem => {
  const faultLog = new FaultLog(log)
  const logFault: LogFault = (request, { code, cause }) => {
    const fields = { requestId: request.id, code }
    if (code !== 'internal') faultLog.write('warn', code, cause, fields, 'unavailable')
    else if (causeOf(cause).sqlState === undefined) log.error({ ...fields, err: cause }, 'unexpected error')
    else faultLog.write('error', code, cause, { ...fields, err: cause }, 'unexpected error')
  }
  const means = { writeRefusal, logFault, refusalThrottle: new RefusalThrottle() }
  return (thrown, request, reply) => send(refusalOf(thrown, request), request, reply, means)
}

/** What all refusals are sent by. */
interface Means {
  writeRefusal: WriteRefusal
  logFault: LogFault
  refusalThrottle: RefusalThrottle
}

function send(
  error: QueueError,
  request: FastifyRequest,
  reply: FastifyReply,
  { writeRefusal, logFault, refusalThrottle }: Means
): FastifyReply {
  const { status } = problems[error.code]
  if (status >= 500) logFault(request, error)
  if (status === 429 || status === 503) {
    reply.header('retry-after', error.retryAfterSeconds ?? retryAfterSeconds(error.code))
  }
  const { fields, body, ...refusal } = writeRefusal(error, request.raw, request.id)
  reply.code(refusal.status).headers(fields).type(refusal.type)
  if (!throttled.has(error.code)) return answer(request, reply, body)
  const lateMs = refusalThrottle.next(
    request.raw.complete ? 0 : Number(request.headers['content-length'] ?? 0)
  )
  if (lateMs === 0) return answer(request, reply, body)
  // The body is thrown away as it arrives. Keeping it would take memory. Closing the connection would
  // cost the caller a new one.
  request.raw.resume()
  setTimeout(answer, lateMs, request, reply, body)
  return reply
}

/** A refusal as a problem document. */
export function problemOf(error: QueueError, requestId: string): Refusal {
  const { status, title } = problems[error.code]
  return {
    status,
    type: 'application/problem+json',
    fields: status === 401 ? { 'www-authenticate': 'Bearer realm="holdfast"' } : {},
    body: JSON.stringify({
      type: `urn:holdfast:error:${error.code}`,
      title,
      status,
      detail: error.message,
      code: error.code,
      requestId,
      ...(error.faults.length > 0 ? { errors: error.faults } : {}),
      ...(status >= 500 ? { outcome: error.outcome } : {})
    })
  }
}

/** Refuses an address with a % that begins no escape. */
export function malformedAddress(): QueueError {
  return new QueueError(
    'malformedRequest',
    'The address is not well-formed: each % must begin an escape of UTF-8, such as %20. Write a % itself ' +
      'as %25. Nothing was changed.'
  )
}

function answer(request: FastifyRequest, reply: FastifyReply, body: string): FastifyReply {
  if (request.raw.complete || (reply.raw.shouldKeepAlive && !reply.hasHeader('connection'))) {
    return reply.send(body)
  }
  // Closing a connection while its caller still sends resets it, often before the caller has read
  // the answer.
  const linger = setTimeout(() => reply.send(body), lingerMs)
  request.raw.resume().once('close', () => {
    clearTimeout(linger)
    if (!reply.sent) reply.send(body)
  })
  return reply
}

function refusalOf(thrown: unknown, request: FastifyRequest): QueueError {
  if (thrown instanceof QueueError) {
    // A lost answer to a GET leaves nothing unknown.
    if (thrown.code === 'outcomeUnknown' && request.method === 'GET') {
      return new QueueError(
        'databaseUnavailable',
        'The database was lost before it answered. Send the request again.',
        { cause: thrown }
      )
    }
    return thrown
  }
  const error = thrown as FastifyError
  if (error.validation !== undefined) {
    // These only repeat the error of the name itself, or those of the alternatives.
    const faults = error.validation
      .filter(({ keyword }) => keyword !== 'propertyNames' && keyword !== 'anyOf')
      .map(fault => faultOf(fault as ErrorObject, error.validationContext))
    const [first] = faults
    return invalidRequest(first!.pointer, first!.message, faults)
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new QueueError(
        'requestTooLarge',
        'The request is larger than this service takes. Send fewer messages in one request.'
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new QueueError(
        'unsupportedMediaType',
        'This route takes application/json in UTF-8, without a content encoding.'
      )
    case 'FST_ERR_BAD_URL':
      return malformedAddress()
  }
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new QueueError(
      'malformedRequest',
      'The request cannot be read: its address, its length or a header field is not well-formed.'
    )
  }
  return new QueueError(
    'internal',
    'Something unexpected went wrong; the log of the service says what. The change may or may not have ' +
      'been made.',
    { outcome: request.method === 'GET' ? 'none' : 'unknown', cause: thrown }
  )
}
