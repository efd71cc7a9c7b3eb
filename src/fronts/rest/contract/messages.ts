/** Shapes of messages: browsed, one with its history, and why it is where it is. */
import { Type } from 'typebox'
import { aheadMax, filterCharsMax, historyMax, waitSecondsMax } from '../../../core/limits.ts'
import { attemptOutcomes } from '../../../core/message.ts'
import { groupPattern, uniqueMembers } from '../../../core/options.ts'
import { reasonCodes } from '../../../core/verbs/explain.ts'
import { nothing, operations, problemResponses } from './operation.ts'
import {
  AnyBody,
  cursor,
  Headers,
  limit,
  marks,
  maxAttempts,
  maybe,
  messageId,
  object,
  orNull,
  StateName,
  storableText,
  time,
  MessageParams,
  QueueParams
} from './shapes.ts'

export const LastFailure = Type.Object(
  {
    attempt: Type.Integer(),
    reason: orNull(Type.String()),
    at: time('When the attempt ended.')
  },
  { title: 'LastFailure' }
)

export const Origin = Type.Object(
  {
    queue: Type.String(),
    diedAt: time('When it died there.'),
    reason: orNull(Type.String(), { description: 'Of its last failure there.' }),
    attempts: Type.Integer({ description: 'Made there.' })
  },
  {
    title: 'Origin',
    description: 'Of a message in a dead-letter queue: where it died. In a chain it is the first queue.'
  }
)

const view = {
  id: messageId,
  state: StateName,
  body: maybe(AnyBody),
  bodyBase64: maybe(Type.String()),
  contentType: Type.String(),
  headers: Headers,
  priority: Type.Integer(),
  attempt: Type.Integer(),
  maxAttempts,
  enqueuedAt: time('When it was stored.'),
  visibleAt: maybe(time('delayed: when it is ready.')),
  lastFailure: maybe(LastFailure),
  origin: maybe(Origin),
  ...marks
}

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
  enqueuedBefore: maybe(time('Enqueued before this time.')),
  group: maybe(Type.String({ pattern: groupPattern, description: 'Of this group.' }))
}

export const BrowseQuery = object(
  { state: maybe(StateName), ...filter, limit, cursor },
  { title: 'BrowseQuery' }
)
export const BrowsedMessage = Type.Object(view, { title: 'BrowsedMessage' })
export const MessagePage = Type.Object(
  {
    messages: Type.Array(BrowsedMessage),
    cursor: orNull(Type.String(), {
      description: 'A page may be short, or empty, and still have one; null at the end.'
    })
  },
  { title: 'MessagePage', description: 'A page of messages, by id.' }
)

const WaitQuery = object({
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
    unique: maybe(
      Type.Object(
        { key: Type.String(), until: Type.Enum([...uniqueMembers.until.choices]) },
        { description: 'The unique key that the message holds, and until when.' }
      )
    ),
    lease: maybe(
      Type.Object({ worker: Type.String(), leasedAt: time('Since when.'), expiresAt: time('Until when.') })
    ),
    result: maybe(
      Type.Unsafe<unknown>({
        description: 'acked: what its ack said came of the work, exactly as it was sent.'
      })
    ),
    history: Type.Array(
      Type.Object({
        queue: Type.String({ description: 'The queue in which the attempt was made.' }),
        attempt: Type.Integer(),
        worker: orNull(Type.String()),
        leasedAt: orNull(time('Since when.')),
        endedAt: time('Until when.'),
        outcome: Type.Enum([...attemptOutcomes]),
        reason: maybe(Type.String())
      }),
      { description: `Each attempt that ended badly, the oldest first; at most the last ${historyMax}.` }
    ),
    movedTo: maybe(
      Type.String({
        description:
          'It died here and went to this dead-letter queue. The message is shown as it was when it died.'
      })
    )
  },
  { title: 'MessageDetail', description: 'The message.' }
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
        by: maybe(
          Type.Object(
            { id: messageId, state: StateName },
            { description: 'groupBlocked: the message of its group that goes first.' }
          )
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
  { title: 'Explanation', description: 'Why the message is where it is.' }
)

export const messageOperations = operations({
  browse: {
    method: 'GET',
    url: '/queues/:queue/messages',
    config: { access: 'browse' },
    schema: {
      summary: 'Browse messages',
      description:
        'Shows messages by id without leasing them. One page looks at a few thousand messages at most. ' +
        'So a page of a rare state or with a filter may be short, or empty, and still have a cursor.',
      params: QueueParams,
      querystring: BrowseQuery,
      response: { 200: MessagePage, ...problemResponses(400, 404, 503) }
    }
  },
  getMessage: {
    method: 'GET',
    url: '/queues/:queue/messages/:id',
    config: { access: 'browse' },
    schema: {
      summary: 'Look at one message',
      description:
        'One message with its lease and its history. With `waitSeconds` the call answers when the ' +
        'message is acked, dead or gone, or when the time is up, whatever the state is then. ' +
        'So a producer waits for the confirmation of its consumer, or for its answer in `result`.',
      params: MessageParams,
      querystring: WaitQuery,
      response: { 200: MessageDetail, ...problemResponses(400, 404, 409, 429, 503) }
    }
  },
  explainMessage: {
    method: 'GET',
    url: '/queues/:queue/messages/:id/explain',
    config: { access: 'browse' },
    schema: {
      summary: 'Why is a message where it is?',
      description:
        'Says what it waits for: a pause, consumers that have not asked for a minute, a delay, ' +
        'or the messages before it. Or who holds it, or why it is dead.',
      params: MessageParams,
      response: { 200: Explanation, ...problemResponses(400, 404, 503) }
    }
  },
  cancelMessage: {
    method: 'DELETE',
    url: '/queues/:queue/messages/:id',
    config: { access: 'manage' },
    schema: {
      summary: 'Cancel one message',
      description: 'Removes a message that nobody holds just now.',
      params: MessageParams,
      response: { 204: nothing('It is removed.'), ...problemResponses(400, 404, 409, 503) }
    }
  }
})
