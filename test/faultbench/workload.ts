/**
 * Producers and consumers, in a process that the bench can stop. What they did and were told goes
 * into the history.
 */
import { createWriteStream } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { bodiesOf, draft, type Draft } from './drafts.ts'
import { printOf, tokenOf, type Event, type LeaseEvent, type SettleEvent } from './history.ts'
import { random, type Random } from './random.ts'

export interface Load {
  name: string
  seed: number
  urls: string[]
  queues: string[]
  history: string
  producers: number
  consumers: number
  /** Consumers that stall past the end of their lease, and settle all the same. */
  zombies: number
}

const callMsMax = 8000
const leaseMs = 2000
const zombieLeaseMs = 1000

const load = JSON.parse(process.argv[2]!) as Load
const history = createWriteStream(load.history, { flags: 'a' })
const log = (event: Event) => history.write(`${JSON.stringify(event)}\n`)
/** Told to the bench, for its progress line. */
const counts = { enqueued: 0, leased: 0, acked: 0 }
const phase = { producing: true, consuming: true }
let tokensMade = 0
const newToken = () => `${load.name}-${++tokensMade}`

interface Answer {
  status: number
  text: string
  body: any
}

/**
 * One call at a random replica. 'none' when it can have had no effect, 'unknown' when nobody can
 * say. An answer that the contract does not allow is noted as odd.
 */
async function call(
  path: string,
  body: string | Buffer,
  headers: Record<string, string>,
  allowed: number[],
  dice: Random
): Promise<Answer | 'none' | 'unknown'> {
  try {
    const response = await fetch(`${dice.pick(load.urls)}/queues/${path}`, {
      method: 'POST',
      body: body as string,
      headers,
      signal: AbortSignal.timeout(callMsMax)
    })
    const { status } = response
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    const answer = { status, text, body: isJson ? JSON.parse(text) : null }
    if (allowed.includes(status)) return answer
    const { outcome, code } = answer.body ?? {}
    const isAllowed =
      status === 503 && ['none', 'unknown'].includes(outcome) && response.headers.get('retry-after') !== null
    if (!isAllowed) odd(`${path} was answered ${status} ${code ?? text.slice(0, 200)}, outcome ${outcome}`)
    await pause(100)
    return outcome === 'none' || (status >= 400 && status < 500) ? 'none' : 'unknown'
  } catch (error) {
    await pause(50)
    return (error as any).cause?.code === 'ECONNREFUSED' ? 'none' : 'unknown'
  }
}

function odd(what: string): void {
  log({ t: 'odd', at: Date.now(), what })
}

const json = { 'content-type': 'application/json' }

/** How some messages are sent. */
interface Order {
  queue: string
  raw: boolean
  list: boolean
  keyed: boolean
  delayMs: number
}

async function produce(dice: Random): Promise<void> {
  while (phase.producing) {
    const queue = dice.pick(load.queues)
    const raw = dice.chance(0.2)
    const list = !raw && dice.chance(0.3)
    const keyed = dice.chance(0.5)
    const order: Order = { queue, raw, list, keyed, delayMs: dice.chance(0.05) ? 700 : 0 }
    const drafts = Array.from({ length: list ? 1 + dice.below(10) : 1 }, () =>
      draft(raw ? dice.pick(['text', 'bytes']) : 'json', newToken(), dice)
    )
    // Only with a key is it safe to send again. Without one a lost answer stays unknown.
    let isStored = await enqueue(order, drafts, dice)
    if (keyed) while (!isStored && phase.producing) isStored = await enqueue(order, drafts, dice)
    if (keyed && isStored && dice.chance(0.1)) await enqueue(order, drafts, dice)
    if (keyed && isStored && !list && dice.chance(0.1)) await reuse(queue, drafts[0]!, dice)
    await pause(30 + dice.below(100))
  }
}

/** True when the messages are known to be stored. */
async function enqueue(order: Order, drafts: Draft[], dice: Random): Promise<boolean> {
  const { queue, raw, list, keyed, delayMs } = order
  const at = Date.now()
  const answer = await (raw ? sendRaw(order, drafts[0]!, dice) : sendJson(order, drafts, dice))
  const end = Date.now()
  const isStored = typeof answer === 'object'
  for (const [index, { token, body, contentType, headers }] of drafts.entries()) {
    const stored = isStored && (list ? answer.body.messages[index] : answer.body)
    log({
      t: 'enqueue',
      queue,
      token,
      keyed,
      print: printOf(body, contentType, headers),
      at,
      end,
      out: isStored ? 'ok' : answer,
      delayMs,
      ...(isStored && { id: stored.id as string })
    })
    if (isStored) counts.enqueued++
  }
  return isStored
}

function sendRaw({ queue, keyed, delayMs }: Order, { body, contentType, token }: Draft, dice: Random) {
  const query = delayMs > 0 ? `?delaySeconds=${delayMs / 1000}` : ''
  const headers = { 'content-type': contentType, ...(keyed && { 'idempotency-key': token }) }
  return call(`${queue}/messages${query}`, body, headers, [200, 201], dice)
}

/** As text, since JSON.stringify would change the bodies. */
function sendJson({ queue, list, keyed, delayMs }: Order, drafts: Draft[], dice: Random) {
  const messages = drafts.map(({ token, body, headers }) => {
    const key = keyed ? `,"idempotencyKey":"${token}"` : ''
    const delay = delayMs > 0 ? `,"delaySeconds":${delayMs / 1000}` : ''
    return `{"body":${body},"headers":${JSON.stringify(headers)}${key}${delay}}`
  })
  const text = list ? `{"messages":[${messages}]}` : messages[0]!
  return call(`${queue}/messages`, text, json, [200, 201], dice)
}

/** The key of a stored message must be refused for other content. */
async function reuse(queue: string, { token }: Draft, dice: Random): Promise<void> {
  const text = `{"body":"other","idempotencyKey":"${token}"}`
  const answer = await call(`${queue}/messages`, text, json, [200, 201, 422], dice)
  if (typeof answer === 'object' && answer.status !== 422) {
    odd(`the key of ${token} was taken for other content: ${answer.status}`)
  }
}

interface Held {
  queue: string
  id: string
  fence: number
  receipt: string
}

async function lease(queue: string, max: number, ms: number, ack: Held[], dice: Random): Promise<Held[]> {
  const key = dice.chance(0.2) ? newToken() : undefined
  const request = JSON.stringify({
    max,
    waitSeconds: 2,
    leaseSeconds: ms / 1000,
    worker: load.name,
    idempotencyKey: key,
    ack: ack.length > 0 ? ack.map(({ receipt }) => receipt) : undefined
  })
  for (let attempt = 1; attempt <= 3; attempt++) {
    const at = Date.now()
    const answer = await call(`${queue}/lease`, request, json, [200], dice)
    const end = Date.now()
    const isAnswered = typeof answer === 'object'
    logSettles('ack', ack, at, isAnswered ? answer.body.outcomes : answer)
    if (isAnswered) return logLeases(answer, { queue, leaseMs: ms, at, end })
    log({ t: 'lost', queue, at, end })
    // With a key the same leases come again. Without one they are left to expire.
    if (key === undefined && ack.length === 0) return []
  }
  return []
}

function logLeases(answer: Answer, call: Pick<LeaseEvent, 'queue' | 'leaseMs' | 'at' | 'end'>): Held[] {
  const bodies = bodiesOf(answer.text)
  return answer.body.messages.map((message: any, index: number): Held => {
    const { id, fence, attempt, maxAttempts, contentType, headers, leaseExpiresAt, receipt } = message
    const body = bodies[index] ?? Buffer.from('unreadable')
    log({
      t: 'lease',
      id,
      token: tokenOf(body),
      print: printOf(body, contentType, headers),
      fence,
      attempt,
      maxAttempts,
      until: Date.parse(leaseExpiresAt),
      ...call
    })
    counts.leased++
    return { queue: call.queue, id, fence, receipt }
  })
}

function logSettles(
  verb: SettleEvent['verb'],
  held: Held[],
  at: number,
  answer: 'none' | 'unknown' | any[],
  dead = false
): void {
  const end = Date.now()
  for (const [index, { queue, id, fence }] of held.entries()) {
    const outcome = typeof answer === 'string' ? null : answer[index]
    const until = Date.parse(outcome?.leaseExpiresAt ?? outcome?.visibleAt)
    log({
      t: 'settle',
      verb,
      queue,
      id,
      fence,
      at,
      end,
      out: outcome?.outcome ?? answer,
      dead,
      ...(!Number.isNaN(until) && { until })
    })
    if (outcome?.outcome === 'acked') counts.acked++
  }
}

/** Settles, and settles again, at most three times, while nobody can say whether it was done. */
async function settle(
  verb: SettleEvent['verb'],
  held: Held[],
  dice: Random,
  options: { dead?: boolean; delaySeconds?: number; leaseSeconds?: number } = {}
): Promise<void> {
  if (held.length === 0) return
  const path = `${held[0]!.queue}/${verb}`
  const items = held.map(({ receipt }) => ({ receipt, ...options }))
  const name = { ack: 'receipts', release: 'receipts', fail: 'failures', extend: 'extensions' }[verb]
  const list = { [name]: name === 'receipts' ? items.map(({ receipt }) => receipt) : items }
  for (let attempt = 1; attempt <= 4; attempt++) {
    const at = Date.now()
    const alone = held.length === 1 && dice.chance(0.5)
    const text = JSON.stringify(alone ? items[0] : list)
    const answer = await call(path, text, json, alone ? [200, 409] : [200], dice)
    if (typeof answer === 'string') {
      logSettles(verb, held, at, answer, options.dead)
      continue
    }
    // A single settle that is refused has a code in place of an outcome.
    const outcomes = alone ? [{ outcome: answer.body.code, ...answer.body }] : answer.body.outcomes
    return logSettles(verb, held, at, outcomes, options.dead)
  }
}

async function consume(dice: Random): Promise<void> {
  let done: Held[] = []
  let queue = dice.pick(load.queues)
  while (phase.consuming) {
    if (done.length === 0) queue = dice.pick(load.queues)
    const held = await lease(queue, 1 + dice.below(20), leaseMs, done, dice)
    done = []
    const fates = Map.groupBy(held, message => fateOf(message, dice))
    const of = (fate: string) => fates.get(fate) ?? []
    if (of('extend').length > 0) longJobs.add(work(of('extend'), dice))
    await settle('fail', of('fail'), dice)
    await settle('fail', of('back'), dice, { delaySeconds: 0 })
    await settle('fail', of('dead'), dice, { dead: true })
    await settle('release', of('release'), dice)
    await settle('ack', of('ack'), dice)
    done = of('step')
  }
  await settle('ack', done, dice)
}

/** What a consumer does with a message. A `step` is acked with the next lease. */
function fateOf({ fence }: Held, dice: Random): string {
  return dice.weighted({
    ack: 60,
    step: 24,
    fail: 4,
    back: 3,
    release: 4,
    // A message that had a holder before often takes long, so that this holder's late call meets a
    // newer lease.
    extend: fence > 1 ? 100 : 3,
    dead: 1,
    abandon: 1
  })
}

const longJobs = new Set<Promise<void>>()

/** Work that takes longer than its lease, which is extended. */
async function work(held: Held[], dice: Random): Promise<void> {
  await settle('extend', held, dice, { leaseSeconds: (2 * leaseMs) / 1000 })
  await pause(leaseMs + 300)
  await settle('ack', held, dice)
}

/** A zombie: it settles after the end of its lease. */
async function haunt(dice: Random): Promise<void> {
  while (phase.consuming) {
    const held = await lease(dice.pick(load.queues), 1 + dice.below(5), zombieLeaseMs, [], dice)
    if (held.length === 0) continue
    await pause(zombieLeaseMs + 300 + dice.below(2000))
    const verb = dice.pick(['ack', 'ack', 'fail', 'release', 'extend'] as const)
    await settle(verb, held, dice, verb === 'extend' ? { leaseSeconds: 1 } : {})
  }
}

process.on('message', word => {
  phase.producing = false
  if (word === 'stop') phase.consuming = false
})
process.on('disconnect', () => process.exit())
const telling = setInterval(() => process.send!(counts), 250)
const callers = (
  [
    [produce, load.producers],
    [consume, load.consumers],
    [haunt, load.zombies]
  ] as const
).flatMap(([work, count], kind) =>
  Array.from({ length: count }, (_, index) => work(random(load.seed * 1000 + kind * 100 + index)))
)
await Promise.all(callers)
await Promise.all(longJobs)
clearInterval(telling)
await new Promise<void>(resolve => {
  history.end(resolve)
})
process.exit()
