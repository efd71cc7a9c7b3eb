/** Shapes of the consumers of a queue. */
import { Type } from 'typebox'
import {
  consumerAttemptsMax,
  consumerHistoryMax,
  consumerLeaseRowsMax,
  consumerSeconds,
  consumersMax
} from '../../../core/limits.ts'
import { operations, problemResponses } from './operation.ts'
import { orNull, QueueParams, time } from './shapes.ts'

const maybeTime = (description: string) => orNull(time(description))
const written = (n: number) => n.toLocaleString('en')

const Consumer = Type.Object({
  worker: Type.String({
    description: 'The name of the worker, from its leases. Without a name, their User-Agent.'
  }),
  leases: Type.Integer({ description: 'How many messages the worker holds now.' }),
  oldestLeaseAt: maybeTime('When the oldest of these leases began. null: the worker holds no message.'),
  nextEndAt: maybeTime('When the first of these leases ends. null: the worker holds no message.'),
  lastLeasedAt: maybeTime('When the worker last leased a message.'),
  lastAckedAt: maybeTime(
    'When it last acked a message that is still kept, and whose lease is still recorded. null: not known.'
  ),
  lastFailedAt: maybeTime('When an attempt of it last failed, or its lease ran out. null: not known.')
})

export const Consumers = Type.Object(
  {
    consumers: Type.Array(Consumer, {
      description: `Those that hold the most messages first, at most ${consumersMax}.`
    }),
    more: Type.Boolean({
      description: 'true: not everything was examined. There may be more consumers, and more leases.'
    }),
    keepsAcked: Type.Boolean({
      description: 'Whether the queue keeps acked messages. If not, no `lastAckedAt` is known.'
    }),
    lastAskedAt: maybeTime(
      'When anybody last asked for messages, on this replica, or on another up to half a minute ago. ' +
        'null: never.'
    )
  },
  { title: 'Consumers', description: 'The consumers.' }
)

export const consumerOperations = operations({
  listConsumers: {
    method: 'GET',
    url: '/queues/:queue/consumers',
    config: { access: 'browse' },
    schema: {
      summary: 'Who consumes a queue',
      description:
        'Workers seen lately: those that hold messages, those whose leases are still recorded, and those ' +
        `with an attempt that failed or expired within ${written(consumerSeconds)} seconds. ` +
        'A lease is recorded until its time is up, also after the ack. ' +
        'A worker that only waits, or that last leased earlier, is not shown. ' +
        '`lastAskedAt` tells that there is one. ' +
        `It examines the last ${written(consumerLeaseRowsMax)} commits with leases, of all queues, ` +
        `about ${written(consumerAttemptsMax)} of their attempts on this queue, ` +
        `and the history of the newest messages, up to ${written(consumerHistoryMax)} attempts.`,
      params: QueueParams,
      response: { 200: Consumers, ...problemResponses(400, 'queueNotFound') }
    }
  }
})
