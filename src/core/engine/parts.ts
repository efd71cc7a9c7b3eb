/** What the verbs share. Each verb takes from it the parts that it needs. */
import type { Store } from '../ports.ts'
import type { Bounds } from './batcherOptions.ts'
import type { PushStates } from './pushStates.ts'
import type { QueueCache } from './queueCache.ts'
import type { ReplicaStats } from './replicaStats.ts'
import type { Shares } from './shares.ts'
import type { Siblings } from './siblings.ts'
import type { Signals } from './signals.ts'
import type { Turns } from './turns.ts'
import type { Wakeups } from './wakeups.ts'

/** The bounds of every batcher. */
export const batchBounds: Omit<Bounds, 'flights' | 'activity' | 'rests' | 'isPoison'> = {
  // A larger flush is hardly cheaper for each message, and leaves less to do side by side. Of 1600
  // messages at hand, the next share is parsed here while the database stores the last.
  flushCountMax: 600,
  flushWeightMax: Infinity,
  waitingItemsMax: 20_000,
  waitingMsMax: 5000
}

export interface Parts {
  store: Store
  queueCache: QueueCache
  wakeups: Wakeups
  signals: Signals
  siblings: Siblings
  replicaStats: ReplicaStats
  pushStates: PushStates
  /** The bounds of every batcher. */
  bounds: Bounds
  /** What callers may hold at one time. */
  shares: Shares
  /** Takes an error that no caller is told of, and reports it unless it is a refusal. */
  swallow: (error: unknown) => void
  /** For short work of one caller that no flush shares. */
  turns: Turns
  /** For work that may read many messages: browsing, and bulk actions. */
  searchTurns: Turns
}
