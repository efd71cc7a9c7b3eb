/** Shapes of redrives: at once, or as tasks that keep to a rate. */
import { Type, type Static } from 'typebox'
import { rateMax, redriveRateMin } from '../../../core/limits.ts'
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
        description: 'Send all messages to this queue. The key needs the right enqueue on it.'
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
        to: orNull(Type.String(), {
          description: 'The queue to which messages go. null: each goes home, or becomes ready here.'
        }),
        ratePerSecond: Type.Number(),
        redriven: Type.Integer({ description: 'How many messages so far.' }),
        state: Type.Enum([...redriveStates]),
        failure: orNull(Type.Enum([...redriveFailures]), {
          description:
            'Why the task failed. `refused`: the database refused it, and the log of the service says why. ' +
            'Move tasks of SQS also have `queueNotFound` (the queue of a message is missing) and ' +
            '`originUnknown` (a message never died, so it has no home). Messages not moved stay.'
        }),
        startedAt: time('When the task began.')
      }),
      { description: 'The newest first.' }
    )
  },
  { title: 'RedriveList', description: 'Those that run, and those that ended in the last week.' }
)

const TaskParams = object({
  queue: QueueName,
  task: Type.String({ description: 'The task from the redrive.', examples: ['1'] })
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
        'Makes dead messages ready again, with attempts from zero. In a dead-letter queue, ' +
        'each message that is not leased goes home to the queue of its `origin`. ' +
        'A dead message without an `origin` becomes ready where it is. ' +
        'With `to`, all messages go to that queue. A missing target is made. ' +
        selecting,
      params: QueueParams,
      body: Type.Unsafe<Static<typeof RedriveRequest>>(RedriveRequest),
      response: {
        200: Type.Unsafe<BulkAnswer>(RedriveAnswer),
        202: TaskStarted,
        ...problemResponses(400, 'queueNotFound', 'redriveRunning', 413, 415)
      }
    }
  },
  listRedrives: {
    method: 'GET',
    url: '/queues/:queue/redrives',
    config: { access: 'browse' },
    schema: {
      summary: 'List redrives with a rate',
      description: 'How far each redrive has come. Redrives that have ended are shown for a week.',
      params: QueueParams,
      response: { 200: RedriveList, ...problemResponses(400, 'queueNotFound') }
    }
  },
  stopRedrive: {
    method: 'DELETE',
    url: '/queues/:queue/redrives/:task',
    config: { access: 'manage' },
    schema: {
      summary: 'Stop a redrive',
      description: 'Messages already redriven stay ready, and the others stay here. Safe to send twice.',
      params: TaskParams,
      response: {
        204: nothing('It does not run any more.'),
        ...problemResponses(400, 'queueNotFound', 'redriveNotFound')
      }
    }
  }
})
