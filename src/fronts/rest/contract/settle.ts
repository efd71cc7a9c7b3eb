/** Shapes of settling: one receipt, or a list of them. */
import { Type, type TSchema } from 'typebox'
import {
  delaySecondsMax,
  leaseSecondsMax,
  listMax,
  reasonCharsMax,
  receiptCharsMax,
  resultBytesMax,
  thenMax
} from '../../../core/limits.ts'
import type { SettleVerb } from '../../../core/ports.ts'
import { NextMessage, storingRefusals, type NextMessageInput } from './enqueue.ts'
import { operations, problemResponses } from './operation.ts'
import { maybe, messageId, object, QueueParams, storedMarks, time } from './shapes.ts'

export const receipt = Type.String({
  minLength: 1,
  maxLength: receiptCharsMax,
  description: 'The receipt from the lease.'
})

/** How long a lease lasts. */
export const leaseSeconds = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, maximum: leaseSecondsMax, description })

export const Followed = Type.Object(
  {
    queue: Type.String(),
    id: messageId,
    ...storedMarks('message')
  },
  { title: 'Followed' }
)

/** One of the outcomes, told apart from the others by its name, and the fields that only it has. */
const outcome = <const Name extends string, Fields extends Record<string, TSchema>>(
  name: Name,
  description: string,
  fields: Fields
) =>
  Type.Object(
    {
      receipt: maybe(Type.String({ description: 'Only in the answer to a list.' })),
      outcome: Type.Literal(name),
      ...fields
    },
    { title: `Outcome${name[0]!.toUpperCase()}${name.slice(1)}`, description }
  )

/** What became of a receipt. */
export const Outcome = Type.Union(
  [
    outcome('acked', 'The work is done. The message is removed, or kept for keepAckedSeconds.', {
      then: maybe(
        Type.Array(Followed, {
          description: 'The messages that this ack enqueued, in the order given. Missing without a `then`.'
        })
      )
    }),
    outcome('retrying', 'The attempt failed, and the message is tried again.', {
      visibleAt: time('When the message is ready again.')
    }),
    outcome('dead', 'The attempt failed, and the message is not tried again.', {
      movedTo: maybe(Type.String({ description: 'The dead-letter queue to which the message went.' }))
    }),
    outcome('extended', 'The lease has a new end.', { leaseExpiresAt: time('The new end of the lease.') }),
    outcome('released', 'The message is ready again, and the attempt does not count.', {}),
    outcome('gone', 'The message is gone: it was acked or purged, has expired, or has moved.', {}),
    outcome('leaseLost', 'The message was leased again, or its lease has ended. Nothing was changed.', {})
  ],
  { title: 'Outcome' }
)

const Receipt = object({ receipt })

/** An ack with what came of the work. `result` is held as the text that came. */
export interface AckInput {
  receipt: string
  result?: unknown
  then?: NextMessageInput[]
}
const ackFields = {
  receipt,
  result: maybe(
    Type.Unsafe<unknown>({
      description:
        `What came of the work: any JSON of up to ${resultBytesMax} bytes. The message shows it, exactly ` +
        'as it was sent, for keepAckedSeconds. If keepAckedSeconds is 0, the result is dropped.'
    })
  ),
  then: maybe(
    Type.Array(NextMessage, {
      minItems: 1,
      maxItems: thenMax,
      description:
        'Messages to enqueue in the commit of the ack, in any queues. They are enqueued only if this ack ' +
        `removes the message. At most ${listMax} in a request.`
    })
  )
}
export const Ack = Type.Unsafe<AckInput>(object(ackFields, { title: 'Ack' }))
/** A receipt, or an ack with what came of the work. One schema, so that a refusal names the fault. */
export const ReceiptOrAck = Type.Unsafe<string | AckInput>({
  ...object(ackFields),
  ...receipt,
  type: ['string', 'object'],
  description: 'A receipt, or an ack with a result or with messages to enqueue.'
})
const Failure = object(
  {
    receipt,
    reason: maybe(
      Type.String({
        maxLength: reasonCharsMax,
        description: 'Why the work failed, for the history. NUL and half a surrogate pair become U+FFFD.'
      })
    ),
    delaySeconds: maybe(
      Type.Number({
        minimum: 0,
        maximum: delaySecondsMax,
        description: "Retry after this delay, instead of the queue's delay. 0: at once."
      })
    ),
    dead: maybe(Type.Boolean({ description: 'true: the message is dead, without a further attempt.' }))
  },
  { title: 'Failure' }
)
const Extension = object(
  {
    receipt,
    leaseSeconds: leaseSeconds('The lease ends this long from now, which may be sooner than before.')
  },
  { title: 'Extension' }
)

const many = (name: string, item: TSchema) =>
  object({ [name]: Type.Array(item, { minItems: 1, maxItems: listMax }) })

export const AckList = many('acks', Ack)

/**
 * The settling verbs: the shape for one receipt, the shape for many with the name of its list, and
 * what the documents say. Swagger UI shows them in this order: an extend first, because an ack ends
 * the message.
 */
export const Settle = {
  extend: {
    one: Extension,
    many: many('extensions', Extension),
    list: 'extensions',
    summary: 'Extend the lease',
    description:
      'Sets the end of the lease to `leaseSeconds` from now. ' +
      'After a 409 (`leaseLost` or `gone`), stop working on the message.',
    example: { leaseSeconds: 60 },
    refusals: ['gone']
  },
  ack: {
    one: Ack,
    many: many('receipts', receipt),
    list: 'receipts',
    summary: 'Ack: the work is done',
    description:
      'Removes the message. Safe to send twice. `result` says what came of the work. `then` enqueues the ' +
      'next messages, in the same commit. Send acks with either of them in the list `acks`. If a message ' +
      'of a `then` is refused, the whole call is refused, and nothing is acked. The key needs the right ' +
      'enqueue on each queue of a `then`.',
    example: {},
    refusals: storingRefusals
  },
  fail: {
    one: Failure,
    many: many('failures', Failure),
    list: 'failures',
    summary: 'Fail: the work failed',
    description:
      "The message is retried after the queue's delay for this attempt, or after `delaySeconds`. " +
      'After the last attempt, or with `dead`, the message is dead. It stays in the queue, ' +
      'or moves to the dead-letter queue.',
    example: { reason: 'the mail server said no' },
    refusals: []
  },
  release: {
    one: Receipt,
    many: many('receipts', receipt),
    list: 'receipts',
    summary: 'Release: give the message back',
    description: 'The message is ready again at once, and the attempt does not count.',
    example: {},
    refusals: []
  }
} as const satisfies Record<SettleVerb, object>

export const SettleAnswer = Type.Union([Outcome, Type.Object({ outcomes: Type.Array(Outcome) })], {
  description: 'Committed. The outcome, or for a list the outcomes in the order given.'
})

/** The operation of one settling verb. Its body is one receipt or a list of them. */
export function settleOperation(verb: SettleVerb) {
  const { one, many, list, summary, description, example, refusals } = Settle[verb]
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
          'After that, the answer is `leaseLost`, and nothing is changed.',
        body: {
          content: {
            'application/json': {
              schema: {
                anyOf: verb === 'ack' ? [one, many, AckList] : [one, many],
                examples: [{ receipt: '{receipt}', ...example }]
              }
            }
          }
        },
        response: {
          200: SettleAnswer,
          ...problemResponses(400, 'queueNotFound', 'leaseLost', 413, 415, ...refusals)
        }
      }
    }
  })[verb]!
}
