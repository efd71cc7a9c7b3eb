/** Which requests are let in: not while closing, not without room, and not what cannot be read. */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import { QueueError } from '../../core/errors.ts'
import { HeldBytes, isCounted } from '../shared/heldBytes.ts'
import { closesConnections } from '../shared/shutdown.ts'
import { malformedAddress } from './thrown.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Settling: among the last to be refused under load. */
    makesRoom?: boolean
    /** Stores messages: refused before its body is read while too many wait to be stored. */
    stores?: boolean
    /** Answered while closing too. */
    always?: boolean
  }
}

interface AdmissionOptions {
  requestBytesMax: number
  /** The bytes of requests on their way in. */
  requests: HeldBytes
  /** The refusal of an enqueue now; null where there is room. */
  enqueueRefusal: (caller: Caller) => QueueError | null
  /** Called when closing begins: those who wait are to be answered now. */
  onClosing: () => void
}

/** Registers the checks of requests, and the end of those that come while the service closes. */
export function admit(app: FastifyInstance, options: AdmissionOptions): void {
  let closing = false
  const closeConnections = closesConnections(app.server)
  app.addHook('preClose', async () => {
    closing = true
    closeConnections()
    options.onClosing()
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (closing || !speaksHttp(request.raw)) reply.header('connection', 'close')
    const refusal =
      (closing ? refusalWhileClosing(request) : null) ??
      refusalOfHead(request, reply) ??
      refusalForRoom(request, options)
    done(refusal ?? undefined)
  })
  countBodies(app, options.requests)
}

/** While the service closes, only the routes that are `always` answered are let in. */
function refusalWhileClosing({ routeOptions }: FastifyRequest): QueueError | null {
  if (routeOptions.config.always === true) return null
  return new QueueError(
    'shuttingDown',
    'This replica is shutting down; nothing was changed. ' +
      'Send the request again, to another replica if there is one.'
  )
}

/** HTTP/1.0 needs no host. */
function speaksHttp({ httpVersion, headers }: IncomingMessage): boolean {
  return httpVersion === '1.1' ? headers.host !== undefined : httpVersion !== '0.9'
}

const continues = /^100-continue$/i
const chunked = /^\s*chunked\s*$/i
const identity = /^(\s*identity\s*(,|$))*$/i

/** What the head alone gives reason to refuse. */
function refusalOfHead({ raw }: FastifyRequest, reply: FastifyReply): QueueError | null {
  const { headers, httpVersion } = raw
  const { expect, 'content-encoding': encoding, 'transfer-encoding': transfer } = headers
  if (!speaksHttp(raw)) {
    return new QueueError('malformedRequest', 'The request is not HTTP/1.1 with a host.')
  }
  if (expect !== undefined && httpVersion === '1.1' && !continues.test(expect)) {
    return new QueueError(
      'expectationFailed',
      'Of Expect only 100-continue is taken; nothing was changed. Send the request without the field.'
    )
  }
  if (encoding !== undefined && !identity.test(encoding)) {
    reply.header('accept-encoding', 'identity')
    return new QueueError('unsupportedMediaType', 'Content encodings are not taken; send the body as it is.')
  }
  if (transfer !== undefined && !chunked.test(transfer)) {
    // The parser looks at the last coding alone, and the body would be stored compressed.
    reply.header('connection', 'close')
    return new QueueError('unsupportedMediaType', 'Of transfer codings only chunked is taken.')
  }
  return isEscaped(raw.url!) ? null : malformedAddress()
}

/** Whether the query is well-formed. Otherwise a bad escape would be text. The router has read the path. */
function isEscaped(url: string): boolean {
  const at = url.indexOf('?')
  if (at < 0 || !url.includes('%', at)) return true
  try {
    decodeURIComponent(url.slice(at))
    return true
  } catch {
    return false
  }
}

/** Asked before the body is read, so that what cannot be held is not. */
function refusalForRoom(
  request: FastifyRequest,
  { requestBytesMax, requests, enqueueRefusal }: AdmissionOptions
): QueueError | null {
  const { stores, makesRoom = false } = request.routeOptions.config
  const refusal = stores ? enqueueRefusal(request.caller) : null
  if (refusal !== null) return refusal
  const bytes = Number(request.raw.headers['content-length'])
  if (!isCounted(bytes) || bytes > requestBytesMax) return null
  return requests.refusal(request.caller, bytes, makesRoom)
}

/** A smaller body mostly comes with its head. To listen to its bytes would cost more than they do. */
const arrivingBytesMin = 256 * 1024

/**
 * Counts bytes as they arrive, beside their reader. A large body that is announced and does not come holds
 * nothing.
 */
function countBodies(app: FastifyInstance, requests: HeldBytes): void {
  app.addHook('preParsing', ({ raw, caller, routeOptions }, reply, payload, done) => {
    const { 'content-length': length, 'transfer-encoding': encoding } = raw.headers
    const bytes = Number(length)
    if (encoding !== undefined || isCounted(bytes)) {
      const makesRoom = routeOptions.config.makesRoom === true
      const hold = requests.until(reply.raw, caller)
      if (bytes < arrivingBytesMin) {
        hold(bytes)
        return done(null, payload)
      }
      payload.on('data', function count(chunk: Buffer) {
        const refusal = requests.refusal(caller, chunk.length, makesRoom)
        if (refusal === null) return hold(chunk.length)
        payload.off('data', count)
        if (payload.listenerCount('error') > 0) payload.emit('error', refusal)
      })
    }
    done(null, payload)
  })
}
