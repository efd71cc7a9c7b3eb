/** Slots that callers share by the rule of fair shares, and who waits for one. */
import type { Caller } from '../caller.ts'
import { obstacleTo } from '../fairShare.ts'

export class Slots<Waiting> {
  readonly #total: number
  readonly #taken = new Map<Caller, number>()
  #takenAll = 0
  /** The caller whose turn is next comes first. */
  readonly #waiting = new Map<Caller, Set<Waiting>>()

  constructor(total: number) {
    this.#total = total
  }

  get areFull(): boolean {
    return this.#takenAll >= this.#total
  }

  /** Whether somebody waits. */
  get areAwaited(): boolean {
    return this.#waiting.size > 0
  }

  /** Whether the caller may take a slot. */
  areFree(caller: Caller): boolean {
    if (this.areFull) return false
    const holding = { all: this.#takenAll, mine: this.#taken.get(caller) ?? 0 }
    return obstacleTo(1, this.#total, holding, caller.isAdmin) === null
  }

  take(caller: Caller): void {
    this.#takenAll++
    this.#taken.set(caller, (this.#taken.get(caller) ?? 0) + 1)
  }

  /** Gives a slot back. As far as there is room, `start` takes one for each that waits, in turn. */
  give(caller: Caller, start: (next: Caller, waiting: Waiting) => void): void {
    this.#takenAll--
    const left = this.#taken.get(caller)! - 1
    if (left > 0) this.#taken.set(caller, left)
    else this.#taken.delete(caller)
    for (const [next, waiting] of this.#waiting) {
      if (this.areFull) return
      if (!this.areFree(next)) continue
      const [first] = waiting
      this.#waiting.delete(next)
      this.#waiting.set(next, waiting) // others come first next time
      start(next, first!)
    }
  }

  /** The same thing may wait for several callers. */
  wait(caller: Caller, waiting: Waiting): void {
    const others = this.#waiting.get(caller)
    if (others === undefined) this.#waiting.set(caller, new Set([waiting]))
    else others.add(waiting)
  }

  /** Waits for this caller no longer. */
  leave(caller: Caller, waiting: Waiting): void {
    const others = this.#waiting.get(caller)
    if (others?.delete(waiting) === true && others.size === 0) this.#waiting.delete(caller)
  }

  /** Waits for nobody any longer. */
  leaveAll(waiting: Waiting): void {
    for (const caller of this.#waiting.keys()) this.leave(caller, waiting)
  }
}
