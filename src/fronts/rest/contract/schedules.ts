/** Shapes of schedules. */
import { Type } from 'typebox'
import { cronCharsMax, nextRunsMax, timezoneCharsMax } from '../../../core/limits.ts'
import { priorityDefault } from '../../../core/options.ts'
import { namePattern } from '../../../core/queue.ts'
import { missedChoices, runOutcomes } from '../../../core/schedule.ts'
import { Enqueued, EnqueueHeaders, givenBody, givenHeaders, IdempotencyKey, Priority } from './enqueue.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import {
  AnyBody,
  demoName,
  Headers,
  maybe,
  messageId,
  nameDescription,
  nextCursor,
  object,
  orNull,
  QueueName,
  time,
  PageQuery
} from './shapes.ts'

const ScheduleParams = object({
  schedule: Type.String({
    pattern: namePattern,
    description: `The schedule. ${nameDescription}`,
    examples: [demoName]
  })
})

const times = {
  cron: Type.String({
    maxLength: cronCharsMax,
    description:
      'Minute, hour, day of the month, month, weekday; or @hourly @daily @weekly @monthly @yearly. ' +
      'Not finer than a minute.',
    examples: ['30 6 * * 1-5']
  }),
  timezone: Type.String({
    minLength: 1,
    maxLength: timezoneCharsMax,
    description: 'The time zone whose clock counts: a name of the IANA database. Default UTC.',
    examples: ['Europe/London']
  })
}
const scheduleSettings = {
  priority: Type.Unsafe<number>({
    ...Priority,
    description: `The priority of its messages. Default ${priorityDefault}.`
  }),
  paused: Type.Boolean({
    description: 'While true, the schedule does not fire. Missed times are not made up for. Default false.'
  }),
  missed: Type.Enum([...missedChoices], {
    description:
      'What follows when no replica fired for more than a minute. once: one message for all missed times. ' +
      'skip: none. Default once.'
  })
}

export const ScheduleChange = object(
  {
    queue: maybe(QueueName),
    cron: maybe(times.cron),
    timezone: maybe(times.timezone),
    body: maybe(givenBody),
    headers: maybe(givenHeaders),
    priority: maybe(scheduleSettings.priority),
    paused: maybe(scheduleSettings.paused),
    missed: maybe(scheduleSettings.missed)
  },
  {
    title: 'ScheduleChange',
    examples: [
      { queue: demoName, cron: '30 6 * * 1-5', timezone: 'Europe/London', body: { report: 'daily' } }
    ]
  }
)

const LastRun = Type.Object({
  at: time('When the schedule was due. Of several missed times, the first.'),
  firedAt: time('When the schedule fired, or was passed over.'),
  outcome: Type.Enum([...runOutcomes], { description: 'What became of the firing.' }),
  messageId: maybe(messageId)
})

const Owner = Type.Object({
  id: Type.String({ description: 'The id of the key.' }),
  name: Type.String({ description: 'The name of the key.' })
})

const view = {
  name: Type.String(),
  queue: QueueName,
  ...times,
  ...scheduleSettings,
  owner: orNull(Owner, {
    description:
      'The API key that made the schedule, or has last changed more than `paused: true`. Firings count ' +
      'against its messages a second. It may have been revoked since. null: without a key.'
  }),
  nextRuns: Type.Array(time('A time at which the schedule is due.'), {
    description:
      `The next times, at most ${nextRunsMax}. ` +
      'In a list only the next one. None while the schedule is paused.'
  }),
  lastRun: orNull(LastRun, {
    description: 'What became of the last firing. null before the first. A run by hand is not shown here.'
  }),
  createdAt: time('When it was made.'),
  updatedAt: time('When it was last changed.')
}

export const Schedule = Type.Object(
  { ...view, body: AnyBody, headers: Headers },
  { title: 'Schedule', description: 'The schedule.' }
)
export const ScheduleEntry = Type.Object(view, { title: 'ScheduleEntry' })
export const ScheduleList = Type.Object(
  { schedules: Type.Array(ScheduleEntry), cursor: nextCursor },
  { title: 'ScheduleList', description: 'A page of schedules, by name, without their messages.' }
)
const RunRequest = object({ idempotencyKey: maybe(IdempotencyKey) }, { examples: [{}] })

export const scheduleOperations = operations({
  putSchedule: {
    method: 'PUT',
    url: '/schedules/:schedule',
    config: { access: 'key' },
    preValidation: bodyOptional,
    schema: {
      summary: 'Make a schedule, or change it',
      description:
        'A new schedule needs `queue`, `cron` and `body`. ' +
        'Fields that are left out stay as they are: `{"paused": true}` alone pauses a schedule. ' +
        'The key needs the right manage on the queue. ' +
        'For a new one, the name must be the name of the queue, begin with it and a dot ' +
        '(`mail.nightly`), or be covered by a right of the key (`manage:nightly-*`). ' +
        'So a key learns of no other names whether they are taken.',
      params: ScheduleParams,
      body: ScheduleChange,
      response: {
        200: Schedule,
        201: Schedule,
        ...problemResponses(400, 'scheduleNotFound', 'queueNotFound', 'tooManySchedules', 413, 415)
      }
    }
  },
  listSchedules: {
    method: 'GET',
    url: '/schedules',
    config: { access: 'key' },
    schema: {
      summary: 'List schedules',
      description: 'By name, without their messages; with an API key, those whose queue it may browse.',
      querystring: PageQuery,
      response: { 200: ScheduleList, ...problemResponses(400) }
    }
  },
  getSchedule: {
    method: 'GET',
    url: '/schedules/:schedule',
    config: { access: 'key' },
    schema: {
      summary: 'Look at a schedule',
      description: `The schedule, with its next ${nextRunsMax} times and the result of its last firing.`,
      params: ScheduleParams,
      response: { 200: Schedule, ...problemResponses(400, 'scheduleNotFound') }
    }
  },
  runSchedule: {
    method: 'POST',
    url: '/schedules/:schedule/run',
    config: { access: 'key' },
    preValidation: bodyOptional,
    schema: {
      summary: 'Run a schedule now',
      description:
        'Enqueues the message of the schedule once more, also while it is paused. ' +
        'Its next time does not change. The key needs the right manage on the queue.',
      params: ScheduleParams,
      headers: EnqueueHeaders,
      body: RunRequest,
      response: {
        200: Enqueued,
        201: Enqueued,
        ...problemResponses(
          400,
          'scheduleNotFound',
          'queueFull',
          'tooManyQueues',
          413,
          415,
          'idempotencyMismatch'
        )
      }
    }
  },
  deleteSchedule: {
    method: 'DELETE',
    url: '/schedules/:schedule',
    config: { access: 'key' },
    schema: {
      summary: 'Delete a schedule',
      description: 'Messages already in the queue stay. The key needs the right manage on the queue.',
      params: ScheduleParams,
      response: { 204: nothing('It is removed.'), ...problemResponses(400, 'scheduleNotFound') }
    }
  }
})
