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
/** Of these calls, those that one cell has not answered yet. A silent cell leaves room for others. */
const callsOfCellPart = 0.5

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts bytes of a cell's answer. Refuses with shareUsedUp, overloaded. */
    countAnswer: (bytes: number) => void
    /**
     * Holds a call to a cell, until what this answers is called. Refuses with shareUsedUp, and with
     * cellUnavailable where the cell has left too many calls unanswered.
     */
    holdCell: (cell: string) => () => void
    /** Aborted when the caller has gone. */
    gone: AbortSignal
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
  const total = Math.min(callsMax, connectionsMax)
  const shares = openShares(total, 2 * waitingBytesMax)
  const callers = new Callers()
  const holding = new WeakMap<FastifyRequest, Held>()
  const take = (request: FastifyRequest, what: keyof typeof shares, amount: number) => {
    const held = holding.get(request)
    if (held === undefined) throw new QueueError('overloaded', 'The caller has gone.')
    shares[what].take(held.caller, amount)
    held[what] += amount
  }

  const cells = sharesOfCells(Math.max(1, Math.floor(total * callsOfCellPart)))
  // Set by the hook below, on every request.
  for (const name of ['countAnswer', 'holdCell', 'gone']) app.decorateRequest(name, null)
  app.addHook('onRequest', (request, reply, done) => {
    const { authorization = request.ip } = request.headers
    const caller = callers.enter(hash('sha256', authorization, 'base64url'))
    holding.set(request, { caller, calls: 0, requestBytes: 0, answerBytes: 0 })
    request.countAnswer = bytes => {
      // What changes something goes on without its caller.
      if (request.method === 'GET' || holding.has(request)) take(request, 'answerBytes', bytes)
    }
    request.holdCell = cell => holdCell(cells(cell), callers, caller)
    const leaving = new AbortController()
    request.gone = leaving.signal
    // The hooks below are not told of a caller that leaves before it has an answer.
    reply.raw.once('close', () => {
      leaving.abort()
      end(request)
    })
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
  const end = (request: FastifyRequest) => {
    const held = holding.get(request)
    if (held === undefined || !holding.delete(request)) return
    for (const what of keysOf(shares)) {
      shares[what].give(held.caller, held[what])
    }
    callers.leave(held.caller)
  }
  app.addHook('onResponse', async request => end(request))
  app.addHook('onRequestAbort', async request => end(request))
}

/** The bounds that callers share. */
function openShares(calls: number, bytesMax: number) {
  const bytes = { total: bytesMax, code: 'overloaded' } as const
  return {
    calls: new Share({ name: 'desk_calls', what: 'calls to the desk', total: calls, code: 'overloaded' }),
    requestBytes: new Share({ name: 'desk_request_bytes', what: 'bytes of requests to the desk', ...bytes }),
    answerBytes: new Share({ name: 'desk_answer_bytes', what: "bytes of cells' answers", ...bytes })
  }
}

/** The call may outlast its request. */
function holdCell(share: Share, callers: Callers, caller: Caller): () => void {
  share.take(caller, 1)
  callers.enter(caller.id)
  return () => {
    share.give(caller, 1)
    callers.leave(caller)
  }
}

/** The callers that have something under way. */
class Callers {
  readonly #known = new Map<string, { caller: Caller; underway: number }>()

  enter(id: string): Caller {
    const known = this.#known.get(id) ?? { caller: { id, isAdmin: false }, underway: 0 }
    known.underway++
    this.#known.set(id, known)
    return known.caller
  }

  leave({ id }: Caller): void {
    const known = this.#known.get(id)!
    if (--known.underway === 0) this.#known.delete(id)
  }
}

/** The calls that each cell has not answered yet. */
function sharesOfCells(total: number): (cell: string) => Share {
  const shares = new Map<string, Share>()
  return cell => {
    const known = shares.get(cell)
    if (known !== undefined) return known
    const what = `unanswered calls to the cell ${cell}`
    const made = new Share({ name: 'desk_cell_calls', what, total, code: 'cellUnavailable' })
    shares.set(cell, made)
    return made
  }
}
