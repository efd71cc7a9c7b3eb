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
    ackedPerSecond: steps('Messages acked.'),
    failedPerSecond: steps('Attempts that ended badly: by a fail, or because the lease ran out.'),
    waitSecondsP50: gaps(
      'From the enqueue to the lease, of the messages leased in the step: half waited no longer. ' +
        'Messages that were delayed or came back (retried, released, redriven) are left out, ' +
        'because nobody has kept when they became ready. ' +
        'Read from buckets that double, so exact within a factor of two. null: none was leased.'
    ),
    waitSecondsP95: gaps('As waitSecondsP50, for 95 of a hundred.'),
    workSecondsP50: gaps(
      'From the lease to the ack, of the messages acked in the step: half took no longer. ' +
        'Only messages that one replica has both leased and acked are counted, ' +
        'and eight of a flush that leased more than eight. Also from buckets.'
    ),
    workSecondsP95: gaps('As workSecondsP50, for 95 of a hundred.')
  },
  { title: 'Series', description: 'The last hour.' }
)
