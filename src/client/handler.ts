/** What a worker's handler is given, what it may throw, and what became of its message. */
import { delaySecondsMax } from './limits.ts'
import type { Ack, LeasedMessage, Outcome } from './types.ts'

/** What a handler is given. */
export interface Job<Body = unknown> {
  /** The body: JSON as a value, text as a string, anything else as bytes (Uint8Array). */
  body: Body
  /** The message as it was leased, with its headers and its receipt. */
  message: LeasedMessage
  /** The number of this attempt, from 1. Released leases do not count. */
  attempt: number
  /**
   * Rises with every lease of the message. Store the fence with your effect, and refuse a smaller one.
   */
  fence: number
  /**
   * Aborts when the lease is lost, or when the worker is stopped and `graceSeconds` are over. Stop
   * working then.
   */
  signal: AbortSignal
}

/**
 * Does the work. When it returns, the worker acks the message. A returned `Done` adds a result, or
 * messages to enqueue. When the handler throws, the worker fails the message, with the error's
 * message as the reason.
 */
export type Handler<Body = unknown> = (job: Job<Body>) => unknown

/**
 * What became of a message. `unsettled`: the service could not be reached, so the lease runs out and
 * the message comes again.
 */
export interface Settled {
  message: LeasedMessage
  outcome: Outcome['outcome'] | 'unsettled'
  /** What the handler threw, if it threw. */
  error?: unknown
}

/**
 * A handler returns it to ack with a `result`, or to enqueue the messages of `then` in the commit of
 * the ack. If the service refuses the ack for good, the message fails with that reason.
 */
export class Done {
  readonly ack: Omit<Ack, 'receipt'>

  constructor(ack: Omit<Ack, 'receipt'>) {
    this.ack = ack
  }
}

/** A handler throws it when another attempt would not help: the message becomes dead. */
export class Dead extends Error {
  override name = 'Dead'
}

/** A handler throws it to choose the delay: the message is retried after `delaySeconds`. */
export class RetryAfter extends Error {
  override name = 'RetryAfter'
  readonly delaySeconds: number

  constructor(delaySeconds: number, reason?: string) {
    if (!(delaySeconds >= 0 && delaySeconds <= delaySecondsMax)) {
      throw new RangeError(
        `delaySeconds is ${delaySeconds}. Give a number from 0 to ${delaySecondsMax}, a year.`
      )
    }
    super(reason ?? `to be tried again after ${delaySeconds} s`)
    this.delaySeconds = delaySeconds
  }
}

/** What a handler threw, as a reason that the service accepts. */
export function reasonOf(error: unknown): string {
  let text = 'the handler threw a value that has no text'
  try {
    text = String(error instanceof Error ? error.message || error.name : error)
  } catch {}
  return text.slice(0, 1000).toWellFormed().replaceAll('\0', '')
}
