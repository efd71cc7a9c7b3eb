import type { Socket } from 'node:net'

/**
 * Ends a TCP connection by a reset, as a crashed peer does. A connection that has been ended is
 * closed instead. While its end is on the way to the kernel, libuv refuses the reset, but Node takes
 * the socket for closed. The process would then never end, and spin in
 * node::Environment::CleanupHandles (Node 20 and 24).
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
