/** One slice of load: its callers' connections, and what the callers were told. */
import { Connection } from './connection.ts'
import { dialects, type Credentials, type Dialect, type DialectName } from './dialects.ts'

/** What each caller does again and again. */
export interface Load {
  port: number
  dialect: DialectName
  credentials?: Credentials
  queue: string
  callers: number
  /**
   * - enqueue: one request.
   * - publish: one, to a topic with ten queues.
   * - consume: lease, then ack.
   * - ack: the same, but many messages are leased ahead, and each is acked by itself.
   * - loop: lease with the last receipts in `ack`.
   * - pass: enqueue, lease and ack in turn.
   * - push: none, since the service delivers to this process.
   * - latency: see `ratePerSecond`.
   */
  step: 'enqueue' | 'publish' | 'consume' | 'ack' | 'loop' | 'pass' | 'push' | 'latency'
  /** Messages per request. */
  count: number
  /** Bytes of one message's body. */
  bodyBytes: number
  warmMs: number
  runMs: number
  /** enqueue and pass: the slice ends early once this many messages are sent. */
  messagesMax?: number
  /** latency: enqueues per second, while `callers` consumers wait (at `consumersPort`). */
  ratePerSecond?: number
  consumersPort?: number
  /** consume: the share of receipts that are failed instead of acked. */
  failShare?: number
  /** enqueue: each message has one of ten priorities, at random. */
  priorities?: boolean
  /** enqueue: the delay of each message. */
  delaySeconds?: number
  /** enqueue: each message has one of this many unique keys, and replaces. */
  uniqueKeys?: number
  /** enqueue and loop: each request has an idempotency key, as holdfast/client sends it. */
  keyed?: boolean
  /** enqueue: each message has one of this many groups, at random. */
  groups?: number
  /** consume: each lease waits for messages, for up to 20 s. */
  waits?: boolean
  /** latency: the consumer works about this long on each message. Equal times would march in step. */
  workMs?: number
  /** ack: each ack enqueues a message of the same size in another queue. */
  then?: boolean
}

export interface LoadResult {
  /** Messages confirmed within the measured window, and how long the window was. */
  messages: number
  windowMs: number
  /** All messages enqueued or acked, before and after the window too. The database must agree. */
  total: number
  errors: number
  /** The first error's status and answer. */
  error: string | null
  /** Leases that came back empty. The queue ran dry, and the slice says nothing. */
  empty: number
  p50Ms: number
  p99Ms: number
  /** Processor time of this process in the window. */
  cpuMs: number
}

/** Messages to the parent. `window` and `end`: the measured time begins, and ends. */
export type LoadEvent = { event: 'window' } | { event: 'end' } | { event: 'result'; result: LoadResult }

/** A caller on a connection. It goes on by itself until the slice ends. */
export type Caller = (connection: Connection) => void

/** Runs the callers for the slice's time, and counts what they were told. */
export class Slice {
  readonly load: Load
  readonly dialect: Dialect
  readonly result: LoadResult = {
    messages: 0,
    windowMs: 0,
    total: 0,
    errors: 0,
    error: null,
    empty: 0,
    p50Ms: 0,
    p99Ms: 0,
    cpuMs: 0
  }

  /** The time is over: callers finish what they have begun. */
  ending = false
  readonly #latencies: number[] = []
  readonly #connections: Connection[] = []
  #measuring = false
  #running: number
  #sent = 0
  /** latency: messages enqueued and not yet acked. */
  #underWay = 0
  #startedAt = 0
  #cpu = process.cpuUsage()
  #producer: NodeJS.Timeout | undefined

  constructor(load: Load) {
    this.load = load
    this.dialect = dialects[load.dialect](load.queue, load.credentials)
    this.#running = load.callers
  }

  /** `produce` enqueues at the load's rate, for the step `latency`. */
  start(call: Caller, produce: (slice: Slice) => NodeJS.Timeout): void {
    const { load } = this
    const port = (load.step === 'latency' ? load.consumersPort : undefined) ?? load.port
    for (let i = 0; i < load.callers; i++) call(this.connect(port))
    if (load.step === 'latency') this.#producer = produce(this)
    setTimeout(() => this.#openWindow(), load.warmMs)
    setTimeout(() => this.#stop(), load.warmMs + load.runMs)
  }

  connect(port: number): Connection {
    const connection = new Connection(port)
    this.#connections.push(connection)
    return connection
  }

  /** One request of a caller. `next` runs after a 2xx answer; after any other, the caller ends. */
  ask(connection: Connection, request: string, next: (answer: string) => void): void {
    const sentAt = performance.now()
    connection.ask(request, (status, answer) => {
      if (this.load.step !== 'latency') this.time(sentAt)
      if (status >= 200 && status < 300) return next(answer)
      this.failed(status, answer)
      this.callerEnds()
    })
  }

  receiptsIn(answer: string): string[] {
    const receipts: string[] = []
    for (const match of answer.matchAll(this.dialect.receipts)) {
      if (match[1] !== undefined) receipts.push(match[1])
    }
    return receipts
  }

  /** Counts one more request's messages as sent. False: the caller should enqueue no more. */
  send(): boolean {
    const { messagesMax, count } = this.load
    if (this.ending || (messagesMax !== undefined && this.#sent >= messagesMax)) return false
    this.#sent += count
    return true
  }

  /** Counts messages that the service has enqueued or acked. */
  confirmed(messages: number): void {
    this.result.total += messages
    this.handled(messages)
  }

  /** Counts messages for the rate. Failed messages count here only, since they stay stored. */
  handled(messages: number): void {
    if (this.#measuring) this.result.messages += messages
  }

  time(sinceMs: number): void {
    if (this.#measuring) this.#latencies.push(performance.now() - sinceMs)
  }

  failed(status: number, answer: string): void {
    this.result.errors++
    this.result.error ??= `${status} ${answer.slice(0, 600)}`
  }

  enqueuing(): void {
    this.#underWay++
  }

  landed(): void {
    this.#underWay--
    if (this.ending && this.#underWay === 0) this.#finish()
  }

  /** At the end of the slice, or earlier if there is nothing more to do. */
  callerEnds(): void {
    if (--this.#running > 0) return
    if (this.ending) this.#finish()
    else this.#stop()
  }

  #openWindow(): void {
    if (this.ending) return
    this.#measuring = true
    this.#startedAt = performance.now()
    this.#cpu = process.cpuUsage()
    tell({ event: 'window' })
  }

  #stop(): void {
    if (this.ending) return
    this.#measuring = false
    this.ending = true
    const { user, system } = process.cpuUsage(this.#cpu)
    this.result.cpuMs = (user + system) / 1000
    this.result.windowMs = performance.now() - this.#startedAt
    clearInterval(this.#producer)
    tell({ event: 'end' })
    const latency = this.load.step === 'latency'
    if (this.#running === 0 || (latency && this.#underWay === 0)) this.#finish()
    // Messages that are not acked by then are found when the database is counted.
    else if (latency) setTimeout(() => this.#finish(), 5000)
  }

  #finish(): void {
    for (const connection of this.#connections) connection.close()
    const sorted = this.#latencies.sort((a, b) => a - b)
    const at = (share: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
    this.result.p50Ms = at(0.5)
    this.result.p99Ms = at(0.99)
    tell({ event: 'result', result: this.result })
  }
}

function tell(event: LoadEvent): void {
  process.send!(event)
}
