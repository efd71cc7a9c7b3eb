/**
 * What several route files share: cursors, ids, times, filters, callers that hang up, and the
 * responses every route can give.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { Filter } from '../../core/message.ts'
import { ByteBudget } from '../shared/byteBudget.ts'

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

/** The id in the path; one that no message can have is as unknown as any other. */
export function idOf({ queue, id }: { queue: string; id: string }): string {
  if (!isId(id)) throw new QueueError('messageNotFound', `The queue ${queue} has no such message.`)
  return id
}

function isId(text: string): boolean {
  return /^(0|[1-9]\d{0,18})$/.test(text) && BigInt(text) < 2n ** 63n
}

/** The time as the database takes it; null for one that is none, or before 1970. */
export function timeOf(text: string): string | null {
  const timeMs = Date.parse(text)
  return Number.isNaN(timeMs) || timeMs < 0 ? null : new Date(timeMs).toISOString()
}

/** Reads a filter that has passed its schema. Refuses with invalidRequest a time that is none. */
export function filterOf(
  { contains, reason, ...times }: { [K in keyof Filter]?: string | undefined },
  pointer: string
): Filter {
  const read = (name: 'enqueuedAfter' | 'enqueuedBefore') => {
    const text = times[name]
    const time = text === undefined ? null : timeOf(text)
    if (text !== undefined && time === null) {
      throw invalid(`${pointer}/${name}`, 'must be a time from 1970 on')
    }
    return time
  }
  return {
    contains: contains ?? null,
    reason: reason ?? null,
    enqueuedAfter: read('enqueuedAfter'),
    enqueuedBefore: read('enqueuedBefore')
  }
}

/** What the schema cannot say of a request. */
export function invalid(pointer: string, message: string): QueueError {
  return new QueueError(
    'invalidRequest',
    `${pointer} ${message}. Mend the request and send it again; nothing was changed.`,
    { faults: [{ pointer, message }] }
  )
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

/** The signal of a call that cannot be given up. */
export const never = new AbortController().signal

// Sent as text, because a serializer would read a body and write it anew.
export function sendJson(reply: FastifyReply, text: string, answers: ByteBudget): FastifyReply {
  if (ByteBudget.counts(text.length)) answers.hold(text.length, reply.raw)
  return reply
    .type('application/json; charset=utf-8')
    .serializer((payload: string) => payload)
    .send(text)
}

/** A cursor of ours, as the caller gets it. */
export function cursorTo(id: string | null): string | null {
  return id === null ? null : Buffer.from(id).toString('base64url')
}
