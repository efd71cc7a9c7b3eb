/** A service, a client of it, and workers whose settled messages the tests can wait for. */
import t, { type Test } from 'tap'
import { Client, Worker, type Settled, type WorkerOptions } from '../../src/client/index.ts'
import { Proxy } from '../faultbench/proxy.ts'
import { service } from '../support/service.ts'

// Some callers come through a proxy, and so to another port.
export const { url } = await service(t, { env: { HOLDFAST_AUTH: 'off' } })
export const client = new Client({ url })

export interface Watched {
  worker: Worker
  settled: Settled[]
  /** Waits until this many messages are settled. */
  until: (count: number) => Promise<void>
}

/** A worker, stopped when `t` ends. Its errors are comments, unless the test expects them. */
export function start(
  t: Test,
  options: Partial<WorkerOptions> & Pick<WorkerOptions, 'queue' | 'handler'>
): Watched {
  const settled: Settled[] = []
  let wake = () => {}
  const worker = new Worker({
    url,
    signals: false,
    graceSeconds: 0,
    onError: error => t.comment(error.message),
    ...options,
    onSettled(message) {
      settled.push(message)
      wake()
      options.onSettled?.(message)
    }
  })
  t.teardown(() => worker.stop())
  return {
    worker,
    settled,
    async until(count) {
      while (settled.length < count) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  }
}

/** A promise, and what resolves it. */
export function gate<T = void>(): { open: (value: T) => void; opened: Promise<T> } {
  let open: (value: T) => void = () => {}
  const opened = new Promise<T>(resolve => {
    open = resolve
  })
  return { open, opened }
}

/** Where a proxy finds the service of this URL. */
export const addressOf = (url: string) => ({ host: '127.0.0.1', port: Number(new URL(url).port) })

/** A network before the service, which can be cut, or lose answers. */
export async function shaky(t: Test): Promise<{ proxy: Proxy; url: string }> {
  const proxy = new Proxy()
  proxy.target = addressOf(url)
  t.teardown(() => proxy.close())
  return { proxy, url: `http://127.0.0.1:${await proxy.listen()}` }
}
