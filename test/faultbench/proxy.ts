/**
 * A TCP proxy that does what networks do: it cuts, silences and slows connections, and loses the
 * answer to a request.
 */
import { once } from 'node:events'
import {
  connect,
  createServer,
  type AddressInfo,
  type NetConnectOpts,
  type Server,
  type Socket
} from 'node:net'
import { reset } from '../support/reset.ts'

/**
 * What to lose. A request that `wants` chooses is passed on, and its connection is reset when
 * `answered` says that the answer is there. Without `answered` the request itself is lost.
 */
export interface Swallow {
  wants: (request: Buffer) => boolean
  answered?: (answer: Buffer) => boolean
}

interface Link {
  client: Socket
  server: Socket
  listens: boolean
  doomed: boolean
}

export class Proxy {
  readonly #server: Server
  readonly #links = new Set<Link>()
  /** Takes new connections on which nothing may pass yet. */
  #silenced: Link[] | null = null
  /** Where new connections lead; null refuses them. */
  target: NetConnectOpts | null = null
  /** Holds up what passes, in both directions. */
  delayMs = 0
  swallow: Swallow | null = null
  swallowed = 0

  constructor() {
    this.#server = createServer({ noDelay: true }, client => this.#open(client))
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Resets every connection. Bytes on their way are lost. */
  reset(): void {
    for (const link of this.#links) this.#cut(link)
  }

  /**
   * From now on nothing passes on the present connections, nor on new ones if they are `alsoNew`, and
   * neither end is told. Returns what lets everything pass again.
   */
  silence({ listenersOnly = false, alsoNew = false } = {}): () => void {
    const links = [...this.#links].filter(link => link.listens || !listenersOnly)
    for (const { client, server } of links) {
      client.pause()
      server.pause()
    }
    if (alsoNew) this.#silenced = links
    return () => {
      this.#silenced = null
      for (const { client, server } of links) {
        client.resume()
        server.resume()
      }
    }
  }

  async close(): Promise<void> {
    this.#server.close()
    this.reset()
    await once(this.#server, 'close')
  }

  #open(client: Socket): void {
    if (this.target === null) {
      reset(client)
      return
    }
    const server = connect(this.target)
    const link: Link = { client, server, listens: false, doomed: false }
    this.#links.add(link)
    this.#pass(client, server, chunk => {
      if (chunk.includes('listen holdfast')) link.listens = true
      if (this.swallow?.wants(chunk)) link.doomed = true
      if (link.doomed && this.swallow?.answered === undefined) this.#lose(link)
      else server.write(chunk)
    })
    this.#pass(server, client, chunk => {
      if (!link.doomed) client.write(chunk)
      else if (this.swallow?.answered?.(chunk) ?? true) this.#lose(link)
    })
    for (const socket of [client, server]) {
      socket
        .on('error', () => this.#cut(link))
        .on('close', () => {
          if (client.destroyed && server.destroyed) this.#links.delete(link)
        })
    }
    if (this.#silenced === null) return
    this.#silenced.push(link)
    client.pause()
    server.pause()
  }

  // Keeps the order, even when the delay shrinks while bytes are held.
  #pass(from: Socket, to: Socket, forward: (chunk: Buffer) => void): void {
    const held: { chunk: Buffer | null; dueMs: number }[] = []
    const release = () => {
      while (held.length > 0 && held[0]!.dueMs <= performance.now()) {
        const { chunk } = held.shift()!
        if (to.destroyed) continue
        if (chunk === null) to.end()
        else forward(chunk)
      }
      if (held.length > 0) setTimeout(release, Math.max(0, held[0]!.dueMs - performance.now()))
    }
    const hold = (chunk: Buffer | null) => {
      held.push({ chunk, dueMs: Math.max(performance.now() + this.delayMs, held.at(-1)?.dueMs ?? 0) })
      if (held.length === 1) release()
    }
    from.on('data', hold).on('end', () => hold(null))
  }

  #lose(link: Link): void {
    this.swallowed++
    this.#cut(link)
  }

  #cut(link: Link): void {
    if (!this.#links.delete(link)) return
    // Only TCP can be reset, and the connection to PostgreSQL is a Unix socket.
    reset(link.client)
    link.server.destroy()
  }
}

const mutations = [
  'enqueue',
  'enqueue_described',
  'enqueue_keyed',
  'enqueue_typed',
  'enqueue_unique',
  'lease',
  'ack_and_lease',
  'ack_and_lease_keyed',
  'ack',
  'ack_with_next',
  'fail',
  'release',
  'extend',
  'sweep_leases',
  'sweep_other_leases',
  'expose_due',
  'expose_others'
].map(name => `\0${name}\0`)

/** Loses a commit, or a statement that commits by itself, on its way to PostgreSQL. */
export function commit(isHit: () => boolean): Swallow {
  return {
    wants: request =>
      (request.includes('commit\0') || mutations.some(name => request.includes(name))) && isHit()
  }
}

/** Loses the reply to such a commit: what PostgreSQL ends with "ready, in no transaction". */
export function commitReply(isHit: () => boolean): Swallow {
  return {
    ...commit(isHit),
    answered: answer => answer.subarray(-6).toString('latin1') === 'Z\0\0\0\x05I'
  }
}

/** Loses the answer to a POST. The answer has begun, so its work is committed. */
export function httpAnswer(isHit: () => boolean): Swallow {
  return {
    wants: request => request.subarray(0, 5).toString('latin1') === 'POST ' && isHit(),
    answered: () => true
  }
}
