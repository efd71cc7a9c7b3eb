/**
 * The sweeper. It makes messages ready when their lease or their delay has ended, removes messages
 * past their time to live, and folds the ledger.
 */
import { startAlarm } from '../../core/engine/alarm.ts'
import type { Digits } from '../../core/message.ts'
import type { Database } from '../database.ts'
import type { Statement } from '../statement.ts'
import { resumeLines, resumeOtherLines } from './resume.ts'
import { leaseRowsMax, sweepLeases, sweepOtherLeases } from './sweepLeases.ts'
import {
  expire,
  expireParked,
  exposeDue,
  exposeOthers,
  fold,
  messagesMax,
  nextDelay,
  nextLease,
  nextRate,
  type NextDue,
  type SweptQueue
} from './sweeps.ts'
import { withReady } from './waited.ts'

/** A running sweeper. */
interface Sweeper {
  /**
   * Something falls due at this time, in ms since the epoch on our clock. The sweeper sweeps then,
   * if that is sooner than planned.
   */
  dueAt(timeMs: number): void
  stop(): Promise<void>
}

/** What the sweeper tells its owner, and what it asks. */
interface SweeperOptions {
  /** `count` messages of a queue have become ready. `position` is the lowest of them. */
  onReady: (queueId: Digits, count: number, position: number) => void
  /** Leases of a queue with `maxLeased` have ended. */
  onFree: (queueId: Digits, count: number) => void
  /** `count` messages of a queue from `waitingFor` may be leased, so a notice may have been lost. */
  onCounted: (queueId: Digits, count: number) => void
  /** The queues that callers of this replica wait for. Asked once a second. */
  waitingFor: () => Digits[]
  /** Called after each successful sweep of a kind, with its lag. Failures go to `onError`. */
  onSwept: (lateMs: number, kind: object) => void
  onError: (error: unknown, kind: object) => void
}

const pauseMsMax = 1000
const pauseMsMin = 10
const pauseAfterErrorMs = 250
/** After a failure, for so long it finds out first where it would wait for others. */
const carefulMs = 60_000
/** What is overdue by more, after a sweep that left nothing, is held by another session. */
const heldMs = 1000
const pauseWhileHeldMs = 50
const fullSweepMs = 60_000
/** The longest turn of one statement. The others of its loop wait meanwhile. */
const turnMsMax = 250
/** Folds are a second apart. The 50 ms allow for a timer that goes off early. */
const foldMs = pauseMsMax - 50

/** While very much is due, the queues that have little come first: after so long, then in pauses. */
const othersAfterMs = 50
const othersPauseMs = 100
/** A pause is at least so many times as long as what it follows, so that the rest goes on meanwhile. */
const othersPauseFactor = 3

/** A statement that takes as many rows as it may has left some. */
interface Work {
  statement: Statement<SweptQueue>
  rowsMax: number
  /** The same for all queues but one, which have turns. */
  ofOthers?: Statement<SweptQueue>
}

/** What one loop sweeps. */
interface Kind {
  work: Work[]
  next: Statement<NextDue>
  /** This loop folds the ledger too. */
  folds?: boolean
}

// Each has a loop of its own. Where one caller lets thousands of leases or rates end at once, the
// delays of all others must not wait for that.
const kinds: Kind[] = [
  { work: [{ statement: exposeDue, rowsMax: messagesMax, ofOthers: exposeOthers }], next: nextDelay },
  { work: [{ statement: sweepLeases, rowsMax: leaseRowsMax, ofOthers: sweepOtherLeases }], next: nextLease },
  {
    work: [
      { statement: resumeLines, rowsMax: messagesMax, ofOthers: resumeOtherLines },
      { statement: expireParked, rowsMax: messagesMax },
      { statement: expire, rowsMax: messagesMax }
    ],
    next: nextRate,
    folds: true
  }
]

/** How many kinds of sweeps there are. */
export const sweepKinds = kinds.length

/**
 * Sweeps until stopped. Between sweeps it sleeps until the next thing that it knows of is due. It
 * never sleeps longer than a second, because another replica may have known of an earlier one and
 * died. After an error it calls `onError` and sweeps again.
 */
export function startSweeper(database: Database, options: SweeperOptions): Sweeper {
  const loops = kinds.map(kind => new TimedSweeper(database, kind, options))
  return {
    dueAt(timeMs) {
      for (const loop of loops) loop.dueAt(timeMs)
    },
    async stop() {
      await Promise.all(loops.map(loop => loop.stop()))
    }
  }
}

class TimedSweeper implements Sweeper {
  readonly #database: Database
  readonly #kind: Kind
  readonly #options: SweeperOptions
  readonly #running: Promise<void>
  readonly #stopping = new AbortController()
  #plannedMs = 0
  #stopAlarm = () => {}
  #wake = () => {}
  #foldedMs = 0
  #fullSweepDueMs = 0
  #carefulUntilMs = 0
  #sweptTo = '-infinity'
  #lateMs = 0
  /** Set while more is due than one statement takes. */
  #others: { from: unknown; dueMs: number } | undefined
  /** The last id folded, at each fold of the last minute. */
  readonly #foldedTo: Digits[] = ['0']

  constructor(database: Database, kind: Kind, options: SweeperOptions) {
    this.#database = database
    this.#kind = kind
    this.#options = options
    this.#running = this.#run()
  }

  dueAt(timeMs: number): void {
    if (timeMs < this.#plannedMs) this.#schedule(timeMs)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#stopAlarm()
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#plannedMs = Date.now() + pauseMsMax
      const pauseMs = await this.#sweep().catch(error => {
        this.#carefulUntilMs = performance.now() + carefulMs
        this.#options.onError(error, this.#kind)
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
    this.#stopAlarm()
    this.#stopAlarm = startAlarm(timeMs - Date.now(), () => this.#wake())
  }

  /** Answers the pause before the next sweep, in milliseconds. */
  async #sweep(): Promise<number> {
    // Everything that was due a minute before the end of the last sweep has been dealt with. What has
    // committed since then falls due later. So this sweep starts from that time, and skips earlier
    // dead rows, which an old snapshot may keep. Once a minute, a full sweep starts from the very
    // beginning. It also finds what another session held for longer than that minute.
    const isFull = performance.now() >= this.#fullSweepDueMs
    if (isFull) this.#fullSweepDueMs = performance.now() + fullSweepMs
    const from = isFull ? '-infinity' : this.#sweptTo
    this.#lateMs = 0
    const careful = performance.now() < this.#carefulUntilMs
    let isDone = true
    for (const work of this.#kind.work) {
      const values = work.statement === expireParked ? [from] : [from, careful]
      if (!(await this.#drain(work, values))) isDone = false
    }
    if (isDone) this.#others = undefined
    if (this.#kind.folds && performance.now() - this.#foldedMs >= foldMs) await this.#fold(isFull)
    const [next] = await this.#database.query(this.#kind.next, [from])
    this.#options.onSwept(this.#lateMs, this.#kind)
    if (!isDone) return 0
    this.#sweptTo = next!.a_minute_ago
    if (next!.ms === null) return pauseMsMax
    if (Number(next!.ms) < -heldMs) return pauseWhileHeldMs
    return Math.min(pauseMsMax, Math.max(pauseMsMin, Math.ceil(Number(next!.ms))))
  }

  /**
   * Runs a statement again and again. True when nothing more is due. False when its turn ended
   * first: the rest is done after the other statements of its loop.
   */
  async #drain(work: Work, values: unknown[]): Promise<boolean> {
    const endMs = performance.now() + turnMsMax
    while (!this.#stopping.signal.aborted) {
      const rows = await this.#take(work.statement, values)
      if (takenIn(rows) < work.rowsMax) return true
      await this.#takeOthers(work, values, rows)
      if (performance.now() > endMs) break
    }
    return false
  }

  async #take(statement: Statement<SweptQueue>, values: unknown[]): Promise<SweptQueue[]> {
    const rows = await this.#database.query(statement, values)
    this.#lateMs = Math.max(this.#lateMs, Number(rows[0]?.late_ms ?? 0))
    for (const { queue_id: queueId, ready, position, freed } of rows) {
      if (Number(ready) > 0) this.#options.onReady(String(queueId), Number(ready), Number(position))
      if (Number(freed) > 0) this.#options.onFree(String(queueId), Number(freed))
    }
    return rows
  }

  /**
   * Takes rows of queues that have few. Otherwise they would wait for a queue that has many. The first
   * time looks at all that is due. Once it has left no such row, the next time looks only at what has
   * fallen due since.
   */
  async #takeOthers({ ofOthers, rowsMax }: Work, [from, careful]: unknown[], swept: SweptQueue[]) {
    this.#others ??= { from, dueMs: performance.now() + othersAfterMs }
    const beganMs = performance.now()
    if (ofOthers === undefined || beganMs < this.#others.dueMs) return
    const largest = swept.reduce((a, b) => (Number(b.ready) > Number(a.ready) ? b : a)).queue_id
    const rows = await this.#take(ofOthers, [this.#others.from, careful, largest ?? 0])
    if (takenIn(rows) < rowsMax) this.#others.from = rows[0]!.began_at
    const endMs = performance.now()
    this.#others.dueMs = endMs + Math.max(othersPauseMs, othersPauseFactor * (endMs - beganMs))
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

const takenIn = (rows: SweptQueue[]) => Number(rows[0]?.taken ?? 0)

/** Remembers how the last sweep of each kind went, for health checks and metrics. */
export function watchSweeps(report: (error: unknown) => void) {
  const failed = new Set<object>()
  const startedMs = performance.now()
  const last = new Map<object, { atMs: number; lateMs: number }>(
    kinds.map(kind => [kind, { atMs: startedMs, lateMs: 0 }])
  )
  return {
    onSwept(lateMs: number, kind: object) {
      failed.delete(kind)
      last.set(kind, { atMs: performance.now(), lateMs })
    },
    onError(error: unknown, kind: object) {
      failed.add(kind)
      report(error)
    },
    lagSeconds: () =>
      Math.max(...last.values().map(({ atMs, lateMs }) => Math.max(lateMs, performance.now() - atMs))) / 1000,
    unready: () =>
      failed.size > 0 ? 'The database cannot be reached, or refuses work; the log names the cause.' : null
  }
}
