/** Queues that promise more than others, with the callers that put each promise to the test. */
import { setTimeout as pause } from 'node:timers/promises'
import { call, counts, json, lease, leaseMs, log, newToken, phase, settle, type Held } from './calls.ts'
import { draft } from './drafts.ts'
import { printOf } from './history.ts'
import { insist, type Order } from './producers.ts'
import { copiesOf } from './queues.ts'
import type { Random } from './random.ts'

const holdMs = 600
const relayPauseMs = 100
/** How many groups are relayed at a time. */
const relayGroups = 6

interface Kind {
  pauseMs: number
  listMax: number
  keyed?: boolean
  /** Without headers, because a push does not send them. */
  bare?: boolean
  options?: (dice: Random) => NonNullable<Order['options']>[number]
}

/** Some groups are busy. The others have a message or two, so nothing later helps one that is stuck. */
const groupOf = (dice: Random) => `group-${dice.chance(0.6) ? dice.below(5) : 10 + dice.below(1000)}`

/** What is sent to each queue. */
const sent: Record<string, Kind> = {
  ordered: {
    pauseMs: 150,
    listMax: 6,
    keyed: true,
    options: dice => ({ group: groupOf(dice) })
  },
  turns: {
    pauseMs: 150,
    listMax: 6,
    options: dice => ({ group: groupOf(dice), priority: dice.below(10) })
  },
  limited: { pauseMs: 1500, listMax: 20 },
  paced: { pauseMs: 2000, listMax: 10 },
  mortal: { pauseMs: 200, listMax: 3 },
  steps: { pauseMs: 150, listMax: 3 },
  pushed: { pauseMs: 150, listMax: 6, bare: true },
  'pushed-ordered': {
    pauseMs: 150,
    listMax: 6,
    keyed: true,
    bare: true,
    options: dice => ({ group: groupOf(dice) })
  },
  unique: { pauseMs: 60, listMax: 1, options: dice => ({ unique: { key: `key-${dice.below(6)}` } }) }
}

/** A producer for each of these queues, and what else is done to them. */
export const kinds: ((dice: Random) => Promise<void>)[] = [
  ...Object.entries(sent).map(
    ([queue, kind]) =>
      (dice: Random) =>
        send(queue, kind, dice)
  ),
  publish,
  publish,
  publish,
  redrive,
  climb,
  climb,
  relay,
  hoard,
  hoard,
  hoard
]

async function send(
  queue: string,
  { pauseMs, listMax, keyed, bare, options }: Kind,
  dice: Random
): Promise<void> {
  while (phase.producing) {
    const list = listMax > 1
    const drafts = Array.from({ length: 1 + dice.below(listMax) }, () => {
      const made = draft('json', newToken(), dice)
      return bare ? { ...made, headers: {} } : made
    })
    const order: Order = { queue, raw: false, list, keyed: keyed ?? dice.chance(0.5), delayMs: 0 }
    const same = dice.chance(0.5) ? options?.(dice) : undefined
    if (options !== undefined) order.options = drafts.map(() => same ?? options(dice))
    // What is sent again may be stored when its first key is free again.
    if (queue === 'unique') order.keyed = false
    await insist(order, drafts, dice)
    await pause(dice.below(2 * pauseMs))
  }
}

/** Publishes to a topic, to which all of its queues are subscribed. */
async function publish(dice: Random): Promise<void> {
  while (phase.producing) {
    const { token, body, contentType, headers } = draft('json', newToken(), dice)
    const print = printOf(body, contentType, headers)
    const text = `{"body":${body},"headers":${JSON.stringify(headers)}}`
    const at = Date.now()
    const answer = await call('topics/news/messages', text, json, [200, 201], dice)
    const end = Date.now()
    for (const queue of copiesOf.news) {
      const copy =
        typeof answer === 'object' ? answer.body.messages.find((copy: any) => copy.queue === queue) : null
      const out = typeof answer === 'object' ? 'ok' : answer
      const sent = { queue, token, keyed: false, print, at, end, delayMs: 0 }
      log({ t: 'enqueue', ...sent, out, ...(copy != null && { id: copy.id }) })
      if (out === 'ok') counts.enqueued++
    }
    await pause(dice.below(150))
  }
}

/** Sends messages home from the dead-letter queue. */
async function redrive(dice: Random): Promise<void> {
  while (phase.producing) {
    await call('queues/dead/redrive', '{}', json, [200], dice)
    await pause(dice.below(400))
  }
}

/** Works on steps only, and acks them at once. */
async function climb(dice: Random): Promise<void> {
  while (phase.consuming) {
    await settle('ack', await lease('steps', 1 + dice.below(4), leaseMs, [], dice), dice)
  }
}

/**
 * Acks each message of `relay` while it sends the next one of the group. So the ack of a group's last
 * message races with an enqueue. Each group has one sender, so its order is known.
 */
async function relay(dice: Random): Promise<void> {
  let groupsMade = 0
  const pass = (group: string) => {
    const order: Order = {
      queue: 'relay',
      raw: false,
      list: false,
      keyed: true,
      delayMs: 0,
      options: [{ group }]
    }
    return insist(order, [draft('json', newToken(), dice)], dice)
  }
  for (; phase.consuming; await pause(dice.below(2 * relayPauseMs))) {
    const held = await lease('relay', relayGroups, leaseMs, [], dice)
    const byGroup = [...Map.groupBy(held, ({ group }) => group!)]
    const groups = byGroup.map(([group]) => group).filter(() => dice.chance(0.9))
    for (let count = byGroup.length; count < relayGroups; count++) groups.push(`relay-${++groupsMade}`)
    await Promise.all([
      ...(phase.producing ? groups.map(pass) : []),
      ...byGroup.map(([, messages]) => settle('ack', messages, dice))
    ])
  }
}

/** Takes what the limit of leased messages allows, a few at a time, and works on it for a while. */
async function hoard(dice: Random): Promise<void> {
  const jobs = new Set<Promise<void>>()
  while (phase.consuming) {
    const held = await lease('limited', 1 + dice.below(3), leaseMs, [], dice)
    if (held.length === 0) continue
    const job = work(held, dice).finally(() => jobs.delete(job))
    jobs.add(job)
  }
  await Promise.all(jobs)
}

async function work(held: Held[], dice: Random): Promise<void> {
  await pause(holdMs / 2 + dice.below(holdMs))
  await settle(dice.pick(['ack', 'ack', 'ack', 'release', 'fail']), held, dice)
}
