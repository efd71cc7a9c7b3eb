/** The REST front: limits, parsing, validation, errors; the routes stand in their own files. */
import { isUtf8 } from 'node:buffer'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { pino, type Logger } from 'pino'
import type { Broker } from '../../core/broker.ts'
import { parseEnvelope } from '../../core/engine/envelope.ts'
import { QueueError } from '../../core/errors.ts'
import type { Schedules } from '../../core/verbs/schedules.ts'
import { ByteBudget } from '../shared/byteBudget.ts'
import { closesConnections, type Connection } from '../shared/shutdown.ts'
import { documentRoutes } from './docs.ts'
import { guard, type GuardOptions } from '../shared/guard.ts'
import { healthRoutes, type Health } from './routes/health.ts'
import { keyRoutes, type ApiKeys } from './routes/apiKeys.ts'
import { messageRoutes } from './routes/messages.ts'
import { lingerMs, problems, problemSender, type SendProblem } from './problems.ts'
import { queueRoutes } from './routes/queues.ts'
import { scheduleRoutes } from './routes/schedules.ts'
import { RequestMetrics } from '../shared/requestMetrics.ts'
import { Problem } from './contract/problem.ts'
import { settleRoutes } from './routes/settle.ts'
import { telemetryRoutes } from './routes/telemetry.ts'
import { compileValidator } from './validation.ts'

export interface ServerOptions {
  requestBytesMax: number
  requestSecondsMax: number
  silentSecondsMax: number
  connectionsMax: number
  requests: ByteBudget
  answers: ByteBudget
  log: Logger
  requestMetrics: RequestMetrics
  health: Health
  guard: GuardOptions
  keys: ApiKeys
  /** Registers the routes of the web console, which is a front of its own. */
  console: (app: Server) => Promise<void>
  schedules: Schedules
  /** Called when closing begins: whoever waits is to be answered now. */
  onClosing: () => void
}

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

const tooManyEnqueues = new QueueError(
  'overloaded',
  'Too many messages are waiting to be stored already; nothing was changed. Send the request again a ' +
    'little later.'
)
const full = new QueueError(
  'overloaded',
  'Too many requests are on their way in already; nothing was changed. Send the request again a little later.'
)

export type Server = ReturnType<typeof createFastify>

/**
 * Builds the server without listening. Closed by `close()`: what was begun is finished, new
 * requests get 503.
 */
export async function buildServer(broker: Broker, options: ServerOptions): Promise<Server> {
  const sendProblem = problemSender(options.log)
  const app = createFastify(options, sendProblem)
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new QueueError('routeNotFound', 'There is no such route. GET /docs shows them all.'),
      request,
      reply
    )
  )
  app.setValidatorCompiler(compileValidator)
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readJson)
  app.addContentTypeParser('*', { parseAs: 'buffer' }, takeNothing)
  options.requestMetrics.watch(app)
  guard(app, options.guard) // before all that costs something
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
          'This replica is shutting down; nothing was changed. Send the request again, to another ' +
            'replica if there is one.'
        )
      )
    } else if (lastOne && !closing) {
      done(new QueueError('malformedRequest', 'The request is not HTTP/1.1 with a host.'))
    } else if (headers['content-encoding'] !== undefined) {
      done(new QueueError('unsupportedMediaType', 'Content encodings are not taken; send the body as it is.'))
    } else done(admit(request, reply, Number(headers['content-length'])))
  })
  // Before its body is read, so that what cannot be held is not.
  const admit = (request: FastifyRequest, reply: FastifyReply, bytes: number) => {
    if (request.routeOptions.config.stores && broker.enqueuesFull) return tooManyEnqueues
    if (!ByteBudget.counts(bytes) || bytes > options.requestBytesMax) return
    if (!options.requests.hasRoom(bytes, request.routeOptions.config.makesRoom === true)) return full
    options.requests.hold(bytes, reply.raw)
  }
  // A body in chunks does not say how long it will be, so it is counted as it comes, beside the
  // one who reads it.
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (request.raw.headers['transfer-encoding'] !== undefined) {
      const makesRoom = request.routeOptions.config.makesRoom === true
      const more = options.requests.hold(0, reply.raw)
      payload.on('data', function count(chunk: Buffer) {
        if (options.requests.hasRoom(chunk.length, makesRoom)) return more(chunk.length)
        payload.off('data', count)
        if (payload.listenerCount('error') > 0) payload.emit('error', full)
      })
    }
    done(null, payload)
  })

  app.addSchema(Problem)
  await documentRoutes(app)
  const methods = collectMethods(app)
  queueRoutes(app, broker)
  await app.register(async scope => messageRoutes(scope as Server, broker, options.answers))
  settleRoutes(app, broker)
  telemetryRoutes(app, broker)
  scheduleRoutes(app, options.schedules, options.answers)
  keyRoutes(app, options.keys)
  healthRoutes(app, options.health)
  await options.console(app)
  await app.after()
  refuseOtherMethods(app, methods, sendProblem)
  await app.ready()
  return app
}

/** The document as text, as openapi/openapi.json holds it: made from the routes alone, without a database. */
export async function describeApi(): Promise<string> {
  const silent = pino({ level: 'silent' })
  const app = await buildServer(undefined as never, {
    requestBytesMax: 1,
    requestSecondsMax: 1,
    silentSecondsMax: 1,
    connectionsMax: 1,
    requests: new ByteBudget(1),
    answers: new ByteBudget(1),
    log: silent,
    requestMetrics: new RequestMetrics(silent),
    onClosing() {},
    health: { unready: () => null, metrics: async () => '' },
    guard: { ring: null, open: { docs: false, metrics: false } },
    keys: undefined as never,
    console: async () => {},
    schedules: undefined as never
  })
  const document = JSON.stringify(app.swagger(), null, 2)
  await app.close()
  return `${document}\n`
}

function createFastify(
  { requestBytesMax, requestSecondsMax, silentSecondsMax, connectionsMax }: ServerOptions,
  sendProblem: SendProblem
) {
  const requestTimeout = requestSecondsMax * 1000
  const app = Fastify({
    bodyLimit: requestBytesMax,
    // its own would be a child logger and two listeners for every request; what there is to say,
    // we say ourselves
    logger: false,
    return503OnClosing: false, // answered by the hook, as a problem
    requestTimeout,
    connectionTimeout: silentSecondsMax * 1000,
    keepAliveTimeout: 75_000,
    http: {
      headersTimeout: requestTimeout / 2,
      // Node looks every 30 s by default, which made 30 s up to 60
      connectionsCheckingInterval: requestTimeout / 10,
      requireHostHeader: false // Node's own refusal would be no problem document
    },
    routerOptions: { maxParamLength: 200 },
    frameworkErrors: sendProblem as (...args: Parameters<SendProblem>) => void,
    clientErrorHandler: (error, socket) => refuseUnreadable(error.code, socket)
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.server.maxConnections = connectionsMax
  // Else Node invites every body that asks for leave, one over the limit too.
  app.server.on('checkContinue', (request, response) => {
    if (!(Number(request.headers['content-length']) > requestBytesMax)) response.writeContinue()
    app.server.emit('request', request, response)
  })
  return app
}

// What is no HTTP has no request to answer, so this goes to the socket itself. Whole requests that
// came before it on the connection are answered first: in their place "nothing was changed" would
// be said of what they change.
function refuseUnreadable(cause: string, socket: Connection): void {
  if (!socket.writable) return
  const before = socket._httpMessage
  if (before?.req.complete) {
    before.once('close', () => refuseUnreadable(cause, socket))
    return
  }
  const code =
    cause === 'HPE_HEADER_OVERFLOW'
      ? 'headersTooLarge'
      : cause === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'requestTimeout'
        : 'malformedRequest'
  const { status, title } = problems[code]
  const body = JSON.stringify({
    type: `urn:holdfast:error:${code}`,
    title,
    status,
    detail: `${title}; the connection is closed and nothing was changed.`,
    code,
    requestId: 'none'
  })
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json\r\ncontent-length: ` +
      `${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => setTimeout(() => socket.destroy(), lingerMs).unref()
  )
}

function readJson(
  request: FastifyRequest,
  bytes: string | Buffer,
  done: (error: Error | null, body?: unknown) => void
): void {
  try {
    if (bytes.length === 0) return done(null, undefined)
    if (/charset\s*=\s*"?(?!utf-?8)/i.test(request.headers['content-type']!)) {
      throw new QueueError('unsupportedMediaType', 'JSON is taken in UTF-8 only.')
    }
    if (!isUtf8(bytes as Buffer)) {
      throw new QueueError('malformedJson', 'The body is not valid UTF-8. Send JSON in UTF-8.', {
        faults: [{ pointer: '', message: 'is not valid UTF-8' }]
      })
    }
    done(null, parseEnvelope(bytes.toString()))
  } catch (error) {
    done(error as Error)
  }
}

// curl -d '' names a content type for nothing at all.
function takeNothing(
  _request: FastifyRequest,
  bytes: string | Buffer,
  done: (error: Error | null, body?: unknown) => void
): void {
  done(
    bytes.length === 0
      ? null
      : new QueueError(
          'unsupportedMediaType',
          'This route takes application/json in UTF-8, without a content encoding.'
        )
  )
}

function collectMethods(app: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })
  return methods
}

// A known address with another method is 405, not 404.
function refuseOtherMethods(
  app: FastifyInstance,
  methods: Map<string, Set<string>>,
  sendProblem: SendProblem
): void {
  for (const [url, known] of [...methods]) {
    const allow = [...known].sort().join(', ')
    app.route({
      url,
      method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'].filter(
        method => !known.has(method)
      ),
      config: { access: 'key' },
      schema: { hide: true } as object,
      exposeHeadRoute: false,
      onRequest: (request, reply) => {
        sendProblem(
          new QueueError('methodNotAllowed', `This route takes ${allow}.`),
          request,
          reply.header('allow', allow)
        )
      },
      handler: async () => {}
    })
  }
}
