/** Passes a call on to cells, with what its caller sent, and their answers back. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CellAnswer } from '../answer.ts'
import type { CellRequest } from '../calls.ts'

/** They are about the connection, or about a body that is written anew. */
const ownFields = /^(host|connection|keep-alive|transfer-encoding|content-length|te|upgrade|expect|via)$/

/**
 * `via` tells the cell that this is no direct call. While a service asks for no key, it serves only
 * those.
 */
export function requestOf(request: FastifyRequest): CellRequest {
  const { method, url, headers, body, countAnswer, holdCell, gone } = request
  const kept = Object.entries(headers).filter(([name]) => !ownFields.test(name))
  return {
    method,
    path: url,
    headers: { ...(Object.fromEntries(kept) as Record<string, string>), via: '1.1 holdfast-desk' },
    body: typeof body === 'string' && body !== '' ? body : undefined,
    countAnswer,
    hold: holdCell,
    // What changes something is carried to its end, whoever still listens.
    ...(method === 'GET' && { signal: gone })
  }
}

const answerFields = ['content-type', 'retry-after', 'www-authenticate', 'cache-control', 'location']

/** Gives a cell's answer to the caller. */
export function sendAnswer(
  reply: FastifyReply,
  { status, headers, text }: Pick<CellAnswer, 'status' | 'headers' | 'text'>
): FastifyReply {
  for (const name of answerFields) {
    const value = headers.get(name)
    if (value !== null) reply.header(name, value)
  }
  reply.code(status).serializer((payload: string) => payload)
  return reply.send(text)
}
