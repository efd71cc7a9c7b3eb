/** Producers and workers in four languages, run as they stand against a real service. */
import t, { type Test } from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { clientWith, guarded } from '../support/apiKeys.ts'
import { service } from '../support/service.ts'
import { noGo } from '../support/debian.ts'
import { listen, noPython, programs, read, start, type Running } from './setup.ts'

const holdfast = await service(t)

/** Runs the work for the programs of each language, side by side. */
const inEach = (work: (name: string, program: (role: string) => string[]) => Promise<unknown>) =>
  Promise.all(Object.entries(programs).map(([name, program]) => work(name, program)))

/** Enqueues one message, and returns its id. */
const enqueue = async (queue: string, body: unknown): Promise<string> =>
  (await holdfast.post(`/queues/${queue}/messages`, { body })).body.id

const messageOf = async (queue: string, id: string) =>
  (await holdfast.get(`/queues/${queue}/messages/${id}`)).body

/** Starts an example on a queue. */
const run = (t: Test, command: string[], queue: string, env: Record<string, string> = {}): Running =>
  start(t, command, { QUEUE_URL: `${holdfast.url}/queues/${queue}`, ...env })

/**
 * A bad network before the service. `upset` may refuse a call, lose its answer after the call was
 * done, or hold it up. Returns its URL.
 */
function badNetwork(
  t: Test,
  upset: (path: string, body: string) => Promise<'refuse' | 'lose' | 'pass'>
): Promise<string> {
  return listen(t, async (request, reply) => {
    const { body, headers } = await read(request, ['accept', 'content-type', 'idempotency-key'])
    const what = await upset(request.url!, body.toString())
    if (what === 'refuse') return reply.writeHead(503, { 'retry-after': '0' }).end()
    const answer = await holdfast
      .call(request.method!, request.url!, body.length > 0 ? body : undefined, headers)
      .catch(() => null)
    if (what === 'lose' || answer === null) return reply.destroy()
    const passed = [...answer.headers].filter(([name]) => /^(content-type|holdfast-.*)$/.test(name))
    return reply.writeHead(answer.status, Object.fromEntries(passed)).end(answer.text)
  })
}

/** The receipt that a call acks, alone or with the next lease. */
function ackedBy(path: string, body: string): string | undefined {
  return (
    /[?&]ack=([^&]+)/.exec(path)?.[1] ??
    /"ack": ?\["([^"]+)/.exec(body)?.[1] ??
    (path.endsWith('/ack') ? /"([\d.]+\.[0-9a-f]{8})"/.exec(body)?.[1] : undefined)
  )
}

t.test('the programs in Go take part in every test', { skip: noGo }, async t => {
  t.ok('go' in programs)
})

t.test('every producer is confirmed, and every worker acks its messages', async t => {
  await inEach((from, producer) =>
    inEach(async (to, worker) => {
      const queue = `${from}-to-${to}`
      const enqueued = run(t, [...producer('producer'), 'first', 'second "quoted"'], queue)
      const [, first] = await enqueued.line(/^enqueued (\d+)$/)
      const [, second] = await enqueued.line(new RegExp(`^enqueued (?!${first}$)(\\d+)$`))
      const working = run(t, worker('worker'), queue, { WORK_SECONDS: '0.05' })
      for (const id of [first, second]) await working.line(new RegExp(`^acked ${id}$`))
      t.match(working.lines[0], new RegExp(`^working ${first} attempt 1 .*first`), queue)
      t.match((await holdfast.get(`/queues/${queue}`)).body.counts, { ready: 0, leased: 0 })
      working.child.kill('SIGTERM')
      t.strictSame((await working.ended)[0], 0, `${queue}: ends at SIGTERM`)
    })
  )
})

t.test('where a key is asked for, each program sends the one it is given', async t => {
  const { holdfast, admin } = await guarded(t)
  const { secret } = await clientWith(holdfast, admin, ['lease:keyed-*', 'enqueue:keyed-*'])
  await inEach(async (name, program) => {
    const env = {
      QUEUE_URL: `${holdfast.url}/queues/keyed-${name}`,
      HOLDFAST_KEY: secret,
      WORK_SECONDS: '0'
    }
    const [, id] = await start(t, [...program('producer'), 'guarded'], env).line(/^enqueued (\d+)$/)
    await start(t, program('worker'), env).line(new RegExp(`^acked ${id}$`))
    t.pass(name)
  })
})

t.test('after a worker is killed at work, another gets the message', { skip: noPython }, async t => {
  const id = await enqueue('killed', 'precious')
  const worker = ['python3', 'docs/examples/python/worker.py']
  const first = run(t, worker, 'killed', { WORK_SECONDS: '600', LEASE_SECONDS: '1' })
  await first.line(new RegExp(`^working ${id} attempt 1 `))
  first.child.kill('SIGKILL')
  const second = run(t, worker, 'killed', { WORK_SECONDS: '0' })
  await second.line(new RegExp(`^working ${id} attempt 2 `))
  await second.line(new RegExp(`^acked ${id}$`))
  t.pass()
})

t.test(
  'a worker extends its lease while it works, and gives the message back when it is stopped',
  async t => {
    await inEach(async (name, program) => {
      const queue = `stopped-${name}`
      const id = await enqueue(queue, 1)
      const working = run(t, program('worker'), queue, {
        WORK_SECONDS: '600',
        LEASE_SECONDS: '9',
        GRACE_SECONDS: '0'
      })
      await working.line(/^working/)
      const { lease } = await messageOf(queue, id)
      while ((await messageOf(queue, id)).lease?.expiresAt === lease.expiresAt) await pollPause()
      working.child.kill('SIGTERM')
      t.strictSame((await working.ended)[0], 0, `${name} ends with 0`)
      t.match(
        await messageOf(queue, id),
        { state: 'ready', attempt: 0, history: [{ outcome: 'released' }] },
        `${name}: the attempt does not count`
      )
    })
  }
)

t.test('after a refusal and a lost answer, a producer asks again, and there is one message', async t => {
  await inEach(async (name, program) => {
    const queue = `unsure-${name}`
    const upsets = ['refuse', 'lose'] as const
    let calls = 0
    const url = await badNetwork(t, async () => upsets[calls++] ?? 'pass')
    const producer = run(t, [...program('producer'), '@once'], queue, { QUEUE_URL: `${url}/queues/${queue}` })
    const [, id] = await producer.line(/^enqueued (\d+)$/)
    t.strictSame((await producer.ended)[0], 0, name)
    t.equal(calls, 3, `${name}: asked three times`)
    const { messages } = (await holdfast.get(`/queues/${queue}/messages`)).body
    t.match(messages, [{ id }], name)
    t.equal(messages.length, 1, name)
    t.match(JSON.stringify(messages[0].body), '@once', name)
  })
})

t.test('a producer that is refused for good ends with an error, and does not ask again', async t => {
  await inEach(async (name, program) => {
    const producer = run(t, [...program('producer'), 'x'], '-')
    t.not((await producer.ended)[0], 0, name)
    t.strictSame(producer.lines, [], name)
  })
})

t.test('after lost answers to lease and ack, a worker asks again, and the work counts once', async t => {
  await inEach(async (name, program) => {
    const queue = `ack-unsure-${name}`
    const upsets = ['refuse', 'lose'] as const
    let acks = 0
    let leases = 0
    const url = await badNetwork(t, async (path, body) => {
      if (path.includes('/lease') && leases++ === 0) return 'lose'
      return ackedBy(path, body) === undefined ? 'pass' : (upsets[acks++] ?? 'pass')
    })
    const id = await enqueue(queue, { id: '7', receipt: 'x', attempt: 9, contentType: 'y' })
    const worker = run(t, program('worker'), queue, {
      QUEUE_URL: `${url}/queues/${queue}`,
      WORK_SECONDS: '0'
    })
    await worker.line(new RegExp(`^acked ${id}$`))
    t.match(worker.lines[0], new RegExp(`^working ${id} attempt 1 \\{"id": ?"7".*"y"\\}$`), name)
    t.equal(worker.lines.length, 2, `${name}: worked once`)
    t.equal(acks, 3, name)
    t.equal((await holdfast.get(`/queues/${queue}/messages/${id}`)).status, 404, name)
  })
})

t.test('a worker that has lost its lease says so, and goes on', async t => {
  await inEach(async (name, program) => {
    const queue = `lost-${name}`
    const id = await enqueue(queue, 1)
    let isLost = false
    const url = await badNetwork(t, async (path, body) => {
      const receipt = ackedBy(path, body)
      if (receipt !== undefined && !isLost) {
        // The ack comes late: by then another caller has leased the message.
        isLost = true
        await holdfast.post(`/queues/${queue}/release`, { receipt })
        const other = await holdfast.post(`/queues/${queue}/lease`, { leaseSeconds: 600 })
        t.match(other.body, { messages: [{ id, fence: 2 }] }, name)
      }
      return 'pass'
    })
    const worker = run(t, program('worker'), queue, {
      QUEUE_URL: `${url}/queues/${queue}`,
      WORK_SECONDS: '0',
      CONCURRENCY: '1'
    })
    await worker.line(new RegExp(`^lost the lease of ${id}$`))
    const next = await enqueue(queue, 2)
    await worker.line(new RegExp(`^acked ${next}$`))
    t.match(await messageOf(queue, id), { state: 'leased', history: [{ outcome: 'released' }] }, name)
  })
})

t.test('a worker whose work fails reports the reason', async t => {
  await inEach(async (name, program) => {
    const queue = `failing-${name}`
    await holdfast.call('PUT', `/queues/${queue}`, {
      maxAttempts: 2,
      retry: { strategy: 'fixed', delaySeconds: 0, jitter: false }
    })
    const id = await enqueue(queue, 1)
    const worker = run(t, program('worker'), queue, { WORK_SECONDS: 'soon' })
    await worker.line(new RegExp(`^failed ${id}$`))
    // The message now brings its last failure, whose attempt must not be taken for the message's.
    await worker.line(new RegExp(`^working ${id} attempt 2 1$`))
    worker.child.kill('SIGTERM')
    await worker.ended
    const { reason } = (await messageOf(queue, id)).lastFailure
    t.match(reason, /exit code 1|ValueError|not a number/, name)
  })
})

t.test('send and wait: the producer learns of the ack, and not before', { skip: noPython }, async t => {
  let ask = () => {}
  const asked = new Promise<void>(resolve => {
    ask = resolve
  })
  const url = await badNetwork(t, async (path, body) => {
    if (path.includes('/messages/')) ask()
    if (ackedBy(path, body) !== undefined) {
      t.match(await messageOf('confirmed', id!), { state: 'leased' })
      t.equal(sender.lines.length, 1, 'the work is done, but its ack is still on its way')
    }
    return 'pass'
  })
  const env = { QUEUE_URL: `${url}/queues/confirmed`, WORK_SECONDS: '0' }
  const sender = start(t, ['python3', 'docs/examples/python/send_and_wait.py', 'tell me'], env)
  const [, id] = await sender.line(/^enqueued (\d+)$/)
  await asked
  const worker = start(t, ['python3', 'docs/examples/python/worker.py'], env)
  await worker.line(new RegExp(`^acked ${id}$`))
  await sender.line(new RegExp(`^acked ${id}$`))
  t.strictSame((await sender.ended)[0], 0)
})

t.test('send and wait: a message whose attempts all failed is shown as dead', { skip: noPython }, async t => {
  await holdfast.call('PUT', '/queues/hopeless', { maxAttempts: 1 })
  const sender = run(t, ['python3', 'docs/examples/python/send_and_wait.py', 'impossible'], 'hopeless')
  const [, id] = await sender.line(/^enqueued (\d+)$/)
  run(t, ['python3', 'docs/examples/python/worker.py'], 'hopeless', { WORK_SECONDS: 'soon' })
  await sender.line(new RegExp(`^dead ${id}$`))
  t.strictSame((await sender.ended)[0], 1)
})
