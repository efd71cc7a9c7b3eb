/**
 * Where else callers let everybody wait, by standstills and by heavy work. Each process bounds that for
 * itself, so a caller at several processes or replicas would get a multiple of its share. All tell one
 * another of it, and each gives such a caller as much less.
 */

/** What is told within this time goes together. */
const tellMs = 250
/** A caller counts at a place for so long after it last let everybody wait there. It rests in between. */
const recentMs = 3000
/** Callers told at one time. The others come next. */
const toldMax = 100
/** Of more callers, those that come last are not remembered. */
const callersMax = 1000

export class Elsewhere {
  readonly #tell: (callerIds: string[]) => void
  /** Of each caller, when it last let everybody wait at which other place. */
  readonly #seen = new Map<string, Map<string, number>>()
  readonly #untold = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /** `tell` tells the other processes and replicas of these callers. */
  constructor(tell: (callerIds: string[]) => void = () => {}) {
    this.#tell = tell
  }

  /** A caller has let everybody wait here. */
  note(callerId: string): void {
    this.#untold.add(callerId)
    this.#timer ??= setTimeout(() => this.#tellNow(), tellMs).unref()
  }

  /** Callers have let everybody wait at another place. */
  hear(place: string, callerIds: string[], nowMs = performance.now()): void {
    for (const id of callerIds) {
      const places = this.#seen.get(id)
      if (places !== undefined) places.set(place, nowMs)
      else if (this.#seen.size < callersMax) this.#seen.set(id, new Map([[place, nowMs]]))
    }
    for (const [id, places] of this.#seen) {
      for (const [other, atMs] of places) if (atMs + recentMs < nowMs) places.delete(other)
      if (places.size === 0) this.#seen.delete(id)
    }
  }

  /** At how many places the caller has let everybody wait lately, with this one. */
  places(callerId: string, nowMs = performance.now()): number {
    let count = 1
    for (const atMs of this.#seen.get(callerId)?.values() ?? []) if (atMs + recentMs >= nowMs) count++
    return count
  }

  #tellNow(): void {
    const ids = [...this.#untold].slice(0, toldMax)
    for (const id of ids) this.#untold.delete(id)
    this.#timer = this.#untold.size > 0 ? setTimeout(() => this.#tellNow(), tellMs).unref() : undefined
    this.#tell(ids)
  }
}
