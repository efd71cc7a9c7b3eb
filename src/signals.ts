/** What tells waiting callers, and parts of the service, what happens here and elsewhere. */
import type { Closers } from './closers.ts'
import { Activity } from './core/engine/activity.ts'
import { Elsewhere } from './core/engine/elsewhere.ts'
import { Interest } from './core/engine/interest.ts'
import type { Shares } from './core/engine/shares.ts'
import type { Siblings } from './core/engine/siblings.ts'
import { Wakeups } from './core/engine/wakeups.ts'
import type { Database } from './store/database.ts'
import type { Target } from './store/hosts.ts'
import { startListener, type Listener } from './store/upkeep/listener.ts'
import { ScanHints } from './store/upkeep/scanHints.ts'
import { startSweeper, watchSweeps } from './store/upkeep/sweeper.ts'

interface Base {
  closers: Closers
  siblings: Siblings
  report: (part: string) => (error: unknown) => void
}

export type SignalParts = ReturnType<typeof startSignals>

/**
 * Wakes waiting callers: at once for messages stored here, by listener and sweeper for all others.
 */
export function startSignals(
  { closers, siblings, report }: Base,
  database: Database,
  listenTarget: Target,
  shares: Shares
) {
  const wakeups = new Wakeups(shares.waitingCalls)
  const interest = new Interest(siblings, wakeups)
  if (!siblings.alone) wakeups.observer = interest
  const activity = new Activity()
  const elsewhere = openElsewhere(siblings, (...told) => listener.announceHeavy(...told))
  const scanHints = new ScanHints()
  const sweeps = watchSweeps(report('sweeper'))
  const hear = (queueId: string, count: number, position: number) => {
    scanHints.lower(queueId, position)
    wakeups.wake(queueId, count)
  }
  const signals = {
    onReady: (queueId: string, count: number, position: number) => {
      hear(queueId, count, position)
      interest.ready(queueId, count, position)
      listener.announce(queueId, count, position)
    },
    onFree: (queueId: string, count: number) => {
      wakeups.free(queueId, count)
      interest.free(queueId, count)
      listener.announceFree(queueId, count)
    },
    onDue: (timeMs: number) => sweeper.dueAt(timeMs)
  }
  siblings.hear('ready', (_from, queueId, count, position) => hear(queueId, count, position))
  siblings.hear('open', (_from, queueId, count) => wakeups.open(queueId, count))
  siblings.hear('free', (_from, queueId, count) => wakeups.free(queueId, count))
  const listener = startListener(listenTarget, {
    replica: siblings.replica,
    callersHere: () => activity.callersHere,
    onCallers: callerIds => activity.noteElsewhere(callerIds),
    onReady: hear,
    onFree: (queueId, count) => wakeups.free(queueId, count),
    onHeavy: (from, callerIds) => elsewhere.hear(from, callerIds),
    onDue: signals.onDue,
    onGap: () => {
      scanHints.forget()
      wakeups.wakeAll()
    },
    onError: report('listener')
  })
  closers.push(() => listener.stop())
  const sweeper = startSweeping(database, { ...signals, scanHints, wakeups, sweeps })
  closers.push(() => sweeper.stop())
  const listening = () => listener.connected
  return { activity, elsewhere, wakeups, scanHints, interest, ...signals, sweeps, listening }
}

/** Learns at which other places callers let everybody wait, and tells which of them do so here. */
function openElsewhere(siblings: Siblings, announce: Listener['announceHeavy']): Elsewhere {
  const elsewhere = new Elsewhere(callerIds => {
    siblings.tell('heavy', callerIds)
    announce(siblings.processIndex, callerIds)
  })
  siblings.hear('heavy', (from, callerIds) => elsewhere.hear(from, callerIds))
  return elsewhere
}

type Swept = Pick<Parameters<typeof startSweeper>[1], 'onReady' | 'onFree'> & {
  scanHints: ScanHints
  wakeups: Wakeups
  sweeps: ReturnType<typeof watchSweeps>
}

function startSweeping(database: Database, { onReady, onFree, scanHints, wakeups, sweeps }: Swept) {
  return startSweeper(database.first, {
    onReady,
    onFree,
    // A message may be leased although somebody waits for it: perhaps a notice was lost.
    onCounted: (queueId, count) => {
      scanHints.suspect(queueId)
      wakeups.open(queueId, count)
    },
    waitingFor: () => wakeups.waitedQueues(),
    onSwept: sweeps.onSwept,
    onError: sweeps.onError
  })
}
