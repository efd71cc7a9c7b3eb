/** The callers of holdfast bench, in a thread of their own. Each has one request under way. */
import http from 'node:http'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

export interface Load {
  /** Of the queue. */
  url: string
  key: string
  step: 'enqueue' | 'lease and ack'
  callers: number
  seconds: number
  bytes: number
}

/**
 * What was confirmed after a short warm-up. The times are those of single requests; in the second
 * step such a request acks and leases at once.
 */
export interface Measured {
  step: Load['step']
  perSecond: number
  p50Ms: number | null
  p99Ms: number | null
  messages: number
  failed: number
  failure: string | null
}

interface Answer {
  status: number
  text: string
}

const warmUpMs = 500
const failurePauseMs = 100

async function run(load: Load): Promise<Measured> {
  const { step, callers, seconds, bytes } = load
  const client = openClient(load)
  const meter = new Meter()
  const ending = new AbortController()
  const timer = setTimeout(() => ending.abort(), warmUpMs + seconds * 1000)
  parentPort!.once('message', () => ending.abort())

  /** Counts `messages` as confirmed by a good answer. Null after a failure. */
  async function call(path: string, body: object, messages: number): Promise<string | null> {
    const sentMs = performance.now()
    const { status, text } = await client.post(path, JSON.stringify(body))
    if (status < 200 || status > 299) {
      meter.fail(`${status} ${text.slice(0, 300)}`)
      await sleep(failurePauseMs) // spares a service that refuses
      return null
    }
    if (!ending.signal.aborted) meter.confirm(sentMs, messages)
    return text
  }

  async function enqueue(): Promise<void> {
    const body = 'x'.repeat(bytes - 2) // two quotes come with it
    while (!ending.signal.aborted) await call('/messages', { body }, 1)
  }

  async function leaseAndAck(): Promise<void> {
    let receipts: string[] = []
    while (!ending.signal.aborted) {
      const answer = await call('/lease', receipts.length === 0 ? {} : { ack: receipts }, receipts.length)
      if (answer === null) continue // the same acks again
      receipts = JSON.parse(answer).messages.map(({ receipt }: { receipt: string }) => receipt)
      if (receipts.length === 0) break // every message that was enqueued is acked
    }
    for (const receipt of receipts) await call('/ack', { receipt }, 1)
  }

  await Promise.all(Array.from({ length: callers }, step === 'enqueue' ? enqueue : leaseAndAck))
  clearTimeout(timer)
  client.close()
  return { step, ...meter.read() }
}

interface Client {
  /** Never throws: without an answer, the status is 0 and the text says why. */
  post(path: string, body: string): Promise<Answer>
  close(): void
}

function openClient({ url, key, callers }: Load): Client {
  const library = url.startsWith('https:') ? https : http
  const agent = new library.Agent({ keepAlive: true, maxSockets: callers })
  const headers = {
    'content-type': 'application/json',
    ...(key === '' ? {} : { authorization: `Bearer ${key}` })
  }
  const post = (path: string, body: string) =>
    new Promise<Answer>((resolve, reject) => {
      const request = library.request(
        url + path,
        { method: 'POST', agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
        response => {
          let text = ''
          response
            .setEncoding('utf8')
            .on('data', data => {
              text += data
            })
            .on('end', () => resolve({ status: response.statusCode!, text }))
            .on('error', reject)
        }
      )
      request.on('error', reject).end(body)
    })
  return {
    post: (path, body) => post(path, body).catch((error: Error) => ({ status: 0, text: error.message })),
    close: () => agent.destroy()
  }
}

class Meter {
  readonly #startMs = performance.now() + warmUpMs
  readonly #latenciesMs: number[] = []
  #lastMs = 0
  #messages = 0
  #failed = 0
  #failure: string | null = null

  confirm(sentMs: number, messages: number): void {
    const nowMs = performance.now()
    if (nowMs < this.#startMs) return
    this.#latenciesMs.push(nowMs - sentMs)
    this.#messages += messages
    this.#lastMs = nowMs
  }

  /** Counts a failure, and keeps the first one's text. */
  fail(text: string): void {
    this.#failed++
    this.#failure ??= text
  }

  read(): Omit<Measured, 'step'> {
    const sorted = this.#latenciesMs.toSorted((a, b) => a - b)
    const percentile = (share: number) => sorted[Math.floor(sorted.length * share)] ?? null
    const seconds = (this.#lastMs - this.#startMs) / 1000
    return {
      perSecond: this.#messages === 0 ? 0 : this.#messages / seconds,
      p50Ms: percentile(0.5),
      p99Ms: percentile(0.99),
      messages: this.#messages,
      failed: this.#failed,
      failure: this.#failure
    }
  }
}

parentPort?.postMessage(await run(workerData))
parentPort?.close()
