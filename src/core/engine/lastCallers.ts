/** Who has called lately. */
import { theService } from '../caller.ts'

/** A caller counts for so long after its call. */
const recentMs = 250

/** Remembers the two callers that called last, which is all it takes to know whether a caller is alone. */
export class LastCallers {
  /** The ids of callers. */
  #last = theService.id
  #lastMs = -Infinity
  #before = theService.id
  #beforeMs = -Infinity

  note(callerId: string, nowMs = performance.now()): void {
    if (callerId !== this.#last) {
      this.#before = this.#last
      this.#beforeMs = this.#lastMs
      this.#last = callerId
    }
    this.#lastMs = nowMs
  }

  /** Whether a caller other than this one has called just now. */
  hasOther(callerId: string): boolean {
    const otherMs = callerId === this.#last ? this.#beforeMs : this.#lastMs
    return performance.now() - otherMs < recentMs
  }

  /** Those that have called just now. */
  get recent(): string[] {
    const sinceMs = performance.now() - recentMs
    if (this.#lastMs <= sinceMs) return []
    return this.#beforeMs <= sinceMs ? [this.#last] : [this.#last, this.#before]
  }
}
