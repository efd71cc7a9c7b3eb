/**
 * The REST contract as typed methods. A call that got no answer is repeated, each in a way that is
 * safe to repeat.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  BrowseQuery,
  Enqueued,
  Extension,
  Failure,
  LeasedMessage,
  LeaseRequest,
  MessageDetail,
  MessagePage,
  NewMessage,
  Outcome,
  PageQuery,
  PurgeAnswer,
  PurgeRequest,
  QueueList,
  QueueReport,
  QueueSettings,
  RawOptions,
  RedriveAnswer,
  RedriveRequest,
  RetryAnswer,
  RetryRequest
} from './types.ts'

export interface ClientOptions {
  /** Where the service is: `http://127.0.0.1:8080`. */
  url: string
  /** An API key, where the service asks for one. */
  key?: string | undefined
  /** How long one try may take, beside the time it asks the service to wait. Default 30. */
  timeoutSeconds?: number | undefined
  /**
   * How long after the first try another may begin, while there is no answer, or one that says to
   * come again later. 0: never. Default 30.
   */
  retrySeconds?: number | undefined
}

export interface CallOptions {
  /** Gives the call up. */
  signal?: AbortSignal | undefined
  /** Instead of the client's. */
  timeoutSeconds?: number | undefined
  /** Instead of the client's. */
  retrySeconds?: number | undefined
}

export interface ErrorDetails {
  status: number
  code: string
  outcome?: 'none' | 'unknown' | undefined
  retryAfterSeconds?: number | undefined
  requestId?: string | undefined
  errors?: Array<{ pointer: string; message: string }> | undefined
  cause?: unknown
}

/** A refusal, or no answer in the time there was. */
export class HoldfastError extends Error {
  /** Of the answer; 0 when there was none. */
  readonly status: number
  /** From the service's closed list (docs/errors.md); `noAnswer` when there was none that could be read. */
  readonly code: string
  /** Whether anything happened: `none`, nothing did; `unknown`, it may have. */
  readonly outcome: 'none' | 'unknown'
  readonly retryAfterSeconds: number | undefined
  readonly requestId: string | undefined
  /** What does not fit in the request, and where. */
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

  /** Whether the same request may fare better later. */
  get passes(): boolean {
    return this.code === 'noAnswer' || this.status === 429 || this.status >= 500
  }
}

interface Request {
  body?: unknown
  bytes?: Uint8Array
  headers?: Record<string, string>
  query?: object
  waitSeconds?: number | undefined
}

export class Client {
  readonly #url: string
  readonly #headers: Record<string, string>
  readonly #timeoutSeconds: number
  readonly #retrySeconds: number

  constructor({ url, key, timeoutSeconds = 30, retrySeconds = 30 }: ClientOptions) {
    this.#url = new URL(url).href.replace(/\/+$/, '')
    this.#headers = {
      accept: 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` })
    }
    this.#timeoutSeconds = timeoutSeconds
    this.#retrySeconds = retrySeconds
  }

  /**
   * Stores a message; the answer comes after the commit. Without an `idempotencyKey` one is made
   * up, so that a try repeated after a lost answer stores nothing twice.
   */
  enqueue(queue: string, message: NewMessage, options?: CallOptions): Promise<Enqueued> {
    return this.#call('POST', `${path(queue)}/messages`, { body: keyed(message) }, options)
  }

  /** Stores 1 to 1000 messages, all or none. */
  async enqueueMany(queue: string, messages: NewMessage[], options?: CallOptions): Promise<Enqueued[]> {
    return (
      await this.#call<{ messages: Enqueued[] }>(
        'POST',
        `${path(queue)}/messages`,
        { body: { messages: messages.map(keyed) } },
        options
      )
    ).messages
  }

  /** Stores bytes, which come back as they are, with their content type. */
  enqueueRaw(
    queue: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawOptions = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    if (/^application\/json\s*(;|$)/i.test(contentType)) {
      throw new TypeError('enqueueRaw is for what is not JSON. For application/json use enqueue.')
    }
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
    return this.#call(
      'POST',
      `${path(queue)}/messages`,
      { bytes, headers: { 'content-type': contentType }, query: keyed(message) },
      options
    )
  }

  /**
   * Takes messages for a time. Without an `idempotencyKey` one is made up, so that a try repeated
   * after a lost answer brings the same messages.
   */
  lease(
    queue: string,
    request: LeaseRequest = {},
    options?: CallOptions
  ): Promise<{ messages: LeasedMessage[]; outcomes?: Outcome[] }> {
    return this.#call(
      'POST',
      `${path(queue)}/lease`,
      { body: keyed(request), waitSeconds: request.waitSeconds },
      options
    )
  }

  /**
   * The work is done. One receipt: throws `leaseLost` when it is somebody else's by now. A list:
   * says of each what came of it, in the order given.
   */
  ack(queue: string, receipt: string, options?: CallOptions): Promise<Outcome>
  ack(queue: string, receipts: string[], options?: CallOptions): Promise<Outcome[]>
  ack(queue: string, receipts: string | string[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'ack', receipts, options)
  }

  /** The work did not succeed: the message is tried again later, or is dead. */
  fail(queue: string, failure: Failure, options?: CallOptions): Promise<Outcome>
  fail(queue: string, failures: Failure[], options?: CallOptions): Promise<Outcome[]>
  fail(queue: string, failures: Failure | Failure[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'fail', failures, options)
  }

  /** The lease ends so long from now. One: throws `leaseLost` or `gone` when it cannot be extended. */
  extend(queue: string, extension: Extension, options?: CallOptions): Promise<Outcome>
  extend(queue: string, extensions: Extension[], options?: CallOptions): Promise<Outcome[]>
  extend(
    queue: string,
    extensions: Extension | Extension[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'extend', extensions, options)
  }

  /** Gives back what was leased; the attempt does not count. */
  release(queue: string, receipt: string, options?: CallOptions): Promise<Outcome>
  release(queue: string, receipts: string[], options?: CallOptions): Promise<Outcome[]>
  release(queue: string, receipts: string | string[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'release', receipts, options)
  }

  /** Looks at messages, by id, without leasing them. */
  browse(queue: string, query: BrowseQuery = {}, options?: CallOptions): Promise<MessagePage> {
    return this.#call('GET', `${path(queue)}/messages`, { query }, options)
  }

  /**
   * One message with its lease and its history. With `waitSeconds` once it is acked, dead or gone,
   * or the time is up.
   */
  message(
    queue: string,
    id: string,
    query: { waitSeconds?: number | undefined } = {},
    options?: CallOptions
  ): Promise<MessageDetail> {
    return this.#call(
      'GET',
      `${path(queue)}/messages/${encodeURIComponent(id)}`,
      { query, waitSeconds: query.waitSeconds },
      options
    )
  }

  /** Removes a message that nobody holds. */
  async cancel(queue: string, id: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `${path(queue)}/messages/${encodeURIComponent(id)}`, {}, options)
  }

  /** A page of queues, by name. */
  queues(query: PageQuery = {}, options?: CallOptions): Promise<QueueList> {
    return this.#call('GET', '/queues', { query }, options)
  }

  /** A queue's settings, and how many messages are in which state. */
  queue(queue: string, options?: CallOptions): Promise<QueueReport> {
    return this.#call('GET', path(queue), {}, options)
  }

  /** Makes a queue, or changes the settings given. */
  putQueue(queue: string, settings: QueueSettings = {}, options?: CallOptions): Promise<QueueReport> {
    return this.#call('PUT', path(queue), { body: settings }, options)
  }

  /** Removes a queue and all in it. */
  async deleteQueue(queue: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', path(queue), {}, options)
  }

  /** Removes messages. */
  purge(queue: string, request: PurgeRequest = {}, options?: CallOptions): Promise<PurgeAnswer> {
    return this.#call('POST', `${path(queue)}/purge`, { body: request }, options)
  }

  /** Makes dead messages ready again. */
  redrive(queue: string, request: RedriveRequest = {}, options?: CallOptions): Promise<RedriveAnswer> {
    return this.#call('POST', `${path(queue)}/redrive`, { body: request }, options)
  }

  /** Delayed and backing-off messages become ready now. */
  retry(queue: string, request: RetryRequest = {}, options?: CallOptions): Promise<RetryAnswer> {
    return this.#call('POST', `${path(queue)}/retry`, { body: request }, options)
  }

  async #settle(
    queue: string,
    verb: keyof typeof lists,
    items: unknown,
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(items)) {
      return await this.#call<Outcome>(
        'POST',
        `${path(queue)}/${verb}`,
        { body: typeof items === 'string' ? { receipt: items } : items },
        options
      )
    }
    return (
      await this.#call<{ outcomes: Outcome[] }>(
        'POST',
        `${path(queue)}/${verb}`,
        { body: { [lists[verb]]: items } },
        options
      )
    ).outcomes
  }

  async #call<Answer>(
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

const lists = { ack: 'receipts', fail: 'failures', extend: 'extensions', release: 'receipts' } as const

/**
 * How long to wait after so many tries: at random up to twice as long as the time before, at most
 * 5 s, on top of what the service asks for.
 */
export function pauseAfter(tries: number, error: unknown): number {
  const askedMs = error instanceof HoldfastError ? (error.retryAfterSeconds ?? 0) * 1000 : 0
  return askedMs + Math.random() * Math.min(5000, 100 * 2 ** tries)
}

function path(queue: string): string {
  return `/queues/${encodeURIComponent(queue)}`
}

// A key that is there and undefined counts as none.
function keyed<T extends { idempotencyKey?: string | undefined }>(request: T): T {
  return { ...request, idempotencyKey: request.idempotencyKey ?? crypto.randomUUID() }
}

async function attempt({
  method,
  url,
  headers,
  body,
  timeoutMs,
  signal
}: {
  method: string
  url: string
  headers: Record<string, string>
  body: string | Uint8Array | null
  timeoutMs: number
  signal: AbortSignal | undefined
}): Promise<unknown> {
  signal?.throwIfAborted()
  // Not AbortSignal.any: what it makes of a signal that lives long is kept as long.
  const ending = new AbortController()
  const giveUp = () => ending.abort(signal!.reason)
  signal?.addEventListener('abort', giveUp)
  const timer = setTimeout(
    () => ending.abort(new Error(`nothing came within ${timeoutMs / 1000} s`)),
    timeoutMs
  )
  try {
    const response = await fetch(url, { method, headers, body: body as string | null, signal: ending.signal })
    const text = await response.text()
    if (response.ok) return text === '' ? undefined : JSON.parse(text)
    throw refusal(response, text)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const { message, cause } = error as Error
    throw new HoldfastError(
      `No answer to ${method} ${url}: ${(cause as Error | undefined)?.message || message}`,
      { status: 0, code: 'noAnswer', outcome: 'unknown', cause: error }
    )
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
  }
}

// What a proxy before the service says may be no problem document.
function refusal({ status, headers }: Response, text: string): HoldfastError {
  let problem: Partial<ErrorDetails & { detail: string }> = {}
  try {
    problem = JSON.parse(text) ?? {}
  } catch {}
  const retryAfter = Number(headers.get('retry-after') ?? NaN)
  return new HoldfastError(problem.detail ?? `The answer was ${status}.`, {
    status,
    code: problem.code ?? `http${status}`,
    outcome: problem.outcome ?? (status >= 500 ? 'unknown' : 'none'),
    retryAfterSeconds: retryAfter >= 0 ? retryAfter : undefined,
    requestId: problem.requestId,
    errors: problem.errors
  })
}
