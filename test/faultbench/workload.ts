/**
 * Producers and consumers in a process of their own, which the bench can stop. Whatever they did
 * and were told goes into the history.
 */
import { createWriteStream } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { random, type Random } from './random.ts'
import { printOf, tokenOf, type Event, type SettleEvent } from './history.ts'

export interface Load {
  name: string
  seed: number
  urls: string[]
  queues: string[]
  history: string
  producers: number
  consumers: number
  /** Consumers that stall past the end of their lease and settle all the same. */
  zombies: number
}

const callMsMax = 8000
const leaseMs = 2000
const zombieLeaseMs = 1000

const load = JSON.parse(process.argv[2]!) as Load
const history = createWriteStream(load.history, { flags: 'a' })
const log = (event: Event) => history.write(`${JSON.stringify(event)}\n`)
const replicaStats = { enqueued: 0, leased: 0, acked: 0 }
const phase = { producing: true, consuming: true }
let made = 0

interface Answer {
  status: number
  text: string
  body: any
}

/**
 * Null when the call can have had no effect, 'unknown' when nobody can say; what the contract does
 * not allow is told as odd.
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
    const text = await response.text()
    const json = /json/.test(response.headers.get('content-type') ?? '')
    const answer = { status: response.status, text, body: json ? JSON.parse(text) : null }
    if (allowed.includes(response.status)) return answer
    const { outcome, code } = answer.body ?? {}
    const fine =
      response.status === 503 &&
      ['none', 'unknown'].includes(outcome) &&
      response.headers.get('retry-after') !== null
    if (!fine) {
      log({
        t: 'odd',
        at: Date.now(),
        what: `${path} was answered ${response.status} ${code ?? text.slice(0, 200)}, outcome ${outcome}`
      })
    }
    await pause(100)
    return outcome === 'none' || (response.status >= 400 && response.status < 500) ? 'none' : 'unknown'
  } catch (error) {
    await pause(50)
    return (error as any).cause?.code === 'ECONNREFUSED' ? 'none' : 'unknown'
  }
}

const json = { 'content-type': 'application/json' }

interface Draft {
  token: string
  body: Buffer
  contentType: string
  headers: Record<string, string>
}

/**
 * Bodies that show whether they were read and written anew: digits, escapes, names and bytes that
 * do not survive that.
 */
function draft(kind: 'json' | 'text' | 'bytes', dice: Random): Draft {
  const token = `${load.name}-${++made}`
  const filling = 'x'.repeat(dice.chance(0.02) ? 20_000 : dice.below(200))
  const headers: Record<string, string> =
    kind === 'json' && dice.chance(0.3) ? { trace: token, 'wéird ': '\u0001"\\' } : {}
  if (kind === 'json') {
    return {
      token,
      body: Buffer.from(
        `{ "id":"<${token}>", "big":12345678901234567890.10, "d":1.0,"d":2e0, ` +
          `"esc":"\\u0041\\/é\\ud83d\\ude00" ,"f":"${filling}"}`
      ),
      contentType: 'application/json',
      headers
    }
  }
  if (kind === 'text') {
    return {
      token,
      body: Buffer.from(`<${token}> "grüße"\r\n\\u0041 ${filling}`),
      contentType: 'text/plain; charset=UTF-8',
      headers
    }
  }
  return {
    token,
    body: Buffer.concat([
      Buffer.from(`<${token}>`),
      Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      Buffer.from(filling)
    ]),
    contentType: 'application/octet-stream',
    headers
  }
}

async function produce(dice: Random): Promise<void> {
  while (phase.producing) {
    const queue = dice.pick(load.queues)
    const raw = dice.chance(0.2)
    const list = !raw && dice.chance(0.3)
    const keyed = dice.chance(0.5)
    const delayMs = dice.chance(0.05) ? 700 : 0
    const drafts = Array.from({ length: list ? 1 + dice.below(10) : 1 }, () =>
      draft(raw ? dice.pick(['text', 'bytes']) : 'json', dice)
    )
    const send = async (sent: Draft[]): Promise<boolean> => {
      const messages = sent.map(
        ({ token, body, headers }) =>
          `{"body":${body},"headers":${JSON.stringify(headers)}${keyed ? `,"idempotencyKey":"${token}"` : ''}${delayMs > 0 ? `,"delaySeconds":${delayMs / 1000}` : ''}}`
      )
      const at = Date.now()
      const answer = raw
        ? await call(
            `${queue}/messages${delayMs > 0 ? `?delaySeconds=${delayMs / 1000}` : ''}`,
            sent[0]!.body,
            { 'content-type': sent[0]!.contentType, ...(keyed && { 'idempotency-key': sent[0]!.token }) },
            [200, 201],
            dice
          )
        : await call(
            `${queue}/messages`,
            list ? `{"messages":[${messages}]}` : messages[0]!,
            json,
            [200, 201],
            dice
          )
      const end = Date.now()
      const sure = typeof answer === 'object'
      for (const [index, { token, body, contentType, headers }] of sent.entries()) {
        const id = sure ? ((list ? answer.body.messages[index] : answer.body).id as string) : undefined
        log({
          t: 'enqueue',
          queue,
          token,
          keyed,
          print: printOf(body, contentType, headers),
          at,
          end,
          out: sure ? 'ok' : answer,
          delayMs,
          ...(id !== undefined && { id })
        })
        if (sure) replicaStats.enqueued++
      }
      return sure
    }
    // Only a key makes it safe to send it again; without one an answer that was lost stays unknown.
    let sure = await send(drafts)
    if (keyed) while (!sure && phase.producing) sure = await send(drafts)
    if (keyed && sure && dice.chance(0.1)) await send(drafts)
    if (keyed && sure && !list && dice.chance(0.1)) await reuse(queue, drafts[0]!, dice)
    await pause(30 + dice.below(100))
  }
}

/** The key of a message for other content is refused, whenever it is asked. */
async function reuse(queue: string, { token }: Draft, dice: Random): Promise<void> {
  const answer = await call(
    `${queue}/messages`,
    `{"body":"other","idempotencyKey":"${token}"}`,
    json,
    [200, 201, 422],
    dice
  )
  if (typeof answer === 'object' && answer.status !== 422) {
    log({
      t: 'odd',
      at: Date.now(),
      what: `the key of ${token} was taken for other content: ${answer.status}`
    })
  }
}

interface Held {
  queue: string
  id: string
  fence: number
  receipt: string
}

/** Bodies exactly as they stand in the answer: what JSON.parse gives would be read anew. */
function bodiesOf(text: string): Buffer[] {
  return [
    ...text.matchAll(/"maxAttempts":\d+,"body(Base64)?":(.*?),"contentType":"([^"]*)","headers":/gs)
  ].map(([, base64, body, type]) =>
    base64 !== undefined
      ? Buffer.from(JSON.parse(body!), 'base64')
      : Buffer.from(type === 'application/json' ? body! : JSON.parse(body!))
  )
}

async function lease(queue: string, max: number, ms: number, ack: Held[], dice: Random): Promise<Held[]> {
  const key = dice.chance(0.2) ? `${load.name}-${++made}` : undefined
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
    const sure = typeof answer === 'object'
    logSettles('ack', ack, at, sure ? answer.body.outcomes : answer)
    if (sure) {
      const bodies = bodiesOf(answer.text)
      return answer.body.messages.map((message: any, index: number): Held => {
        const body = bodies[index] ?? Buffer.from('unreadable')
        log({
          t: 'lease',
          queue,
          id: message.id,
          token: tokenOf(body),
          print: printOf(body, message.contentType, message.headers),
          fence: message.fence,
          attempt: message.attempt,
          maxAttempts: message.maxAttempts,
          until: Date.parse(message.leaseExpiresAt),
          leaseMs: ms,
          at,
          end
        })
        replicaStats.leased++
        return { queue, id: message.id, fence: message.fence, receipt: message.receipt }
      })
    }
    log({ t: 'lost', queue, at, end })
    // With a key the same leases come again; without one they are left to expire.
    if (key === undefined && ack.length === 0) return []
  }
  return []
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
    if (outcome?.outcome === 'acked') replicaStats.acked++
  }
}

/** Settles, and again when nobody can say whether it was done. */
async function settle(
  verb: SettleEvent['verb'],
  held: Held[],
  dice: Random,
  options: { dead?: boolean; delaySeconds?: number; leaseSeconds?: number } = {}
): Promise<void> {
  if (held.length === 0) return
  const items = held.map(({ receipt }) => ({ receipt, ...options }))
  const list = { ack: 'receipts', release: 'receipts', fail: 'failures', extend: 'extensions' }[verb]
  for (let attempt = 1, sure = false; attempt <= 4 && !sure; attempt++) {
    const at = Date.now()
    const alone = held.length === 1 && dice.chance(0.5)
    const answer = await call(
      `${held[0]!.queue}/${verb}`,
      JSON.stringify(
        alone ? items[0] : { [list]: list === 'receipts' ? items.map(({ receipt }) => receipt) : items }
      ),
      json,
      alone ? [200, 409] : [200],
      dice
    )
    sure = typeof answer === 'object'
    logSettles(
      verb,
      held,
      at,
      typeof answer === 'string'
        ? answer
        : alone
          ? [{ outcome: answer.body.code, ...answer.body }]
          : answer.body.outcomes,
      options.dead
    )
  }
}

async function consume(dice: Random): Promise<void> {
  let done: Held[] = []
  let queue = dice.pick(load.queues)
  while (phase.consuming) {
    if (done.length === 0) queue = dice.pick(load.queues)
    const held = await lease(queue, 1 + dice.below(20), leaseMs, done, dice)
    done = []
    const fates: Record<string, Held[]> = {
      ack: [],
      step: [],
      fail: [],
      back: [],
      dead: [],
      release: [],
      extend: [],
      abandon: []
    }
    // What has been leased before is often worked on for long, so that its former holder's late
    // call meets a newer lease.
    for (const one of held) {
      fates[
        dice.weighted({
          ack: 60,
          step: 24,
          fail: 4,
          back: 3,
          release: 4,
          extend: Number(one.fence) > 1 ? 100 : 3,
          dead: 1,
          abandon: 1
        })
      ]!.push(one)
    }
    if (fates.extend!.length > 0) longJobs.add(work(fates.extend!, dice))
    await settle('fail', fates.fail!, dice)
    await settle('fail', fates.back!, dice, { delaySeconds: 0 })
    await settle('fail', fates.dead!, dice, { dead: true })
    await settle('release', fates.release!, dice)
    await settle('ack', fates.ack!, dice)
    done = fates.step!
  }
  await settle('ack', done, dice)
}

const longJobs = new Set<Promise<void>>()

/** Takes longer than the lease was at first, and so extends it. */
async function work(held: Held[], dice: Random): Promise<void> {
  await settle('extend', held, dice, { leaseSeconds: (2 * leaseMs) / 1000 })
  await pause(leaseMs + 300)
  await settle('ack', held, dice)
}

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
const telling = setInterval(() => process.send!(replicaStats), 250)
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
