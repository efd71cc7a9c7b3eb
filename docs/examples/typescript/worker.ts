/**
 * A worker: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.
 *
 *     node docs/examples/typescript/worker.ts
 *
 * QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says how
 * long the work takes here. On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
 */
import { setTimeout as sleep } from 'node:timers/promises'

interface Message { id: string, receipt: string, attempt: number, fence: number, body?: unknown, bodyBase64?: string }

const url = process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work'
const headers = { 'content-type': 'application/json', ...process.env.HOLDFAST_KEY !== undefined && { authorization: `Bearer ${process.env.HOLDFAST_KEY}` } }
const stopping = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort())

/** Your own work goes here. Throw to have the message tried again later. */
async function work (_message: Message, signal: AbortSignal): Promise<void> {
  const seconds = Number(process.env.WORK_SECONDS ?? 1)
  if (Number.isNaN(seconds)) throw new TypeError('WORK_SECONDS is not a number')
  await sleep(seconds * 1000, undefined, { signal })
}

async function post (verb: string, body: object, signals: AbortSignal[] = []): Promise<{ status: number, text: string }> {
  const response = await fetch(`${url}/${verb}`, {
    method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.any([AbortSignal.timeout(30_000), ...signals])
  })
  return { status: response.status, text: await response.text() }
}

/** Says how the lease ended, and asks again while there is no answer; it is safe to say twice. False: the lease is lost. */
async function settle (verb: string, body: object): Promise<boolean> {
  for (;;) {
    const { status, text } = await post(verb, body).catch((error: unknown) => ({ status: 503, text: String(error) }))
    if (status === 200 || status === 409) return status === 200
    if (status !== 429 && status < 500) throw new Error(`${verb} refused: ${text}`)
    if (stopping.signal.aborted) throw new Error(`stopped without an answer to ${verb}: the lease runs out by itself`)
    await sleep(1000)
  }
}

async function handle (message: Message): Promise<void> {
  const { id, receipt } = message
  process.stdout.write(`working ${id} attempt ${message.attempt} ${JSON.stringify(message.body ?? message.bodyBase64)}\n`)
  const [verb, told, reason] = await work(message, stopping.signal).then(
    () => ['ack', 'acked'] as const,
    (error: unknown) => stopping.signal.aborted ? ['release', 'released'] as const : ['fail', 'failed', String(error).slice(0, 500).toWellFormed()] as const)
  const kept = await settle(verb, { receipt, ...(reason !== undefined && { reason }) })
  process.stdout.write(`${kept ? told : 'lost the lease of'} ${id}\n`)
}

while (!stopping.signal.aborted) {
  try {
    const { status, text } = await post('lease', { waitSeconds: 20, worker: 'worker.ts' }, [stopping.signal])
    if (status !== 200) throw new Error(text)
    for (const message of (JSON.parse(text) as { messages: Message[] }).messages) await handle(message)
  } catch (error) {
    if (stopping.signal.aborted) break
    process.stderr.write(`trying again: ${String(error)}\n`)
    await sleep(1000)
  }
}
