/** The desk: answers what is about all cells, and no single queue. It keeps nothing itself. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { QueueError } from '../../core/errors.ts'
import { problemOf } from '../../fronts/rest/problems.ts'
import { SafeResponse } from '../../fronts/shared/securityFields.ts'
import { CellCalls } from '../calls.ts'
import type { WatchedPlacement } from '../placementFile.ts'
import { askAll, requestOf, sendAnswer } from './forward.ts'
import { changeKey, createKey, listKeys, revokeKey } from './keys.ts'
import { joinPages, queueList, scheduleList, topicList, type ListShape } from './lists.ts'
import { sendLive } from './live.ts'
import { joinMetrics } from './metrics.ts'
import { onSchedule, putSchedule } from './schedules.ts'
import { shareCalls } from './share.ts'

interface DeskOptions {
  placement: WatchedPlacement
  requestBytesMax: number
  requestSecondsMax: number
  keepAliveSeconds: number
  connectionsMax: number
  log: Logger
}

/** Builds the server without listening. */
export function buildDesk({ placement, log, ...bounds }: DeskOptions): FastifyInstance {
  const app = Fastify({
    bodyLimit: bounds.requestBytesMax,
    requestTimeout: bounds.requestSecondsMax * 1000,
    keepAliveTimeout: bounds.keepAliveSeconds * 1000,
    logger: false,
    http: { ServerResponse: SafeResponse }
  })
  app.server.maxConnections = bounds.connectionsMax
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => sendProblem(log, error, request, reply))
  app.setNotFoundHandler(() => {
    throw new QueueError(
      'routeNotFound',
      'The desk answers only what is about all cells. Send calls that name a queue through the router.'
    )
  })
  shareCalls(app, bounds.connectionsMax)
  app.addHook('onRequest', () => placement.refresh())
  const calls = new CellCalls(() => placement.current)
  listRoutes(app, placement, calls)
  scheduleRoutes(app, placement, calls)
  keyRoutes(app, placement, calls)
  app.get('/metrics', (request, reply) => metrics(calls, placement, request, reply))
  app.get('/console/live', (request, reply) => sendLive(calls, placement.current, request, reply))
  for (const probe of ['/livez', '/readyz']) app.get(probe, async () => ({ status: 'ok' }))
  return app
}

function listRoutes(app: FastifyInstance, placement: WatchedPlacement, calls: CellCalls): void {
  const lists: Record<string, ListShape> = {
    '/queues': queueList,
    '/topics': topicList,
    '/schedules': scheduleList
  }
  for (const [path, shape] of Object.entries(lists)) {
    app.get(path, async (request, reply) => {
      const answers = await askAll(calls, placement.current.cellNames, requestOf(request))
      const refused = answers.find(({ status }) => status !== 200)
      if (refused !== undefined) return sendAnswer(reply, refused)
      const { limit } = request.query as { limit?: string }
      const pages = answers.map(({ text }) => JSON.parse(text))
      return joinPages(pages, shape, limit === undefined ? undefined : Number(limit))
    })
  }
}

function scheduleRoutes(app: FastifyInstance, placement: WatchedPlacement, calls: CellCalls): void {
  const one = async (request: FastifyRequest, reply: FastifyReply) =>
    sendAnswer(reply, await onSchedule(calls, placement.current, request))
  app.get('/schedules/:schedule', one)
  app.delete('/schedules/:schedule', one)
  app.post('/schedules/:schedule/run', one)
  app.put('/schedules/:schedule', async (request, reply) =>
    sendAnswer(reply, await putSchedule(calls, placement.current, request))
  )
}

function keyRoutes(app: FastifyInstance, placement: WatchedPlacement, calls: CellCalls): void {
  app.post('/keys', async (request, reply) =>
    sendAnswer(reply, await createKey(calls, placement.current, request))
  )
  app.get('/keys', async (request, reply) =>
    sendAnswer(reply, await listKeys(calls, placement.current, request))
  )
  app.put('/keys/:id', async (request, reply) =>
    sendAnswer(reply, await changeKey(calls, placement.current, request))
  )
  app.delete('/keys/:id', async (request, reply) =>
    sendAnswer(reply, await revokeKey(calls, placement.current, request))
  )
}

/** A cell that does not answer is shown so. A refusal, for want of a key, is every cell's. */
async function metrics(
  calls: CellCalls,
  placement: WatchedPlacement,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const pages = new Map<string, string | null>()
  for (const cell of placement.current.cellNames) {
    const answer = await calls.call(cell, requestOf(request)).catch(() => null)
    if (answer !== null && answer.status !== 200 && answer.status < 500) return sendAnswer(reply, answer)
    pages.set(cell, answer?.status === 200 ? answer.text : null)
  }
  return reply.type('text/plain; version=0.0.4; charset=utf-8').send(joinMetrics(pages))
}

function sendProblem(
  log: Logger,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  const error = thrown instanceof QueueError ? thrown : refusalOf(thrown as { statusCode?: number })
  const { status, type, fields, body } = problemOf(error, request.id)
  if (status >= 500) log.warn({ requestId: request.id, code: error.code, err: error.cause }, 'unavailable')
  if (status === 503) reply.header('retry-after', 1)
  reply.code(status).headers(fields).type(type)
  return reply.serializer((payload: string) => payload).send(body)
}

function refusalOf(error: { statusCode?: number }): QueueError {
  if (error.statusCode === 413) {
    return new QueueError(
      'requestTooLarge',
      'The request is larger than this service takes. Send a smaller one.'
    )
  }
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new QueueError(
      'malformedRequest',
      'The request cannot be read: its address, its length or a header field is not well-formed.'
    )
  }
  return new QueueError('internal', 'Something unexpected went wrong; the log of the desk says what.', {
    outcome: 'unknown',
    cause: error
  })
}
