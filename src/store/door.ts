/** Who gets a connection when all of them are busy. */
import { QueueError } from '../core/errors.ts'

/** In the order in which work is let in. */
const ranks = ['first', 'usual', 'last'] as const
export type Rank = (typeof ranks)[number]

// There are a few flushes for each queue in use; but each browse has a caller of its own.
const waitingMax: Record<Rank, number> = { first: 20_000, usual: 20_000, last: 200 }
const waitMsMax = 3000

/**
 * How many of the connections work below the first rank may have. Two at least: work done
 * `exclusively` holds one and asks for another.
 */
export const usualConnectionsOf = (connections: number) => Math.max(2, connections - 1)

/** How many of the connections work of the last rank may have: half of them. */
export const lastConnectionsOf = (connections: number) => Math.max(1, connections >> 1)

/**
 * Lets work to the connections by its rank, since the pool itself knows only who came first. One
 * connection is kept for the first rank. The last rank has at most half of them, so that browsing
 * does not hold up the messages of all.
 */
export class Door {
  readonly #limits: Record<Rank, number>
  readonly #inside: Record<Rank, number> = { first: 0, usual: 0, last: 0 }
  readonly #waiting: Record<Rank, Set<() => void>> = { first: new Set(), usual: new Set(), last: new Set() }

  constructor(connections: number) {
    this.#limits = {
      first: connections,
      usual: usualConnectionsOf(connections),
      last: lastConnectionsOf(connections)
    }
  }

  get waiting(): number {
    return ranks.reduce((sum, rank) => sum + this.#waiting[rank].size, 0)
  }

  /**
   * Undefined when the way is free; else wait for it. Refuses with overloaded when too many wait,
   * or when it is not free within three seconds.
   */
  enter(rank: Rank): Promise<void> | undefined {
    if (this.#isFree(rank)) {
      this.#inside[rank]++
      return
    }
    const waiting = this.#waiting[rank]
    if (waiting.size >= waitingMax[rank]) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(admit)
        reject(busy())
      }, waitMsMax)
      const admit = () => {
        clearTimeout(timer)
        resolve()
      }
      waiting.add(admit)
    })
  }

  leave(rank: Rank): void {
    this.#inside[rank]--
    for (const next of ranks) {
      for (const admit of this.#waiting[next]) {
        if (!this.#isFree(next)) break
        this.#waiting[next].delete(admit)
        this.#inside[next]++
        admit()
      }
    }
  }

  #isFree(rank: Rank): boolean {
    const { first, usual, last } = this.#inside
    return (
      first + usual + last < this.#limits[rank === 'last' ? 'usual' : rank] &&
      (rank !== 'last' || last < this.#limits.last)
    )
  }
}

function busy(): QueueError {
  return new QueueError(
    'overloaded',
    'Every connection to the database is busy; nothing was changed. Send the request again a little later.'
  )
}
