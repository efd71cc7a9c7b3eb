/** Who has called lately. */
import { theService, type Caller } from '../caller.ts'

/** A caller counts for so long after its call. */
const recentMs = 250
/** Whoever calls another replica. Nobody knows whether that is a caller of this one. */
const elsewhere = 'another replica'

/** Remembers the two callers that called last, which is all it takes to know whether a caller is alone. */
export class Activity {
  /** The ids of callers. */
  #last = theService.id
  #lastMs = -Infinity
  #beforeMs = -Infinity

  note(callerId: string, nowMs = performance.now()): void {
    if (callerId !== this.#last) {
      this.#last = callerId
      this.#beforeMs = this.#lastMs
    }
    this.#lastMs = nowMs
  }

  /** Another replica has stored messages. */
  noteElsewhere(): void {
    this.note(elsewhere)
  }

  /** Whether another caller has called just now. */
  hasOthers({ id }: Caller): boolean {
    const otherMs = id === this.#last ? this.#beforeMs : this.#lastMs
    return performance.now() - otherMs < recentMs
  }
}
