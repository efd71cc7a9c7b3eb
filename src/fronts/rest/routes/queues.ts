/** Routes of queues: make and change, look, delete; and the mass actions retry, redrive, purge. */
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { filterOf, type Selection } from '../../../core/message.ts'
import { queueNamePattern } from '../../../core/queue.ts'
import { cursorOf, givenUp, problemResponses } from '../common.ts'
import { browsable } from '../../shared/guard.ts'
import {
  PageQuery,
  PurgeAnswer,
  PurgeRequest,
  QueueList,
  QueueParams,
  QueueReport,
  RedriveAnswer,
  RedriveRequest,
  RetryAnswer,
  RetryRequest,
  SettingsChange
} from '../schemas.ts'
import type { Server } from '../server.ts'

const selecting =
  'It takes the messages that are there when it begins: all, or with `ids` and `where` those that ' +
  'are named and match, up to `limit`. It works in chunks that are commits of their own; one ' +
  'that is cut short leaves what it has done, and the same call goes on where it stopped. ' +
  '`dryRun` changes nothing and answers how many there are.'

export function queueRoutes(app: Server, broker: Broker): void {
  app.put(
    '/queues/:queue',
    {
      config: { access: 'manage' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'putQueue',
        summary: 'Make a queue, or change its settings',
        description:
          'Settings that are left out stay as they are. The same call twice is the same queue. A ' +
          'queue need not be made: the first message enqueued to it makes it with the ' +
          'defaults.',
        params: QueueParams,
        body: SettingsChange,
        response: { 200: QueueReport, 201: QueueReport, ...problemResponses(400, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const { created, report } = await broker.putQueue(
        request.params.queue,
        request.body as Parameters<Broker['putQueue']>[1]
      )
      return reply.code(created ? 201 : 200).send(report)
    }
  )

  app.get(
    '/queues',
    {
      config: { access: 'key' },
      schema: {
        operationId: 'listQueues',
        summary: 'List queues',
        description: 'By name; with an API key, those it may browse. Counts cost the same at any backlog.',
        querystring: PageQuery,
        response: { 200: QueueList, ...problemResponses(400, 503) }
      }
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { queues, next } = await broker.listQueues(
        cursorOf(cursor, new RegExp(queueNamePattern)) ?? '',
        limit,
        browsable(request)
      )
      return { queues, cursor: next === null ? null : Buffer.from(next).toString('base64url') }
    }
  )

  app.get(
    '/queues/:queue',
    {
      config: { access: 'browse' },
      schema: {
        operationId: 'getQueue',
        summary: 'Look at a queue',
        description: 'Its settings and how many messages are in which state.',
        params: QueueParams,
        response: { 200: QueueReport, ...problemResponses(400, 404, 503) }
      }
    },
    request => broker.reportQueue(request.params.queue)
  )

  app.post(
    '/queues/:queue/retry',
    {
      config: { access: 'manage' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'retry',
        summary: 'Retry messages now',
        description:
          'Delayed messages, and those that back off after a failure, become ready now, ' +
          `as if they had come due. ${selecting}`,
        params: QueueParams,
        body: RetryRequest,
        response: { 200: RetryAnswer, ...problemResponses(400, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const {
        params: { queue },
        body
      } = request
      const selection = selectionOf(body)
      const signal = givenUp(request, reply)
      return body.dryRun
        ? matchedAnswer(await broker.countMatches(queue, 'retry', null, selection, signal))
        : { retried: await broker.retry(queue, selection, signal) }
    }
  )

  app.post(
    '/queues/:queue/redrive',
    {
      config: { access: 'manage' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'redrive',
        summary: 'Redrive dead messages',
        description: `Dead messages become ready again, their attempts counted from zero. ${selecting}`,
        params: QueueParams,
        body: RedriveRequest,
        response: { 200: RedriveAnswer, ...problemResponses(400, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const {
        params: { queue },
        body
      } = request
      const selection = selectionOf(body)
      const signal = givenUp(request, reply)
      return body.dryRun
        ? matchedAnswer(await broker.countMatches(queue, 'redrive', null, selection, signal))
        : { redriven: await broker.redrive(queue, selection, signal) }
    }
  )

  app.post(
    '/queues/:queue/purge',
    {
      config: { access: 'manage' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'purge',
        summary: 'Purge messages',
        description:
          'Removes messages: all, or those of one state, leased ones too. Of those named ' +
          `in \`ids\` it leaves what is leased, so this cancels many. ${selecting}`,
        params: QueueParams,
        body: PurgeRequest,
        response: { 200: PurgeAnswer, ...problemResponses(400, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const {
        params: { queue },
        body
      } = request
      const selection = selectionOf(body)
      const signal = givenUp(request, reply)
      return body.dryRun
        ? matchedAnswer(await broker.countMatches(queue, 'purge', body.state ?? null, selection, signal))
        : { purged: await broker.purge(queue, body.state ?? null, selection, signal) }
    }
  )

  app.delete(
    '/queues/:queue',
    {
      config: { access: 'manage' },
      schema: {
        operationId: 'deleteQueue',
        summary: 'Delete a queue',
        description: 'Removes the queue and all in it.',
        params: QueueParams,
        response: {
          204: { type: 'null', description: 'It is removed, or was not there.' },
          ...problemResponses(400, 503)
        }
      }
    },
    async (request, reply) => {
      await broker.deleteQueue(request.params.queue)
      return reply.code(204).send(null)
    }
  )
}

function selectionOf({
  ids,
  where,
  limit = Number.MAX_SAFE_INTEGER
}: Static<typeof RetryRequest>): Selection {
  return { ids: ids ?? null, where: where === undefined ? null : filterOf(where, '/where'), limit }
}

function matchedAnswer({ matched, more }: { matched: number; more: boolean }): {
  matched: number
  more?: true
} {
  return more ? { matched, more } : { matched }
}
