/**
 * The flushes of all batchers that are at the database at one time. A caller that fills many lanes,
 * one for each of its queues, gets its share of them and no more.
 */
import type { Caller } from '../caller.ts'
import { Slots } from './slots.ts'

/** What begins when one of its callers may have a flight. It is told which caller that is. */
type Start = (caller: Caller) => void

export class Flights {
  readonly #slots: Slots<Start>

  constructor(slots: number) {
    this.#slots = new Slots(slots)
  }

  /** Takes a flight for the first of these callers that may have one. null: all have to wait. */
  begin(callers: Iterable<Caller>): Caller | null {
    if (this.#slots.areFull) return null
    for (const caller of callers) {
      if (!this.#slots.areFree(caller)) continue
      this.#slots.take(caller)
      return caller
    }
    return null
  }

  /** Calls `start` when this caller may have a flight, which may be now. */
  wait(caller: Caller, start: Start): void {
    if (this.#slots.areFree(caller)) this.#begin(caller, start)
    else this.#slots.wait(caller, start)
  }

  /** Ends a flight. Those that wait begin as far as there is room. */
  end(caller: Caller): void {
    this.#slots.give(caller, (next, start) => this.#begin(next, start))
  }

  // A start may wait for several callers.
  #begin(caller: Caller, start: Start): void {
    this.#slots.leaveAll(start)
    this.#slots.take(caller)
    start(caller)
  }
}
