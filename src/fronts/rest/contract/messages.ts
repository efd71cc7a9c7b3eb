/** Shapes of messages: enqueued, browsed, one with its history, and why it is where it is. */
import { Type, type TSchema } from 'typebox'
import {
  aheadMax,
  headerNameCharsMax,
  headersMax,
  headerValueCharsMax,
  historyMax,
  listMax,
  waitSecondsMax
} from '../../../core/limits.ts'
import { options, type MessageOptions } from '../../../core/options.ts'
import { reasonCodes } from '../../../core/verbs/explain.ts'
import { filter } from './queues.ts'
import {
  AnyBody,
  cursor,
  Headers,
  limit,
  maybe,
  messageId,
  object,
  orNull,
  schemaOf,
  StateName,
  storableText,
  time
} from './shapes.ts'

const optionSchemas: Record<string, TSchema> = Object.fromEntries(
  Object.entries(options).map(([name, row]) => [name, maybe(schemaOf(row, row.help))])
)
export const IdempotencyKey = Type.Unsafe<string>(
  schemaOf(options.idempotencyKey, options.idempotencyKey.help)
)
export const Priority = Type.Unsafe<number>(schemaOf(options.priority, options.priority.help))

export const givenBody = Type.Unsafe<unknown>({
  description:
    'Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.'
})
export const givenHeaders = Type.Record(
  Type.String(),
  Type.String({ maxLength: headerValueCharsMax, pattern: storableText }),
  {
    maxProperties: headersMax,
    propertyNames: { minLength: 1, maxLength: headerNameCharsMax, pattern: storableText },
    description:
      'Strings that travel beside the body: ' +
      `up to ${headersMax} of up to ${headerValueCharsMax} characters.`
  }
)

/** A message of an `application/json` enqueue. Its body is held as the text that came. */
export interface MessageInput extends MessageOptions {
  body: unknown
  headers?: Record<string, string>
}
export const Message = Type.Unsafe<MessageInput>(
  object({ body: givenBody, headers: maybe(givenHeaders), ...optionSchemas }, { title: 'Message' })
)
export const MessageList = object(
  {
    messages: Type.Array(Message, { minItems: 1, maxItems: listMax, description: 'All are stored, or none.' })
  },
  { title: 'Message list' }
)
export const EnqueueQuery = Type.Unsafe<MessageOptions>(object(optionSchemas))
export const EnqueueHeaders = Type.Object({ 'idempotency-key': maybe(IdempotencyKey) })

export const Enqueued = Type.Object({
  id: messageId,
  duplicate: maybe(
    Type.Literal(true, { description: 'The key stood for this message already; nothing was stored.' })
  )
})
export const EnqueueAnswer = Type.Union([Enqueued, Type.Object({ messages: Type.Array(Enqueued) })], {
  description:
    'Committed: the id, or for a list the ids in the order given. ' +
    '200 when nothing new was stored, because the idempotency keys stood for these messages already.'
})

export const LastFailure = Type.Object({
  attempt: Type.Integer(),
  reason: orNull(Type.String()),
  at: time('When the attempt ended.')
})

const view = {
  id: messageId,
  state: StateName,
  body: maybe(AnyBody),
  bodyBase64: maybe(Type.String()),
  contentType: Type.String(),
  headers: Headers,
  priority: Type.Integer(),
  attempt: Type.Integer(),
  maxAttempts: Type.Integer(),
  enqueuedAt: time('When it was stored.'),
  visibleAt: maybe(time('delayed: when it is ready.')),
  lastFailure: maybe(LastFailure)
}

export const BrowseQuery = object({ state: maybe(StateName), ...filter, limit, cursor })
export const MessagePage = Type.Object(
  {
    messages: Type.Array(Type.Object(view)),
    cursor: orNull(Type.String(), {
      description: 'A page may be short, or empty, and still have one; null at the end.'
    })
  },
  { description: 'A page of messages, by id.' }
)

export const WaitQuery = object({
  waitSeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: waitSecondsMax,
      description: 'Wait this long for the message to be acked, dead or gone. Needs keepAckedSeconds above 0.'
    })
  )
})

export const MessageDetail = Type.Object(
  {
    ...view,
    lease: maybe(
      Type.Object({ worker: Type.String(), leasedAt: time('Since when.'), expiresAt: time('Until when.') })
    ),
    history: Type.Array(
      Type.Object({
        attempt: Type.Integer(),
        worker: orNull(Type.String()),
        leasedAt: orNull(time('Since when.')),
        endedAt: time('Until when.'),
        outcome: Type.Enum(['failed', 'expired', 'released']),
        reason: maybe(Type.String())
      }),
      { description: `Each attempt that ended badly, the oldest first; at most the last ${historyMax}.` }
    )
  },
  { description: 'The message.' }
)

export const Explanation = Type.Object(
  {
    id: messageId,
    state: StateName,
    reasons: Type.Array(
      Type.Object({
        code: Type.Enum([...reasonCodes], { description: 'next: nothing hinders it.' }),
        detail: Type.String({ description: 'A sentence for a person.' }),
        until: maybe(time('leased, delayed, backingOff: when that ends. acked: how long it is kept.')),
        worker: maybe(Type.String({ description: 'leased: who holds it.' })),
        ahead: maybe(
          Type.Integer({
            description:
              'behind: how many ready messages come before it. ' +
              `Counted among the ${aheadMax.toLocaleString('en')} before it, leased ones left out. ` +
              'detail says when there are more.'
          })
        ),
        lastAskedAt: maybe(
          time(
            'noConsumer: when a lease was last asked for, on this replica, ' +
              'or on another up to half a minute ago. Left out: never.'
          )
        )
      }),
      { description: 'What to fix first comes first.' }
    )
  },
  { description: 'Why the message is where it is.' }
)
