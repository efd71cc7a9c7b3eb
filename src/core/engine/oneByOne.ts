/**
 * Pieces of work at the event loop, one or a few in each turn of it. What came meanwhile is served between
 * two turns. Callers take turns, so one with a thousand pieces delays those of another by one piece.
 *
 * While others send requests, a caller rests after a millisecond of its pieces for three times as long. So
 * its pieces take a quarter of the event loop's time at most. It always rests after a long piece, since
 * somebody may send a request soon.
 */
import type { Caller } from '../caller.ts'
import { LastCallers } from './lastCallers.ts'

/** null: the work is nobody's. */
type Owner = Caller | null

interface Line {
  works: (() => void)[]
  /** How long its pieces have taken since the last rest. */
  usedMs: number
}

const restAfterMs = 1
const longMs = 10
const restFactor = 3

/** Who sends requests to this process. */
export const requesters = new LastCallers()

/**
 * Makes a line. It does each piece of work when it is its turn. What the work throws is its own affair. In
 * one turn of the event loop it begins pieces for so many milliseconds, or one by default.
 */
export function lineOfWork(turnMs = 0): (owner: Owner, work: () => void) => void {
  // The owner whose turn is next comes first.
  const waiting = new Map<Owner, Line>()
  const resting = new Map<Owner, Line>()
  const begin = (owner: Owner, line: Line) => {
    waiting.set(owner, line)
    if (waiting.size === 1) setImmediate(next)
  }
  const rest = (owner: Owner, line: Line, ms: number) => {
    resting.set(owner, line)
    setTimeout(() => {
      resting.delete(owner)
      if (line.works.length > 0) begin(owner, line)
    }, ms)
  }
  const doOne = () => {
    const [owner, line] = waiting.entries().next().value!
    const startedMs = performance.now()
    try {
      line.works.shift()!()
    } finally {
      const restMs = restAfter(performance.now() - startedMs, owner, line)
      waiting.delete(owner)
      if (restMs > 0) rest(owner, line, restMs)
      else if (line.works.length > 0) waiting.set(owner, line)
    }
  }
  const next = () => {
    const startedMs = performance.now()
    try {
      do doOne()
      while (waiting.size > 0 && performance.now() < startedMs + turnMs)
    } finally {
      if (waiting.size > 0) setImmediate(next)
    }
  }
  return (owner, work) => {
    const line = waiting.get(owner) ?? resting.get(owner)
    if (line === undefined) begin(owner, { works: [work], usedMs: 0 })
    else line.works.push(work)
  }
}

/** How long the owner rests after a piece that took so long. */
function restAfter(tookMs: number, owner: Owner, line: Line): number {
  line.usedMs += tookMs
  const { usedMs } = line
  if (usedMs < restAfterMs) return 0
  line.usedMs = 0
  return owner !== null && (tookMs > longMs || requesters.hasOther(owner.id)) ? restFactor * usedMs : 0
}

/** The line of large pieces of work. */
export const oneByOne = lineOfWork()

/** Does a large piece of work when it is its turn. Answers and throws what the work does. */
export function inTurn<T>(owner: Owner, work: () => T): Promise<T> {
  return new Promise((resolve, reject) =>
    oneByOne(owner, () => {
      try {
        resolve(work())
      } catch (error) {
        reject(error)
      }
    })
  )
}
