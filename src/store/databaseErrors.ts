/** Errors of PostgreSQL and of connections to it: can a write have happened or not? */
import pg from 'pg'
import { QueueError } from '../core/errors.ts'
import { wrongCell } from '../core/queue.ts'

/** The SQLSTATEs that are told apart. */
export const sqlState = {
  unsupported: '0A000',
  readOnly: '25006',
  unknownStatement: '26000',
  serializationFailure: '40001',
  deadlock: '40P01',
  rightLacking: '42501',
  functionLacking: '42883',
  duplicateStatement: '42P05',
  lockTimeout: '55P03',
  cancelled: '57014',
  /** `keep_here` in migrations/api.sql refuses with it. */
  elsewhere: 'HF008'
} as const

/**
 * True when the server itself answered with an error, and where codes are given with one of these.
 * Then the statement had no effect, unless the error was fatal.
 */
export function isServerError(
  error: unknown,
  ...codes: string[]
): error is pg.DatabaseError & { code: string } {
  const isAnswer = error instanceof pg.DatabaseError && typeof error.code === 'string'
  return isAnswer && (codes.length === 0 || codes.includes(error.code!))
}

/** What a failed query is for its caller: an answer of the server, or a lost connection. */
export function failureOf(error: unknown): unknown {
  return isServerError(error) && !isFatal(error) ? error : outcomeUnknown(error)
}

/** Refuses because no connection could be had. */
export function unreachable(error: unknown): QueueError {
  return new QueueError(
    'databaseUnavailable',
    'The database cannot be reached just now; nothing was changed. Send the request again.',
    { cause: error }
  )
}

/** Refuses because the connection was lost before the answer came. */
export function outcomeUnknown(error: unknown): QueueError {
  return new QueueError(
    'outcomeUnknown',
    'The connection to the database was lost before it answered, ' +
      'so the change may or may not have been made. ' +
      'Send the request again with the same idempotency key.',
    { outcome: 'unknown', cause: error }
  )
}

/** The message of an error of a connection. Node tries every address of a name, and then says none. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(each => (each as Error).message).join(', ')
  }
  const { message } = error as Error
  return message === 'timeout expired' ? 'no answer in time' : message
}

// The session is gone, and its answer too: the server is shut down, or a backend has crashed or was
// killed.
function isFatal(error: pg.DatabaseError): boolean {
  return error.severity === 'FATAL' || error.severity === 'PANIC' || /^(08|57P)/.test(error.code ?? '')
}

// Not the statement's fault: it was aborted, cancelled or locked out, or the server is out of
// resources, shutting down or read-only.
function isPassing(error: pg.DatabaseError): boolean {
  return /^(40|53|55|57|58|25006)/.test(error.code ?? '')
}

/** True when the server would refuse the same work again. */
export const isLasting = (error: unknown): boolean =>
  isServerError(error) && !isFatal(error) && !isPassing(error)

/**
 * True when the connection is not to be used again. One that timed out or lost its server is busy
 * or dead, and one on a read-only server is on the wrong server. Any other error is of the work
 * itself, and says nothing about the connection.
 */
export function isBroken(error: unknown): boolean {
  if (error instanceof QueueError) return error.outcome === 'unknown'
  return isServerError(error, sqlState.readOnly)
}

const attemptsMax = 5
/** Definite aborts, so nothing has happened. */
const aborts: string[] = [sqlState.deadlock, sqlState.serializationFailure]

/**
 * Runs the work again after a deadlock or a serialization failure, up to five times in all. Other
 * passing errors refuse with databaseUnavailable.
 */
export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isServerError(error)) throw error
      if (attempt < attemptsMax && aborts.includes(error.code)) continue
      if (!isPassing(error)) throw error.code === sqlState.elsewhere ? wrongCellOf(error) : error
      throw new QueueError(
        'databaseUnavailable',
        'The database is not taking this just now; nothing was changed. Send the request again.',
        { cause: error }
      )
    }
  }
}

function wrongCellOf(error: pg.DatabaseError): QueueError {
  const [, queue = '', cell = ''] = / queue (\S+) belongs to the cell (\S+),/.exec(error.message) ?? []
  return wrongCell(queue, cell)
}

/** True when a serialization failure remained after all attempts. */
export function isOutrun(error: unknown): boolean {
  return error instanceof QueueError && isServerError(error.cause, sqlState.serializationFailure)
}

/**
 * True when one message alone is to blame. Class 22, a value that PostgreSQL refuses, catches what
 * the checks before miss. A lock is not had in time where somebody's open transaction has acked the
 * message in SQL.
 */
export function isPoison(error: unknown): boolean {
  const cause = error instanceof QueueError ? error.cause : error
  return isServerError(cause) && (cause.code.startsWith('22') || cause.code === sqlState.lockTimeout)
}
