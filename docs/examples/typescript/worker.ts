/**
 * A worker: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.
 *
 *     node docs/examples/typescript/worker.ts
 *
 * On SIGTERM it gives back what it holds, and the attempt does not count.
 */
import { setTimeout as sleep } from 'node:timers/promises'

interface Message { id: string, receipt: string, attempt: number, fence: number, body?: unknown }

const url = process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work'
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())

async function post (verb: string, body: object, signal?: AbortSignal): Promise<Response> {
  return await fetch(`${url}/${verb}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), ...(signal && { signal }) })
}

/** Your own work goes here. Throw to have the message tried again later. */
async function work (_message: Message, signal: AbortSignal): Promise<void> {
  await sleep(Number(process.env.WORK_SECONDS ?? 1) * 1000, undefined, { signal })
}

async function handle (message: Message): Promise<void> {
  const { id, receipt } = message
  process.stdout.write(`working ${id} attempt ${message.attempt} ${JSON.stringify(message.body)}\n`)
  try {
    await work(message, stopping.signal)
  } catch (error) {
    await (stopping.signal.aborted ? post('release', { receipt }) : post('fail', { receipt, reason: String(error) }))
    return
  }
  const answer = await post('ack', { receipt })
  process.stdout.write(answer.ok ? `acked ${id}\n` : `lost the lease of ${id}\n`)
}

while (!stopping.signal.aborted) {
  try {
    const answer = await post('lease', { waitSeconds: 20, worker: 'worker.ts' }, stopping.signal)
    if (!answer.ok) throw new Error(await answer.text())
    for (const message of (await answer.json() as { messages: Message[] }).messages) await handle(message)
  } catch (error) {
    if (stopping.signal.aborted) break
    process.stderr.write(`trying again: ${String(error)}\n`)
    await sleep(1000)
  }
}
