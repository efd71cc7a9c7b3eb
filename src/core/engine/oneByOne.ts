/**
 * Pieces of work, one in each turn of the event loop. What came meanwhile is served between two of
 * them.
 */

/** A line. Each piece of work in it is done when it is its turn. What the work throws is its own affair. */
export function lineOfWork(): (work: () => void) => void {
  const waiting: (() => void)[] = []
  const next = () => {
    const work = waiting[0]!
    try {
      work()
    } finally {
      waiting.shift()
      if (waiting.length > 0) setImmediate(next)
    }
  }
  return work => {
    waiting.push(work)
    if (waiting.length === 1) setImmediate(next)
  }
}

/** The line of large pieces of work. */
export const oneByOne = lineOfWork()
