/** What a call throws when it is refused, or gets no answer. */
import type { ErrorCode } from './types.ts'

/**
 * A code of the service's closed list (docs/errors.md), or one of the client's own. `noAnswer`: no
 * answer could be read. `http502` and the like: a proxy answered with this status, in its own words.
 */
export type Code = ErrorCode | 'noAnswer' | `http${number}`

export interface ErrorDetails {
  status: number
  code: Code
  outcome?: 'none' | 'unknown' | undefined
  retryAfterSeconds?: number | undefined
  requestId?: string | undefined
  errors?: Array<{ pointer: string; message: string }> | undefined
  cause?: unknown
}

/** The service refused a call, or did not answer in time. */
export class HoldfastError extends Error {
  /** The status of the answer. 0: there was no answer. */
  readonly status: number
  /** What to act on: `if (error.code === 'leaseLost')`. */
  readonly code: Code
  /** `none`: nothing happened. `unknown`: the change may have happened. */
  readonly outcome: 'none' | 'unknown'
  /** How long the service asks to wait before the next try. */
  readonly retryAfterSeconds: number | undefined
  /** The id under which the service logs the request. */
  readonly requestId: string | undefined
  /** What is wrong in the request: `pointer` says where. */
  readonly errors: Array<{ pointer: string; message: string }>

  constructor(
    message: string,
    { status, code, outcome = 'none', retryAfterSeconds, requestId, errors = [], cause }: ErrorDetails
  ) {
    super(message, { cause })
    this.name = 'HoldfastError'
    this.status = status
    this.code = code
    this.outcome = outcome
    this.retryAfterSeconds = retryAfterSeconds
    this.requestId = requestId
    this.errors = errors
  }

  /** Whether the same request may succeed later. */
  get passes(): boolean {
    return this.code === 'noAnswer' || this.status === 429 || this.status >= 500
  }
}

/**
 * How long to wait after this many tries, in milliseconds: a random time of at most 200 ms after
 * the first, twice as much after each further one, and never more than 5 s. The time that the
 * service asks for comes on top.
 */
export function pauseAfter(tries: number, error: unknown): number {
  const askedMs = error instanceof HoldfastError ? (error.retryAfterSeconds ?? 0) * 1000 : 0
  return askedMs + Math.random() * Math.min(5000, 100 * 2 ** tries)
}
