/**
 * The flushes of all batchers that are at the database at one time. A caller that fills many lanes,
 * one for each of its queues, gets its share of them and no more.
 */
import type { Caller } from '../caller.ts'
import { obstacleTo } from '../fairShare.ts'

/** What begins when one of its callers may have a flight. It is told which caller that is. */
type Start = (caller: Caller) => void

export class Flights {
  readonly #slots: number
  readonly #flying = new Map<Caller, number>()
  /** The caller whose turn is next comes first. A start may wait for several callers. */
  readonly #waiting = new Map<Caller, Set<Start>>()
  #flyingAll = 0

  constructor(slots: number) {
    this.#slots = slots
  }

  /** Takes a flight for the first of these callers that may have one. null: all have to wait. */
  begin(callers: Iterable<Caller>): Caller | null {
    if (this.#flyingAll >= this.#slots) return null
    for (const caller of callers) {
      if (!this.#isFree(caller)) continue
      this.#enter(caller)
      return caller
    }
    return null
  }

  /** Calls `start` when this caller may have a flight, which may be now. */
  wait(caller: Caller, start: Start): void {
    if (this.#flyingAll < this.#slots && this.#isFree(caller)) return this.#begin(caller, start)
    const starts = this.#waiting.get(caller)
    if (starts === undefined) this.#waiting.set(caller, new Set([start]))
    else starts.add(start)
  }

  /** Ends a flight. Those that wait begin as far as there is room. */
  end(caller: Caller): void {
    this.#flyingAll--
    const left = this.#flying.get(caller)! - 1
    if (left > 0) this.#flying.set(caller, left)
    else this.#flying.delete(caller)
    for (const [next, starts] of this.#waiting) {
      if (this.#flyingAll >= this.#slots) return
      if (!this.#isFree(next)) continue
      const [start] = starts
      this.#waiting.delete(next)
      if (starts.size > 1) this.#waiting.set(next, starts) // others come first next time
      this.#begin(next, start!)
    }
  }

  #begin(caller: Caller, start: Start): void {
    for (const [other, starts] of this.#waiting) {
      if (starts.delete(start) && starts.size === 0) this.#waiting.delete(other)
    }
    this.#enter(caller)
    start(caller)
  }

  #isFree(caller: Caller): boolean {
    const holding = { all: this.#flyingAll, mine: this.#flying.get(caller) ?? 0 }
    return obstacleTo(1, this.#slots, holding, caller.isAdmin) === null
  }

  #enter(caller: Caller): void {
    this.#flyingAll++
    this.#flying.set(caller, (this.#flying.get(caller) ?? 0) + 1)
  }
}
