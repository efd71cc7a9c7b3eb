/**
 * The judge of promises that several messages keep together: order, limits, unique keys, steps, copies,
 * pushes.
 */
import type { Audit, AuditedQueue, EnqueueEvent, KeptEvent, LeaseEvent, PushEvent } from './history.ts'
import { effects, endsAt, leasedAt, slackMs, type Found, type Story } from './judge.ts'

/** All that was seen. `enqueues` has the tokens in the order in which they were first sent. */
interface Seen {
  stories: Story[]
  enqueues: Map<string, EnqueueEvent[]>
  kept: KeptEvent[]
  pushes: PushEvent[]
  audit: Audit
}

/** A lease with when it was surely over: its end, or the first call that may have ended it. */
interface Span {
  story: Story
  lease: LeaseEvent
  from: number
  to: number
}

/** Between the time that the rate counts and that of the lease. */
const rateSlackSeconds = 0.25

export function judgePromises(seen: Seen, found: Found): void {
  const { stories, enqueues, kept, audit } = seen
  const byQueue = Map.groupBy(stories, ({ queue }) => queue)
  for (const queue of audit.queues) {
    const ofQueue = byQueue.get(queue.queue) ?? []
    const spans = ofQueue.flatMap(story => story.leases.map(lease => spanOf(story, lease)))
    spans.sort((a, b) => a.from - b.from)
    if (queue.ordered) judgeOrder(spans, enqueues, found)
    if (queue.maxLeased !== null) judgeLeased(queue, spans, found)
    if (queue.rate !== null) judgeRate(queue.queue, queue.rate, spans, found)
  }
  judgeStuck(stories, found)
  judgeUnique(stories, enqueues, kept, found)
  judgeSteps(stories, audit, found)
  judgeCopies(audit, found)
  judgePushes(seen, found)
}

function spanOf(story: Story, lease: LeaseEvent): Span {
  const ends = story.settles
    .filter(({ fence, verb, out }) => fence === lease.fence && verb !== 'extend' && effects.includes(out))
    .map(({ at }) => at)
  // The service itself gives back what it leased for a caller that it takes for gone.
  if (ends.length === 0 && story.history.get(lease.fence)?.outcome === 'released') ends.push(leasedAt(lease))
  return { story, lease, from: leasedAt(lease), to: Math.min(endsAt(story, lease), ...ends) }
}

function judgeOrder(spans: Span[], enqueues: Seen['enqueues'], found: Found): void {
  const places = new Map([...enqueues.keys()].map((token, place) => [token, place]))
  const groupOf = ({ story }: Span) => enqueues.get(story.token)?.[0]?.group
  for (const [group, line] of Map.groupBy(spans, groupOf)) {
    if (group !== undefined) judgeLine(group, line, ({ story }) => places.get(story.token)!, found)
  }
}

/** `line` are the leases of a group, the first one first. */
function judgeLine(group: string, line: Span[], placeOf: (span: Span) => number, found: Found): void {
  const answers = Map.groupBy(line, ({ lease }) => `${lease.at} ${lease.end}`)
  const answerOf = ({ lease }: Span) => answers.get(`${lease.at} ${lease.end}`)!
  for (const [index, span] of line.entries()) {
    const { id, end } = span.lease
    const together = answerOf(span)
    const others = line.slice(index + 1).filter(other => !together.includes(other))
    // What comes later was left. If it is earlier in the group, it had to be in the same answer.
    const earlier = others.find(
      other =>
        placeOf(other) < placeOf(span) &&
        other.from > span.from + slackMs &&
        !together.some(({ story }) => story === other.story)
    )
    if (earlier !== undefined) {
      found('outOfOrder', `${id} was leased before ${earlier.lease.id}, an earlier one of ${group}`, end)
    }
    const beside = others.find(other => other.from < span.to - slackMs && other.story !== span.story)
    if (beside !== undefined) {
      found('outOfOrder', `${id} and ${beside.lease.id} of ${group} were held by two`, beside.lease.end)
    }
  }
  for (const answer of answers.values()) {
    const sent = answer.toSorted((a, b) => placeOf(a) - placeOf(b))
    if (answer.some((span, index) => span !== sent[index])) {
      found(
        'outOfOrder',
        `${answer[0]!.lease.id}: an answer has ${group} in another order`,
        answer[0]!.lease.end
      )
    }
  }
}

function judgeLeased({ queue, maxLeased }: AuditedQueue, spans: Span[], found: Found): void {
  let open: Span[] = []
  for (const span of spans) {
    open = open.filter(({ to }) => to > span.from + slackMs)
    open.push(span)
    if (open.length <= maxLeased!) continue
    found('overLimit', `${open.length} messages of ${queue} were leased, of ${maxLeased}`, span.lease.end)
  }
}

function judgeRate(
  queue: string,
  { perSecond, burst }: NonNullable<AuditedQueue['rate']>,
  spans: Span[],
  found: Found
): void {
  let tokens = burst
  let at = -Infinity
  for (const { from, lease } of spans) {
    tokens = Math.min(burst, tokens + ((from - at) / 1000) * perSecond) - 1
    at = from
    if (tokens >= -perSecond * rateSlackSeconds - 0.01) continue
    found('overLimit', `${lease.id} of ${queue} was leased sooner than its rate allows`, lease.end)
    tokens = 0
  }
}

/** Consumers had time enough to empty the queues. */
function judgeStuck(stories: Story[], found: Found): void {
  for (const { id, queue, stored, settles } of stories) {
    const isLeft = stored !== null && ['ready', 'delayed', 'leased'].includes(stored.state)
    if (isLeft && !settles.some(({ out }) => out === 'acked')) {
      found('stuck', `${id} of ${queue} is ${stored.state}, and nobody got it`)
    }
  }
}

function judgeUnique(stories: Story[], enqueues: Seen['enqueues'], kept: KeptEvent[], found: Found): void {
  const keyOf = ({ queue, token }: Story) => {
    const key = enqueues.get(token)?.[0]?.unique
    return key === undefined ? undefined : `${queue} ${key}`
  }
  const endings = ({ settles }: Story) => settles.filter(({ out }) => out === 'acked' || out === 'dead')
  for (const [key, holders] of Map.groupBy(stories, keyOf)) {
    if (key === undefined) continue
    const spans = holders
      .filter(({ confirmedAt }) => confirmedAt !== null)
      .map(story => ({ id: story.id, from: story.confirmedAt!, to: lettingGoAt(story) }))
      .sort((a, b) => a.from - b.from)
    for (const [index, { id, to }] of spans.entries()) {
      const second = spans.slice(index + 1).find(({ from, to: end }) => from < Math.min(to, end))
      if (second !== undefined) found('doubled', `${id} and ${second.id} both hold ${key}`, second.from)
    }
  }
  const byId = new Map(stories.map(story => [story.id, story]))
  for (const { queue, key, id, at, end } of kept) {
    const story = byId.get(id)
    if (story === undefined || !endings(story).some(ending => ending.end < at)) continue
    found('stuck', `${id} still held ${key} of ${queue} after its end`, end)
  }
}

/** Until then the message surely held its unique key. One that ended unseen held it for no sure time. */
function lettingGoAt({ leases, settles, stored }: Story): number {
  const endings = settles.filter(({ verb, out }) => ['ack', 'fail'].includes(verb) && effects.includes(out))
  const last = leases.filter(({ attempt, maxAttempts }) => attempt >= maxAttempts)
  const ended = [
    ...endings.filter(({ out }) => out !== 'retrying').map(({ at }) => at),
    ...last.map(({ until }) => until)
  ]
  if (ended.length > 0) return Math.min(...ended)
  return stored === null || ['dead', 'acked'].includes(stored.state) ? -Infinity : Infinity
}

/** An ack and its `then`: the message is acked under this fence, or its next one is not there. */
function judgeSteps(stories: Story[], { queues }: Audit, found: Found): void {
  const tokens = new Set(queues.flatMap(({ messages }) => messages.map(({ token }) => token)))
  for (const { id, stored, settles } of stories) {
    const steps = new Map(
      settles.flatMap(({ then, fence, end }) => (then === undefined ? [] : [[then, { fence, end }] as const]))
    )
    for (const [then, { fence, end }] of steps) {
      const isAcked = stored?.state === 'acked' && stored.fence === fence
      if (isAcked === tokens.has(then)) continue
      const [done, missing] = isAcked ? ['acked', then] : [then, 'acked']
      found('halfDone', `${id} with fence ${fence}: ${done}, and not ${missing}`, end)
    }
  }
}

function judgeCopies({ topics, queues }: Audit, found: Found): void {
  const tokensOf = (name: string) =>
    new Set(queues.find(({ queue }) => queue === name)?.messages.map(({ token }) => token))
  for (const names of topics) {
    const copies = names.map(tokensOf)
    for (const token of new Set(copies.flatMap(tokens => [...tokens]))) {
      const missing = names.filter((_, index) => !copies[index]!.has(token))
      if (missing.length > 0) found('halfDone', `${token} has no copy in ${missing.join(', ')}`)
    }
  }
}

export const isDelivered = ({ status }: PushEvent) => status >= 200 && status < 300

/** What reached the endpoint is what was sent, and only its 2xx acks. */
function judgePushes({ stories, enqueues, pushes, audit }: Seen, found: Found): void {
  const byId = new Map(stories.map(story => [story.id, story]))
  for (const { id, token, print, end } of pushes) {
    const story = byId.get(id)
    if (story?.token !== token) found('unexpected', `${id} was pushed as ${token}`, end)
    else if (enqueues.get(token)?.some(sent => sent.print !== print)) {
      found('changed', `${id} (${token}) was pushed otherwise`, end)
    }
  }
  const byMessage = Map.groupBy(pushes, ({ id }) => id)
  for (const { id, pushed, stored } of stories) {
    if (!pushed || stored?.state !== 'acked' || byMessage.get(id)?.some(isDelivered)) continue
    found('undelivered', `${id} was acked, and the endpoint never answered 2xx`)
  }
  for (const { queue, pushed, ordered } of audit.queues) {
    if (!pushed || !ordered) continue
    const ofQueue = stories.filter(story => story.queue === queue)
    judgePushOrder(ofQueue, enqueues, byMessage, found)
  }
}

/** Of each group, no message reaches the endpoint before the endpoint has taken the one before it. */
function judgePushOrder(
  stories: Story[],
  enqueues: Seen['enqueues'],
  byMessage: Map<string, PushEvent[]>,
  found: Found
): void {
  const places = new Map([...enqueues.keys()].map((token, place) => [token, place]))
  const groupOf = ({ token }: Story) => enqueues.get(token)?.[0]?.group
  for (const [group, line] of Map.groupBy(stories, groupOf)) {
    if (group === undefined) continue
    line.sort((a, b) => places.get(a.token)! - places.get(b.token)!)
    for (const [index, { id }] of line.entries()) {
      const before = line[index - 1]
      const first = Math.min(...(byMessage.get(id) ?? []).map(({ at }) => at))
      if (before === undefined || first === Infinity) continue
      const taken = (byMessage.get(before.id) ?? []).filter(isDelivered).map(({ end }) => end)
      if (Math.min(...taken) <= first + slackMs) continue
      found('outOfOrder', `${id} of ${group} was pushed before ${before.id} was taken`, first)
    }
  }
}
