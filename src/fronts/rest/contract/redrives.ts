/** Shapes of redrives: at once, or as tasks that keep to a rate. */
import { Type, type Static } from 'typebox'
import { messageIdCharsMax, rateMax, redriveRateMin } from '../../../core/limits.ts'
import { redriveFailures, redriveStates } from '../../../core/redrive.ts'
import { bulkAnswer, selecting, selection, type BulkAnswer } from './bulk.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import { maybe, object, orNull, QueueName, QueueParams, time } from './shapes.ts'

export const RedriveRequest = object(
  {
    ...selection,
    to: maybe(
      Type.String({
        ...QueueName,
        description: 'Send them all to this queue. It takes a key that may enqueue there.'
      })
    ),
    ratePerSecond: maybe(
      Type.Number({
        minimum: redriveRateMin,
        maximum: rateMax,
        description: 'At most this many messages a second. The answer is then a task, and the work goes on.'
      })
    )
  },
  { title: 'RedriveRequest', examples: [{ limit: 100 }] }
)

export const RedriveAnswer = bulkAnswer('RedriveAnswer', 'redriven', 'How many messages became ready.')

export const TaskStarted = Type.Object(
  { task: Type.String() },
  { title: 'RedriveStarted', description: 'The redrive goes on by itself. Only with `ratePerSecond`.' }
)

export const RedriveList = Type.Object(
  {
    redrives: Type.Array(
      Type.Object({
        task: Type.String(),
        to: orNull(Type.String(), { description: 'null: each message goes home, or becomes ready here.' }),
        ratePerSecond: Type.Number(),
        redriven: Type.Integer({ description: 'How many so far.' }),
        state: Type.Enum([...redriveStates]),
        failure: orNull(Type.Enum([...redriveFailures]), {
          description:
            'Why it failed. `refused`: by the database; the log of the service says why. The others are ' +
            'of move tasks of SQS. `queueNotFound`: a queue to go to is missing. `originUnknown`: a ' +
            'message never died, so it has no home. What was not moved stays.'
        }),
        startedAt: time('When it began.')
      }),
      { description: 'The newest first.' }
    )
  },
  { title: 'RedriveList', description: 'Those that run, and those of the last days.' }
)

const TaskParams = object({
  queue: QueueName,
  task: Type.String({
    pattern: `^\\d{1,${messageIdCharsMax}}$`,
    description: 'The task from the redrive.',
    examples: ['1']
  })
})

export const redriveOperations = operations({
  redrive: {
    method: 'POST',
    url: '/queues/:queue/redrive',
    config: { access: 'manage' },
    preValidation: bodyOptional,
    schema: {
      summary: 'Redrive dead messages',
      description:
        'Messages that died are ready again, their attempts counted from zero. In a dead-letter queue ' +
        'each message that is not leased goes home to the queue of its `origin`. ' +
        'A dead message without an `origin` becomes ready where it is. With `to` they all go there. ' +
        'A queue that is not there is made. ' +
        selecting,
      params: QueueParams,
      body: Type.Unsafe<Static<typeof RedriveRequest>>(RedriveRequest),
      response: {
        200: Type.Unsafe<BulkAnswer>(RedriveAnswer),
        202: TaskStarted,
        ...problemResponses(400, 404, 409, 413, 415, 503)
      }
    }
  },
  listRedrives: {
    method: 'GET',
    url: '/queues/:queue/redrives',
    config: { access: 'browse' },
    schema: {
      summary: 'List redrives with a rate',
      description: 'How far each has come. Those that have ended are shown for a week.',
      params: QueueParams,
      response: { 200: RedriveList, ...problemResponses(400, 404, 503) }
    }
  },
  stopRedrive: {
    method: 'DELETE',
    url: '/queues/:queue/redrives/:task',
    config: { access: 'manage' },
    schema: {
      summary: 'Stop a redrive',
      description: 'What it has redriven stays so, and the rest stays here. Safe to send twice.',
      params: TaskParams,
      response: { 204: nothing('It does not run any more.'), ...problemResponses(400, 404, 503) }
    }
  }
})
