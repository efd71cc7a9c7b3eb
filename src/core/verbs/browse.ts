/** Browsing: pages of messages, and one message with its history. */
import { answerBytesMax } from '../limits.ts'
import type { State } from '../counters.ts'
import type { Parts } from '../engine/parts.ts'
import {
  messageNotFound,
  type Digits,
  type Filter,
  type MessageDetail,
  type MessagePage
} from '../message.ts'
import { answersBacklogged } from './leaseFlush.ts'
import type { Watching } from './watch.ts'

type Needs = Pick<Parts, 'store' | 'queueCache' | 'answersFull'>

/** The broker says what each method does, and how it refuses. */
export class Browsing {
  readonly #parts: Needs
  readonly #watching: Watching

  constructor(parts: Needs, watching: Watching) {
    this.#parts = parts
    this.#watching = watching
  }

  async browse(
    name: string,
    state: State | null,
    where: Filter | null,
    after: Digits,
    limit: number
  ): Promise<MessagePage> {
    const { store, queueCache, answersFull } = this.#parts
    const { id } = await queueCache.find(name)
    const page = await store.last.browse(id, state, where, after, limit, answerBytesMax)
    if (answersFull()) throw answersBacklogged
    return page
  }

  async message(name: string, id: Digits, waitSeconds: number, signal: AbortSignal): Promise<MessageDetail> {
    const { store, queueCache } = this.#parts
    const queue = await queueCache.find(name)
    if (waitSeconds > 0) await this.#watching.end(queue, id, waitSeconds, signal)
    const message = await store.last.findMessage(queue.id, id)
    if (message === null) throw messageNotFound(name, id)
    return message
  }
}
