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
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
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
   * The same key with the same content within dedupSeconds is the same message. 1 to 255 printable
   * ASCII characters.
   */
  idempotencyKey?: string | undefined
}

export interface Enqueued {
  /** A message id. */
  id: string
  /** The key stood for this message already; nothing was stored. */
  duplicate?: true | undefined
}

export interface LeaseRequest {
  /** Take at most this many. Default 1. */
  max?: number | undefined
  /** Wait this long for the first message. Default 0. */
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
   * Ack these first, in the same commit. Where the `idempotencyKey` has been used before, they are
   * acked in a commit before it. The acks never wait.
   */
  ack?: Array<string> | undefined
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
  maxAttempts: number
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
  lastFailure?: {
    attempt: number
    reason: string | null
    /** When the attempt ended. RFC 3339, UTC. */
    at: string
  } | undefined
}

export interface Failure {
  /** From the lease. */
  receipt: string
  /** Why, for the history. */
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

export interface Outcome {
  receipt?: string | undefined
  outcome: 'acked' | 'retrying' | 'dead' | 'extended' | 'released' | 'gone' | 'leaseLost'
  /** retrying: when the message is ready again. RFC 3339, UTC. */
  visibleAt?: string | undefined
  /** extended: when the lease ends now. RFC 3339, UTC. */
  leaseExpiresAt?: string | undefined
}

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
  limit?: number | undefined
  /** From the page before. */
  cursor?: string | undefined
}

export interface MessagePage {
  messages: Array<{
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
    maxAttempts: number
    /** When it was stored. RFC 3339, UTC. */
    enqueuedAt: string
    /** delayed: when it is ready. RFC 3339, UTC. */
    visibleAt?: string | undefined
    lastFailure?: {
      attempt: number
      reason: string | null
      /** When the attempt ended. RFC 3339, UTC. */
      at: string
    } | undefined
  }>
  /** A page may be short, or empty, and still have one; null at the end. */
  cursor: string | null
}

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
  maxAttempts: number
  /** When it was stored. RFC 3339, UTC. */
  enqueuedAt: string
  /** delayed: when it is ready. RFC 3339, UTC. */
  visibleAt?: string | undefined
  lastFailure?: {
    attempt: number
    reason: string | null
    /** When the attempt ended. RFC 3339, UTC. */
    at: string
  } | undefined
  lease?: {
    worker: string
    /** Since when. RFC 3339, UTC. */
    leasedAt: string
    /** Until when. RFC 3339, UTC. */
    expiresAt: string
  } | undefined
  /** Each attempt that ended badly, the oldest first; at most the last 1000. */
  history: Array<{
    attempt: number
    worker: string | null
    leasedAt: string | null
    /** Until when. RFC 3339, UTC. */
    endedAt: string
    outcome: 'failed' | 'expired' | 'released'
    reason?: string | undefined
  }>
}

export interface QueueSettings {
  /** How long a lease lasts when the call does not say. Default 30. */
  leaseSeconds?: number | undefined
  /** A message is dead after this many attempts that ended badly. Default 5. */
  maxAttempts?: number | undefined
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
  /** While true, leases give nothing and enqueues go on. Default false. */
  paused?: boolean | undefined
  /** How long an acked message can still be browsed. At 0 the ack removes it. Default 0. */
  keepAckedSeconds?: number | undefined
}

export interface QueueReport {
  /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
  queue: string
  settings: {
    leaseSeconds: number
    maxAttempts: number
    retry: {
      strategy: string
      delaySeconds: number
      maxDelaySeconds: number
      jitter: boolean
    }
    retentionSeconds: number
    dedupSeconds: number
    maxDepth: number | null
    paused: boolean
    keepAckedSeconds: number
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
  /** When the queue was made. RFC 3339, UTC. */
  createdAt: string
  /** When its settings last changed. RFC 3339, UTC. */
  updatedAt: string
}

export interface QueueList {
  queues: Array<{
    /** The queue. 1 to 80 of A–Z a–z 0–9 _ . -, the first a letter or a digit. */
    queue: string
    settings: {
      leaseSeconds: number
      maxAttempts: number
      retry: {
        strategy: string
        delaySeconds: number
        maxDelaySeconds: number
        jitter: boolean
      }
      retentionSeconds: number
      dedupSeconds: number
      maxDepth: number | null
      paused: boolean
      keepAckedSeconds: number
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
     * acked / (acked + dead + expired) since the queue was made: of the messages that came to an
     * end, the share whose work was done. Dead messages count until they are redriven. null before
     * the first end.
     */
    reliability: number | null
    /**
     * Seconds since the oldest ready message became ready: since its enqueue, or since the end of
     * its delay, its lease or its death. null when none is ready.
     */
    oldestReadySeconds: number | null
    /** When the queue was made. RFC 3339, UTC. */
    createdAt: string
    /** When its settings last changed. RFC 3339, UTC. */
    updatedAt: string
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
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
}

export type PurgeAnswer = {
  purged: number
} | {
  /** Of a dry run: how many would be changed now. */
  matched: number
  /** Counting stopped at its time limit. The real number is at least `matched`. */
  more?: true | undefined
}

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
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
}

export type RedriveAnswer = {
  redriven: number
} | {
  /** Of a dry run: how many would be changed now. */
  matched: number
  /** Counting stopped at its time limit. The real number is at least `matched`. */
  more?: true | undefined
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
  } | undefined
  /** At most this many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many match. */
  dryRun?: boolean | undefined
}

export type RetryAnswer = {
  retried: number
} | {
  /** Of a dry run: how many would be changed now. */
  matched: number
  /** Counting stopped at its time limit. The real number is at least `matched`. */
  more?: true | undefined
}
