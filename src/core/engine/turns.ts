/**
 * Turns at the database for work that is not batched. At most `slots` pieces run at once, and
 * callers take turns, so a caller with many calls delays only itself. Long work passes its turn
 * between its steps, so others wait for a step of it, and not for all.
 */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import type { Share } from './share.ts'
import { Slots } from './slots.ts'

const waitSecondsMaxDefault = 3
/** Work that has passed its turn is half done, so it waits longer for its next turn. */
const returnSecondsMax = 60

/** Lets those that wait have the turn, and resolves when it is the caller's turn again. */
export type Pass = () => Promise<void>

const tooLong = new QueueError(
  'overloaded',
  'Every turn at the database was taken for too long; nothing was changed. ' +
    'Send the request again a little later.'
)

export class Turns {
  readonly #slots: Slots<() => void>
  readonly #places: Share
  readonly #waitSecondsMax: number

  /** `places` is the bound of those that wait. */
  constructor(slots: number, places: Share, waitSecondsMax = waitSecondsMaxDefault) {
    this.#slots = new Slots(slots)
    this.#places = places
    this.#waitSecondsMax = waitSecondsMax
  }

  /**
   * Runs the work when it is the caller's turn. Refuses with shareUsedUp or overloaded when too
   * many wait, and with overloaded when no turn came in time. Work that calls `pass` may be refused
   * there too.
   */
  async run<T>(caller: Caller, work: (pass: Pass) => Promise<T>): Promise<T> {
    if (this.#slots.areFree(caller)) this.#slots.take(caller)
    else {
      this.#places.take(caller, 1)
      await this.#wait(caller, this.#waitSecondsMax)
    }
    let isInside = true
    const pass = async () => {
      if (!this.#slots.areAwaited) return
      isInside = false
      // It waits before it gives the turn back, because that hands the turn to whoever waits.
      this.#places.hold(caller, 1)
      const again = this.#wait(caller, returnSecondsMax)
      this.#give(caller)
      await again
      isInside = true
    }
    try {
      return await work(pass)
    } finally {
      if (isInside) this.#give(caller)
    }
  }

  #give(caller: Caller): void {
    this.#slots.give(caller, (_, start) => start())
  }

  /** Waits for a turn in a place that is taken, and takes it. */
  #wait(caller: Caller, secondsMax: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#places.give(caller, 1)
        this.#slots.leave(caller, start)
      }
      const timer = setTimeout(() => {
        leave()
        reject(tooLong)
      }, secondsMax * 1000)
      const start = () => {
        leave()
        this.#slots.take(caller)
        resolve()
      }
      this.#slots.wait(caller, start)
    })
  }
}
