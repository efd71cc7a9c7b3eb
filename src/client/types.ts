/** What goes over the wire. npm run generate makes it from src/fronts/rest/contract. */

export interface NewMessage {
  /**
   * Any JSON. A lease returns it exactly as it was sent, with its digits, duplicate names and
   * escapes.
   */
  body: unknown
  /** Strings that go with the body: up to 64, each of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Messages with a higher priority are leased first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /**
   * The message is removed this long after its enqueue. If a worker holds it then, the lease ends
   * first.
   */
  ttlSeconds?: number | undefined
  /**
   * The message is dead after this many failed attempts. Default: the maxAttempts of the queue.
   */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and turns: 1 to 128 characters, none of them a control
   * character.
   */
  group?: string | undefined
  /**
   * Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is
   * the same message. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** Keeps the queue from storing a second message while an earlier one holds the same key. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key. settled (the default): until it is acked, dead,
     * cancelled, purged or expired. leased: until its first lease.
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key. keep (the default): it stays as it is.
     * replace: it gets the content and the options of this one, unless it is leased.
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
}

export interface NextMessage {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  /**
   * Any JSON. A lease returns it exactly as it was sent, with its digits, duplicate names and
   * escapes.
   */
  body: unknown
  /** Strings that go with the body: up to 64, each of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Messages with a higher priority are leased first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /**
   * The message is removed this long after its enqueue. If a worker holds it then, the lease ends
   * first.
   */
  ttlSeconds?: number | undefined
  /**
   * The message is dead after this many failed attempts. Default: the maxAttempts of the queue.
   */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and turns: 1 to 128 characters, none of them a control
   * character.
   */
  group?: string | undefined
  /**
   * Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is
   * the same message. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** Keeps the queue from storing a second message while an earlier one holds the same key. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key. settled (the default): until it is acked, dead,
     * cancelled, purged or expired. leased: until its first lease.
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key. keep (the default): it stays as it is.
     * replace: it gets the content and the options of this one, unless it is leased.
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
}

export interface RawOptions {
  /** Messages with a higher priority are leased first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /**
   * The message is removed this long after its enqueue. If a worker holds it then, the lease ends
   * first.
   */
  ttlSeconds?: number | undefined
  /**
   * The message is dead after this many failed attempts. Default: the maxAttempts of the queue.
   */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and turns: 1 to 128 characters, none of them a control
   * character.
   */
  group?: string | undefined
  /**
   * Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is
   * the same message. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255 printable
   * ASCII characters.
   */
  uniqueKey?: string | undefined
  /**
   * How long the message holds the key. settled (the default): until it is acked, dead, cancelled,
   * purged or expired. leased: until its first lease.
   */
  uniqueUntil?: 'settled' | 'leased' | undefined
  /**
   * What becomes of the message that holds the key. keep (the default): it stays as it is. replace:
   * it gets the content and the options of this one, unless it is leased.
   */
  uniqueOnConflict?: 'keep' | 'replace' | undefined
}

/** The id of the message, and what became of its keys. */
export interface Enqueued {
  /** The id of a message. */
  id: string
  /** A key already stood for this message, so nothing was stored. */
  duplicate?: true | undefined
  /** This message held the unique key. It now has the new content and options. */
  replaced?: true | undefined
}

export interface LeaseRequest {
  /** Take at most this many. Default 1. */
  max?: number | undefined
  /** Wait this long for the first message. Default: the queue's waitSeconds. */
  waitSeconds?: number | undefined
  /** How long the leases last. Default: the leaseSeconds of the queue. */
  leaseSeconds?: number | undefined
  /** The name of the worker, for the history. Default: the User-Agent. */
  worker?: string | undefined
  /**
   * Makes the call safe to repeat: while its leases last, the same key gives the same messages and
   * receipts again. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * Messages to ack before the lease, in the same commit. The acks are a commit of their own where
   * an ack has a `result` or a `then`, and where the queue has limits per group. So are those of an
   * `idempotencyKey` that has been used before. Acks never wait for messages. If the lease fails
   * after them, the answer has the outcomes and no messages. With an `idempotencyKey` it is 503
   * `outcomeUnknown`.
   */
  ack?: Array<string | {
    /** The receipt from the lease. */
    receipt: string
    /**
     * What came of the work: any JSON of up to 65536 bytes. The message shows it, exactly as it was
     * sent, for keepAckedSeconds. If keepAckedSeconds is 0, the result is dropped.
     */
    result?: unknown
    /**
     * Messages to enqueue in the commit of the ack, in any queues. They are enqueued only if this
     * ack removes the message. At most 1000 in a request.
     */
    then?: Array<NextMessage> | undefined
  }> | undefined
}

export interface LeasedMessage {
  /** The id of a message. */
  id: string
  /** The proof of this lease. Send it to settle the message. */
  receipt: string
  /**
   * Rises with every lease of the message. Store the fence with your effect, and refuse a smaller
   * one.
   */
  fence: number
  /** The number of this attempt, from 1. Released leases do not count. */
  attempt: number
  /** The message is dead after this many failed attempts. null: it is tried without end. */
  maxAttempts: number | null
  /** The body: JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  /** The body in base64, if it is neither JSON nor text in UTF-8. */
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** When the lease ends. RFC 3339, UTC. */
  leaseExpiresAt: string
  lastFailure?: LastFailure | undefined
  /** Where a message in a dead-letter queue died. In a chain of them, the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which the message was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
}

/** The leased messages. An empty list: none came in time. */
export interface Leased {
  messages: Array<LeasedMessage>
  /** What became of the receipts in `ack`, in the order given. Missing without `ack`. */
  outcomes?: Array<Outcome> | undefined
  /**
   * Comes with messages of an ordered queue. group: work on the messages of a group in the order of
   * the list. queue: on all of them. If one fails, release those after it.
   */
  ordering?: 'group' | 'queue' | undefined
}

export interface Ack {
  /** The receipt from the lease. */
  receipt: string
  /**
   * What came of the work: any JSON of up to 65536 bytes. The message shows it, exactly as it was
   * sent, for keepAckedSeconds. If keepAckedSeconds is 0, the result is dropped.
   */
  result?: unknown
  /**
   * Messages to enqueue in the commit of the ack, in any queues. They are enqueued only if this ack
   * removes the message. At most 1000 in a request.
   */
  then?: Array<NextMessage> | undefined
}

export interface Failure {
  /** The receipt from the lease. */
  receipt: string
  /** Why the work failed, for the history. NUL and half a surrogate pair become U+FFFD. */
  reason?: string | undefined
  /** Retry after this delay, instead of the queue's delay. 0: at once. */
  delaySeconds?: number | undefined
  /** true: the message is dead, without a further attempt. */
  dead?: boolean | undefined
}

export interface Extension {
  /** The receipt from the lease. */
  receipt: string
  /** The lease ends this long from now, which may be sooner than before. */
  leaseSeconds: number
}

export interface Followed {
  queue: string
  /** The id of a message. */
  id: string
  /** A key already stood for this message, so nothing was stored. */
  duplicate?: true | undefined
  /** This message held the unique key. It now has the new content and options. */
  replaced?: true | undefined
}

/** The work is done. The message is removed, or kept for keepAckedSeconds. */
export interface OutcomeAcked {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'acked'
  /** The messages that this ack enqueued, in the order given. Missing without a `then`. */
  then?: Array<Followed> | undefined
}

/** The attempt failed, and the message is tried again. */
export interface OutcomeRetrying {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'retrying'
  /** When the message is ready again. RFC 3339, UTC. */
  visibleAt: string
}

/** The attempt failed, and the message is not tried again. */
export interface OutcomeDead {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'dead'
  /** The dead-letter queue to which the message went. */
  movedTo?: string | undefined
}

/** The lease has a new end. */
export interface OutcomeExtended {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'extended'
  /** The new end of the lease. RFC 3339, UTC. */
  leaseExpiresAt: string
}

/** The message is ready again, and the attempt does not count. */
export interface OutcomeReleased {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'released'
}

/** The message is gone: it was acked or purged, has expired, or has moved. */
export interface OutcomeGone {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'gone'
}

/** The message was leased again, or its lease has ended. Nothing was changed. */
export interface OutcomeLeaseLost {
  /** Only in the answer to a list. */
  receipt?: string | undefined
  outcome: 'leaseLost'
}

export type Outcome =
  | OutcomeAcked
  | OutcomeRetrying
  | OutcomeDead
  | OutcomeExtended
  | OutcomeReleased
  | OutcomeGone
  | OutcomeLeaseLost

export interface BrowseQuery {
  /**
   * Only messages in this state: ready, delayed, leased, dead, acked. Left out: messages in every
   * state but acked. Kept acked ones come with acked alone.
   */
  state?: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked' | undefined
  /**
   * The body, as it was sent, contains this text. Case counts, and escapes in JSON stay escapes. A
   * body stored as bytes never matches.
   */
  contains?: string | undefined
  /** The reason of the last failure contains this text. Case counts. */
  reason?: string | undefined
  /** Enqueued at this time or later. RFC 3339, UTC. */
  enqueuedAfter?: string | undefined
  /** Enqueued before this time. RFC 3339, UTC. */
  enqueuedBefore?: string | undefined
  /** The message has this group. */
  group?: string | undefined
  limit?: number | undefined
  /** The cursor of the page before. */
  cursor?: string | undefined
}

export interface LastFailure {
  attempt: number
  reason: string | null
  /** When the attempt ended. RFC 3339, UTC. */
  at: string
}

/** Where a message in a dead-letter queue died. In a chain of them, the first queue. */
export interface Origin {
  queue: string
  /** When the message died there. RFC 3339, UTC. */
  diedAt: string
  /** The reason of its last failure there. */
  reason: string | null
  /** How many attempts were made there. */
  attempts: number
}

export interface BrowsedMessage {
  /** The id of a message. */
  id: string
  /** The state of a message. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** The body: JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  attempt: number
  /** The message is dead after this many failed attempts. null: it is tried without end. */
  maxAttempts: number | null
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** delayed: when it is ready. RFC 3339, UTC. */
  visibleAt?: string | undefined
  lastFailure?: LastFailure | undefined
  /** Where a message in a dead-letter queue died. In a chain of them, the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which the message was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
}

/** A page of messages, by id. */
export interface MessagePage {
  messages: Array<BrowsedMessage>
  /**
   * Send it to get the next page. null: this is the last page. A short or empty page may have a
   * cursor.
   */
  cursor: string | null
}

/** The message. */
export interface MessageDetail {
  /** The id of a message. */
  id: string
  /** The state of a message. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** The body: JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  attempt: number
  /** The message is dead after this many failed attempts. null: it is tried without end. */
  maxAttempts: number | null
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** delayed: when it is ready. RFC 3339, UTC. */
  visibleAt?: string | undefined
  lastFailure?: LastFailure | undefined
  /** Where a message in a dead-letter queue died. In a chain of them, the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which the message was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
  /** The unique key that the message holds, and how long. */
  unique?: {
    key: string
    until: 'settled' | 'leased'
  } | undefined
  lease?: {
    worker: string
    /** When the lease began. RFC 3339, UTC. */
    leasedAt: string
    /** When the lease ends. RFC 3339, UTC. */
    expiresAt: string
  } | undefined
  /** The result that the ack gave, exactly as it was sent. */
  result?: unknown
  /**
   * Attempts that failed, expired or were released, oldest first: the last 1000, as far as their
   * reasons together have at most 256 KiB.
   */
  history: Array<{
    /** The queue in which the attempt was made. */
    queue: string
    attempt: number
    worker: string | null
    leasedAt: string | null
    /** When the attempt ended. RFC 3339, UTC. */
    endedAt: string
    outcome: 'failed' | 'expired' | 'released'
    reason?: string | undefined
  }>
  /**
   * The message died here and went to this dead-letter queue. It is shown as it was when it died.
   */
  movedTo?: string | undefined
}

/** Why the message is where it is. */
export interface Explanation {
  /** The id of a message. */
  id: string
  /** The state of a message. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** What to fix first comes first. */
  reasons: Array<{
    /** Why the message is where it is. */
    code:
      | 'delayed'
      | 'backingOff'
      | 'paused'
      | 'pushSlowed'
      | 'maxLeased'
      | 'maxLeasedPerGroup'
      | 'rate'
      | 'ratePerGroup'
      | 'leased'
      | 'behind'
      | 'groupBlocked'
      | 'turn'
      | 'noConsumer'
      | 'deadLetter'
      | 'dead'
      | 'acked'
      | 'next'
    /** A sentence for a person. */
    detail: string
    /**
     * leased, delayed, backingOff: when that ends. rate, ratePerGroup: when the next lease is
     * given. pushSlowed: when the next delivery is tried. acked: how long the message is kept. RFC
     * 3339, UTC.
     */
    until?: string | undefined
    /** leased: who holds it. */
    worker?: string | undefined
    /**
     * behind: how many ready messages come before it, leased ones left out. Counted up to 10,000.
     * detail says whether there are more.
     */
    ahead?: number | undefined
    /** groupBlocked: the message of its group that goes first. */
    by?: {
      /** The id of a message. */
      id: string
      /** The state of a message. */
      state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
    } | undefined
    /**
     * noConsumer: when somebody last asked for messages. Calls to other replicas are known up to
     * half a minute late. Missing: never. RFC 3339, UTC.
     */
    lastAskedAt?: string | undefined
  }>
}

export interface QueueSettings {
  /**
   * How long a lease lasts when the call does not say. The workers of the clients always say it.
   * Default 30.
   */
  leaseSeconds?: number | undefined
  /**
   * A message is dead after this many failed attempts. null: it is tried without end. Default 5.
   */
  maxAttempts?: number | null | undefined
  retry?: {
    /**
     * How the retry delay grows with each attempt: it doubles (exponential), grows by the same
     * amount (linear), or stays (fixed). Default exponential.
     */
    strategy?: 'exponential' | 'linear' | 'fixed' | undefined
    /** The delay after the first failed attempt. Default 1. */
    delaySeconds?: number | undefined
    /** The longest retry delay, the random time included. Default 3600. */
    maxDelaySeconds?: number | undefined
    /**
     * Adds a random time to each retry delay, up to its length. So messages that failed together do
     * not come back together. Default true.
     */
    jitter?: boolean | undefined
  } | undefined
  /** The delay of a message that is enqueued without delaySeconds and visibleAt. Default 0. */
  delaySeconds?: number | undefined
  /**
   * The time to live of a message that is enqueued without ttlSeconds. null: only retentionSeconds
   * counts. Default null.
   */
  ttlSeconds?: number | null | undefined
  /** How long a lease waits for the first message when the call does not say. Default 0. */
  waitSeconds?: number | undefined
  /**
   * How long a message is kept after its enqueue, in any state but acked. A lease under way is
   * finished first. Default 1209600 (14 days).
   */
  retentionSeconds?: number | undefined
  /** How long an idempotency key stands for its message. Default 86400 (1 day). */
  dedupSeconds?: number | undefined
  /**
   * The queue takes at most this many ready, delayed and leased messages. Messages stored at the
   * same moment can pass the bound. null: no bound. Default null.
   */
  maxDepth?: number | null | undefined
  /** The queue takes no message with a larger body. Default 1048576. */
  messageBytesMax?: number | undefined
  /** While true, leases give nothing and enqueues go on. Default false. */
  paused?: boolean | undefined
  /**
   * group: the messages of a group are leased one after another, in the order of their enqueues.
   * queue: all messages of the queue are. Can change only while the queue holds no message. Default
   * none.
   */
  ordering?: 'none' | 'group' | 'queue' | undefined
  /**
   * group: groups take turns, so a flood of one group delays no other. Priorities count within a
   * group. Not allowed with the ordering queue. A message keeps the fairness that it was enqueued
   * with. Default none.
   */
  fairness?: 'none' | 'group' | undefined
  /**
   * At most this many messages are leased at one time, over all replicas. null: no bound. Default
   * null.
   */
  maxLeased?: number | null | undefined
  /**
   * At most this many messages of a group are leased at one time, over all replicas. Without an
   * order, groups then take turns. null: no bound. Default null.
   */
  maxLeasedPerGroup?: number | null | undefined
  /**
   * At most this many messages are leased in a period, over all replicas: in t seconds never more
   * than burst + messages × t / perSeconds. Without burst, it equals messages. null: no bound.
   * Default null.
   */
  rate?: {
    /** Messages per period. */
    messages: number
    /** The length of the period. */
    perSeconds: number
    /** How many messages may be leased at once after a pause. Default: as many as messages. */
    burst?: number | undefined
  } | null | undefined
  /**
   * At most this many messages of each group are leased in a period, by the same formula as rate.
   * Without an order, groups then take turns. null: no bound. Default null.
   */
  ratePerGroup?: {
    /** Messages per period. */
    messages: number
    /** The length of the period. */
    perSeconds: number
    /** How many messages may be leased at once after a pause. Default: as many as messages. */
    burst?: number | undefined
  } | null | undefined
  /** How long an acked message can still be read. 0: the ack removes it. Default 0. */
  keepAckedSeconds?: number | undefined
  /**
   * The queue to which a message moves when it dies, in the same commit. null: it stays here.
   * Default null.
   */
  deadLetterQueue?: string | null | undefined
  /** Notes for people, by name. A change replaces all of them. Default {}. */
  tags?: Record<string, string> | undefined
}

/** The queue. */
export interface QueueReport {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  settings: {
    leaseSeconds: number
    maxAttempts: number | null
    retry: {
      strategy: string
      delaySeconds: number
      maxDelaySeconds: number
      jitter: boolean
    }
    delaySeconds: number
    ttlSeconds: number | null
    waitSeconds: number
    retentionSeconds: number
    dedupSeconds: number
    maxDepth: number | null
    messageBytesMax: number
    paused: boolean
    ordering: string
    fairness: string
    maxLeased: number | null
    maxLeasedPerGroup: number | null
    rate: {
      /** Messages per period. */
      messages: number
      /** The length of the period. */
      perSeconds: number
      /** How many messages may be leased at once after a pause. Default: as many as messages. */
      burst?: number | undefined
    } | null
    ratePerGroup: {
      /** Messages per period. */
      messages: number
      /** The length of the period. */
      perSeconds: number
      /** How many messages may be leased at once after a pause. Default: as many as messages. */
      burst?: number | undefined
    } | null
    keepAckedSeconds: number
    deadLetterQueue: string | null
    tags: Record<string, string>
  }
  counts: {
    ready: number
    delayed: number
    leased: number
    dead: number
    /** Kept acked messages. */
    acked: number
  }
  /**
   * acked / (acked + dead + expired) since the queue was made: of the messages that came to an end,
   * the share whose work was done. Dead messages count until they are redriven. null before the
   * first end.
   */
  reliability: number | null
  /**
   * Seconds since the oldest ready message became ready: since its enqueue, or since the end of its
   * delay, its lease or its death. Messages that wait for others of their group count if they are
   * among the first thousand of the queue. null when none is ready.
   */
  oldestReadySeconds: number | null
  /** How many more messages may be leased now. */
  limits: {
    /** How many more messages maxLeased allows. null: no maxLeased. */
    places: number | null
    /** How many messages the rate allows now. null: no rate. */
    tokens: number | null
    nextTokenAt: string | null
  }
  /** When the queue was made. RFC 3339, UTC. */
  createdAt: string
  /** When a call last gave it settings. RFC 3339, UTC. */
  updatedAt: string
}

export interface QueuesQuery {
  limit?: number | undefined
  /** The cursor of the page before. */
  cursor?: string | undefined
  /** Only queues whose dead messages go to this queue. */
  deadLetterQueue?: string | undefined
}

/** A page of queues, by name. */
export interface QueueList {
  queues: Array<QueueReport>
  /** Send it to get the next page. null: this is the last page. */
  cursor: string | null
}

export interface DeleteQueueQuery {
  /**
   * true: remove the queue only if it holds no message, not even a kept acked one. Else 409.
   * Default false.
   */
  ifEmpty?: boolean | undefined
}

/** The last hour. */
export interface Series {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  stepSeconds: number
  /**
   * The ends of the steps, in seconds since the epoch, the oldest first. Every other list has one
   * element for each.
   */
  at: Array<number>
  /** Messages at the end of the step; null before the queue was made. */
  ready: Array<number | null>
  /** As ready. */
  delayed: Array<number | null>
  /** As ready. */
  leased: Array<number | null>
  /** As ready. */
  dead: Array<number | null>
  /** Messages stored in the step. */
  enqueuedPerSecond: Array<number>
  /** Messages acked in the step. */
  ackedPerSecond: Array<number>
  /** Attempts that failed, or whose lease ran out. */
  failedPerSecond: Array<number>
  /**
   * The median time from the enqueue to the lease, of the messages leased in the step. Messages
   * that were delayed or came back (retried, released, redriven) are left out, and so are queues
   * with an order or turns. Times are counted in buckets that double, so they are exact within a
   * factor of two. null: no message was leased.
   */
  waitSecondsP50: Array<number | null>
  /** As waitSecondsP50, the 95th percentile. */
  waitSecondsP95: Array<number | null>
  /**
   * The median time from the lease to the ack, of the messages acked in the step. Only messages
   * that one replica has both leased and acked are counted, and at most eight of each flush. Exact
   * within a factor of two.
   */
  workSecondsP50: Array<number | null>
  /** As workSecondsP50, the 95th percentile. */
  workSecondsP95: Array<number | null>
}

export interface FailuresQuery {
  /**
   * dead; delayed: waits for a retry after a failure; ready: its death brought it to this
   * dead-letter queue, where it waits.
   */
  state?: 'dead' | 'delayed' | 'ready' | undefined
}

/** The groups. */
export interface Failures {
  /** The largest first, at most 100. */
  groups: Array<{
    /**
     * dead; delayed: waits for a retry after a failure; ready: its death brought it to this
     * dead-letter queue, where it waits.
     */
    state: 'dead' | 'delayed' | 'ready'
    /**
     * The common reason, with numbers and ids as `#` and quoted parts as `…`. null: no reason was
     * given.
     */
    reason: string | null
    /** How many messages the group has. */
    count: number
    /** When the first of these attempts ended. RFC 3339, UTC. */
    firstAt: string
    /** When the last of them ended. RFC 3339, UTC. */
    lastAt: string
    /** The message whose attempt ended last. */
    example: {
      /** The id of a message. */
      id: string
      attempt: number
      /** When the attempt ended. RFC 3339, UTC. */
      at: string
      /** The first 500 characters of the reason, as the worker gave it. */
      reason: string | null
    }
    /**
     * A text that all reasons of the group contain, for a filter by `reason`. Reasons of other
     * groups may contain it too. null: there is none.
     */
    piece: string | null
    /**
     * All messages of the group. A redrive or retry of these `ids` takes no others. One call takes
     * up to 1,000.
     */
    ids: Array<string>
  }>
  /** How many smaller groups were left out. */
  groupsLeftOut: number
  /**
   * true: only the messages with the lowest ids were examined. Each count is at least that, and
   * groups may be missing.
   */
  more: boolean
}

/** The consumers. */
export interface Consumers {
  /** Those that hold the most messages first, at most 200. */
  consumers: Array<{
    /** The name of the worker, from its leases. Without a name, their User-Agent. */
    worker: string
    /** How many messages the worker holds now. */
    leases: number
    oldestLeaseAt: string | null
    nextEndAt: string | null
    lastLeasedAt: string | null
    lastAckedAt: string | null
    lastFailedAt: string | null
  }>
  /** true: not everything was examined. There may be more consumers, and more leases. */
  more: boolean
  /** Whether the queue keeps acked messages. If not, no `lastAckedAt` is known. */
  keepsAcked: boolean
  lastAskedAt: string | null
}

export interface GroupsQuery {
  limit?: number | undefined
  /** From the page before. */
  cursor?: string | undefined
}

/** A page of groups, by name. */
export interface GroupList {
  groups: Array<{
    /** Its name. null: the messages without a group, or the whole queue if it is one group. */
    group: string | null
    /** Its messages that are ready or delayed. */
    waiting: number
    /** Its messages that are leased. */
    leased: number
    /** true: only its first 1,000 messages were counted. */
    more: boolean
    nextTokenAt: string | null
    /**
     * Of the messages counted, the one that goes first. In a queue with an order the others wait
     * for it, whatever its state.
     */
    first: {
      id: string
      /** The state of the message. */
      state: 'ready' | 'delayed' | 'leased' | 'dead'
      /** Its attempts so far. 0: the message was never leased. */
      attempt: number
      until: string | null
    } | null
  }>
  /** Send it to get the next page. null: this is the last page. */
  cursor: string | null
}

export interface PageQuery {
  limit?: number | undefined
  /** The cursor of the page before. */
  cursor?: string | undefined
}

export interface PurgeRequest {
  /** The state of a message. */
  state?: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked' | undefined
  /** Only the messages with these ids. */
  ids?: Array<string> | undefined
  /** Only messages for which all of these conditions are true. */
  where?: {
    /**
     * The body, as it was sent, contains this text. Case counts, and escapes in JSON stay escapes.
     * A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** The reason of the last failure contains this text. Case counts. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** The message has this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: change nothing, and answer how many messages match. */
  dryRun?: boolean | undefined
}

export interface Matched {
  /** How many messages the call would change now. */
  matched: number
  /** Counting stopped at its time limit. The real number is at least `matched`. */
  more?: true | undefined
}

/** How many messages were removed. */
export type PurgeAnswer = {
  purged: number
} | Matched

export interface RedriveRequest {
  /** Only the messages with these ids. */
  ids?: Array<string> | undefined
  /** Only messages for which all of these conditions are true. */
  where?: {
    /**
     * The body, as it was sent, contains this text. Case counts, and escapes in JSON stay escapes.
     * A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** The reason of the last failure contains this text. Case counts. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** The message has this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: change nothing, and answer how many messages match. */
  dryRun?: boolean | undefined
  /** Send all messages to this queue. The key needs the right enqueue on it. */
  to?: string | undefined
  /** At most this many messages a second. The answer is then a task, and the work goes on. */
  ratePerSecond?: number | undefined
}

/** How many messages became ready. */
export type RedriveAnswer = {
  redriven: number
} | Matched

/** The redrive goes on by itself. Only with `ratePerSecond`. */
export interface RedriveStarted {
  task: string
}

/** Those that run, and those that ended in the last week. */
export interface RedriveList {
  /** The newest first. */
  redrives: Array<{
    task: string
    /** The queue to which messages go. null: each goes home, or becomes ready here. */
    to: string | null
    ratePerSecond: number
    /** How many messages so far. */
    redriven: number
    state: 'running' | 'done' | 'stopped' | 'failed'
    /**
     * Why the task failed. `refused`: the database refused it, and the log of the service says why.
     * Move tasks of SQS also have `queueNotFound` (the queue of a message is missing) and
     * `originUnknown` (a message never died, so it has no home). Messages not moved stay.
     */
    failure: 'queueNotFound' | 'originUnknown' | 'refused' | null
    /** When the task began. RFC 3339, UTC. */
    startedAt: string
  }>
}

export interface RetryRequest {
  /** Only the messages with these ids. */
  ids?: Array<string> | undefined
  /** Only messages for which all of these conditions are true. */
  where?: {
    /**
     * The body, as it was sent, contains this text. Case counts, and escapes in JSON stay escapes.
     * A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** The reason of the last failure contains this text. Case counts. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** The message has this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: change nothing, and answer how many messages match. */
  dryRun?: boolean | undefined
}

/** How many messages became ready. */
export type RetryAnswer = {
  retried: number
} | Matched

export interface Publication {
  /**
   * Any JSON. A lease returns it exactly as it was sent, with its digits, duplicate names and
   * escapes.
   */
  body: unknown
  /** Strings that go with the body: up to 64, each of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Messages with a higher priority are leased first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /**
   * The message is removed this long after its enqueue. If a worker holds it then, the lease ends
   * first.
   */
  ttlSeconds?: number | undefined
  /**
   * The message is dead after this many failed attempts. Default: the maxAttempts of the queue.
   */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and turns: 1 to 128 characters, none of them a control
   * character.
   */
  group?: string | undefined
  /**
   * Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is
   * the same message. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** Keeps the queue from storing a second message while an earlier one holds the same key. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key. settled (the default): until it is acked, dead,
     * cancelled, purged or expired. leased: until its first lease.
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key. keep (the default): it stays as it is.
     * replace: it gets the content and the options of this one, unless it is leased.
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
  /**
   * Subscriptions match it with their patterns. 1 to 255 characters: words joined by dots, none of
   * them empty. Without a key, only `#` matches.
   */
  routingKey?: string | undefined
}

export interface RawPublication {
  /**
   * Subscriptions match it with their patterns. 1 to 255 characters: words joined by dots, none of
   * them empty. Without a key, only `#` matches.
   */
  routingKey?: string | undefined
  /** Messages with a higher priority are leased first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /**
   * The message is removed this long after its enqueue. If a worker holds it then, the lease ends
   * first.
   */
  ttlSeconds?: number | undefined
  /**
   * The message is dead after this many failed attempts. Default: the maxAttempts of the queue.
   */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and turns: 1 to 128 characters, none of them a control
   * character.
   */
  group?: string | undefined
  /**
   * Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is
   * the same message. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255 printable
   * ASCII characters.
   */
  uniqueKey?: string | undefined
  /**
   * How long the message holds the key. settled (the default): until it is acked, dead, cancelled,
   * purged or expired. leased: until its first lease.
   */
  uniqueUntil?: 'settled' | 'leased' | undefined
  /**
   * What becomes of the message that holds the key. keep (the default): it stays as it is. replace:
   * it gets the content and the options of this one, unless it is leased.
   */
  uniqueOnConflict?: 'keep' | 'replace' | undefined
}

/** Committed. The status is 200 if keys already stood for all copies. */
export interface PublishAnswer {
  /** The copies. An empty list: no pattern matched, so nobody gets the message. */
  messages: Array<{
    /** The place of the message in the list. 0 for a single message. */
    index: number
    queue: string
    /** The id of a message. */
    id: string
    /** A key already stood for this copy, so nothing was stored. */
    duplicate?: true | undefined
    /** This message held the unique key. It now has the new content and options. */
    replaced?: true | undefined
  }>
}

export interface SubscriptionChange {
  /**
   * Which routing keys match: the same words, where `*` is any one word and `#` any number of
   * words. Default `#`: every message.
   */
  pattern?: string | undefined
}

/** The subscription. */
export interface Subscription {
  topic: string
  queue: string
  pattern: string
}

/** The topic. */
export interface Topic {
  topic: string
  /** In the order of their queues. */
  subscriptions: Array<{
    queue: string
    pattern: string
  }>
}

export interface TopicsQuery {
  limit?: number | undefined
  /** The cursor of the page before. */
  cursor?: string | undefined
  /** Only topics to which this queue subscribes. */
  queue?: string | undefined
}

/** A page of topics, by name, with the number of their subscriptions. */
export interface TopicList {
  topics: Array<{
    topic: string
    subscriptions: number
  }>
  /** Send it to get the next page. null: this is the last page. */
  cursor: string | null
}

export interface PushChange {
  /** The endpoint: an http or https URL without a user name or a password. A new push needs it. */
  url?: string | undefined
  /**
   * Requests under way at one time, for each replica. To limit all replicas together, set
   * `maxLeased` of the queue. Default 10.
   */
  maxConcurrent?: number | undefined
  /** How long a request may take, with its answer. Default 30. */
  timeoutSeconds?: number | undefined
  /**
   * Header fields of each request, such as an Authorization. None that the service sets itself. All
   * names and values together have at most 4096 characters. A change replaces all of them.
   */
  headers?: Record<string, string> | undefined
}

/** The push. `secret` is there when it was made. */
export interface Push {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  url: string
  maxConcurrent: number
  timeoutSeconds: number
  headers: Record<string, string>
  /** Until this time, the secret before the last rotation signs too. null: one secret signs. */
  oldSecretUntil: string | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it last changed. RFC 3339, UTC. */
  updatedAt: string
  /** Signs every request, as Standard Webhooks say. It is shown here and never again. */
  secret?: string | undefined
}

/** The push, and what this replica knows of it. */
export interface PushReport {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  url: string
  maxConcurrent: number
  timeoutSeconds: number
  headers: Record<string, string>
  /** Until this time, the secret before the last rotation signs too. null: one secret signs. */
  oldSecretUntil: string | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it last changed. RFC 3339, UTC. */
  updatedAt: string
  /** Set while the endpoint fails and deliveries are slowed down. null: full speed. */
  slowed: {
    /** How many failures there were in a row. */
    failures: number
    reason: string
    /** When the next delivery is tried. RFC 3339, UTC. */
    until: string
  } | null
  /**
   * The last 50 deliveries of this replica since its start, the newest first. Other replicas
   * remember their own.
   */
  deliveries: Array<{
    /** The id of a message. */
    id: string
    attempt: number
    /** When the request was sent. RFC 3339, UTC. */
    at: string
    /**
     * delivered: 2xx, so the message is acked. gone: 410, so it is dead. failed: another answer, or
     * a broken connection. timeout: no answer in time. unreachable: no connection.
     */
    outcome: 'delivered' | 'gone' | 'failed' | 'timeout' | 'unreachable'
    /** The status of the answer. null: there was no answer. */
    status: number | null
    /** How long the request took. */
    seconds: number
    /** Why it failed: the status and the first 500 characters of the answer. */
    reason: string | null
  }>
}

/** What came of the request. `delivered` is true for 2xx. */
export interface PushTest {
  delivered: boolean
  /** The status of the answer. null: there was no answer. */
  status: number | null
  /** How long the request took. */
  seconds: number
  /** Why it failed: the status and the first 500 characters of the answer. */
  reason: string | null
}

/** The new secret. Both sign until `oldSecretUntil`. */
export interface PushRotated {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  url: string
  maxConcurrent: number
  timeoutSeconds: number
  headers: Record<string, string>
  /** Until this time, the secret before the last rotation signs too. null: one secret signs. */
  oldSecretUntil: string | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it last changed. RFC 3339, UTC. */
  updatedAt: string
  /** Signs every request, as Standard Webhooks say. It is shown here and never again. */
  secret: string
}

export interface ScheduleChange {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue?: string | undefined
  /**
   * Minute, hour, day of the month, month, weekday; or @hourly @daily @weekly @monthly @yearly. Not
   * finer than a minute.
   */
  cron?: string | undefined
  /** The time zone whose clock counts: a name of the IANA database. Default UTC. */
  timezone?: string | undefined
  /**
   * Any JSON. A lease returns it exactly as it was sent, with its digits, duplicate names and
   * escapes.
   */
  body?: unknown
  /** Strings that go with the body: up to 64, each of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** The priority of its messages. Default 4. */
  priority?: number | undefined
  /** While true, the schedule does not fire. Missed times are not made up for. Default false. */
  paused?: boolean | undefined
  /**
   * What follows when no replica fired for more than a minute. once: one message for all missed
   * times. skip: none. Default once.
   */
  missed?: 'once' | 'skip' | undefined
}

/** The schedule. */
export interface Schedule {
  name: string
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  /**
   * Minute, hour, day of the month, month, weekday; or @hourly @daily @weekly @monthly @yearly. Not
   * finer than a minute.
   */
  cron: string
  /** The time zone whose clock counts: a name of the IANA database. Default UTC. */
  timezone: string
  /** The priority of its messages. Default 4. */
  priority: number
  /** While true, the schedule does not fire. Missed times are not made up for. Default false. */
  paused: boolean
  /**
   * What follows when no replica fired for more than a minute. once: one message for all missed
   * times. skip: none. Default once.
   */
  missed: 'once' | 'skip'
  /**
   * The API key that made the schedule, or has last changed more than `paused: true`. Firings count
   * against its messages a second. It may have been revoked since. null: without a key.
   */
  owner: {
    /** The id of the key. */
    id: string
    /** The name of the key. */
    name: string
  } | null
  /** The next times, at most 5. In a list only the next one. None while the schedule is paused. */
  nextRuns: Array<string>
  /** What became of the last firing. null before the first. A run by hand is not shown here. */
  lastRun: {
    /** When the schedule was due. Of several missed times, the first. RFC 3339, UTC. */
    at: string
    /** When the schedule fired, or was passed over. RFC 3339, UTC. */
    firedAt: string
    /** What became of the firing. */
    outcome:
      | 'enqueued'
      | 'skipped'
      | 'rateLimited'
      | 'queueNotFound'
      | 'tooManyQueues'
      | 'queueFull'
      | 'bodyTooLarge'
      | 'invalidSchedule'
    /** The id of a message. */
    messageId?: string | undefined
  } | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it was last changed. RFC 3339, UTC. */
  updatedAt: string
  /** The body: JSON as it was sent, or other text in UTF-8 as a string. */
  body: unknown
  headers: Record<string, string>
}

export interface ScheduleEntry {
  name: string
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  /**
   * Minute, hour, day of the month, month, weekday; or @hourly @daily @weekly @monthly @yearly. Not
   * finer than a minute.
   */
  cron: string
  /** The time zone whose clock counts: a name of the IANA database. Default UTC. */
  timezone: string
  /** The priority of its messages. Default 4. */
  priority: number
  /** While true, the schedule does not fire. Missed times are not made up for. Default false. */
  paused: boolean
  /**
   * What follows when no replica fired for more than a minute. once: one message for all missed
   * times. skip: none. Default once.
   */
  missed: 'once' | 'skip'
  /**
   * The API key that made the schedule, or has last changed more than `paused: true`. Firings count
   * against its messages a second. It may have been revoked since. null: without a key.
   */
  owner: {
    /** The id of the key. */
    id: string
    /** The name of the key. */
    name: string
  } | null
  /** The next times, at most 5. In a list only the next one. None while the schedule is paused. */
  nextRuns: Array<string>
  /** What became of the last firing. null before the first. A run by hand is not shown here. */
  lastRun: {
    /** When the schedule was due. Of several missed times, the first. RFC 3339, UTC. */
    at: string
    /** When the schedule fired, or was passed over. RFC 3339, UTC. */
    firedAt: string
    /** What became of the firing. */
    outcome:
      | 'enqueued'
      | 'skipped'
      | 'rateLimited'
      | 'queueNotFound'
      | 'tooManyQueues'
      | 'queueFull'
      | 'bodyTooLarge'
      | 'invalidSchedule'
    /** The id of a message. */
    messageId?: string | undefined
  } | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it was last changed. RFC 3339, UTC. */
  updatedAt: string
}

/** A page of schedules, by name, without their messages. */
export interface ScheduleList {
  schedules: Array<ScheduleEntry>
  /** Send it to get the next page. null: this is the last page. */
  cursor: string | null
}

export interface KeyRequest {
  /**
   * Tells people who uses the key. 1 to 128 characters, none of them a control character or
   * invisible.
   */
  name: string
  /**
   * An action on a queue (`lease:mail`), on all queues whose name begins so (`enqueue:orders-*`),
   * or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage`
   * (settings, purge, redrive, retry, cancel, delete). The same with topics: `publish:orders`,
   * `subscribe:*`. `admin`, alone, is everything, keys too.
   */
  rights: Array<string>
  /**
   * Requests a second, and one second's worth at once. Each replica counts for itself. Default
   * null: no bound.
   */
  requestsPerSecond?: number | null | undefined
  /**
   * Messages enqueued and leased a second, and one second's worth at once. Each replica counts for
   * itself. Default null: no bound.
   */
  messagesPerSecond?: number | null | undefined
  /**
   * A whole key that was made elsewhere, such as by another cell. A repeated call makes no second
   * key. Default: a new key.
   */
  secret?: string | undefined
}

export interface KeyChange {
  /**
   * An action on a queue (`lease:mail`), on all queues whose name begins so (`enqueue:orders-*`),
   * or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage`
   * (settings, purge, redrive, retry, cancel, delete). The same with topics: `publish:orders`,
   * `subscribe:*`. `admin`, alone, is everything, keys too.
   */
  rights?: Array<string> | undefined
  /**
   * Requests a second, and one second's worth at once. Each replica counts for itself. Default
   * null: no bound.
   */
  requestsPerSecond?: number | null | undefined
  /**
   * Messages enqueued and leased a second, and one second's worth at once. Each replica counts for
   * itself. Default null: no bound.
   */
  messagesPerSecond?: number | null | undefined
}

export interface KeyInfo {
  /** The id of the key. It is part of the key, and not secret. */
  id: string
  /**
   * Tells people who uses the key. 1 to 128 characters, none of them a control character or
   * invisible.
   */
  name: string
  /**
   * An action on a queue (`lease:mail`), on all queues whose name begins so (`enqueue:orders-*`),
   * or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage`
   * (settings, purge, redrive, retry, cancel, delete). The same with topics: `publish:orders`,
   * `subscribe:*`. `admin`, alone, is everything, keys too.
   */
  rights: Array<string>
  /**
   * Requests a second, and one second's worth at once. Each replica counts for itself. Default
   * null: no bound.
   */
  requestsPerSecond: number | null
  /**
   * Messages enqueued and leased a second, and one second's worth at once. Each replica counts for
   * itself. Default null: no bound.
   */
  messagesPerSecond: number | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
}

/** The new key. */
export interface KeyMade {
  /** The id of the key. It is part of the key, and not secret. */
  id: string
  /**
   * Tells people who uses the key. 1 to 128 characters, none of them a control character or
   * invisible.
   */
  name: string
  /**
   * An action on a queue (`lease:mail`), on all queues whose name begins so (`enqueue:orders-*`),
   * or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, `manage`
   * (settings, purge, redrive, retry, cancel, delete). The same with topics: `publish:orders`,
   * `subscribe:*`. `admin`, alone, is everything, keys too.
   */
  rights: Array<string>
  /**
   * Requests a second, and one second's worth at once. Each replica counts for itself. Default
   * null: no bound.
   */
  requestsPerSecond: number | null
  /**
   * Messages enqueued and leased a second, and one second's worth at once. Each replica counts for
   * itself. Default null: no bound.
   */
  messagesPerSecond: number | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** The key. Send it as `Authorization: Bearer …`. It cannot be shown again. */
  secret: string
}

export interface RevokeKeyQuery {
  /** true: pauses the schedules that the key owns. Default false. */
  pauseSchedules?: boolean | undefined
}

/** The key is revoked. The schedules that it owns stay. */
export interface KeptSchedules {
  /** The schedules by name. Those that are not paused go on firing. */
  schedules: Array<{
    name: string
    /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
    queue: string
    paused: boolean
  }>
}

/** What to act on. docs/errors.md has a heading for each. A later release may add some. */
export type ErrorCode =
  | 'malformedRequest'
  | 'malformedJson'
  | 'invalidRequest'
  | 'invalidReceipt'
  | 'invalidCursor'
  | 'invalidSchedule'
  | 'unauthorized'
  | 'forbidden'
  | 'queueNotFound'
  | 'messageNotFound'
  | 'keyNotFound'
  | 'scheduleNotFound'
  | 'redriveNotFound'
  | 'topicNotFound'
  | 'pushNotFound'
  | 'routeNotFound'
  | 'methodNotAllowed'
  | 'leaseLost'
  | 'gone'
  | 'messageLeased'
  | 'queueNotEmpty'
  | 'uniqueGroup'
  | 'ackedNotKept'
  | 'redriveRunning'
  | 'adminKeyFirst'
  | 'wrongCell'
  | 'requestTimeout'
  | 'bodyTooLarge'
  | 'requestTooLarge'
  | 'headersTooLarge'
  | 'unsupportedMediaType'
  | 'expectationFailed'
  | 'idempotencyMismatch'
  | 'queueFull'
  | 'tooManyWaiting'
  | 'rateLimited'
  | 'shareUsedUp'
  | 'tooManyKeys'
  | 'tooManyQueues'
  | 'tooManySchedules'
  | 'tooManySubscriptions'
  | 'tooManyPushes'
  | 'databaseUnavailable'
  | 'cellUnavailable'
  | 'outcomeUnknown'
  | 'overloaded'
  | 'shuttingDown'
  | 'internal'
