/**
 * A worker: leases messages, has a handler work on them, keeps the leases meanwhile, and settles
 * each message.
 */
import { hostname } from 'node:os'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { ClientOptions } from './calls.ts'
import { Client } from './client.ts'
import { HoldfastError, pauseAfter } from './error.ts'
import { Dead, Done, reasonOf, RetryAfter, type Handler, type Settled } from './handler.ts'
import { interrupt, LeaseKeeper, type HeldMessage } from './leaseKeeper.ts'
import { letsNextGo, linesOf } from './lines.ts'
import { leaseSecondsMax, listMax, waitSecondsMax } from './limits.ts'
import { offProcessSignal, onProcessSignal } from './processSignals.ts'
import { Settler, type Result } from './settler.ts'
import type { Leased, LeasedMessage, LeaseRequest } from './types.ts'

export interface WorkerOptions<Body = unknown> extends ClientOptions {
  /** The queue to work on. */
  queue: string
  /** Does the work of one message. */
  handler: Handler<Body>
  /**
   * How many messages the worker has in hand at once. 1 to 1000, default 1. Messages of one group of
   * an ordered queue are worked on one after another, in their order.
   */
  concurrency?: number | undefined
  /**
   * How long a lease lasts. The worker extends it while the handler works. Default 30, whatever the
   * queue says.
   */
  leaseSeconds?: number | undefined
  /** How long one call waits for a message, before the next call. 1 to 60, default 20. */
  waitSeconds?: number | undefined
  /** How long running handlers may still take when the worker is stopped. Default 10. */
  graceSeconds?: number | undefined
  /** The worker's name in the history of messages. Default: the host's name and the process id. */
  worker?: string | undefined
  /** Whether SIGTERM and SIGINT stop the worker. Default true. */
  signals?: boolean | undefined
  /** Called with what became of each message. */
  onSettled?: ((settled: Settled) => void) | undefined
  /**
   * Called with each error, for example when the service does not answer. The worker goes on by
   * itself. Default: writes a line to standard error.
   */
  onError?: ((error: Error) => void) | undefined
}

/** How long handlers that were told to stop have to return. */
const returnMs = 1000
/** How long the last calls of a stopped worker may take. */
const lastCallsMs = 5000

/** What the handler returned, or what it threw. */
type End = { ok: true; value: unknown } | { ok: false; error: unknown }

/** Leases messages of a queue, has a handler work on them, extends their leases and settles them. */
export class Worker<Body = unknown> {
  /** Resolves when the worker has been stopped. It never ends by itself, and never rejects. */
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
  readonly #working = new Set<Promise<void>>()
  readonly #settler: Settler
  readonly #leases: LeaseKeeper
  #free: number
  #onFree = () => {}

  /** Begins to work at once. Throws if an option is out of its bounds. */
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
    ...clientOptions
  }: WorkerOptions<Body>) {
    if (typeof queue !== 'string' || queue === '') throw new TypeError('A worker needs the name of a queue.')
    if (typeof handler !== 'function') throw new TypeError('A worker needs a handler, which is a function.')
    if (!Number.isInteger(concurrency)) {
      throw new RangeError(`concurrency is ${concurrency}. It must be a whole number.`)
    }
    checkRange({ concurrency }, 1, listMax)
    checkRange({ leaseSeconds }, 0.1, leaseSecondsMax)
    checkRange({ waitSeconds }, 1, waitSecondsMax)
    checkRange({ graceSeconds }, 0, leaseSecondsMax)
    const client = new Client(clientOptions)
    const report = (error: unknown) => this.#report(error)
    this.#client = client
    this.#queue = queue
    this.#handler = handler
    this.#leaseSeconds = leaseSeconds
    this.#waitSeconds = waitSeconds
    this.#graceSeconds = graceSeconds
    this.#name = worker
    this.#onSettled = onSettled
    this.#onError = onError
    this.#free = concurrency
    this.#settler = new Settler(client, queue, report)
    this.#leases = new LeaseKeeper({ client, queue, leaseSeconds, signal: this.#settler.signal, report })
    this.stopped = this.#run(signals)
  }

  /**
   * Stops the worker. It leases no more, and waits up to `graceSeconds` for handlers. Then it aborts
   * their signals, and releases their messages. Resolves at most 11 s after `graceSeconds`.
   */
  stop(): Promise<void> {
    this.#stopping.abort(new Error('The worker is stopping.'))
    this.#onFree()
    return this.stopped
  }

  async #run(signals: boolean): Promise<void> {
    const onSignal = () => {
      this.stop()
    }
    if (signals) onProcessSignal(onSignal)
    this.#leases.start()
    while (!this.#stopping.signal.aborted) {
      await turn() // handlers that end in one turn share the next lease, which acks and takes
      if (this.#free > 0) await this.#lease()
      else {
        await new Promise<void>(resolve => {
          this.#onFree = resolve
        })
      }
    }
    await this.#finish()
    this.#leases.stop()
    offProcessSignal(onSignal)
  }

  /** Ends the work under way: waits for it, interrupts it, and at last goes on without it. */
  async #finish(): Promise<void> {
    await this.#workEnds(this.#graceSeconds * 1000)
    for (const held of this.#leases.held()) interrupt(held, 'stopped', 'The worker is stopping.')
    await this.#workEnds(returnMs)
    for (const { abandon } of this.#leases.held()) abandon()
    const timer = setTimeout(() => this.#settler.giveUp(), lastCallsMs)
    await Promise.all(this.#working)
    clearTimeout(timer)
  }

  /** Waits until every message in hand is settled, or the time is up. */
  async #workEnds(limitMs: number): Promise<void> {
    const over = new AbortController()
    await Promise.race([
      Promise.all(this.#working),
      sleep(limitMs, undefined, { signal: over.signal }).catch(() => {})
    ])
    over.abort()
  }

  /**
   * Acks what is done and leases as many messages as are free to be worked on. Repeats the call.
   */
  async #lease(): Promise<void> {
    const acks = this.#settler.takeAcks()
    // With the same key, a repeated call brings the messages of the answer that was lost. A call
    // with acks does not wait, so that their outcomes are known at once.
    const request = {
      max: this.#free,
      waitSeconds: acks.length > 0 ? 0 : this.#waitSeconds,
      leaseSeconds: this.#leaseSeconds,
      worker: this.#name,
      idempotencyKey: crypto.randomUUID(),
      ack: acks.map(({ item }) => item)
    }
    const { signal } = this.#stopping
    const options = { signal, retrySeconds: 0 }
    for (let tries = 1; ; tries++) {
      try {
        const leased = await this.#client.lease(this.#queue, request, options)
        acks.forEach(({ resolve }, index) => resolve(leased.outcomes![index]!.outcome))
        this.#begin(leased, tries > 1)
        return
      } catch (error) {
        if (signal.aborted) {
          this.#settler.putBackAcks(acks)
          await this.#releaseUnseen(request)
          return
        }
        this.#report(error)
        if (acks.length > 0 && !(error instanceof HoldfastError && error.passes)) {
          // The lease may be refused for long, so the acks go in a call of their own.
          this.#settler.sendAcks(acks)
          return
        }
        await sleep(pauseAfter(tries, error), undefined, { signal }).catch(() => {})
      }
    }
  }

  /** Begins to work on leased messages. After a repeated call, their leases may be half over. */
  #begin(leased: Leased, isRepeated: boolean): void {
    const usedMs = isRepeated ? (this.#leaseSeconds * 1000) / 2 : 0
    const heldSinceMs = performance.now() - usedMs
    for (const line of linesOf(leased)) this.#start(line, heldSinceMs)
    if (isRepeated) this.#leases.extend()
  }

  /**
   * Releases what a call that was given up has leased. Its answer may have been on its way, with messages.
   * The same key brings them again.
   */
  async #releaseUnseen(request: LeaseRequest): Promise<void> {
    const repeated = { ...request, max: 1, waitSeconds: 0, ack: [] }
    const options = { timeoutSeconds: lastCallsMs / 1000, retrySeconds: 0 }
    try {
      const { messages } = await this.#client.lease(this.#queue, repeated, options)
      const receipts = messages.map(({ receipt }) => receipt)
      if (receipts.length > 0) await this.#client.release(this.#queue, receipts, options)
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'queueNotFound')) this.#report(error)
    }
  }

  #start(line: LeasedMessage[], heldSinceMs: number): void {
    this.#free -= line.length
    const work = this.#workThrough(line.map(message => this.#hold(message, heldSinceMs)))
      .catch(error => this.#report(error))
      .then(() => {
        this.#working.delete(work)
      })
    this.#working.add(work)
  }

  #hold(message: LeasedMessage, heldSinceMs: number): HeldMessage {
    const control = new AbortController()
    let abandon = () => {}
    const abandoned = new Promise<void>((_resolve, reject) => {
      abandon = () => reject(control.signal.reason)
    })
    abandoned.catch(() => {}) // of a message that still waits for its turn
    const held: HeldMessage = { message, control, heldSinceMs, end: null, abandon, abandoned }
    this.#leases.add(held)
    return held
  }

  /** Works on messages one after another. If one stays in the queue, none of those after it may go. */
  async #workThrough(line: HeldMessage[]): Promise<void> {
    for (const [index, held] of line.entries()) {
      if (held.end !== null) return await this.#giveBack(line.slice(index))
      const next = line.slice(index + 1)
      const outcome = await this.#work(held, next.length > 0)
      if (!letsNextGo(outcome) || this.#stopping.signal.aborted) return await this.#giveBack(next)
    }
  }

  /** Releases messages that no handler has seen. */
  async #giveBack(line: HeldMessage[]): Promise<void> {
    await Promise.all(
      line.map(async held => {
        this.#leases.remove(held)
        const { message } = held
        const outcome = await this.#settler.release(message.receipt)
        this.#addFree()
        this.#tell({ message, outcome })
      })
    )
  }

  async #work(held: HeldMessage, hurry: boolean): Promise<Result> {
    const done = await Promise.race([this.#handle(held), held.abandoned]).then(
      (value): End => ({ ok: true, value }),
      (error: unknown): End => ({ ok: false, error })
    )
    // An ack that enqueues may have to be repeated for long, while the lease must last.
    const keeps = done.ok && done.value instanceof Done
    if (!keeps) this.#leases.remove(held)
    const outcome = await this.#settle(held, done, hurry)
    this.#leases.remove(held)
    this.#tell({ message: held.message, outcome, ...(!done.ok && { error: done.error }) })
    return outcome
  }

  async #handle({ message, control: { signal } }: HeldMessage): Promise<unknown> {
    const { attempt, fence, body, bodyBase64 } = message
    return await this.#handler({
      body: (bodyBase64 === undefined ? body : new Uint8Array(Buffer.from(bodyBase64, 'base64'))) as Body,
      message,
      attempt,
      fence,
      signal
    })
  }

  async #settle({ message: { receipt }, end }: HeldMessage, done: End, hurry: boolean): Promise<Result> {
    if (done.ok && end !== 'leaseLost' && end !== 'gone') {
      if (done.value instanceof Done) return await this.#complete(receipt, done.value)
      const acked = this.#settler.ack(receipt, hurry)
      this.#addFree() // before the answer, because the next lease acks before it takes
      return await acked
    }
    try {
      if (end === 'stopped') return await this.#settler.release(receipt)
      if (end !== null) return end === 'gone' ? 'gone' : 'leaseLost'
      const error = done.ok ? undefined : done.error
      return await this.#settler.fail({
        receipt,
        reason: reasonOf(error),
        ...(error instanceof Dead && { dead: true }),
        ...(error instanceof RetryAfter && { delaySeconds: error.delaySeconds })
      })
    } finally {
      this.#addFree()
    }
  }

  async #complete(receipt: string, { ack }: Done): Promise<Result> {
    try {
      return await this.#settler.complete({ ...ack, receipt })
    } catch (error) {
      this.#report(error)
      return await this.#settler.fail({ receipt, reason: reasonOf(error) })
    } finally {
      this.#addFree()
    }
  }

  /** One more message may be leased. */
  #addFree(): void {
    this.#free++
    this.#onFree()
  }

  // A function of the caller may be async, so it may throw later too.
  async #tell(settled: Settled): Promise<void> {
    try {
      await this.#onSettled(settled)
    } catch (error) {
      await this.#report(error)
    }
  }

  async #report(thrown: unknown): Promise<void> {
    const error = thrown instanceof Error ? thrown : new Error(reasonOf(thrown))
    try {
      await this.#onError(error)
    } catch {
      complain(error)
    }
  }
}

function checkRange(option: Record<string, number>, min: number, max: number): void {
  for (const [name, value] of Object.entries(option)) {
    if (!(value >= min && value <= max)) {
      throw new RangeError(`${name} is ${value}. It must be from ${min} to ${max}.`)
    }
  }
}

function complain(error: Error): void {
  const retries = error instanceof HoldfastError && error.passes ? ' The worker goes on trying.' : ''
  process.stderr.write(`holdfast worker: ${error.message}${retries}\n`)
}
