/**
 * A producer. It enqueues each argument, and reports it once the service has confirmed the commit.
 *
 *     npm run build && node docs/examples/typescript/producer.ts "first message" "second message"
 *
 * QUEUE_URL     the queue (default http://127.0.0.1:8080/queues/work); the first message makes it
 * HOLDFAST_KEY  an API key, where the service asks for one
 */
import { Client } from 'holdfast/client'

const [, url, queue] =
  /^(.+)\/queues\/([^/]+)$/.exec(process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work') ?? []
if (url === undefined || queue === undefined) {
  throw new Error('QUEUE_URL must look like http://127.0.0.1:8080/queues/work.')
}
const client = new Client({ url, key: process.env.HOLDFAST_KEY })

for (const text of process.argv.slice(2)) {
  // Without an answer the client asks again for up to 30 s. Every try has the same key, so all of
  // them are one message. Where the whole program may run again, give an idempotencyKey of your
  // own, such as the id of a row or of a request.
  const { id } = await client.enqueue(queue, { body: { text } })
  process.stdout.write(`enqueued ${id}\n`)
}
