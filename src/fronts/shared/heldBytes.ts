/**
 * The bytes that callers make this process hold: requests on their way in, and answers that callers
 * have not read yet.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import type { QueueError } from '../../core/errors.ts'
import type { Share } from '../../core/engine/share.ts'
import type { ReadingPace } from './readingPace.ts'

// Smaller requests and answers are bounded by the number of connections. A listener for each would
// cost more than they do.
const countedBytesMin = 16_384

/** Whether a request or an answer of this size is counted. */
export function isCounted(bytes: number): boolean {
  return bytes >= countedBytesMin
}

/** Counts bytes until the response is closed: read by its caller, or its connection is gone. */
export class HeldBytes {
  readonly #share: Share

  constructor(share: Share) {
    this.#share = share
  }

  /** The refusal of this many more bytes; null where there is room. */
  refusal(caller: Caller, bytes: number, makesRoom: boolean): QueueError | null {
    return this.#share.refusal(caller, bytes, makesRoom)
  }

  /** Answers a function that counts bytes. The response may be closed already. */
  until(response: ServerResponse, caller: Caller): (bytes: number) => void {
    let held = 0
    response.once('close', () => {
      this.#share.give(caller, held)
    })
    return bytes => {
      if (response.closed) return // no event would come to give the bytes back
      held += bytes
      this.#share.hold(caller, bytes)
    }
  }
}

/** Answers that callers have not read yet. Their callers must read them at a pace. */
export class Answers {
  readonly #bytes: HeldBytes
  readonly #pace: ReadingPace
  readonly #sent = new WeakSet<ServerResponse>()

  constructor(share: Share, pace: ReadingPace) {
    this.#bytes = new HeldBytes(share)
    this.#pace = pace
  }

  /** The refusal where the caller has too many unread answers; null where it may have one more. */
  refusal(caller: Caller): QueueError | null {
    return this.#bytes.refusal(caller, 1, false)
  }

  /** Counts an answer of this many bytes that is sent now. Answers a function that counts more of it. */
  send(response: ServerResponse, caller: Caller, bytes: number): (bytes: number) => void {
    if (!isCounted(bytes) || this.#sent.has(response)) return () => {}
    this.#sent.add(response)
    const count = this.#bytes.until(response, caller)
    count(bytes)
    this.#pace.watch(response)
    return count
  }

  /**
   * Counts an answer that no handler has counted. The refusal instead, where the caller has too many
   * unread ones and nothing was done for this one. Admins always get the metrics.
   */
  sendOrRefuse(
    { method, caller, routeOptions: { config } }: FastifyRequest,
    { raw: response }: FastifyReply,
    bytes: number
  ): QueueError | null {
    if (!isCounted(bytes) || this.#sent.has(response)) return null
    const isFree = method !== 'GET' || (config.access === 'metrics' && caller.isAdmin)
    const refusal = isFree ? null : this.#bytes.refusal(caller, bytes, false)
    if (refusal === null) this.send(response, caller, bytes)
    return refusal
  }
}
