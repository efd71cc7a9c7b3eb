/** Which requests are let in: not while closing, not without room, and not what cannot be read. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import { ByteBudget } from '../shared/byteBudget.ts'
import { closesConnections } from '../shared/shutdown.ts'

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
  requests: ByteBudget
  /** True while too many messages wait to be stored. */
  enqueuesFull: () => boolean
  /** Called when closing begins: those who wait are to be answered now. */
  onClosing: () => void
}

const tooManyEnqueues = new QueueError(
  'overloaded',
  'Too many messages are waiting to be stored already; nothing was changed. ' +
    'Send the request again a little later.'
)
const tooManyRequests = new QueueError(
  'overloaded',
  'Too many requests are on their way in already; nothing was changed. ' +
    'Send the request again a little later.'
)

const continues = /^100-continue$/i
const identity = /^(\s*identity\s*(,|$))*$/i

export function admit(app: FastifyInstance, options: AdmissionOptions): void {
  let closing = false
  const closeConnections = closesConnections(app.server)
  app.addHook('preClose', async () => {
    closing = true
    closeConnections()
    options.onClosing()
  })
  app.addHook('onRequest', (request, reply, done) => {
    const { headers, httpVersion } = request.raw
    const lastOne = closing || httpVersion === '0.9' || (httpVersion === '1.1' && headers.host === undefined)
    if (lastOne) reply.header('connection', 'close')
    if (closing && request.routeOptions.config.always !== true) {
      done(
        new QueueError(
          'shuttingDown',
          'This replica is shutting down; nothing was changed. ' +
            'Send the request again, to another replica if there is one.'
        )
      )
    } else if (lastOne && !closing) {
      done(new QueueError('malformedRequest', 'The request is not HTTP/1.1 with a host.'))
    } else if (headers.expect !== undefined && httpVersion === '1.1' && !continues.test(headers.expect)) {
      done(
        new QueueError(
          'expectationFailed',
          'Of Expect only 100-continue is taken; nothing was changed. Send the request without the field.'
        )
      )
    } else if (headers['content-encoding'] !== undefined && !identity.test(headers['content-encoding'])) {
      reply.header('accept-encoding', 'identity')
      done(new QueueError('unsupportedMediaType', 'Content encodings are not taken; send the body as it is.'))
    } else {
      done(refusalOf(request, reply, options))
    }
  })
  countChunks(app, options.requests)
}

// Before the body is read, so that what cannot be held is not.
function refusalOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { requestBytesMax, requests, enqueuesFull }: AdmissionOptions
): QueueError | undefined {
  const { stores, makesRoom = false } = request.routeOptions.config
  if (stores && enqueuesFull()) return tooManyEnqueues
  const bytes = Number(request.raw.headers['content-length'])
  if (!ByteBudget.counts(bytes) || bytes > requestBytesMax) return undefined
  if (!requests.hasRoom(bytes, makesRoom)) return tooManyRequests
  requests.hold(bytes, reply.raw)
  return undefined
}

// A body in chunks does not say how long it will be, so it is counted as it arrives, beside its reader.
function countChunks(app: FastifyInstance, requests: ByteBudget): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (request.raw.headers['transfer-encoding'] !== undefined) {
      const makesRoom = request.routeOptions.config.makesRoom === true
      const more = requests.hold(0, reply.raw)
      payload.on('data', function count(chunk: Buffer) {
        if (requests.hasRoom(chunk.length, makesRoom)) return more(chunk.length)
        payload.off('data', count)
        if (payload.listenerCount('error') > 0) payload.emit('error', tooManyRequests)
      })
    }
    done(null, payload)
  })
}
