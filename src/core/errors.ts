/**
 * The one error that callers are meant to see, and the closed list of its codes. Knows nothing of
 * HTTP.
 */

/** Every code a refusal or a fault can carry. docs/errors.md has one heading for each. */
export const codes = [
  'malformedRequest',
  'malformedJson',
  'invalidRequest',
  'invalidReceipt',
  'invalidCursor',
  'invalidSchedule',
  'unauthorized',
  'forbidden',
  'queueNotFound',
  'messageNotFound',
  'keyNotFound',
  'scheduleNotFound',
  'redriveNotFound',
  'topicNotFound',
  'pushNotFound',
  'routeNotFound',
  'methodNotAllowed',
  'leaseLost',
  'gone',
  'messageLeased',
  'queueNotEmpty',
  'uniqueGroup',
  'ackedNotKept',
  'redriveRunning',
  'adminKeyFirst',
  'wrongCell',
  'requestTimeout',
  'bodyTooLarge',
  'requestTooLarge',
  'headersTooLarge',
  'unsupportedMediaType',
  'expectationFailed',
  'idempotencyMismatch',
  'queueFull',
  'tooManyWaiting',
  'rateLimited',
  'shareUsedUp',
  'tooManyKeys',
  'tooManyQueues',
  'tooManySchedules',
  'tooManySubscriptions',
  'tooManyPushes',
  'databaseUnavailable',
  'cellUnavailable',
  'outcomeUnknown',
  'overloaded',
  'shuttingDown',
  'internal'
] as const

export type Code = (typeof codes)[number]

/** What became of a write that failed: it never happened, or nobody here can know. */
export const writeOutcomes = ['none', 'unknown'] as const
type WriteOutcome = (typeof writeOutcomes)[number]

/**
 * One fault in a request. `pointer` is a JSON Pointer (RFC 6901) into the body, or names a
 * parameter.
 */
interface Fault {
  pointer: string
  message: string
}

/** A refusal or a failure, which fronts tell the caller by its code. */
export class QueueError extends Error {
  readonly code: Code
  readonly outcome: WriteOutcome
  readonly faults: Fault[]
  /** When to try again. null: soon. */
  readonly retryAfterSeconds: number | null

  /**
   * `message` tells the caller what is wrong and what to do. It never holds SQL, a path or a
   * secret.
   */
  constructor(
    code: Code,
    message: string,
    options: { outcome?: WriteOutcome; faults?: Fault[]; retryAfterSeconds?: number; cause?: unknown } = {}
  ) {
    super(message, { cause: options.cause })
    this.name = 'QueueError'
    this.code = code
    this.outcome = options.outcome ?? 'none'
    this.faults = options.faults ?? []
    this.retryAfterSeconds = options.retryAfterSeconds ?? null
  }
}

/** The same refusal, with the place in the request of what it is about. */
export function pointedAt({ code, message, faults }: QueueError, pointer: string): QueueError {
  if (faults.length > 0) return new QueueError(code, message, { faults })
  return new QueueError(code, message, { faults: [{ pointer, message }] })
}

/** An error after a part of the work was committed. "Nothing happened" would be a lie. */
export function partlyDone(error: Error): Error {
  return new QueueError(
    'outcomeUnknown',
    'Only a part of this was done before it failed. Send the request again: it goes on where it stopped.',
    { outcome: 'unknown', cause: error }
  )
}

/** The step of a JSON Pointer (RFC 6901) to the member of this name. */
export const pointerStep = (name: string) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`

/**
 * A request that breaks a rule. The first fault is in the sentence, all of them are in `faults`.
 */
export function invalidRequest(
  pointer: string,
  message: string,
  faults: Fault[] = [{ pointer, message }]
): QueueError {
  const place = pointer === '' ? 'The body' : pointer
  return new QueueError(
    'invalidRequest',
    `${place} ${message}. Fix the request and send it again; nothing was changed.`,
    { faults }
  )
}
