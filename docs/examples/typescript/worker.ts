/**
 * A worker: several messages at once, each acked after its work. Kill it whenever you like: the
 * messages come back.
 *
 *     npm run build && node docs/examples/typescript/worker.ts
 *
 * QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says
 * how long the work takes here, LEASE_SECONDS how long a lease lasts. On SIGTERM or Ctrl-C running
 * work has GRACE_SECONDS to finish; what is left is given back, and the attempt does not count.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Dead, Worker, type Job } from 'holdfast/client'

const [, url, queue] =
  /^(.+)\/queues\/([^/]+)$/.exec(process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/work') ?? []
if (url === undefined || queue === undefined) {
  throw new Error('QUEUE_URL must be as http://127.0.0.1:8080/queues/work.')
}

/**
 * Your own work goes here. Throw to have the message tried again later; `signal` aborts when the
 * message is no longer yours.
 */
async function work({ body, message: { id }, attempt, signal }: Job): Promise<void> {
  process.stdout.write(`working ${id} attempt ${attempt} ${JSON.stringify(body)}\n`)
  if (body === undefined) throw new Dead('a body that nobody can work on, however often')
  const seconds = Number(process.env.WORK_SECONDS ?? 1)
  if (Number.isNaN(seconds)) throw new TypeError('WORK_SECONDS is not a number')
  await sleep(seconds * 1000, undefined, { signal })
}

const worker = new Worker({
  url,
  queue,
  key: process.env.HOLDFAST_KEY,
  concurrency: Number(process.env.CONCURRENCY ?? 4),
  leaseSeconds: Number(process.env.LEASE_SECONDS ?? 30),
  graceSeconds: Number(process.env.GRACE_SECONDS ?? 10),
  handler: work,
  // gone: it was acked by a try whose answer was lost
  onSettled({ message: { id }, outcome }) {
    process.stdout.write(
      `${{ acked: 'acked', gone: 'acked', retrying: 'failed', dead: 'failed', leaseLost: 'lost the lease of' }[outcome as string] ?? outcome} ` +
        `${id}\n`
    )
  }
})
await worker.stopped // close here what you have opened
