/** What goes over the wire. npm run generate makes it from src/fronts/rest/contract. */

export interface NewMessage {
  /**
   * Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.
   */
  body: unknown
  /** Strings that travel beside the body: up to 64 of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /** The message is removed this long after its enqueue, unless a worker holds it then. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and for fairness: 1 to 128 characters, none of them a
   * control character.
   */
  group?: string | undefined
  /**
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** While an earlier message of the queue holds the same key, no second one is stored. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key: until it is acked, dead, cancelled, purged or expired
     * (settled, the default), or until its first lease (leased).
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key: it stays as it is (keep, the default), or
     * gets the content and the options of this one unless it is leased (replace).
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
}

export interface NextMessage {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  /**
   * Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.
   */
  body: unknown
  /** Strings that travel beside the body: up to 64 of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /** The message is removed this long after its enqueue, unless a worker holds it then. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and for fairness: 1 to 128 characters, none of them a
   * control character.
   */
  group?: string | undefined
  /**
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** While an earlier message of the queue holds the same key, no second one is stored. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key: until it is acked, dead, cancelled, purged or expired
     * (settled, the default), or until its first lease (leased).
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key: it stays as it is (keep, the default), or
     * gets the content and the options of this one unless it is leased (replace).
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
}

export interface RawOptions {
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /** The message is removed this long after its enqueue, unless a worker holds it then. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and for fairness: 1 to 128 characters, none of them a
   * control character.
   */
  group?: string | undefined
  /**
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255 printable
   * ASCII characters.
   */
  uniqueKey?: string | undefined
  /**
   * How long the message holds the key: until it is acked, dead, cancelled, purged or expired
   * (settled, the default), or until its first lease (leased).
   */
  uniqueUntil?: 'settled' | 'leased' | undefined
  /**
   * What becomes of the message that holds the key: it stays as it is (keep, the default), or gets
   * the content and the options of this one unless it is leased (replace).
   */
  uniqueOnConflict?: 'keep' | 'replace' | undefined
}

export interface Enqueued {
  /** A message id. */
  id: string
  /** A key stood for this message already; nothing was stored. */
  duplicate?: true | undefined
  /** This message held the unique key; it has the new content and options now. */
  replaced?: true | undefined
}

export interface LeaseRequest {
  /** Take at most this many. Default 1. */
  max?: number | undefined
  /**
   * Wait this long for the first message. Default: the queue's waitSeconds, which is 0 at first.
   */
  waitSeconds?: number | undefined
  /** Instead of the queue's. */
  leaseSeconds?: number | undefined
  /** Who asks, for the history. Default: the User-Agent. */
  worker?: string | undefined
  /**
   * For when the answer was lost: while those leases last, the same key brings the same messages
   * and receipts again. 1 to 255 printable ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * Ack these first, in the same commit. Where the `idempotencyKey` has been used before, or where
   * one has a `result` or a `then`, they are acked in a commit before it. The acks never wait.
   */
  ack?: Array<string | {
    /** From the lease. */
    receipt: string
    /**
     * What came of the work: any JSON of up to 65536 bytes. It comes back exactly as it was sent,
     * with the message, for keepAckedSeconds. Where no acked messages are kept it is dropped.
     */
    result?: unknown
    /**
     * Messages to enqueue in the commit of the ack, in any queues. They are enqueued only if this
     * removes the message. At most 1000 in a request.
     */
    then?: Array<NextMessage> | undefined
  }> | undefined
}

export interface LeasedMessage {
  /** A message id. */
  id: string
  /** The proof of this lease. Settle with it. */
  receipt: string
  /**
   * Rises with every lease of this message. Store it beside your effect and refuse a smaller one.
   */
  fence: number
  /** Counts the leases of this message from 1, released ones left out. */
  attempt: number
  /** After this many attempts that ended badly it is dead; null: never by its attempts. */
  maxAttempts: number | null
  /** JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  /** Instead of body, where the bytes are not text in UTF-8. */
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** When the lease ends. RFC 3339, UTC. */
  leaseExpiresAt: string
  lastFailure?: LastFailure | undefined
  /** Of a message in a dead-letter queue: where it died. In a chain it is the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which it was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
}

/** The messages, now leased. An empty list when none came in time. */
export interface Leased {
  messages: Array<LeasedMessage>
  /** Of the receipts in `ack`, in the order given. There when `ack` was. */
  outcomes?: Array<Outcome> | undefined
}

export interface Ack {
  /** From the lease. */
  receipt: string
  /**
   * What came of the work: any JSON of up to 65536 bytes. It comes back exactly as it was sent,
   * with the message, for keepAckedSeconds. Where no acked messages are kept it is dropped.
   */
  result?: unknown
  /**
   * Messages to enqueue in the commit of the ack, in any queues. They are enqueued only if this
   * removes the message. At most 1000 in a request.
   */
  then?: Array<NextMessage> | undefined
}

export interface Failure {
  /** From the lease. */
  receipt: string
  /** Why, for the history. U+FFFD takes the place of NUL and of half a surrogate pair. */
  reason?: string | undefined
  /** Retry after this delay, instead of the queue's. 0: at once. */
  delaySeconds?: number | undefined
  /** true: no further attempt. */
  dead?: boolean | undefined
}

export interface Extension {
  /** From the lease. */
  receipt: string
  /** The lease ends this long from now. That may be sooner than before. */
  leaseSeconds: number
}

export interface Followed {
  queue: string
  /** A message id. */
  id: string
  /** Its key stood for this message already; nothing was stored. */
  duplicate?: true | undefined
  /** It held the unique key; it has the new content now. */
  replaced?: true | undefined
}

/** The message is removed. */
export interface OutcomeAcked {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'acked'
  /** acked: what this ack enqueued, in the order given. There when it had a `then`. */
  then?: Array<Followed> | undefined
}

/** The message is tried again. */
export interface OutcomeRetrying {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'retrying'
  /** When the message is ready again. RFC 3339, UTC. */
  visibleAt: string
}

/** There is no further attempt. */
export interface OutcomeDead {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'dead'
  /** dead: the dead-letter queue to which it went. */
  movedTo?: string | undefined
}

/** The lease goes on. */
export interface OutcomeExtended {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'extended'
  /** When the lease ends now. RFC 3339, UTC. */
  leaseExpiresAt: string
}

/** The message is ready again, and the attempt does not count. */
export interface OutcomeReleased {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'released'
}

/** The message is acked, purged, expired or moved already. */
export interface OutcomeGone {
  /** There in a list. */
  receipt?: string | undefined
  outcome: 'gone'
}

/** The lease has ended, or the message was leased again. Nothing was changed. */
export interface OutcomeLeaseLost {
  /** There in a list. */
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
  /** A message state. */
  state?: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked' | undefined
  /**
   * A piece of the body as it was sent, in the case given. Escapes in JSON are compared as written.
   * A body stored as bytes never matches.
   */
  contains?: string | undefined
  /** A piece of the last failure's reason, in the case given. */
  reason?: string | undefined
  /** Enqueued at this time or later. RFC 3339, UTC. */
  enqueuedAfter?: string | undefined
  /** Enqueued before this time. RFC 3339, UTC. */
  enqueuedBefore?: string | undefined
  /** Of this group. */
  group?: string | undefined
  limit?: number | undefined
  /** From the page before. */
  cursor?: string | undefined
}

export interface LastFailure {
  attempt: number
  reason: string | null
  /** When the attempt ended. RFC 3339, UTC. */
  at: string
}

/** Of a message in a dead-letter queue: where it died. In a chain it is the first queue. */
export interface Origin {
  queue: string
  /** When it died there. RFC 3339, UTC. */
  diedAt: string
  /** Of its last failure there. */
  reason: string | null
  /** Made there. */
  attempts: number
}

export interface BrowsedMessage {
  /** A message id. */
  id: string
  /** A message state. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  attempt: number
  /** After this many attempts that ended badly it is dead; null: never by its attempts. */
  maxAttempts: number | null
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** delayed: when it is ready. RFC 3339, UTC. */
  visibleAt?: string | undefined
  lastFailure?: LastFailure | undefined
  /** Of a message in a dead-letter queue: where it died. In a chain it is the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which it was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
}

/** A page of messages, by id. */
export interface MessagePage {
  messages: Array<BrowsedMessage>
  /** A page may be short, or empty, and still have one; null at the end. */
  cursor: string | null
}

/** The message. */
export interface MessageDetail {
  /** A message id. */
  id: string
  /** A message state. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** JSON as it was sent, or other text in UTF-8 as a string. */
  body?: unknown
  bodyBase64?: string | undefined
  contentType: string
  headers: Record<string, string>
  priority: number
  attempt: number
  /** After this many attempts that ended badly it is dead; null: never by its attempts. */
  maxAttempts: number | null
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** delayed: when it is ready. RFC 3339, UTC. */
  visibleAt?: string | undefined
  lastFailure?: LastFailure | undefined
  /** Of a message in a dead-letter queue: where it died. In a chain it is the first queue. */
  origin?: Origin | undefined
  /** The group that the enqueue named. */
  group?: string | undefined
  /** The topic to which it was published. */
  topic?: string | undefined
  /** The routing key of the publish, if it had one. */
  routingKey?: string | undefined
  /** The unique key that the message holds, and until when. */
  unique?: {
    key: string
    until: 'settled' | 'leased'
  } | undefined
  lease?: {
    worker: string
    /** Since when. RFC 3339, UTC. */
    leasedAt: string
    /** Until when. RFC 3339, UTC. */
    expiresAt: string
  } | undefined
  /** acked: what its ack said came of the work, exactly as it was sent. */
  result?: unknown
  /** Each attempt that ended badly, the oldest first; at most the last 1000. */
  history: Array<{
    /** The queue in which the attempt was made. */
    queue: string
    attempt: number
    worker: string | null
    leasedAt: string | null
    /** Until when. RFC 3339, UTC. */
    endedAt: string
    outcome: 'failed' | 'expired' | 'released'
    reason?: string | undefined
  }>
  /**
   * It died here and went to this dead-letter queue. The message is shown as it was when it died.
   */
  movedTo?: string | undefined
}

/** Why the message is where it is. */
export interface Explanation {
  /** A message id. */
  id: string
  /** A message state. */
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
  /** What to fix first comes first. */
  reasons: Array<{
    /** next: nothing hinders it. */
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
    /** leased, delayed, backingOff: when that ends. acked: how long it is kept. RFC 3339, UTC. */
    until?: string | undefined
    /** leased: who holds it. */
    worker?: string | undefined
    /**
     * behind: how many ready messages come before it. Counted among the 10,000 before it, leased
     * ones left out. detail says when there are more.
     */
    ahead?: number | undefined
    /** groupBlocked: the message of its group that goes first. */
    by?: {
      /** A message id. */
      id: string
      /** A message state. */
      state: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked'
    } | undefined
    /**
     * noConsumer: when a lease was last asked for, on this replica, or on another up to half a
     * minute ago. Left out: never. RFC 3339, UTC.
     */
    lastAskedAt?: string | undefined
  }>
}

export interface QueueSettings {
  /** How long a lease lasts when the call does not say. Default 30. */
  leaseSeconds?: number | undefined
  /**
   * A message is dead after this many attempts that ended badly. null: it is tried again for ever.
   * Default 5.
   */
  maxAttempts?: number | null | undefined
  retry?: {
    /** How the retry delay grows: it doubles, it adds, or it stays. Default exponential. */
    strategy?: 'exponential' | 'linear' | 'fixed' | undefined
    /** The delay after the first failed attempt. Default 1. */
    delaySeconds?: number | undefined
    /** No retry delay is longer. Default 3600. */
    maxDelaySeconds?: number | undefined
    /**
     * Adds up to as much delay again, at random. Messages that failed together then do not come
     * back together. Default true.
     */
    jitter?: boolean | undefined
  } | undefined
  /** The delay of a message that gives neither delaySeconds nor visibleAt. Default 0. */
  delaySeconds?: number | undefined
  /**
   * The time to live of a message that gives none. null: only retentionSeconds bounds it. Default
   * null.
   */
  ttlSeconds?: number | null | undefined
  /** How long a lease waits for the first message when the call does not say. Default 0. */
  waitSeconds?: number | undefined
  /**
   * How long a message is kept after its enqueue, in any state. A lease under way is finished
   * first. Default 1209600 (14 days).
   */
  retentionSeconds?: number | undefined
  /** How long an idempotency key stands for its message. Default 86400 (1 day). */
  dedupSeconds?: number | undefined
  /**
   * The queue takes at most this many ready, delayed and leased messages, exact to about a second
   * of traffic. null: no bound. Default null.
   */
  maxDepth?: number | null | undefined
  /** The queue takes no message with a larger body. Default 1048576. */
  messageBytesMax?: number | undefined
  /** While true, leases give nothing and enqueues go on. Default false. */
  paused?: boolean | undefined
  /**
   * group: the messages of a group are leased one after another, in the order of their enqueues.
   * queue: all messages are. Changes only while the queue holds no message. Default none.
   */
  ordering?: 'none' | 'group' | 'queue' | undefined
  /**
   * group: groups take turns, so a flood of one delays no other. Priorities count within a group.
   * Not together with the order queue. A message keeps the fairness that it was enqueued with.
   * Default none.
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
   * At most this many messages are leased in a time, over all replicas: in t seconds never more
   * than burst + messages × t / perSeconds. burst is as many as messages if it is left out. null:
   * no bound. Default null.
   */
  rate?: {
    /** Leases. */
    messages: number
    /** The time in which they are given. */
    perSeconds: number
    /** How many may be given at once after a pause. Left out: as many as messages. */
    burst?: number | undefined
  } | null | undefined
  /**
   * At most this many messages of each group are leased in a time, by the same formula as rate.
   * Without an order, groups then take turns. null: no bound. Default null.
   */
  ratePerGroup?: {
    /** Leases. */
    messages: number
    /** The time in which they are given. */
    perSeconds: number
    /** How many may be given at once after a pause. Left out: as many as messages. */
    burst?: number | undefined
  } | null | undefined
  /** How long an acked message can still be browsed. At 0 the ack removes it. Default 0. */
  keepAckedSeconds?: number | undefined
  /** Where a message goes when it dies, in the same commit. null: it stays here. Default null. */
  deadLetterQueue?: string | null | undefined
  /** What people note of the queue, by name. They are replaced as a whole. Default {}. */
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
      /** Leases. */
      messages: number
      /** The time in which they are given. */
      perSeconds: number
      /** How many may be given at once after a pause. Left out: as many as messages. */
      burst?: number | undefined
    } | null
    ratePerGroup: {
      /** Leases. */
      messages: number
      /** The time in which they are given. */
      perSeconds: number
      /** How many may be given at once after a pause. Left out: as many as messages. */
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
   * delay, its lease or its death. null when none is ready.
   */
  oldestReadySeconds: number | null
  /** How many messages the limits allow to lease now. */
  limits: {
    /** How many more maxLeased allows. null: no maxLeased. */
    places: number | null
    /** How many the rate allows now. null: no rate. */
    tokens: number | null
    nextTokenAt: string | null
  }
  /** When the queue was made. RFC 3339, UTC. */
  createdAt: string
  /** When its settings last changed. RFC 3339, UTC. */
  updatedAt: string
}

export interface QueuesQuery {
  limit?: number | undefined
  /** From the page before. */
  cursor?: string | undefined
  /** Only queues whose dead messages go to this one. */
  deadLetterQueue?: string | undefined
}

/** A page of queues, by name. */
export interface QueueList {
  queues: Array<QueueReport>
  /** Send it to get the next page; null at the end. */
  cursor: string | null
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
  /** Messages acked. */
  ackedPerSecond: Array<number>
  /** Attempts that ended badly: by a fail, or because the lease ran out. */
  failedPerSecond: Array<number>
  /**
   * From the enqueue to the lease, of the messages leased in the step: half waited no longer.
   * Messages that were delayed or came back (retried, released, redriven) are left out, because
   * nobody has kept when they became ready. Read from buckets that double, so exact within a factor
   * of two. null: none was leased.
   */
  waitSecondsP50: Array<number | null>
  /** As waitSecondsP50, for 95 of a hundred. */
  waitSecondsP95: Array<number | null>
  /**
   * From the lease to the ack, of the messages acked in the step: half took no longer. Only
   * messages that one replica has both leased and acked are counted, and eight of a flush that
   * leased more than eight. Also from buckets.
   */
  workSecondsP50: Array<number | null>
  /** As workSecondsP50, for 95 of a hundred. */
  workSecondsP95: Array<number | null>
}

export interface FailuresQuery {
  /** dead, or delayed: backing off after a failure. */
  state?: 'dead' | 'delayed' | undefined
}

/** The groups. */
export interface Failures {
  /** The largest first, at most 100. */
  groups: Array<{
    /** dead, or delayed: backing off after a failure. */
    state: 'dead' | 'delayed'
    /**
     * Numbers and ids are `#` in it, and quoted parts are `…`. null: the attempts ended without a
     * reason.
     */
    reason: string | null
    /** How many messages. */
    count: number
    /** When the first of these attempts ended. RFC 3339, UTC. */
    firstAt: string
    /** When the last of them ended. RFC 3339, UTC. */
    lastAt: string
    /** The message whose attempt ended last. */
    example: {
      /** A message id. */
      id: string
      attempt: number
      /** When the attempt ended. RFC 3339, UTC. */
      at: string
      /** The first 500 characters of the reason, as the worker gave it. */
      reason: string | null
    }
    /**
     * A piece that all reasons of the group hold, for a filter by `reason`. Reasons of other groups
     * may hold it too. null: there is none.
     */
    piece: string | null
    /** All messages of the group. A redrive or retry of these `ids` takes no others. */
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
    /** The name that its leases gave, or else their User-Agent. */
    worker: string
    /** How many messages it holds now. */
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
    /**
     * Its name. null: the messages without a group, or the whole queue where that is one group.
     */
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
      /** Its state. */
      state: 'ready' | 'delayed' | 'leased' | 'dead'
      /** Its attempts so far. 0: it was never leased. */
      attempt: number
      until: string | null
    } | null
  }>
  /** Send it to get the next page; null at the end. */
  cursor: string | null
}

export interface PageQuery {
  limit?: number | undefined
  /** From the page before. */
  cursor?: string | undefined
}

export interface PurgeRequest {
  /** A message state. */
  state?: 'ready' | 'delayed' | 'leased' | 'dead' | 'acked' | undefined
  /** Only these messages. */
  ids?: Array<string> | undefined
  /** Only messages for which all of this is true. */
  where?: {
    /**
     * A piece of the body as it was sent, in the case given. Escapes in JSON are compared as
     * written. A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** Of this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
}

export interface Matched {
  /** Of a dry run: how many would be changed now. */
  matched: number
  /** Counting stopped at its time limit. The real number is at least `matched`. */
  more?: true | undefined
}

/** How many messages were removed. */
export type PurgeAnswer = {
  purged: number
} | Matched

export interface RedriveRequest {
  /** Only these messages. */
  ids?: Array<string> | undefined
  /** Only messages for which all of this is true. */
  where?: {
    /**
     * A piece of the body as it was sent, in the case given. Escapes in JSON are compared as
     * written. A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** Of this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
  /** Send them all to this queue. It takes a key that may enqueue there. */
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

/** Those that run, and those of the last days. */
export interface RedriveList {
  /** The newest first. */
  redrives: Array<{
    task: string
    /** null: each message goes home, or becomes ready here. */
    to: string | null
    ratePerSecond: number
    /** How many so far. */
    redriven: number
    state: 'running' | 'done' | 'stopped' | 'failed'
    /**
     * Why it failed. `refused`: by the database; the log of the service says why. The others are of
     * move tasks of SQS. `queueNotFound`: a queue to go to is missing. `originUnknown`: a message
     * never died, so it has no home. What was not moved stays.
     */
    failure: 'queueNotFound' | 'originUnknown' | 'refused' | null
    /** When it began. RFC 3339, UTC. */
    startedAt: string
  }>
}

export interface RetryRequest {
  /** Only these messages. */
  ids?: Array<string> | undefined
  /** Only messages for which all of this is true. */
  where?: {
    /**
     * A piece of the body as it was sent, in the case given. Escapes in JSON are compared as
     * written. A body stored as bytes never matches.
     */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
    /** Of this group. */
    group?: string | undefined
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
}

/** How many messages became ready. */
export type RetryAnswer = {
  retried: number
} | Matched

export interface Publication {
  /**
   * Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.
   */
  body: unknown
  /** Strings that travel beside the body: up to 64 of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /** The message is removed this long after its enqueue, unless a worker holds it then. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and for fairness: 1 to 128 characters, none of them a
   * control character.
   */
  group?: string | undefined
  /**
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
  /** While an earlier message of the queue holds the same key, no second one is stored. */
  unique?: {
    /**
     * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255
     * printable ASCII characters.
     */
    key: string
    /**
     * How long the message holds the key: until it is acked, dead, cancelled, purged or expired
     * (settled, the default), or until its first lease (leased).
     */
    until?: 'settled' | 'leased' | undefined
    /**
     * What becomes of the message that holds the key: it stays as it is (keep, the default), or
     * gets the content and the options of this one unless it is leased (replace).
     */
    onConflict?: 'keep' | 'replace' | undefined
  } | undefined
  /**
   * Subscriptions choose by it. 1 to 255 characters: words joined by dots, none of them empty.
   * Without one, only `#` matches.
   */
  routingKey?: string | undefined
}

export interface RawPublication {
  /**
   * Subscriptions choose by it. 1 to 255 characters: words joined by dots, none of them empty.
   * Without one, only `#` matches.
   */
  routingKey?: string | undefined
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** The message is not leased before this delay is over. */
  delaySeconds?: number | undefined
  /**
   * The message is not leased before this time, at most a year ahead. Not together with
   * delaySeconds. RFC 3339, UTC.
   */
  visibleAt?: string | undefined
  /** The message is removed this long after its enqueue, unless a worker holds it then. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /**
   * The group of the message, for order and for fairness: 1 to 128 characters, none of them a
   * control character.
   */
  group?: string | undefined
  /**
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
  /**
   * While an earlier message of the queue holds this key, nothing new is stored. 1 to 255 printable
   * ASCII characters.
   */
  uniqueKey?: string | undefined
  /**
   * How long the message holds the key: until it is acked, dead, cancelled, purged or expired
   * (settled, the default), or until its first lease (leased).
   */
  uniqueUntil?: 'settled' | 'leased' | undefined
  /**
   * What becomes of the message that holds the key: it stays as it is (keep, the default), or gets
   * the content and the options of this one unless it is leased (replace).
   */
  uniqueOnConflict?: 'keep' | 'replace' | undefined
}

/** Committed. 200 when all copies were there already, by their keys. */
export interface PublishAnswer {
  /** The copies. An empty list: nothing matched, and nobody gets the message. */
  messages: Array<{
    /** Of the message in the list; 0 for a single one. */
    index: number
    queue: string
    /** A message id. */
    id: string
    /** A key stood for this copy already. */
    duplicate?: true | undefined
    /** It held the unique key; it has the new content now. */
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
  /** By queue. */
  subscriptions: Array<{
    queue: string
    pattern: string
  }>
}

export interface TopicsQuery {
  limit?: number | undefined
  /** From the page before. */
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
  /** Send it to get the next page; null at the end. */
  cursor: string | null
}

export interface PushChange {
  /** Where to: http or https, without a name or a password in it. A new push needs it. */
  url?: string | undefined
  /**
   * Requests under way at one time, of each replica. To bound all replicas together, set
   * `maxLeased` of the queue. Default 10.
   */
  maxConcurrent?: number | undefined
  /** How long a request may take, with its answer. Default 30. */
  timeoutSeconds?: number | undefined
  /**
   * Header fields of each request, such as an Authorization. None that the service sets itself.
   * They are replaced as a whole.
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
  /** Until then the secret before the last rotation signs too. null: only one secret signs. */
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
  /** Until then the secret before the last rotation signs too. null: only one secret signs. */
  oldSecretUntil: string | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it last changed. RFC 3339, UTC. */
  updatedAt: string
  /** The endpoint fails, so deliveries are slowed down. null: full speed. */
  slowed: {
    /** In a row. */
    failures: number
    reason: string
    /** When the next delivery is tried. RFC 3339, UTC. */
    until: string
  } | null
  /**
   * The last 50 that this replica has made since its start, the newest first. Other replicas
   * remember their own.
   */
  deliveries: Array<{
    /** A message id. */
    id: string
    attempt: number
    /** When the request was sent. RFC 3339, UTC. */
    at: string
    /**
     * delivered: 2xx, so it was acked. gone: 410, so it is dead. failed: any other answer, or a
     * broken connection. timeout: no answer in time. unreachable: no connection.
     */
    outcome: 'delivered' | 'gone' | 'failed' | 'timeout' | 'unreachable'
    /** Of the answer. null: there was none. */
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
  /** Of the answer. null: there was none. */
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
  /** Until then the secret before the last rotation signs too. null: only one secret signs. */
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
  /** Whose clock it follows: a name of the IANA database. Default UTC. */
  timezone?: string | undefined
  /**
   * Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched.
   */
  body?: unknown
  /** Strings that travel beside the body: up to 64 of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Of its messages. Higher goes first. Default 4. */
  priority?: number | undefined
  /** While true the schedule is not due. What it misses is not made up for. Default false. */
  paused?: boolean | undefined
  /**
   * When it was due for more than a minute and nothing ran: one message for all that was missed, or
   * none. Default once.
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
  /** Whose clock it follows: a name of the IANA database. Default UTC. */
  timezone: string
  /** Of its messages. Higher goes first. Default 4. */
  priority: number
  /** While true the schedule is not due. What it misses is not made up for. Default false. */
  paused: boolean
  /**
   * When it was due for more than a minute and nothing ran: one message for all that was missed, or
   * none. Default once.
   */
  missed: 'once' | 'skip'
  /**
   * The API key that made it, or has last changed more than `paused: true`. Its messages a second
   * count the firings. It may have been revoked since. null: without a key.
   */
  owner: {
    /** The id of the key. */
    id: string
    /** The name of the key. */
    name: string
  } | null
  /** The next times, at most 5. In a list only the next one. None while it is paused. */
  nextRuns: Array<string>
  /**
   * What became of the last time at which it was due. null before the first. A run by hand is not
   * shown here.
   */
  lastRun: {
    /** When it was due; of several that were missed, the first. RFC 3339, UTC. */
    at: string
    /** When it was fired, or passed over. RFC 3339, UTC. */
    firedAt: string
    /** What became of it. */
    outcome:
      | 'enqueued'
      | 'skipped'
      | 'rateLimited'
      | 'queueNotFound'
      | 'tooManyQueues'
      | 'queueFull'
      | 'bodyTooLarge'
      | 'invalidSchedule'
    /** A message id. */
    messageId?: string | undefined
  } | null
  /** When it was made. RFC 3339, UTC. */
  createdAt: string
  /** When it was last changed. RFC 3339, UTC. */
  updatedAt: string
  /** JSON as it was sent, or other text in UTF-8 as a string. */
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
  /** Whose clock it follows: a name of the IANA database. Default UTC. */
  timezone: string
  /** Of its messages. Higher goes first. Default 4. */
  priority: number
  /** While true the schedule is not due. What it misses is not made up for. Default false. */
  paused: boolean
  /**
   * When it was due for more than a minute and nothing ran: one message for all that was missed, or
   * none. Default once.
   */
  missed: 'once' | 'skip'
  /**
   * The API key that made it, or has last changed more than `paused: true`. Its messages a second
   * count the firings. It may have been revoked since. null: without a key.
   */
  owner: {
    /** The id of the key. */
    id: string
    /** The name of the key. */
    name: string
  } | null
  /** The next times, at most 5. In a list only the next one. None while it is paused. */
  nextRuns: Array<string>
  /**
   * What became of the last time at which it was due. null before the first. A run by hand is not
   * shown here.
   */
  lastRun: {
    /** When it was due; of several that were missed, the first. RFC 3339, UTC. */
    at: string
    /** When it was fired, or passed over. RFC 3339, UTC. */
    firedAt: string
    /** What became of it. */
    outcome:
      | 'enqueued'
      | 'skipped'
      | 'rateLimited'
      | 'queueNotFound'
      | 'tooManyQueues'
      | 'queueFull'
      | 'bodyTooLarge'
      | 'invalidSchedule'
    /** A message id. */
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
  /** Send it to get the next page; null at the end. */
  cursor: string | null
}

export interface KeyRequest {
  /**
   * Who uses it, for people. 1 to 128 characters, none of them a control character or invisible.
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
   * A key that was made elsewhere, such as by another cell, whole. The same call twice makes one
   * key. Left out: a new key.
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
  /** Names the key. It is part of the key, and no secret. */
  id: string
  /**
   * Who uses it, for people. 1 to 128 characters, none of them a control character or invisible.
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
  /** Names the key. It is part of the key, and no secret. */
  id: string
  /**
   * Who uses it, for people. 1 to 128 characters, none of them a control character or invisible.
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

/** It is revoked. The schedules that it owns stay. */
export interface KeptSchedules {
  /** By name. Those that are not paused go on firing. */
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
