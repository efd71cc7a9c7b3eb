/** Reads bodies in turns of their callers. */
import type { Caller } from '../../core/caller.ts'
import { lineOfWork } from '../../core/engine/oneByOne.ts'

/** A smaller body takes less time to read than all the rest of its request. */
const slowBytes = 4096
/** For so long, bodies are read in one turn of the event loop. The last one may take longer. */
const turnMs = 1

const line = lineOfWork(turnMs)

/** Reads a body of this size: at once where it is small, and else when it is the caller's turn. */
export function readInTurn(caller: Caller, bytes: number, read: () => void): void {
  if (bytes < slowBytes) read()
  else line(caller, read)
}
