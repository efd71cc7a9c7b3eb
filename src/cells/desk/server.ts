/** The desk: answers what is about all cells, and no single queue. It keeps nothing itself. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Caller } from '../../core/caller.ts'
import { Share } from '../../core/engine/share.ts'
import { QueueError } from '../../core/errors.ts'
import { problemOf } from '../../fronts/rest/problems.ts'
import { malformedRequest } from '../../fronts/rest/thrown.ts'
import { shareConnections } from '../../fronts/shared/listening.ts'
import { SafeResponse } from '../../fronts/shared/securityFields.ts'
import type { CellAnswer } from '../answer.ts'
import { CellCalls } from '../calls.ts'
import type { WatchedPlacement } from '../placementFile.ts'
import { requestOf, sendAnswer } from './forward.ts'
import { changeKey, createKey, listKeys, revokeKey } from './keys.ts'
import { listAll, queueList, scheduleList, topicList } from './lists.ts'
import { sendLive } from './live.ts'
import { joinMetrics } from './metrics.ts'
import { onSchedule, putSchedule } from './schedules.ts'
import { shareCalls } from './share.ts'

export interface DeskOptions {
  placement: WatchedPlacement
  requestBytesMax: number
  requestSecondsMax: number
  keepAliveSeconds: number
  connectionsMax: number
  waitingBytesMax: number
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
  shareConnections(app.server, () => theRouter, connectionsOf(bounds.connectionsMax))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => sendProblem(log, error, request, reply))
  app.setNotFoundHandler(() => {
    throw new QueueError(
      'routeNotFound',
      'The desk answers only what is about all cells. Send calls that name a queue through the router.'
    )
  })
  shareCalls(app, bounds)
  app.addHook('onRequest', () => placement.refresh())
  const calls = new CellCalls(() => placement.current)
  for (const { method, url, answer } of routes) {
    app.route({
      method,
      url,
      handler: async (request, reply) => sendAnswer(reply, await answer(calls, request))
    })
  }
  app.get('/metrics', (request, reply) => sendMetrics(calls, request, reply))
  app.get('/console/live', (request, reply) => sendLive(calls, request, reply))
  for (const probe of ['/livez', '/readyz']) app.get(probe, async () => ({ status: 'ok' }))
  return app
}

/** Calls come through the router, so all of them come from its address. */
const theRouter: Caller = { id: 'the router', isAdmin: true }

const connectionsOf = (total: number) =>
  new Share({ name: 'desk_connections', what: 'connections to the desk', total, code: 'overloaded' })

/** The routes whose answer is that of a cell, or is made of those of all. */
const routes: {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  url: string
  answer: (calls: CellCalls, request: FastifyRequest) => Promise<CellAnswer>
}[] = [
  { method: 'GET', url: '/queues', answer: (calls, request) => listAll(calls, request, queueList) },
  { method: 'GET', url: '/topics', answer: (calls, request) => listAll(calls, request, topicList) },
  { method: 'GET', url: '/schedules', answer: (calls, request) => listAll(calls, request, scheduleList) },
  { method: 'PUT', url: '/schedules/:schedule', answer: putSchedule },
  { method: 'GET', url: '/schedules/:schedule', answer: onSchedule },
  { method: 'DELETE', url: '/schedules/:schedule', answer: onSchedule },
  { method: 'POST', url: '/schedules/:schedule/run', answer: onSchedule },
  { method: 'POST', url: '/keys', answer: createKey },
  { method: 'GET', url: '/keys', answer: listKeys },
  { method: 'PUT', url: '/keys/:id', answer: changeKey },
  { method: 'DELETE', url: '/keys/:id', answer: revokeKey }
]

/** For the metrics of a cell. Prometheus waits 10 s for the whole page, unless it is told otherwise. */
const metricsMsMax = 5000

/** A cell that does not answer is shown so. A refusal, for want of a key, is every cell's. */
async function sendMetrics(
  calls: CellCalls,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { cellNames } = calls.placement
  const wanted = { ...requestOf(request), expects: 'metrics', msMax: metricsMsMax } as const
  const answers = await Promise.all(
    cellNames.map(cell =>
      calls.call(cell, wanted).catch((error: unknown) => {
        if (error instanceof QueueError && error.code === 'cellUnavailable') return null
        throw error
      })
    )
  )
  const refused = answers.find(answer => answer !== null && answer.status !== 200 && answer.status < 500)
  if (refused) return sendAnswer(reply, refused)
  const pages = new Map(
    cellNames.map((cell, index) => {
      const answer = answers[index]
      return [cell, answer?.status === 200 ? answer.text : null]
    })
  )
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
  if (error.statusCode !== undefined && error.statusCode < 500) return malformedRequest()
  return new QueueError('internal', 'Something unexpected went wrong; the log of the desk says what.', {
    outcome: 'unknown',
    cause: error
  })
}
