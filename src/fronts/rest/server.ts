/** The REST front: an HTTP server with the contract's operations. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { Broker } from '../../core/broker.ts'
import { oneByOne } from '../../core/engine/oneByOne.ts'
import type { Shares } from '../../core/engine/shares.ts'
import { QueueError } from '../../core/errors.ts'
import type { ApiKeys } from '../../core/ports.ts'
import type { Schedules } from '../../core/verbs/schedules.ts'
import { Answers, HeldBytes } from '../shared/heldBytes.ts'
import { boundPipelines } from '../shared/pipeline.ts'
import { ReadingPace } from '../shared/readingPace.ts'
import { connectedBy, guard, type GuardOptions } from '../shared/guard.ts'
import { shareConnections } from '../shared/listening.ts'
import type { RequestMetrics } from '../shared/requestMetrics.ts'
import type { WriteOwnRefusal, WriteRefusal } from '../shared/refusals.ts'
import { SafeResponse } from '../shared/securityFields.ts'
import { hidden, type Server } from '../shared/server.ts'
import { admit } from './admission.ts'
import { Problem } from './contract/problem.ts'
import { documentRoutes } from './docs.ts'
import { guideRoutes } from './guide.ts'
import { collectMethods, refuseOtherMethods } from './otherMethods.ts'
import { setParsers } from './parsers.ts'
import { problemOf } from './problems.ts'
import { apiKeyRoutes } from './routes/apiKeys.ts'
import { bulkRoutes } from './routes/bulk.ts'
import { consumerRoutes } from './routes/consumers.ts'
import { groupRoutes } from './routes/groups.ts'
import { enqueueRoutes } from './routes/enqueue.ts'
import { failureRoutes } from './routes/failures.ts'
import { healthRoutes, type Health } from './routes/health.ts'
import { leaseRoutes } from './routes/lease.ts'
import { messageRoutes } from './routes/messages.ts'
import { pushRoutes, type PushCalls } from './routes/push.ts'
import { queueRoutes } from './routes/queues.ts'
import { redriveRoutes } from './routes/redrives.ts'
import { scheduleRoutes } from './routes/schedules.ts'
import { settleRoutes } from './routes/settle.ts'
import { publishRoutes, topicRoutes } from './routes/topics.ts'
import { problemSender, type SendProblem } from './sendProblem.ts'
import { compileSerializer } from './serialization.ts'
import { refuseUnreadable } from './unreadable.ts'
import { compileValidator } from './validation.ts'

interface SqsFront {
  /** Registers its routes, with the root, which REST answers otherwise. */
  routes: (app: Server, sendProblem: SendProblem, root: typeof toConsole) => Promise<void>
  writeRefusal: WriteOwnRefusal
}

interface ServerOptions {
  requestBytesMax: number
  requestSecondsMax: number
  silentSecondsMax: number
  /** How long a connection may rest between two requests. */
  keepAliveSeconds: number
  shares: Shares
  log: Logger
  requestMetrics: RequestMetrics
  health: Health
  /** Has requests run within the traces of their callers. null: no spans are made. */
  watchRequests: ((app: FastifyInstance) => void) | null
  guard: GuardOptions
  apiKeys: ApiKeys
  /** Registers the routes of the web console, which is a front of its own. */
  console: (app: Server) => Promise<void>
  sqs: SqsFront | null
  schedules: Schedules
  push: PushCalls
  /** Called when closing begins: those who wait are to be answered now. */
  onClosing: () => void
}

/** Characters of one part of a path. */
const pathPartCharsMax = 200

/**
 * Builds the server without listening. Closed by `close()`: what was begun is finished, new
 * requests get 503.
 */
export async function buildServer(broker: Broker, options: ServerOptions): Promise<Server> {
  const { shares, requestMetrics, schedules, sqs } = options
  const answers = new Answers(shares.answerBytes, new ReadingPace())
  const writeRefusal: WriteRefusal = (error, request, requestId) =>
    sqs?.writeRefusal(error, request, requestId) ?? problemOf(error, requestId)
  const sendProblem = problemSender(options.log, writeRefusal)
  const app = createFastify(options, sendProblem, writeRefusal)
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request, reply) => sendProblem(routeNotFound(), request, reply))
  app.setValidatorCompiler(compileValidator)
  app.setSerializerCompiler(compileSerializer)
  setParsers(app)
  requestMetrics.watch(app)
  options.watchRequests?.(app)
  const callerOf = connectedBy(options.guard.ring)
  boundPipelines(app.server, shares.aheadBytes, callerOf)
  shareConnections(app.server, callerOf, shares.connections)
  guard(app, options.guard) // before all that costs something
  admit(app, {
    ...options,
    requests: new HeldBytes(shares.requestBytes),
    enqueueRefusal: caller => broker.enqueueRefusal(caller)
  })
  // Before the body is read: anyone may send one to where there is no route.
  app.addHook('onRequest', (request, _reply, done) => done(request.is404 ? routeNotFound() : undefined))
  countAnswers(app, answers)
  app.addSchema(Problem)
  await documentRoutes(app)
  await guideRoutes(app)

  if (sqs !== null) await app.register(scope => sqs.routes(scope as Server, sendProblem, toConsole))
  else app.get('/', { config: { access: 'anyone' }, schema: hidden }, toConsole)
  const methods = collectMethods(app)
  queueRoutes(app, broker, answers)
  bulkRoutes(app, broker)
  redriveRoutes(app, broker)
  failureRoutes(app, broker, answers)
  consumerRoutes(app, broker)
  groupRoutes(app, broker)
  messageRoutes(app, broker, answers)
  await app.register(async scope => enqueueRoutes(scope as Server, broker))
  await app.register(async scope => publishRoutes(scope as Server, broker))
  topicRoutes(app, broker)
  leaseRoutes(app, broker, answers)
  settleRoutes(app, broker)
  pushRoutes(app, broker, options.push)
  scheduleRoutes(app, schedules, answers)
  apiKeyRoutes(app, options.apiKeys, broker, options.guard.ring !== null)
  healthRoutes(app, options.health)
  await options.console(app)
  await app.after()
  refuseOtherMethods(app, methods, sendProblem)
  await app.ready()
  return app
}

async function toConsole(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  if (request.method === 'POST' || !/text\/html/i.test(request.headers.accept ?? '')) throw routeNotFound()
  return reply.redirect('/console', 302)
}

/** Of what a refused answer would have said, these fields do not belong to its refusal. */
const fieldsOfContent = ['content-length', 'content-encoding', 'cache-control', 'etag', 'last-modified']

/** Handing over an answer of this size takes the event loop a tenth of a millisecond. */
const largeAnswerBytes = 64 * 1024

// Also of pages, lists and documents, whoever made them. A stream says its length in a field. One large
// answer is handed over in each turn of the event loop, so many at once do not hold up the others.
function countAnswers(app: Server, answers: Answers): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const bytes =
      typeof payload === 'string' || Buffer.isBuffer(payload)
        ? Buffer.byteLength(payload)
        : Number(reply.getHeader('content-length'))
    const refusal = answers.sendOrRefuse(request, reply, bytes)
    if (refusal === null) {
      if (!(bytes >= largeAnswerBytes)) return done(null, payload) // NaN too: a stream of unknown length
      return oneByOne(request.caller, () => done(null, payload))
    }
    if (payload instanceof Readable) payload.destroy()
    for (const name of fieldsOfContent) reply.removeHeader(name)
    done(refusal)
  })
}

const routeNotFound = () =>
  new QueueError('routeNotFound', 'There is no such route. GET /docs shows them all.')

function createFastify(
  { requestBytesMax, requestSecondsMax, silentSecondsMax, keepAliveSeconds }: ServerOptions,
  sendProblem: SendProblem,
  writeRefusal: WriteRefusal
): Server {
  const requestTimeout = requestSecondsMax * 1000
  const app = Fastify({
    bodyLimit: requestBytesMax,
    // Fastify's own would be a child logger and two listeners for every request. We log by ourselves.
    logger: false,
    return503OnClosing: false, // answered by the hook, as a problem
    requestTimeout,
    connectionTimeout: silentSecondsMax * 1000,
    keepAliveTimeout: keepAliveSeconds * 1000,
    http: {
      ServerResponse: SafeResponse,
      headersTimeout: requestTimeout / 2,
      // By default Node looks every 30 s, so 30 s could become 60.
      connectionsCheckingInterval: requestTimeout / 10,
      requireHostHeader: false // Node's own refusal would be no problem document
    },
    routerOptions: { maxParamLength: pathPartCharsMax, ignoreTrailingSlash: true },
    frameworkErrors: sendProblem as (...args: Parameters<SendProblem>) => void,
    clientErrorHandler: (error, socket) => refuseUnreadable(error.code, socket, writeRefusal)
  }).withTypeProvider<TypeBoxTypeProvider>()
  // Their bytes are bounded. By default some releases of Node.js leave out all after the first 1,000.
  // No check would see those, and a proxy may have added them.
  app.server.maxHeadersCount = 0
  // A caller that closes its half after its requests gets its answers. Then, or when it has asked
  // nothing, Node closes the other half.
  Object.assign(app.server, { httpAllowHalfOpen: true })
  // Node would cut the connection, with the answers to the requests before it.
  app.server.on('connect', (_request, socket) => refuseUnreadable('CONNECT', socket as Socket, writeRefusal))
  // Refused by the hook, as a problem.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  // Else Node invites every body that asks for leave, one over the limit too.
  app.server.on('checkContinue', (request, response) => {
    if (!(Number(request.headers['content-length']) > requestBytesMax)) response.writeContinue()
    app.server.emit('request', request, response)
  })
  return app
}
