/** When a call that waits is to be given up. */
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * A signal that aborts when the caller hangs up before its answer, or when its key is revoked. A
 * caller that has closed its half only is taken for one that has gone, but it gets an answer.
 */
export function givenUp({ key, raw: { socket } }: FastifyRequest, reply: FastifyReply): AbortSignal {
  // Its answer is over already, so nothing below would ever be undone.
  if (reply.raw.closed) return AbortSignal.abort()
  const controller = new AbortController()
  const abort = () => controller.abort()
  const leave = key?.onEnd(abort)
  if (socket.readableEnded || socket.destroyed) abort()
  else socket.once('end', abort)
  reply.raw.once('close', () => {
    leave?.()
    socket.off('end', abort)
    if (!reply.raw.writableFinished) abort()
  })
  return controller.signal
}
