/** The shape of a queue's last hour. */
import { Type } from 'typebox'
import { orNull, QueueName } from './shapes.ts'

const steps = (description: string) => Type.Array(Type.Number(), { description })
const gaps = (description: string) => Type.Array(orNull(Type.Number()), { description })

export const Series = Type.Object(
  {
    queue: QueueName,
    stepSeconds: Type.Integer(),
    at: Type.Array(Type.Integer(), {
      description:
        'The ends of the steps, in seconds since the epoch, the oldest first. ' +
        'Every other list has one element for each.'
    }),
    ready: gaps('Messages at the end of the step; null before the queue was made.'),
    delayed: gaps('As ready.'),
    leased: gaps('As ready.'),
    dead: gaps('As ready.'),
    enqueuedPerSecond: steps('Messages stored in the step.'),
    ackedPerSecond: steps('Messages acked in the step.'),
    failedPerSecond: steps('Attempts that failed, or whose lease ran out.'),
    waitSecondsP50: gaps(
      'The median time from the enqueue to the lease, of the messages leased in the step. ' +
        'Messages that were delayed or came back (retried, released, redriven) are left out, and so are ' +
        'queues with an order or turns. ' +
        'Times are counted in buckets that double, so they are exact within a factor of two. ' +
        'null: no message was leased.'
    ),
    waitSecondsP95: gaps('As waitSecondsP50, the 95th percentile.'),
    workSecondsP50: gaps(
      'The median time from the lease to the ack, of the messages acked in the step. ' +
        'Only messages that one replica has both leased and acked are counted, ' +
        'and at most eight of each flush. Exact within a factor of two.'
    ),
    workSecondsP95: gaps('As workSecondsP50, the 95th percentile.')
  },
  { title: 'Series', description: 'The last hour.' }
)
