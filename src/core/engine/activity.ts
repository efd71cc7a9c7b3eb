/** Who has called lately. */
import { theService, type Caller } from '../caller.ts'

/** A caller counts for so long after its call. */
const recentMs = 250

/** Remembers the two callers that called last, which is all it takes to know whether a caller is alone. */
export class Activity {
  #last: Caller = theService
  #lastMs = -Infinity
  #beforeMs = -Infinity

  note(caller: Caller, nowMs: number): void {
    if (caller !== this.#last) {
      this.#last = caller
      this.#beforeMs = this.#lastMs
    }
    this.#lastMs = nowMs
  }

  /** Whether another caller has called just now. */
  hasOthers(caller: Caller): boolean {
    const otherMs = caller === this.#last ? this.#beforeMs : this.#lastMs
    return performance.now() - otherMs < recentMs
  }
}
