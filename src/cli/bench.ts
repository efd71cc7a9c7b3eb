/** holdfast bench: what this deployment does from here, in two rows. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { exit, table, UsageError, wholeNumber, type Call, type Command } from './command.ts'
import type { Load, Measured } from './load.ts'

export const bench: Command = {
  summary: 'measure what a deployment does, for some seconds',
  about: `
Enqueues, then leases and acks, one message per request, from as many callers as you say, and prints rates and times as the
callers saw them, network and all. It works in a queue of its own (holdfast-bench-…) and removes it at the end.

With --url it measures a service that runs; without, it starts one beside it for the time, on the database of the settings.
The callers take processor time too: on the service's own machine the figures are lower than what others could reach.
A key for it needs: enqueue, lease and manage on holdfast-bench-*.`,
  flags: {
    url: { value: 'URL', help: 'a service that runs, e.g. http://127.0.0.1:8080' },
    'key-file': {
      value: 'FILE',
      help: 'a file that holds the API key to use (default: HOLDFAST_ADMIN_KEY_FILE)'
    },
    seconds: { value: 'N', help: 'how long each of the two goes on (default 5)' },
    callers: { value: 'N', help: 'how many requests are under way at once (default 64)' },
    bytes: { value: 'N', help: 'bytes of a message body (default 200)' },
    json: { help: 'for machines' }
  },
  async run(call) {
    const seconds = wholeNumber(call, 'seconds', { min: 1, max: 600, otherwise: 5 })
    const callers = wholeNumber(call, 'callers', { min: 1, max: 1000, otherwise: 64 })
    const bytes = wholeNumber(call, 'bytes', { min: 2, max: 1_048_576, otherwise: 200 })
    const interrupted = new AbortController()
    process.once('SIGINT', () => interrupted.abort()).once('SIGTERM', () => interrupted.abort())
    const rows = await withService(call, async (url, key) => {
      const queue = `holdfast-bench-${randomBytes(4).toString('hex')}`
      const load = { url: `${url}/queues/${queue}`, key, callers, seconds, bytes }
      const manage = async (method: string, body?: string) => {
        const answer = await fetch(load.url, {
          method,
          body: body ?? null,
          headers: {
            ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' })
          }
        }).catch(error => {
          throw new Error(`${url} cannot be reached (${error.cause?.message ?? error.message}).`)
        })
        if (!answer.ok) {
          throw new Error(
            `${url} answered ${answer.status} to ${method} /queues/${queue}: ` +
              `${(await answer.text()).slice(0, 500)}`
          )
        }
      }
      // Whatever is left behind when this is killed is gone an hour later.
      await manage('PUT', '{"retentionSeconds": 3600}')
      try {
        const enqueue = await measure({ ...load, step: 'enqueue' }, interrupted.signal)
        const work = interrupted.signal.aborted
          ? []
          : [await measure({ ...load, step: 'lease and ack' }, interrupted.signal)]
        return [enqueue, ...work]
      } finally {
        await manage('DELETE')
      }
    })
    if (call.has('json')) call.say(JSON.stringify(rows, null, 2))
    else for (const line of report(rows)) call.say(line)
    return interrupted.signal.aborted || rows.some(({ failed, messages }) => failed > 0 || messages === 0)
      ? exit.failed
      : exit.ok
  }
}

/** The service that was named, or one of our own that only we have the key of. */
async function withService<T>(call: Call, work: (url: string, key: string) => Promise<T>): Promise<T> {
  const config = call.config()
  const [url] = call.flag('url')
  const file = call.flag('key-file')[0] ?? config.adminKeyFile
  if (url !== undefined) {
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      throw new UsageError('--url must be the address of a service, e.g. http://127.0.0.1:8080.')
    }
    const key =
      file === ''
        ? ''
        : (
            await readFile(file, 'utf8').catch(error => {
              throw new UsageError(`The key's file ${file} cannot be read (${error.code}).`)
            })
          ).trim()
    return await work(url.replace(/\/+$/, ''), key)
  }
  const { startService } = await import('../service.ts')
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-')) // readable by us alone
  try {
    const key = randomBytes(32).toString('base64url')
    await writeFile(join(folder, 'key'), key)
    const service = await startService(
      {
        ...config,
        host: '127.0.0.1',
        port: 0,
        auth: 'keys',
        adminKeyFile: join(folder, 'key'),
        logLevel: 'error'
      },
      () => {}
    )
    return await work(service.url, key).finally(() => service.stop())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** In a thread of its own, since the service may run in this one. */
async function measure(load: Load, signal: AbortSignal): Promise<Measured> {
  const worker = new Worker(new URL('./load.ts', import.meta.url), { workerData: load })
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
    ...rows.flatMap(({ step, failure }) => (failure === null ? [] : [`${step}, a failure: ${failure}`]))
  ]
}
