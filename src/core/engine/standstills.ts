/**
 * Standstills: moments in which no message of any queue is stored, leased or settled. A change of a
 * queue's order needs one, and so does the removal of an empty queue. A caller that makes one after
 * another would stop everybody, so it rests after each. A caller at several processes or replicas shares
 * its time out among them. A change of the limits of very many groups stops nobody, but takes seconds of
 * the database's time, so it counts too.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import { Elsewhere } from './elsewhere.ts'
import { standstillMsMax, standstillMsPerSecond } from '../limits.ts'
import { Rate } from '../rate.ts'

/** How long a call may wait for the rest of its caller, and for a moment of no writes. */
const callMsMax = 3000
/**
 * A standstill waits this long at first, and twice as long each time that it was not enough. Nearly all
 * transactions have ended by then, and everybody waits for those that have not.
 */
const waitMsFirst = 10
const pauseMs = 50
/** From so many callers on, those that have rested are forgotten. */
const callersMax = 1000

/** The store throws it when writes did not pause in time. */
export const messagesBusy = new QueueError(
  'overloaded',
  'This needs a moment in which nobody writes a message, and there was none; nothing was changed. ' +
    'Send the request again a little later.'
)

/**
 * Asks for a standstill, and answers for how many milliseconds it may wait for others to end their
 * transactions. Throws where the caller has to rest. Costs nothing where it is not called.
 */
export type BeginStandstill = () => number

/** What one caller has used, in milliseconds. */
interface Used {
  rate: Rate
  underway: boolean
}

export class Standstills {
  readonly #elsewhere: Elsewhere
  readonly #callers = new Map<string, Used>()

  constructor(elsewhere = new Elsewhere()) {
    this.#elsewhere = elsewhere
  }

  /**
   * Runs work that may begin a standstill, and counts it until the work has ended. The work runs
   * again while the caller has to rest, or while others write, for three seconds at most. Refuses
   * with shareUsedUp or overloaded then. Nothing was changed.
   */
  async run<T>(caller: Caller, work: (begin: BeginStandstill) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + callMsMax
    let waitMs = waitMsFirst
    for (;;) {
      try {
        return await this.#attempt(caller, waitMs, work)
      } catch (error) {
        if (error === messagesBusy) waitMs = Math.min(2 * waitMs, standstillMsMax)
        else if (!(error instanceof MustRest)) throw error
        if (performance.now() > untilMs) throw error instanceof MustRest ? restRefusal(error.seconds) : error
      }
      await pause(pauseMs)
      while (this.#mustRest(caller) && performance.now() < untilMs) await pause(pauseMs)
    }
  }

  async #attempt<T>(
    caller: Caller,
    waitMs: number,
    work: (begin: BeginStandstill) => Promise<T>
  ): Promise<T> {
    let used: Used | null = null
    let sinceMs = 0
    // A transaction that is done again after a deadlock begins again.
    const begin = () => {
      if (used !== null) return waitMs
      if (this.#mustRest(caller)) throw new MustRest(this.#of(caller).rate.secondsLeft)
      used = this.#of(caller)
      used.underway = true
      sinceMs = performance.now()
      return waitMs
    }
    try {
      return await work(begin)
    } finally {
      this.#end(caller, used, sinceMs)
    }
  }

  #end({ id }: Caller, used: Used | null, sinceMs: number): void {
    if (used === null) return
    used.underway = false
    used.rate.take((performance.now() - sinceMs) * this.#elsewhere.places(id))
    this.#elsewhere.note(id)
  }

  #mustRest({ id }: Caller): boolean {
    const used = this.#callers.get(id)
    return used !== undefined && (used.underway || used.rate.spent)
  }

  #of({ id }: Caller): Used {
    let used = this.#callers.get(id)
    if (used === undefined) {
      if (this.#callers.size >= callersMax) this.#forgetRested()
      used = { rate: new Rate(standstillMsPerSecond), underway: false }
      this.#callers.set(id, used)
    }
    return used
  }

  #forgetRested(): void {
    for (const [id, { rate, underway }] of this.#callers) {
      if (!underway && !rate.spent) this.#callers.delete(id)
    }
  }
}

class MustRest extends Error {
  readonly seconds: number

  constructor(seconds: number) {
    super()
    this.seconds = seconds
  }
}

const restRefusal = (retryAfterSeconds: number) =>
  new QueueError(
    'shareUsedUp',
    "A change of a queue's order, the removal of an empty queue, and a change of the limits of very many " +
      'groups delay the callers of all queues. ' +
      `This caller has used up its ${standstillMsPerSecond} ms a second of them; nothing was changed. ` +
      'Send the request again after the time in Retry-After.',
    { retryAfterSeconds }
  )
