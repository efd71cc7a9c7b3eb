/**
 * All that the checker reads. The history is what callers did and were told, with one event for each
 * message of each call. The audit is what the database holds at the end.
 */
import { createHash } from 'node:crypto'

/**
 * `none`: the call had no effect. `unknown`: nobody can say. Any other outcome is the service's
 * word.
 */
export type Unsure = 'none' | 'unknown'

/**
 * `at` and `end`: when the call was made and answered, in ms since the epoch, on the machine's
 * clock.
 */
interface Call {
  queue: string
  at: number
  end: number
}

export interface EnqueueEvent extends Call {
  t: 'enqueue'
  token: string
  keyed: boolean
  print: string
  out: 'ok' | Unsure
  id?: string
  delayMs: number
  /** Its group. The messages of a group are sent one call after another. */
  group?: string
  unique?: string
}
export interface LeaseEvent extends Call {
  t: 'lease'
  id: string
  token: string
  print: string
  fence: number
  attempt: number
  maxAttempts: number
  until: number
  leaseMs: number
}
export interface SettleEvent extends Call {
  t: 'settle'
  verb: 'ack' | 'fail' | 'release' | 'extend'
  id: string
  fence: number
  out: string
  dead: boolean
  until?: number
  /** The token of the message that is enqueued with the ack. */
  then?: string
}
/** An enqueue that stored nothing, because the message `id` holds its unique key. */
export interface KeptEvent extends Call {
  t: 'kept'
  key: string
  id: string
}
/** A request that reached the endpoint of a push. `status` is its answer. 0: it gave none. */
export interface PushEvent extends Call {
  t: 'push'
  id: string
  token: string
  print: string
  status: number
}
/** A lease whose answer was lost. */
export interface LostEvent extends Call {
  t: 'lost'
}
/** An answer that the contract does not allow, or a process that ended by itself. */
export interface OddEvent {
  t: 'odd'
  at: number
  what: string
}
/**
 * `upAfterMs`: from the heal until each living replica had served an enqueue and a lease. Null when
 * that took too long.
 */
export interface FaultEvent {
  t: 'fault'
  name: string
  at: number
  healedAt: number
  upAfterMs: number | null
  skipped?: string
  /** From the end of the fault to the end of the first enqueue that was confirmed. */
  confirmedAfterMs?: number
}
export type Event =
  EnqueueEvent | LeaseEvent | SettleEvent | KeptEvent | PushEvent | LostEvent | OddEvent | FaultEvent

/** A message as the database has it at the end. `state` is acked for one that its queue keeps. */
export interface StoredMessage {
  id: string
  state: string
  fence: number
  attempt: number
  maxAttempts: number
  token: string
  print: string
}
export interface StoredAttempt {
  id: string
  fence: number
  attempt: number
  outcome: 'failed' | 'expired' | 'released'
}
export interface AuditedQueue {
  queue: string
  /** Whether acked messages are kept, with their history. */
  kept: boolean
  /** Whether its messages go to a dead-letter queue, or came from one. */
  moves: boolean
  /** Whether its messages are delivered to an endpoint. */
  pushed: boolean
  ordered: boolean
  maxLeased: number | null
  rate: { perSecond: number; burst: number } | null
  messages: StoredMessage[]
  history: StoredAttempt[]
}
/** `unbalanced` holds sentences about counts that do not equal the rows. */
export interface Audit {
  queues: AuditedQueue[]
  /** The queues of each topic. All are subscribed to every message. */
  topics: string[][]
  unbalanced: string[]
}

/** The token in a body, which tells its message even when the rest was changed. */
export function tokenOf(body: Buffer): string {
  return (
    /<([\w-]+)>/.exec(body.toString('latin1'))?.[1] ??
    `no token in ${JSON.stringify(body.toString('latin1').slice(0, 40))}`
  )
}

/** A digest of everything that must come back as it was sent. */
export function printOf(body: Buffer, contentType: string, headers: Record<string, string>): string {
  return createHash('sha256')
    .update(`${contentType}\n${JSON.stringify(Object.entries(headers).sort())}\n`)
    .update(body)
    .digest('base64url')
    .slice(0, 16)
}
