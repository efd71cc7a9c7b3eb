/** Who is waiting for which queue or message. Knows nothing of HTTP or PostgreSQL. */
import { QueueError } from '../errors.ts'

interface Topic {
  version: number
  seats: number
  waiting: Set<Seat>
}

/** Waiters of one topic are woken in the order in which they began to wait. */
export class Wakeups {
  readonly #topics = new Map<string, Topic>()
  readonly #waitersMax: number
  #seats = 0
  #closed = false

  constructor(waitersMax: number) {
    this.#waitersMax = waitersMax
  }

  /**
   * Takes a seat *before* the caller looks for messages: a wake between that look and the wait is
   * then seen by the wait, which otherwise would sleep beside a message. Refuses with
   * tooManyWaiting. Given back by `leave()`.
   */
  sit(topic: string): Seat {
    if (this.#seats >= this.#waitersMax) {
      throw new QueueError(
        'tooManyWaiting',
        `${this.#waitersMax} calls are waiting here already. Ask without waitSeconds, or again a ` +
          'little later.'
      )
    }
    let entry = this.#topics.get(topic)
    if (entry === undefined) this.#topics.set(topic, (entry = { version: 0, seats: 0, waiting: new Set() }))
    entry.seats++
    this.#seats++
    return new Seat(this, topic, entry)
  }

  /** For a seat alone. */
  left(topic: string, entry: Topic): void {
    this.#seats--
    if (--entry.seats === 0) this.#topics.delete(topic)
  }

  /** Wakes up to `count` waiters of a topic, the longest waiting first. */
  wake(topic: string, count: number): void {
    const entry = this.#topics.get(topic)
    if (entry === undefined) return
    entry.version++
    for (const seat of entry.waiting) {
      if (count-- <= 0) break
      seat.wake()
    }
  }

  /** Everyone who waits or sits, once: after a gap in the notices nobody can say who missed one. */
  wakeAll(): void {
    for (const topic of this.#topics.keys()) this.wake(topic, Infinity)
  }

  /** Topics somebody has a seat for. */
  topics(): string[] {
    return [...this.#topics.keys()]
  }

  /** Whether somebody has a seat for it. */
  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  get size(): number {
    return this.#seats
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Ends every wait, now and from now on. */
  close(): void {
    this.#closed = true
    this.wakeAll()
  }
}

/**
 * One who waits. Tens of thousands may, so it is one object and a timer: no closures, and it is
 * the listener of its signal itself.
 */
export class Seat {
  readonly #wakeups: Wakeups
  readonly #topic: string
  readonly #entry: Topic
  #version: number
  #signal: AbortSignal | null = null
  #timer: NodeJS.Timeout | undefined
  #resolve: ((again: boolean) => void) | null = null

  constructor(wakeups: Wakeups, topic: string, entry: Topic) {
    this.#wakeups = wakeups
    this.#topic = topic
    this.#entry = entry
    this.#version = entry.version
  }

  /**
   * True when there may be something; false when the time is up (on the clock of
   * `performance.now()`), the caller has gone, or the service closes. One wait at a time.
   */
  wait(untilMs: number, signal: AbortSignal): Promise<boolean> {
    const left = untilMs - performance.now()
    const woken = this.#entry.version !== this.#version
    this.#version = this.#entry.version
    const over = left <= 0 || signal.aborted || this.#wakeups.closed
    if (woken || over) return Promise.resolve(!over)
    this.#signal = signal
    signal.addEventListener('abort', this)
    this.#timer = setTimeout(expire, left, this)
    this.#entry.waiting.add(this)
    return new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  wake(): void {
    this.#end(!this.#wakeups.closed)
  }

  /** The time is up. */
  expire(): void {
    this.#end(false)
  }

  /** The caller has gone. */
  handleEvent(): void {
    this.#end(false)
  }

  leave(): void {
    this.#wakeups.left(this.#topic, this.#entry)
  }

  #end(again: boolean): void {
    clearTimeout(this.#timer)
    this.#signal!.removeEventListener('abort', this)
    this.#entry.waiting.delete(this)
    this.#version = this.#entry.version
    this.#resolve!(again)
  }
}

const expire = (seat: Seat) => seat.expire()
