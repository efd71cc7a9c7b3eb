/** Shapes of queues: their settings, what they report, and the bulk actions on their messages. */
import { Type, type TSchema } from 'typebox'
import { states } from '../../../core/counters.ts'
import { filterCharsMax, listMax, messageIdCharsMax } from '../../../core/limits.ts'
import {
  defaultText,
  settings,
  type SettingGroup,
  type SettingRow,
  type Settings,
  type SettingsChange as Change
} from '../../../core/settings.ts'
import {
  maybe,
  nextCursor,
  object,
  orNull,
  QueueName,
  schemaOf,
  StateName,
  storableText,
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
  const description = `${row.help} Default ${defaultText(row)}.`
  if (row.default !== null) return schemaOf(row, description)
  return orNull(schemaOf(row, row.help), { description })
}

/** The shape of settings as a queue reports them: all are there. */
function reportOf(rows: Settable): Record<string, TSchema> {
  const plain = {
    number: Type.Number(),
    integer: Type.Integer(),
    choice: Type.String(),
    flag: Type.Boolean()
  }
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => {
      if ('members' in row) return [name, Type.Object(reportOf(row.members))]
      return [name, row.default === null ? orNull(plain[row.type]) : plain[row.type]]
    })
  )
}

export const SettingsChange = Type.Unsafe<Change>(
  object(changeOf(settings), {
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
        'Age since its enqueue of the oldest message at the head of a priority. null when none is ready.'
    }),
    createdAt: time('When the queue was made.'),
    updatedAt: time('When its settings last changed.')
  },
  { description: 'The queue.' }
)

export const QueueList = Type.Object(
  { queues: Type.Array(QueueReport), cursor: nextCursor },
  { description: 'A page of queues, by name.' }
)

/** What a message must be, for browsing and for bulk actions. */
export const filter = {
  contains: maybe(
    Type.String({
      minLength: 1,
      maxLength: filterCharsMax,
      pattern: storableText,
      description:
        'A piece of the body as it was sent, in the case given. Escapes in JSON are compared as written. ' +
        'A body stored as bytes never matches.'
    })
  ),
  reason: maybe(
    Type.String({
      minLength: 1,
      maxLength: filterCharsMax,
      pattern: storableText,
      description: "A piece of the last failure's reason, in the case given."
    })
  ),
  enqueuedAfter: maybe(time('Enqueued at this time or later.')),
  enqueuedBefore: maybe(time('Enqueued before this time.'))
}

const selection = {
  ids: maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: messageIdCharsMax, pattern: '^\\d+$' }), {
      minItems: 1,
      maxItems: listMax,
      description: 'Only these messages.'
    })
  ),
  where: maybe(
    object(filter, { minProperties: 1, description: 'Only messages for which all of this is true.' })
  ),
  limit: maybe(Type.Integer({ minimum: 1, description: 'At most this many, the lowest ids first.' })),
  dryRun: maybe(Type.Boolean({ description: 'true: nothing is changed; the answer says how many match.' }))
}

const Matched = Type.Object({
  matched: Type.Integer({ description: 'Of a dry run: how many would be changed now.' }),
  more: maybe(
    Type.Literal(true, {
      description: 'Counting stopped at its time limit. The real number is at least `matched`.'
    })
  )
})

export const PurgeRequest = object({ state: maybe(StateName), ...selection }, { examples: [{}] })
export const PurgeAnswer = Type.Union([Type.Object({ purged: Type.Integer() }), Matched], {
  description: 'How many messages were removed.'
})
export const RedriveRequest = object(selection, { examples: [{ limit: 100 }] })
export const RedriveAnswer = Type.Union([Type.Object({ redriven: Type.Integer() }), Matched], {
  description: 'How many messages became ready.'
})
export const RetryRequest = object(selection, { examples: [{ limit: 100 }] })
export const RetryAnswer = Type.Union([Type.Object({ retried: Type.Integer() }), Matched], {
  description: 'How many messages became ready.'
})
