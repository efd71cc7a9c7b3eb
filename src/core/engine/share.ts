/** Bounds of what the service can hold at one time, which callers share by the rule of fair shares. */
import type { Caller } from '../caller.ts'
import { QueueError, type Code } from '../errors.ts'
import { obstacleTo, type Holding } from '../fairShare.ts'

/** From so many places on, those of callers that hold nothing are taken away now and then. */
const placesMin = 1000

/** What callers hold of a bound. Numbers of the replica's other processes are up to 20 ms old. */
export class Holdings {
  // A caller that holds nothing keeps its place, because callers come back. To take the place away
  // and make it again would cost more than everything else here.
  readonly #places = new Map<Caller, { held: number }>()
  #sweepAt = placesMin
  #all = 0
  readonly #others = new Others()
  /** Callers whose numbers the other processes do not know. null: there are no other processes. */
  #untold: Set<Caller> | null = null

  of(caller: Caller): Holding {
    return {
      all: this.#all + this.#others.all,
      mine: (this.#places.get(caller)?.held ?? 0) + this.#others.of(caller.id)
    }
  }

  add(caller: Caller, amount: number): void {
    this.#all += amount
    this.#untold?.add(caller)
    const place = this.#places.get(caller)
    if (place !== undefined) place.held += amount
    else this.#make(caller, amount)
  }

  /** What is held here. */
  get all(): number {
    return this.#all
  }

  get places(): number {
    return this.#places.size
  }

  /** The callers that hold something here. */
  get entries(): [Caller, number][] {
    return [...this.#places].filter(([, { held }]) => held > 0).map(([caller, { held }]) => [caller, held])
  }

  /** The callers whose numbers have changed since the last call, with them. */
  takeUntold(): [id: string, held: number][] {
    const untold = [...(this.#untold ?? [])]
    this.#untold = new Set()
    return untold.map(caller => [caller.id, this.#places.get(caller)?.held ?? 0])
  }

  /** The next takeUntold gives all callers that hold something. */
  tellAll(): void {
    this.#untold = new Set(this.entries.map(([caller]) => caller))
  }

  /** What callers hold at another process. */
  hear(process: string, told: [id: string, held: number][]): void {
    this.#others.hear(process, told)
  }

  /** Another process has ended. */
  forget(process: string): void {
    this.#others.forget(process)
  }

  #make(caller: Caller, held: number): void {
    if (this.#places.size >= this.#sweepAt) {
      for (const [other, place] of this.#places) if (place.held === 0) this.#places.delete(other)
      this.#sweepAt = Math.max(placesMin, 2 * this.#places.size)
    }
    this.#places.set(caller, { held })
  }
}

/** What callers hold at the other processes of the replica. */
class Others {
  readonly #processes = new Map<string, Map<string, number>>()
  readonly #held = new Map<string, number>()
  all = 0

  of(callerId: string): number {
    return this.#held.size === 0 ? 0 : (this.#held.get(callerId) ?? 0)
  }

  hear(process: string, told: [id: string, held: number][]): void {
    const known = this.#processes.get(process) ?? new Map<string, number>()
    this.#processes.set(process, known)
    for (const [id, held] of told) {
      const change = held - (known.get(id) ?? 0)
      setOrDelete(known, id, held)
      setOrDelete(this.#held, id, this.of(id) + change)
      this.all += change
    }
  }

  forget(process: string): void {
    const known = this.#processes.get(process)
    if (known === undefined) return
    this.hear(
      process,
      [...known.keys()].map(id => [id, 0])
    )
    this.#processes.delete(process)
  }
}

function setOrDelete(numbers: Map<string, number>, id: string, value: number): void {
  if (value === 0) numbers.delete(id)
  else numbers.set(id, value)
}

export interface Bound {
  /** As metrics name it. */
  name: string
  /** As a refusal names it: "bytes of requests on their way in". */
  what: string
  total: number
  /** The code of the refusal when the total is used up. */
  code: Code
}

/** Who holds how much of a bound. */
export interface ShareReport {
  name: string
  total: number
  held: number
  refused: number
  /** The callers that hold most come first. */
  callers: { id: string; held: number }[]
}

/** A bound that callers share. */
export class Share {
  readonly bound: Bound
  readonly holdings = new Holdings()
  // One of each for all: thousands a second may be refused, and a stack for each is dear.
  readonly #refusals: Record<'share' | 'total', QueueError>
  #refused = 0

  constructor(bound: Bound) {
    this.bound = bound
    const { what, total, code } = bound
    this.#refusals = {
      total: new QueueError(
        code,
        `This replica holds ${total} ${what} already; nothing was changed. ` +
          'Send the request again a little later.'
      ),
      share: new QueueError(
        'shareUsedUp',
        `This caller's share of the ${total} ${what} is used up: it is half of what others leave; ` +
          'nothing was changed. Send the request again when some of your calls have been answered.'
      )
    }
  }

  /** The refusal of holding this much more; null where there is room. */
  refusal(caller: Caller, amount: number, makesRoom = false): QueueError | null {
    const holding = this.holdings.of(caller)
    const obstacle = obstacleTo(amount, this.bound.total, holding, caller.isAdmin, makesRoom)
    if (obstacle === null) return null
    this.#refused++
    return this.#refusals[obstacle]
  }

  /** Holds this much more. Refuses where there is no room. */
  take(caller: Caller, amount: number): void {
    const refusal = this.refusal(caller, amount)
    if (refusal !== null) throw refusal
    this.hold(caller, amount)
  }

  /** Holds this much more, room or not. */
  hold(caller: Caller, amount: number): void {
    this.holdings.add(caller, amount)
  }

  /** Gives this much back. */
  give(caller: Caller, amount: number): void {
    this.holdings.add(caller, -amount)
  }

  get held(): number {
    return this.holdings.all
  }

  /** Who holds how much here. */
  report(callersMax: number): ShareReport {
    return {
      name: this.bound.name,
      total: this.bound.total,
      held: this.holdings.all,
      refused: this.#refused,
      callers: this.holdings.entries
        .sort(([, a], [, b]) => b - a)
        .slice(0, callersMax)
        .map(([{ id }, held]) => ({ id, held }))
    }
  }
}
