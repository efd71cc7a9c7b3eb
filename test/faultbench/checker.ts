/**
 * The checker: reads the history and the final audit, and nothing else, and says PASS, FAIL or
 * UNKNOWN. What it says of a single message is in judge.ts.
 */
import type { Audit, Event, FaultEvent } from './history.ts'
import { judge, type Found, type Story } from './judge.ts'
import { isDelivered, judgePromises } from './promises.ts'
import { sins, type Sin } from './sins.ts'

export interface Verdict {
  verdict: 'PASS' | 'FAIL' | 'UNKNOWN'
  /** Sentences, by sin. */
  findings: Record<Sin, string[]>
  /** Why the verdict cannot be PASS, though nothing is wrong. */
  untested: string[]
  /** When the first finding that has a time happened, in ms since the epoch. */
  firstAt: number | null
  figures: Record<
    | 'messages'
    | 'confirmed'
    | 'leases'
    | 'acked'
    | 'dead'
    | 'redelivered'
    | 'pushed'
    | 'superseded'
    | 'unknown'
    | 'unknownDone'
    | 'refused',
    number
  >
}

export const recoveryMsMax = 5000
export function check(events: Event[], audit: Audit): Verdict {
  const findings = Object.fromEntries(
    Object.keys(sins).map(sin => [sin, []])
  ) as unknown as Verdict['findings']
  let firstAt: number | null = null
  const found: Found = (sin, what, at = null) => {
    findings[sin].push(what)
    if (at !== null) firstAt = Math.min(firstAt ?? Infinity, at)
  }
  const stories = storiesOf(events, audit, found)
  const enqueues = Map.groupBy(ofType(events, 'enqueue'), ({ token }) => token)
  const copies = Map.groupBy(stories, ({ token }) => token)

  for (const [token, messages] of copies) {
    const sent = enqueues.get(token)
    const ids = messages.map(({ id }) => id)
    if (sent === undefined) found('unexpected', `${ids[0]} is ${token}, which nobody sent`)
    else if (sent.every(({ out }) => out === 'none')) {
      found('resurrected', `${token} is message ${ids[0]}`, sent[0]!.end)
    }
    const queues = new Set((sent ?? []).map(({ queue }) => queue))
    if (ids.length > Math.max(1, queues.size)) {
      found('doubled', `${token} is messages ${ids.join(' and ')}`, sent?.[0]!.end)
    }
  }
  for (const story of stories) judge(story, enqueues.get(story.token)?.[0], found)
  const pushes = ofType(events, 'push')
  judgePromises({ stories, enqueues, kept: ofType(events, 'kept'), pushes, audit }, found)
  for (const { what, at } of ofType(events, 'odd')) found('odd', what, at)
  for (const what of audit.unbalanced) found('unbalanced', what)
  const faults = ofType(events, 'fault')
  for (const { name, upAfterMs, skipped, healedAt } of faults) {
    if (skipped !== undefined || (upAfterMs !== null && upAfterMs <= recoveryMsMax)) continue
    found('slow', `after ${name}: ${upAfterMs === null ? 'not again' : `${upAfterMs} ms`}`, healedAt)
  }

  const superseded = ofType(events, 'settle').filter(({ out }) => out === 'leaseLost').length
  const untested = untestedOf(faults, events)
  if (superseded === 0) untested.push('no superseded receipt was used')
  const outcomes = [...enqueues].map(([token, sent]) => ({ token, outs: sent.map(({ out }) => out) }))
  const unknown = outcomes.filter(({ outs }) => !outs.includes('ok') && outs.includes('unknown'))
  const isAcked = ({ settles, stored }: Story) =>
    stored?.state === 'acked' || settles.some(({ out }) => out === 'acked')
  let verdict: Verdict['verdict'] = untested.length > 0 ? 'UNKNOWN' : 'PASS'
  if (Object.values(findings).some(list => list.length > 0)) verdict = 'FAIL'
  return {
    verdict,
    findings,
    untested,
    firstAt,
    figures: {
      messages: stories.length,
      confirmed: stories.filter(({ confirmedAt }) => confirmedAt !== null).length,
      leases: ofType(events, 'lease').length,
      acked: stories.filter(isAcked).length,
      dead: stories.filter(({ stored }) => stored?.state === 'dead').length,
      redelivered: stories.reduce((sum, { leases }) => sum + Math.max(0, leases.length - 1), 0),
      pushed: pushes.filter(isDelivered).length,
      superseded,
      unknown: unknown.length,
      unknownDone: unknown.filter(({ token }) => copies.has(token)).length,
      refused: outcomes.filter(({ outs }) => outs.every(out => out === 'none')).length
    }
  }
}

function ofType<T extends Event['t']>(events: Event[], type: T): Extract<Event, { t: T }>[] {
  return events.filter(event => event.t === type) as Extract<Event, { t: T }>[]
}

/** Gathers what is known of each message. Two tokens under one id are a finding. */
function storiesOf(events: Event[], audit: Audit, found: Found): Story[] {
  const stories = new Map<string, Story>()
  const storyOf = (queue: string, id: string, token: string): Story => {
    let story = stories.get(id)
    if (story === undefined) {
      story = {
        id,
        queue,
        token,
        confirmedAt: null,
        leases: [],
        settles: [],
        stored: null,
        history: new Map(),
        kept: false,
        moves: false,
        pushed: false
      }
      stories.set(id, story)
    }
    if (story.token !== token) found('unexpected', `${id} is ${token} and ${story.token}`)
    return story
  }
  for (const { id, queue, token, end } of ofType(events, 'enqueue')) {
    if (id !== undefined) storyOf(queue, id, token).confirmedAt ??= end
  }
  for (const lease of ofType(events, 'lease')) {
    storyOf(lease.queue, lease.id, lease.token).leases.push(lease)
  }
  for (const { queue, kept, moves, pushed, messages, history } of audit.queues) {
    for (const message of messages) {
      const story = storyOf(queue, message.id, message.token)
      if (story.stored !== null) found('doubled', `${message.id} is stored twice`)
      story.stored = message
    }
    for (const attempt of history) stories.get(attempt.id)?.history.set(attempt.fence, attempt)
    for (const story of stories.values()) {
      if (story.queue === queue) Object.assign(story, { kept, moves, pushed })
    }
  }
  for (const settle of ofType(events, 'settle')) stories.get(settle.id)?.settles.push(settle)
  return [...stories.values()]
}

/** A fault has tested nothing when, until the next fault, nothing was enqueued, leased or acked. */
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
