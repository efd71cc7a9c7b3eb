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
      description:
        "Wait this long for the first message. Default: the queue's waitSeconds, which is 0 at first."
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
      Type.Array(ReceiptOrAck, {
        maxItems: listMax,
        description:
          'Ack these first, in the same commit. Where the `idempotencyKey` has been used before, or where ' +
          'one has a `result` or a `then`, they are acked in a commit before it. The acks never wait.'
      })
    )
  },
  { title: 'LeaseRequest', examples: [{ max: 1, waitSeconds: 5, worker: 'me' }] }
)

export const LeaseQuery = object({
  ...leaseOptions,
  ack: maybe(
    Type.String({ minLength: 1, maxLength: receiptCharsMax, description: 'One receipt to ack first.' })
  )
})

export const LeasedMessage = Type.Object(
  {
    id: messageId,
    receipt: Type.String({ description: 'The proof of this lease. Settle with it.' }),
    fence: Type.Integer({
      description:
        'Rises with every lease of this message. Store it beside your effect and refuse a smaller one.'
    }),
    attempt: Type.Integer({
      description: 'Counts the leases of this message from 1, released ones left out.'
    }),
    maxAttempts,
    body: maybe(AnyBody),
    bodyBase64: maybe(
      Type.String({ description: 'Instead of body, where the bytes are not text in UTF-8.' })
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
        description: 'Of the receipts in `ack`, in the order given. There when `ack` was.'
      })
    )
  },
  { title: 'Leased', description: 'The messages, now leased. An empty list when none came in time.' }
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
          description:
            'The messages, now leased. An empty list when none came in time. ' +
            "With an Accept that does not take JSON: the message's own bytes and content type. " +
            'Its headers then stand in `Holdfast-Header-<name>`, ' +
            'name and value percent-encoded where HTTP could not carry them.',
          headers: rawLeaseHeaders,
          // Raw bytes are told of in words. A second type here would make `string | Leased` of every answer.
          content: { 'application/json': { schema: Leased } }
        },
        204: nothing('With an Accept that does not take JSON: no message came in time.'),
        ...problemResponses(400, 404, 413, 415, 422, 429, 503)
      } as object as { 200: typeof Leased }
    }
  }
})
