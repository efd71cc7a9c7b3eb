/**
 * A producer: enqueues each argument, and believes it only when the service says that it is committed.
 *
 *     node docs/examples/typescript/producer.ts "first message" "second message"
 *
 * QUEUE_URL names the queue (default http://127.0.0.1:8080/queues/work); the first message makes it. HOLDFAST_KEY is an
 * API key where one is asked for.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const url = process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work'
const headers = { 'content-type': 'application/json', ...process.env.HOLDFAST_KEY !== undefined && { authorization: `Bearer ${process.env.HOLDFAST_KEY}` } }

/** The id of the committed message, however often it has to ask. */
async function enqueue (body: unknown): Promise<string> {
  // One key for every try: an answer that was lost costs nothing, for the second try is the same message.
  const message = JSON.stringify({ body, idempotencyKey: randomUUID() })
  for (;;) {
    let answer: { status: number, text: string, retryAfter: number }
    try {
      const response = await fetch(`${url}/messages`, { method: 'POST', headers, body: message, signal: AbortSignal.timeout(30_000) })
      answer = { status: response.status, text: await response.text(), retryAfter: Number(response.headers.get('retry-after') ?? 1) }
    } catch { // no connection, or lost before the answer was here
      answer = { status: 503, text: '', retryAfter: 1 }
    }
    if (answer.status === 200 || answer.status === 201) return (JSON.parse(answer.text) as { id: string }).id
    if (answer.status !== 429 && answer.status < 500) throw new Error(`refused: ${answer.text}`)
    process.stderr.write('not confirmed, trying again\n')
    await sleep(answer.retryAfter * 1000)
  }
}

for (const text of process.argv.slice(2)) process.stdout.write(`enqueued ${await enqueue({ text })}\n`)
