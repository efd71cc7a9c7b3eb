/** What one API key does to stop the others. It has rights on its own queues only. */
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Order {
  ports: number[]
  secret: string
  /** The names of the deeds to do at once. */
  deeds: string[]
}

const mib = 1024 * 1024

const time = { over: false }
/** Answers by deed and status. */
export const answers: Record<string, number> = {}
const sockets = new Set<net.Socket>()

function count(deed: string, status: number | string): void {
  const key = `${deed} ${status}`
  answers[key] = (answers[key] ?? 0) + 1
}

/** A call that reads its answer. */
async function call(
  order: Order,
  deed: string,
  method: string,
  path: string,
  body?: string,
  fields: Record<string, string> = {}
): Promise<string> {
  const port = order.ports[Math.floor(Math.random() * order.ports.length)]
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${order.secret}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...fields
      },
      ...(body !== undefined && { body })
    })
    count(deed, response.status)
    return await response.text()
  } catch {
    count(deed, 'broken')
    return ''
  }
}

/** Does it again and again, with so many calls at once. */
async function repeat(times: number, work: () => Promise<unknown>): Promise<void> {
  await Promise.all(
    Array.from({ length: times }, async () => {
      while (!time.over) {
        await work()
        await pause(1)
      }
    })
  )
}

/** A connection on which the text is sent, and nothing is read. */
function open({ ports }: Order, text: string | Buffer, reads = false): Promise<net.Socket> {
  const socket = net.connect({ port: ports[sockets.size % ports.length]!, host: '127.0.0.1' })
  sockets.add(socket)
  socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  if (reads) socket.resume()
  return new Promise(resolve => {
    socket.on('connect', () => {
      socket.write(text)
      resolve(socket)
    })
    socket.on('close', () => resolve(socket))
  })
}

const head = ({ secret }: Order, method: string, path: string, length: number) =>
  `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${secret}\r\n` +
  `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`

const message = (body: string) => JSON.stringify({ body })

/** The deeds. Each goes on until the end, and opens connections again that the service closes. */
export const deeds: Record<string, (order: Order) => Promise<unknown>> = {
  // A long piece that is almost found at every byte of every body.
  async search(order) {
    const piece = `b${'a'.repeat(199)}`
    await repeat(12, () => call(order, 'search', 'GET', `/queues/a-bodies/messages?contains=${piece}`))
  },
  async bulk(order) {
    const where = JSON.stringify({ where: { contains: `b${'a'.repeat(199)}` } })
    await repeat(4, () => call(order, 'purge', 'POST', '/queues/a-bodies/purge', where))
    await repeat(4, () => call(order, 'count', 'POST', '/queues/a-bodies/redrive', where))
  },
  async unreadAnswers(order) {
    while (!time.over) {
      const body = '{"max":8,"leaseSeconds":1}'
      if (sockets.size < 2000) {
        await Promise.all(
          Array.from({ length: 32 }, () =>
            open(order, head(order, 'POST', '/queues/a-bodies/lease', body.length) + body)
          )
        )
      }
      await pause(1000)
    }
  },
  async pipelinedWaits(order) {
    const body = '{"waitSeconds":60}'
    const one = head(order, 'POST', '/queues/a-nothing/lease', body.length) + body
    while (!time.over) {
      const socket = await open(order, one.repeat(20_000), true)
      while (!time.over && !socket.destroyed) await pause(50)
    }
  },
  async waits(order) {
    await Promise.all(
      Array.from({ length: 500 }, async () => {
        while (!time.over) {
          const body = '{"waitSeconds":60}'
          const socket = await open(
            order,
            head(order, 'POST', '/queues/a-nothing/lease', body.length) + body,
            true
          )
          while (!time.over && !socket.destroyed) await pause(100)
        }
      })
    )
  },
  async announcedBodies(order) {
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        while (!time.over) {
          const socket = await open(order, `${head(order, 'POST', '/queues/a-1/messages', 8 * mib)}{"b`, true)
          while (!time.over && !socket.destroyed) await pause(100)
        }
      })
    )
  },
  async slowBodies(order) {
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        while (!time.over) {
          const socket = await open(order, head(order, 'POST', '/queues/a-1/messages', 8 * mib), true)
          const piece = Buffer.alloc(mib, 'a')
          for (let i = 0; i < 7 && !time.over && !socket.destroyed; i++) {
            socket.write(piece)
            await pause(200)
          }
          while (!time.over && !socket.destroyed) await pause(100)
        }
      })
    )
  },
  async consolePages(order) {
    await Promise.all(
      Array.from({ length: 150 }, async () => {
        while (!time.over) {
          const socket = await open(order, head(order, 'GET', '/console/live', 0), true)
          while (!time.over && !socket.destroyed) await pause(100)
          await pause(200)
        }
      })
    )
  },
  async newQueues(order) {
    let n = 0
    await repeat(4, () => call(order, 'new queue', 'POST', `/queues/a-${n++}-new/messages`, message('x')))
  },
  async unknownQueues(order) {
    let n = 0
    await repeat(16, () => call(order, 'unknown queue', 'POST', `/queues/a-no-${n++}/lease`, '{}'))
  },
  async schedules(order) {
    let n = 0
    const schedule = JSON.stringify({ queue: 'a-1', cron: '* * * * *', body: 'a'.repeat(100_000) })
    await repeat(2, () => call(order, 'schedule', 'PUT', `/schedules/a-${n++}`, schedule))
  },
  async floods(order) {
    const list = JSON.stringify({
      messages: Array(1000).fill({ body: 'a'.repeat(1000), idempotencyKey: undefined })
    })
    await repeat(16, () => call(order, 'list', 'POST', '/queues/a-1/messages', list))
  },
  async singles(order) {
    await repeat(64, () => call(order, 'single', 'POST', '/queues/a-2/messages', message('x')))
  },
  // Each needs a moment in which nobody writes a message.
  async standstills(order) {
    let n = 0
    await repeat(4, async () => {
      const ordering = n++ % 2 === 0 ? 'queue' : 'none'
      await call(order, 'order', 'PUT', '/queues/a-empty', JSON.stringify({ ordering }))
    })
  },
  async removals(order) {
    await repeat(4, async () => {
      await call(order, 'queue', 'PUT', '/queues/a-gone', '{}')
      await call(order, 'removal', 'DELETE', '/queues/a-gone?ifEmpty=true')
    })
  },
  async settings(order) {
    await repeat(8, () => call(order, 'setting', 'PUT', '/queues/a-2', '{"maxAttempts":5}'))
    await repeat(8, () => call(order, 'report', 'GET', '/queues/a-2'))
  }
}

/** Deeds that are tried by themselves only. Most need very much prepared. */
export const largeDeeds: typeof deeds = {
  // All fire at the full minute.
  async firings() {},
  async limitsOfGroups(order) {
    let n = 0
    await repeat(2, () => {
      const limits = { maxLeasedPerGroup: 5 + (n++ % 2), ratePerGroup: { messages: 1000 + n, perSeconds: 1 } }
      return call(order, 'limits', 'PUT', '/queues/a-groups', JSON.stringify(limits))
    })
  },
  // Each queue has flushes of its own, because its room is counted.
  async manyQueues(order) {
    let n = 0
    const list = JSON.stringify({ messages: Array(1000).fill({ body: 'a'.repeat(1000) }) })
    await repeat(16, () => call(order, 'list', 'POST', `/queues/a-bounded-${n++ % bounded}/messages`, list))
  },
  async nextMessages(order) {
    let n = 0
    await repeat(16, async () => {
      const receipts = await leaseOf(order, 10)
      const then = Array.from({ length: 100 }, (_, i) => ({ queue: `a-next-${i}`, body: 'a'.repeat(6000) }))
      const acks = receipts.map(receipt => ({
        receipt,
        then: then.map(next => ({ ...next, idempotencyKey: `${'k'.repeat(200)}${n++}` }))
      }))
      if (acks.length > 0) await call(order, 'ack', 'POST', '/queues/a-work/ack', JSON.stringify({ acks }))
    })
  },
  async reasons(order) {
    await repeat(8, async () => {
      const receipts = await leaseOf(order, 400)
      const failures = receipts.map(receipt => ({ receipt, delaySeconds: 0, reason: '😀'.repeat(2048) }))
      if (failures.length > 0) {
        await call(order, 'fail', 'POST', '/queues/a-work/fail', JSON.stringify({ failures }))
      }
    })
  },
  async headers(order) {
    await repeat(8, async () => {
      const receipts = await leaseOf(order, 1000)
      const list = JSON.stringify({ receipts })
      if (receipts.length > 0) await call(order, 'release', 'POST', '/queues/a-work/release', list)
    })
  },
  async headersBrowsed(order) {
    await repeat(8, () => call(order, 'browse', 'GET', '/queues/a-work/messages?limit=1000'))
  },
  async longHeaders(order) {
    const value = () => randomBytes(1275).toString('base64')
    const fields = Array.from({ length: 64 }, (_, n) => [`${'h'.repeat(254)}${n}`, value()])
    const headers = Object.fromEntries(fields)
    const list = JSON.stringify({ messages: Array(60).fill({ body: 1, headers }) })
    await repeat(16, () => call(order, 'list', 'POST', '/queues/a-1/messages', list))
  },
  // Each stores 10 messages in 500 queues.
  async publishes(order) {
    let n = 0
    await repeat(16, () => {
      const messages = Array.from({ length: 10 }, () => ({ body: 1, idempotencyKey: `${n++}` }))
      return call(order, 'publish', 'POST', '/topics/a-topic/messages', JSON.stringify({ messages }))
    })
  },
  async queueLists(order) {
    await repeat(16, () => call(order, 'queues', 'GET', '/queues?limit=1000'))
  },
  // A stranger sends bodies to where there is no route.
  async strangers(order) {
    const body = JSON.stringify(Array(16_000).fill({}))
    const unknown = { authorization: 'AWS4-HMAC-SHA256 x' }
    await repeat(300, () => call(order, 'stranger', 'POST', '/nothing', body, unknown))
  },
  async refusedBodies(order) {
    const body = JSON.stringify({ messages: Array(13_000).fill({}) })
    await repeat(300, () => call(order, 'refused', 'POST', '/queues/a-1/messages', body))
  },
  async longPatterns(order) {
    let n = 0
    await repeat(32, () => {
      const message = { body: 1, routingKey: `${'a.'.repeat(118)}c${n++}` }
      return call(order, 'routing', 'POST', '/topics/a-long/messages', JSON.stringify(message))
    })
  },
  async sqsBodies(order) {
    const body = JSON.stringify({ QueueUrl: '/000000000000/a-1', MessageBody: 'é\n'.repeat(900_000) })
    const fields = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': 'AmazonSQS.SendMessage'
    }
    await repeat(8, () => call(order, 'over SQS', 'POST', '/', body, fields))
  },
  async keyedLists(order) {
    let n = 0
    await repeat(500, () => {
      const messages = Array.from({ length: 2 }, () => ({ body: 1, idempotencyKey: `${n++}` }))
      return call(order, 'list', 'POST', '/queues/a-1/messages', JSON.stringify({ messages }))
    })
  },
  async documents(order) {
    await repeat(64, () => call(order, 'document', 'GET', '/openapi.json'))
  },
  async lapses(order) {
    const lease = '{"max":1000,"leaseSeconds":1}'
    await repeat(4, () => call(order, 'lapse', 'POST', '/queues/a-groups/lease', lease))
  }
}

async function leaseOf(order: Order, max: number): Promise<string[]> {
  const text = await call(order, 'lease', 'POST', '/queues/a-work/lease', JSON.stringify({ max }))
  const { messages = [] } = text === '' ? {} : JSON.parse(text)
  return messages.map(({ receipt }: { receipt: string }) => receipt)
}

async function storeWork(order: Order, lists: number, fields: object = {}): Promise<void> {
  await call(order, 'prepare', 'PUT', '/queues/a-work', '{"maxAttempts":1000}')
  const list = JSON.stringify({ messages: Array(1000).fill({ body: 1, ...fields }) })
  for (let n = 0; n < lists; n++) await call(order, 'prepare', 'POST', '/queues/a-work/messages', list)
}

async function storeGroups(order: Order, settings: object): Promise<void> {
  await call(order, 'prepare', 'PUT', '/queues/a-groups', JSON.stringify(settings))
  for (let first = 0; first < groups; first += 1000) {
    const messages = Array.from({ length: 1000 }, (_, n) => ({ body: n, group: `g${first + n}` }))
    await call(order, 'prepare', 'POST', '/queues/a-groups/messages', JSON.stringify({ messages }))
  }
}

const groups = 100_000
const bounded = 50
const subscribed = 500
const manyHeaders = { headers: Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`h${n}`, `${n}`])) }

/** Makes what the large deeds need. */
const preparations: Record<string, (order: Order) => Promise<void>> = {
  async firings(order) {
    for (let n = 0; n < 600; n += 100) {
      const all = Array.from({ length: 100 }, (_, i) => n + i)
      await Promise.all(
        all.map(i => {
          const schedule = JSON.stringify({ queue: `a-fired-${n}`, cron: '* * * * *', body: i })
          return call(order, 'prepare', 'PUT', `/schedules/a-${i}`, schedule)
        })
      )
    }
  },
  async limitsOfGroups(order) {
    await storeGroups(order, { ratePerGroup: { messages: 1000, perSeconds: 1 } })
    for (let i = 0; i < groups / 1000; i++) {
      await call(order, 'prepare', 'POST', '/queues/a-groups/lease', '{"max":1000}')
    }
  },
  async manyQueues(order) {
    for (let n = 0; n < bounded; n++) {
      await call(order, 'prepare', 'PUT', `/queues/a-bounded-${n}`, '{"maxDepth":1000000000}')
    }
  },
  async publishes(order) {
    for (let n = 0; n < subscribed; n++) {
      await call(order, 'prepare', 'PUT', `/queues/a-copies-${n}`, '{}')
      const pattern = '{"pattern":"#"}'
      await call(order, 'prepare', 'PUT', `/topics/a-topic/subscriptions/a-copies-${n}`, pattern)
    }
  },
  async longPatterns(order) {
    for (let n = 0; n < subscribed; n++) {
      const pattern = JSON.stringify({ pattern: `#.${'a.'.repeat(60)}b${n}` })
      await call(order, 'prepare', 'PUT', `/topics/a-long/subscriptions/a-copies-${n}`, pattern)
    }
  },
  async queueLists(order) {
    const value = 'a'.repeat(200)
    const tags = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`tag${n}`, value]))
    const settings = JSON.stringify({ tags })
    for (let n = 0; n < 900; n++) await call(order, 'prepare', 'PUT', `/queues/a-listed-${n}`, settings)
  },
  headers: order => storeWork(order, 10, manyHeaders),
  headersBrowsed: order => storeWork(order, 10, manyHeaders),
  nextMessages: order => storeWork(order, 30),
  reasons: order => storeWork(order, 2),
  lapses: order => storeGroups(order, { ordering: 'group', maxAttempts: 1000 })
}

/** Makes what the deeds need. */
export async function prepare(order: Order): Promise<void> {
  for (const deed of order.deeds) await preparations[deed]?.(order)
  const body = message('a'.repeat(mib - 100))
  for (let i = 0; i < 40; i++) await call(order, 'prepare', 'POST', '/queues/a-bodies/messages', body)
  await call(order, 'prepare', 'PUT', '/queues/a-nothing', '{}')
  await call(order, 'prepare', 'PUT', '/queues/a-bodies', '{"maxAttempts":1000}')
}

/** Ends all deeds. */
export function end(): void {
  time.over = true
  for (const socket of sockets) socket.destroy()
}
