/**
 * The REST contract as typed methods. A call without an answer is repeated, in a way that is safe
 * to repeat.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { attempt } from './attempt.ts'
import { HoldfastError, pauseAfter } from './error.ts'
import { waitSecondsMax } from './limits.ts'
import type {
  Ack,
  BrowseQuery,
  Enqueued,
  Explanation,
  Extension,
  Failure,
  KeyInfo,
  KeyMade,
  KeyRequest,
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
  RetryRequest,
  Schedule,
  ScheduleChange,
  ScheduleList,
  Series
} from './types.ts'

export interface ClientOptions {
  /** Where the service is: `http://127.0.0.1:8080`. */
  url: string
  /** An API key, where the service asks for one. */
  key?: string | undefined
  /** How long one try may take, in addition to its waitSeconds. Default 30. */
  timeoutSeconds?: number | undefined
  /**
   * How long after the first try another may begin, when there is no answer, or one that asks to
   * come again later. 0: never. Default 30.
   */
  retrySeconds?: number | undefined
}

export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal | undefined
  /** Instead of the client's. */
  timeoutSeconds?: number | undefined
  /** Instead of the client's. */
  retrySeconds?: number | undefined
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
   * Stores a message. The answer comes after the commit. Without an `idempotencyKey` the client
   * makes one, so that a try after a lost answer stores nothing twice.
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

  /** Stores bytes. A lease gives them back unchanged, with their content type. */
  enqueueRaw(
    queue: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawOptions = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    if (/^application\/json\s*(;|$)/i.test(contentType)) {
      throw new TypeError('enqueueRaw is for bodies that are not JSON. For application/json use enqueue.')
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
   * Takes messages for a time. Without an `idempotencyKey` the client makes one, so that a try
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
      // Without waitSeconds the queue says how long.
      { body: keyed(request), waitSeconds: request.waitSeconds ?? waitSecondsMax },
      options
    )
  }

  /**
   * The work is done. With one receipt it throws `leaseLost` when somebody else has the message by
   * now. With a list it answers an outcome for each receipt, in the order given. An ack may say what
   * came of the work, in `result`, and in `then` what to enqueue in the same commit. If a `then` is
   * refused, nothing of the call is acked.
   */
  ack(queue: string, ack: string | Ack, options?: CallOptions): Promise<Outcome>
  ack(queue: string, acks: (string | Ack)[], options?: CallOptions): Promise<Outcome[]>
  ack(
    queue: string,
    acks: string | Ack | (string | Ack)[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(acks) || acks.every(ack => typeof ack === 'string')) {
      return this.#settle(queue, 'ack', acks, options)
    }
    const all = acks.map(ack => (typeof ack === 'string' ? { receipt: ack } : ack))
    return this.#settleMany(queue, 'ack', { acks: all }, options)
  }

  /** The work failed. The message is tried again later, or is dead. */
  fail(queue: string, failure: Failure, options?: CallOptions): Promise<Outcome>
  fail(queue: string, failures: Failure[], options?: CallOptions): Promise<Outcome[]>
  fail(queue: string, failures: Failure | Failure[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'fail', failures, options)
  }

  /**
   * Lets the lease end `leaseSeconds` from now. With one extension it throws `leaseLost` or `gone`
   * when the lease cannot be extended.
   */
  extend(queue: string, extension: Extension, options?: CallOptions): Promise<Outcome>
  extend(queue: string, extensions: Extension[], options?: CallOptions): Promise<Outcome[]>
  extend(
    queue: string,
    extensions: Extension | Extension[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'extend', extensions, options)
  }

  /** Gives leased messages back. The attempt does not count. */
  release(queue: string, receipt: string, options?: CallOptions): Promise<Outcome>
  release(queue: string, receipts: string[], options?: CallOptions): Promise<Outcome[]>
  release(queue: string, receipts: string | string[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'release', receipts, options)
  }

  /** Lists messages by id, without leasing them. */
  browse(queue: string, query: BrowseQuery = {}, options?: CallOptions): Promise<MessagePage> {
    return this.#call('GET', `${path(queue)}/messages`, { query }, options)
  }

  /**
   * One message with its lease and its history. With `waitSeconds` the answer comes when the
   * message is acked, dead or gone, or when the time is up.
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

  /** Why a message is where it is. */
  explain(queue: string, id: string, options?: CallOptions): Promise<Explanation> {
    return this.#call('GET', `${path(queue)}/messages/${encodeURIComponent(id)}/explain`, {}, options)
  }

  /** Removes a message that is not leased. */
  async cancel(queue: string, id: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `${path(queue)}/messages/${encodeURIComponent(id)}`, {}, options)
  }

  /** A page of queues, by name. */
  queues(query: PageQuery = {}, options?: CallOptions): Promise<QueueList> {
    return this.#call('GET', '/queues', { query }, options)
  }

  /** A queue's settings, and the number of messages in each state. */
  queue(queue: string, options?: CallOptions): Promise<QueueReport> {
    return this.#call('GET', path(queue), {}, options)
  }

  /** The last hour of a queue: counts, rates, waiting and working times. */
  series(queue: string, options?: CallOptions): Promise<Series> {
    return this.#call('GET', `${path(queue)}/series`, {}, options)
  }

  /** Creates a queue, or changes the settings given. */
  putQueue(queue: string, settings: QueueSettings = {}, options?: CallOptions): Promise<QueueReport> {
    return this.#call('PUT', path(queue), { body: settings }, options)
  }

  /** Removes a queue and its messages. */
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

  /** Makes delayed and backing-off messages ready now. */
  retry(queue: string, request: RetryRequest = {}, options?: CallOptions): Promise<RetryAnswer> {
    return this.#call('POST', `${path(queue)}/retry`, { body: request }, options)
  }

  /** A page of schedules, by name, without their messages. */
  schedules(query: PageQuery = {}, options?: CallOptions): Promise<ScheduleList> {
    return this.#call('GET', '/schedules', { query }, options)
  }

  /** A schedule with its message and its next times. */
  schedule(name: string, options?: CallOptions): Promise<Schedule> {
    return this.#call('GET', schedulePath(name), {}, options)
  }

  /** Creates a schedule, or changes what is given. */
  putSchedule(name: string, change: ScheduleChange, options?: CallOptions): Promise<Schedule> {
    return this.#call('PUT', schedulePath(name), { body: change }, options)
  }

  /** Enqueues a schedule's message once more. Safe to repeat, as `enqueue` is. */
  runSchedule(
    name: string,
    request: { idempotencyKey?: string | undefined } = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    return this.#call('POST', `${schedulePath(name)}/run`, { body: keyed(request) }, options)
  }

  /** Removes a schedule. Its messages in the queue stay there. */
  async deleteSchedule(name: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', schedulePath(name), {}, options)
  }

  /** All API keys, without their secrets. */
  async keys(options?: CallOptions): Promise<KeyInfo[]> {
    return (await this.#call<{ keys: KeyInfo[] }>('GET', '/keys', {}, options)).keys
  }

  /**
   * Makes an API key. Its `secret` is shown this once. The call is not repeated by itself, because
   * a lost answer may have made a key.
   */
  createKey(request: KeyRequest, options?: CallOptions): Promise<KeyMade> {
    return this.#call('POST', '/keys', { body: request }, { retrySeconds: 0, ...options })
  }

  /** Revokes an API key. */
  async revokeKey(id: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `/keys/${encodeURIComponent(id)}`, {}, options)
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
    return await this.#settleMany(queue, verb, { [lists[verb]]: items }, options)
  }

  async #settleMany(queue: string, verb: string, body: object, options?: CallOptions): Promise<Outcome[]> {
    return (await this.#call<{ outcomes: Outcome[] }>('POST', `${path(queue)}/${verb}`, { body }, options))
      .outcomes
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

function path(queue: string): string {
  return `/queues/${encodeURIComponent(queue)}`
}

function schedulePath(name: string): string {
  return `/schedules/${encodeURIComponent(name)}`
}

// A key that is given as undefined counts as none.
function keyed<T extends { idempotencyKey?: string | undefined }>(request: T): T {
  return { ...request, idempotencyKey: request.idempotencyKey ?? crypto.randomUUID() }
}
