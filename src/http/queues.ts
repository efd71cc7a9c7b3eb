/** Routes of queues: make and change, look, delete, purge, redrive. */
import type { Broker } from '../core/broker.ts'
import { queueNamePattern } from '../core/queue.ts'
import { cursorOf, problemResponses } from './common.ts'
import { PageQuery, PurgeAnswer, PurgeRequest, QueueList, QueueParams, QueueReport, RedriveAnswer, RedriveRequest, SettingsChange } from './schemas.ts'
import type { Server } from './server.ts'

const everywhere = { names: [], prefixes: [''] }

export function queueRoutes (app: Server, broker: Broker): void {
  app.put('/queues/:queue', {
    config: { access: 'manage' },
    preValidation: async (request) => { request.body ??= {} },
    schema: {
      operationId: 'putQueue', summary: 'Make a queue, or change its settings',
      description: 'Settings that are left out stay as they are. The same call twice is the same queue. A queue need not be made: the first message enqueued to it makes it with the defaults.',
      params: QueueParams, body: SettingsChange, response: { 200: QueueReport, 201: QueueReport, ...problemResponses(400, 413, 415, 503) }
    }
  }, async (request, reply) => {
    const { created, report } = await broker.putQueue(request.params.queue, request.body as Parameters<Broker['putQueue']>[1])
    return reply.code(created ? 201 : 200).send(report)
  })

  app.get('/queues', {
    config: { access: 'key' },
    schema: {
      operationId: 'listQueues', summary: 'List queues', description: 'By name; with an API key, those it may browse. Counts cost the same at any backlog.',
      querystring: PageQuery, response: { 200: QueueList, ...problemResponses(400, 503) }
    }
  }, async (request) => {
    const { limit = 100, cursor } = request.query
    const { queues, next } = await broker.listQueues(cursorOf(cursor, new RegExp(queueNamePattern)) ?? '', limit, request.key?.within('browse') ?? everywhere)
    return { queues, cursor: next === null ? null : Buffer.from(next).toString('base64url') }
  })

  app.get('/queues/:queue', {
    config: { access: 'browse' },
    schema: { operationId: 'getQueue', summary: 'Look at a queue', description: 'Its settings and how many messages are in which state.', params: QueueParams, response: { 200: QueueReport, ...problemResponses(400, 404, 503) } }
  }, (request) => broker.reportQueue(request.params.queue))

  app.post('/queues/:queue/purge', {
    config: { access: 'manage' },
    preValidation: async (request) => { request.body ??= {} },
    schema: {
      operationId: 'purge', summary: 'Purge messages', description: 'Removes the messages that are there when it begins: all, or those of one state.',
      params: QueueParams, body: PurgeRequest, response: { 200: PurgeAnswer, ...problemResponses(400, 404, 413, 415, 503) }
    }
  }, async (request) => ({ purged: await broker.purge(request.params.queue, request.body.state ?? null) }))

  app.post('/queues/:queue/redrive', {
    config: { access: 'manage' },
    preValidation: async (request) => { request.body ??= {} },
    schema: {
      operationId: 'redrive', summary: 'Redrive dead messages', description: 'Dead messages become ready again, their attempts counted from zero.',
      params: QueueParams, body: RedriveRequest, response: { 200: RedriveAnswer, ...problemResponses(400, 404, 413, 415, 503) }
    }
  }, async (request) => ({ redriven: await broker.redrive(request.params.queue, request.body.ids ?? null, request.body.limit ?? Number.MAX_SAFE_INTEGER) }))

  app.delete('/queues/:queue', {
    config: { access: 'manage' },
    schema: { operationId: 'deleteQueue', summary: 'Delete a queue', description: 'Removes the queue and all in it.', params: QueueParams, response: { 204: { type: 'null', description: 'It is removed, or was not there.' }, ...problemResponses(400, 503) } }
  }, async (request, reply) => {
    await broker.deleteQueue(request.params.queue)
    return reply.code(204).send(null)
  })
}
