/** holdfast bench: measures what a deployment does from here, in two rows. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageBytesMax } from '../core/limits.ts'
import { exit, table, wholeNumber, type Call, type Command } from './command.ts'
import type { Load, Measured } from './load.ts'
import { checkUrl, readKey, serviceFlags } from './serviceAddress.ts'

export const bench: Command = {
  summary: 'measure what a deployment does, for some seconds',
  about: `
Enqueues, then leases and acks, one message per request. It prints rates and times as its callers saw them, so
they include the network. It works in a queue of its own (holdfast-bench-…), which it removes at the end.

With --url it measures a service that runs. Without, it starts one for the time, on the database of the
settings. The callers take processor time too: on the service's own machine, the figures are lower than what
callers elsewhere could reach. The key needs the rights enqueue, lease and manage on holdfast-bench-*.`,
  flags: {
    url: { value: 'URL', help: 'a service that runs, e.g. http://127.0.0.1:8080' },
    'key-file': serviceFlags['key-file']!,
    seconds: { value: 'N', help: 'how long each of the two steps takes (default 5)' },
    callers: { value: 'N', help: 'how many requests are under way at once (default 64)' },
    bytes: { value: 'N', help: 'bytes of a message body (default 200)' },
    json: { help: 'print JSON' }
  },
  async run(call) {
    const sizes = {
      seconds: wholeNumber(call, 'seconds', { min: 1, max: 600, otherwise: 5 }),
      callers: wholeNumber(call, 'callers', { min: 1, max: 1000, otherwise: 64 }),
      bytes: wholeNumber(call, 'bytes', { min: 2, max: messageBytesMax, otherwise: 200 })
    }
    const interrupted = new AbortController()
    process.once('SIGINT', () => interrupted.abort()).once('SIGTERM', () => interrupted.abort())
    const rows = await withService(call, (url, key) => measureBoth(url, key, sizes, interrupted.signal))
    if (call.has('json')) call.say(JSON.stringify(rows, null, 2))
    else for (const line of report(rows)) call.say(line)
    return interrupted.signal.aborted || rows.some(({ failed, messages }) => failed > 0 || messages === 0)
      ? exit.failed
      : exit.ok
  }
}

/**
 * Works with the service that was named, or with one started for the time, whose key only we have.
 */
async function withService<T>(call: Call, work: (url: string, key: string) => Promise<T>): Promise<T> {
  const config = call.config()
  const [url] = call.flag('url')
  if (url !== undefined) {
    return await work(checkUrl(url), await readKey(call))
  }
  const { startService } = await import('../service.ts')
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-')) // readable by us alone
  try {
    const key = randomBytes(32).toString('base64url')
    const adminKeyFile = join(folder, 'key')
    await writeFile(adminKeyFile, key)
    const service = await startService(
      { ...config, processes: 1, host: '127.0.0.1', port: 0, auth: 'keys', adminKeyFile, logLevel: 'error' },
      () => {}
    )
    return await work(service.url, key).finally(() => service.stop())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measureBoth(
  url: string,
  key: string,
  sizes: Pick<Load, 'seconds' | 'callers' | 'bytes'>,
  signal: AbortSignal
): Promise<Measured[]> {
  const queueUrl = `${url}/queues/holdfast-bench-${randomBytes(4).toString('hex')}`
  const load = { url: queueUrl, key, ...sizes }
  // If this process is killed, the messages it leaves behind are gone an hour later.
  await manageQueue(queueUrl, key, { method: 'PUT', body: '{"retentionSeconds": 3600}' })
  try {
    const rows = [await measure({ ...load, step: 'enqueue' }, signal)]
    if (!signal.aborted) rows.push(await measure({ ...load, step: 'lease and ack' }, signal))
    return rows
  } finally {
    await manageQueue(queueUrl, key, { method: 'DELETE' })
  }
}

async function manageQueue(
  url: string,
  key: string,
  { method, body }: { method: 'PUT' | 'DELETE'; body?: string }
): Promise<void> {
  const { origin, pathname } = new URL(url)
  const headers = {
    ...(key !== '' && { authorization: `Bearer ${key}` }),
    ...(body !== undefined && { 'content-type': 'application/json' })
  }
  const answer = await fetch(url, { method, body: body ?? null, headers }).catch(error => {
    const reason = error.cause?.message ?? error.message
    throw new Error(`${origin} cannot be reached (${reason}). Check that a service runs there.`)
  })
  if (!answer.ok) {
    const text = (await answer.text()).slice(0, 500)
    throw new Error(`${origin} answered ${answer.status} to ${method} ${pathname}: ${text}`)
  }
}

/** In a thread of its own, since the service may run in this one. */
async function measure(load: Load, signal: AbortSignal): Promise<Measured> {
  const worker = new Worker(new URL(`./load${extname(import.meta.url)}`, import.meta.url), {
    workerData: load
  })
  const stop = () => worker.postMessage('stop')
  signal.addEventListener('abort', stop)
  const [measured] = await once(worker, 'message')
  signal.removeEventListener('abort', stop)
  return measured
}

function report(rows: Measured[]): string[] {
  const number = (value: number | null) =>
    value === null ? '–' : value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 })
  return [
    ...table([
      ['', 'messages/s', 'p50 ms', 'p99 ms', 'messages', 'failed'],
      ...rows.map(row => [
        row.step,
        number(row.perSecond),
        number(row.p50Ms),
        number(row.p99Ms),
        number(row.messages),
        number(row.failed)
      ])
    ]),
    ...rows.flatMap(({ step, failure }) =>
      failure === null ? [] : [`The first failure of ${step}: ${failure}`]
    )
  ]
}
