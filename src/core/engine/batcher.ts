/**
 * Group commit: many callers, one flush, one answer each. Knows neither messages nor PostgreSQL.
 */
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import type { BatcherOptions } from './batcherOptions.ts'

interface Entry<Item, Answer> {
  item: Item
  caller: Caller
  /** What it counts in the share. */
  charge: number
  sinceMs: number
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}
/** `weight` and `messages` count what waits. The caller whose turn is next comes first. */
interface Lane<Item, Answer> {
  waiting: Map<Caller, Entry<Item, Answer>[]>
  weight: number
  messages: number
  inFlight: number
  flushedMs: number
  /** The flush that began last holds items that go alone. */
  alone: boolean
  /** It holds heavy items. */
  heavy: boolean
  scheduled: boolean
  /** Begins a flush, while the lane waits for a flight of one of its callers. */
  start: ((caller: Caller) => void) | null
  /** Begins a flush when a caller has rested. */
  goOn: () => void
}

/** A flush that takes longer may be waiting for a lock. A second one then starts beside it. */
const slowFlushMs = 20
/** Those that wait are looked at this often. */
const watchMsMax = 50
/** A flush that fails after this time has waited for a lock. */
const lockedMs = 500
const urgentWaitFactor = 3

// One for all: thousands a second may be turned away, and a stack for each costs more than the
// rest.
const overloaded = new QueueError(
  'overloaded',
  'The database is slow just now, and this call would wait too long; nothing was changed. ' +
    'Send the request again a little later.'
)

/**
 * Back-pressure sets the size of a flush, not a timer. An idle lane flushes what this turn of the
 * event loop brought. A busy lane gathers callers until its flush returns. A commit costs as much
 * as a dozen messages, so a second flush starts beside the first only when there is enough for it.
 * Lanes flush independently. Callers of a lane take turns, and each keeps its own order.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>
  readonly #chargeMin: number
  readonly #lanes = new Map<string, Lane<Item, Answer>>()
  readonly #refused = new Map<Caller, QueueError>()
  #waitingItems = 0
  #watch: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []

  constructor(options: BatcherOptions<Item, Answer>) {
    this.#options = options
    // Whole, so that what is given back leaves nothing.
    this.#chargeMin = Math.ceil(options.share.bound.total / options.waitingItemsMax)
  }

  /**
   * The refusal of an item now; null where there may be room. A cheap check before the item is made.
   * A caller that was refused is refused again until something leaves. With `lane`, it knows whether
   * the lane takes no more items of the caller.
   */
  refusal(caller: Caller, lane?: string): QueueError | null {
    // What is held elsewhere may have caused the refusal, and nothing leaves here when that goes.
    if (this.#waitingItems === 0) this.#refused.clear()
    const entries = lane === undefined ? undefined : this.#lanes.get(lane)?.waiting.get(caller)
    if (entries !== undefined && this.#isLate(entries)) return overloaded
    return this.#refused.get(caller) ?? this.#options.share.refusal(caller, this.#chargeMin)
  }

  /**
   * Resolves after the commit that held the item. Refuses with shareUsedUp or overloaded when too
   * much waits, and with overloaded when the item has waited too long. Nothing was done then.
   */
  add(caller: Caller, lane: string, item: Item): Promise<Answer> {
    const { weigh, count, isUrgent, share, activity } = this.#options
    const weight = weigh(item)
    const charge = Math.max(weight, this.#chargeMin)
    const urgent = isUrgent(item)
    const refusal = share.refusal(caller, charge, urgent)
    if (refusal !== null) {
      this.#refused.set(caller, refusal)
      return Promise.reject(refusal)
    }
    const sinceMs = performance.now()
    activity.note(caller.id, sinceMs)
    const state = this.#laneOf(lane)
    let entries = state.waiting.get(caller)
    if (entries === undefined) {
      entries = []
      state.waiting.set(caller, entries)
    } else if (!urgent && this.#isLate(entries)) return Promise.reject(overloaded)
    share.hold(caller, charge)
    this.#waitingItems++
    this.#watch ??= this.#watchSoon()
    return new Promise((resolve, reject) => {
      state.weight += weight
      state.messages += count(item)
      entries.push({ item, caller, charge, sinceMs, resolve, reject })
      if (state.start === null) this.#schedule(lane, state)
      else this.#options.flights!.wait(caller, state.start)
    })
  }

  /** Whether the oldest of a caller's items has waited so long that more of them would be late. */
  #isLate([oldest]: Entry<Item, Answer>[]): boolean {
    return performance.now() - oldest!.sinceMs > this.#options.waitingMsMax / 2
  }

  /** Resolves once nothing waits and nothing is in flight. */
  async drained(): Promise<void> {
    if (this.#lanes.size > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  #laneOf(name: string): Lane<Item, Answer> {
    const lane = this.#lanes.get(name)
    if (lane === undefined) {
      const made: Lane<Item, Answer> = {
        waiting: new Map(),
        weight: 0,
        messages: 0,
        inFlight: 0,
        flushedMs: 0,
        alone: false,
        heavy: false,
        scheduled: false,
        start: null,
        goOn: () => {
          if (made.start === null) this.#schedule(name, made)
        }
      }
      this.#lanes.set(name, made)
      return made
    }
    return lane
  }

  #schedule(name: string, lane: Lane<Item, Answer>): void {
    if (lane.scheduled || lane.waiting.size === 0 || lane.inFlight >= this.#inFlightMax(lane)) return
    if (this.#waitsForRests(lane)) return
    lane.scheduled = true
    // When this turn's sockets have been read: requests that came together leave together.
    setImmediate(() => {
      const { flights } = this.#options
      const callers = this.#callersIn(lane)
      const caller = flights?.begin(callers) ?? null
      if (flights === null || caller !== null || callers.length === 0) {
        return this.#start(name, lane, caller)
      }
      lane.start = free => this.#start(name, lane, free)
      for (const waiting of callers) flights.wait(waiting, lane.start)
    })
  }

  /** Whether all that wait in the lane wait for the rests of their callers. The lane goes on after these. */
  #waitsForRests(lane: Lane<Item, Answer>): boolean {
    if (this.#callersIn(lane).length > 0) return false
    for (const caller of lane.waiting.keys()) this.#options.rests.wait(caller, lane.goOn)
    return true
  }

  /** The callers whose next item may go now. */
  #callersIn({ waiting }: Lane<Item, Answer>): Caller[] {
    return [...waiting.keys()].filter(caller => !this.#isHeld(caller, waiting.get(caller)![0]!))
  }

  #isHeld(caller: Caller, { item }: Entry<Item, Answer>): boolean {
    const { isHeavy, rests } = this.#options
    return isHeavy !== undefined && rests.holds(caller) && isHeavy(item)
  }

  /** Begins a flush, in the flight of this caller. null: it needs none. */
  #start(name: string, lane: Lane<Item, Answer>, caller: Caller | null): void {
    const land = () => {
      if (caller !== null) this.#options.flights!.end(caller)
    }
    lane.scheduled = false
    lane.start = null
    const taken = this.#take(lane)
    if (taken.length === 0) {
      // All were turned away in between, or rest now.
      land()
      if (lane.waiting.size > 0) this.#schedule(name, lane)
      return this.#tidy(name, lane)
    }
    lane.inFlight++
    const startedMs = performance.now()
    lane.flushedMs = startedMs
    const { isAlone, isHeavy, activity, rests } = this.#options
    lane.alone = isAlone !== undefined && taken.some(({ item }) => isAlone(item))
    const heavy = isHeavy === undefined ? [] : taken.filter(({ item }) => isHeavy(item))
    const resting = new Set(heavy.map(entry => entry.caller))
    lane.heavy = heavy.length > 0
    rests.begin(resting)
    this.#flush(name, taken).finally(() => {
      lane.inFlight--
      land()
      const tookMs = performance.now() - startedMs
      rests.end(resting, tookMs)
      if (heavy.length === 0) activity.noteFlush(tookMs)
      this.#schedule(name, lane)
      this.#tidy(name, lane)
    })
    this.#schedule(name, lane)
  }

  #tidy(name: string, lane: Lane<Item, Answer>): void {
    if (lane.waiting.size > 0 || lane.inFlight > 0 || lane.start !== null || lane.scheduled) return
    this.#lanes.delete(name)
    if (this.#lanes.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #inFlightMax(lane: Lane<Item, Answer>): number {
    if (lane.inFlight === 0) return 1
    const { activity, flushWeightMax, flushCountMax, inFlightMax } = this.#options
    const [caller] = lane.waiting.keys()
    if (lane.heavy && activity.hasOthers(caller!)) return 1
    const enough =
      (!lane.alone && (lane.messages >= flushCountMax / 2 || lane.weight >= flushWeightMax / 2)) ||
      performance.now() > lane.flushedMs + slowFlushMs
    return enough ? inFlightMax : 1
  }

  // Callers take turns. In its turn a caller may fill an equal part of the flush.
  #take(lane: Lane<Item, Answer>): Entry<Item, Answer>[] {
    const { weigh, count, flushWeightMax, flushCountMax } = this.#options
    const { waiting } = lane
    const parts = this.#callersIn(lane).length
    const taken: Entry<Item, Answer>[] = []
    let [weight, messages] = [0, 0]
    for (const [caller, entries] of waiting) {
      if (weight >= flushWeightMax || messages >= flushCountMax) break
      if (this.#isHeld(caller, entries[0]!)) continue
      const weightMax = Math.min(flushWeightMax, weight + flushWeightMax / parts)
      const messagesMax = Math.min(flushCountMax, messages + flushCountMax / parts)
      let [length, charge] = [0, 0]
      while (length < entries.length && weight < weightMax && messages < messagesMax) {
        const entry = entries[length]!
        if (this.#isHeld(caller, entry)) break
        length++
        weight += weigh(entry.item)
        messages += count(entry.item)
        charge += entry.charge
        taken.push(entry)
      }
      this.#forget(caller, charge, length)
      waiting.delete(caller)
      if (length < entries.length) {
        entries.splice(0, length)
        waiting.set(caller, entries) // behind the others; this loop comes to it again
      }
    }
    lane.weight -= weight
    lane.messages -= messages
    return taken
  }

  #forget(caller: Caller, charge: number, items: number): void {
    this.#waitingItems -= items
    if (this.#refused.size > 0) this.#refused.clear()
    this.#options.share.give(caller, charge)
  }

  /** One timer for all who wait. */
  #watchSoon(): NodeJS.Timeout {
    const inMs = Math.min(watchMsMax, this.#options.waitingMsMax / 5)
    return setTimeout(() => this.#look(), inMs).unref()
  }

  // Turns away who waited too long. Where a flush has become slow, it starts the second one, since
  // nobody else may come for that lane.
  #look(): void {
    const { waitingMsMax } = this.#options
    const nowMs = performance.now()
    for (const [name, lane] of this.#lanes) {
      for (const [caller, entries] of lane.waiting) {
        if (nowMs - entries[0]!.sinceMs > waitingMsMax) this.#turnAway(lane, caller, entries, nowMs)
      }
      if (lane.start === null) this.#schedule(name, lane)
      this.#tidy(name, lane)
    }
    this.#watch = this.#waitingItems > 0 ? this.#watchSoon() : undefined
  }

  #turnAway(lane: Lane<Item, Answer>, caller: Caller, entries: Entry<Item, Answer>[], nowMs: number): void {
    const { weigh, count, isUrgent, waitingMsMax } = this.#options
    const isLate = ({ item, sinceMs }: Entry<Item, Answer>) =>
      nowMs - sinceMs > waitingMsMax * (isUrgent(item) ? urgentWaitFactor : 1)
    const rest = entries.filter(entry => !isLate(entry))
    if (rest.length > 0) lane.waiting.set(caller, rest)
    else lane.waiting.delete(caller)
    for (const { item, charge, reject } of entries.filter(isLate)) {
      this.#forget(caller, charge, 1)
      lane.weight -= weigh(item)
      lane.messages -= count(item)
      reject(overloaded)
    }
  }

  async #flush(lane: string, entries: Entry<Item, Answer>[]): Promise<void> {
    const startedMs = performance.now()
    try {
      const answers = await this.#options.flush(
        lane,
        entries.map(entry => entry.item)
      )
      entries.forEach(({ resolve, reject }, index) => {
        const answer = answers[index]!
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      })
    } catch (error) {
      if (entries.length > 1 && this.#options.isPoison(error)) {
        const parts = split(entries, performance.now() - startedMs > lockedMs)
        await Promise.all(parts.map(part => this.#flush(lane, part)))
      } else {
        for (const { reject } of entries) reject(error)
      }
    }
  }
}

/**
 * Halves find the item at fault in few flushes. After a wait for a lock, each item goes alone,
 * because a half that holds the item at fault would wait as long again.
 */
function split<T>(entries: T[], hasWaited: boolean): T[][] {
  if (hasWaited) return entries.map(entry => [entry])
  const middle = entries.length >> 1
  return [entries.slice(0, middle), entries.slice(middle)]
}
