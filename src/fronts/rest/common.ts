/** What several handlers share: cursors, ids, and answers as text. */
import type { FastifyReply } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import { isId, messageIdOf } from '../../core/message.ts'
import type { Answers } from '../shared/heldBytes.ts'

/** Reads a cursor that a page gave. Refuses with invalidCursor what is none, or is one of another list. */
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

// Sent as text, because a serializer would read a body and write it anew.
export function sendJson(reply: FastifyReply, text: string, answers: Answers): FastifyReply {
  answers.send(reply.raw, reply.request.caller, text.length)
  return reply
    .type('application/json; charset=utf-8')
    .serializer((payload: string) => payload)
    .send(text)
}

/** The cursor that a page gives for the next one. null at the end. */
export function cursorTo(id: string | null): string | null {
  return id === null ? null : Buffer.from(id).toString('base64url')
}
