/**
 * Sends items in lists, one call at a time. Items that come meanwhile go with the next call. Knows
 * no HTTP.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { listMax } from './limits.ts'

export interface Entry<Item, Answer> {
  item: Item
  resolve: (answer: Answer) => void
}

export class Outbox<Item, Answer> {
  readonly #send: (items: Item[]) => Promise<Answer[]>
  readonly #delayMs: number
  #waiting: Entry<Item, Answer>[] = []
  #sending = false

  /**
   * `send` answers for each item, in order, and never throws. An item waits `delayMs` before it is
   * sent, so that another call can take it along.
   */
  constructor(send: (items: Item[]) => Promise<Answer[]>, delayMs: number) {
    this.#send = send
    this.#delayMs = delayMs
  }

  add(item: Item): Promise<Answer> {
    return new Promise(resolve => {
      this.#waiting.push({ item, resolve })
      this.#run()
    })
  }

  /** Takes entries for another call, which resolves each of them or puts them back. */
  take(): Entry<Item, Answer>[] {
    return this.#waiting.splice(0, listMax)
  }

  putBack(entries: Entry<Item, Answer>[]): void {
    this.#waiting.unshift(...entries)
    this.#run()
  }

  /** Sends what waits, together with what is added in the same turn. */
  async flush(): Promise<void> {
    await turn()
    const entries = this.take()
    if (entries.length > 0) await this.sendNow(entries)
  }

  /** Sends entries in a call of their own, which no other call can take along. */
  async sendNow(entries: Entry<Item, Answer>[]): Promise<void> {
    const answers = await this.#send(entries.map(({ item }) => item))
    entries.forEach(({ resolve }, index) => resolve(answers[index]!))
  }

  async #run(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    while (this.#waiting.length > 0) {
      await sleep(this.#delayMs)
      const entries = this.take()
      if (entries.length > 0) await this.sendNow(entries)
    }
    this.#sending = false
  }
}
