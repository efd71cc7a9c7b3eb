/** What a worker's handler is given, what it may throw, and what became of its message. */
import { delaySecondsMax } from './limits.ts'
import type { Ack, LeasedMessage, Outcome } from './types.ts'

/** What a handler is given. */
export interface Job<Body = unknown> {
  /** The body: JSON as a value, text as a string, anything else as bytes (Uint8Array). */
  body: Body
  /** The message as it was leased, with its headers and its receipt. */
  message: LeasedMessage
  /** Counts from 1. */
  attempt: number
  /**
   * Rises with every lease of this message. Store it beside your effect, and refuse a smaller one.
   */
  fence: number
  /**
   * Aborts when the lease is lost, or when the worker stops and its time is up. Stop working then.
   */
  signal: AbortSignal
}

/**
 * Does the work. When it returns, the message is acked, with what a returned `Done` says. When it
 * throws, the message fails with the
 * error's message as the reason.
 */
export type Handler<Body = unknown> = (job: Job<Body>) => unknown

/**
 * What became of a message. `unsettled`: the service could not be reached, so the lease will run
 * out.
 */
export interface Settled {
  message: LeasedMessage
  outcome: Outcome['outcome'] | 'unsettled'
  /** What the handler threw. */
  error?: unknown
}

/**
 * Returned by a handler: the ack has this `result`, and enqueues the messages of `then` in its own
 * commit. If they are refused, the message fails.
 */
export class Done {
  readonly ack: Omit<Ack, 'receipt'>

  constructor(ack: Omit<Ack, 'receipt'>) {
    this.ack = ack
  }
}

/** Thrown by a handler: the message becomes dead, because another try would not help. */
export class Dead extends Error {
  override name = 'Dead'
}

/** Thrown by a handler: try again after `delaySeconds`, instead of after the queue's delay. */
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
