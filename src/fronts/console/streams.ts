/**
 * Event streams to open pages: each tells its page what has changed since the last time, one event
 * at most per read of the overview.
 */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { ApiKey } from '../../core/apiKey.ts'
import type { OverviewCache } from './overviewCache.ts'

const streamsMax = 100
// So that no key, lost or careless, keeps everybody else's pages out.
const streamsPerKeyMax = 50
const heartbeatMs = 10_000

export class Streams {
  readonly overviewCache: OverviewCache
  readonly #open = new Map<Readable, ApiKey | null>()
  #closed = false

  constructor(overviewCache: OverviewCache) {
    this.overviewCache = overviewCache
  }

  /**
   * Sends each part of what `look` finds, now and whenever it has changed, until the page goes,
   * its key is revoked or the service closes. Refuses with tooManyWaiting.
   */
  send({ key }: FastifyRequest, reply: FastifyReply, look: () => object[]): FastifyReply {
    if (this.#open.size >= streamsMax) {
      throw new QueueError(
        'tooManyWaiting',
        `${streamsMax} pages of the console are open on this replica already. Close one, or try again later.`
      )
    }
    if (key !== null && [...this.#open.values()].filter(one => one === key).length >= streamsPerKeyMax) {
      throw new QueueError(
        'tooManyWaiting',
        `${streamsPerKeyMax} pages of the console are open with this key on this replica already. ` +
          'Close one, or try again later.'
      )
    }
    const stream = new Readable({ read() {} })
    let last: string[] = []
    // A page that does not read gets no more until it does, and then what holds by then.
    const push = (text: string) => {
      if (text !== '' && stream.readableLength === 0) stream.push(text)
    }
    const tell = () => {
      if (stream.readableLength > 0) return
      const parts = (this.overviewCache.trouble ? [{ trouble: true }] : look()).map(part =>
        JSON.stringify(part)
      )
      push(
        parts
          .filter((part, index) => part !== last[index])
          .map(part => `data: ${part}\n\n`)
          .join('')
      )
      last = parts
    }
    const unwatch = this.overviewCache.watch(tell)
    const heartbeat = setInterval(push, heartbeatMs, ': still here\n\n')
    const leave = key?.onEnd(() => stream.push(null))
    stream.once('close', () => {
      this.#open.delete(stream)
      clearInterval(heartbeat)
      unwatch()
      leave?.()
    })
    this.#open.set(stream, key)
    push(': open\n\n')
    if (this.#closed) stream.push(null)
    // The connection ends with its stream, or the service would wait for it at its own end.
    return reply
      .headers({ 'cache-control': 'no-store', connection: 'close', 'x-accel-buffering': 'no' })
      .type('text/event-stream')
      .send(stream)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const stream of this.#open.keys()) stream.push(null)
    await this.overviewCache.close()
  }
}
