/**
 * The sweeper: makes messages of expired leases ready again, brings delayed ones due, removes those
 * past their time to live, folds the ledger.
 */
import type { Digits } from '../../core/message.ts'
import type { Database } from '../database.ts'
import type { Statement } from '../statement.ts'
import {
  expire,
  exposeDue,
  fold,
  leaseRowsMax,
  messagesMax,
  nextDue,
  sweepLeases,
  withReady,
  type SweptRow
} from './sweeps.ts'

/** A sweeper that runs. */
export interface Sweeper {
  /**
   * Something falls due at this time (ms since the epoch, our clock): sweep then, if that is
   * sooner than planned.
   */
  dueAt(timeMs: number): void
  stop(): Promise<void>
}

/** What a sweep leads to. */
export interface SweeperOptions {
  /** Messages of a queue have become ready, the first of them at this position. */
  onReady: (queueId: Digits, count: number, position: number) => void
  /** A queue that callers wait for here has this many ready messages. */
  onCounted: (queueId: Digits, count: number) => void
  /** Queues that callers wait for here. Asked once a second, in case a notice was lost. */
  waitingFor: () => Digits[]
  /** Called after each successful sweep with its lag. Failures go to `onError`. */
  onSwept: (lateMs: number) => void
  onError: (error: unknown) => void
}

const pauseMsMax = 1000
const pauseMsMin = 10
const pauseAfterErrorMs = 250
const fullSweepMs = 60_000
/** One kind of work keeps the others waiting for at most this long. */
const turnMsMax = 250
/** Folds are a second apart, and a timer may go off a little early. */
const foldMs = pauseMsMax - 50

/**
 * Sweeps until stopped. It sleeps until the next thing that it knows of is due, but never longer
 * than a second: a replica that knew of a sooner one may have died. Errors go to `onError`, and the
 * next sweep comes as usual.
 */
export function startSweeper(database: Database, options: SweeperOptions): Sweeper {
  return new TimedSweeper(database, options)
}

class TimedSweeper implements Sweeper {
  readonly #database: Database
  readonly #options: SweeperOptions
  readonly #running: Promise<void>
  readonly #stopping = new AbortController()
  #plannedMs = 0
  #timer: NodeJS.Timeout | undefined
  #wake = () => {}
  #foldedMs = 0
  #fullSweepDueMs = 0
  #sweptTo = '-infinity'
  #lateMs = 0
  /** The last id folded, at each fold of the last minute. */
  readonly #foldedTo: Digits[] = ['0']

  constructor(database: Database, options: SweeperOptions) {
    this.#database = database
    this.#options = options
    this.#running = this.#run()
  }

  dueAt(timeMs: number): void {
    if (timeMs < this.#plannedMs) this.#schedule(timeMs)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#plannedMs = Date.now() + pauseMsMax
      const pauseMs = await this.#sweep().catch(error => {
        this.#options.onError(error)
        return pauseAfterErrorMs
      })
      await new Promise<void>(resolve => {
        this.#wake = resolve
        this.#schedule(Math.min(this.#plannedMs, Date.now() + pauseMs))
      })
    }
  }

  #schedule(timeMs: number): void {
    this.#plannedMs = timeMs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, timeMs - Date.now()))
  }

  /** Answers after how many milliseconds the next sweep is to begin. */
  async #sweep(): Promise<number> {
    // All that was due a minute ago has been dealt with, and all that commits now falls due later.
    // So a sweep begins there, past dead rows that an old snapshot keeps. Once a minute a full
    // sweep begins from the very start.
    const isFull = performance.now() >= this.#fullSweepDueMs
    if (isFull) this.#fullSweepDueMs = performance.now() + fullSweepMs
    const from = isFull ? '-infinity' : this.#sweptTo
    this.#lateMs = 0
    const done = [
      await this.#drain(sweepLeases, from, leaseRowsMax),
      await this.#drain(exposeDue, from, messagesMax),
      await this.#drain(expire, from, messagesMax)
    ]
    if (performance.now() - this.#foldedMs >= foldMs) await this.#fold(isFull)
    const [next] = await this.#database.query(nextDue, [from])
    this.#options.onSwept(this.#lateMs)
    if (done.includes(false)) return 0
    this.#sweptTo = next!.a_minute_ago
    if (next!.ms === null) return pauseMsMax
    return Math.min(pauseMsMax, Math.max(pauseMsMin, Math.ceil(Number(next!.ms))))
  }

  /**
   * Runs a statement until nothing more is due. False when its turn was over before: what is left
   * comes again after the other kinds of work.
   */
  async #drain(statement: Statement<SweptRow>, from: string, rowsMax: number): Promise<boolean> {
    const endMs = performance.now() + turnMsMax
    while (!this.#stopping.signal.aborted) {
      const rows = await this.#database.query(statement, [from])
      this.#lateMs = Math.max(this.#lateMs, Number(rows[0]?.late_ms ?? 0))
      for (const { queue_id: queueId, ready, position } of rows) {
        if (Number(ready) > 0) this.#options.onReady(String(queueId), Number(ready), Number(position))
      }
      if (Number(rows[0]?.looked ?? 0) < rowsMax) return true
      if (performance.now() > endMs) break
    }
    return false
  }

  /** Folds the ledger, and reports the ready messages of queues that callers wait for. */
  async #fold(isFull: boolean): Promise<void> {
    this.#foldedMs = performance.now()
    const [folded] = await this.#database.query(fold, [isFull ? 0 : this.#foldedTo[0]])
    this.#foldedTo.push(folded!.folded_to)
    if (this.#foldedTo.length > fullSweepMs / pauseMsMax) this.#foldedTo.shift()
    const queues = this.#options.waitingFor()
    if (queues.length === 0) return
    for (const { queue_id: queueId, ready } of await this.#database.query(withReady, [queues])) {
      this.#options.onCounted(String(queueId), Number(ready))
    }
  }
}
