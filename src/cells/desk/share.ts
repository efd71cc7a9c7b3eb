/**
 * What calls hold at one time, with a share per caller: calls, the bytes of their requests, and the
 * bytes of the cells' answers. Only the cells know whose key it is. Here a caller is whoever sends the
 * same one.
 */
import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import { Share } from '../../core/engine/share.ts'
import { QueueError } from '../../core/errors.ts'
import { keysOf } from '../../core/table.ts'

const callsMax = 2000

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts bytes of a cell's answer. Refuses with shareUsedUp, overloaded. */
    countAnswer: (bytes: number) => void
  }
}

interface DeskBounds {
  connectionsMax: number
  waitingBytesMax: number
}

/** What one request holds. */
interface Held {
  caller: Caller
  calls: number
  requestBytes: number
  answerBytes: number
}

/**
 * Refuses a call with shareUsedUp or overloaded where its caller, or all, hold too much. A request that
 * is still on its way in holds its bytes, and no call yet.
 */
export function shareCalls(app: FastifyInstance, { connectionsMax, waitingBytesMax }: DeskBounds): void {
  const bytes = { total: 2 * waitingBytesMax, code: 'overloaded' } as const
  const shares = {
    calls: new Share({
      name: 'desk_calls',
      what: 'calls to the desk',
      total: Math.min(callsMax, connectionsMax),
      code: 'overloaded'
    }),
    requestBytes: new Share({ name: 'desk_request_bytes', what: 'bytes of requests to the desk', ...bytes }),
    answerBytes: new Share({ name: 'desk_answer_bytes', what: "bytes of cells' answers", ...bytes })
  }
  const callers = new Map<string, { caller: Caller; requests: number }>()
  const holding = new WeakMap<FastifyRequest, Held>()
  const take = (request: FastifyRequest, what: keyof typeof shares, amount: number) => {
    const held = holding.get(request)
    if (held === undefined) throw new QueueError('overloaded', 'The caller has gone.')
    shares[what].take(held.caller, amount)
    held[what] += amount
  }

  app.decorateRequest('countAnswer', null as unknown as FastifyRequest['countAnswer'])
  app.addHook('onRequest', (request, _reply, done) => {
    const { authorization = request.ip } = request.headers
    const id = hash('sha256', authorization, 'base64url')
    const known = callers.get(id) ?? { caller: { id, isAdmin: false }, requests: 0 }
    known.requests++
    callers.set(id, known)
    holding.set(request, { caller: known.caller, calls: 0, requestBytes: 0, answerBytes: 0 })
    request.countAnswer = bytes => take(request, 'answerBytes', bytes)
    done()
  })
  app.addHook('preParsing', (request, _reply, payload, done) => {
    payload.on('data', function count(chunk: Buffer) {
      try {
        take(request, 'requestBytes', chunk.length)
      } catch (error) {
        payload.off('data', count)
        if (payload.listenerCount('error') > 0) payload.emit('error', error)
      }
    })
    done(null, payload)
  })
  app.addHook('preHandler', (request, _reply, done) => {
    take(request, 'calls', 1)
    done()
  })
  const end = async (request: FastifyRequest) => {
    const held = holding.get(request)
    if (held === undefined || !holding.delete(request)) return
    for (const what of keysOf(shares)) {
      shares[what].give(held.caller, held[what])
    }
    const known = callers.get(held.caller.id)!
    if (--known.requests === 0) callers.delete(held.caller.id)
  }
  app.addHook('onResponse', end)
  app.addHook('onRequestAbort', end)
}
