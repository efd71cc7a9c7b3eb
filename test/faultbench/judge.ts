/** The judge of a single message: its life, lease by lease, against what callers were told. */
import type { EnqueueEvent, LeaseEvent, SettleEvent, StoredAttempt, StoredMessage } from './history.ts'
import { orderedQueues } from './queues.ts'
import type { Sin } from './sins.ts'

/** Everything that is known of one message. */
export interface Story {
  id: string
  queue: string
  token: string
  confirmedAt: number | null
  leases: LeaseEvent[]
  settles: SettleEvent[]
  stored: StoredMessage | null
  /** The recorded ends of its leases, by fence. */
  history: Map<number, StoredAttempt>
  /** Whether its queue keeps acked messages. */
  kept: boolean
  /** Whether it may have moved between its queue and a dead-letter queue. */
  moves: boolean
  /** Whether the service delivers it to an endpoint. */
  pushed: boolean
}

/** Notes a finding. `at` is when it happened, in ms since the epoch. */
export type Found = (sin: Sin, what: string, at?: number | null) => void

// The database and the bench both cut times to milliseconds.
export const slackMs = 2

const changes = ['acked', 'retrying', 'dead', 'extended', 'released']
/** Outcomes after which the settle has, or may have, changed something. */
export const effects = [...changes, 'unknown']

export const leasedAt = (lease: LeaseEvent) => lease.until - lease.leaseMs
/**
 * When a lease was given at the latest. A follower in an ordered queue has the end of its head's lease,
 * and was leased some time after it.
 */
const leasedBy = (lease: LeaseEvent) => (orderedQueues.includes(lease.queue) ? lease.end : leasedAt(lease))
const settlesOf = ({ settles }: Story, fence: number) => settles.filter(settle => settle.fence === fence)

/** When the lease ends by itself, as far as its holder was told. */
export function endsAt(story: Story, { fence, until }: LeaseEvent): number {
  const extended = settlesOf(story, fence).filter(({ out }) => out === 'extended')
  return Math.max(until, ...extended.map(settle => settle.until!))
}

export function judge(story: Story, sent: EnqueueEvent | undefined, found: Found): void {
  story.leases.sort((a, b) => a.fence - b.fence)
  judgeLoss(story, found)
  judgeContent(story, sent, found)
  judgeAcks(story, found)
  judgeFirstLease(story, sent, found)
  judgeLeases(story, found)
  judgeStaleReceipts(story, found)
  // A move has no record of its own, and attempts begin anew with it. Of a push, nobody hears its leases.
  if (story.moves || story.pushed) return
  judgeRecords(story, found)
  judgeAttempts(story, found)
}

function judgeLoss({ id, token, stored, settles, kept, moves, confirmedAt }: Story, found: Found): void {
  const acks = settles.filter(({ verb, out }) => verb === 'ack' && ['acked', 'unknown'].includes(out))
  if (stored === null && (kept || acks.length === 0)) {
    found('lost', `${id} (${token})${acks.length > 0 ? ', acked and yet not kept' : ''}`, confirmedAt)
  }
  if (moves) return
  const firstAckAt = Math.min(...acks.map(({ at }) => at))
  const gone = settles.find(({ out, end }) => out === 'gone' && end < firstAckAt)
  if (gone !== undefined) found('lost', `${id} was gone before anybody had acked it`, gone.end)
}

function judgeContent(story: Story, sent: EnqueueEvent | undefined, found: Found): void {
  const { id, token, leases, stored } = story
  if (sent === undefined) return
  const copies = stored === null ? leases : [...leases, stored]
  if (copies.some(({ print }) => print !== sent.print)) found('changed', `${id} (${token})`, leases[0]?.end)
}

function judgeAcks({ id, leases, settles, stored }: Story, found: Found): void {
  const acked = settles.filter(({ verb, out }) => verb === 'ack' && out === 'acked')
  const ackedFence = Math.min(...acked.map(({ fence }) => fence))
  if (acked.some(({ fence }) => fence !== ackedFence)) {
    found('stale', `${id} was acked under two fences`, acked[0]!.end)
  }
  for (const { fence, end } of leases) {
    if (fence > ackedFence) {
      found('afterAck', `${id} was delivered with fence ${fence} after the ack of ${ackedFence}`, end)
    }
  }
  if (acked.length > 0 && stored !== null && stored.state !== 'acked') {
    found('afterAck', `${id} is ${stored.state} after its ack`)
  }
}

function judgeFirstLease({ id, leases }: Story, sent: EnqueueEvent | undefined, found: Found): void {
  const [first] = leases
  if (first === undefined || sent === undefined || sent.delayMs === 0) return
  const earlyMs = sent.at + sent.delayMs - leasedAt(first)
  if (earlyMs > slackMs) found('early', `${id} was leased ${earlyMs} ms early`, first.end)
}

function judgeLeases(story: Story, found: Found): void {
  const { id, leases } = story
  for (const [index, lease] of leases.entries()) {
    const { fence, attempt, maxAttempts } = lease
    if (attempt > maxAttempts) {
      found('miscounted', `${id} came for attempt ${attempt} of ${maxAttempts}`, lease.end)
    }
    const next = leases[index + 1]
    if (next === undefined) continue
    if (next.fence === fence) {
      found('overlapping', `${id} was handed out twice with fence ${fence}`, next.end)
      continue
    }
    judgeSuccessor(story, lease, next, found)
  }
}

/** The next lease begins after the end of this one, and after the retry that was promised. */
function judgeSuccessor(story: Story, lease: LeaseEvent, next: LeaseEvent, found: Found): void {
  const { id } = story
  const settles = settlesOf(story, lease.fence)
  const isGivenBack = settles.some(
    ({ verb, out, at }) =>
      ['fail', 'release'].includes(verb) && effects.includes(out) && at <= leasedAt(next) + slackMs
  )
  const overlapMs = endsAt(story, lease) - leasedAt(next)
  if (!isGivenBack && overlapMs > slackMs) {
    found(
      'overlapping',
      `${id}: fence ${next.fence} was leased ${overlapMs} ms before the end of ${lease.fence}`,
      next.end
    )
  }
  const [settle, ...more] = settles.filter(({ out }) => effects.includes(out))
  // A redrive takes a message home also while it waits for its retry.
  if (settle?.out !== 'retrying' || more.length > 0 || story.moves) return
  const earlyMs = settle.until! - leasedBy(next)
  if (earlyMs > slackMs) {
    found('early', `${id} was leased again ${earlyMs} ms before its retry was due`, next.end)
  }
}

function judgeStaleReceipts({ id, moves, leases, settles }: Story, found: Found): void {
  const deaths = moves ? settles.filter(({ out }) => out === 'dead') : []
  for (const { fence, out, verb, at, end } of settles) {
    if (!changes.includes(out) || !deaths.some(death => death.fence === fence && death.end < at)) continue
    found('stale', `${id}: ${verb} of fence ${fence} was answered ${out} after its death`, end)
  }
  for (const { fence, out, verb, at, end } of settles) {
    const newer = leases.find(lease => lease.fence > fence && leasedAt(lease) < at - slackMs)
    if (newer === undefined || !changes.includes(out)) continue
    found(
      'stale',
      `${id}: ${verb} of fence ${fence} was answered ${out} while ${newer.fence} was leased`,
      end
    )
  }
}

/**
 * Every lease that has ended has a record of its end, and somebody asked for what the record says.
 */
function judgeRecords(story: Story, found: Found): void {
  const { id, leases, stored, history, settles } = story
  if (stored === null) return
  for (const { fence, end } of leases) {
    if (fence <= stored.fence) continue
    found(
      'unexplained',
      `${id} was delivered with fence ${fence}, and the database knows only of ${stored.fence}`,
      end
    )
  }
  const lastEnded = ['leased', 'acked'].includes(stored.state) ? stored.fence - 1 : stored.fence
  for (let fence = 1; fence <= lastEnded; fence++) {
    const record = history.get(fence)
    if (record !== undefined && isAskedFor(story, record)) continue
    const how = record === undefined ? 'without a record' : `${record.outcome}, which nobody asked for`
    found('unexplained', `${id}: the lease with fence ${fence} ended ${how}`)
  }
  const diedEarly = stored.state === 'dead' && stored.attempt < stored.maxAttempts
  if (diedEarly && !settles.some(({ dead }) => dead)) {
    found('miscounted', `${id} died in attempt ${stored.attempt} of ${stored.maxAttempts}`)
  }
}

function isAskedFor(story: Story, { fence, outcome }: StoredAttempt): boolean {
  const isSaid = (verb: string) =>
    settlesOf(story, fence).some(settle => settle.verb === verb && effects.includes(settle.out))
  if (outcome === 'expired') return true
  if (outcome === 'failed') return isSaid('fail')
  // A release that nobody asked for is that of a caller who hung up before the answer.
  return isSaid('release') || !story.leases.some(lease => lease.fence === fence)
}

/** Attempts rise by one with each lease, except after a release. */
function judgeAttempts(story: Story, found: Found): void {
  const { id, leases, stored, history } = story
  const attempts = new Map<number, number>()
  for (const { fence, attempt } of [...history.values(), ...leases]) attempts.set(fence, attempt)
  // After a release, the receipt of the same fence may still ack. The record has the attempt then.
  const isOpen = stored !== null && stored.fence > 0 && !history.has(stored.fence)
  if (isOpen && ['acked', 'leased', 'dead'].includes(stored.state)) {
    attempts.set(stored.fence, stored.attempt)
  }
  for (const [fence, attempt] of attempts) {
    const before = attempts.get(fence - 1)
    const how = endOf(story, fence - 1)
    const expected = before === undefined || how === null ? null : before + (how === 'released' ? 0 : 1)
    if (fence === 1 ? attempt === 1 : expected === null || attempt === expected) continue
    const after = before === undefined ? '' : `, after attempt ${before}, ${how}`
    const { end = null } = leases.find(lease => lease.fence === fence) ?? {}
    found('miscounted', `${id}: fence ${fence} is attempt ${attempt}${after}`, end)
  }
}

/**
 * How a lease ended, by its record or else by what its holder was told; null when that is doubtful.
 */
function endOf(story: Story, fence: number): 'failed' | 'expired' | 'released' | null {
  const record = story.history.get(fence)
  if (record !== undefined) return record.outcome
  const settles = settlesOf(story, fence)
  // A release after the end of its lease is answered like one in time, but it was an expiry.
  const end = story.leases.find(lease => lease.fence === fence)?.until ?? 0
  const isDoubtful = settles.some(
    settle => settle.out === 'unknown' || (settle.out === 'released' && settle.end >= end - slackMs)
  )
  if (isDoubtful) return null
  return settles.some(({ out }) => out === 'released') ? 'released' : 'failed'
}
