/** The callers of holdfast bench, in a thread of their own, each with one request under way. */
import http from 'node:http'
import https from 'node:https'
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
 * What was confirmed after a short warm-up; times of single requests, for the second step of those
 * that ack and lease in one.
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

async function run({ url, key, step, callers, seconds, bytes }: Load): Promise<Measured> {
  const library = url.startsWith('https:') ? https : http
  const agent = new library.Agent({ keepAlive: true, maxSockets: callers })
  const headers = {
    'content-type': 'application/json',
    ...(key === '' ? {} : { authorization: `Bearer ${key}` })
  }
  const ask = (path: string, body: string) =>
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

  const startMs = performance.now()
  const ending = new AbortController()
  let lastMs = startMs
  const latencies: number[] = []
  let messages = 0
  let failed = 0
  let failure: string | null = null
  const timer = setTimeout(() => ending.abort(), warmUpMs + seconds * 1000)
  parentPort!.once('message', () => ending.abort())

  /** Asks and counts: `done` messages are confirmed by a good answer. */
  async function call(path: string, body: string, done: number): Promise<string | null> {
    const sentMs = performance.now()
    const { status, text } = await ask(path, body).catch((error): Answer => ({
      status: 0,
      text: error.message
    }))
    const nowMs = performance.now()
    if (status < 200 || status > 299) {
      failed++
      failure ??= `${status} ${text.slice(0, 300)}`
      await new Promise(resolve => setTimeout(resolve, 100)) // whatever refuses is not to be hammered
      return null
    }
    if (nowMs >= startMs + warmUpMs && !ending.signal.aborted) {
      latencies.push(nowMs - sentMs)
      messages += done
      lastMs = nowMs
    }
    return text
  }

  async function enqueue(): Promise<void> {
    const body = JSON.stringify({ body: 'x'.repeat(bytes - 2) }) // with its quotes
    while (!ending.signal.aborted) await call('/messages', body, 1)
  }

  async function work(): Promise<void> {
    let held: string[] = []
    while (!ending.signal.aborted) {
      const answer = await call('/lease', JSON.stringify(held.length === 0 ? {} : { ack: held }), held.length)
      if (answer === null) continue // the same acks again
      held = JSON.parse(answer).messages.map(({ receipt }: { receipt: string }) => receipt)
      if (held.length === 0) break // what was enqueued is used up
    }
    for (const receipt of held) await call('/ack', JSON.stringify({ receipt }), 1)
  }

  await Promise.all(Array.from({ length: callers }, step === 'enqueue' ? enqueue : work))
  clearTimeout(timer)
  agent.destroy()
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? null
  const windowSeconds = (lastMs - startMs - warmUpMs) / 1000
  return {
    step,
    perSecond: messages === 0 ? 0 : messages / windowSeconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    messages,
    failed,
    failure
  }
}

parentPort?.postMessage(await run(workerData))
parentPort?.close()
