/**
 * Ends connections while the server closes: idle ones at once, busy ones after their answer, stalled
 * ones after five seconds.
 */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A connection, with the answer it is sending now, as Node notes it. */
export type Connection = Socket & { _httpMessage?: (ServerResponse & { _last?: boolean }) | null }

/** How long callers may take to send the rest of a request, or to read the rest of an answer. */
const patienceMs = 5000
const checkMs = 50

/** Returns what to call when closing begins. */
export function closesConnections(server: Server): () => void {
  const connections = new Set<Connection>()
  server.on('connection', socket => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  const closeIdle = server.closeIdleConnections.bind(server)
  // Node closes idle connections once, when close() is called. It would keep those that become idle
  // later, and it would cut an answer that its caller has not read to the end.
  server.closeIdleConnections = () => {}
  return () => {
    const startedMs = performance.now()
    for (const { _httpMessage: answer } of connections) {
      if (!answer) continue
      answer.shouldKeepAlive = false // tells the caller, unless the head is sent already
      answer._last = true
    }
    const check = () => {
      if (connections.size === 0 && !server.listening) clearInterval(watch)
      const late = performance.now() > startedMs + patienceMs
      const unread: Connection[] = []
      for (const socket of connections) {
        const answer = socket._httpMessage
        const stalled = !answer?.req.complete || answer.headersSent
        if (socket.bytesRead === 0 || (late && stalled)) socket.destroy()
        else if (socket.writableLength > 0) unread.push(socket)
      }
      // Node takes a connection for idle once its answer is handed over, read or not. Keep it from
      // ending connections whose answer is still unread.
      for (const socket of unread) socket.destroy = () => socket
      closeIdle()
      for (const socket of unread) Reflect.deleteProperty(socket, 'destroy')
    }
    const watch = setInterval(check, checkMs)
    check()
  }
}
