/**
 * Seek hints: where a lease's scan of a queue's index may begin. Every scan is right without them,
 * only slower.
 */
import type { Digits } from '../../core/message.ts'

const lookMsMin = 5_000
const lookMsMax = 30_000
const queuesMax = 10_000

/**
 * Ranks from the highest, in the order in which a scan goes through them: 2 * priority, plus 1 for
 * what came back.
 */
export const ranks = Array.from({ length: 20 }, (_, index) => 19 - index)

interface Hints {
  from: number[]
  scans: Set<Scan>
  lookedMs: number
  lookTookMs: number
  looking: boolean
  suspected: boolean
}

/** One scan under way. `from` is where it may begin in each of the ranks. */
export interface Scan {
  from: number[]
  loweredTo: number
}

/**
 * Without them every scan walks over what is leased, and over dead rows that somebody's old
 * snapshot keeps. A hint is raised by a scan and lowered by every commit that made a message
 * ready, here or (by its notice) elsewhere, since positions commit out of order. As a notice can
 * be lost and a lease elsewhere rolled back, a look from the very start is due every few seconds,
 * at once when a message is suspected below, and rarer while it proves slow. It is made beside the
 * leases, so that no caller waits for it.
 */
export class ScanHints {
  readonly #queues = new Map<Digits, Hints>()
  readonly #now: () => number

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  begin(queueId: Digits): Scan {
    let scanHints = this.#queues.get(queueId)
    if (scanHints === undefined) {
      if (this.#queues.size >= queuesMax) this.#queues.clear()
      this.#queues.set(
        queueId,
        (scanHints = {
          from: ranks.map(() => 0),
          scans: new Set(),
          lookedMs: this.#now(),
          lookTookMs: 0,
          looking: false,
          suspected: false
        })
      )
    }
    const scan = { from: [...scanHints.from], loweredTo: Infinity }
    scanHints.scans.add(scan)
    return scan
  }

  /**
   * Raises the hints to what the scan has learnt: nothing is ready in a rank below `reached.rank`
   * places, nor before `reached.position` in that rank. Never above what was lowered while it ran.
   */
  end(
    queueId: Digits,
    scan: Scan,
    reached: { rank: number; position: number; exhausted: boolean; last: number } | null
  ): void {
    const scanHints = this.#queues.get(queueId)
    if (scanHints === undefined || !scanHints.scans.delete(scan) || reached === null) return
    ranks.forEach((rank, index) => {
      const learnt =
        reached.exhausted || rank > reached.rank
          ? reached.last + 1
          : rank === reached.rank
            ? reached.position + 1
            : 0
      scanHints.from[index] = Math.max(scanHints.from[index]!, Math.min(learnt, scan.loweredTo))
    })
  }

  /**
   * The scan came to nothing: what it had locked, others may have passed by. So nobody knows more
   * than it did at its begin.
   */
  fail(queueId: Digits, scan: Scan): void {
    const scanHints = this.#queues.get(queueId)
    if (scanHints === undefined || !scanHints.scans.delete(scan)) return
    scanHints.from.forEach((from, index) => {
      scanHints.from[index] = Math.min(from, scan.from[index]!)
    })
    for (const other of scanHints.scans) other.loweredTo = 0
  }

  /**
   * A message has become ready at this position; positions are recent, so lowering every rank to
   * it costs little.
   */
  lower(queueId: Digits, position: number): void {
    const scanHints = this.#queues.get(queueId)
    if (scanHints === undefined) return
    scanHints.from.forEach((from, index) => {
      if (from > position) scanHints.from[index] = position
    })
    for (const scan of scanHints.scans) scan.loweredTo = Math.min(scan.loweredTo, position)
  }

  /** Ready, and yet somebody waits: there may be a message below the hints. */
  suspect(queueId: Digits): void {
    const scanHints = this.#queues.get(queueId)
    if (scanHints !== undefined) scanHints.suspected = true
  }

  /** Whether a look from the very start is due; whoever is told so makes it. */
  takeLook(queueId: Digits): boolean {
    const scanHints = this.#queues.get(queueId)
    if (scanHints === undefined || scanHints.looking) return false
    const pauseMs = Math.min(
      lookMsMax,
      scanHints.suspected ? 20 * scanHints.lookTookMs : Math.max(lookMsMin, 100 * scanHints.lookTookMs)
    )
    if (this.#now() < scanHints.lookedMs + pauseMs) return false
    Object.assign(scanHints, { looking: true, suspected: false, lookedMs: this.#now() })
    return true
  }

  /**
   * What the look has found: the first ready position of each rank that has one, or nothing when
   * it failed. True when a hint was too high.
   */
  looked(queueId: Digits, found: { rank: number; position: number }[]): boolean {
    const scanHints = this.#queues.get(queueId)
    if (scanHints === undefined) return false
    Object.assign(scanHints, {
      looking: false,
      lookTookMs: this.#now() - scanHints.lookedMs,
      lookedMs: this.#now()
    })
    const missed = found.filter(({ rank, position }) => position < scanHints.from[ranks.indexOf(rank)]!)
    for (const { rank, position } of missed) {
      scanHints.from[ranks.indexOf(rank)] = position
      for (const scan of scanHints.scans) scan.loweredTo = Math.min(scan.loweredTo, position)
    }
    return missed.length > 0
  }

  /** Nothing is known any more: of one queue after a flush that failed, of all after a gap in the notices. */
  forget(queueId?: Digits): void {
    if (queueId === undefined) this.#queues.clear()
    else this.#queues.delete(queueId)
  }
}
