/**
 * A worker: leases messages, has a handler work on them, keeps the leases while it works, and
 * settles each.
 */
import { hostname } from 'node:os'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Client, HoldfastError, pauseAfter, type CallOptions, type ClientOptions } from './client.ts'
import { Outbox } from './outbox.ts'
import type { Failure, LeasedMessage, LeaseRequest, Outcome } from './types.ts'

/** What a handler is given. */
export interface Job<Body = unknown> {
  /** The body: JSON as a value, text as a string, anything else as bytes (Uint8Array). */
  body: Body
  /** The message as it was leased, its headers and its receipt among the rest. */
  message: LeasedMessage
  /** Counts from 1. */
  attempt: number
  /** Rises with every lease of this message: store it beside your effect and refuse a smaller one. */
  fence: number
  /** Aborts when the lease is lost, or the worker is stopped and its time is up: then stop working. */
  signal: AbortSignal
}

/**
 * Does the work. When it returns, the message is acked; when it throws, it is failed with the
 * error's message.
 */
export type Handler<Body = unknown> = (job: Job<Body>) => unknown

/** What became of a message. `unsettled`: the service could not be told, so the lease runs out by itself. */
export interface Settled {
  message: LeasedMessage
  outcome: Outcome['outcome'] | 'unsettled'
  /** What the handler threw. */
  error?: unknown
}

export interface WorkerOptions<Body = unknown> extends ClientOptions {
  queue: string
  handler: Handler<Body>
  /** So many messages at once, at most: never more are in hand. 1 to 1000, default 1. */
  concurrency?: number | undefined
  /**
   * How long a lease lasts, unless it is extended, as it is while the handler works. Instead of
   * the queue's. Default 30.
   */
  leaseSeconds?: number | undefined
  /** How long a call waits for a message; another follows. 1 to 60, default 20. */
  waitSeconds?: number | undefined
  /** How long running handlers may still take when the worker is stopped. Default 10. */
  graceSeconds?: number | undefined
  /** Who works, for the history. Default: the host's name and the number of the process. */
  worker?: string | undefined
  /** Whether SIGTERM and SIGINT stop the worker. Default true. */
  signals?: boolean | undefined
  /** Hears what became of each message. */
  onSettled?: ((settled: Settled) => void) | undefined
  /**
   * Hears of trouble: the service does not answer, say. The worker goes on by itself. Default:
   * writes a line to standard error.
   */
  onError?: ((error: Error) => void) | undefined
}

/** Thrown by a handler: the message is dead, there is no use in trying again. */
export class Dead extends Error {
  override name = 'Dead'
}

/** Thrown by a handler: try again after so long, instead of the queue's delay. */
export class RetryAfter extends Error {
  override name = 'RetryAfter'
  readonly delaySeconds: number

  constructor(delaySeconds: number, reason?: string) {
    if (!(delaySeconds >= 0 && delaySeconds <= 31_536_000)) {
      throw new RangeError(`delaySeconds is ${delaySeconds}. Give a number from 0 to 31536000, a year.`)
    }
    super(reason ?? `to be tried again after ${delaySeconds} s`)
    this.delaySeconds = delaySeconds
  }
}

type Told = Settled['outcome']

interface Running {
  message: LeasedMessage
  control: AbortController
  /** The service has confirmed the lease since: it lasts for leaseSeconds from here. */
  heldSinceMs: number
  /** Why the handler was told to stop, if it was. */
  end: 'leaseLost' | 'gone' | 'unconfirmed' | 'stopped' | null
  /** Goes on without the handler. */
  abandon: () => void
}

/** An ack waits so long for the next lease to take it along. */
const ackDelayMs = 20
/**
 * So often in a lease the worker looks which leases are a third over and to be extended. At the
 * last look it gives those up that it could not.
 */
const looksPerLease = 6
/** How long handlers that were told to stop have to return, and how long the last calls may take. */
const returnMs = 1000
const lastCallsMs = 5000

export class Worker<Body = unknown> {
  /** Resolves when the worker has been stopped; it never ends by itself, and never throws. */
  readonly stopped: Promise<void>
  readonly #client: Client
  readonly #queue: string
  readonly #handler: Handler<Body>
  readonly #leaseSeconds: number
  readonly #waitSeconds: number
  readonly #graceSeconds: number
  readonly #name: string
  readonly #onSettled: (settled: Settled) => void
  readonly #onError: (error: Error) => void
  readonly #stopping = new AbortController()
  readonly #givingUp = new AbortController()
  readonly #running = new Map<string, Running>()
  readonly #working = new Set<Promise<void>>()
  readonly #acks = new Outbox<string, Told>(
    receipts => this.#settle(receipts, options => this.#client.ack(this.#queue, receipts, options)),
    ackDelayMs
  )
  readonly #failures = new Outbox<Failure, Told>(
    failures => this.#settle(failures, options => this.#client.fail(this.#queue, failures, options)),
    0
  )
  readonly #releases = new Outbox<string, Told>(
    receipts => this.#settle(receipts, options => this.#client.release(this.#queue, receipts, options)),
    0
  )
  #free: number
  #onFree = () => {}

  /** Begins at once, and goes on until it is stopped. */
  constructor({
    queue,
    handler,
    concurrency = 1,
    leaseSeconds = 30,
    waitSeconds = 20,
    graceSeconds = 10,
    worker = `${hostname()}:${process.pid}`,
    signals = true,
    onSettled = () => {},
    onError = complain,
    ...client
  }: WorkerOptions<Body>) {
    if (typeof handler !== 'function') throw new TypeError('A worker needs a handler, which is a function.')
    if (!Number.isInteger(concurrency)) {
      throw new RangeError(`concurrency is ${concurrency}; it must be a whole number.`)
    }
    check({ concurrency }, 1, 1000)
    check({ leaseSeconds }, 0.1, 43_200)
    check({ waitSeconds }, 1, 60)
    check({ graceSeconds }, 0, 43_200)
    this.#client = new Client(client)
    this.#queue = queue
    this.#handler = handler
    this.#leaseSeconds = leaseSeconds
    this.#waitSeconds = waitSeconds
    this.#graceSeconds = graceSeconds
    this.#name = worker
    this.#onSettled = onSettled
    this.#onError = onError
    this.#free = concurrency
    this.stopped = this.#run(signals)
  }

  /**
   * Leases no more; waits up to graceSeconds for running handlers, then tells them to stop; gives
   * back what is left. Takes 11 s longer at most.
   */
  stop(): Promise<void> {
    this.#stopping.abort(new Error('The worker is stopping.'))
    this.#onFree()
    return this.stopped
  }

  async #run(signals: boolean): Promise<void> {
    const stop = () => {
      this.stop()
    }
    if (signals) listen(stop)
    const extending = setInterval(
      () => this.#extend(this.#running.values()),
      (this.#leaseSeconds * 1000) / looksPerLease
    )
    while (!this.#stopping.signal.aborted) {
      await turn() // what ends in one turn is acked, and asked for anew, together
      if (this.#free > 0) await this.#lease()
      else {
        await new Promise<void>(resolve => {
          this.#onFree = resolve
        })
      }
    }
    await this.#worked(this.#graceSeconds * 1000)
    for (const running of this.#running.values()) interrupt(running, 'stopped', 'The worker is stopping.')
    await this.#worked(returnMs)
    for (const { abandon } of this.#running.values()) abandon()
    const last = setTimeout(() => this.#givingUp.abort(new Error('The worker has stopped.')), lastCallsMs)
    await Promise.all(this.#working)
    clearTimeout(last)
    clearInterval(extending)
    unlisten(stop)
  }

  /** Until all that is being worked on is settled, or the time is up. */
  async #worked(ms: number): Promise<void> {
    const over = new AbortController()
    await Promise.race([
      Promise.all(this.#working),
      sleep(ms, undefined, { signal: over.signal }).catch(() => {})
    ])
    over.abort()
  }

  /**
   * One call, repeated until it is answered: acks what has been done, and takes as many messages
   * as there are hands free.
   */
  async #lease(): Promise<void> {
    const acks = this.#acks.take()
    // With the same key a repeated call brings the messages of the answer that was lost. One with
    // acks does not wait, so that what became of them is known at once.
    const request = {
      max: this.#free,
      waitSeconds: acks.length > 0 ? 0 : this.#waitSeconds,
      leaseSeconds: this.#leaseSeconds,
      worker: this.#name,
      idempotencyKey: crypto.randomUUID(),
      ack: acks.map(({ item }) => item)
    }
    const { signal } = this.#stopping
    for (let tries = 1; ; tries++) {
      try {
        const { messages, outcomes } = await this.#client.lease(this.#queue, request, {
          signal,
          retrySeconds: 0
        })
        acks.forEach(({ resolve }, index) => resolve(outcomes![index]!.outcome))
        for (const message of messages) {
          this.#start(message, performance.now() - (tries === 1 ? 0 : this.#leaseSeconds * 500))
        }
        if (tries > 1) this.#extend(this.#running.values()) // they may have been leased a while ago
        return
      } catch (error) {
        if (signal.aborted) {
          this.#acks.putBack(acks)
          await this.#giveBack(request)
          return
        }
        this.#tell(error)
        await sleep(pauseAfter(tries, error), undefined, { signal }).catch(() => {})
      }
    }
  }

  // An answer that was on its way when the call was given up may have brought messages. The same
  // key brings them again.
  async #giveBack(request: LeaseRequest): Promise<void> {
    const options = { timeoutSeconds: lastCallsMs / 1000, retrySeconds: 0 }
    try {
      const { messages } = await this.#client.lease(
        this.#queue,
        { ...request, max: 1, waitSeconds: 0, ack: [] },
        options
      )
      if (messages.length > 0) {
        await this.#client.release(
          this.#queue,
          messages.map(({ receipt }) => receipt),
          options
        )
      }
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'queueNotFound')) this.#tell(error)
    }
  }

  #start(message: LeasedMessage, heldSinceMs: number): void {
    this.#free--
    const work = this.#work(message, heldSinceMs)
      .catch(error => this.#tell(error))
      .then(() => {
        this.#working.delete(work)
      })
    this.#working.add(work)
  }

  async #work(message: LeasedMessage, heldSinceMs: number): Promise<void> {
    const { receipt } = message
    const control = new AbortController()
    let abandon = () => {}
    const abandoned = new Promise<void>((_resolve, reject) => {
      abandon = () => reject(control.signal.reason)
    })
    const running: Running = { message, control, heldSinceMs, end: null, abandon }
    this.#running.set(receipt, running)
    const done = await Promise.race([this.#handle(running), abandoned]).then(
      () => ({ error: undefined, ok: true }),
      (error: unknown) => ({ error, ok: false })
    )
    this.#running.delete(receipt)
    const outcome = await this.#settled(running, done)
    this.#onSettled({ message, outcome, ...(!done.ok && { error: done.error }) })
  }

  async #handle({ message, control: { signal } }: Running): Promise<void> {
    const { attempt, fence, body, bodyBase64 } = message
    await this.#handler({
      body: (bodyBase64 === undefined ? body : new Uint8Array(Buffer.from(bodyBase64, 'base64'))) as Body,
      message,
      attempt,
      fence,
      signal
    })
  }

  async #settled(
    { message: { receipt }, end }: Running,
    { ok, error }: { ok: boolean; error: unknown }
  ): Promise<Told> {
    const free = () => {
      this.#free++
      this.#onFree()
    }
    if (ok && end !== 'leaseLost' && end !== 'gone') {
      const acked = this.#acks.add(receipt)
      free() // the next lease acks before it takes
      return await acked
    }
    try {
      if (end === 'stopped') return await this.#releases.add(receipt)
      if (end !== null) return end === 'gone' ? 'gone' : 'leaseLost'
      return await this.#failures.add({
        receipt,
        reason: reasonOf(error),
        ...(error instanceof Dead && { dead: true }),
        ...(error instanceof RetryAfter && { delaySeconds: error.delaySeconds })
      })
    } finally {
      free()
    }
  }

  /** Repeats the call until it is answered, or the worker has stopped. */
  async #settle(items: unknown[], call: (options: CallOptions) => Promise<Outcome[]>): Promise<Told[]> {
    const { signal } = this.#givingUp
    for (let tries = 1; ; tries++) {
      try {
        return (await call({ signal, retrySeconds: 0 })).map(({ outcome }) => outcome)
      } catch (error) {
        const known = error instanceof HoldfastError
        if (known && error.code === 'queueNotFound') return items.map(() => 'gone')
        this.#tell(error)
        if (signal.aborted || (known && !error.passes)) return items.map(() => 'unsettled')
        await sleep(pauseAfter(tries, error), undefined, { signal }).catch(() => {})
      }
    }
  }

  /**
   * Of what is being worked on, has the service extend the leases that are a third over, and tells
   * the handlers whose leases are lost.
   */
  async #extend(all: Iterable<Running>): Promise<void> {
    const sentMs = performance.now()
    const leaseMs = this.#leaseSeconds * 1000
    const due = [...all].filter(({ end, heldSinceMs }) => end === null && sentMs - heldSinceMs >= leaseMs / 3)
    if (due.length === 0) return
    try {
      const outcomes = await this.#client.extend(
        this.#queue,
        due.map(({ message: { receipt } }) => ({ receipt, leaseSeconds: this.#leaseSeconds })),
        { signal: this.#givingUp.signal, timeoutSeconds: this.#leaseSeconds / looksPerLease, retrySeconds: 0 }
      )
      for (const [index, { outcome }] of outcomes.entries()) {
        const running = due[index]!
        if (outcome === 'extended') running.heldSinceMs = sentMs
        else {
          interrupt(
            running,
            outcome === 'gone' ? 'gone' : 'leaseLost',
            'The lease has been lost: the message is gone, or somebody else has it.'
          )
        }
      }
    } catch (error) {
      this.#tell(error)
      for (const running of due) {
        if (performance.now() - running.heldSinceMs >= leaseMs * (1 - 1 / looksPerLease)) {
          interrupt(
            running,
            'unconfirmed',
            'The lease runs out: the service could not be asked to extend it.'
          )
        }
      }
    }
  }

  #tell(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(reasonOf(thrown))
    try {
      this.#onError(error)
    } catch {
      complain(error)
    }
  }
}

// One listener for all workers of the process, gone with the first signal, so that a second one
// ends the process at once.
const listening = new Set<() => void>()

function listen(stop: () => void): void {
  if (listening.size === 0) for (const name of ['SIGTERM', 'SIGINT']) process.on(name, onSignal)
  listening.add(stop)
}

function unlisten(stop: () => void): void {
  if (listening.delete(stop) && listening.size === 0) {
    for (const name of ['SIGTERM', 'SIGINT']) process.off(name, onSignal)
  }
}

function onSignal(): void {
  for (const stop of listening) {
    unlisten(stop)
    stop()
  }
}

function interrupt(running: Running, end: NonNullable<Running['end']>, why: string): void {
  if (running.end !== null) return
  running.end = end
  running.control.abort(new Error(why))
}

function reasonOf(error: unknown): string {
  let text = 'the handler threw what cannot be shown'
  try {
    text = String(error instanceof Error ? error.message || error.name : error)
  } catch {}
  return text.slice(0, 1000).toWellFormed().replaceAll('\0', '')
}

function check(option: Record<string, number>, min: number, max: number): void {
  for (const [name, value] of Object.entries(option)) {
    if (!(value >= min && value <= max)) {
      throw new RangeError(`${name} is ${value}; it must be from ${min} to ${max}.`)
    }
  }
}

function complain({ message }: Error): void {
  process.stderr.write(`holdfast worker: ${message}\n`)
}
