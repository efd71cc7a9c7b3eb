/** Room for requests to endpoints. All queues share it, so a slow endpoint holds its part only. */
import type { Caller } from '../../core/caller.ts'
import type { Share } from '../../core/engine/share.ts'
import { obstacleTo } from '../../core/fairShare.ts'

export class Room {
  readonly #requests: Share
  readonly #bytes: Share
  /** Queues that wait for room, the longest waiting first. */
  readonly #waiting = new Map<Caller, () => void>()

  constructor(requests: Share, bytes: Share) {
    this.#requests = requests
    this.#bytes = bytes
  }

  /** Takes room for at most `wanted` requests. Answers for how many. */
  take(queue: Caller, wanted: number): number {
    let taken = 0
    while (taken < wanted && this.#obstacle(queue) === null) {
      this.#requests.hold(queue, 1)
      taken++
    }
    return taken
  }

  /** Gives back room for requests. */
  give(queue: Caller, count: number): void {
    this.#requests.give(queue, count)
    if (count > 0) this.#wakeWaiting()
  }

  /** Holds the bytes of a request under way, room or not. */
  holdBytes(queue: Caller, bytes: number): void {
    this.#bytes.hold(queue, bytes)
  }

  giveBytes(queue: Caller, bytes: number): void {
    this.#bytes.give(queue, bytes)
  }

  /** Calls `wake` once there may be room for a request of this queue. */
  wait(queue: Caller, wake: () => void): void {
    this.#waiting.set(queue, wake)
  }

  /** The queue does not wait any more. */
  leave(queue: Caller): void {
    this.#waiting.delete(queue)
  }

  #obstacle(queue: Caller) {
    return (
      obstacleTo(1, this.#bytes.bound.total, this.#bytes.holdings.of(queue), queue.isAdmin) ??
      obstacleTo(1, this.#requests.bound.total, this.#requests.holdings.of(queue), queue.isAdmin)
    )
  }

  #wakeWaiting(): void {
    for (const [queue, wake] of this.#waiting) {
      const obstacle = this.#obstacle(queue)
      if (obstacle === 'total') return
      if (obstacle === 'share') continue
      this.#waiting.delete(queue)
      return wake()
    }
  }
}
