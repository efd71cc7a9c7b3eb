/**
 * Turns at the database for work that is not batched. At most `slots` pieces run at once, and
 * callers take turns, so a caller with many calls delays only itself.
 */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import type { Share } from './share.ts'
import { Slots } from './slots.ts'

const waitSecondsMaxDefault = 3

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
   * many wait, and with overloaded when no turn came in time.
   */
  async run<T>(caller: Caller, work: () => Promise<T>): Promise<T> {
    if (this.#slots.areFree(caller)) this.#slots.take(caller)
    else await this.#wait(caller)
    try {
      return await work()
    } finally {
      this.#slots.give(caller, (_, start) => start())
    }
  }

  #wait(caller: Caller): Promise<void> {
    this.#places.take(caller, 1)
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#places.give(caller, 1)
        this.#slots.leave(caller, start)
      }
      const timer = setTimeout(() => {
        leave()
        reject(tooLong)
      }, this.#waitSecondsMax * 1000)
      const start = () => {
        leave()
        this.#slots.take(caller)
        resolve()
      }
      this.#slots.wait(caller, start)
    })
  }
}
