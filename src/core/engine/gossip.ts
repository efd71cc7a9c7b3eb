/** Tells the other processes of a replica what callers hold here, and what keys have used of rates. */
import type { ApiKeyRing } from '../apiKey.ts'
import type { Activity } from './activity.ts'
import type { Interest } from './interest.ts'
import type { Share } from './share.ts'
import type { Siblings } from './siblings.ts'

/** So old are the counts of other processes at most. A bound may be passed by what comes meanwhile. */
const tellMs = 20
const tidyMs = 500

/** Keeps bounds and rates true for all processes together. Answers what ends it. */
export function startGossip(
  siblings: Siblings,
  shares: Share[],
  ring: ApiKeyRing | null,
  { interest, activity }: { interest: Interest; activity: Activity }
): () => void {
  if (siblings.alone) return () => {}
  const byName = new Map(shares.map(share => [share.bound.name, share.holdings]))
  for (const holdings of byName.values()) holdings.tellAll()
  siblings.hear('held', (from, bound, callers) => {
    byName.get(bound)?.hear(from, callers)
    activity.noteElsewhere(callers.map(([id]) => id))
  })
  siblings.hear('taken', (_from, keyId, requests, messages) => {
    const key = ring?.find(keyId)
    key?.requests.takenElsewhere(requests)
    key?.messages.takenElsewhere(messages)
  })
  siblings.onJoined(() => {
    for (const holdings of byName.values()) holdings.tellAll()
  })
  siblings.onGone(process => {
    for (const holdings of byName.values()) holdings.forget(process)
  })
  const tidying = setInterval(() => interest.tidy(), tidyMs)
  const timer = setInterval(() => {
    // What has changed is told later, with its newest numbers.
    if (siblings.busy) return
    for (const [bound, holdings] of byName) {
      const untold = holdings.takeUntold()
      if (untold.length > 0) siblings.tell('held', bound, untold)
    }
    for (const key of ring?.rated ?? []) {
      const requests = key.requests.takeUntold()
      const messages = key.messages.takeUntold()
      if (requests !== 0 || messages !== 0) siblings.tell('taken', key.id, requests, messages)
    }
  }, tellMs)
  return () => {
    clearInterval(tidying)
    clearInterval(timer)
  }
}
