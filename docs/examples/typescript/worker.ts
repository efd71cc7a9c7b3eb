/**
 * A worker. It works on several messages at once, and acks each after its work. You can kill it at
 * any time: the messages come back.
 *
 *     npm run build && node docs/examples/typescript/worker.ts
 *
 * QUEUE_URL      the queue (default http://127.0.0.1:8080/queues/work)
 * HOLDFAST_KEY   an API key, where the service asks for one
 * CONCURRENCY    messages at once (default 4)
 * WORK_SECONDS   how long the work takes in this example (default 1)
 * LEASE_SECONDS  how long a lease lasts (default 30)
 * GRACE_SECONDS  how long running work may go on after SIGTERM or Ctrl-C (default 10)
 *
 * What is not done after the grace is given back, and the attempt does not count.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Dead, Worker, type Job } from 'holdfast/client'

const [, url, queue] =
  /^(.+)\/queues\/([^/]+)$/.exec(process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work') ?? []
if (url === undefined || queue === undefined) {
  throw new Error('QUEUE_URL must look like http://127.0.0.1:8080/queues/work.')
}

/**
 * Put your own work here. Throw to have the message tried again later. `signal` aborts when the
 * message is no longer yours.
 */
async function work({ body, message: { id }, attempt, signal }: Job): Promise<void> {
  process.stdout.write(`working ${id} attempt ${attempt} ${JSON.stringify(body)}\n`)
  if (body === undefined) throw new Dead('no attempt can work on this body')
  const seconds = Number(process.env.WORK_SECONDS ?? 1)
  if (Number.isNaN(seconds)) throw new TypeError('WORK_SECONDS is not a number')
  await sleep(seconds * 1000, undefined, { signal })
}

/** What to print of an outcome. `gone`: an earlier try has acked it, and its answer was lost. */
const words: Record<string, string> = {
  acked: 'acked',
  gone: 'acked',
  retrying: 'failed',
  dead: 'failed',
  leaseLost: 'lost the lease of'
}

const worker = new Worker({
  url,
  queue,
  key: process.env.HOLDFAST_KEY,
  concurrency: Number(process.env.CONCURRENCY ?? 4),
  leaseSeconds: Number(process.env.LEASE_SECONDS ?? 30),
  graceSeconds: Number(process.env.GRACE_SECONDS ?? 10),
  handler: work,
  onSettled({ message: { id }, outcome }) {
    process.stdout.write(`${words[outcome] ?? outcome} ${id}\n`)
  }
})
await worker.stopped // afterwards, close what you have opened
