/**
 * Turns at the database for work that is not batched. At most `slots` pieces run at once, and
 * callers take turns, so a caller with many calls delays only itself. Long work passes its turn
 * between its steps, so others wait for a step of it, and not for all.
 */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import type { Rests } from './rests.ts'
import type { Share } from './share.ts'
import { Slots } from './slots.ts'

const waitSecondsMaxDefault = 3
/** Work that has passed its turn is half done, so it waits longer for its next turn. */
const returnSecondsMax = 60

const none: Set<Caller> = new Set()

/** Lets those that wait have the turn, and resolves when it is the caller's turn again. */
export type Pass = () => Promise<void>

const tooLong = new QueueError(
  'overloaded',
  'Every turn at the database was taken for too long; nothing was changed. ' +
    'Send the request again a little later.'
)

const mustRest = new QueueError(
  'shareUsedUp',
  'Searches, bulk actions and large calls of one caller take turns while others call, and this caller has ' +
    'too many of them; nothing was changed. Send the request again when some of them have ended.'
)

/** Where a caller waits until `start` is called. */
interface Line {
  wait: (caller: Caller, start: () => void) => void
  leave: (caller: Caller, start: () => void) => void
}

interface TurnsOptions {
  waitSecondsMax?: number
  /** Who rests after heavy work. Left out: no work is heavy. */
  rests?: Rests
}

export class Turns {
  readonly #slots: Slots<() => void>
  readonly #places: Share
  readonly #waitSecondsMax: number
  readonly #rests: Rests | null

  /** `places` is the bound of those that wait. */
  constructor(
    slots: number,
    places: Share,
    { waitSecondsMax = waitSecondsMaxDefault, rests }: TurnsOptions = {}
  ) {
    this.#slots = new Slots(slots)
    this.#places = places
    this.#waitSecondsMax = waitSecondsMax
    this.#rests = rests ?? null
  }

  /**
   * Runs the work when it is the caller's turn. Refuses with shareUsedUp or overloaded when too
   * many wait, and when no turn came in time. Work that calls `pass` may be refused there too.
   *
   * Heavy work keeps the database busy for long. While others call, a caller does one piece of it at a
   * time, and rests after each step. Of work that may be heavy, its answer says whether it was.
   */
  async run<T>(
    caller: Caller,
    work: (pass: Pass) => Promise<T>,
    isHeavy: boolean | ((answer: T) => boolean) = false
  ): Promise<T> {
    const heavy = isHeavy === false ? none : new Set([caller])
    await this.#enter(caller, heavy, this.#waitSecondsMax, 'take')
    let isInside = true
    let wasHeavy = true
    let sinceMs = performance.now()
    const leave = () => {
      isInside = false
      this.#slots.give(caller, (_, start) => start())
      this.#rests?.end(heavy, wasHeavy ? performance.now() - sinceMs : 0)
    }
    const pass = async () => {
      if (isHeavy === false && !this.#slots.areAwaited) return
      leave()
      await this.#enter(caller, heavy, returnSecondsMax, 'hold')
      isInside = true
      sinceMs = performance.now()
    }
    try {
      const answer = await work(pass)
      if (typeof isHeavy === 'function') wasHeavy = isHeavy(answer)
      return answer
    } finally {
      if (isInside) leave()
    }
  }

  /** Waits until the caller has rested from heavy work, and for a turn. Takes the turn. */
  async #enter(
    caller: Caller,
    heavy: Set<Caller>,
    secondsMax: number,
    place: 'take' | 'hold'
  ): Promise<void> {
    const untilMs = performance.now() + secondsMax * 1000
    while (heavy.size > 0 && this.#rests?.holds(caller) === true) {
      this.#places[place](caller, 1)
      await this.#wait(caller, this.#rests, untilMs, mustRest)
      // A batcher too begins in a later turn of the event loop. So what came first goes on first.
      await new Promise(setImmediate)
    }
    this.#rests?.begin(heavy)
    if (this.#slots.areFree(caller)) return this.#slots.take(caller)
    try {
      this.#places[place](caller, 1)
      await this.#wait(caller, this.#slots, untilMs, tooLong, () => this.#slots.take(caller))
    } catch (error) {
      this.#rests?.end(heavy, 0)
      throw error
    }
  }

  /** Waits in a place that is taken, and gives it back. Throws the refusal when the time is over. */
  #wait(
    caller: Caller,
    line: Line,
    untilMs: number,
    refusal: QueueError,
    onStart?: () => void
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#places.give(caller, 1)
        line.leave(caller, start)
      }
      const leftMs = Math.max(0, untilMs - performance.now())
      const timer = setTimeout(() => {
        leave()
        reject(refusal)
      }, leftMs)
      const start = () => {
        leave()
        onStart?.()
        resolve()
      }
      line.wait(caller, start)
    })
  }
}
