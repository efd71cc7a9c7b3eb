/**
 * Rests of callers between pieces of heavy work: flushes and searches that keep the database busy for
 * long. Other callers wait for the disk or a processor meanwhile, so each is followed by a pause of the
 * same length. While small flushes are slow, the pause is longer. A caller with heavy work at several
 * processes or replicas rests as many times longer at each. All batchers and the turns of searches share the
 * rests: work spread over many lanes or kinds of calls would otherwise escape them.
 */
import type { Caller } from '../caller.ts'
import type { Activity } from './activity.ts'
import { Elsewhere } from './elsewhere.ts'

const restMsMax = 1500
/** A rest is this many times longer while small flushes are slow. */
const slowFactor = 3

interface State {
  underWay: number
  /** Runs while the caller rests. */
  timer: NodeJS.Timeout | undefined
  /** What begins when the caller may go on. */
  waiting: Set<() => void>
}

export class Rests {
  readonly #activity: Activity
  readonly #elsewhere: Elsewhere
  /** The callers with heavy work under way, and those that rest. */
  readonly #states = new Map<Caller, State>()

  constructor(activity: Activity, elsewhere = new Elsewhere()) {
    this.#activity = activity
    this.#elsewhere = elsewhere
  }

  /** Whether heavy work of the caller has to wait: for another piece while others call, or for its rest. */
  holds(caller: Caller): boolean {
    const state = this.#states.get(caller)
    if (state === undefined) return false
    return state.timer !== undefined || this.#activity.hasOthers(caller)
  }

  /** Calls `start` when the caller is held no longer. */
  wait(caller: Caller, start: () => void): void {
    this.#states.get(caller)!.waiting.add(start)
  }

  /** Calls it no longer. */
  leave(caller: Caller, start: () => void): void {
    this.#states.get(caller)?.waiting.delete(start)
  }

  /** Heavy work of these callers begins. */
  begin(callers: Set<Caller>): void {
    for (const caller of callers) {
      const state = this.#states.get(caller)
      if (state === undefined) {
        this.#states.set(caller, { underWay: 1, timer: undefined, waiting: new Set() })
      } else state.underWay++
    }
  }

  /** It has ended, and has taken so long. Each of its callers rests if others call. */
  end(callers: Set<Caller>, tookMs: number): void {
    for (const caller of callers) {
      const state = this.#states.get(caller)!
      state.underWay--
      clearTimeout(state.timer)
      state.timer = undefined
      if (!this.#activity.hasOthers(caller)) this.#goOn(caller, state)
      else state.timer = setTimeout(() => this.#goOn(caller, state), this.#restMs(caller, tookMs))
    }
  }

  #restMs({ id }: Caller, tookMs: number): number {
    if (tookMs > 0) this.#elsewhere.note(id)
    const factor = (this.#activity.isSlow ? slowFactor : 1) * this.#elsewhere.places(id)
    return Math.min(tookMs * factor, restMsMax)
  }

  #goOn(caller: Caller, state: State): void {
    state.timer = undefined
    if (state.underWay === 0) this.#states.delete(caller)
    const waiting = [...state.waiting]
    state.waiting.clear()
    for (const start of waiting) start()
  }
}
