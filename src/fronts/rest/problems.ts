/**
 * Errors as callers see them: application/problem+json (RFC 9457), from one table that every code
 * must stand in.
 */
import type { Code, QueueError } from '../../core/errors.ts'
import type { Refusal } from '../shared/refusals.ts'

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
