/** The calls of a workload, and how they go into the history. */
import { createWriteStream } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { bodiesOf, thenOf } from './drafts.ts'
import { printOf, tokenOf, type Event, type LeaseEvent, type SettleEvent } from './history.ts'
import type { Random } from './random.ts'

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
  /** Has a producer for each of the queues in kinds.ts. */
  kinds: boolean
  /** How long its consumers wait for a message. */
  waitSeconds: number
  /** The most that a consumer leases at once. */
  leaseMax: number
}

const callMsMax = 8000
export const leaseMs = 2000

export const load = JSON.parse(process.argv[2]!) as Load
export const history = createWriteStream(load.history, { flags: 'a' })
export const log = (event: Event) => history.write(`${JSON.stringify(event)}\n`)
/** Told to the bench, for its progress line. */
export const counts = { enqueued: 0, leased: 0, acked: 0 }
export const phase = { producing: true, consuming: true }
let tokensMade = 0
export const newToken = () => `${load.name}-${++tokensMade}`

export interface Answer {
  status: number
  text: string
  body: any
}

/**
 * One call at a random replica. 'none' when it can have had no effect, 'unknown' when nobody can
 * say. An answer that the contract does not allow is noted as odd.
 */
export async function call(
  path: string,
  body: string | Buffer,
  headers: Record<string, string>,
  allowed: number[],
  dice: Random
): Promise<Answer | 'none' | 'unknown'> {
  try {
    const response = await fetch(`${dice.pick(load.urls)}/${path}`, {
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

export function odd(what: string): void {
  log({ t: 'odd', at: Date.now(), what })
}

export const json = { 'content-type': 'application/json' }

export interface Held {
  queue: string
  id: string
  fence: number
  receipt: string
  group?: string
}

export async function lease(
  queue: string,
  max: number,
  ms: number,
  ack: Held[],
  dice: Random
): Promise<Held[]> {
  const key = dice.chance(0.2) ? newToken() : undefined
  const request = JSON.stringify({
    max,
    waitSeconds: load.waitSeconds,
    leaseSeconds: ms / 1000,
    worker: load.name,
    idempotencyKey: key,
    ack:
      ack.length > 0 ? ack.map(message => ({ receipt: message.receipt, ...ackOptions(message) })) : undefined
  })
  for (let attempt = 1; attempt <= 3; attempt++) {
    const at = Date.now()
    const answer = await call(`queues/${queue}/lease`, request, json, [200], dice)
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
    const { id, fence, attempt, maxAttempts, contentType, headers, leaseExpiresAt, receipt, group } = message
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
    return { queue: call.queue, id, fence, receipt, group }
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
  for (const [index, message] of held.entries()) {
    const { queue, id, fence } = message
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
      ...(!Number.isNaN(until) && { until }),
      ...(verb === 'ack' && queue === 'steps' && { then: thenOf(message).token })
    })
    if (verb === 'ack' && queue === 'steps') {
      const { token, print } = thenOf(message)
      const sent = { queue: 'next', token, keyed: false, print, at, end, delayMs: 0 }
      if (typeof answer === 'string') log({ t: 'enqueue', ...sent, out: answer })
      else if (outcome.then !== undefined) log({ t: 'enqueue', ...sent, out: 'ok', id: outcome.then[0].id })
    }
    if (outcome?.outcome === 'acked') counts.acked++
  }
}

/** Settles, and settles again, at most three times, while nobody can say whether it was done. */
export async function settle(
  verb: SettleEvent['verb'],
  held: Held[],
  dice: Random,
  options: { dead?: boolean; delaySeconds?: number; leaseSeconds?: number } = {}
): Promise<void> {
  if (held.length === 0) return
  const path = `queues/${held[0]!.queue}/${verb}`
  const items = held.map(message => ({
    receipt: message.receipt,
    ...options,
    ...(verb === 'ack' && ackOptions(message))
  }))
  const isStep = verb === 'ack' && held[0]!.queue === 'steps'
  const name = {
    ack: isStep ? 'acks' : 'receipts',
    release: 'receipts',
    fail: 'failures',
    extend: 'extensions'
  }[verb]
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

/** What an ack says beside the receipt. What follows a step comes with its ack. */
function ackOptions(message: Held): object {
  return message.queue === 'steps' ? { then: [{ queue: 'next', body: thenOf(message).body }] } : {}
}
