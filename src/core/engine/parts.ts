/** What the verbs share. Each verb takes from it the parts that it needs. */
import type { Store } from '../ports.ts'
import type { Bounds } from './batcher.ts'
import type { QueueCache } from './queueCache.ts'
import type { ReplicaStats } from './replicaStats.ts'
import type { Signals } from './signals.ts'
import type { Wakeups } from './wakeups.ts'

export interface Parts {
  store: Store
  queueCache: QueueCache
  wakeups: Wakeups
  signals: Signals
  replicaStats: ReplicaStats
  /** The bounds of every batcher. */
  bounds: Bounds
  /**
   * True when too many response bytes are still unread. New leases and browses are then refused.
   */
  answersFull: () => boolean
}
