/**
 * The judge. Pure: it reads the history and the final audit, nothing else, and says PASS, FAIL or
 * UNKNOWN.
 */
import type { EnqueueEvent, Event, FaultEvent, LeaseEvent, SettleEvent } from './history.ts'

/** A message as the database has it in the end. `state` is acked for one that its queue keeps. */
export interface StoredMessage {
  id: string
  state: string
  fence: number
  attempt: number
  maxAttempts: number
  token: string
  print: string
}
export interface StoredAttempt {
  id: string
  fence: number
  attempt: number
  outcome: 'failed' | 'expired' | 'released'
}
export interface AuditedQueue {
  queue: string
  /** Whether acked messages are kept, and their history with them. */
  kept: boolean
  messages: StoredMessage[]
  history: StoredAttempt[]
}
/** `unbalanced`: sentences about counts that do not equal the rows. */
export interface Audit {
  queues: AuditedQueue[]
  unbalanced: string[]
}

/** What is looked for; each must be 0. */
export const sins = {
  lost: 'confirmed, and neither there nor acked',
  unexpected: 'never sent, or under the id of another',
  resurrected: 'there though its enqueue was answered "nothing happened"',
  doubled: 'sent once, or under one key, and stored twice',
  overlapping: 'leased to somebody while somebody else held it',
  afterAck: 'delivered, or still there, after its ack was confirmed',
  stale: 'settled with a receipt that had been superseded',
  changed: 'came back other than it was sent',
  unexplained: 'leased again, or dead, without a failure, an expiry or a release on record',
  miscounted: 'an attempt number that did not rise by one, or a death too early or too late',
  early: 'delivered before its delay was over',
  unbalanced: 'counts that do not equal the rows',
  odd: 'an answer that is not allowed, a process that ended, a queue that never ran empty',
  slow: 'no service within 5 s of the end of a fault'
} as const
export type Sin = keyof typeof sins

export interface Verdict {
  verdict: 'PASS' | 'FAIL' | 'UNKNOWN'
  /** Sentences, by what is wrong. */
  findings: Record<Sin, string[]>
  /** Why it cannot be PASS though nothing is wrong. */
  untested: string[]
  /** When the first thing went wrong that has a time, in ms since the epoch. */
  firstAt: number | null
  figures: Record<
    | 'messages'
    | 'confirmed'
    | 'leases'
    | 'acked'
    | 'dead'
    | 'redelivered'
    | 'superseded'
    | 'unknown'
    | 'unknownDone'
    | 'refused',
    number
  >
}

export const recoveryMsMax = 5000
// Times are cut to milliseconds, the database's and ours.
const slackMs = 2

interface Story {
  id: string
  queue: string
  token: string
  confirmedAt: number | null
  leases: LeaseEvent[]
  settles: SettleEvent[]
  stored: StoredMessage | null
  history: Map<number, StoredAttempt>
  kept: boolean
}

const changes = ['acked', 'retrying', 'dead', 'extended', 'released']

export function check(events: Event[], audit: Audit): Verdict {
  const findings = Object.fromEntries(
    Object.keys(sins).map(sin => [sin, []])
  ) as unknown as Verdict['findings']
  let firstAt: number | null = null
  const found = (sin: Sin, what: string, at: number | null = null) => {
    findings[sin].push(what)
    if (at !== null) firstAt = Math.min(firstAt ?? Infinity, at)
  }
  const of = <T extends Event['t']>(t: T) =>
    events.filter(event => event.t === t) as Extract<Event, { t: T }>[]
  const enqueues = Map.groupBy(of('enqueue'), ({ token }) => token)

  const stories = new Map<string, Story>()
  const story = (queue: string, id: string, token: string | null): Story => {
    let known = stories.get(id)
    if (known === undefined) {
      stories.set(
        id,
        (known = {
          id,
          queue,
          token: token ?? '',
          confirmedAt: null,
          leases: [],
          settles: [],
          stored: null,
          history: new Map(),
          kept: false
        })
      )
    }
    if (token !== null && known.token !== token) found('unexpected', `${id} is ${token} and ${known.token}`)
    return known
  }
  for (const event of of('enqueue')) {
    if (event.id !== undefined) story(event.queue, event.id, event.token).confirmedAt ??= event.end
  }
  for (const event of of('lease')) story(event.queue, event.id, event.token).leases.push(event)
  for (const { queue, kept, messages, history } of audit.queues) {
    for (const message of messages) story(queue, message.id, message.token).stored = message
    for (const one of history) stories.get(one.id)?.history.set(one.fence, one)
    for (const one of stories.values()) if (one.queue === queue) one.kept = kept
  }
  for (const event of of('settle')) stories.get(event.id)?.settles.push(event)

  const idsOf = Map.groupBy(stories.values(), ({ token }) => token)
  for (const [token, copies] of idsOf) {
    const sent = enqueues.get(token)
    if (sent === undefined) found('unexpected', `${copies[0]!.id} is ${token}, which nobody sent`)
    else if (sent.every(({ out }) => out === 'none')) {
      found('resurrected', `${token} is message ${copies[0]!.id}`, sent[0]!.end)
    }
    if (copies.length > 1) {
      found('doubled', `${token} is messages ${copies.map(({ id }) => id).join(' and ')}`, sent?.[0]!.end)
    }
  }
  for (const one of stories.values()) judge(one, enqueues.get(one.token)?.[0], found)

  for (const { what, at } of of('odd')) found('odd', what, at)
  for (const what of audit.unbalanced) found('unbalanced', what)
  const faults = of('fault')
  for (const { name, upAfterMs, skipped, healedAt } of faults) {
    if (skipped === undefined && (upAfterMs === null || upAfterMs > recoveryMsMax)) {
      found('slow', `after ${name}: ${upAfterMs === null ? 'not again' : `${upAfterMs} ms`}`, healedAt)
    }
  }

  const settles = of('settle')
  const untested = untestedOf(faults, events)
  const superseded = settles.filter(({ out }) => out === 'leaseLost').length
  if (superseded === 0) untested.push('no superseded receipt was used')
  const all = [...stories.values()]
  const unsure = [...enqueues].filter(
    ([, sent]) => sent.every(({ out }) => out !== 'ok') && sent.some(({ out }) => out === 'unknown')
  )
  return {
    verdict: Object.values(findings).some(list => list.length > 0)
      ? 'FAIL'
      : untested.length > 0
        ? 'UNKNOWN'
        : 'PASS',
    findings,
    untested,
    firstAt,
    figures: {
      messages: all.length,
      confirmed: all.filter(({ confirmedAt }) => confirmedAt !== null).length,
      leases: of('lease').length,
      acked: all.filter(
        ({ settles, stored }) => stored?.state === 'acked' || settles.some(({ out }) => out === 'acked')
      ).length,
      dead: all.filter(({ stored }) => stored?.state === 'dead').length,
      redelivered: all.reduce((sum, { leases }) => sum + Math.max(0, leases.length - 1), 0),
      superseded,
      unknown: unsure.length,
      unknownDone: unsure.filter(([token]) => idsOf.has(token)).length,
      refused: [...enqueues.values()].filter(sent => sent.every(({ out }) => out === 'none')).length
    }
  }
}

/** One message's life, lease by lease. */
function judge(
  one: Story,
  sent: EnqueueEvent | undefined,
  found: (sin: Sin, what: string, at?: number | null) => void
): void {
  const { id, stored, settles, history, kept } = one
  const leases = one.leases.sort((a, b) => a.fence - b.fence)
  const settlesOf = (fence: number) => settles.filter(settle => settle.fence === fence)
  const leasedAt = (lease: LeaseEvent) => lease.until - lease.leaseMs

  const acks = settles.filter(({ verb, out }) => verb === 'ack' && ['acked', 'unknown'].includes(out))
  if (stored === null && (kept || acks.length === 0)) {
    found('lost', `${id} (${one.token})${acks.length > 0 ? ', acked and yet not kept' : ''}`, one.confirmedAt)
  }

  const firstAckAt = Math.min(...acks.map(({ at }) => at))
  const gone = settles.find(({ out, end }) => out === 'gone' && end < firstAckAt)
  if (gone !== undefined) found('lost', `${id} was gone before anybody had acked it`, gone.end)

  for (const print of [...leases, ...(stored === null ? [] : [stored])].map(({ print }) => print)) {
    if (sent !== undefined && print !== sent.print) {
      found('changed', `${id} (${one.token})`, leases[0]?.end)
      break
    }
  }

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

  leases.forEach((lease, index) => {
    const next = leases[index + 1]
    if (
      index === 0 &&
      sent !== undefined &&
      sent.delayMs > 0 &&
      leasedAt(lease) < sent.at + sent.delayMs - slackMs
    ) {
      found('early', `${id} was leased ${sent.at + sent.delayMs - leasedAt(lease)} ms early`, lease.end)
    }
    if (lease.attempt > lease.maxAttempts) {
      found('miscounted', `${id} came for attempt ${lease.attempt} of ${lease.maxAttempts}`, lease.end)
    }
    if (next === undefined) return
    if (next.fence === lease.fence) {
      return found('overlapping', `${id} was handed out twice with fence ${lease.fence}`, next.end)
    }
    const mine = settlesOf(lease.fence)
    const endsAt = Math.max(
      lease.until,
      ...mine.filter(({ out }) => out === 'extended').map(({ until }) => until!)
    )
    const givenBack = mine.some(
      ({ verb, out, at }) =>
        (verb === 'fail' || verb === 'release') &&
        [...changes, 'unknown'].includes(out) &&
        at <= leasedAt(next) + slackMs
    )
    if (!givenBack && leasedAt(next) < endsAt - slackMs) {
      found(
        'overlapping',
        `${id}: fence ${next.fence} was leased ${endsAt - leasedAt(next)} ms before the end of ` +
          `${lease.fence}`,
        next.end
      )
    }
    const waits = mine.filter(({ out }) => [...changes, 'unknown'].includes(out))
    if (waits.length === 1 && waits[0]!.out === 'retrying' && leasedAt(next) < waits[0]!.until! - slackMs) {
      found(
        'early',
        `${id} was leased again ${waits[0]!.until! - leasedAt(next)} ms before its retry was due`,
        next.end
      )
    }
  })

  for (const { fence, out, verb, at, end } of settles) {
    const newer = leases.find(lease => lease.fence > fence && leasedAt(lease) < at - slackMs)
    if (newer !== undefined && changes.includes(out)) {
      found(
        'stale',
        `${id}: ${verb} of fence ${fence} was answered ${out} while ${newer.fence} was leased`,
        end
      )
    }
  }

  const last = stored?.fence ?? Infinity
  for (const { fence, end } of leases) {
    if (fence > last) {
      found(
        'unexplained',
        `${id} was delivered with fence ${fence}, and the database knows only of ${last}`,
        end
      )
    }
  }
  if (stored !== null) {
    const over = stored.state === 'leased' || stored.state === 'acked' ? last - 1 : last
    for (let fence = 1; fence <= over; fence++) {
      const how = history.get(fence)
      const mine = settlesOf(fence)
      const seen = leases.some(lease => lease.fence === fence)
      const said = (verb: string) =>
        mine.some(settle => settle.verb === verb && [...changes, 'unknown'].includes(settle.out))
      // A release nobody asked for is that of a caller who hung up before its answer.
      const explained =
        how !== undefined &&
        (how.outcome === 'expired' || (how.outcome === 'failed' ? said('fail') : said('release') || !seen))
      if (!explained) {
        found(
          'unexplained',
          `${id}: the lease with fence ${fence} ended ` +
            `${how === undefined ? 'without a record' : `${how.outcome}, which nobody asked for`}`
        )
      }
    }
    if (stored.state === 'dead' && stored.attempt < stored.maxAttempts && !settles.some(({ dead }) => dead)) {
      found('miscounted', `${id} died in attempt ${stored.attempt} of ${stored.maxAttempts}`)
    }
  }

  const attempts = new Map([
    ...[...history.values()].map(({ fence, attempt }) => [fence, attempt] as const),
    ...leases.map(({ fence, attempt }) => [fence, attempt] as const)
  ])
  if (stored !== null && ['acked', 'leased', 'dead'].includes(stored.state) && stored.fence > 0) {
    attempts.set(stored.fence, stored.attempt)
  }
  for (const [fence, attempt] of attempts) {
    const before = attempts.get(fence - 1)
    const mine = settlesOf(fence - 1)
    // Without a record: a release that came after the end of its lease is answered like one in
    // time, but it was an expiry.
    const end = leases.find(lease => lease.fence === fence - 1)?.until ?? 0
    const doubtful = mine.some(
      settle => settle.out === 'unknown' || (settle.out === 'released' && settle.end >= end - slackMs)
    )
    const how =
      history.get(fence - 1)?.outcome ??
      (doubtful ? null : mine.some(({ out }) => out === 'released') ? 'released' : 'failed')
    if (
      fence === 1
        ? attempt !== 1
        : before !== undefined && how !== null && attempt !== before + (how === 'released' ? 0 : 1)
    ) {
      found(
        'miscounted',
        `${id}: fence ${fence} is attempt ` +
          `${attempt}${before === undefined ? '' : `, after attempt ${before}, ${how}`}`,
        leases.find(lease => lease.fence === fence)?.end
      )
    }
  }
}

/** A fault during which, until the next one, nothing was enqueued, leased and acked has tested nothing. */
function untestedOf(faults: FaultEvent[], events: Event[]): string[] {
  const done = { enqueued: [] as number[], leased: [] as number[], acked: [] as number[] }
  for (const event of events) {
    if (event.t === 'enqueue' && event.out === 'ok') done.enqueued.push(event.end)
    if (event.t === 'lease') done.leased.push(event.end)
    if (event.t === 'settle' && event.out === 'acked') done.acked.push(event.end)
  }
  const ran = faults.filter(({ skipped }) => skipped === undefined)
  const untested = ran.flatMap(({ name, at }, index) => {
    const until = ran[index + 1]?.at ?? Infinity
    return Object.entries(done)
      .filter(([, times]) => !times.some(time => time >= at && time < until))
      .map(([what]) => `nothing was ${what} during ${name}`)
  })
  return ran.length === 0 ? ['no fault was injected', ...untested] : untested
}
