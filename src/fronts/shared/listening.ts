/** Where a server takes connections, and how many it holds of each caller. */
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import type http from 'node:http'
import net, { type AddressInfo, type ListenOptions, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import type { Share } from '../../core/engine/share.ts'

interface Place {
  host: string
  /** 0 takes a free one. */
  port: number
  /** Connections that may wait to be taken. On Linux, net.core.somaxconn bounds them too. */
  backlog: number
}

interface Listening {
  url: string
  /** Takes no more connections. Waits until all have ended. */
  stop: () => Promise<void>
}

/**
 * Serves until `stop` is called. The name localhost is served on each of its addresses. Fastify would
 * open a second server for the second address, without the bounds and listeners of the first one.
 * Where the port is taken, closes the server and throws the error of the system.
 */
export async function listen(app: FastifyInstance, { host, port, backlog }: Place): Promise<Listening> {
  const more: net.Server[] = []
  const stop = async () => {
    await Promise.all([app.close(), ...more.map(stopOne)])
  }
  try {
    const [first = host, ...others] = host === 'localhost' ? await ownAddressesOf(host) : []
    const url = await app.listen({ host: first, port, backlog })
    const { port: taken } = app.server.address() as AddressInfo
    for (const other of others) more.push(await takeFor(app.server, { host: other, port: taken, backlog }))
    return { url, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Those that this machine has: it may know ::1 by name, and have no IPv6. */
async function ownAddressesOf(name: string): Promise<string[]> {
  const own: string[] = []
  for (const { address } of await lookup(name, { all: true })) {
    const probe = await open(net.createServer(), { host: address, port: 0 }).catch(() => null)
    if (probe === null) continue
    own.push(address)
    await stopOne(probe)
  }
  return own
}

/** Opens a listener whose connections the server serves as its own. */
async function takeFor(server: http.Server, options: ListenOptions): Promise<net.Server> {
  // As Node opens its HTTP servers.
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true })
  listener.on('connection', socket => server.emit('connection', socket))
  return await open(listener, options)
}

async function open(listener: net.Server, options: ListenOptions): Promise<net.Server> {
  listener.listen(options)
  await once(listener, 'listening')
  return listener
}

async function stopOne(listener: net.Server): Promise<void> {
  listener.close()
  await once(listener, 'close')
}

/** Holds each connection against its address. One too many is closed without an answer. */
export function shareConnections(
  server: http.Server,
  callerOf: (socket: Socket) => Caller,
  share: Share
): void {
  server.on('connection', socket => {
    const caller = callerOf(socket)
    if (share.refusal(caller, 1) !== null) return socket.destroy()
    share.hold(caller, 1)
    socket.once('close', () => share.give(caller, 1))
  })
}
