/** The worker against a real service: what it works on, keeps and gives back. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Dead, Done, RetryAfter, Worker, type Job } from '../../src/client/index.ts'
import { client, gate, start, url } from './setup.ts'

t.test('each message is worked on once and acked, its body a value, text or bytes', async t => {
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

t.test('a worker that works on one message at a time needs one request for each', async t => {
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

t.test('a worker works on as many messages as concurrency says, when there are as many', async t => {
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

t.test('what a handler throws becomes the reason, and may say when to retry or to give up', async t => {
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
  const names = Object.keys(thrown)
  const enqueued = await client.enqueueMany(
    'failing',
    names.map(body => ({ body }))
  )
  const ids = Object.fromEntries(enqueued.map(({ id }, index) => [names[index], id]))
  const { until, settled } = start(t, {
    queue: 'failing',
    concurrency: 5,
    handler({ body, attempt, message }) {
      if (attempt === 1) throw thrown[body as string]
      t.match(message.lastFailure, { attempt: 1, reason: body === 'plain' ? 'no such address' : /./ })
    }
  })
  await until(8) // three of the five come again, and are acked
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
})

t.test('what a handler returns as Done is the result and what follows; anything else is not', async t => {
  await client.putQueue('steps', { keepAckedSeconds: 60 })
  const [plain, rich] = await client.enqueueMany('steps', [{ body: 'plain' }, { body: 'rich' }])
  const { until, settled } = start(t, {
    queue: 'steps',
    concurrency: 2,
    handler: ({ body }) => {
      if (body === 'plain') return { result: 1 }
      return new Done({ result: { sum: 5 }, then: [{ queue: 'steps-next', body: [1], priority: 9 }] })
    }
  })
  await until(2)
  t.strictSame(
    settled.map(({ outcome }) => outcome),
    ['acked', 'acked']
  )
  t.match(await client.message('steps', rich!.id), { state: 'acked', result: { sum: 5 } })
  t.notOk('result' in (await client.message('steps', plain!.id)))
  t.match(await client.lease('steps-next'), { messages: [{ body: [1], priority: 9 }] })
})

t.test(
  'a Done that is refused fails its message; while the next queue is full, the lease is kept',
  async t => {
    await client.putQueue('refused', {
      keepAckedSeconds: 60,
      retry: { strategy: 'fixed', delaySeconds: 600, maxDelaySeconds: 600, jitter: false }
    })
    await client.putQueue('refused-full', { maxDepth: 1 })
    await client.enqueue('refused-full', { body: 'first' })
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const returned: Record<string, ConstructorParameters<typeof Done>[0]> = {
      large: { result: 'x'.repeat(70_000) },
      cyclic: { result: cyclic },
      full: { then: [{ queue: 'refused-full', body: 'second' }] }
    }
    const names = Object.keys(returned)
    const enqueued = await client.enqueueMany(
      'refused',
      names.map(body => ({ body }))
    )
    const ids = Object.fromEntries(enqueued.map(({ id }, index) => [names[index], id]))
    let fullErrors = 0
    const { until, settled } = start(t, {
      queue: 'refused',
      concurrency: 3,
      leaseSeconds: 1,
      handler: ({ body }) => new Done(returned[body as string]!),
      async onError(error) {
        if (!('code' in error) || error.code !== 'queueFull' || ++fullErrors !== 2) return
        const [first] = (await client.lease('refused-full')).messages
        await client.ack('refused-full', first!.receipt)
      }
    })
    await until(3)
    t.strictSame(settled.map(({ outcome }) => outcome).sort(), ['acked', 'retrying', 'retrying'])
    t.match(await client.message('refused', ids.large!), { lastFailure: { reason: /at most 65536 bytes/ } })
    t.match(await client.message('refused', ids.cyclic!), { lastFailure: { reason: /circular/ } })
    t.match(await client.message('refused', ids.full!), { state: 'acked', attempt: 1 })
    t.match(await client.lease('refused-full'), { messages: [{ body: 'second' }] })
  }
)

t.test('callbacks that throw hold up nothing, nor does a value that is no JSON', async t => {
  await client.putQueue('thrown', { maxAttempts: 1 })
  await client.enqueueMany('thrown', [{ body: 1 }, { body: 2 }])
  const said = t.capture(process.stderr, 'write', () => true)
  const { until, settled, worker } = start(t, {
    queue: 'thrown',
    concurrency: 2,
    handler: ({ body }) => new Done({ result: body === 1 ? 1n : null }),
    onSettled() {
      throw new Error('no listener')
    },
    async onError(error) {
      throw error
    }
  })
  await until(2)
  await worker.stop()
  t.strictSame(settled.map(({ outcome }) => outcome).sort(), ['acked', 'dead'])
  const lines = said().map(({ args }) => String(args[0]))
  t.match(lines.join(''), 'BigInt')
  t.match(lines.join(''), 'no listener')
})

t.test('an ack that goes with a refused lease is sent by itself', async t => {
  await client.enqueue('removed', { body: 1 })
  const { until, settled } = start(t, { queue: 'removed', handler: () => client.deleteQueue('removed') })
  await until(1)
  t.match(settled, [{ outcome: 'gone' }])
})

t.test('of an ordered queue, a group is worked on in its order, and groups side by side', async t => {
  await client.putQueue('groups', {
    ordering: 'group',
    retry: { strategy: 'fixed', delaySeconds: 0, jitter: false }
  })
  await client.enqueueMany(
    'groups',
    [1, 2, 3, 4].flatMap(body => ['ada', 'bob'].map(group => ({ group, body })))
  )
  const worked: Record<string, string[]> = { ada: [], bob: [] }
  const both = gate()
  let now = 0
  const acked = gate()
  let acks = 0
  const { settled } = start(t, {
    queue: 'groups',
    concurrency: 10,
    onSettled({ outcome }) {
      if (outcome === 'acked' && ++acks === 8) acked.open()
    },
    async handler({ body, attempt, message: { group } }) {
      if (++now === 2) both.open()
      await both.opened
      worked[group!]!.push(`${body}.${attempt}`)
      now--
      if (group === 'ada' && body === 2 && attempt < 3) throw new Error('not yet')
    }
  })
  await acked.opened
  t.strictSame(worked, { ada: ['1.1', '2.1', '2.2', '2.3', '3.1', '4.1'], bob: ['1.1', '2.1', '3.1', '4.1'] })
  const released = settled.filter(({ outcome }) => outcome === 'released')
  const names = released.map(({ message }) => `${message.group} ${String(message.body)}`)
  t.strictSame([...new Set(names)].sort(), ['ada 3', 'ada 4'])
  t.ok(released.every(each => !('error' in each)))
})

t.test('a queue with one order is worked on by one handler; a death lets the next go', async t => {
  await client.putQueue('line', { ordering: 'queue' })
  await client.enqueueMany(
    'line',
    [1, 2, 3, 4].map(body => ({ body, group: `g${body}` }))
  )
  const worked: unknown[] = []
  const stopping = gate()
  const { until, settled, worker } = start(t, {
    queue: 'line',
    concurrency: 4,
    graceSeconds: 10,
    async handler({ body }) {
      worked.push(body)
      if (body === 1) throw new Dead('no use')
      if (body === 2) await stopping.opened
    }
  })
  await until(1)
  const stopped = worker.stop()
  stopping.open()
  await stopped
  t.strictSame(worked, [1, 2])
  t.strictSame(
    settled.map(({ outcome }) => outcome),
    ['dead', 'acked', 'released', 'released']
  )
  t.match((await client.queue('line')).counts, { ready: 2, leased: 0 })
})

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
  // Four extensions last longer than the lease that the work began with.
  const ends = new Set<string>()
  while (ends.size < 5) {
    const { lease } = await client.message('long', id)
    if (lease) ends.add(lease.expiresAt)
  }
  open()
  await until(1)
  t.match(settled, [{ outcome: 'acked', message: { id, attempt: 1 } }])
})

t.test('on stop, work may finish within the grace, and the rest is given back uncounted', async t => {
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
})

t.test('options that cannot work are refused at once', async t => {
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
  t.throws(() => new Worker({ ...good, queue: undefined as never }), TypeError)
})
