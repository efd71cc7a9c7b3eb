/**
 * The client: typed calls, errors that say all the service said, and repeats that do nothing twice.
 */
import { createServer, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Client, HoldfastError, type Copy } from '../../src/client/index.ts'
import { httpAnswer, Proxy } from '../faultbench/proxy.ts'
import { contract } from '../../src/fronts/rest/contract/index.ts'
import { clientWith, guarded } from '../support/apiKeys.ts'
import { service } from '../support/service.ts'

let url: string
t.before(async () => {
  // Some callers come through a proxy, and so to another port.
  url = (await service(t, { env: { HOLDFAST_AUTH: 'off', HOLDFAST_PUSH_PRIVATE: 'on' } })).url
})

/** The service behind a network that loses the answers to the first `count` calls. */
async function losing(t: Test, count: number): Promise<{ url: string; proxy: Proxy }> {
  const proxy = new Proxy()
  const { hostname: host, port } = new URL(url)
  proxy.target = { host, port: Number(port) }
  proxy.swallow = httpAnswer(() => proxy.swallowed < count)
  t.teardown(() => proxy.close())
  return { url: `http://127.0.0.1:${await proxy.listen()}`, proxy }
}

/** A server in the place of the service, which answers as the test says. */
async function stub(t: Test, answer: (reply: ServerResponse, call: number) => void): Promise<string> {
  let calls = 0
  const server = createServer((request, reply) => {
    request.resume().on('end', () => answer(reply, ++calls))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Acks a new message with what follows from it, beside a receipt that was acked before. */
async function followUp(client: Client) {
  await client.enqueue('follow', { body: 1 })
  await client.enqueue('follow', { body: 2 })
  const { messages } = await client.lease('follow', { max: 2 })
  const [first, second] = messages.map(({ receipt }) => receipt) as [string, string]
  t.match(await client.ack('follow', { receipt: first, result: 1 }), { outcome: 'acked' })
  return await client.ack('follow', [{ receipt: second, then: [{ queue: 'next', body: 1 }] }, first])
}

t.test('every call does what it says', async t => {
  const client = new Client({ url: `${url}/` })
  t.match(await client.putQueue('calls', { keepAckedSeconds: 60, maxAttempts: 2 }), {
    queue: 'calls',
    settings: { maxAttempts: 2 }
  })
  const first = await client.enqueue('calls', { body: { n: 1 }, headers: { trace: 'x' }, priority: 9 })
  const [second, third] = await client.enqueueMany('calls', [
    { body: 2 },
    { body: 2, idempotencyKey: 'third' }
  ])
  t.strictSame(await client.enqueueMany('calls', [{ body: 2, idempotencyKey: 'third' }]), [
    { id: third!.id, duplicate: true }
  ])
  const raw = await client.enqueueRaw('calls', new Uint8Array([0, 255]), 'image/png', { priority: 0 })
  t.throws(() => client.enqueueRaw('calls', '{}', 'application/json; charset=utf-8'), {
    message: /use enqueue/
  })

  const { messages } = await client.lease('calls', { max: 10, worker: 'me' })
  t.match(messages, [
    { id: first.id, body: { n: 1 }, headers: { trace: 'x' }, attempt: 1 },
    { id: second!.id, body: 2 },
    { id: third!.id },
    { id: raw.id, bodyBase64: 'AP8=', contentType: 'image/png' }
  ])
  const receipts = messages.map(({ receipt }) => receipt)
  t.match(await client.extend('calls', { receipt: receipts[0]!, leaseSeconds: 60 }), { outcome: 'extended' })
  t.match(await client.ack('calls', receipts[0]!), { outcome: 'acked' })
  t.match(
    await client.fail('calls', [
      { receipt: receipts[1]!, reason: 'no', dead: true },
      { receipt: receipts[2]!, delaySeconds: 600 }
    ]),
    [{ outcome: 'dead' }, { outcome: 'retrying' }]
  )
  t.match(await client.release('calls', receipts[3]!), { outcome: 'released' })

  t.match(await client.message('calls', first.id, { waitSeconds: 5 }), { state: 'acked' })
  t.match(await followUp(client), [{ outcome: 'acked', then: [{ queue: 'next' }] }, { outcome: 'gone' }])
  t.match(await client.browse('calls', { state: 'dead', limit: 1 }), {
    messages: [{ id: second!.id, lastFailure: { reason: 'no' } }]
  })
  t.match(await client.queue('calls'), { counts: { ready: 1, delayed: 1, dead: 1, acked: 1 } })
  t.strictSame(await client.redrive('calls', { ids: [second!.id] }), { redriven: 1 })
  await client.cancel('calls', second!.id)
  t.strictSame(await client.retry('calls', { dryRun: true }), { matched: 1 })
  t.strictSame(await client.purge('calls', { state: 'ready' }), { purged: 1 })
  t.ok((await client.queues({ limit: 1 })).queues.length)
  t.match(await client.explain('calls', third!.id), { state: 'delayed', reasons: [{ code: 'backingOff' }] })
  t.match(await client.series('calls'), { queue: 'calls', stepSeconds: Number, at: [Number] })
  await client.deleteQueue('calls')
  await t.rejects(client.queue('calls'), { status: 404, code: 'queueNotFound' })
})

t.test('schedules are made, run once for a key, listed and deleted', async t => {
  const client = new Client({ url })
  const change = { queue: 'scheduled', cron: '30 6 * * 1-5', body: { report: 'daily' } }
  t.match(await client.putSchedule('report', change), { name: 'report', timezone: 'UTC', ...change })
  t.match(await client.putSchedule('report', { paused: true }), { paused: true, nextRuns: [] })
  t.match(await client.schedule('report'), { body: { report: 'daily' }, paused: true })
  const { id } = await client.runSchedule('report', { idempotencyKey: 'once' })
  t.strictSame(await client.runSchedule('report', { idempotencyKey: 'once' }), { id, duplicate: true })
  t.match(await client.schedules(), { schedules: [{ name: 'report' }], cursor: null })
  await client.deleteSchedule('report')
  await t.rejects(client.schedule('report'), { code: 'scheduleNotFound' })
})

t.test('API keys are made, listed and revoked', async t => {
  const guarded = await service(t)
  const open = new Client({ url: guarded.url })
  const { id, secret } = await open.createKey({ name: 'owner', rights: ['admin'] })
  const client = new Client({ url: guarded.url, key: secret })
  const worker = await client.createKey({ name: 'worker', rights: ['lease:mail'], messagesPerSecond: 5 })
  t.match(await client.keys(), [
    { id, name: 'owner', rights: ['admin'] },
    { id: worker.id, messagesPerSecond: 5, requestsPerSecond: null }
  ])
  t.strictSame(await client.revokeKey(worker.id), [], 'it owns no schedule')
  t.equal((await client.keys()).length, 1)
})

t.test('a call that makes a key is not repeated by itself', async t => {
  let calls = 0
  const lossy = await stub(t, (reply, call) => {
    calls = call
    reply.destroy()
  })
  const client = new Client({ url: lossy })
  const error = await client.createKey({ name: 'lost', rights: ['admin'] }).catch(error => error)
  t.equal(error.outcome, 'unknown')
  t.equal(calls, 1)
})

t.test('a refusal is an error with all that the service said, and is not repeated', async t => {
  const client = new Client({ url })
  const error = await client.enqueue('refused', { body: 1, priority: 11 }).then(
    () => null,
    (error: unknown) => error as HoldfastError
  )
  t.ok(error instanceof HoldfastError)
  t.match(error, {
    status: 400,
    code: 'invalidRequest',
    outcome: 'none',
    requestId: /./,
    errors: [{ pointer: '/priority' }],
    message: /priority/
  })
  await client.enqueue('refused', { body: 1 })
  const [message] = (await client.lease('refused', { leaseSeconds: 60 })).messages
  await client.release('refused', message!.receipt)
  await client.lease('refused')
  await t.rejects(client.ack('refused', message!.receipt), { status: 409, code: 'leaseLost' })
  t.match(
    await client.ack('refused', [message!.receipt]),
    [{ outcome: 'leaseLost' }],
    'in a list it is an outcome'
  )
})

t.test('an enqueue whose answer was lost twice is one message, with a key or without', async t => {
  for (const idempotencyKey of ['mine', undefined]) {
    const { url, proxy } = await losing(t, 2)
    const client = new Client({ url })
    const queue = `once-${idempotencyKey}`
    const { id } = await client.enqueue(queue, { body: 1, idempotencyKey })
    t.equal(proxy.swallowed, 2)
    t.match(await client.browse(queue), { messages: [{ id }], cursor: null })
    t.equal((await client.browse(queue)).messages.length, 1)
    if (idempotencyKey !== undefined) {
      t.match(
        await client.enqueue(queue, { body: 1, idempotencyKey }),
        { id, duplicate: true },
        'its own key was sent'
      )
    }
  }
  const { url, proxy } = await losing(t, 1)
  const client = new Client({ url })
  t.equal(
    (await client.enqueueMany('once-list', [{ body: 1 }, { body: 2, idempotencyKey: undefined }])).length,
    2
  )
  await client.enqueueRaw('once-list', 'text', 'text/plain', { idempotencyKey: undefined })
  t.equal(proxy.swallowed, 1)
  t.match(
    (await client.browse('once-list')).messages.map(({ body }) => body),
    [1, 2, 'text']
  )
})

t.test('a lease whose answer was lost brings the same messages again', async t => {
  const straight = new Client({ url })
  await straight.enqueueMany('leased-once', [{ body: 1 }, { body: 2 }])
  const { url: shaky, proxy } = await losing(t, 1)
  const { messages } = await new Client({ url: shaky }).lease('leased-once', {
    max: 1,
    idempotencyKey: undefined
  })
  t.equal(proxy.swallowed, 1)
  t.match(messages, [{ body: 1, attempt: 1, fence: 1 }])
  t.match((await straight.queue('leased-once')).counts, { ready: 1, leased: 1 })
})

t.test('a repeat waits as long as Retry-After says, other pauses are short, and repeats end', async t => {
  const times: number[] = []
  const busy = await stub(t, (reply, call) => {
    times.push(performance.now())
    if (call <= 2) reply.writeHead(503, call === 1 ? { 'retry-after': '1' } : {}).end('<html>away</html>')
    else reply.end('{"id":"7"}')
  })
  t.strictSame(await new Client({ url: busy }).enqueue('q', { body: 1 }), { id: '7' })
  t.ok(times[1]! - times[0]! >= 990, 'not before the time that Retry-After says')

  const away = await stub(t, reply =>
    reply
      .writeHead(503, { 'content-type': 'application/problem+json' })
      .end('{"code":"overloaded","detail":"Later.","outcome":"none"}')
  )
  await t.rejects(new Client({ url: away, retrySeconds: 0.3 }).queue('q'), {
    status: 503,
    code: 'overloaded',
    outcome: 'none',
    message: 'Later.'
  })
  await t.rejects(new Client({ url: away }).queue('q', { retrySeconds: 0 }), {
    status: 503,
    code: 'overloaded'
  })
  const unheard = new Proxy()
  const port = await unheard.listen()
  await unheard.close()
  await t.rejects(new Client({ url: `http://127.0.0.1:${port}`, retrySeconds: 0 }).queue('q'), {
    status: 0,
    code: 'noAnswer',
    outcome: 'unknown',
    message: /ECONNREFUSED/
  })
  const silent = await stub(t, () => {})
  await t.rejects(
    new Client({ url: silent, timeoutSeconds: 0.05, retrySeconds: undefined }).queue('q', {
      retrySeconds: 0
    }),
    { code: 'noAnswer', message: /nothing came within 0.05 s/ }
  )
  const garbled = await stub(t, reply => reply.end('{"queue":'))
  await t.rejects(new Client({ url: garbled, retrySeconds: 0 }).queue('q'), { code: 'noAnswer' })
})

t.test('an aborted signal ends a call', async t => {
  const control = new AbortController()
  const client = new Client({ url })
  await client.putQueue('given-up')
  const waiting = client.lease('given-up', { waitSeconds: 60 }, { signal: control.signal })
  control.abort(new Error('no longer wanted'))
  await t.rejects(waiting, { message: 'no longer wanted' })
})

t.test('an API key is sent', async t => {
  const { holdfast, admin } = await guarded(t)
  const { secret } = await clientWith(holdfast, admin, ['enqueue:mail'])
  t.ok((await new Client({ url: holdfast.url, key: secret }).enqueue('mail', { body: 1 })).id)
  await t.rejects(new Client({ url: holdfast.url, key: undefined }).enqueue('mail', { body: 1 }), {
    status: 401,
    code: 'unauthorized'
  })
})

t.test('topics: subscribe, publish and look', async t => {
  const client = new Client({ url })
  t.match(await client.subscribe('news', 'readers', { pattern: 'eu.#' }), {
    queue: 'readers',
    pattern: 'eu.#'
  })
  await client.subscribe('news', 'archive')
  const copies: Copy[] = await client.publish('news', { body: 1, routingKey: 'eu.x' })
  t.match(copies, [{ queue: 'archive' }, { queue: 'readers' }])
  t.match(await client.publishMany('news', [{ body: 2 }, { body: 3 }]), [{ index: 0 }, { index: 1 }])
  t.equal((await client.publishRaw('news', 'bytes', 'text/plain', { routingKey: 'eu' })).length, 2)
  t.strictSame(await client.publish('nowhere', { body: 1 }), [])
  t.match(await client.topics(), { topics: [{ topic: 'news', subscriptions: 2 }], cursor: null })
  const { messages } = await client.lease('readers', { max: 2 })
  t.match(messages, [
    { topic: 'news', routingKey: 'eu.x' },
    { routingKey: 'eu', body: 'bytes' }
  ])
  await client.unsubscribe('news', 'archive')
  t.match(await client.topic('news'), { subscriptions: [{ queue: 'readers' }] })
  await client.deleteTopic('news')
  await t.rejects(client.topic('news'), { code: 'topicNotFound' })
})

t.test('every operation of the contract has a method, but for those of health', t => {
  const renamed: Record<string, string> = { cancelMessage: 'cancel', explainMessage: 'explain' }
  for (const { schema, url } of contract) {
    if (/^\/(livez|readyz|metrics)$/.test(url)) continue
    const id = schema.operationId!
    const name = renamed[id] ?? id.replace(/^(get|list)(.)/, (_all, _verb, first) => first.toLowerCase())
    t.equal(typeof Reflect.get(Client.prototype, name), 'function', name)
  }
  t.end()
})

t.test('push: made, looked at, tested, rotated and ended', async t => {
  const client = new Client({ url })
  const endpoint = await stub(t, reply => reply.writeHead(204).end())
  const { secret } = await client.putPush('pushed', { url: `${endpoint}/hook`, maxConcurrent: 2 })
  t.match(await client.push('pushed'), { url: `${endpoint}/hook`, maxConcurrent: 2, slowed: null })
  t.match(await client.testPush('pushed'), { delivered: true, status: 204 })
  t.not((await client.rotatePush('pushed')).secret, secret)
  await client.deletePush('pushed')
  await t.rejects(client.push('pushed'), { code: 'pushNotFound' })
})

t.test('what a queue is made of: its groups, its failures and its consumers', async t => {
  const client = new Client({ url })
  await client.putQueue('grouped', { ordering: 'group' })
  await client.enqueueMany('grouped', [
    { body: 1, group: 'a' },
    { body: 2, group: 'b' }
  ])
  const [message] = (await client.lease('grouped', { worker: 'w' })).messages
  t.match((await client.groups('grouped')).groups, [
    { group: 'a', leased: 1 },
    { group: 'b', waiting: 1 }
  ])
  t.match((await client.consumers('grouped')).consumers, [{ worker: 'w', leases: 1 }])
  await client.fail('grouped', { receipt: message!.receipt, reason: 'no such user 7', dead: true })
  const failed = { state: 'dead', reason: 'no such user #', count: 1, ids: [message!.id] }
  t.match((await client.failures('grouped', { state: 'dead' })).groups, [failed])
  await t.rejects(client.deleteQueue('grouped', { ifEmpty: true }), { code: 'queueNotEmpty' })
})
