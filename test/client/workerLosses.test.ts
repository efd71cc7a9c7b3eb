/** The worker when leases, answers, connections or the service are lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Client, HoldfastError, RetryAfter, type Job } from '../../src/client/index.ts'
import { httpAnswer, Proxy } from '../faultbench/proxy.ts'
import { pollPause } from '../support/pollPause.ts'
import { freshDatabase } from '../support/postgres.ts'
import { serviceProcess } from '../support/service.ts'
import { addressOf, client, gate, shaky, start, url as serviceUrl } from './setup.ts'

t.test('a lost lease aborts the signal, the message is not settled, and the worker goes on', async t => {
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

t.test('when its lease cannot be extended, the signal aborts before others can have the message', async t => {
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
  proxy.target = addressOf(serviceUrl)
  await until(2)
  t.match(settled, [
    { outcome: 'leaseLost', message: { attempt: 1 } },
    { outcome: 'acked', message: { id, attempt: 2 } }
  ])
  t.ok(errors.every(error => error instanceof HoldfastError && error.code === 'noAnswer'))
})

t.test('a lease whose answer was lost brings the same messages again, still at attempt 1', async t => {
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
})

t.test('an ack or a failure whose answer was lost is sent again, and counts once', async t => {
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

t.test('a worker stopped while it waits ends at once, and gives back what was on its way', async t => {
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

t.test('with the service killed and started again, every message is worked on and acked', async t => {
  const { url: database } = await freshDatabase(t)
  const env = { HOLDFAST_DATABASE_URL: database, HOLDFAST_LOG_LEVEL: 'silent', HOLDFAST_AUTH: 'off' }
  const replica = () => serviceProcess(t, env)
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
    // Longer than a start of the service takes on a busy machine.
    leaseSeconds: 30,
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
  while (Object.values((await client.queue('killed')).counts).some(count => count > 0)) await pollPause()
})
