/**
 * How connections end while the server closes: at rest at once, busy ones with their answer,
 * stalled ones after a while.
 */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Node's own note of the answer that a connection is at. */
export type Connection = Socket & { _httpMessage?: (ServerResponse & { _last?: boolean }) | null }

/** How long callers may take to send the rest of a request, or to read the rest of an answer. */
const patienceMs = 5000
const lookMs = 50

/** Answers with what to call when closing begins. */
export function closesConnections(server: Server): () => void {
  const connections = new Set<Connection>()
  server.on('connection', socket => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  const closeIdle = server.closeIdleConnections.bind(server)
  // Node looks once, when close() is called: what comes to rest after that it keeps for as long as
  // it keeps any connection, and an answer that its caller has not read to the end it cuts.
  server.closeIdleConnections = () => {}
  return () => {
    const startedMs = performance.now()
    for (const { _httpMessage: answer } of connections) {
      if (!answer) continue
      answer.shouldKeepAlive = false // says so in its head, unless that is sent already
      answer._last = true
    }
    const look = () => {
      const late = performance.now() > startedMs + patienceMs
      const unread: Connection[] = []
      for (const socket of connections) {
        const answer = socket._httpMessage
        const stalled = !answer?.req.complete || answer.headersSent
        if (socket.bytesRead === 0 || (late && stalled)) socket.destroy()
        else if (socket.writableLength > 0) unread.push(socket)
      }
      // Node takes a connection for idle once its answer is handed over, read or not: these are
      // not its to end meanwhile.
      for (const socket of unread) socket.destroy = () => socket
      closeIdle()
      for (const socket of unread) Reflect.deleteProperty(socket, 'destroy')
    }
    const watch = setInterval(look, lookMs)
    server.once('close', () => clearInterval(watch))
    look()
  }
}
