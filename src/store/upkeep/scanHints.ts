/**
 * Scan hints: where a lease's scan of a queue's index may begin. Every scan is right without them,
 * only slower.
 */
import type { Digits } from '../../core/message.ts'
import { ranks } from '../rank.ts'

/** The shortest and the longest rest between two checks of a queue from its very start. */
const restMsMin = 5_000
const restMsMax = 30_000
/** The rest, as a multiple of how long the check took. */
const restPerCheck = 100
/** The same while a message is suspected below the hints; then there is no shortest rest. */
const restPerSuspectedCheck = 20
const queuesMax = 10_000

/** What is known of one queue. */
interface Hints {
  from: number[]
  scans: Set<Scan>
  checkedMs: number
  checkTookMs: number
  checking: boolean
  suspected: boolean
}

/** How far a scan came. */
interface Reached {
  rank: number
  position: number
  /** It found less than it looked for. */
  exhausted: boolean
  last: number
}

/** One scan under way. `from` is where it may begin in each of the ranks. */
interface Scan {
  from: number[]
  loweredTo: number
}

/**
 * Without hints every scan walks over what is leased, and over dead rows that an old snapshot
 * keeps.
 *
 * A scan raises a hint. Every commit that made a message ready lowers it, here or (by its notice)
 * elsewhere, since positions commit out of order. But a notice can be lost, and a lease elsewhere
 * rolled back. So a check from the very start is due every few seconds. It is due sooner when a
 * message is suspected below the hints, and more rarely while checks prove slow. It runs beside the
 * leases, so that no caller waits for it.
 */
export class ScanHints {
  readonly #queues = new Map<Digits, Hints>()
  readonly #now: () => number

  /** `now`: a clock in milliseconds. */
  constructor(now = () => performance.now()) {
    this.#now = now
  }

  /** Begins a scan. It must be ended by `end`, `fail` or `forget`. */
  begin(queueId: Digits): Scan {
    const hints = this.#queues.get(queueId) ?? this.#add(queueId)
    const scan = { from: [...hints.from], loweredTo: Infinity }
    hints.scans.add(scan)
    return scan
  }

  #add(queueId: Digits): Hints {
    if (this.#queues.size >= queuesMax) this.#queues.clear()
    const hints: Hints = {
      from: ranks.map(() => 0),
      scans: new Set(),
      checkedMs: this.#now(),
      checkTookMs: 0,
      checking: false,
      suspected: false
    }
    this.#queues.set(queueId, hints)
    return hints
  }

  /**
   * Raises the hints to what the scan has learnt. Nothing is ready in a rank above `reached.rank`,
   * nor up to `reached.position` in that rank. When the scan is exhausted, nothing is ready in any
   * rank up to position `last`. No hint is raised above what was lowered while the scan ran.
   */
  end(queueId: Digits, scan: Scan, reached: Reached | null): void {
    const hints = this.#queues.get(queueId)
    if (hints === undefined || !hints.scans.delete(scan) || reached === null) return
    ranks.forEach((rank, index) => {
      const learnt = firstReadyIn(rank, reached)
      hints.from[index] = Math.max(hints.from[index]!, Math.min(learnt, scan.loweredTo))
    })
  }

  /**
   * The scan came to nothing, and other scans may have passed by what it had locked. So the hints
   * go back to what they were at its begin, and no other scan under way raises them.
   */
  fail(queueId: Digits, scan: Scan): void {
    const hints = this.#queues.get(queueId)
    if (hints === undefined || !hints.scans.delete(scan)) return
    hints.from.forEach((from, index) => {
      hints.from[index] = Math.min(from, scan.from[index]!)
    })
    for (const other of hints.scans) other.loweredTo = 0
  }

  /**
   * A message has become ready at this position. Positions are recent, so lowering every rank to
   * it costs little.
   */
  lower(queueId: Digits, position: number): void {
    const hints = this.#queues.get(queueId)
    if (hints === undefined) return
    hints.from.forEach((from, index) => {
      if (from > position) hints.from[index] = position
    })
    for (const scan of hints.scans) scan.loweredTo = Math.min(scan.loweredTo, position)
  }

  /** The queue has ready messages, and yet a caller waits: one may be below the hints. */
  suspect(queueId: Digits): void {
    const hints = this.#queues.get(queueId)
    if (hints !== undefined) hints.suspected = true
  }

  /** True when a check from the very start is due. The caller then makes it, and calls `checked`. */
  takeCheck(queueId: Digits): boolean {
    const hints = this.#queues.get(queueId)
    if (hints === undefined || hints.checking) return false
    const restMs = hints.suspected
      ? restPerSuspectedCheck * hints.checkTookMs
      : Math.max(restMsMin, restPerCheck * hints.checkTookMs)
    if (this.#now() < hints.checkedMs + Math.min(restMsMax, restMs)) return false
    Object.assign(hints, { checking: true, suspected: false, checkedMs: this.#now() })
    return true
  }

  /**
   * What the check has found: the first ready position of each rank that has one, or nothing when
   * it failed. True when a hint was too high; then it is lowered.
   */
  checked(queueId: Digits, found: { rank: number; position: number }[]): boolean {
    const hints = this.#queues.get(queueId)
    if (hints === undefined) return false
    Object.assign(hints, {
      checking: false,
      checkTookMs: this.#now() - hints.checkedMs,
      checkedMs: this.#now()
    })
    const missed = found.filter(({ rank, position }) => position < hints.from[ranks.indexOf(rank)]!)
    for (const { rank, position } of missed) {
      hints.from[ranks.indexOf(rank)] = position
      for (const scan of hints.scans) scan.loweredTo = Math.min(scan.loweredTo, position)
    }
    return missed.length > 0
  }

  /** Forgets hints: of a queue after a failed flush, of all queues after a gap in the notices. */
  forget(queueId?: Digits): void {
    if (queueId === undefined) this.#queues.clear()
    else this.#queues.delete(queueId)
  }
}

/** The lowest position at which a message of a rank may be ready, as far as a scan has learnt. */
function firstReadyIn(rank: number, reached: Reached): number {
  if (reached.exhausted || rank > reached.rank) return reached.last + 1
  return rank === reached.rank ? reached.position + 1 : 0
}
