/** Push over HTTP: set, changed and removed; what is sent; and what follows from each answer. */
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { endpoint, type Received, type Reply } from '../../support/endpoint.ts'
import { service } from '../../support/service.ts'

const holdfast = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
const put = (queue: string, change: object) => holdfast.call('PUT', `/queues/${queue}/push`, change)
const enqueue = async (queue: string, message: object) =>
  (await holdfast.post(`/queues/${queue}/messages`, message)).body.id as string
const counts = async (queue: string) => (await holdfast.get(`/queues/${queue}`)).body.counts

/** Asks until it is so. */
async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
  for (const endMs = Date.now() + 20_000; ;) {
    const answer = await ask()
    if (isSo(answer)) return answer
    if (Date.now() > endMs) throw new Error(`still ${JSON.stringify(answer)}`)
  }
}
const untilEmpty = (queue: string) =>
  until(
    () => counts(queue),
    ({ ready, delayed, leased }) => ready + delayed + leased === 0
  )

const verify = (secret: string, { body, headers }: Received) =>
  new Webhook(secret).verify(body, headers as Record<string, string>)

t.test('a message is delivered, signed, and acked by a 2xx', async t => {
  const hook = await endpoint(t)
  const made = await put('hello', { url: hook.url })
  t.match(made, {
    status: 201,
    body: { queue: 'hello', url: hook.url, maxConcurrent: 10, timeoutSeconds: 30 }
  })
  const id = await enqueue('hello', { body: { order: 4711 } })
  const [request] = await hook.got(1)
  t.match(request, {
    method: 'POST',
    path: '/hook',
    body: '{"order":4711}',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'holdfast-queue': 'hello',
      'holdfast-attempt': '1'
    }
  })
  t.match(verify(made.body.secret, request!), { order: 4711 })
  await untilEmpty('hello')
  t.equal((await counts('hello')).dead, 0)
})

t.test('the call that makes a push shows its secret, and no other', async t => {
  const hook = await endpoint(t)
  t.match(await put('made', {}), { status: 400, body: { errors: [{ pointer: '/url' }] } })
  t.equal((await holdfast.get('/queues/made')).status, 404, 'a refused one makes no queue')
  t.match(await holdfast.get('/queues/made/push'), { status: 404, body: { code: 'pushNotFound' } })
  const made = await put('made', { url: hook.url, headers: { authorization: 'Bearer x' } })
  t.match(made.body.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const changed = await put('made', { timeoutSeconds: 5 })
  t.equal(changed.status, 200)
  t.notOk('secret' in changed.body)
  t.match(changed.body, { url: hook.url, timeoutSeconds: 5, headers: { authorization: 'Bearer x' } })
  const { status, body } = await holdfast.get('/queues/made/push')
  t.equal(status, 200)
  t.notOk('secret' in body)
  t.match(body, { queue: 'made', slowed: null, deliveries: [], oldSecretUntil: null })
  t.equal((await holdfast.call('DELETE', '/queues/made/push')).status, 204)
  t.equal((await holdfast.call('DELETE', '/queues/made/push')).status, 204, 'absent too')
  t.equal((await holdfast.get('/queues/made/push')).status, 404)
  const again = await put('made', { url: hook.url })
  t.equal(again.status, 201)
  t.not(again.body.secret, made.body.secret, 'a push made again has another secret')
  t.strictSame(again.body.headers, {}, 'and the defaults')
  await holdfast.call('DELETE', '/queues/made')
  t.equal((await holdfast.get('/queues/made/push')).status, 404, 'it is deleted with its queue')
})

t.test('both secrets sign for a day after a rotation', async t => {
  const hook = await endpoint(t)
  const { secret } = (await put('rotated', { url: hook.url })).body
  const rotated = await holdfast.post('/queues/rotated/push/rotate')
  t.equal(rotated.status, 200)
  t.not(rotated.body.secret, secret)
  const hours = (Date.parse(rotated.body.oldSecretUntil) - Date.now()) / 3_600_000
  t.ok(hours > 23.9 && hours <= 24, `${hours} hours`)
  await enqueue('rotated', { body: 1 })
  const [request] = await hook.got(1)
  t.equal(String(request!.headers['webhook-signature']).split(' ').length, 2)
  t.equal(verify(secret, request!), 1)
  t.equal(verify(rotated.body.secret, request!), 1)
  t.match(await holdfast.post('/queues/none/push/rotate'), { status: 404, body: { code: 'pushNotFound' } })
})

t.test('the body goes out byte for byte, with its content type and its trace', async t => {
  const hook = await endpoint(t)
  await put('bytes', { url: `${hook.url}?a=1`, headers: { 'X-Team': 'mail' } })
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const headers = { TraceParent: trace, tracestate: 'a=b', other: 'stays' }
  await enqueue('bytes', { body: { a: 1 }, headers })
  const [first] = await hook.got(1)
  t.match(first, { path: '/hook?a=1', headers: { traceparent: trace, tracestate: 'a=b', 'x-team': 'mail' } })
  t.notOk('other' in first!.headers)
  await holdfast.call('POST', '/queues/bytes/messages', '{"body": {"n": 1.10, "n": 2}}')
  t.match((await hook.got(2))[1], {
    body: '{"n": 1.10, "n": 2}',
    headers: { 'content-type': 'application/json' }
  })
  await holdfast.call('POST', '/queues/bytes/messages', 'päyload', { 'content-type': 'text/plain' })
  t.match((await hook.got(3))[2], { body: 'päyload', headers: { 'content-type': 'text/plain' } })
})

t.test('what follows from each answer', async t => {
  let answer: Reply = { status: 200 }
  const hook = await endpoint(t, () => answer)
  const other = await endpoint(t)
  await holdfast.call('PUT', '/queues/answers', {
    maxAttempts: 3,
    keepAckedSeconds: 60,
    retry: { delaySeconds: 600 }
  })
  await put('answers', { url: hook.url, maxConcurrent: 1 })
  /** Answers one message so, and gives it once it is no longer leased or ready. */
  const after = async (reply: Reply) => {
    answer = reply
    const id = await enqueue('answers', { body: 1 })
    const message = await until(
      async () => (await holdfast.get(`/queues/answers/messages/${id}`)).body,
      ({ state }) => state !== 'ready' && state !== 'leased'
    )
    // It shall not come again.
    if (message.state === 'delayed') await holdfast.call('DELETE', `/queues/answers/messages/${id}`)
    return message
  }
  for (const status of [200, 201, 204, 299]) t.equal((await after({ status })).state, 'acked', `${status}`)
  const gone = await after({ status: 410, body: 'no longer here' })
  t.match(gone, { state: 'dead', attempt: 1, lastFailure: { reason: 'HTTP 410: no longer here' } })
  const moved = await after({ status: 302, headers: { location: other.url }, body: 'elsewhere' })
  t.match(moved, { state: 'delayed', lastFailure: { reason: 'HTTP 302: elsewhere' } })
  t.equal(other.received.length, 0, 'a redirect is not followed')
  t.match(await after({ status: 404 }), { state: 'delayed', lastFailure: { reason: 'HTTP 404' } })
  const long = await after({ status: 400, body: 'é'.repeat(100_000) })
  t.equal(long.lastFailure.reason, `HTTP 400: ${'é'.repeat(500)}`)
  t.match(
    (await after({ status: 400, body: Buffer.from([0, 255, 65]) })).lastFailure.reason,
    /^HTTP 400: ..A$/
  )
  const delayOf = ({ visibleAt }: { visibleAt: string }) => (Date.parse(visibleAt) - Date.now()) / 1000
  for (const status of [429, 503]) {
    const asked = await after({ status, headers: { 'retry-after': '120' } })
    t.equal(asked.state, 'delayed')
    t.ok(delayOf(asked) > 110 && delayOf(asked) <= 120, `${status} after ${delayOf(asked)} s`)
    const date = new Date(Date.now() + 300_000).toUTCString()
    const later = await after({ status, headers: { 'retry-after': date } })
    t.ok(delayOf(later) > 290 && delayOf(later) <= 301, `${status} after ${delayOf(later)} s`)
    t.ok(delayOf(await after({ status })) > 590, `${status} without it keeps the curve of the queue`)
    await after({ status: 200 }) // so that it is not slowed down
  }
  const { body } = await holdfast.get('/queues/answers/push')
  t.match(body.deliveries[0], { outcome: 'delivered', status: 200, attempt: 1, reason: null })
  t.ok(body.deliveries.some(({ outcome }: { outcome: string }) => outcome === 'gone'))
})

t.test('an endpoint that does not answer in time, or hangs up, fails the attempt', async t => {
  const hook = await endpoint(t, () => null)
  await holdfast.call('PUT', '/queues/slow', { retry: { delaySeconds: 600 } })
  await put('slow', { url: hook.url, timeoutSeconds: 1 })
  const id = await enqueue('slow', { body: 1 })
  const failed = () =>
    until(
      async () => (await holdfast.get(`/queues/slow/messages/${id}`)).body,
      ({ state }) => state === 'delayed'
    )
  t.match((await failed()).lastFailure, { attempt: 1, reason: 'No answer within 1 s' })
  hook.behave(() => {
    throw new Error('hangs up')
  })
  await holdfast.post('/queues/slow/retry', {})
  t.match((await failed()).lastFailure, { attempt: 2, reason: /^The connection broke before an answer/ })
  await hook.close()
  await holdfast.post('/queues/slow/retry', {})
  t.match((await failed()).lastFailure, { attempt: 3, reason: 'The connection was refused' })
  const { deliveries } = (await holdfast.get('/queues/slow/push')).body
  t.strictSame(
    deliveries.map(({ outcome, status }: any) => [outcome, status]),
    [
      ['unreachable', null],
      ['failed', null],
      ['timeout', null]
    ]
  )
})

t.test('an answer that never ends is read up to a bound, and counts by its status', async t => {
  const server = await endpoint(t, () => ({ status: 500, body: 'x'.repeat(50_000_000) }))
  await holdfast.call('PUT', '/queues/endless', { retry: { delaySeconds: 600 } })
  await put('endless', { url: server.url })
  const id = await enqueue('endless', { body: 1 })
  const message = await until(
    async () => (await holdfast.get(`/queues/endless/messages/${id}`)).body,
    ({ state }) => state === 'delayed'
  )
  t.equal(message.lastFailure.reason, `HTTP 500: ${'x'.repeat(500)}`)
})

t.test('an endpoint that never ends to announce its answer is left', async t => {
  const announcement = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(100)
  const server = createServer(socket => {
    const send = () => {
      while (!socket.destroyed && socket.write(announcement));
      socket.once('drain', send)
    }
    socket.on('error', () => {})
    send()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  await put('hints', { url: `http://127.0.0.1:${port}/`, timeoutSeconds: 60 })
  const { body } = await holdfast.post('/queues/hints/push/test', {})
  t.match(body, { delivered: false, status: null, reason: /^More than 10 answers of 1xx/ })
  t.ok(body.seconds < 30)
})

t.test('an endpoint that switches to another protocol has failed, and its connection is closed', async t => {
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')
    })
    socket.once('end', () => socket.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await put('switching', { url: `http://127.0.0.1:${port}/`, timeoutSeconds: 60 })
  const { body } = await holdfast.post('/queues/switching/push/test', {})
  t.match(body, { delivered: false, status: 101 })
  t.ok(body.seconds < 30)
  server.close()
  await once(server, 'close')
})

t.test('a test sends a signed request, and touches no message', async t => {
  const hook = await endpoint(t, () => ({ status: 200, body: 'ok' }))
  const { secret } = (await put('tested', { url: hook.url })).body
  const test = await holdfast.post('/queues/tested/push/test')
  t.match(test, { status: 200, body: { delivered: true, status: 200, reason: null } })
  t.match(verify(secret, hook.received[0]!), { test: true, queue: 'tested' })
  hook.behave(() => ({ status: 401, body: 'who are you?' }))
  t.match((await holdfast.post('/queues/tested/push/test')).body, {
    delivered: false,
    status: 401,
    reason: 'HTTP 401: who are you?'
  })
  await hook.close()
  t.match((await holdfast.post('/queues/tested/push/test')).body, { delivered: false, status: null })
  t.equal((await holdfast.post('/queues/none/push/test')).status, 404)
})

t.test('no more requests are open than maxConcurrent', async t => {
  const open: (() => void)[] = []
  const hook = await endpoint(t, () => new Promise(resolve => open.push(() => resolve({ status: 200 }))))
  await put('few', { url: hook.url, maxConcurrent: 3 })
  await holdfast.post('/queues/few/messages', {
    messages: Array.from({ length: 10 }, (_, body) => ({ body }))
  })
  for (let done = 0; done < 10; done++) {
    await hook.got(Math.min(10, done + 3))
    const { leased } = await until(
      () => counts('few'),
      counts => counts.leased <= 3
    )
    t.ok(leased <= 3, 'and no more messages are leased')
    open[done]!()
  }
  await untilEmpty('few')
  t.equal(hook.peak, 3)
})

t.test('a lease of many messages lets others be served between the requests of two', async t => {
  const hook = await endpoint(t)
  const messages = Array.from({ length: 100 }, (_, body) => ({ body }))
  await holdfast.call('PUT', '/queues/many', { paused: true })
  await holdfast.post('/queues/many/messages', { messages })
  await put('many', { url: hook.url, maxConcurrent: 100 })
  const begun = { all: 0, inThisTurn: 0, most: 0 }
  const onStart = (event: unknown) => {
    if ((event as { request: { path: string } }).request.path !== new URL(hook.url).pathname) return
    begun.all++
    begun.most = Math.max(begun.most, ++begun.inThisTurn)
    setImmediate(() => (begun.inThisTurn = 0))
  }
  const starts = channel('http.client.request.start')
  starts.subscribe(onStart)
  t.teardown(() => starts.unsubscribe(onStart))
  await holdfast.call('PUT', '/queues/many', { paused: false })
  await hook.got(100)
  t.equal(begun.all, 100)
  t.ok(begun.most <= 2, `${begun.most} begun at most in a turn of the event loop, as this test sees turns`)
  await untilEmpty('many')
})

t.test('a group is delivered in order, and waits for its head', async t => {
  const hook = await endpoint(t, ({ headers }) => ({
    status: headers['holdfast-attempt'] === '1' ? 500 : 200
  }))
  await holdfast.call('PUT', '/queues/ordered', {
    ordering: 'group',
    retry: { strategy: 'fixed', delaySeconds: 0.05, jitter: false }
  })
  await holdfast.post('/queues/ordered/messages', {
    messages: Array.from({ length: 4 }, (_, body) => ({ body, group: 'g' }))
  })
  await put('ordered', { url: hook.url, maxConcurrent: 100 })
  const bodies = (await hook.got(8)).map(({ body }) => Number(body))
  t.strictSame(bodies, [0, 0, 1, 1, 2, 2, 3, 3])
})

t.test('what is refused, and where it is wrong', async t => {
  const url = 'https://example.com/hook'
  const refused: [change: object, pointer: string][] = [
    [{ url: 'ftp://example.com' }, '/url'],
    [{ url: 'example.com' }, '/url'],
    [{ url: 'http:example.com' }, '/url'],
    [{ url: 'https://user@example.com' }, '/url'],
    [{ url: 'https://user:secret@example.com' }, '/url'],
    [{ url: 'https://example.com/#part' }, '/url'],
    [{ url: 'https://exam\nple.com' }, '/url'],
    [{ url: ' https://example.com' }, '/url'],
    [{ url: `https://example.com/${'x'.repeat(2048)}` }, '/url'],
    [{ url, maxConcurrent: 0 }, '/maxConcurrent'],
    [{ url, maxConcurrent: 1001 }, '/maxConcurrent'],
    [{ url, timeoutSeconds: 301 }, '/timeoutSeconds'],
    [{ url, timeoutSeconds: 0.5 }, '/timeoutSeconds'],
    [{ url, headers: { 'webhook-id': '1' } }, '/headers/webhook-id'],
    [{ url, headers: { Host: 'x' } }, '/headers/Host'],
    [{ url, headers: { 'Content-Length': '1' } }, '/headers/Content-Length'],
    [{ url, headers: { 'a b': '1' } }, '/headers/a b'],
    [{ url, headers: { a: 'x\r\nb: y' } }, '/headers/a'],
    [{ url, headers: { a: 'é' } }, '/headers/a'],
    [{ url, headers: { a: '1', A: '2' } }, '/headers/A'],
    [{ url, headers: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`h${i}`, ''])) }, '/headers'],
    [{ url, headers: { a: 'x'.repeat(2048), b: 'x'.repeat(2047) } }, '/headers']
  ]
  for (const [change, pointer] of refused) {
    const { status, body } = await put('refused', change)
    t.match({ status, pointer: body.errors?.[0]?.pointer }, { status: 400, pointer }, JSON.stringify(change))
  }
  t.equal((await put('refused', { url, more: 1 })).status, 400)
})

t.test('pushes need no place among the calls that wait', async t => {
  const few = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on', HOLDFAST_WAITERS_MAX: '1' } })
  const hook = await endpoint(t)
  for (const queue of ['a', 'b', 'c']) {
    await few.call('PUT', `/queues/${queue}/push`, { url: hook.url })
    await few.post(`/queues/${queue}/messages`, { body: queue })
  }
  const received = await hook.got(3)
  t.strictSame(received.map(({ body }) => body).toSorted(), ['"a"', '"b"', '"c"'])
})
