/** Callers, and bounds for them. */
import type { Caller } from '../../src/core/caller.ts'
import { Share } from '../../src/core/engine/share.ts'

/** Holds what it likes, up to the total. */
export const tester: Caller = { id: 'tester', isAdmin: true }

/** A caller of its own, which gets a share. */
export const callerNamed = (id: string): Caller => ({ id, isAdmin: false })

export const shareOf = (total: number): Share =>
  new Share({ name: 'things', what: 'things', total, code: 'overloaded' })
