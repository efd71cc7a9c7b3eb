/**
 * A bound on the bytes that callers make this process hold: requests on their way in, and answers
 * that callers have not read yet.
 */
import type { ServerResponse } from 'node:http'

// Smaller requests and answers are bounded by the number of connections. A listener for each would
// cost more than they do.
const countedBytesMin = 16_384

export class ByteBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get full(): boolean {
    return this.#bytes >= this.#bytesMax
  }

  /**
   * Whether this many more bytes fit. Requests that make room themselves, such as acks, get a
   * quarter more. An empty budget takes a request of any size.
   */
  hasRoom(bytes: number, makesRoom: boolean): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#bytesMax * (makesRoom ? 1.25 : 1)
  }

  /**
   * Counts bytes until the response is closed: read by its caller, or its connection is gone. It
   * may be closed already. Returns a function that counts more bytes.
   */
  hold(bytes: number, response: ServerResponse): (more: number) => void {
    let held = 0
    const more = (bytes: number) => {
      if (response.closed) return // no event would come to give the bytes back
      held += bytes
      this.#bytes += bytes
    }
    more(bytes)
    response.once('close', () => {
      this.#bytes -= held
    })
    return more
  }

  static counts(bytes: number): boolean {
    return bytes >= countedBytesMin
  }
}
