/** Shapes of schedules. */
import { Type } from 'typebox'
import { cronCharsMax, nextRunsMax, timezoneCharsMax } from '../../../core/limits.ts'
import { priorityDefault } from '../../../core/options.ts'
import { missedChoices, runOutcomes, scheduleNamePattern } from '../../../core/schedule.ts'
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
    pattern: scheduleNamePattern,
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
    description: 'Whose clock it follows: a name of the IANA database. Default UTC.',
    examples: ['Europe/London']
  })
}
const scheduleSettings = {
  priority: Type.Unsafe<number>({
    ...Priority,
    description: `Of its messages. Higher goes first. Default ${priorityDefault}.`
  }),
  paused: Type.Boolean({
    description: 'While true the schedule is not due. What it misses is not made up for. Default false.'
  }),
  missed: Type.Enum([...missedChoices], {
    description:
      'When it was due for more than a minute and nothing ran: one message for all that was missed, ' +
      'or none. Default once.'
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
  at: time('When it was due; of several that were missed, the first.'),
  firedAt: time('When it was fired, or passed over.'),
  outcome: Type.Enum([...runOutcomes], { description: 'What became of it.' }),
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
      'The API key that made it, or has last changed more than `paused: true`. Its messages a second ' +
      'count the firings. It may have been revoked since. null: without a key.'
  }),
  nextRuns: Type.Array(time('A time at which it is due.'), {
    description:
      `The next times, at most ${nextRunsMax}. ` + 'In a list only the next one. None while it is paused.'
  }),
  lastRun: orNull(LastRun, {
    description:
      'What became of the last time at which it was due. null before the first. ' +
      'A run by hand is not shown here.'
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
        'A new one needs `queue`, `cron` and `body`. ' +
        'For one that is there, what is left out stays as it is: `{"paused": true}` alone pauses it. ' +
        'It takes a key that may manage the queue. ' +
        'For a new one, the name must be the name of the queue, begin with it and a dot ' +
        '(`mail.nightly`), or be covered by a right of the key (`manage:nightly-*`). ' +
        'So a key learns of no other names whether they are taken.',
      params: ScheduleParams,
      body: ScheduleChange,
      response: { 200: Schedule, 201: Schedule, ...problemResponses(400, 404, 413, 415, 429, 503) }
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
      response: { 200: ScheduleList, ...problemResponses(400, 503) }
    }
  },
  getSchedule: {
    method: 'GET',
    url: '/schedules/:schedule',
    config: { access: 'key' },
    schema: {
      summary: 'Look at a schedule',
      description: `With the next ${nextRunsMax} times at which it is due, and what became of the last.`,
      params: ScheduleParams,
      response: { 200: Schedule, ...problemResponses(400, 404, 503) }
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
        'Enqueues its message once more, whether it is paused or not. ' +
        'When it is due next does not change. It takes a key that may manage the queue.',
      params: ScheduleParams,
      headers: EnqueueHeaders,
      body: RunRequest,
      response: { 200: Enqueued, 201: Enqueued, ...problemResponses(400, 404, 413, 415, 422, 429, 503) }
    }
  },
  deleteSchedule: {
    method: 'DELETE',
    url: '/schedules/:schedule',
    config: { access: 'key' },
    schema: {
      summary: 'Delete a schedule',
      description: 'Its messages that are in the queue stay there. It takes a key that may manage the queue.',
      params: ScheduleParams,
      response: { 204: nothing('It is removed.'), ...problemResponses(400, 404, 503) }
    }
  }
})
