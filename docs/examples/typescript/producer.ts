/**
 * A producer: enqueues each argument, and believes it only when the service says that it is committed.
 *
 *     node docs/examples/typescript/producer.ts "first message" "second message"
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const url = process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work'

/** The id of the committed message, however often it has to ask. */
async function enqueue (body: unknown): Promise<string> {
  // One key for every try: an answer that was lost costs nothing, for the second try is the same message.
  const message = JSON.stringify({ body, idempotencyKey: randomUUID() })
  for (;;) {
    const answer = await fetch(`${url}/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: message }).catch(() => null)
    if (answer?.ok) return (await answer.json() as { id: string }).id
    if (answer !== null && answer.status !== 429 && answer.status !== 503) throw new Error(await answer.text())
    await sleep(1000)
  }
}

for (const text of process.argv.slice(2)) process.stdout.write(`enqueued ${await enqueue({ text })}\n`)
