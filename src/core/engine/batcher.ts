/**
 * Group commit: many callers, one flush, one answer each. Knows neither messages nor PostgreSQL.
 */
import { QueueError } from '../errors.ts'

export interface BatcherOptions<Item, Answer> {
  /**
   * Commits all items, and answers each with an answer or an error, in their order. What it throws
   * is the answer of every item.
   */
  flush: (lane: string, items: Item[]) => Promise<(Answer | Error)[]>
  /** What one item counts against the bounds of weight. */
  weigh: (item: Item) => number
  /** Messages in one item. */
  count: (item: Item) => number
  /** A flush takes items until their weight, or their messages, reach these. */
  flushWeightMax: number
  flushCountMax: number
  /** Callers are turned away when more than this waits, in weight or in items, over all lanes. */
  waitingWeightMax: number
  waitingItemsMax: number
  /**
   * An item that has waited longer is turned away, rather than done late. When the oldest of a lane
   * has waited half as long, the lane takes no more items.
   */
  waitingMsMax: number
  /**
   * Items that make room for others. They get a quarter more room, and may wait three times as
   * long.
   */
  isUrgent: (item: Item) => boolean
  /**
   * Flushes of one lane in flight at once. A second one starts only beside a slow one, or when half
   * a flush waits.
   */
  inFlightMax: number
  /** Whether an error is the fault of one item. The flush is then split to find that item. */
  isPoison: (error: unknown) => boolean
}

/** The bounds that several batchers share. */
export type Bounds = Pick<
  BatcherOptions<unknown, unknown>,
  'flushWeightMax' | 'flushCountMax' | 'waitingWeightMax' | 'waitingItemsMax' | 'waitingMsMax' | 'isPoison'
>

interface Entry<Item, Answer> {
  item: Item
  sinceMs: number
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}
/** `weight` and `messages` count what waits. */
interface Lane<Item, Answer> {
  waiting: Entry<Item, Answer>[]
  weight: number
  messages: number
  inFlight: number
  flushedMs: number
  scheduled: boolean
}

/** A flush that takes longer may be waiting for a lock. A second one then starts beside it. */
const slowFlushMs = 20
const urgentRoomFactor = 1.25
const urgentWaitFactor = 3

// One for all: thousands a second may be turned away, and a stack for each costs more than the
// rest.
const overloaded = new QueueError(
  'overloaded',
  'Too much is waiting for the database already; nothing was changed. Send the request again a little later.'
)

/**
 * Back-pressure sets the size of a flush, not a timer. An idle lane flushes what this turn of the
 * event loop brought. A busy lane gathers callers until its flush returns. A commit costs as much
 * as a dozen messages, so a second flush starts beside the first only when there is enough for it.
 * Lanes flush independently. Callers within a lane keep their order.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>
  readonly #lanes = new Map<string, Lane<Item, Answer>>()
  #waitingWeight = 0
  #waitingItems = 0
  #full = false
  #watch: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []

  constructor(options: BatcherOptions<Item, Answer>) {
    this.#options = options
  }

  /**
   * Whether an item was turned away because too much waited, and nothing has left since. A cheap
   * check before the next item is made.
   */
  get full(): boolean {
    return this.#full
  }

  /**
   * Resolves after the commit that held the item. Refuses with overloaded when too much waits, or
   * when the item has waited too long. Nothing was done then.
   */
  add(lane: string, item: Item): Promise<Answer> {
    const { weigh, count, isUrgent, waitingWeightMax, waitingItemsMax, waitingMsMax } = this.#options
    const weight = weigh(item)
    const sinceMs = performance.now()
    const urgent = isUrgent(item)
    const room = urgent ? urgentRoomFactor : 1
    if (
      this.#waitingItems > 0 &&
      (this.#waitingWeight + weight > waitingWeightMax * room || this.#waitingItems >= waitingItemsMax * room)
    ) {
      this.#full = true
      return Promise.reject(overloaded)
    }
    let state = this.#lanes.get(lane)
    const [oldest] = state?.waiting ?? []
    if (!urgent && oldest !== undefined && sinceMs - oldest.sinceMs > waitingMsMax / 2) {
      return Promise.reject(overloaded)
    }
    this.#waitingWeight += weight
    this.#waitingItems++
    this.#watch ??= setTimeout(() => this.#turnAwayLate(), waitingMsMax / 5).unref()
    return new Promise((resolve, reject) => {
      if (state === undefined) {
        this.#lanes.set(
          lane,
          (state = { waiting: [], weight: 0, messages: 0, inFlight: 0, flushedMs: 0, scheduled: false })
        )
      }
      state.weight += weight
      state.messages += count(item)
      state.waiting.push({ item, sinceMs, resolve, reject })
      this.#schedule(lane, state)
    })
  }

  /** Resolves once nothing waits and nothing is in flight. */
  async drained(): Promise<void> {
    if (this.#lanes.size > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  #schedule(name: string, lane: Lane<Item, Answer>): void {
    if (lane.scheduled || lane.waiting.length === 0 || lane.inFlight >= this.#inFlightMax(lane)) return
    lane.scheduled = true
    // When this turn's sockets have been read: requests that came together leave together.
    setImmediate(() => {
      lane.scheduled = false
      if (lane.waiting.length === 0) return this.#tidy(name, lane) // all turned away in between
      lane.inFlight++
      lane.flushedMs = performance.now()
      this.#flush(name, this.#take(lane)).finally(() => {
        lane.inFlight--
        this.#schedule(name, lane)
        this.#tidy(name, lane)
      })
      this.#schedule(name, lane)
    })
  }

  #tidy(name: string, lane: Lane<Item, Answer>): void {
    if (lane.waiting.length > 0 || lane.inFlight > 0) return
    this.#lanes.delete(name)
    if (this.#lanes.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #inFlightMax(lane: Lane<Item, Answer>): number {
    if (lane.inFlight === 0) return 1
    const { flushWeightMax, flushCountMax, inFlightMax } = this.#options
    const enough =
      lane.messages >= flushCountMax / 2 ||
      lane.weight >= flushWeightMax / 2 ||
      performance.now() > lane.flushedMs + slowFlushMs
    return enough ? inFlightMax : 1
  }

  #take(lane: Lane<Item, Answer>): Entry<Item, Answer>[] {
    const { weigh, count, flushWeightMax, flushCountMax } = this.#options
    let [taken, weight, messages] = [0, 0, 0]
    while (taken < lane.waiting.length && weight < flushWeightMax && messages < flushCountMax) {
      const { item } = lane.waiting[taken++]!
      weight += weigh(item)
      messages += count(item)
    }
    this.#forget(lane, weight, messages, taken)
    return lane.waiting.splice(0, taken)
  }

  #forget(lane: Lane<Item, Answer>, weight: number, messages: number, items: number): void {
    this.#waitingWeight -= weight
    this.#waitingItems -= items
    this.#full = false
    lane.weight -= weight
    lane.messages -= messages
  }

  // One timer for all who wait, five times in waitingMsMax.
  #turnAwayLate(): void {
    const { weigh, count, isUrgent, waitingMsMax } = this.#options
    const nowMs = performance.now()
    const isLate = ({ item, sinceMs }: Entry<Item, Answer>) =>
      nowMs - sinceMs > waitingMsMax * (isUrgent(item) ? urgentWaitFactor : 1)
    for (const lane of this.#lanes.values()) {
      if (lane.waiting.length === 0 || nowMs - lane.waiting[0]!.sinceMs <= waitingMsMax) continue
      const late = lane.waiting.filter(isLate)
      lane.waiting = lane.waiting.filter(entry => !isLate(entry))
      for (const { item, reject } of late) {
        this.#forget(lane, weigh(item), count(item), 1)
        reject(overloaded)
      }
    }
    this.#watch =
      this.#waitingItems > 0 ? setTimeout(() => this.#turnAwayLate(), waitingMsMax / 5).unref() : undefined
  }

  async #flush(lane: string, entries: Entry<Item, Answer>[]): Promise<void> {
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
        const middle = entries.length >> 1
        await Promise.all([
          this.#flush(lane, entries.slice(0, middle)),
          this.#flush(lane, entries.slice(middle))
        ])
      } else {
        for (const { reject } of entries) reject(error)
      }
    }
  }
}
