/**
 * Bytes that callers make this process hold: of requests on their way in, of answers they have not
 * taken yet.
 */
import type { ServerResponse } from 'node:http'

// What is smaller is bounded well enough by the number of connections, and not worth a listener for each.
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
   * Whether there is room for so many bytes more; for what makes room itself there is a quarter
   * more of it.
   */
  hasRoom(bytes: number, makesRoom: boolean): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#bytesMax * (makesRoom ? 1.25 : 1)
  }

  /**
   * Counts bytes until the response has been taken or its connection is gone, which it may be
   * already. Answers with a function that counts more.
   */
  hold(bytes: number, response: ServerResponse): (more: number) => void {
    let held = 0
    const more = (bytes: number) => {
      if (response.closed) return // there will be no other event to give them back at
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
