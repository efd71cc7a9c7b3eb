/** Calls at one time. Each holds the answers of all cells, so they are bounded, with a share per caller. */
import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import { Share } from '../../core/engine/share.ts'

const callsMax = 2000

/**
 * Refuses a call with shareUsedUp or overloaded where its caller, or all, have too many under way. Only the
 * cells know whose key it is. Here a caller is whoever sends the same one.
 */
export function shareCalls(app: FastifyInstance, connectionsMax: number): void {
  const total = Math.min(callsMax, connectionsMax)
  const share = new Share({ name: 'desk_calls', what: 'calls to the desk', total, code: 'overloaded' })
  const callers = new Map<string, Caller>()
  const holding = new WeakMap<FastifyRequest, Caller>()

  app.addHook('onRequest', (request, _reply, done) => {
    const { authorization = request.ip } = request.headers
    const id = hash('sha256', authorization, 'base64url')
    const caller = callers.get(id) ?? { id, isAdmin: false }
    share.take(caller, 1)
    callers.set(id, caller)
    holding.set(request, caller)
    done()
  })
  const end = async (request: FastifyRequest) => {
    const caller = holding.get(request)
    if (caller === undefined || !holding.delete(request)) return
    share.give(caller, 1)
    if (share.holdings.of(caller).mine === 0) callers.delete(caller.id)
  }
  app.addHook('onResponse', end)
  app.addHook('onRequestAbort', end)
}
