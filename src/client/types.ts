/** What goes over the wire. Made from src/fronts/rest/schemas.ts by npm run openapi; do not edit. */

export interface NewMessage {
  /** Any JSON. It comes back exactly as it was sent: digits, duplicate names and escapes untouched. */
  body: unknown
  /** Strings that travel beside the body: up to 64 of up to 4096 characters. */
  headers?: Record<string, string> | undefined
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** Not leased before so long. Not together with visibleAt. */
  delaySeconds?: number | undefined
  /** Not leased before this time, at most a year ahead. RFC 3339, UTC. */
  visibleAt?: string | undefined
  /** Removed if nobody leased it for so long. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /** The same key with the same content within dedupSeconds is the same message. 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined
}

export interface RawOptions {
  /** Higher goes first. Default 4. */
  priority?: number | undefined
  /** Not leased before so long. Not together with visibleAt. */
  delaySeconds?: number | undefined
  /** Not leased before this time, at most a year ahead. RFC 3339, UTC. */
  visibleAt?: string | undefined
  /** Removed if nobody leased it for so long. */
  ttlSeconds?: number | undefined
  /** Instead of the queue's. */
  maxAttempts?: number | undefined
  /** The same key with the same content within dedupSeconds is the same message. 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined
}

export interface Enqueued {
  /** A message id. */
  id: string
  /** The key stood for this message already; nothing was stored. */
  duplicate?: true | undefined
}

export interface LeaseRequest {
  /** Take at most so many. Default 1. */
  max?: number | undefined
  /** Wait so long for the first one. Default 0. */
  waitSeconds?: number | undefined
  /** Instead of the queue's. */
  leaseSeconds?: number | undefined
  /** Who asks, for the history. Default: the User-Agent. */
  worker?: string | undefined
  /** The same one again while those leases last brings the same messages and receipts, for when the answer was lost. 1 to 255 printable ASCII characters. */
  idempotencyKey?: string | undefined
  /** Ack these first, in the same commit, or before it where the `idempotencyKey` has been used before; it never waits. */
  ack?: Array<string> | undefined
}

export interface LeasedMessage {
  /** A message id. */
  id: string
  /** The proof of this lease. Settle with it. */
  receipt: string
  /** Rises with every lease of this message: store it beside your effect and refuse a smaller one. */
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
  /** Retry after so long, instead of the queue's delay. 0: at once. */
  delaySeconds?: number | undefined
  /** true: no further attempt. */
  dead?: boolean | undefined
}

export interface Extension {
  /** From the lease. */
  receipt: string
  /** The lease ends so long from now; it may end sooner than before. */
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
  /** A piece of the body, in the case given, as the body was sent: escapes in JSON are compared as written. A body stored as bytes never matches. */
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
  /** After this many leases that ended badly a message is dead. Default 5. */
  maxAttempts?: number | undefined
  retry?: {
    /** How the delay grows: it doubles, it adds, or it stays. */
    strategy?: 'exponential' | 'linear' | 'fixed' | undefined
    /** Delay after the first failed attempt. */
    delaySeconds?: number | undefined
    /** No delay is longer than this. */
    maxDelaySeconds?: number | undefined
    /** Adds up to as much again, at random, so that messages that failed together do not come back together. */
    jitter?: boolean | undefined
  } | undefined
  /** How long after its enqueue a message is kept, in any state. Default 1209600 (14 days). */
  retentionSeconds?: number | undefined
  /** How long an idempotency key stands for its message. Default 86400 (a day). */
  dedupSeconds?: number | undefined
  /** At most this many ready, delayed and leased messages, exact to about a second of traffic. Default null: no bound. */
  maxDepth?: number | null | undefined
  /** While true, leases give nothing and enqueues go on. Default false. */
  paused?: boolean | undefined
  /** How long an acked message can still be looked at. Default 0: it is removed with the ack. */
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
  /** acked / (acked + dead + expired) since the queue was made: of the messages that came to an end, the share whose work was done. Dead ones count until they are redriven; null before the first end. */
  reliability: number | null
  /** Age since its enqueue of the oldest message at the head of a priority; null when none is ready. */
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
    /** acked / (acked + dead + expired) since the queue was made: of the messages that came to an end, the share whose work was done. Dead ones count until they are redriven; null before the first end. */
    reliability: number | null
    /** Age since its enqueue of the oldest message at the head of a priority; null when none is ready. */
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
  /** Only these. */
  ids?: Array<string> | undefined
  /** Only those for which all of this is so. */
  where?: {
    /** A piece of the body, in the case given, as the body was sent: escapes in JSON are compared as written. A body stored as bytes never matches. */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
  } | undefined
  /** At most so many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many there are. */
  dryRun?: boolean | undefined
}

export type PurgeAnswer = {
  purged: number
} | {
  /** Of a dry run: how many would be changed at this moment. */
  matched: number
  /** There was no time to look at all: so many, or more. */
  more?: true | undefined
}

export interface RedriveRequest {
  /** Only these. */
  ids?: Array<string> | undefined
  /** Only those for which all of this is so. */
  where?: {
    /** A piece of the body, in the case given, as the body was sent: escapes in JSON are compared as written. A body stored as bytes never matches. */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
  } | undefined
  /** At most so many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many there are. */
  dryRun?: boolean | undefined
}

export type RedriveAnswer = {
  redriven: number
} | {
  /** Of a dry run: how many would be changed at this moment. */
  matched: number
  /** There was no time to look at all: so many, or more. */
  more?: true | undefined
}

export interface RetryRequest {
  /** Only these. */
  ids?: Array<string> | undefined
  /** Only those for which all of this is so. */
  where?: {
    /** A piece of the body, in the case given, as the body was sent: escapes in JSON are compared as written. A body stored as bytes never matches. */
    contains?: string | undefined
    /** A piece of the last failure's reason, in the case given. */
    reason?: string | undefined
    /** Enqueued at this time or later. RFC 3339, UTC. */
    enqueuedAfter?: string | undefined
    /** Enqueued before this time. RFC 3339, UTC. */
    enqueuedBefore?: string | undefined
  } | undefined
  /** At most so many, the lowest ids first. */
  limit?: number | undefined
  /** true: nothing is changed; the answer says how many there are. */
  dryRun?: boolean | undefined
}

export type RetryAnswer = {
  retried: number
} | {
  /** Of a dry run: how many would be changed at this moment. */
  matched: number
  /** There was no time to look at all: so many, or more. */
  more?: true | undefined
}
