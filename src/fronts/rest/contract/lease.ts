/** Shapes of leasing. */
import { Type } from 'typebox'
import {
  idempotencyKeyCharsMax,
  listMax,
  receiptCharsMax,
  waitSecondsMax,
  workerCharsMax
} from '../../../core/limits.ts'
import { idempotencyKeyPattern } from '../../../core/options.ts'
import { storingRefusals } from './enqueue.ts'
import { LastFailure, Origin } from './messages.ts'
import { bodyOptional, nothing, operations, problemResponses } from './operation.ts'
import { rawLeaseHeaders } from './raw.ts'
import { leaseSeconds, Outcome, ReceiptOrAck } from './settle.ts'
import {
  AnyBody,
  Headers,
  marks,
  maxAttempts,
  maybe,
  messageId,
  object,
  storableText,
  time,
  QueueParams
} from './shapes.ts'

const leaseOptions = {
  max: maybe(
    Type.Integer({ minimum: 1, maximum: listMax, description: 'Take at most this many. Default 1.' })
  ),
  waitSeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: waitSecondsMax,
      description: "Wait this long for the first message. Default: the queue's waitSeconds."
    })
  ),
  leaseSeconds: maybe(leaseSeconds('How long the leases last. Default: the leaseSeconds of the queue.')),
  worker: maybe(
    Type.String({
      minLength: 1,
      maxLength: workerCharsMax,
      pattern: storableText,
      description: 'The name of the worker, for the history. Default: the User-Agent.'
    })
  ),
  idempotencyKey: maybe(
    Type.String({
      pattern: idempotencyKeyPattern,
      description:
        'Makes the call safe to repeat: while its leases last, the same key gives the same messages and ' +
        `receipts again. 1 to ${idempotencyKeyCharsMax} printable ASCII characters.`
    })
  )
}

export const LeaseRequest = object(
  {
    ...leaseOptions,
    ack: maybe(
      Type.Array(ReceiptOrAck, {
        maxItems: listMax,
        description:
          'Messages to ack before the lease, in the same commit. The acks are a commit of their own where ' +
          'an ack has a `result` or a `then`, and where the queue has limits per group. So are those of ' +
          'an `idempotencyKey` that has been used before. Acks never wait for messages. If the lease ' +
          'fails after them, the answer has the outcomes and no messages. With an `idempotencyKey` it is ' +
          '503 `outcomeUnknown`.'
      })
    )
  },
  { title: 'LeaseRequest', examples: [{ max: 1, waitSeconds: 5, worker: 'me' }] }
)

export const LeaseQuery = object({
  ...leaseOptions,
  ack: maybe(
    Type.String({
      minLength: 1,
      maxLength: receiptCharsMax,
      description: 'A receipt to ack before the lease.'
    })
  )
})

export const LeasedMessage = Type.Object(
  {
    id: messageId,
    receipt: Type.String({ description: 'The proof of this lease. Send it to settle the message.' }),
    fence: Type.Integer({
      description:
        'Rises with every lease of the message. Store the fence with your effect, and refuse a smaller one.'
    }),
    attempt: Type.Integer({
      description: 'The number of this attempt, from 1. Released leases do not count.'
    }),
    maxAttempts,
    body: maybe(AnyBody),
    bodyBase64: maybe(
      Type.String({ description: 'The body in base64, if it is neither JSON nor text in UTF-8.' })
    ),
    contentType: Type.String(),
    headers: Headers,
    priority: Type.Integer(),
    enqueuedAt: time('When it was stored.'),
    leaseExpiresAt: time('When the lease ends.'),
    lastFailure: maybe(LastFailure),
    origin: maybe(Origin),
    ...marks
  },
  { title: 'LeasedMessage' }
)

export const Leased = Type.Object(
  {
    messages: Type.Array(LeasedMessage),
    outcomes: maybe(
      Type.Array(Outcome, {
        description: 'What became of the receipts in `ack`, in the order given. Missing without `ack`.'
      })
    ),
    ordering: maybe(
      Type.Unsafe<'group' | 'queue'>({
        type: 'string',
        enum: ['group', 'queue'],
        description:
          'Comes with messages of an ordered queue. group: work on the messages of a group in the order ' +
          'of the list. queue: on all of them. If one fails, release those after it.'
      })
    )
  },
  { title: 'Leased', description: 'The leased messages. An empty list: none came in time.' }
)

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
        'Each message comes with a receipt, to settle it with. ' +
        'With `waitSeconds`, the call waits until a message is there. ' +
        'An empty list means that no message came in time. ' +
        'Receipts in `ack` are acked before the lease, and the answer has their outcomes. So a worker ' +
        'needs one request per step. ' +
        'Give the options in the body or in the query.\n\n' +
        'For programs that read no JSON: with an `Accept` that does not take JSON ' +
        '(`application/octet-stream`, `text/*`), the answer is a single message. ' +
        'Its bytes and content type are as they were enqueued, whatever the type is. ' +
        'The other fields stand in header fields. The status is 204 if no message came in time. ' +
        'An `Accept` of `*/*` gets JSON, because curl and others send it unasked.',
      params: QueueParams,
      querystring: LeaseQuery,
      body: LeaseRequest,
      response: {
        200: {
          description:
            'The leased messages. An empty list: none came in time. ' +
            "With an Accept that does not take JSON: the message's own bytes and content type. " +
            'Its headers then stand in `Holdfast-Header-<name>`, ' +
            'name and value percent-encoded where HTTP could not carry them. ' +
            'The headers `traceparent`, `tracestate`, `baggage` and `ce-*` also stand as fields of ' +
            'these names.',
          headers: rawLeaseHeaders,
          // Raw bytes are told of in words. A second type here would make `string | Leased` of every answer.
          content: { 'application/json': { schema: Leased } }
        },
        204: nothing('With an Accept that does not take JSON: no message came in time.'),
        ...problemResponses(400, 'queueNotFound', ...storingRefusals, 'tooManyWaiting', 413, 415)
      } as object as { 200: typeof Leased }
    }
  }
})
