/** Routes of schedules: make and change, look, run now, delete. */
import type { RawJson } from '../../../core/engine/envelope.ts'
import { queueNamePattern, queueNotFound } from '../../../core/queue.ts'
import {
  checkChange,
  scheduleNotFound,
  type Schedule,
  type ScheduleChange as Change
} from '../../../core/schedule.ts'
import type { Schedules } from '../../../core/verbs/schedules.ts'
import type { ByteBudget } from '../../shared/byteBudget.ts'
import { cursorOf, problemResponses } from '../common.ts'
import { browsable, checkMessages, permit, takeMessages } from '../../shared/guard.ts'
import { oneKey, sendJson } from './messages.ts'
import {
  EnqueueHeaders,
  Enqueued,
  PageQuery,
  RunRequest,
  Schedule as ScheduleSchema,
  ScheduleChange,
  ScheduleList,
  ScheduleParams
} from '../schemas.ts'
import type { Server } from '../server.ts'

export function scheduleRoutes(app: Server, schedules: Schedules, answers: ByteBudget): void {
  app.put(
    '/schedules/:schedule',
    {
      config: { access: 'key' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'putSchedule',
        summary: 'Make a schedule, or change it',
        description:
          'A new one needs `queue`, `cron` and `body`. Of one that is there what is left out stays ' +
          'as it is, so `{"paused": true}` alone pauses it. It takes a key that may manage ' +
          'the queue.',
        params: ScheduleParams,
        body: ScheduleChange,
        response: { 200: ScheduleSchema, 201: ScheduleSchema, ...problemResponses(400, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const { schedule: name } = request.params
      const { body, ...settings } = request.body
      if (settings.queue !== undefined) {
        permit(request, 'manage', settings.queue, () => queueNotFound(settings.queue!))
      }
      const change = settings as Change
      if (body !== undefined) change.body = (body as RawJson).text
      checkChange(change)
      const { created, schedule } = await schedules.put(name, change, queue =>
        permit(request, 'manage', queue, () => scheduleNotFound(name))
      )
      return sendJson(reply.code(created ? 201 : 200), wholeJson(schedule), answers)
    }
  )

  app.get(
    '/schedules',
    {
      config: { access: 'key' },
      schema: {
        operationId: 'listSchedules',
        summary: 'List schedules',
        description: 'By name, without their messages; with an API key, those whose queue it may browse.',
        querystring: PageQuery,
        response: { 200: ScheduleList, ...problemResponses(400, 503) }
      }
    },
    async (request, reply) => {
      const { limit = 100, cursor } = request.query
      const { schedules: page, next } = await schedules.list(
        cursorOf(cursor, new RegExp(queueNamePattern)) ?? '',
        limit,
        browsable(request)
      )
      const list = page.map(
        schedule => `{${viewJson(schedule, schedule.nextAt === null ? [] : [schedule.nextAt])}}`
      )
      return sendJson(
        reply,
        `{"schedules":[${list.join(',')}],"cursor":${JSON.stringify(next === null ? null : Buffer.from(next).toString('base64url'))}}`,
        answers
      )
    }
  )

  app.get(
    '/schedules/:schedule',
    {
      config: { access: 'key' },
      schema: {
        operationId: 'getSchedule',
        summary: 'Look at a schedule',
        description: 'With the next five times at which it is due, and what became of the last.',
        params: ScheduleParams,
        response: { 200: ScheduleSchema, ...problemResponses(400, 404, 503) }
      }
    },
    async (request, reply) => {
      const { schedule: name } = request.params
      return sendJson(
        reply,
        wholeJson(
          await schedules.get(name, queue => permit(request, 'browse', queue, () => scheduleNotFound(name)))
        ),
        answers
      )
    }
  )

  app.post(
    '/schedules/:schedule/run',
    {
      config: { access: 'key' },
      preValidation: async request => {
        request.body ??= {}
      },
      schema: {
        operationId: 'runSchedule',
        summary: 'Run a schedule now',
        description:
          'Enqueues its message once more, whether it is paused or not; when it is due next stays as ' +
          'it is. It takes a key that may manage the queue.',
        params: ScheduleParams,
        headers: EnqueueHeaders,
        body: RunRequest,
        response: { 200: Enqueued, 201: Enqueued, ...problemResponses(400, 404, 413, 415, 422, 429, 503) }
      }
    },
    async (request, reply) => {
      const { schedule: name } = request.params
      const key = oneKey(request.body.idempotencyKey, request.headers['idempotency-key'], '/idempotencyKey')
      checkMessages(request)
      const { id, duplicate } = await schedules.run(name, key, queue =>
        permit(request, 'manage', queue, () => scheduleNotFound(name))
      )
      takeMessages(request, 1)
      return reply.code(duplicate ? 200 : 201).send(duplicate ? { id, duplicate } : { id })
    }
  )

  app.delete(
    '/schedules/:schedule',
    {
      config: { access: 'key' },
      schema: {
        operationId: 'deleteSchedule',
        summary: 'Delete a schedule',
        description:
          'Its messages that are in the queue stay there. It takes a key that may manage the queue.',
        params: ScheduleParams,
        response: { 204: { type: 'null', description: 'It is removed.' }, ...problemResponses(400, 404, 503) }
      }
    },
    async (request, reply) => {
      const { schedule: name } = request.params
      await schedules.delete(name, queue => permit(request, 'manage', queue, () => scheduleNotFound(name)))
      return reply.code(204).send(null)
    }
  )

  function wholeJson(schedule: Schedule): string {
    return `{${viewJson(schedule, schedules.nextRuns(schedule))},"headers":${JSON.stringify(schedule.headers)},"body":${schedule.body}}`
  }
}

function viewJson(
  {
    name,
    queue,
    cron,
    timezone,
    priority,
    paused,
    missed,
    lastRun,
    createdAt,
    updatedAt
  }: Omit<Schedule, 'body' | 'headers'>,
  nextRuns: string[]
): string {
  const last = lastRun === null ? null : { ...lastRun, messageId: lastRun.messageId ?? undefined }
  return JSON.stringify({
    name,
    queue,
    cron,
    timezone,
    priority,
    paused,
    missed,
    nextRuns,
    lastRun: last,
    createdAt,
    updatedAt
  }).slice(1, -1)
}
