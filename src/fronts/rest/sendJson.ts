/** Sends answers that are JSON text already. */
import type { FastifyReply } from 'fastify'
import type { Answers } from '../shared/heldBytes.ts'

/** Sends the text as it is, because a serializer would read a body and write it anew. */
export function sendJson(reply: FastifyReply, text: string, answers: Answers): FastifyReply {
  answers.send(reply.raw, reply.request.caller, text.length)
  return reply
    .type('application/json; charset=utf-8')
    .serializer((payload: string) => payload)
    .send(text)
}
