/**
 * The crowd, a process of its own: producers that come whether or not they are served, consumers,
 * and callers that only wait.
 */
import net from 'node:net'
import { reset } from '../../support/reset.ts'

/** What the crowd does for a while. */
export interface Rush {
  port: number
  /** So many producers, each of which sends its next list when the last is answered. */
  producers?: number
  /** Or so many lists a second, whatever the answers. */
  listsPerSecond?: number
  /** Messages in a list, and bytes of each. */
  listLength: number
  bodyBytes: number
  /** Each leases and acks in turn. */
  consumers: number
  waiters: number
  ms: number
}

export interface RushResult {
  ms: number
  /** Messages confirmed stored, and confirmed acked. */
  stored: number
  acked: number
  lists: number
  /** Lists that found no free connection: the crowd is bounded too. */
  unsent: number
  /** Answers other than 2xx, by call and code. */
  refused: Record<string, number>
  /** Refusals without Retry-After, 5xx without outcome none, broken connections. */
  odd: string[]
  /** Milliseconds from the request to its answer. */
  admittedMs: Spread
  refusedMs: Spread
}
export interface Spread {
  median: number
  p99: number
  worst: number
}

const connectionsMax = 1000
const leaseMax = 400

function post(path: string, body: string): string {
  return (
    `POST ${path} HTTP/1.1\r\n` +
    'host: localhost\r\n' +
    'content-type: application/json\r\n' +
    `content-length: ${body.length}\r\n\r\n${body}`
  )
}

interface Answer {
  status: number
  head: string
  body: string
}

/** One keep-alive connection with one request under way. */
class Connection {
  readonly #socket: net.Socket
  /** Resolves when it is connected. */
  readonly open: Promise<unknown>
  #text = ''
  #answered: ((answer: Answer | null) => void) | null = null
  /** How the connection broke, for who looks for the cause. */
  #end = ''

  constructor(port: number) {
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    this.open = new Promise(resolve => this.#socket.once('connect', resolve))
    this.#socket
      .setEncoding('latin1')
      .on('data', (text: string) => this.#read(text))
      .on('end', () => (this.#end ||= 'ended by the service'))
      .on('error', error => (this.#end ||= error.message))
      .on('close', () => this.#answer(null))
  }

  /** The service has closed it with its last answer, so it must be replaced. */
  spent = false

  /** Null when the connection broke. */
  ask(request: string): Promise<Answer | null> {
    return new Promise(resolve => {
      this.#answered = resolve
      if (this.#socket.destroyed) return this.#answer(null)
      this.#socket.write(request, 'latin1')
    })
  }

  /** What the connection did before it broke. */
  get story(): string {
    const { bytesRead, bytesWritten } = this.#socket
    return `${this.#end}, ${bytesWritten} bytes sent, ${bytesRead} received, ${this.#text.slice(0, 200)}`
  }

  reset(): void {
    reset(this.#socket)
  }

  #read(text: string): void {
    this.#text += text
    const end = this.#text.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#text.slice(0, end)
    const body = this.#text.slice(end + 4)
    if (body.length < Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)) return
    this.#text = ''
    this.spent = /\r\nconnection: close/i.test(head)
    this.#answer({ status: Number(head.slice(9, 12)), head, body })
  }

  #answer(answer: Answer | null): void {
    this.#answered?.(answer)
    this.#answered = null
  }
}

async function rush({
  port,
  producers,
  listsPerSecond,
  listLength,
  bodyBytes,
  consumers,
  waiters,
  ms
}: Rush): Promise<RushResult> {
  const message = JSON.stringify({ body: { text: 'x'.repeat(bodyBytes) } })
  const list = post('/queues/rush/messages', `{"messages":[${Array(listLength).fill(message).join(',')}]}`)
  const result: RushResult = {
    ms: 0,
    stored: 0,
    acked: 0,
    lists: 0,
    unsent: 0,
    refused: {},
    odd: [],
    admittedMs: spread([]),
    refusedMs: spread([])
  }
  const admitted: number[] = []
  const refused: number[] = []
  const connections: Connection[] = []
  const connect = () => {
    const connection = new Connection(port)
    connections.push(connection)
    return connection
  }
  const time = { over: false }
  /** The body of a 2xx, or null. */
  const ask = async (connection: Connection, what: string, request: string): Promise<string | null> => {
    const sentMs = performance.now()
    const answer = await connection.ask(request)
    if (answer === null) {
      result.odd.push(`${what}: the connection broke: ${connection.story}`)
      return null
    }
    const good = answer.status < 300
    ;(good ? admitted : refused).push(performance.now() - sentMs)
    if (good) return answer.body
    const { code, outcome } = JSON.parse(answer.body)
    result.refused[`${what} ${code}`] = (result.refused[`${what} ${code}`] ?? 0) + 1
    const isHonest =
      [429, 503].includes(answer.status) &&
      /\r\nretry-after: \d/.test(answer.head) &&
      (answer.status === 429 || outcome === 'none')
    if (!isHonest) result.odd.push(`${what}: ${answer.body}`)
    return null
  }
  const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
  const produce = async (connection: Connection) => {
    result.lists++
    if ((await ask(connection, 'enqueue', list)) !== null) result.stored += listLength
  }
  const max = Math.min(leaseMax, Math.ceil(1_000_000 / bodyBytes))
  const lease = post('/queues/rush/lease', `{"max":${max}}`)
  const consume = async (connection: Connection) => {
    while (!time.over) {
      const leased = (await ask(connection, 'lease', lease))?.match(/"receipt":"[^"]+"/g) ?? []
      if (leased.length === 0) {
        await pause(20)
        continue
      }
      const extension = `{"extensions":[{${leased[0]},"leaseSeconds":60}]}`
      if ((await ask(connection, 'extend', post('/queues/rush/extend', extension))) === null) continue
      const receipts = `{"receipts":[${leased.map(receipt => receipt.slice(10)).join(',')}]}`
      const outcomes = await ask(connection, 'ack', post('/queues/rush/ack', receipts))
      result.acked += outcomes?.match(/"acked"/g)?.length ?? 0
    }
  }

  const waiting = Array.from({ length: waiters }, connect)
  // These are never answered in time.
  for (const connection of waiting) connection.ask(post('/queues/nothing/lease', '{"waitSeconds":60}'))
  const consuming = Array.from({ length: consumers }, connect)
  const idle = Array.from({ length: producers ?? connectionsMax }, connect)
  await Promise.all(connections.map(({ open }) => open))

  const startedMs = performance.now()
  const all = consuming.map(consume)
  if (listsPerSecond !== undefined) {
    let due = 0
    while (performance.now() - startedMs < ms) {
      for (; due < ((performance.now() - startedMs) / 1000) * listsPerSecond; due++) {
        const connection = idle.pop()
        if (connection === undefined) result.unsent++
        else {
          all.push(
            produce(connection).then(() => {
              idle.push(connection.spent ? connect() : connection)
            })
          )
        }
      }
      await pause(2)
    }
  } else {
    all.push(
      ...idle.map(async connection => {
        while (!time.over) await produce(connection)
      })
    )
    await pause(ms)
  }
  time.over = true
  result.ms = performance.now() - startedMs
  // Only what was confirmed within the time counts. Calls under way are waited for, since they must
  // be answered in time too.
  const { stored, acked } = result
  await Promise.all(all)
  Object.assign(result, { stored, acked })
  for (const connection of connections) connection.reset()
  result.admittedMs = spread(admitted)
  result.refusedMs = spread(refused)
  return result
}

function spread(ms: number[]): Spread {
  ms.sort((a, b) => a - b)
  const at = (share: number) => Math.round(ms[Math.ceil(ms.length * share) - 1] ?? 0)
  return { median: at(0.5), p99: at(0.99), worst: at(1) }
}

if (process.send !== undefined) {
  process.on('message', (order: Rush) => {
    rush(order).then(result => process.send!(result))
  })
}
