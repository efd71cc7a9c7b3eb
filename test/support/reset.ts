/** Breaks connections as a crashed peer does. */
import type { Socket } from 'node:net'

/**
 * Ends a TCP connection by a reset; one that has said its last word, by closing it. While the end
 * is on its way to the kernel libuv refuses the reset, Node takes the socket for closed all the
 * same, and the process never ends: it spins in node::Environment::CleanupHandles (Node 20 and 24).
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
