/**
 * Large pieces of work, one in each turn of the event loop. What came meanwhile is served between
 * two of them.
 */
const waiting: (() => void)[] = []

/** Does the work when it is its turn. What it throws is the work's own affair. */
export function oneByOne(work: () => void): void {
  waiting.push(work)
  if (waiting.length === 1) setImmediate(next)
}

function next(): void {
  const work = waiting[0]!
  try {
    work()
  } finally {
    waiting.shift()
    if (waiting.length > 0) setImmediate(next)
  }
}
