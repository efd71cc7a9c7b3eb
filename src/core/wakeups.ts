/** Who is waiting for which queue or message. Knows nothing of HTTP or PostgreSQL. */
import { QueueError } from './errors.ts'

interface Topic { version: number, seats: number, waiting: Set<() => void> }

/** Waiters of one topic are woken in the order in which they began to wait. A waiter costs a closure and a timer. */
export class Wakeups {
  readonly #topics = new Map<string, Topic>()
  readonly #waitersMax: number
  #seats = 0
  #closed = false

  constructor (waitersMax: number) {
    this.#waitersMax = waitersMax
  }

  /**
   * Takes a seat *before* the caller looks for messages: a wake between that look and the wait is then seen by the
   * wait, which otherwise would sleep beside a message. Refuses with tooManyWaiting. Given back by `leave()`.
   */
  sit (topic: string): Seat {
    if (this.#seats >= this.#waitersMax) {
      throw new QueueError('tooManyWaiting', `${this.#waitersMax} calls are waiting here already. Ask without waitSeconds, or again a little later.`)
    }
    let entry = this.#topics.get(topic)
    if (entry === undefined) this.#topics.set(topic, entry = { version: 0, seats: 0, waiting: new Set() })
    entry.seats++
    this.#seats++
    let version = entry.version
    const wait = (untilMs: number, signal: AbortSignal): Promise<boolean> => new Promise((resolve) => {
      const left = untilMs - performance.now()
      const woken = entry.version !== version
      version = entry.version
      if (woken || left <= 0 || signal.aborted || this.#closed) {
        resolve(woken && left > 0 && !signal.aborted && !this.#closed)
        return
      }
      const end = (again: boolean) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        entry.waiting.delete(wake)
        version = entry.version
        resolve(again)
      }
      const wake = () => end(!this.#closed)
      const abort = () => end(false)
      const timer = setTimeout(end, left, false)
      signal.addEventListener('abort', abort, { once: true })
      entry.waiting.add(wake)
    })
    const leave = () => {
      this.#seats--
      if (--entry.seats === 0) this.#topics.delete(topic)
    }
    return { wait, leave }
  }

  /** Wakes up to `count` waiters of a topic, the longest waiting first. */
  wake (topic: string, count: number): void {
    const entry = this.#topics.get(topic)
    if (entry === undefined) return
    entry.version++
    for (const wake of entry.waiting) {
      if (count-- <= 0) break
      wake()
    }
  }

  /** Everyone who waits or sits, once: after a gap in the notices nobody can say who missed one. */
  wakeAll (): void {
    for (const topic of this.#topics.keys()) this.wake(topic, Infinity)
  }

  /** Topics somebody has a seat for. */
  topics (): string[] {
    return [...this.#topics.keys()]
  }

  get size (): number {
    return this.#seats
  }

  get closed (): boolean {
    return this.#closed
  }

  /** Ends every wait, now and from now on. */
  close (): void {
    this.#closed = true
    this.wakeAll()
  }
}

export interface Seat {
  /** True when there may be something; false when the time is up (on the clock of `performance.now()`), the caller has gone, or the service closes. */
  wait: (untilMs: number, signal: AbortSignal) => Promise<boolean>
  leave: () => void
}
