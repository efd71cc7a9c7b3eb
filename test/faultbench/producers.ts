/** Producers, and how they send messages. */
import { setTimeout as pause } from 'node:timers/promises'
import { call, counts, json, load, log, newToken, odd, phase } from './calls.ts'
import { draft, type Draft } from './drafts.ts'
import { printOf } from './history.ts'
import type { Random } from './random.ts'

/** How some messages are sent. */
export interface Order {
  queue: string
  raw: boolean
  list: boolean
  keyed: boolean
  delayMs: number
  /** Other options of each message. */
  options?: { group?: string; priority?: number; unique?: { key: string } }[]
}

export async function produce(dice: Random): Promise<void> {
  while (phase.producing) {
    const queue = dice.pick(load.queues)
    const raw = dice.chance(0.2)
    const list = !raw && dice.chance(0.3)
    const keyed = dice.chance(0.5)
    const order: Order = { queue, raw, list, keyed, delayMs: dice.chance(0.05) ? 700 : 0 }
    const drafts = Array.from({ length: list ? 1 + dice.below(10) : 1 }, () =>
      draft(raw ? dice.pick(['text', 'bytes']) : 'json', newToken(), dice)
    )
    const isStored = await insist(order, drafts, dice)
    if (keyed && isStored && dice.chance(0.1)) await enqueue(order, drafts, dice)
    if (keyed && isStored && !list && dice.chance(0.1)) await reuse(queue, drafts[0]!, dice)
    await pause(30 + dice.below(100))
  }
}

/**
 * Only with a key is it safe to send again. Without one a lost answer stays unknown. True when the
 * messages are known to be stored.
 */
export async function insist(order: Order, drafts: Draft[], dice: Random): Promise<boolean> {
  let isStored = await enqueue(order, drafts, dice)
  if (order.keyed) while (!isStored && phase.producing) isStored = await enqueue(order, drafts, dice)
  return isStored
}

/** True when the messages are known to be stored. */
export async function enqueue(order: Order, drafts: Draft[], dice: Random): Promise<boolean> {
  const { queue, raw, list, keyed, delayMs } = order
  const at = Date.now()
  const answer = await (raw ? sendRaw(order, drafts[0]!, dice) : sendJson(order, drafts, dice))
  const end = Date.now()
  const isStored = typeof answer === 'object'
  for (const [index, { token, body, contentType, headers }] of drafts.entries()) {
    const stored = isStored && (list ? answer.body.messages[index] : answer.body)
    const { group, unique } = order.options?.[index] ?? {}
    if (unique !== undefined && stored.duplicate) {
      log({ t: 'kept', queue, key: unique.key, id: stored.id, at, end })
      continue
    }
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
      ...(group !== undefined && { group }),
      ...(unique !== undefined && { unique: unique.key }),
      ...(isStored && { id: stored.id as string })
    })
    if (isStored) counts.enqueued++
  }
  return isStored
}

function sendRaw({ queue, keyed, delayMs }: Order, { body, contentType, token }: Draft, dice: Random) {
  const query = delayMs > 0 ? `?delaySeconds=${delayMs / 1000}` : ''
  const headers = { 'content-type': contentType, ...(keyed && { 'idempotency-key': token }) }
  return call(`queues/${queue}/messages${query}`, body, headers, [200, 201], dice)
}

/** As text, since JSON.stringify would change the bodies. */
function sendJson({ queue, list, keyed, delayMs, options }: Order, drafts: Draft[], dice: Random) {
  const messages = drafts.map(({ token, body, headers }, index) => {
    const key = keyed ? `,"idempotencyKey":"${token}"` : ''
    const delay = delayMs > 0 ? `,"delaySeconds":${delayMs / 1000}` : ''
    const others = JSON.stringify({ headers, ...options?.[index] }).slice(1, -1)
    return `{"body":${body},${others}${key}${delay}}`
  })
  const text = list ? `{"messages":[${messages}]}` : messages[0]!
  return call(`queues/${queue}/messages`, text, json, [200, 201], dice)
}

/** The key of a stored message must be refused for other content. */
async function reuse(queue: string, { token }: Draft, dice: Random): Promise<void> {
  const text = `{"body":"other","idempotencyKey":"${token}"}`
  const answer = await call(`queues/${queue}/messages`, text, json, [200, 201, 422], dice)
  if (typeof answer === 'object' && answer.status !== 422) {
    odd(`the key of ${token} was taken for other content: ${answer.status}`)
  }
}
