/**
 * Turns at the database for work that is not batched. At most `slots` pieces run at once, and
 * callers take turns, so a caller with many calls delays only itself.
 */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import { obstacleTo } from '../fairShare.ts'
import type { Share } from './share.ts'

const waitSecondsMaxDefault = 3

const tooLong = new QueueError(
  'overloaded',
  'Every turn at the database was taken for too long; nothing was changed. ' +
    'Send the request again a little later.'
)

interface Waiting {
  start: () => void
}

export class Turns {
  readonly #slots: number
  readonly #places: Share
  readonly #waitSecondsMax: number
  readonly #running = new Map<Caller, number>()
  /** The caller whose turn is next comes first. */
  readonly #waiting = new Map<Caller, Set<Waiting>>()
  #runningAll = 0

  /** `places` is the bound of those that wait. */
  constructor(slots: number, places: Share, waitSecondsMax = waitSecondsMaxDefault) {
    this.#slots = slots
    this.#places = places
    this.#waitSecondsMax = waitSecondsMax
  }

  /**
   * Runs the work when it is the caller's turn. Refuses with shareUsedUp or overloaded when too
   * many wait, and with overloaded when no turn came in time.
   */
  async run<T>(caller: Caller, work: () => Promise<T>): Promise<T> {
    if (this.#isFree(caller)) this.#enter(caller)
    else await this.#wait(caller)
    try {
      return await work()
    } finally {
      this.#leave(caller)
    }
  }

  #isFree(caller: Caller): boolean {
    const mine = this.#running.get(caller) ?? 0
    const holding = { all: this.#runningAll, mine }
    return this.#runningAll < this.#slots && obstacleTo(1, this.#slots, holding, caller.isAdmin) === null
  }

  #enter(caller: Caller): void {
    this.#runningAll++
    this.#running.set(caller, (this.#running.get(caller) ?? 0) + 1)
  }

  #wait(caller: Caller): Promise<void> {
    this.#places.take(caller, 1)
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#places.give(caller, 1)
        calls.delete(waiting)
        if (calls.size === 0) this.#waiting.delete(caller)
      }
      const timer = setTimeout(() => {
        leave()
        reject(tooLong)
      }, this.#waitSecondsMax * 1000)
      const calls = this.#waiting.get(caller) ?? new Set()
      const waiting = {
        start: () => {
          leave()
          this.#enter(caller)
          resolve()
        }
      }
      this.#waiting.set(caller, calls.add(waiting))
    })
  }

  #leave(caller: Caller): void {
    const left = this.#running.get(caller)! - 1
    if (left > 0) this.#running.set(caller, left)
    else this.#running.delete(caller)
    this.#runningAll--
    for (const [next, calls] of this.#waiting) {
      if (this.#runningAll >= this.#slots) return
      if (!this.#isFree(next)) continue
      const [first] = calls
      this.#waiting.delete(next)
      this.#waiting.set(next, calls) // others come first next time
      first!.start()
    }
  }
}
