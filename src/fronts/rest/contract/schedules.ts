/** Shapes of schedules. */
import { Type } from 'typebox'
import { cronCharsMax, nextRunsMax, timezoneCharsMax } from '../../../core/limits.ts'
import { priorityDefault } from '../../../core/options.ts'
import { missedChoices, runOutcomes, scheduleNamePattern } from '../../../core/schedule.ts'
import { givenBody, givenHeaders, IdempotencyKey, Priority } from './messages.ts'
import {
  AnyBody,
  Headers,
  maybe,
  messageId,
  nameDescription,
  nextCursor,
  object,
  orNull,
  QueueName,
  time
} from './shapes.ts'

export const ScheduleParams = object({
  schedule: Type.String({
    pattern: scheduleNamePattern,
    description: `The schedule. ${nameDescription}`,
    examples: ['nightly-report']
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
    examples: [{ queue: 'mail', cron: '30 6 * * 1-5', timezone: 'Europe/London', body: { report: 'daily' } }]
  }
)

const LastRun = Type.Object({
  at: time('When it was due; of several that were missed, the first.'),
  firedAt: time('When it was fired, or passed over.'),
  outcome: Type.Enum([...runOutcomes], { description: 'What became of it.' }),
  messageId: maybe(messageId)
})

const view = {
  name: Type.String(),
  queue: QueueName,
  ...times,
  ...scheduleSettings,
  nextRuns: Type.Array(time('A time at which it is due.'), {
    description: `The next times, at most ${nextRunsMax}. In a list only the next one. None while it is paused.`
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
  { description: 'The schedule.' }
)
export const ScheduleList = Type.Object(
  { schedules: Type.Array(Type.Object(view)), cursor: nextCursor },
  { description: 'A page of schedules, by name, without their messages.' }
)
export const RunRequest = object({ idempotencyKey: maybe(IdempotencyKey) }, { examples: [{}] })
