/** The store: the verbs of its folders, bound to the ranks at which the core runs them. */
import type { RankedVerbs, Store, Verbs } from '../core/ports.ts'
import type { Database } from './database.ts'
import { isOutrun } from './databaseErrors.ts'
import type { Session } from './statement.ts'
import type { ScanHints } from './upkeep/scanHints.ts'
import { autoQueueVerbs } from './verbs/autoQueues.ts'
import { browseVerbs } from './verbs/browse.ts'
import { bulkVerbs } from './verbs/bulk.ts'
import { completionVerbs } from './verbs/complete.ts'
import { cancelVerbs } from './verbs/cancel.ts'
import { consumerVerbs } from './verbs/consumers.ts'
import { groupVerbs } from './verbs/groups.ts'
import { enqueueVerbs } from './verbs/enqueueUnique.ts'
import { depthVerbs } from './verbs/depths.ts'
import { explainVerbs } from './verbs/explain.ts'
import { failureVerbs } from './verbs/failures.ts'
import { firingVerbs } from './verbs/firings.ts'
import { followerVerbs } from './verbs/followers.ts'
import { leaseVerbs } from './verbs/lease.ts'
import { isLeaseKeyTaken, leaseKeyVerbs } from './verbs/leaseKeys.ts'
import { putQueue } from './verbs/putQueue.ts'
import { pushVerbs } from './verbs/pushes.ts'
import { queueReportVerbs } from './verbs/queueReports.ts'
import { queueVerbs, removeEmptyQueue } from './verbs/queues.ts'
import { redriveVerbs } from './verbs/redrive.ts'
import { redriveTaskVerbs } from './verbs/redriveTasks.ts'
import { scheduleVerbs } from './verbs/schedules.ts'
import { seriesVerbs } from './verbs/series.ts'
import { settleVerbs } from './verbs/settle.ts'
import { standingVerbs } from './verbs/standings.ts'
import { topicVerbs } from './verbs/topics.ts'
import { turnVerbs } from './verbs/turns.ts'

/** The verbs as their files write them: the session comes first. */
export type SessionVerbs = {
  [K in keyof Verbs]: (session: Session, ...args: Parameters<Verbs[K]>) => ReturnType<Verbs[K]>
}

const sessionVerbs = (scanHints: ScanHints): SessionVerbs => ({
  ...enqueueVerbs,
  ...leaseVerbs(scanHints),
  ...leaseKeyVerbs,
  ...followerVerbs,
  ...turnVerbs,
  ...settleVerbs,
  ...completionVerbs,
  ...standingVerbs,
  ...browseVerbs,
  ...bulkVerbs,
  ...redriveVerbs,
  ...redriveTaskVerbs,
  ...cancelVerbs,
  ...failureVerbs,
  ...consumerVerbs,
  ...groupVerbs,
  ...explainVerbs,
  ...queueVerbs,
  ...queueReportVerbs,
  ...depthVerbs,
  ...autoQueueVerbs,
  ...scheduleVerbs,
  ...firingVerbs,
  ...seriesVerbs,
  ...topicVerbs,
  ...pushVerbs
})

/**
 * Opens the store on a pool. The pool stays its opener's to close. The scan hints are shared with
 * those who hear of ready messages. `replaced` are verbs that a test puts in the place of ours.
 */
export function openStore(
  database: Database,
  scanHints: ScanHints,
  replaced: Partial<SessionVerbs> = {}
): Store {
  const verbs = { ...sessionVerbs(scanHints), ...replaced }
  const verbsOn = (ranked: Database): RankedVerbs => ({
    ...bind(verbs, ranked),
    transaction: work => ranked.transaction(session => work(bind(verbs, session))),
    putQueue: (name, change, as) => putQueue(ranked, name, change, as),
    removeEmptyQueue: (name, begin) => removeEmptyQueue(ranked, name, begin)
  })
  return {
    ...verbsOn(database),
    first: verbsOn(database.first),
    last: verbsOn(database.last),
    isLeaseKeyTaken,
    isOutrun,
    forgetScan: queueId => scanHints.forget(queueId)
  }
}

function bind(verbs: SessionVerbs, session: Session): Verbs {
  type Verb = (session: Session, ...args: unknown[]) => unknown
  const bound = Object.entries(verbs as Record<string, Verb>).map(([name, verb]) => [
    name,
    (...args: unknown[]) => verb(session, ...args)
  ])
  return Object.fromEntries(bound) as Verbs
}
