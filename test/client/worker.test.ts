/**
 * The worker against a real service: what it holds, keeps, loses and gives back, also when answers
 * are lost.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  Client,
  Dead,
  HoldfastError,
  RetryAfter,
  Worker,
  type Job,
  type Settled,
  type WorkerOptions
} from '../../src/client/index.ts'
import { httpAnswer, Proxy } from '../faultbench/proxy.ts'
import { freshDatabase } from '../support/postgres.ts'
import { service, serviceProcess } from '../support/service.ts'

let url: string
let client: Client
t.before(async () => {
  url = (await service(t)).url
  client = new Client({ url })
})

interface Watched {
  worker: Worker
  settled: Settled[]
  until: (count: number) => Promise<void>
}

/**
 * A worker whose settled messages are kept. It is stopped when `t` ends. Its errors are shown,
 * unless the test expects them.
 */
function start(t: Test, options: Partial<WorkerOptions> & Pick<WorkerOptions, 'queue' | 'handler'>): Watched {
  const settled: Settled[] = []
  let heard = () => {}
  const worker = new Worker({
    url,
    signals: false,
    graceSeconds: 0,
    onError: error => t.comment(error.message),
    ...options,
    onSettled(message) {
      settled.push(message)
      options.onSettled?.(message)
      heard()
    }
  })
  t.teardown(() => worker.stop())
  return {
    worker,
    settled,
    async until(count) {
      while (settled.length < count) {
        await new Promise<void>(resolve => {
          heard = resolve
        })
      }
    }
  }
}

/** A promise, and the function that resolves it. */
function gate<T = void>(): { open: (value: T) => void; opened: Promise<T> } {
  let open: (value: T) => void = () => {}
  const opened = new Promise<T>(resolve => {
    open = resolve
  })
  return { open, opened }
}

const serviceAddress = () => ({ host: '127.0.0.1', port: Number(new URL(url).port) })

/** A network in front of the service, which can be cut or lose answers. */
async function shaky(t: Test): Promise<{ proxy: Proxy; url: string }> {
  const proxy = new Proxy()
  proxy.target = serviceAddress()
  t.teardown(() => proxy.close())
  return { proxy, url: `http://127.0.0.1:${await proxy.listen()}` }
}

t.test('each message is handled once, with its body as a value, as text or as bytes, and acked', async t => {
  await client.enqueueMany('bodies', [{ body: { n: 1 }, headers: { trace: 'x' } }, { body: null }])
  await client.enqueueRaw('bodies', 'a line', 'text/plain')
  await client.enqueueRaw('bodies', new Uint8Array([0, 255]), 'application/octet-stream')
  const jobs: Job[] = []
  const { until, settled } = start(t, {
    queue: 'bodies',
    handler: job => {
      jobs.push(job)
    }
  })
  await until(4)
  t.strictSame(
    jobs.map(({ body }) => body),
    [{ n: 1 }, null, 'a line', new Uint8Array([0, 255])]
  )
  t.match(jobs[0], {
    attempt: 1,
    fence: 1,
    message: { headers: { trace: 'x' }, receipt: /./ },
    signal: { aborted: false }
  })
  t.match(
    settled.map(({ outcome }) => outcome),
    ['acked', 'acked', 'acked', 'acked']
  )
  t.match((await client.queue('bodies')).counts, { ready: 0, leased: 0, dead: 0 })
})

t.test('one at a time, a message costs one request', async t => {
  await client.enqueueMany(
    'frugal',
    Array.from({ length: 50 }, (_, n) => ({ body: n }))
  )
  const calls: string[] = []
  const real = globalThis.fetch
  globalThis.fetch = (...args) => {
    calls.push(String(args[0]).split('/').at(-1)!)
    return real(...args)
  }
  t.teardown(() => {
    globalThis.fetch = real
  })
  const { until } = start(t, { queue: 'frugal', handler: () => {} })
  await until(50)
  const leases = calls.filter(call => call === 'lease').length
  t.ok(
    leases <= 53 && calls.length - leases <= 2,
    `${leases} leases and ${calls.length - leases} others for 50 messages`
  )
})

t.test('as many messages at once as concurrency allows, and never more', async t => {
  await client.enqueueMany(
    'crowd',
    Array.from({ length: 60 }, (_, n) => ({ body: n }))
  )
  let now = 0
  let most = 0
  const { until } = start(t, {
    queue: 'crowd',
    concurrency: 7,
    async handler() {
      most = Math.max(most, ++now)
      await sleep(Math.random() * 20)
      now--
    }
  })
  await until(60)
  t.equal(most, 7)
})

t.test(
  'what a handler throws becomes the reason; it may set the time of the next try, or make the message dead',
  async t => {
    await client.putQueue('failing', {
      retry: { strategy: 'fixed', delaySeconds: 0, jitter: false },
      keepAckedSeconds: 60
    })
    const thrown: Record<string, unknown> = {
      plain: new TypeError('no such address'),
      odd: Object.create(null),
      torn: `\ud83d${'x'.repeat(5000)}\0`,
      dead: new Dead('never valid'),
      later: new RetryAfter(600, 'not before noon')
    }
    const ids = Object.fromEntries(
      (
        await client.enqueueMany(
          'failing',
          Object.keys(thrown).map(body => ({ body }))
        )
      ).map(({ id }, index) => [Object.keys(thrown)[index], id])
    )
    const { until, settled } = start(t, {
      queue: 'failing',
      concurrency: 5,
      handler({ body, attempt, message }) {
        if (attempt === 1) throw thrown[body as string]
        t.match(message.lastFailure, { attempt: 1, reason: body === 'plain' ? 'no such address' : /./ })
      }
    })
    await until(8) // three come again, and are acked
    t.match(await client.message('failing', ids.dead!), {
      state: 'dead',
      lastFailure: { reason: 'never valid' }
    })
    t.match(await client.message('failing', ids.later!), {
      state: 'delayed',
      lastFailure: { reason: 'not before noon' }
    })
    for (const name of ['plain', 'odd', 'torn']) {
      t.match(await client.message('failing', ids[name]!), { state: 'acked' }, name)
    }
    t.strictSame(settled.map(({ outcome }) => outcome).sort(), [
      'acked',
      'acked',
      'acked',
      'dead',
      'retrying',
      'retrying',
      'retrying',
      'retrying'
    ])
    t.ok(settled.some(({ error }) => error === thrown.plain))
    t.throws(() => new RetryAfter(-1), RangeError)
  }
)

t.test('a lease is extended for as long as the handler works', async t => {
  const { id } = await client.enqueue('long', { body: 1 })
  const { open, opened } = gate()
  const { until, settled } = start(t, {
    queue: 'long',
    leaseSeconds: 0.8,
    handler: ({ signal }) =>
      Promise.race([
        opened,
        new Promise((_resolve, reject) => {
          signal.onabort = () => reject(signal.reason)
        })
      ])
  })
  let ends: string | undefined
  const seen = new Set<string>()
  while (seen.size < 5) {
    // four times extended: longer than the lease it began with
    ends = (await client.message('long', id)).lease?.expiresAt
    if (ends !== undefined) seen.add(ends)
  }
  open()
  await until(1)
  t.match(settled, [{ outcome: 'acked', message: { id, attempt: 1 } }])
})

t.test('a lost lease aborts the signal, is neither acked nor failed, and the worker goes on', async t => {
  const { id } = await client.enqueue('lost', { body: 1 })
  const started = gate<string>()
  let reason: unknown
  const { until, settled } = start(t, {
    queue: 'lost',
    leaseSeconds: 1,
    async handler({ signal, body, message: { receipt } }) {
      if (body !== 1) return
      started.open(receipt)
      await new Promise<void>(resolve => {
        signal.onabort = () => resolve()
      })
      reason = signal.reason
      // Done all the same: it must not count.
    }
  })
  await client.release('lost', await started.opened) // as if the lease had run out
  const other = await client.lease('lost', { waitSeconds: 20, leaseSeconds: 600 })
  t.match(other.messages, [{ id, fence: 2 }])
  await until(1)
  t.match(reason, { message: /lease has been lost/ })
  t.match(settled, [{ outcome: 'leaseLost', message: { id } }])
  await client.enqueue('lost', { body: 2 })
  await until(2)
  t.match(
    await client.message('lost', id),
    { state: 'leased', history: [{ outcome: 'released' }] },
    'its new holder has it still'
  )
  t.match(await client.ack('lost', other.messages[0]!.receipt), { outcome: 'acked' })
})

t.test(
  'when a lease cannot be extended, the signal aborts before another worker can have the message',
  async t => {
    const { id } = await client.enqueue('cut-off', { body: 1 })
    const { proxy, url } = await shaky(t)
    const errors: Error[] = []
    const aborted = gate<number>()
    let startedMs = 0
    const { until, settled } = start(t, {
      url,
      queue: 'cut-off',
      leaseSeconds: 1,
      onError: error => errors.push(error),
      async handler({ signal, attempt }) {
        if (attempt > 1) return
        startedMs = performance.now()
        proxy.target = null
        proxy.reset()
        await new Promise<void>(resolve => {
          signal.onabort = () => resolve()
        })
        aborted.open(performance.now())
        throw signal.reason
      }
    })
    const ms = (await aborted.opened) - startedMs
    t.ok(ms > 800, `not before it must, after ${Math.round(ms)} ms`)
    proxy.target = serviceAddress()
    await until(2)
    t.match(settled, [
      { outcome: 'leaseLost', message: { attempt: 1 } },
      { outcome: 'acked', message: { id, attempt: 2 } }
    ])
    t.ok(errors.every(error => error instanceof HoldfastError && error.code === 'noAnswer'))
  }
)

t.test(
  'a lease whose answer was lost is repeated, and brings the same messages at their first attempt',
  async t => {
    await client.enqueueMany('unheard', [{ body: 1 }, { body: 2 }, { body: 3 }])
    const { proxy, url } = await shaky(t)
    let lost = 0
    proxy.swallow = httpAnswer(() => lost++ < 2)
    const jobs: Job[] = []
    const { until, settled } = start(t, {
      url,
      queue: 'unheard',
      concurrency: 3,
      handler: job => {
        jobs.push(job)
      }
    })
    await until(3)
    t.equal(proxy.swallowed, 2)
    t.match(
      jobs.map(({ body, attempt, fence }) => [body, attempt, fence]),
      [
        [1, 1, 1],
        [2, 1, 1],
        [3, 1, 1]
      ]
    )
    t.strictSame(
      settled.map(({ outcome }) => outcome),
      ['acked', 'acked', 'acked']
    )
  }
)

t.test('an ack or a failure whose answer was lost is repeated, and counts once', async t => {
  await client.putQueue('unsaid', { keepAckedSeconds: 60 })
  const { proxy, url } = await shaky(t)
  const [done, failed] = await client.enqueueMany('unsaid', [{ body: 'done' }, { body: 'failed' }])
  let lost = 0 // counted when asked: two may be on their way at once
  const { until } = start(t, {
    url,
    queue: 'unsaid',
    concurrency: 2,
    handler({ body }) {
      proxy.swallow ??= httpAnswer(() => lost++ < 4)
      if (body === 'failed') throw new RetryAfter(600, 'not yet')
    }
  })
  await until(2)
  t.match(await client.message('unsaid', done!.id), { state: 'acked', attempt: 1 })
  t.match(await client.message('unsaid', failed!.id), {
    state: 'delayed',
    attempt: 1,
    history: [{ attempt: 1, outcome: 'failed', reason: 'not yet' }]
  })
  t.equal(proxy.swallowed, 4)
})

t.test(
  'stop lets handlers finish within the grace, interrupts the others, and gives their messages back',
  async t => {
    const ids = (
      await client.enqueueMany('stopped', [{ body: 'quick' }, { body: 'heeds' }, { body: 'deaf' }])
    ).map(({ id }) => id)
    const heard: unknown[] = []
    const all = gate()
    let started = 0
    const { worker, settled } = start(t, {
      queue: 'stopped',
      concurrency: 5,
      graceSeconds: 0.3,
      async handler({ body, signal }) {
        if (++started === 3) all.open()
        if (body === 'quick') await sleep(100)
        else if (body === 'heeds') {
          await new Promise((_resolve, reject) => {
            signal.onabort = () => {
              heard.push(body)
              reject(signal.reason)
            }
          })
        } else await new Promise(() => {})
      }
    })
    await all.opened
    t.equal(worker.stop(), worker.stopped)
    await worker.stopped
    t.strictSame(heard, ['heeds'])
    t.match(Object.fromEntries(settled.map(({ message, outcome }) => [message.body, outcome])), {
      quick: 'acked',
      heeds: 'released',
      deaf: 'released'
    })
    for (const id of ids.slice(1)) {
      t.match(await client.message('stopped', id), { state: 'ready', attempt: 0 })
    }
    await client.enqueue('stopped', { body: 'later' })
    t.equal((await client.queue('stopped')).counts.ready, 3, 'nothing is leased any more')
  }
)

t.test('stopped while it waits, it ends at once and gives back a message that was on its way', async t => {
  await client.putQueue('idle')
  const { proxy, url } = await shaky(t)
  // The answer comes, and is lost with the call that is given up: as when both cross on the way.
  const crossed = gate()
  proxy.swallow = {
    wants: request => request.includes('/queues/idle/lease'),
    answered: () => {
      worker.stop()
      crossed.open()
      return true
    }
  }
  const { worker } = start(t, { url, queue: 'idle', handler: () => t.fail('nothing is to be worked on') })
  const { id } = await client.enqueue('idle', { body: 1 })
  await crossed.opened
  proxy.swallow = null
  await worker.stopped
  t.match(await client.message('idle', id), { state: 'ready', attempt: 0 })

  const beganMs = performance.now()
  const waiting = start(t, { queue: 'empty-and-idle', handler: () => {}, onError() {} }).worker
  await waiting.stop()
  t.ok(performance.now() - beganMs < 5000)
})

t.test('when the service is killed and started again, every message is handled and acked', async t => {
  const { url: database } = await freshDatabase(t)
  const replica = () => serviceProcess(t, { HOLDFAST_DATABASE_URL: database, HOLDFAST_LOG_LEVEL: 'silent' })
  let running = await replica()
  const proxy = new Proxy()
  const target = ({ url }: { url: string }) => ({ host: '127.0.0.1', port: Number(new URL(url).port) })
  proxy.target = target(running)
  t.teardown(() => proxy.close())
  const address = `http://127.0.0.1:${await proxy.listen()}`
  const client = new Client({ url: address })
  const done = new Map<string, number[]>()
  const { until, settled } = start(t, {
    url: address,
    queue: 'killed',
    concurrency: 10,
    leaseSeconds: 2,
    onError() {},
    async handler({ message: { id }, attempt }) {
      await sleep(5)
      done.set(id, [...(done.get(id) ?? []), attempt])
    }
  })
  const ids: string[] = []
  for (let kill = 0; kill < 2; kill++) {
    ids.push(
      ...(
        await client.enqueueMany(
          'killed',
          Array.from({ length: 150 }, (_, n) => ({ body: n }))
        )
      ).map(({ id }) => id)
    )
    await until(settled.length + 30)
    running.child.kill('SIGKILL')
    await running.ended
    running = await replica()
    proxy.target = target(running)
  }
  while (done.size < ids.length) await until(settled.length + 1)
  t.strictSame([...done.keys()].sort(), ids.sort(), 'nothing was lost')
  for (const [id, attempts] of done) {
    t.strictSame(
      attempts,
      attempts.map((_, index) => index + 1),
      `${id}: a second time only as another attempt`
    )
  }
  while (Object.values((await client.queue('killed')).counts).some(count => count > 0));
})

t.test('wrong options are refused at once', async t => {
  const good = { url, queue: 'q', handler() {} }
  for (const bad of [
    { concurrency: 0 },
    { concurrency: 1.5 },
    { concurrency: 1001 },
    { leaseSeconds: 0 },
    { waitSeconds: 61 },
    { graceSeconds: -1 },
    { graceSeconds: NaN }
  ]) {
    t.throws(() => new Worker({ ...good, ...bad }), RangeError, JSON.stringify(bad))
  }
  t.throws(() => new Worker({ ...good, url: 'nowhere' }), /URL/)
  t.throws(() => new Worker({ ...good, handler: undefined as never }), TypeError)
})
