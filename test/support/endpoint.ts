/** An HTTP endpoint for tests: keeps what it gets, and answers as it is told. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Reply {
  status: number
  headers?: Record<string, string>
  body?: string | Buffer
}

/** How a request is answered. null: never. */
type Behaviour = (request: Received) => Reply | null | Promise<Reply | null>

interface Endpoint {
  url: string
  port: number
  received: Received[]
  behave(behaviour: Behaviour): void
  /** Resolves when so many requests have come. */
  got(count: number): Promise<Received[]>
  /** The most requests that were open at one time. */
  readonly peak: number
  close(): Promise<void>
}

export async function endpoint(
  t: { teardown(work: () => Promise<unknown>): void },
  behaviour: Behaviour = () => ({ status: 200 }),
  port = 0
): Promise<Endpoint> {
  const received: Received[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  let [open, peak, answer] = [0, 0, behaviour]
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    peak = Math.max(peak, ++open)
    response.once('close', () => open--)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url: path = '', headers } = request
    const one = { method, path, headers, body: Buffer.concat(chunks).toString() }
    received.push(one)
    for (const { count, resolve } of waiting) if (received.length >= count) resolve()
    const reply = await answer(one)
    if (reply !== null) response.writeHead(reply.status, reply.headers).end(reply.body)
  }
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise(resolve => server.close(resolve))
  }
  t.teardown(close)
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${taken}/hook`,
    port: taken,
    received,
    behave(behaviour) {
      answer = behaviour
    },
    async got(count) {
      if (received.length < count) {
        await new Promise<void>(resolve => {
          waiting.push({ count, resolve })
        })
      }
      return received
    },
    get peak() {
      return peak
    },
    close
  }
}
