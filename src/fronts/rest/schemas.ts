/** The shapes of the REST contract, once: they validate, type the handlers, and make the OpenAPI document. */
import { Type, type Static, type TSchema } from 'typebox'
import { keyNamePattern, rateMax, rightPattern } from '../../core/apiKey.ts'
import { listMax, priorityDefault } from '../../core/message.ts'
import { queueNamePattern } from '../../core/queue.ts'
import { scheduleNamePattern } from '../../core/schedule.ts'

const yearSeconds = 31_536_000
const object = <T extends Record<string, TSchema>>(properties: T, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })
const maybe = Type.Optional
const time = (description: string) =>
  Type.String({ format: 'date-time', description: `${description} RFC 3339, UTC.` })
// PostgreSQL's text and jsonb hold neither U+0000 nor half of a surrogate pair.
const storableText = '^(?:[^\\u0000\\ud800-\\udfff])*$'
const id = Type.String({ description: 'A message id.', examples: ['1'] })

export const QueueName = Type.String({
  pattern: queueNamePattern,
  description: 'The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit.',
  examples: ['mail']
})
export const QueueParams = object({ queue: QueueName })
export const MessageParams = object({
  queue: QueueName,
  id: Type.String({ description: 'The message id from the enqueue.', examples: ['{id}'] })
})

const leaseSeconds = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, maximum: 43_200, description })

const Retry = object({
  strategy: maybe(
    Type.Enum(['exponential', 'linear', 'fixed'], {
      description: 'How the delay grows: it doubles, it adds, or it stays.',
      default: 'exponential'
    })
  ),
  delaySeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: yearSeconds,
      description: 'Delay after the first failed attempt.',
      default: 1
    })
  ),
  maxDelaySeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: yearSeconds,
      description: 'No delay is longer than this.',
      default: 3600
    })
  ),
  jitter: maybe(
    Type.Boolean({
      description:
        'Adds up to as much again, at random, so that messages that failed together do not come back ' +
        'together.',
      default: true
    })
  )
})

export const SettingsChange = object(
  {
    leaseSeconds: maybe(leaseSeconds('How long a lease lasts when the call does not say. Default 30.')),
    maxAttempts: maybe(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description: 'After this many leases that ended badly a message is dead. Default 5.'
      })
    ),
    retry: maybe(Retry),
    retentionSeconds: maybe(
      Type.Number({
        minimum: 1,
        maximum: 10 * yearSeconds,
        description: 'How long after its enqueue a message is kept, in any state. Default 1209600 (14 days).'
      })
    ),
    dedupSeconds: maybe(
      Type.Number({
        minimum: 0,
        maximum: yearSeconds,
        description: 'How long an idempotency key stands for its message. Default 86400 (a day).'
      })
    ),
    maxDepth: maybe(
      Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000_000 }), Type.Null()], {
        description:
          'At most this many ready, delayed and leased messages, exact to about a second of traffic. ' +
          'Default null: no bound.'
      })
    ),
    paused: maybe(
      Type.Boolean({ description: 'While true, leases give nothing and enqueues go on. Default false.' })
    ),
    keepAckedSeconds: maybe(
      Type.Number({
        minimum: 0,
        maximum: yearSeconds,
        description:
          'How long an acked message can still be looked at. Default 0: it is removed with the ack.'
      })
    )
  },
  {
    examples: [
      {
        leaseSeconds: 30,
        maxAttempts: 5,
        retry: { strategy: 'exponential', delaySeconds: 1 },
        keepAckedSeconds: 3600
      }
    ]
  }
)

export const QueueReport = Type.Object(
  {
    queue: QueueName,
    settings: Type.Object({
      leaseSeconds: Type.Number(),
      maxAttempts: Type.Integer(),
      retry: Type.Object({
        strategy: Type.String(),
        delaySeconds: Type.Number(),
        maxDelaySeconds: Type.Number(),
        jitter: Type.Boolean()
      }),
      retentionSeconds: Type.Number(),
      dedupSeconds: Type.Number(),
      maxDepth: Type.Union([Type.Integer(), Type.Null()]),
      paused: Type.Boolean(),
      keepAckedSeconds: Type.Number()
    }),
    counts: Type.Object({
      ready: Type.Integer(),
      delayed: Type.Integer(),
      leased: Type.Integer(),
      dead: Type.Integer(),
      acked: Type.Integer({ description: 'Kept acked messages.' })
    }),
    reliability: Type.Union([Type.Number(), Type.Null()], {
      description:
        'acked / (acked + dead + expired) since the queue was made: of the messages that came to an ' +
        'end, the share whose work was done. Dead ones count until they are redriven; null ' +
        'before the first end.'
    }),
    oldestReadySeconds: Type.Union([Type.Number(), Type.Null()], {
      description:
        'Age since its enqueue of the oldest message at the head of a priority; null when none is ready.'
    }),
    createdAt: time('When the queue was made.'),
    updatedAt: time('When its settings last changed.')
  },
  { description: 'The queue.' }
)

export const QueueList = Type.Object(
  {
    queues: Type.Array(QueueReport),
    cursor: Type.Union([Type.String(), Type.Null()], {
      description: 'Send it to get the next page; null at the end.'
    })
  },
  { description: 'A page of queues, by name.' }
)

const steps = (description: string) => Type.Array(Type.Number(), { description })
const gaps = (description: string) => Type.Array(Type.Union([Type.Number(), Type.Null()]), { description })
export const Series = Type.Object(
  {
    queue: QueueName,
    stepSeconds: Type.Integer(),
    at: Type.Array(Type.Integer(), {
      description:
        'The ends of the steps, in seconds since the epoch, the oldest first; every other list has ' +
        'an element for each.'
    }),
    ready: gaps('Messages at the end of the step; null before the queue was made.'),
    delayed: gaps('As ready.'),
    leased: gaps('As ready.'),
    dead: gaps('As ready.'),
    enqueuedPerSecond: steps('Messages stored in the step.'),
    ackedPerSecond: steps('Messages acked.'),
    failedPerSecond: steps('Attempts that ended badly: by a fail, or because the lease ran out.'),
    waitSecondsP50: gaps(
      'From the enqueue to the lease, of the messages leased in the step: half of them waited no ' +
        'longer. Messages that were delayed or came back (retried, released, redriven) are ' +
        'left out, since it is not known when they became ready. Read from buckets that ' +
        'double, so within a factor of two. null: none was leased.'
    ),
    waitSecondsP95: gaps('As waitSecondsP50, for 95 of a hundred.'),
    workSecondsP50: gaps(
      'From the lease to the ack, of the messages acked in the step: half took no longer. Of those ' +
        'that one replica has both leased and acked, and of a flush that leased more than ' +
        'eight, of eight. Also from buckets.'
    ),
    workSecondsP95: gaps('As workSecondsP50, for 95 of a hundred.')
  },
  { description: 'The last hour.' }
)

const cursor = maybe(Type.String({ minLength: 1, maxLength: 200, description: 'From the page before.' }))
const limit = maybe(Type.Integer({ minimum: 1, maximum: 1000, default: 100 }))
export const PageQuery = object({ limit, cursor })
export const StateName = Type.Enum(['ready', 'delayed', 'leased', 'dead', 'acked'], {
  description: 'A message state.'
})
const filter = {
  contains: maybe(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: storableText,
      description:
        'A piece of the body, in the case given, as the body was sent: escapes in JSON are compared ' +
        'as written. A body stored as bytes never matches.'
    })
  ),
  reason: maybe(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: storableText,
      description: "A piece of the last failure's reason, in the case given."
    })
  ),
  enqueuedAfter: maybe(time('Enqueued at this time or later.')),
  enqueuedBefore: maybe(time('Enqueued before this time.'))
}
export const BrowseQuery = object({ state: maybe(StateName), ...filter, limit, cursor })
export const WaitQuery = object({
  waitSeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: 60,
      description: 'Wait so long for the message to be acked, dead or gone. Needs keepAckedSeconds > 0.'
    })
  )
})

const options = {
  priority: maybe(
    Type.Integer({ minimum: 0, maximum: 9, description: `Higher goes first. Default ${priorityDefault}.` })
  ),
  delaySeconds: maybe(
    Type.Number({
      minimum: 0,
      maximum: yearSeconds,
      description: 'Not leased before so long. Not together with visibleAt.'
    })
  ),
  visibleAt: maybe(time('Not leased before this time, at most a year ahead.')),
  ttlSeconds: maybe(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 10 * yearSeconds,
      description: 'Removed if nobody leased it for so long.'
    })
  ),
  maxAttempts: maybe(Type.Integer({ minimum: 1, maximum: 1000, description: "Instead of the queue's." }))
}
const IdempotencyKey = Type.String({
  pattern: '^[ -~]{1,255}$',
  description:
    'The same key with the same content within dedupSeconds is the same message. 1 to 255 printable ' +
    'ASCII characters.'
})

const givenBody = Type.Unsafe<unknown>({
  description:
    'Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.'
})
const givenHeaders = Type.Record(Type.String(), Type.String({ maxLength: 4096, pattern: storableText }), {
  maxProperties: 64,
  propertyNames: { minLength: 1, maxLength: 256, pattern: storableText },
  description: 'Strings that travel beside the body: up to 64 of up to 4096 characters.'
})

export const Message = object(
  {
    body: givenBody,
    headers: maybe(givenHeaders),
    ...options,
    idempotencyKey: maybe(IdempotencyKey)
  },
  { title: 'Message' }
)
export type MessageInput = Static<typeof Message>

export const MessageList = object(
  {
    messages: Type.Array(Message, { minItems: 1, maxItems: listMax, description: 'All are stored, or none.' })
  },
  { title: 'Message list' }
)
export const EnqueueQuery = object({ ...options, idempotencyKey: maybe(IdempotencyKey) })
export const EnqueueHeaders = Type.Object({ 'idempotency-key': maybe(IdempotencyKey) })

export const Enqueued = Type.Object({
  id,
  duplicate: maybe(
    Type.Literal(true, { description: 'The key stood for this message already; nothing was stored.' })
  )
})
export const EnqueueAnswer = Type.Union([Enqueued, Type.Object({ messages: Type.Array(Enqueued) })], {
  description:
    'Committed: the id, or for a list the ids in the order given. 200 when nothing new was stored, ' +
    'because the idempotency keys stood for these messages already.'
})

const receipt = Type.String({ minLength: 1, maxLength: 200, description: 'From the lease.' })

const leaseOptions = {
  max: maybe(Type.Integer({ minimum: 1, maximum: 1000, description: 'Take at most so many. Default 1.' })),
  waitSeconds: maybe(
    Type.Number({ minimum: 0, maximum: 60, description: 'Wait so long for the first one. Default 0.' })
  ),
  leaseSeconds: maybe(leaseSeconds("Instead of the queue's.")),
  worker: maybe(
    Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: storableText,
      description: 'Who asks, for the history. Default: the User-Agent.'
    })
  ),
  idempotencyKey: maybe(
    Type.String({
      pattern: '^[ -~]{1,255}$',
      description:
        'The same one again while those leases last brings the same messages and receipts, for when ' +
        'the answer was lost. 1 to 255 printable ASCII characters.'
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
          'Ack these first, in the same commit, or before it where the `idempotencyKey` has been ' +
          'used before; it never waits.'
      })
    )
  },
  { examples: [{ max: 1, waitSeconds: 5, worker: 'me' }] }
)
export const LeaseQuery = object({
  ...leaseOptions,
  ack: maybe(Type.String({ minLength: 1, maxLength: 200, description: 'One receipt to ack first.' }))
})

const AnyBody = Type.Unsafe<unknown>({
  description: 'JSON as it was sent, or other text in UTF-8 as a string.'
})
const LastFailure = Type.Object({
  attempt: Type.Integer(),
  reason: Type.Union([Type.String(), Type.Null()]),
  at: time('When the attempt ended.')
})
const Headers = Type.Record(Type.String(), Type.String())

export const Outcome = Type.Object({
  receipt: maybe(Type.String()),
  outcome: Type.Enum(['acked', 'retrying', 'dead', 'extended', 'released', 'gone', 'leaseLost']),
  visibleAt: maybe(time('retrying: when the message is ready again.')),
  leaseExpiresAt: maybe(time('extended: when the lease ends now.'))
})
export const Leased = Type.Object(
  {
    messages: Type.Array(
      Type.Object({
        id,
        receipt: Type.String({ description: 'The proof of this lease. Settle with it.' }),
        fence: Type.Integer({
          description:
            'Rises with every lease of this message: store it beside your effect and refuse a smaller one.'
        }),
        attempt: Type.Integer({
          description: 'Counts the leases of this message from 1, released ones left out.'
        }),
        maxAttempts: Type.Integer(),
        body: maybe(AnyBody),
        bodyBase64: maybe(
          Type.String({ description: 'Instead of body, where the bytes are not text in UTF-8.' })
        ),
        contentType: Type.String(),
        headers: Headers,
        priority: Type.Integer(),
        enqueuedAt: time('When it was stored.'),
        leaseExpiresAt: time('When the lease ends.'),
        lastFailure: maybe(LastFailure)
      })
    ),
    outcomes: maybe(
      Type.Array(Outcome, {
        description: 'Of the receipts in `ack`, in the order given; there when `ack` was.'
      })
    )
  },
  { description: 'The messages, now leased; an empty list when none came in time.' }
)

const delaySeconds = maybe(
  Type.Number({
    minimum: 0,
    maximum: yearSeconds,
    description: "Retry after so long, instead of the queue's delay. 0: at once."
  })
)
const reason = maybe(
  Type.String({ maxLength: 4096, pattern: storableText, description: 'Why, for the history.' })
)
const dead = maybe(Type.Boolean({ description: 'true: no further attempt.' }))

const Receipt = object({ receipt })
const Failure = object({ receipt, reason, delaySeconds, dead })
const Extension = object({
  receipt,
  leaseSeconds: leaseSeconds('The lease ends so long from now; it may end sooner than before.')
})
const many = (name: string, item: TSchema) =>
  object({ [name]: Type.Array(item, { minItems: 1, maxItems: listMax }) })

/** The settling verbs: the shape for one receipt, the shape for many, and the name of the list. */
export const Settle = {
  ack: { one: Receipt, many: many('receipts', receipt), list: 'receipts' },
  fail: { one: Failure, many: many('failures', Failure), list: 'failures' },
  extend: { one: Extension, many: many('extensions', Extension), list: 'extensions' },
  release: { one: Receipt, many: many('receipts', receipt), list: 'receipts' }
} as const

export const SettleAnswer = Type.Union([Outcome, Type.Object({ outcomes: Type.Array(Outcome) })], {
  description: 'Committed: what became of it, or for a list of each in the order given.'
})

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
export const MessagePage = Type.Object(
  {
    messages: Type.Array(Type.Object(view)),
    cursor: Type.Union([Type.String(), Type.Null()], {
      description: 'A page may be short, or empty, and still have one; null at the end.'
    })
  },
  { description: 'A page of messages, by id.' }
)
export const MessageDetail = Type.Object(
  {
    ...view,
    lease: maybe(
      Type.Object({ worker: Type.String(), leasedAt: time('Since when.'), expiresAt: time('Until when.') })
    ),
    history: Type.Array(
      Type.Object({
        attempt: Type.Integer(),
        worker: Type.Union([Type.String(), Type.Null()]),
        leasedAt: Type.Union([time('Since when.'), Type.Null()]),
        endedAt: time('Until when.'),
        outcome: Type.Enum(['failed', 'expired', 'released']),
        reason: maybe(Type.String())
      }),
      { description: 'Each attempt that ended badly, the oldest first; at most the last 1000.' }
    )
  },
  { description: 'The message.' }
)

export const Explanation = Type.Object(
  {
    id,
    state: StateName,
    reasons: Type.Array(
      Type.Object({
        code: Type.Enum(
          ['delayed', 'backingOff', 'paused', 'leased', 'behind', 'noConsumer', 'dead', 'acked', 'next'],
          { description: 'next: nothing hinders it.' }
        ),
        detail: Type.String({ description: 'A sentence for a person.' }),
        until: maybe(time('leased, delayed, backingOff: when that ends; acked: how long it is kept.')),
        worker: maybe(Type.String({ description: 'leased: who holds it.' })),
        ahead: maybe(
          Type.Integer({
            description:
              'behind: how many ready messages come before it. Counted among the 10,000 before it, ' +
              'leased ones not; detail says when there are more.'
          })
        ),
        lastAskedAt: maybe(
          time(
            'noConsumer: when a lease was last asked for, on this replica or, up to half a minute ' +
              'ago, on another. Left out: never.'
          )
        )
      }),
      { description: 'What to mend first comes first.' }
    )
  },
  { description: 'Why the message is where it is.' }
)

const selection = {
  ids: maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: 18, pattern: '^\\d+$' }), {
      minItems: 1,
      maxItems: listMax,
      description: 'Only these.'
    })
  ),
  where: maybe(object(filter, { minProperties: 1, description: 'Only those for which all of this is so.' })),
  limit: maybe(Type.Integer({ minimum: 1, description: 'At most so many, the lowest ids first.' })),
  dryRun: maybe(
    Type.Boolean({ description: 'true: nothing is changed; the answer says how many there are.' })
  )
}
const Matched = Type.Object({
  matched: Type.Integer({ description: 'Of a dry run: how many would be changed at this moment.' }),
  more: maybe(Type.Literal(true, { description: 'There was no time to look at all: so many, or more.' }))
})
export const PurgeRequest = object({ state: maybe(StateName), ...selection }, { examples: [{}] })
export const PurgeAnswer = Type.Union([Type.Object({ purged: Type.Integer() }), Matched], {
  description: 'How many were removed.'
})
export const RedriveRequest = object(selection, { examples: [{ limit: 100 }] })
export const RedriveAnswer = Type.Union([Type.Object({ redriven: Type.Integer() }), Matched], {
  description: 'How many became ready.'
})
export const RetryRequest = object(selection, { examples: [{ limit: 100 }] })
export const RetryAnswer = Type.Union([Type.Object({ retried: Type.Integer() }), Matched], {
  description: 'How many became ready.'
})

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'From a closed list; docs/errors.md has a heading for each.' }),
    requestId: Type.String(),
    errors: maybe(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
    outcome: maybe(
      Type.Enum(['none', 'unknown'], { description: 'On every 5xx: nothing happened, or it is not known.' })
    )
  },
  { $id: 'Problem', title: 'Problem' }
)

const rate = (what: string) =>
  Type.Union([Type.Number({ exclusiveMinimum: 0, maximum: rateMax }), Type.Null()], {
    description:
      `${what} a second, a second's worth at once, counted by each replica for itself. ` +
      'Default null: no bound.'
  })
const keyFields = {
  name: Type.String({
    pattern: keyNamePattern,
    description: 'Who uses it, for people. 1 to 128 characters.',
    examples: ['mail worker']
  }),
  rights: Type.Array(Type.String({ pattern: rightPattern }), {
    minItems: 1,
    maxItems: 100,
    examples: [['lease:mail', 'enqueue:orders-*']],
    description:
      'An action on a queue (`lease:mail`), on all whose name begins so (`enqueue:orders-*`), or on ' +
      'all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage` ' +
      '(settings, purge, redrive, retry, cancel, delete); `admin`, alone, is everything, ' +
      'keys too.'
  })
}
const rates = { requestsPerSecond: rate('Requests'), messagesPerSecond: rate('Messages enqueued and leased') }
export const KeyRequest = object({
  ...keyFields,
  requestsPerSecond: maybe(rates.requestsPerSecond),
  messagesPerSecond: maybe(rates.messagesPerSecond)
})
const ApiKeyInfo = Type.Object({
  id: Type.String({ description: 'Names the key; it is part of it, and no secret.' }),
  ...keyFields,
  ...rates,
  createdAt: time('When it was made.')
})
export const KeyMade = Type.Object(
  {
    ...ApiKeyInfo.properties,
    secret: Type.String({
      description: 'The key. Send it as `Authorization: Bearer …`; it cannot be shown again.'
    })
  },
  { description: 'The new key.' }
)
export const KeyList = Type.Object({ keys: Type.Array(ApiKeyInfo) }, { description: 'The keys.' })
export const KeyParams = object({ id: Type.String({ description: 'The id of the key.' }) })

export const ScheduleParams = object({
  schedule: Type.String({
    pattern: scheduleNamePattern,
    description: 'The schedule. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit.',
    examples: ['nightly-report']
  })
})
const scheduleTimes = {
  cron: Type.String({
    maxLength: 200,
    description:
      'Minute, hour, day of the month, month, weekday; or @hourly @daily @weekly @monthly @yearly. ' +
      'Not finer than a minute.',
    examples: ['30 6 * * 1-5']
  }),
  timezone: Type.String({
    minLength: 1,
    maxLength: 64,
    description: 'Whose clock it follows: a name of the IANA database. Default UTC.',
    examples: ['Europe/London']
  })
}
const scheduleSettings = {
  priority: Type.Integer({
    minimum: 0,
    maximum: 9,
    description: `Of its messages. Higher goes first. Default ${priorityDefault}.`
  }),
  paused: Type.Boolean({
    description: 'While true it is not due; what that passes over is not made up for. Default false.'
  }),
  missed: Type.Enum(['once', 'skip'], {
    description:
      'When it was due for more than a minute and nothing ran: one message for all that was missed, ' +
      'or none. Default once.'
  })
}
export const ScheduleChange = object(
  {
    queue: maybe(QueueName),
    cron: maybe(scheduleTimes.cron),
    timezone: maybe(scheduleTimes.timezone),
    body: maybe(givenBody),
    headers: maybe(givenHeaders),
    priority: maybe(scheduleSettings.priority),
    paused: maybe(scheduleSettings.paused),
    missed: maybe(scheduleSettings.missed)
  },
  {
    examples: [{ queue: 'mail', cron: '30 6 * * 1-5', timezone: 'Europe/London', body: { report: 'daily' } }]
  }
)
const scheduleView = {
  name: Type.String(),
  queue: QueueName,
  ...scheduleTimes,
  ...scheduleSettings,
  nextRuns: Type.Array(time('A time at which it is due.'), {
    description: 'The next times, five at most; in a list the next one alone; none while it is paused.'
  }),
  lastRun: Type.Union(
    [
      Type.Object({
        at: time('When it was due; of several that were missed, the first.'),
        firedAt: time('When that was seen to.'),
        outcome: Type.Enum(['enqueued', 'skipped', 'queueNotFound', 'queueFull', 'invalidSchedule'], {
          description: 'What became of it.'
        }),
        messageId: maybe(id)
      }),
      Type.Null()
    ],
    {
      description:
        'What became of the last time at which it was due; null before the first. A run by hand is ' +
        'not told here.'
    }
  ),
  createdAt: time('When it was made.'),
  updatedAt: time('When it was last changed.')
}
export const Schedule = Type.Object(
  { ...scheduleView, body: AnyBody, headers: Headers },
  { description: 'The schedule.' }
)
export const ScheduleList = Type.Object(
  {
    schedules: Type.Array(Type.Object(scheduleView)),
    cursor: Type.Union([Type.String(), Type.Null()], {
      description: 'Send it to get the next page; null at the end.'
    })
  },
  { description: 'A page of schedules, by name, without their messages.' }
)
export const RunRequest = object({ idempotencyKey: maybe(IdempotencyKey) }, { examples: [{}] })
