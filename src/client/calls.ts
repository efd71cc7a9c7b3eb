/** Calls of the REST contract. One without an answer is repeated, in a way that is safe to repeat. */
import { setTimeout as sleep } from 'node:timers/promises'
import { attempt } from './attempt.ts'
import { HoldfastError, pauseAfter } from './error.ts'
import type { RawPublication } from './types.ts'

export interface ClientOptions {
  /** The address of the service, such as `http://127.0.0.1:8080`. */
  url: string
  /** The API key, if the service needs one. */
  key?: string | undefined
  /** How long one try may take, on top of its `waitSeconds`. Default 30. */
  timeoutSeconds?: number | undefined
  /**
   * How long after its first try a call may be tried again: after no answer, a 429 or a 5xx. 0: it is
   * tried once. Default 30.
   */
  retrySeconds?: number | undefined
}

export interface CallOptions {
  /** Ends the call when it aborts. The call then throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** How long one try may take, on top of its `waitSeconds`. Default: that of the client. */
  timeoutSeconds?: number | undefined
  /** How long after its first try the call may be tried again. Default: that of the client. */
  retrySeconds?: number | undefined
}

/** What goes out with a call. */
export interface Request {
  body?: unknown
  bytes?: Uint8Array
  headers?: Record<string, string>
  query?: object
  waitSeconds?: number | undefined
}

/** What every verb of the client calls the service by. */
export class Calls {
  readonly #url: string
  readonly #headers: Record<string, string>
  readonly #timeoutSeconds: number
  readonly #retrySeconds: number

  constructor({ url, key, timeoutSeconds = 30, retrySeconds = 30 }: ClientOptions) {
    this.#url = new URL(url).href.replace(/(?<!\/)\/+$/, '')
    this.#headers = {
      accept: 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` })
    }
    this.#timeoutSeconds = timeoutSeconds
    this.#retrySeconds = retrySeconds
  }

  /** One operation of the contract, repeated while it has no answer. Throws HoldfastError. */
  protected async call<Answer>(
    method: string,
    path: string,
    request: Request,
    { signal, timeoutSeconds = this.#timeoutSeconds, retrySeconds = this.#retrySeconds }: CallOptions = {}
  ): Promise<Answer> {
    const untilMs = performance.now() + retrySeconds * 1000
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) query.set(name, String(value))
    }
    const url = `${this.#url}${path}${query.size > 0 ? `?${query}` : ''}`
    const body = request.bytes ?? (request.body === undefined ? null : JSON.stringify(request.body))
    const headers = {
      ...this.#headers,
      ...(body !== null && { 'content-type': 'application/json' }),
      ...request.headers
    }
    for (let tries = 1; ; tries++) {
      try {
        return (await attempt({
          method,
          url,
          headers,
          body,
          timeoutMs: (timeoutSeconds + (request.waitSeconds ?? 0)) * 1000,
          signal
        })) as Answer
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof HoldfastError) || !error.passes) throw error
        const pauseMs = pauseAfter(tries, error)
        if (performance.now() + pauseMs >= untilMs) throw error
        await sleep(pauseMs, undefined, { ...(signal !== undefined && { signal }) })
      }
    }
  }
}

/** The path of names in a collection: `/queues/mail/messages`. */
export function path(...parts: string[]): string {
  return parts.map(part => `/${encodeURIComponent(part)}`).join('')
}

/** A request whose body is bytes, with options in the query. Throws TypeError for a body of JSON. */
export function rawRequest(body: Uint8Array | string, contentType: string, message: RawPublication): Request {
  if (/^application\/json\s*(;|$)/i.test(contentType)) {
    throw new TypeError(
      'enqueueRaw and publishRaw are for bodies that are not JSON. ' +
        'For application/json use enqueue or publish.'
    )
  }
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return { bytes, headers: { 'content-type': contentType }, query: keyed(message) }
}

/** The request with an idempotency key: a new one where none, or undefined, is given. */
export function keyed<T extends { idempotencyKey?: string | undefined }>(request: T): T {
  return { ...request, idempotencyKey: request.idempotencyKey ?? crypto.randomUUID() }
}
