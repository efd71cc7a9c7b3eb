/** The shapes of the REST contract, once: they validate, type the handlers, and make the OpenAPI document. */
import { Type, type Static, type TSchema } from 'typebox'
import { keyNamePattern, rateMax, rightPattern } from '../core/keys.ts'
import { listMax, priorityDefault } from '../core/message.ts'
import { queueNamePattern } from '../core/queue.ts'

const yearSeconds = 31_536_000
const object = <T extends Record<string, TSchema>>(properties: T, options = {}) => Type.Object(properties, { additionalProperties: false, ...options })
const maybe = Type.Optional
const time = (description: string) => Type.String({ format: 'date-time', description: `${description} RFC 3339, UTC.` })
const id = Type.String({ description: 'A message id.', examples: ['1'] })

export const QueueName = Type.String({ pattern: queueNamePattern, description: 'The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit.', examples: ['mail'] })
export const QueueParams = object({ queue: QueueName })
export const MessageParams = object({ queue: QueueName, id: Type.String({ description: 'The message id from the enqueue.', examples: ['{id}'] }) })

const leaseSeconds = (description: string) => Type.Number({ exclusiveMinimum: 0, maximum: 43_200, description })

const Retry = object({
  strategy: maybe(Type.Enum(['exponential', 'linear', 'fixed'], { description: 'How the delay grows: it doubles, it adds, or it stays.', default: 'exponential' })),
  delaySeconds: maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: 'Delay after the first failed attempt.', default: 1 })),
  maxDelaySeconds: maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: 'No delay is longer than this.', default: 3600 })),
  jitter: maybe(Type.Boolean({ description: 'Adds up to as much again, at random, so that messages that failed together do not come back together.', default: true }))
})

export const SettingsChange = object({
  leaseSeconds: maybe(leaseSeconds('How long a lease lasts when the call does not say. Default 30.')),
  maxAttempts: maybe(Type.Integer({ minimum: 1, maximum: 1000, description: 'After this many leases that ended badly a message is dead. Default 5.' })),
  retry: maybe(Retry),
  retentionSeconds: maybe(Type.Number({ minimum: 1, maximum: 10 * yearSeconds, description: 'How long after its enqueue a message is kept, in any state. Default 1209600 (14 days).' })),
  dedupSeconds: maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: 'How long an idempotency key stands for its message. Default 86400 (a day).' })),
  maxDepth: maybe(Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000_000 }), Type.Null()], { description: 'At most this many ready, delayed and leased messages, exact to about a second of traffic. Default null: no bound.' })),
  paused: maybe(Type.Boolean({ description: 'While true, leases give nothing and enqueues go on. Default false.' })),
  keepAckedSeconds: maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: 'How long an acked message can still be looked at. Default 0: it is removed with the ack.' }))
}, { examples: [{ leaseSeconds: 30, maxAttempts: 5, retry: { strategy: 'exponential', delaySeconds: 1 }, keepAckedSeconds: 3600 }] })

export const QueueReport = Type.Object({
  queue: QueueName,
  settings: Type.Object({
    leaseSeconds: Type.Number(),
    maxAttempts: Type.Integer(),
    retry: Type.Object({ strategy: Type.String(), delaySeconds: Type.Number(), maxDelaySeconds: Type.Number(), jitter: Type.Boolean() }),
    retentionSeconds: Type.Number(),
    dedupSeconds: Type.Number(),
    maxDepth: Type.Union([Type.Integer(), Type.Null()]),
    paused: Type.Boolean(),
    keepAckedSeconds: Type.Number()
  }),
  counts: Type.Object({ ready: Type.Integer(), delayed: Type.Integer(), leased: Type.Integer(), dead: Type.Integer(), acked: Type.Integer({ description: 'Kept acked messages.' }) }),
  reliability: Type.Union([Type.Number(), Type.Null()], { description: 'acked / (acked + dead + expired) since the queue was made: of the messages that came to an end, the share whose work was done. Dead ones count until they are redriven; null before the first end.' }),
  oldestReadySeconds: Type.Union([Type.Number(), Type.Null()], { description: 'Age since its enqueue of the oldest message at the head of a priority; null when none is ready.' }),
  createdAt: time('When the queue was made.'),
  updatedAt: time('When its settings last changed.')
}, { description: 'The queue.' })

export const QueueList = Type.Object({ queues: Type.Array(QueueReport), cursor: Type.Union([Type.String(), Type.Null()], { description: 'Send it to get the next page; null at the end.' }) }, { description: 'A page of queues, by name.' })

const cursor = maybe(Type.String({ minLength: 1, maxLength: 200, description: 'From the page before.' }))
const limit = maybe(Type.Integer({ minimum: 1, maximum: 1000, default: 100 }))
export const PageQuery = object({ limit, cursor })
export const StateName = Type.Enum(['ready', 'delayed', 'leased', 'dead', 'acked'], { description: 'A message state.' })
export const BrowseQuery = object({ state: maybe(StateName), limit, cursor })
export const WaitQuery = object({ waitSeconds: maybe(Type.Number({ minimum: 0, maximum: 60, description: 'Wait so long for the message to be acked, dead or gone. Needs keepAckedSeconds > 0.' })) })

const options = {
  priority: maybe(Type.Integer({ minimum: 0, maximum: 9, description: `Higher goes first. Default ${priorityDefault}.` })),
  delaySeconds: maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: 'Not leased before so long. Not together with visibleAt.' })),
  visibleAt: maybe(time('Not leased before this time, at most a year ahead.')),
  ttlSeconds: maybe(Type.Number({ exclusiveMinimum: 0, maximum: 10 * yearSeconds, description: 'Removed if nobody leased it for so long.' })),
  maxAttempts: maybe(Type.Integer({ minimum: 1, maximum: 1000, description: "Instead of the queue's." }))
}
const IdempotencyKey = Type.String({ pattern: '^[ -~]{1,255}$', description: 'The same key with the same content within dedupSeconds is the same message. 1 to 255 printable ASCII characters.' })
// jsonb holds neither U+0000 nor half of a surrogate pair.
const headerText = '^(?:[^\\u0000\\ud800-\\udfff])*$'

export const Message = object({
  body: Type.Unsafe<unknown>({ description: 'Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.' }),
  headers: maybe(Type.Record(Type.String(), Type.String({ maxLength: 4096, pattern: headerText }), {
    maxProperties: 64, propertyNames: { minLength: 1, maxLength: 256, pattern: headerText }, description: 'Strings that travel beside the body: up to 64 of up to 4096 characters.'
  })),
  ...options,
  idempotencyKey: maybe(IdempotencyKey)
}, { title: 'Message' })
export type MessageInput = Static<typeof Message>

export const MessageList = object({ messages: Type.Array(Message, { minItems: 1, maxItems: listMax, description: 'All are stored, or none.' }) }, { title: 'Message list' })
export const EnqueueQuery = object({ ...options, idempotencyKey: maybe(IdempotencyKey) })
export const EnqueueHeaders = Type.Object({ 'idempotency-key': maybe(IdempotencyKey) })

export const Enqueued = Type.Object({ id, duplicate: maybe(Type.Literal(true, { description: 'The key stood for this message already; nothing was stored.' })) })
export const EnqueueAnswer = Type.Union([Enqueued, Type.Object({ messages: Type.Array(Enqueued) })], { description: 'Committed: the id, or for a list the ids in the order given. 200 when nothing new was stored, because the idempotency keys stood for these messages already.' })

const receipt = Type.String({ minLength: 1, maxLength: 200, description: 'From the lease.' })

export const LeaseRequest = object({
  max: maybe(Type.Integer({ minimum: 1, maximum: 1000, description: 'Take at most so many. Default 1.' })),
  waitSeconds: maybe(Type.Number({ minimum: 0, maximum: 60, description: 'Wait so long for the first one. Default 0.' })),
  leaseSeconds: maybe(leaseSeconds("Instead of the queue's.")),
  worker: maybe(Type.String({ minLength: 1, maxLength: 128, pattern: headerText, description: 'Who asks, for the history. Default: the User-Agent.' })),
  idempotencyKey: maybe(IdempotencyKey),
  ack: maybe(Type.Array(receipt, { maxItems: listMax, description: 'Ack these first, in the same commit; it never waits.' }))
}, { examples: [{ max: 1, waitSeconds: 5, worker: 'me' }] })

const AnyBody = Type.Unsafe<unknown>({ description: 'JSON as it was sent, or other text in UTF-8 as a string.' })
const LastFailure = Type.Object({ attempt: Type.Integer(), reason: Type.Union([Type.String(), Type.Null()]), at: time('When the attempt ended.') })
const Headers = Type.Record(Type.String(), Type.String())

const Outcome = Type.Object({
  receipt: maybe(Type.String()),
  outcome: Type.Enum(['acked', 'retrying', 'dead', 'extended', 'released', 'gone', 'leaseLost']),
  visibleAt: maybe(time('retrying: when the message is ready again.')),
  leaseExpiresAt: maybe(time('extended: when the lease ends now.'))
})
export const Leased = Type.Object({
  messages: Type.Array(Type.Object({
    id,
    receipt: Type.String({ description: 'The proof of this lease. Settle with it.' }),
    fence: Type.Integer({ description: 'Rises with every lease of this message: store it beside your effect and refuse a smaller one.' }),
    attempt: Type.Integer({ description: 'Counts the leases of this message from 1, released ones left out.' }),
    maxAttempts: Type.Integer(),
    body: maybe(AnyBody),
    bodyBase64: maybe(Type.String({ description: 'Instead of body, where the bytes are not text in UTF-8.' })),
    contentType: Type.String(),
    headers: Headers,
    priority: Type.Integer(),
    enqueuedAt: time('When it was stored.'),
    leaseExpiresAt: time('When the lease ends.'),
    lastFailure: maybe(LastFailure)
  })),
  outcomes: maybe(Type.Array(Outcome, { description: 'Of the receipts in `ack`, in the order given; there when `ack` was.' }))
}, { description: 'The messages, now leased; an empty list when none came in time.' })

const delaySeconds = maybe(Type.Number({ minimum: 0, maximum: yearSeconds, description: "Retry after so long, instead of the queue's delay. 0: at once." }))
const reason = maybe(Type.String({ maxLength: 4096, pattern: headerText, description: 'Why, for the history.' }))
const dead = maybe(Type.Boolean({ description: 'true: no further attempt.' }))

const Receipt = object({ receipt })
const Failure = object({ receipt, reason, delaySeconds, dead })
const Extension = object({ receipt, leaseSeconds: leaseSeconds('The lease ends so long from now; it may end sooner than before.') })
const many = (name: string, item: TSchema) => object({ [name]: Type.Array(item, { minItems: 1, maxItems: listMax }) })

/** The settling verbs: the shape for one receipt, the shape for many, and the name of the list. */
export const Settle = {
  ack: { one: Receipt, many: many('receipts', receipt), list: 'receipts' },
  fail: { one: Failure, many: many('failures', Failure), list: 'failures' },
  extend: { one: Extension, many: many('extensions', Extension), list: 'extensions' },
  release: { one: Receipt, many: many('receipts', receipt), list: 'receipts' }
} as const

export const SettleAnswer = Type.Union([Outcome, Type.Object({ outcomes: Type.Array(Outcome) })], { description: 'Committed: what became of it, or for a list of each in the order given.' })

const view = {
  id,
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
export const MessagePage = Type.Object({ messages: Type.Array(Type.Object(view)), cursor: Type.Union([Type.String(), Type.Null()], { description: 'A page may be short, or empty, and still have one; null at the end.' }) }, { description: 'A page of messages, by id.' })
export const MessageDetail = Type.Object({
  ...view,
  lease: maybe(Type.Object({ worker: Type.String(), leasedAt: time('Since when.'), expiresAt: time('Until when.') })),
  history: Type.Array(Type.Object({
    attempt: Type.Integer(),
    worker: Type.Union([Type.String(), Type.Null()]),
    leasedAt: Type.Union([time('Since when.'), Type.Null()]),
    endedAt: time('Until when.'),
    outcome: Type.Enum(['failed', 'expired', 'released']),
    reason: maybe(Type.String())
  }), { description: 'Each attempt that ended badly, the oldest first; at most the last 1000.' })
}, { description: 'The message.' })

export const PurgeRequest = object({ state: maybe(StateName) }, { examples: [{}] })
export const PurgeAnswer = Type.Object({ purged: Type.Integer() }, { description: 'How many were removed.' })
export const RedriveRequest = object({
  ids: maybe(Type.Array(Type.String({ minLength: 1, maxLength: 18, pattern: '^\\d+$' }), { minItems: 1, maxItems: listMax, description: 'Only these.' })),
  limit: maybe(Type.Integer({ minimum: 1, description: 'At most so many, the lowest ids first.' }))
}, { examples: [{ limit: 100 }] })
export const RedriveAnswer = Type.Object({ redriven: Type.Integer() }, { description: 'How many became ready.' })

export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ description: 'From a closed list; docs/errors.md has a heading for each.' }),
  requestId: Type.String(),
  errors: maybe(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
  outcome: maybe(Type.Enum(['none', 'unknown'], { description: 'On every 5xx: nothing happened, or it is not known.' }))
}, { $id: 'Problem', title: 'Problem' })

const rate = (what: string) => Type.Union([Type.Number({ exclusiveMinimum: 0, maximum: rateMax }), Type.Null()], { description: `${what} a second, a second's worth at once, counted by each replica for itself. Default null: no bound.` })
const keyFields = {
  name: Type.String({ pattern: keyNamePattern, description: 'Who uses it, for people. 1 to 128 characters.', examples: ['mail worker'] }),
  rights: Type.Array(Type.String({ pattern: rightPattern }), {
    minItems: 1, maxItems: 100, examples: [['lease:mail', 'enqueue:orders-*']],
    description: 'An action on a queue (`lease:mail`), on all whose name begins so (`enqueue:orders-*`), or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage` (settings, purge, redrive, cancel, delete); `admin`, alone, is everything, keys too.'
  })
}
const rates = { requestsPerSecond: rate('Requests'), messagesPerSecond: rate('Messages enqueued and leased') }
export const KeyRequest = object({ ...keyFields, requestsPerSecond: maybe(rates.requestsPerSecond), messagesPerSecond: maybe(rates.messagesPerSecond) })
const KeyInfo = Type.Object({ id: Type.String({ description: 'Names the key; it is part of it, and no secret.' }), ...keyFields, ...rates, createdAt: time('When it was made.') })
export const KeyMade = Type.Object({ ...KeyInfo.properties, secret: Type.String({ description: 'The key. Send it as `Authorization: Bearer …`; it cannot be shown again.' }) }, { description: 'The new key.' })
export const KeyList = Type.Object({ keys: Type.Array(KeyInfo) }, { description: 'The keys.' })
export const KeyParams = object({ id: Type.String({ description: 'The id of the key.' }) })
