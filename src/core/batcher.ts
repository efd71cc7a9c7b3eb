/** Group commit: many callers, one flush, one answer each. Generic and pure: it knows neither messages nor PostgreSQL. */
import { QueueError } from './errors.ts'

export interface BatcherOptions<Item, Answer> {
  /** One commit for all items; an answer or an error for each, in their order. What it throws is every item's answer. */
  flush: (lane: string, items: Item[]) => Promise<(Answer | Error)[]>
  /** What one item counts against the bounds of weight. */
  weigh: (item: Item) => number
  /** Messages in one item. */
  count: (item: Item) => number
  /** A flush takes items until their weight, or their messages, reach these. */
  flushWeightMax: number
  flushCountMax: number
  /** Waiting weight, over all lanes, beyond which callers are turned away. */
  waitingWeightMax: number
  /** Flushes of one lane in flight at once: more than one only beside a slow one, or when half a flush waits. */
  inFlightMax: number
  /** Whether an error is the fault of one item, so that a flush that met it is split to find the item. */
  isPoison: (error: unknown) => boolean
}

interface Entry<Item, Answer> { item: Item, resolve: (answer: Answer) => void, reject: (error: unknown) => void }
/** `weight` and `messages` are of what waits. */
interface Lane<Item, Answer> { waiting: Entry<Item, Answer>[], weight: number, messages: number, inFlight: number, flushedMs: number, scheduled: boolean }

// A flush that takes so long may be waiting for somebody's lock, which is no reason for others to wait.
const slowMs = 20

/**
 * Back-pressure sets the size of a batch, not a timer: an idle lane flushes what this turn of the event loop brought, a
 * busy one gathers callers until the flush returns. A commit costs as much as a dozen messages, so a second flush sets
 * out beside the first only when there is enough for it. Lanes flush independently, and callers within one keep their order.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>
  readonly #lanes = new Map<string, Lane<Item, Answer>>()
  #waitingWeight = 0
  #idle: (() => void)[] = []

  constructor (options: BatcherOptions<Item, Answer>) {
    this.#options = options
  }

  /** Resolves after the commit that held the item. Refuses with overloaded, having done nothing, when too much waits. */
  add (lane: string, item: Item): Promise<Answer> {
    const weight = this.#options.weigh(item)
    if (this.#waitingWeight > 0 && this.#waitingWeight + weight > this.#options.waitingWeightMax) {
      return Promise.reject(new QueueError('overloaded', 'Too much is waiting for the database already; nothing was changed. Send the request again a little later.'))
    }
    this.#waitingWeight += weight
    return new Promise((resolve, reject) => {
      let state = this.#lanes.get(lane)
      if (state === undefined) this.#lanes.set(lane, state = { waiting: [], weight: 0, messages: 0, inFlight: 0, flushedMs: 0, scheduled: false })
      state.weight += weight
      state.messages += this.#options.count(item)
      state.waiting.push({ item, resolve, reject })
      this.#schedule(lane, state)
    })
  }

  /** Resolves once nothing waits and nothing is in flight. */
  async drained (): Promise<void> {
    if (this.#lanes.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #schedule (name: string, lane: Lane<Item, Answer>): void {
    if (lane.scheduled || lane.waiting.length === 0 || lane.inFlight >= this.#inFlightMax(lane)) return
    lane.scheduled = true
    // After this turn's sockets have been read, so that requests that arrived together leave together.
    setImmediate(() => {
      lane.scheduled = false
      lane.inFlight++
      lane.flushedMs = performance.now()
      this.#flush(name, this.#take(lane)).finally(() => {
        lane.inFlight--
        if (lane.waiting.length === 0 && lane.inFlight === 0) {
          this.#lanes.delete(name)
          if (this.#lanes.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
        } else {
          this.#schedule(name, lane)
        }
      })
      this.#schedule(name, lane)
    })
  }

  #inFlightMax (lane: Lane<Item, Answer>): number {
    if (lane.inFlight === 0) return 1
    const { flushWeightMax, flushCountMax, inFlightMax } = this.#options
    const enough = lane.messages >= flushCountMax / 2 || lane.weight >= flushWeightMax / 2 || performance.now() > lane.flushedMs + slowMs
    return enough ? inFlightMax : 1
  }

  #take (lane: Lane<Item, Answer>): Entry<Item, Answer>[] {
    const { weigh, count, flushWeightMax, flushCountMax } = this.#options
    let [taken, weight, messages] = [0, 0, 0]
    while (taken < lane.waiting.length && weight < flushWeightMax && messages < flushCountMax) {
      const { item } = lane.waiting[taken++]!
      weight += weigh(item)
      messages += count(item)
    }
    this.#waitingWeight -= weight
    lane.weight -= weight
    lane.messages -= messages
    return lane.waiting.splice(0, taken)
  }

  async #flush (lane: string, entries: Entry<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#options.flush(lane, entries.map((entry) => entry.item))
      entries.forEach(({ resolve, reject }, index) => {
        const answer = answers[index]!
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      })
    } catch (error) {
      if (entries.length > 1 && this.#options.isPoison(error)) {
        const middle = entries.length >> 1
        await Promise.all([this.#flush(lane, entries.slice(0, middle)), this.#flush(lane, entries.slice(middle))])
      } else {
        for (const { reject } of entries) reject(error)
      }
    }
  }
}
