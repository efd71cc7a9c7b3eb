/** Handlers of schedules: make and change, get, list, run now, delete. */
import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Action } from '../../../core/apiKey.ts'
import type { RawJson } from '../../../core/engine/envelope.ts'
import {
  checkChange,
  scheduleNotFound,
  type Schedule,
  type ScheduleCaller,
  type ScheduleChange
} from '../../../core/schedule.ts'
import type { Schedules } from '../../../core/verbs/schedules.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { browsable, checkMessages, permit, takeMessages } from '../../shared/guard.ts'
import { namePage } from '../cursors.ts'
import { sendJson, sendPage } from '../sendJson.ts'
import { scheduleOperations, type ScheduleChange as Change } from '../contract/schedules.ts'
import { headerKey, oneKey } from '../messages.ts'
import type { Server } from '../../shared/server.ts'

/** A caller who acts on a schedule only if its key may do this on the schedule's queue. */
const callerOf = (request: FastifyRequest, action: Action, schedule: string): ScheduleCaller => ({
  caller: request.caller,
  key: request.key,
  permit: queue => permit(request, action, queue, () => scheduleNotFound(schedule))
})

export function scheduleRoutes(app: Server, schedules: Schedules, answers: Answers): void {
  const wholeJson = (schedule: Schedule) =>
    `{${viewJson(schedule, schedules.nextRuns(schedule))},` +
    `"headers":${JSON.stringify(schedule.headers)},"body":${schedule.body}}`

  app.route({
    ...scheduleOperations.putSchedule,
    async handler(request, reply) {
      const { schedule: name } = request.params
      const { queue } = request.body
      if (queue !== undefined) permit(request, 'manage', queue)
      const change = changeOf(request.body)
      const { created, schedule } = await schedules.put(name, change, callerOf(request, 'manage', name))
      return sendJson(reply.code(created ? 201 : 200), [wholeJson(schedule)], answers)
    }
  })

  app.route({
    ...scheduleOperations.listSchedules,
    async handler(request, reply) {
      const page = namePage(request.query, browsable(request))
      const { schedules: listed, next } = await schedules.list(request.caller, page)
      return sendPage(reply, 'schedules', listed.map(rowJson), next, answers)
    }
  })

  app.route({
    ...scheduleOperations.getSchedule,
    async handler(request, reply) {
      const { schedule: name } = request.params
      const schedule = await schedules.get(name, callerOf(request, 'browse', name))
      return sendJson(reply, [wholeJson(schedule)], answers)
    }
  })

  app.route({
    ...scheduleOperations.runSchedule,
    async handler(request, reply) {
      const { schedule: name } = request.params
      const key = oneKey(request.body.idempotencyKey, headerKey(request), '/idempotencyKey')
      checkMessages(request)
      const by = callerOf(request, 'manage', name)
      const { id, duplicate } = await schedules.run(name, key, by)
      takeMessages(request, 1)
      return reply.code(duplicate ? 200 : 201).send(duplicate ? { id, duplicate } : { id })
    }
  })

  app.route({
    ...scheduleOperations.deleteSchedule,
    async handler(request, reply) {
      const { schedule: name } = request.params
      await schedules.delete(name, callerOf(request, 'manage', name))
      return reply.code(204).send(null)
    }
  })
}

function changeOf({ body, ...settings }: Static<typeof Change>): ScheduleChange {
  const change = settings as ScheduleChange
  if (body !== undefined) change.body = (body as RawJson).text
  checkChange(change)
  return change
}

type ScheduleView = Omit<Schedule, 'body' | 'headers'>

/** In a list the next time alone is shown. */
function rowJson(schedule: ScheduleView): string {
  return `{${viewJson(schedule, schedule.nextAt === null ? [] : [schedule.nextAt])}}`
}

/** The members of a schedule, without its message. */
function viewJson(schedule: ScheduleView, nextRuns: string[]): string {
  const { name, queue, cron, timezone, priority, paused, missed } = schedule
  const settings = { name, queue, cron, timezone, priority, paused, missed }
  const { owner, createdAt, updatedAt } = schedule
  const lastRun = schedule.lastRun && {
    ...schedule.lastRun,
    messageId: schedule.lastRun.messageId ?? undefined
  }
  return JSON.stringify({ ...settings, owner, nextRuns, lastRun, createdAt, updatedAt }).slice(1, -1)
}
