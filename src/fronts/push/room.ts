/**
 * Room for requests to endpoints. Whoever has made pushes holds a fair share of it, and each queue a
 * fair share of that. So a slow endpoint holds its part only, and so do many of one owner.
 */
import { pushesOf, type Caller } from '../../core/caller.ts'
import type { Share } from '../../core/engine/share.ts'
import { obstacleTo, type Obstacle } from '../../core/fairShare.ts'

/** What the push of one queue holds. */
export interface Part {
  readonly owner: Caller
  requests: number
  bytes: number
}

export class Room {
  readonly #requests: Share
  readonly #bytes: Share
  readonly #owners = new Map<string, { caller: Caller; parts: number }>()
  /** Parts that wait for room, the longest waiting first. */
  readonly #waiting = new Map<Part, () => void>()

  constructor(requests: Share, bytes: Share) {
    this.#requests = requests
    this.#bytes = bytes
  }

  /** The part of one queue, whose push this caller has made, until `close`. */
  open(callerId: string): Part {
    const caller = pushesOf(callerId)
    const owner = this.#owners.get(caller.id) ?? { caller, parts: 0 }
    owner.parts++
    this.#owners.set(caller.id, owner)
    return { owner: owner.caller, requests: 0, bytes: 0 }
  }

  /** The part holds nothing, and takes nothing more. */
  close({ owner: { id } }: Part): void {
    const owner = this.#owners.get(id)!
    if (--owner.parts === 0) this.#owners.delete(id)
  }

  /** Takes room for at most `wanted` requests. Answers for how many. */
  take(part: Part, wanted: number): number {
    let taken = 0
    while (taken < wanted && this.#obstacle(part) === null) {
      this.#requests.hold(part.owner, 1)
      part.requests++
      taken++
    }
    return taken
  }

  /** Gives back room for requests. */
  give(part: Part, count: number): void {
    this.#requests.give(part.owner, count)
    part.requests -= count
    if (count > 0) this.#wakeWaiting()
  }

  /** Holds the bytes of a request under way, room or not. */
  holdBytes(part: Part, bytes: number): void {
    this.#bytes.hold(part.owner, bytes)
    part.bytes += bytes
  }

  giveBytes(part: Part, bytes: number): void {
    this.holdBytes(part, -bytes)
  }

  /** Calls `wake` once there may be room for a request of this part. */
  wait(part: Part, wake: () => void): void {
    this.#waiting.set(part, wake)
  }

  /** The part does not wait any more. */
  leave(part: Part): void {
    this.#waiting.delete(part)
  }

  #obstacle({ owner, requests, bytes }: Part): Obstacle {
    return obstacleWithin(this.#bytes, owner, bytes) ?? obstacleWithin(this.#requests, owner, requests)
  }

  #wakeWaiting(): void {
    for (const [part, wake] of this.#waiting) {
      const obstacle = this.#obstacle(part)
      if (obstacle === 'total') return
      if (obstacle === 'share') continue
      this.#waiting.delete(part)
      return wake()
    }
  }
}

/** The rule of fair shares twice: among owners, and within what the owner may hold. */
function obstacleWithin({ bound: { total }, holdings }: Share, owner: Caller, held: number): Obstacle {
  const { all, mine } = holdings.of(owner)
  if (all > 0 && all + 1 > total) return 'total'
  const ownersTotal = (total - (all - mine)) / 2
  return obstacleTo(1, ownersTotal, { all: mine, mine: held }, false) === null ? null : 'share'
}
