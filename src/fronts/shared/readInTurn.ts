/** Reads bodies in turns of their callers. */
import type { Caller } from '../../core/caller.ts'
import { oneByOne } from '../../core/engine/oneByOne.ts'

/** A smaller body takes less time to read than all the rest of its request. */
const slowBytes = 4096

/** Reads a body of this size: at once where it is small, and else when it is the caller's turn. */
export function readInTurn(caller: Caller, bytes: number, read: () => void): void {
  if (bytes < slowBytes) read()
  else oneByOne(caller, read)
}
