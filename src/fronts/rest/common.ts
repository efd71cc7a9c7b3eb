/**
 * What several route files share: cursors, ids, callers that hang up, and the responses every route
 * can give.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import { isId, messageIdOf } from '../../core/message.ts'

/** Reads a cursor of ours. Refuses with invalidCursor what does not hold what such a cursor holds. */
export function cursorOf(cursor: string | undefined, pattern: RegExp): string | undefined {
  if (cursor === undefined) return undefined
  const text = Buffer.from(cursor, 'base64url').toString()
  if (
    !pattern.test(text) ||
    Buffer.from(text).toString('base64url') !== cursor ||
    (/^\d+$/.test(text) && !isId(text))
  ) {
    throw new QueueError(
      'invalidCursor',
      'The cursor cannot be read. Send it exactly as the page before gave it, or leave it out to ' +
        'begin again.',
      { faults: [{ pointer: 'query/cursor', message: 'is not a cursor of this list' }] }
    )
  }
  return text
}

/** The id in the path. Refuses with messageNotFound. */
export function idOf({ queue, id }: { queue: string; id: string }): string {
  return messageIdOf(queue, id)
}

/** Aborts when the caller hangs up before its answer, or its key is revoked. */
export function givenUp({ key }: FastifyRequest, reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const leave = key?.onEnd(() => controller.abort())
  reply.raw.once('close', () => {
    leave?.()
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}

const reasons: Record<number, string> = {
  400: 'Malformed, or refused by the schema.',
  401: 'No API key, or not a good one.',
  403: 'The key may not do this here.',
  404: 'No such queue or message.',
  409: 'Not in this state.',
  413: 'Too large.',
  415: 'A content type that is not taken.',
  422: 'The idempotency key stands for other content.',
  429: 'Full, or a rate used up; see Retry-After.',
  503: 'The database is away, or the service overloaded or shutting down; see Retry-After and `outcome`.'
}

/** The refusals a route can answer with, beside those that every route can. */
export function problemResponses(...statuses: number[]): Record<number, object> {
  return Object.fromEntries(
    [...statuses, 401, 403].sort().map(status => [
      status,
      {
        description: reasons[status],
        content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } }
      }
    ])
  )
}
