/**
 * Group commit: many callers, one flush, one answer each. Generic and pure: it knows neither
 * messages nor PostgreSQL.
 */
import { QueueError } from '../errors.ts'

export interface BatcherOptions<Item, Answer> {
  /**
   * One commit for all items; an answer or an error for each, in their order. What it throws is
   * every item's answer.
   */
  flush: (lane: string, items: Item[]) => Promise<(Answer | Error)[]>
  /** What one item counts against the bounds of weight. */
  weigh: (item: Item) => number
  /** Messages in one item. */
  count: (item: Item) => number
  /** A flush takes items until their weight, or their messages, reach these. */
  flushWeightMax: number
  flushCountMax: number
  /** Over all lanes: the waiting weight and the waiting items beyond which callers are turned away. */
  waitingWeightMax: number
  waitingItemsMax: number
  /**
   * An item that has waited for so long is turned away, and its caller told so, rather than done
   * late; halfway there its lane takes no more.
   */
  waitingMsMax: number
  /** Items that make room for others: they have a quarter more of it, and three times as long. */
  isUrgent: (item: Item) => boolean
  /**
   * Flushes of one lane in flight at once: more than one only beside a slow one, or when half a
   * flush waits.
   */
  inFlightMax: number
  /** Whether an error is the fault of one item, so that a flush that met it is split to find the item. */
  isPoison: (error: unknown) => boolean
}

/** What all batches of a kind are kept to. */
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
/** `weight` and `messages` are of what waits. */
interface Lane<Item, Answer> {
  waiting: Entry<Item, Answer>[]
  weight: number
  messages: number
  inFlight: number
  flushedMs: number
  scheduled: boolean
}

// A flush that takes so long may be waiting for somebody's lock, which is no reason for others to wait.
const slowMs = 20
const urgentRoom = 1.25
const urgentPatience = 3

// One for all: those turned away may be thousands a second, and a stack for each is dearer than all the rest.
const overloaded = new QueueError(
  'overloaded',
  'Too much is waiting for the database already; nothing was changed. Send the request again a little later.'
)

/**
 * Back-pressure sets the size of a batch, not a timer: an idle lane flushes what this turn of the
 * event loop brought, a busy one gathers callers until the flush returns. A commit costs as much
 * as a dozen messages, so a second flush sets out beside the first only when there is enough for
 * it. Lanes flush independently, and callers within one keep their order.
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
   * Whether one was turned away for want of room, and there has been no more room since: a cheap
   * answer for the next.
   */
  get full(): boolean {
    return this.#full
  }

  /**
   * Resolves after the commit that held the item. Refuses with overloaded, having done nothing,
   * when too much waits or it has waited too long.
   */
  add(lane: string, item: Item): Promise<Answer> {
    const { weigh, count, isUrgent, waitingWeightMax, waitingItemsMax, waitingMsMax } = this.#options
    const weight = weigh(item)
    const sinceMs = performance.now()
    const urgent = isUrgent(item)
    const room = urgent ? urgentRoom : 1
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
    // After this turn's sockets have been read, so that requests that arrived together leave together.
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
      performance.now() > lane.flushedMs + slowMs
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

  // Looked for a few times in waitingMsMax, by one timer for all who wait.
  #turnAwayLate(): void {
    const { weigh, count, isUrgent, waitingMsMax } = this.#options
    const nowMs = performance.now()
    const isLate = ({ item, sinceMs }: Entry<Item, Answer>) =>
      nowMs - sinceMs > waitingMsMax * (isUrgent(item) ? urgentPatience : 1)
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
