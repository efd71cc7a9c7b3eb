/** Shapes of messages: browsed, one with its history, and why it is where it is. */
import { Type } from 'typebox'
import {
  aheadMax,
  filterCharsMax,
  historyBytesMax,
  historyMax,
  waitSecondsMax
} from '../../../core/limits.ts'
import { states } from '../../../core/counters.ts'
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
    diedAt: time('When the message died there.'),
    reason: orNull(Type.String(), { description: 'The reason of its last failure there.' }),
    attempts: Type.Integer({ description: 'How many attempts were made there.' })
  },
  {
    title: 'Origin',
    description: 'Where a message in a dead-letter queue died. In a chain of them, the first queue.'
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
        'The body, as it was sent, contains this text. Case counts, and escapes in JSON stay escapes. ' +
        'A body stored as bytes never matches.'
    })
  ),
  reason: maybe(
    Type.String({
      minLength: 1,
      maxLength: filterCharsMax,
      pattern: storableText,
      description: 'The reason of the last failure contains this text. Case counts.'
    })
  ),
  enqueuedAfter: maybe(time('Enqueued at this time or later.')),
  enqueuedBefore: maybe(time('Enqueued before this time.')),
  group: maybe(Type.String({ pattern: groupPattern, description: 'The message has this group.' }))
}

export const BrowseQuery = object(
  {
    state: maybe(
      Type.Enum([...states], {
        description:
          `Only messages in this state: ${states.join(', ')}. ` +
          'Left out: messages in every state but acked. Kept acked ones come with acked alone.'
      })
    ),
    ...filter,
    limit,
    cursor
  },
  { title: 'BrowseQuery' }
)
export const BrowsedMessage = Type.Object(view, { title: 'BrowsedMessage' })
export const MessagePage = Type.Object(
  {
    messages: Type.Array(BrowsedMessage),
    cursor: orNull(Type.String(), {
      description:
        'Send it to get the next page. null: this is the last page. ' +
        'A short or empty page may have a cursor.'
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
        { description: 'The unique key that the message holds, and how long.' }
      )
    ),
    lease: maybe(
      Type.Object({
        worker: Type.String(),
        leasedAt: time('When the lease began.'),
        expiresAt: time('When the lease ends.')
      })
    ),
    result: maybe(
      Type.Unsafe<unknown>({
        description: 'The result that the ack gave, exactly as it was sent.'
      })
    ),
    history: Type.Array(
      Type.Object({
        queue: Type.String({ description: 'The queue in which the attempt was made.' }),
        attempt: Type.Integer(),
        worker: orNull(Type.String()),
        leasedAt: orNull(time('When the attempt began.')),
        endedAt: time('When the attempt ended.'),
        outcome: Type.Enum([...attemptOutcomes]),
        reason: maybe(Type.String())
      }),
      {
        description:
          `Attempts that failed, expired or were released, oldest first: the last ${historyMax}, ` +
          `as far as their reasons together have at most ${historyBytesMax / 1024} KiB.`
      }
    ),
    movedTo: maybe(
      Type.String({
        description:
          'The message died here and went to this dead-letter queue. It is shown as it was when it died.'
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
        code: Type.Enum([...reasonCodes], { description: 'Why the message is where it is.' }),
        detail: Type.String({ description: 'A sentence for a person.' }),
        until: maybe(
          time(
            'leased, delayed, backingOff: when that ends. rate, ratePerGroup: when the next lease is ' +
              'given. pushSlowed: when the next delivery is tried. acked: how long the message is kept.'
          )
        ),
        worker: maybe(Type.String({ description: 'leased: who holds it.' })),
        ahead: maybe(
          Type.Integer({
            description:
              'behind: how many ready messages come before it, leased ones left out. Counted up to ' +
              `${aheadMax.toLocaleString('en')}. detail says whether there are more.`
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
            'noConsumer: when somebody last asked for messages. Calls to other replicas are known ' +
              'up to half a minute late. Missing: never.'
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
      response: { 200: MessagePage, ...problemResponses(400, 'queueNotFound') }
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
        'So a producer waits for the confirmation of its consumer, or for its answer in `result`. ' +
        'A message that is gone is 404.',
      params: MessageParams,
      querystring: WaitQuery,
      response: {
        200: MessageDetail,
        ...problemResponses(400, 'queueNotFound', 'messageNotFound', 'ackedNotKept', 'tooManyWaiting')
      }
    }
  },
  explainMessage: {
    method: 'GET',
    url: '/queues/:queue/messages/:id/explain',
    config: { access: 'browse' },
    schema: {
      summary: 'Why is a message where it is?',
      description:
        'Says what it waits for: a pause, a limit, consumers that have not asked for a minute, a delay, ' +
        'or the messages before it. Or who holds it, or why it is dead.',
      params: MessageParams,
      response: { 200: Explanation, ...problemResponses(400, 'queueNotFound', 'messageNotFound') }
    }
  },
  cancelMessage: {
    method: 'DELETE',
    url: '/queues/:queue/messages/:id',
    config: { access: 'manage' },
    schema: {
      summary: 'Cancel one message',
      description:
        'Removes a message in any state but leased. While a worker holds it, the answer is 409 ' +
        '`messageLeased`. A repeat is 404, because the message is gone.',
      params: MessageParams,
      response: {
        204: nothing('It is removed.'),
        ...problemResponses(400, 'queueNotFound', 'messageNotFound', 'messageLeased')
      }
    }
  }
})
