/**
 * Logs faults that may come thousands of times a second: of each kind at most one line a second,
 * with what caused it and how many there were since the last line.
 */
import type { Logger } from 'pino'

/** What a log line says of the error at the bottom of a fault. */
export interface Cause {
  cause?: string
  /** The code of PostgreSQL's error. */
  sqlState?: string
}

const pauseMs = 1000

export class FaultLog {
  readonly #log: Logger
  readonly #kinds = new Map<string, { atMs: number; since: number }>()

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * `source` is what failed: a part of the service, or the code of a refusal. Faults of one source
   * with different SQLSTATEs are of different kinds, so that none hides another.
   */
  write(
    level: 'warn' | 'error',
    source: string,
    error: unknown,
    fields: Record<string, unknown>,
    message: string
  ): void {
    const cause = causeOf(error)
    const key = `${source} ${cause.sqlState}`
    const kind = this.#kinds.get(key) ?? { atMs: -Infinity, since: 0 }
    this.#kinds.set(key, kind)
    kind.since++
    if (performance.now() < kind.atMs + pauseMs) return
    this.#log[level]({ ...fields, ...cause, since: kind.since }, message)
    Object.assign(kind, { atMs: performance.now(), since: 0 })
  }
}

/** Follows the causes of an error to the first of them. */
export function causeOf(error: unknown): Cause {
  let root = error
  while (root instanceof Error && root.cause instanceof Error) root = root.cause
  // A host name may stand for several addresses. Their errors come in one, which has no message.
  if (root instanceof AggregateError && root.message === '') root = root.errors[0]
  if (root === undefined) return {}
  // pg-boss hands on copies of errors, which are plain objects.
  const { message, code } = Object(root) as { message?: unknown; code?: unknown }
  return {
    cause: typeof message === 'string' ? message : String(root),
    ...(typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? { sqlState: code } : {})
  }
}
