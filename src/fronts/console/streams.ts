/**
 * Event streams to open pages. Each tells its page what has changed since its last event, at most
 * once for each read of the overview.
 */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Share } from '../../core/engine/share.ts'
import type { OverviewCache } from './overviewCache.ts'

const heartbeatMs = 10_000

export class Streams {
  readonly #overviewCache: OverviewCache
  readonly #share: Share
  readonly #open = new Set<Readable>()
  #closed = false

  /** `share` bounds the open streams. */
  constructor(overviewCache: OverviewCache, share: Share) {
    this.#overviewCache = overviewCache
    this.#share = share
  }

  /**
   * Answers with a stream of events. `read` gives what the page shows, in parts. Each part is sent
   * now and whenever it has changed, until the page goes, its key is revoked or the service closes.
   * Refuses with shareUsedUp, tooManyWaiting when too many streams are open.
   */
  send({ key, caller }: FastifyRequest, reply: FastifyReply, read: () => object[]): FastifyReply {
    this.#share.take(caller, 1)
    const stream = new Readable({ read() {} })
    this.#open.add(stream)
    stream.push(': open\n\n')
    const heartbeat = setInterval(() => push(stream, ': still here\n\n'), heartbeatMs)
    const unwatch = this.#overviewCache.watch(this.#teller(stream, read))
    const forgetKey = key?.onEnd(() => stream.push(null))
    stream.once('close', () => {
      this.#open.delete(stream)
      this.#share.give(caller, 1)
      clearInterval(heartbeat)
      unwatch()
      forgetKey?.()
    })
    if (this.#closed) stream.push(null)
    // The connection ends with its stream. Kept alive, it would hold up the end of the service.
    return reply
      .headers({ 'cache-control': 'no-store', connection: 'close', 'x-accel-buffering': 'no' })
      .type('text/event-stream')
      .send(stream)
  }

  /** Ends every stream, and reading. */
  async close(): Promise<void> {
    this.#closed = true
    for (const stream of this.#open) stream.push(null)
    await this.#overviewCache.close()
  }

  /** A function that sends the parts that have changed since its last call. */
  #teller(stream: Readable, read: () => object[]): () => void {
    let sent: string[] = []
    return () => {
      if (!hasRoom(stream)) return
      const parts = this.#overviewCache.trouble ? [{ trouble: true }] : read()
      const texts = parts.map(part => JSON.stringify(part))
      const changed = texts.filter((text, index) => text !== sent[index])
      if (changed.length > 0) push(stream, changed.map(text => `data: ${text}\n\n`).join(''))
      sent = texts
    }
  }
}

/** A page that does not read gets no more. When it reads again, it gets what holds by then. */
const hasRoom = (stream: Readable) => stream.readableLength === 0

function push(stream: Readable, text: string): void {
  if (hasRoom(stream)) stream.push(text)
}
