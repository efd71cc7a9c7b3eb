/** Shapes of leasing and settling. */
import { Type, type TSchema } from 'typebox'
import {
  delaySecondsMax,
  idempotencyKeyCharsMax,
  leaseSecondsMax,
  listMax,
  reasonCharsMax,
  receiptCharsMax,
  waitSecondsMax,
  workerCharsMax
} from '../../../core/limits.ts'
import { idempotencyKeyPattern } from '../../../core/options.ts'
import { settleOutcomes } from '../../../core/verbs/settle.ts'
import { LastFailure } from './messages.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import { rawAnswer } from './raw.ts'
import { AnyBody, Headers, maybe, messageId, object, storableText, time, QueueParams } from './shapes.ts'

const receipt = Type.String({ minLength: 1, maxLength: receiptCharsMax, description: 'From the lease.' })

const leaseSeconds = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, maximum: leaseSecondsMax, description })

const leaseOptions = {
  max: maybe(
    Type.Integer({ minimum: 1, maximum: listMax, description: 'Take at most this many. Default 1.' })
  ),
  waitSeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: waitSecondsMax,
      description: 'Wait this long for the first message. Default 0.'
    })
  ),
  leaseSeconds: maybe(leaseSeconds("Instead of the queue's.")),
  worker: maybe(
    Type.String({
      minLength: 1,
      maxLength: workerCharsMax,
      pattern: storableText,
      description: 'Who asks, for the history. Default: the User-Agent.'
    })
  ),
  idempotencyKey: maybe(
    Type.String({
      pattern: idempotencyKeyPattern,
      description:
        'For when the answer was lost: while those leases last, the same key brings the same ' +
        `messages and receipts again. 1 to ${idempotencyKeyCharsMax} printable ASCII characters.`
    })
  )
}

export const LeaseRequest = object(
  {
    ...leaseOptions,
    ack: maybe(
      Type.Array(receipt, {
        maxItems: listMax,
        description:
          'Ack these first, in the same commit. Where the `idempotencyKey` has been used before, ' +
          'they are acked in a commit before it. The acks never wait.'
      })
    )
  },
  { examples: [{ max: 1, waitSeconds: 5, worker: 'me' }] }
)

export const LeaseQuery = object({
  ...leaseOptions,
  ack: maybe(
    Type.String({ minLength: 1, maxLength: receiptCharsMax, description: 'One receipt to ack first.' })
  )
})

export const Outcome = Type.Object({
  receipt: maybe(Type.String()),
  outcome: Type.Enum([...settleOutcomes]),
  visibleAt: maybe(time('retrying: when the message is ready again.')),
  leaseExpiresAt: maybe(time('extended: when the lease ends now.'))
})

export const LeasedMessage = Type.Object({
  id: messageId,
  receipt: Type.String({ description: 'The proof of this lease. Settle with it.' }),
  fence: Type.Integer({
    description:
      'Rises with every lease of this message. Store it beside your effect and refuse a smaller one.'
  }),
  attempt: Type.Integer({
    description: 'Counts the leases of this message from 1, released ones left out.'
  }),
  maxAttempts: Type.Integer(),
  body: maybe(AnyBody),
  bodyBase64: maybe(Type.String({ description: 'Instead of body, where the bytes are not text in UTF-8.' })),
  contentType: Type.String(),
  headers: Headers,
  priority: Type.Integer(),
  enqueuedAt: time('When it was stored.'),
  leaseExpiresAt: time('When the lease ends.'),
  lastFailure: maybe(LastFailure)
})

export const Leased = Type.Object(
  {
    messages: Type.Array(LeasedMessage),
    outcomes: maybe(
      Type.Array(Outcome, {
        description: 'Of the receipts in `ack`, in the order given. There when `ack` was.'
      })
    )
  },
  { description: 'The messages, now leased. An empty list when none came in time.' }
)

const Receipt = object({ receipt })
const Failure = object({
  receipt,
  reason: maybe(
    Type.String({ maxLength: reasonCharsMax, pattern: storableText, description: 'Why, for the history.' })
  ),
  delaySeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: delaySecondsMax,
      description: "Retry after this delay, instead of the queue's. 0: at once."
    })
  ),
  dead: maybe(Type.Boolean({ description: 'true: no further attempt.' }))
})
const Extension = object({
  receipt,
  leaseSeconds: leaseSeconds('The lease ends this long from now. That may be sooner than before.')
})

const many = (name: string, item: TSchema) =>
  object({ [name]: Type.Array(item, { minItems: 1, maxItems: listMax }) })

/**
 * The settling verbs: the shape for one receipt, the shape for many with the name of its list, and
 * what the documents say. Swagger UI shows them in this order: an extend first, because an ack ends the
 * message.
 */
export const Settle = {
  extend: {
    one: Extension,
    many: many('extensions', Extension),
    list: 'extensions',
    summary: 'Extend the lease',
    description:
      'The lease ends `leaseSeconds` from now. `leaseLost` and `gone` are 409: stop working on the message.',
    example: { leaseSeconds: 60 }
  },
  ack: {
    one: Receipt,
    many: many('receipts', receipt),
    list: 'receipts',
    summary: 'Ack: the work is done',
    description: 'Removes the message. Safe to send twice.',
    example: {}
  },
  fail: {
    one: Failure,
    many: many('failures', Failure),
    list: 'failures',
    summary: 'Fail: it did not work out',
    description:
      "The message is retried after the queue's delay for this attempt, or after `delaySeconds`. " +
      'After the last attempt, or with `dead`, it is dead.',
    example: { reason: 'the mail server said no' }
  },
  release: {
    one: Receipt,
    many: many('receipts', receipt),
    list: 'receipts',
    summary: 'Release: give it back',
    description: 'The message is ready again at once, and the attempt does not count.',
    example: {}
  }
} as const

export const SettleAnswer = Type.Union([Outcome, Type.Object({ outcomes: Type.Array(Outcome) })], {
  description: 'Committed: what became of it, or for a list of each in the order given.'
})

export const leaseOperations = operations({
  lease: {
    method: 'POST',
    url: '/queues/:queue/lease',
    config: { access: 'lease', makesRoom: true },
    preValidation: bodyOptional,
    schema: {
      summary: 'Lease messages',
      description:
        'Takes ready messages for a time, the highest priority first. ' +
        'Each comes with a receipt to settle it with. ' +
        'With `waitSeconds` the call stays open until a message is there. ' +
        'An empty list means that none came in time. ' +
        'Receipts in `ack` are settled first, in the same commit, and the answer has their outcomes: ' +
        'so a worker needs one request per step. Options stand in the body, or in the address.\n\n' +
        'For programs that read no JSON: with an `Accept` that does not take it ' +
        '(`application/octet-stream`, `text/*`) the answer is the one message itself, ' +
        'its bytes and content type as they were enqueued, whatever that type is. ' +
        'The rest stands in headers. 204 when none came in time. ' +
        '`*/*` stays JSON, because curl and others send it unasked.',
      params: QueueParams,
      querystring: LeaseQuery,
      body: LeaseRequest,
      response: {
        200: {
          description: 'The messages, now leased. An empty list when none came in time.',
          headers: rawAnswer.headers,
          content: { 'application/json': { schema: Leased }, ...rawAnswer.content }
        },
        204: nothing('With an Accept that does not take JSON: no message came in time.'),
        ...problemResponses(400, 404, 413, 415, 429, 503)
      } as object as { 200: typeof Leased }
    }
  }
})

/** The operation of one settling verb. Its body is one receipt or a list of them. */
export function settleOperation(verb: keyof typeof Settle) {
  const { one, many, list, summary, description, example } = Settle[verb]
  return operations({
    [verb]: {
      method: 'POST',
      url: `/queues/:queue/${verb}`,
      config: { access: 'lease', settles: true, makesRoom: true },
      schema: {
        summary,
        params: QueueParams,
        description:
          `${description} Takes one receipt, or up to ${listMax} in \`${list}\`. ` +
          'A receipt is good until its message is leased again. ' +
          'After that the answer is `leaseLost` and nothing is changed.',
        body: {
          content: {
            'application/json': {
              schema: { anyOf: [one, many], examples: [{ receipt: '{receipt}', ...example }] }
            }
          }
        },
        response: { 200: SettleAnswer, ...problemResponses(400, 404, 409, 413, 415, 503) }
      }
    }
  })[verb]!
}
