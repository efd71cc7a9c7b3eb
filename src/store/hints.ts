/** Seek hints: where a lease's scan of a queue's index may begin. Every scan is right without them, only slower. */
import type { Digits } from '../core/message.ts'

const fullScanMsMin = 5_000
const fullScanMsMax = 30_000
const queuesMax = 10_000

/** Ranks from the highest, in the order in which a scan goes through them: 2 * priority, plus 1 for what came back. */
export const ranks = Array.from({ length: 20 }, (_, index) => 19 - index)

interface Hints { from: number[], scans: Set<Scan>, fullDueMs: number }

/** One scan under way. `from` is where it may begin in each of the ranks. */
export interface Scan { from: number[], loweredTo: number, full: boolean, startedMs: number }

/**
 * Without them every scan walks over what is leased, and over dead rows that somebody's old snapshot keeps. A hint is
 * raised by a scan and lowered by every commit that made a message ready, here or (by its notice) elsewhere, since
 * positions commit out of order. As a notice can be lost and a lease elsewhere rolled back, a scan from the very start
 * is due every few seconds, and rarer while it proves slow.
 */
export class SeekHints {
  readonly #queues = new Map<Digits, Hints>()

  begin (queueId: Digits): Scan {
    const startedMs = performance.now()
    let hints = this.#queues.get(queueId)
    if (hints === undefined) {
      if (this.#queues.size >= queuesMax) this.#queues.clear()
      this.#queues.set(queueId, hints = { from: ranks.map(() => 0), scans: new Set(), fullDueMs: 0 })
    }
    const full = startedMs >= hints.fullDueMs
    if (full) hints.fullDueMs = startedMs + fullScanMsMin
    const scan = { from: full ? ranks.map(() => 0) : [...hints.from], loweredTo: Infinity, full, startedMs }
    hints.scans.add(scan)
    return scan
  }

  /**
   * Raises the hints to what the scan has learnt: nothing is ready in a rank below `reached.rank` places, nor before
   * `reached.position` in that rank. Never above what was lowered while it ran.
   */
  end (queueId: Digits, scan: Scan, reached: { rank: number, position: number, exhausted: boolean, last: number } | null): void {
    const hints = this.#queues.get(queueId)
    if (hints === undefined || !hints.scans.delete(scan)) return
    if (scan.full) {
      const tookMs = performance.now() - scan.startedMs
      hints.fullDueMs = performance.now() + Math.min(fullScanMsMax, Math.max(fullScanMsMin, 100 * tookMs))
    }
    if (reached === null) return
    ranks.forEach((rank, index) => {
      const learnt = reached.exhausted || rank > reached.rank ? reached.last + 1 : rank === reached.rank ? reached.position + 1 : 0
      hints.from[index] = Math.max(hints.from[index]!, Math.min(learnt, scan.loweredTo))
    })
  }

  /** A message has become ready at this position; positions are recent, so lowering every rank to it costs little. */
  lower (queueId: Digits, position: number): void {
    const hints = this.#queues.get(queueId)
    if (hints === undefined) return
    hints.from.forEach((from, index) => { if (from > position) hints.from[index] = position })
    for (const scan of hints.scans) scan.loweredTo = Math.min(scan.loweredTo, position)
  }

  /** Nothing is known any more: of one queue after a flush that failed, of all after a gap in the notices. */
  forget (queueId?: Digits): void {
    if (queueId === undefined) this.#queues.clear()
    else this.#queues.delete(queueId)
  }
}
