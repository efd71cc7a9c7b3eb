/**
 * Callers must read a large answer at a pace. A caller that stops, or reads a few bytes a second to
 * look alive, would hold the answer's memory for as long as it likes.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { readingBytesPerSecondMin } from '../../core/limits.ts'

/** A connection, with what Node has been given to send, and what the system has not taken of that. */
type Connection = Socket & { _handle?: { bytesWritten: number; writeQueueSize: number } | null }

interface Watched {
  socket: Connection
  sentBytes: number
  atMs: number
}

const stepMs = 5000

export class ReadingPace {
  readonly #watched = new Map<ServerResponse, Watched>()
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  /** From now on the caller must read the answer at the pace. Otherwise its connection is closed. */
  watch(response: ServerResponse): void {
    if (response.closed) return
    // A response behind another one has no socket of its own yet.
    const socket: Connection = response.req.socket
    this.#watched.set(response, { socket, sentBytes: sentBytesOf(socket), atMs: this.#now() })
    response.once('close', () => this.#watched.delete(response))
    this.#timer ??= setInterval(() => this.check(), stepMs).unref()
  }

  /** Closes the connections whose callers are too slow. Called every five seconds. */
  check(): void {
    const nowMs = this.#now()
    for (const watched of this.#watched.values()) {
      const { socket, sentBytes, atMs } = watched
      const bytesMin = ((nowMs - atMs) / 1000) * readingBytesPerSecondMin
      if (nowMs - atMs < stepMs) continue
      const sentNow = sentBytesOf(socket)
      if (sentNow - sentBytes < bytesMin && socket.writableLength > 0) socket.destroy()
      Object.assign(watched, { sentBytes: sentNow, atMs: nowMs })
    }
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** What the system has taken of all that was written to the connection. */
function sentBytesOf({ _handle: handle }: Connection): number {
  return handle == null ? 0 : handle.bytesWritten - handle.writeQueueSize
}
