/**
 * Pieces of work, one or a few in each turn of the event loop. What came meanwhile is served between two
 * turns. Callers take turns, so one with a thousand pieces delays those of another by one piece.
 */
import type { Caller } from '../caller.ts'

/** null: the work is nobody's. */
type Owner = Caller | null

/** After a longer turn the line pauses for three times as long, so others have most of the time. */
const longMs = 10
const pauseFactor = 3

/**
 * Makes a line. It does each piece of work when it is its turn. What the work throws is its own affair. In
 * one turn of the event loop it begins pieces for so many milliseconds, or one by default.
 */
export function lineOfWork(turnMs = 0): (owner: Owner, work: () => void) => void {
  // The owner whose turn is next comes first.
  const waiting = new Map<Owner, (() => void)[]>()
  const doOne = () => {
    const [owner, works] = waiting.entries().next().value!
    try {
      works.shift()!()
    } finally {
      waiting.delete(owner)
      if (works.length > 0) waiting.set(owner, works)
    }
  }
  const next = () => {
    const startedMs = performance.now()
    try {
      do doOne()
      while (waiting.size > 0 && performance.now() < startedMs + turnMs)
    } finally {
      const tookMs = performance.now() - startedMs
      if (waiting.size > 0 && tookMs > longMs) setTimeout(next, pauseFactor * tookMs)
      else if (waiting.size > 0) setImmediate(next)
    }
  }
  return (owner, work) => {
    const works = waiting.get(owner)
    if (works !== undefined) {
      works.push(work)
      return
    }
    waiting.set(owner, [work])
    if (waiting.size === 1) setImmediate(next)
  }
}

/** The line of large pieces of work. */
export const oneByOne = lineOfWork()
