/** Shapes of queues: their settings and what they report. */
import { Type, type TSchema } from 'typebox'
import { states } from '../../../core/counters.ts'
import {
  defaultText,
  mayBeNull,
  settings,
  type SettingGroup,
  type SettingRow,
  type Settings,
  type SettingsChange as Change
} from '../../../core/settings.ts'
import { namePattern } from '../../../core/queue.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import { Series } from './series.ts'
import {
  Headers,
  maybe,
  nextCursor,
  object,
  orNull,
  PageQuery,
  QueueName,
  QueueParams,
  recordOf,
  schemaOf,
  time
} from './shapes.ts'

type Settable = Record<string, SettingRow | SettingGroup>

/** The shape of settings to change: each may be left out. */
function changeOf(rows: Settable): Record<string, TSchema> {
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [
      name,
      maybe('members' in row ? object(changeOf(row.members)) : changeSchemaOf(row))
    ])
  )
}

function changeSchemaOf(row: SettingRow): TSchema {
  const schema = schemaOf(row, `${row.help} Default ${defaultText(row)}.`)
  if (!mayBeNull(row)) return schema
  const { description, ...number } = schema as TSchema & { description: string }
  return orNull(number, { description })
}

/** The shape of settings as a queue reports them: all are there. */
function reportOf(rows: Settable): Record<string, TSchema> {
  const plain = {
    number: Type.Number(),
    integer: Type.Integer(),
    choice: Type.String(),
    flag: Type.Boolean(),
    queue: Type.String(),
    texts: Headers
  }
  const plainOf = (row: SettingRow) => (row.type === 'record' ? recordOf(row) : plain[row.type])
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => {
      if ('members' in row) return [name, Type.Object(reportOf(row.members))]
      return [name, mayBeNull(row) ? orNull(plainOf(row)) : plainOf(row)]
    })
  )
}

export const SettingsChange = Type.Unsafe<Change>(
  object(changeOf(settings), {
    title: 'QueueSettings',
    examples: [
      {
        leaseSeconds: 30,
        maxAttempts: 5,
        retry: { strategy: 'exponential', delaySeconds: 1 },
        keepAckedSeconds: 3600
      }
    ]
  })
)

const Counts = Type.Object(
  Object.fromEntries(
    states.map(state => [
      state,
      state === 'acked' ? Type.Integer({ description: 'Kept acked messages.' }) : Type.Integer()
    ])
  ) as Record<(typeof states)[number], ReturnType<typeof Type.Integer>>
)

export const QueueReport = Type.Object(
  {
    queue: QueueName,
    settings: Type.Unsafe<Settings>(Type.Object(reportOf(settings))),
    counts: Counts,
    reliability: orNull(Type.Number(), {
      description:
        'acked / (acked + dead + expired) since the queue was made: ' +
        'of the messages that came to an end, the share whose work was done. ' +
        'Dead messages count until they are redriven. null before the first end.'
    }),
    oldestReadySeconds: orNull(Type.Number(), {
      description:
        'Seconds since the oldest ready message became ready: since its enqueue, or since the end of ' +
        'its delay, its lease or its death. Messages that wait for others of their group count if they ' +
        'are among the first thousand of the queue. null when none is ready.'
    }),
    limits: Type.Object(
      {
        places: orNull(Type.Integer(), {
          description: 'How many more messages maxLeased allows. null: no maxLeased.'
        }),
        tokens: orNull(Type.Integer(), {
          description: 'How many messages the rate allows now. null: no rate.'
        }),
        nextTokenAt: orNull(time('When the rate allows the next lease. null: now, or there is no rate.'))
      },
      { description: 'How many more messages may be leased now.' }
    ),
    createdAt: time('When the queue was made.'),
    updatedAt: time('When a call last gave it settings.')
  },
  { title: 'QueueReport', description: 'The queue.' }
)

export const QueueList = Type.Object(
  { queues: Type.Array(QueueReport), cursor: nextCursor },
  { title: 'QueueList', description: 'A page of queues, by name.' }
)

export const QueuesQuery = object(
  {
    ...PageQuery.properties,
    deadLetterQueue: maybe(
      Type.String({
        pattern: namePattern,
        description: 'Only queues whose dead messages go to this queue.'
      })
    )
  },
  { title: 'QueuesQuery' }
)

export const DeleteQueueQuery = object(
  {
    ifEmpty: maybe(
      Type.Boolean({
        description:
          'true: remove the queue only if it holds no message, not even a kept acked one. Else 409. ' +
          'Default false.'
      })
    )
  },
  { title: 'DeleteQueueQuery' }
)

export const queueOperations = operations({
  putQueue: {
    method: 'PUT',
    url: '/queues/:queue',
    config: { access: 'manage' },
    preValidation: bodyOptional,
    schema: {
      summary: 'Make a queue, or change its settings',
      description:
        'Settings that are left out stay as they are. A repeated call changes nothing more. ' +
        'You need not make a queue first: ' +
        'the first enqueue makes it with the defaults. ' +
        'To set `deadLetterQueue` takes a key that may enqueue there.',
      params: QueueParams,
      body: SettingsChange,
      response: {
        200: QueueReport,
        201: QueueReport,
        ...problemResponses(400, 'queueNotFound', 'queueNotEmpty', 'tooManyQueues', 413, 415)
      }
    }
  },
  listQueues: {
    method: 'GET',
    url: '/queues',
    config: { access: 'key' },
    schema: {
      summary: 'List queues',
      description: 'By name; with an API key, those it may browse. Counts cost the same at any backlog.',
      querystring: QueuesQuery,
      response: { 200: QueueList, ...problemResponses(400) }
    }
  },
  getQueue: {
    method: 'GET',
    url: '/queues/:queue',
    config: { access: 'browse' },
    schema: {
      summary: 'Look at a queue',
      description: 'The settings, and how many messages are in each state.',
      params: QueueParams,
      response: { 200: QueueReport, ...problemResponses(400, 'queueNotFound') }
    }
  },
  getSeries: {
    method: 'GET',
    url: '/queues/:queue/series',
    config: { access: 'browse' },
    schema: {
      summary: "A queue's last hour",
      description:
        'Counts, rates, waiting and working times in steps of half a minute, over all replicas. ' +
        'The last step is the last that has ended.',
      params: QueueParams,
      response: { 200: Series, ...problemResponses(400, 'queueNotFound') }
    }
  },
  deleteQueue: {
    method: 'DELETE',
    url: '/queues/:queue',
    config: { access: 'manage' },
    schema: {
      summary: 'Delete a queue',
      description:
        'Removes the queue with its messages, its push and its subscriptions. Its schedules stay, and ' +
        'their next firing makes the queue anew.',
      params: QueueParams,
      querystring: DeleteQueueQuery,
      response: {
        204: nothing('It is removed, or was not there.'),
        ...problemResponses(400, 'queueNotEmpty')
      }
    }
  }
})
