/** Settles deliveries, those of one moment and queue in one call, and again while their leases last. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Broker } from '../../core/broker.ts'
import type { Caller } from '../../core/caller.ts'
import { QueueError } from '../../core/errors.ts'
import type { Settlement } from '../../core/verbs/settle.ts'

type Verb = 'ack' | 'fail' | 'release'

interface Batch {
  verb: Verb
  queue: string
  settlements: Settlement[]
  untilMs: number
}

const retryMs = 500

export class Settler {
  readonly #broker: Pick<Broker, 'settle'>
  readonly #caller: Caller
  readonly #batches = new Map<string, Batch>()
  readonly #underway = new Set<Promise<void>>()
  #scheduled = false

  constructor(broker: Pick<Broker, 'settle'>, caller: Caller) {
    this.#broker = broker
    this.#caller = caller
  }

  /** Settles soon, and tries for so many seconds. After that the lease ends, and the message comes back. */
  settle(verb: Verb, queue: string, settlement: Settlement, seconds: number): void {
    const key = `${verb} ${queue}`
    const batch = this.#batches.get(key)
    if (batch !== undefined) batch.settlements.push(settlement)
    else {
      const untilMs = performance.now() + seconds * 1000
      this.#batches.set(key, { verb, queue, settlements: [settlement], untilMs })
    }
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#flush())
  }

  /** Resolves when nothing is left to settle. */
  async drained(): Promise<void> {
    while (this.#batches.size + this.#underway.size > 0) {
      if (this.#underway.size > 0) await Promise.all(this.#underway)
      else await new Promise(setImmediate)
    }
  }

  #flush(): void {
    this.#scheduled = false
    const batches = [...this.#batches.values()]
    this.#batches.clear()
    for (const batch of batches) {
      const settling = this.#commit(batch)
      this.#underway.add(settling)
      settling.finally(() => this.#underway.delete(settling))
    }
  }

  // A repeat is safe: who has settled before gets the same outcome. Where the queue is gone, its
  // messages are too.
  async #commit({ verb, queue, settlements, untilMs }: Batch): Promise<void> {
    while (true) {
      try {
        await this.#broker.settle(this.#caller, queue, verb, settlements, index => `/${index}`)
        return
      } catch (error) {
        const isGone = error instanceof QueueError && error.code === 'queueNotFound'
        if (isGone || performance.now() > untilMs) return
        await pause(retryMs)
      }
    }
  }
}
