/**
 * A producer: enqueues each argument, and believes it only when the service says that it is
 * committed.
 *
 *     npm run build && node docs/examples/typescript/producer.ts "first message" "second message"
 *
 * QUEUE_URL names the queue (default http://127.0.0.1:8080/queues/work); the first message makes
 * it. HOLDFAST_KEY is an API key where one is asked for.
 */
import { Client } from 'holdfast/client'

const [, url, queue] =
  /^(.+)\/queues\/([^/]+)$/.exec(process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work') ?? []
if (url === undefined || queue === undefined) {
  throw new Error('QUEUE_URL must be as http://127.0.0.1:8080/queues/work.')
}
const client = new Client({ url, key: process.env.HOLDFAST_KEY })

for (const text of process.argv.slice(2)) {
  // Asks again for up to half a minute when there is no answer, with one key for every try: two
  // tries are one message. Give an idempotencyKey of your own (the id of a row, of a request)
  // where the whole program may run again.
  const { id } = await client.enqueue(queue, { body: { text } })
  process.stdout.write(`enqueued ${id}\n`)
}
