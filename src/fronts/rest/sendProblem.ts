/** Sends refusals: slowed down in a flood, and so that a caller that still sends can read them. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Code, QueueError } from '../../core/errors.ts'
import { causeOf, FaultLog } from '../shared/faultLog.ts'
import type { WriteRefusal } from '../shared/refusals.ts'
import { RefusalThrottles } from '../shared/refusalThrottle.ts'
import { problems } from './problems.ts'
import { refusalOf } from './thrown.ts'

// At random, so that callers refused together do not come back together.
const retryAfterSeconds = (code: Code) => (code === 'overloaded' ? 1 + Math.floor(Math.random() * 3) : 1)
/** Refusals that a caller can bring on itself again as fast as they are answered. */
const throttled = new Set<Code>([
  'malformedRequest',
  'malformedJson',
  'invalidRequest',
  'unauthorized',
  'forbidden',
  'routeNotFound',
  'methodNotAllowed',
  'requestTooLarge',
  'unsupportedMediaType',
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

/** Sends what was thrown as a refusal, in the protocol of the caller. */
export type SendProblem = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** The error handler of every route. It logs what is our fault or the database's. */
export function problemSender(log: Logger, writeRefusal: WriteRefusal): SendProblem {
  const logFault = faultLogger(log)
  const throttles = new RefusalThrottles()
  return (thrown, request, reply) => {
    const error = refusalOf(thrown, request)
    const { status } = problems[error.code]
    if (status >= 500) logFault(request, error)
    if (status === 429 || status === 503) {
      reply.header('retry-after', error.retryAfterSeconds ?? retryAfterSeconds(error.code))
    }
    const { fields, body, ...refusal } = writeRefusal(error, request.raw, request.id)
    reply.code(refusal.status).headers(fields).type(refusal.type)
    const lateMs = throttled.has(error.code) ? throttles.next(request.caller, bytesLeft(request)) : 0
    if (lateMs === 0) return answer(request, reply, body)
    // The body is thrown away as it arrives. Keeping it would take memory. Closing the connection would
    // cost the caller a new one.
    request.raw.resume()
    setTimeout(answer, lateMs, request, reply, body)
    return reply
  }
}

/** Every bug is logged. Of what the database causes, and of refusals, one line a second of each kind. */
function faultLogger(log: Logger): (request: FastifyRequest, error: QueueError) => void {
  const faultLog = new FaultLog(log)
  return (request, { code, cause }) => {
    const fields = { requestId: request.id, code }
    if (code !== 'internal') faultLog.write('warn', code, cause, fields, 'unavailable')
    else if (causeOf(cause).sqlState === undefined) log.error({ ...fields, err: cause }, 'unexpected error')
    else faultLog.write('error', code, cause, { ...fields, err: cause }, 'unexpected error')
  }
}

/** What the caller still has to send of its body, at most. */
function bytesLeft({ raw, headers }: FastifyRequest): number {
  return raw.complete ? 0 : Number(headers['content-length'] ?? 0)
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
