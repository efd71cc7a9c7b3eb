/** Browsing: pages of messages, and one message with its history. */
import type { Caller } from '../caller.ts'
import { largeBytes, largeCount, largeExamined } from '../large.ts'
import { answerBytesMax } from '../limits.ts'
import type { Parts } from '../engine/parts.ts'
import { messageNotFound, type Digits, type MessageDetail, type MessagePage } from '../message.ts'
import type { PageAsked } from '../ports.ts'
import type { Wait, Watching } from './watch.ts'

type Needs = Pick<Parts, 'store' | 'queueCache' | 'shares' | 'turns' | 'searchTurns'>

/** core/broker.ts says what the methods do, and how they refuse. */
export class Browsing {
  readonly #parts: Needs
  readonly #watching: Watching

  constructor(parts: Needs, watching: Watching) {
    this.#parts = parts
    this.#watching = watching
  }

  async browse(caller: Caller, name: string, asked: PageAsked): Promise<MessagePage> {
    const { store, queueCache, shares, searchTurns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    const page = async () => {
      const backlogged = shares.answerBytes.refusal(caller, 1)
      if (backlogged !== null) throw backlogged
      return await store.last.browse(id, asked, answerBytesMax)
    }
    return await searchTurns.run(caller, page, mayBeLarge(asked) && isLarge)
  }

  async message(caller: Caller, name: string, id: Digits, wait: Wait | null): Promise<MessageDetail> {
    const { store, queueCache, turns } = this.#parts
    const queue = await queueCache.find(caller, name)
    if (wait !== null) await this.#watching.end(caller, queue, id, wait)
    const message = await turns.run(caller, () => store.last.findMessage(queue.id, id))
    if (message === null) throw messageNotFound(name, id)
    return message
  }
}

/** Whether a page may be large. Without a filter, it examines one message more than it holds. */
const mayBeLarge = ({ state, where, limit }: PageAsked) =>
  limit >= largeCount || where !== null || !(state === null || state === 'dead' || state === 'acked')

/** Whether it was. */
const isLarge = ({ messages, examined }: MessagePage) =>
  messages.length >= largeCount || examined.messages >= largeExamined || examined.bytes >= largeBytes
