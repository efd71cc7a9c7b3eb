/**
 * Every bound, filled: a call beyond it is refused early and honestly, settling goes on, and
 * afterwards there is room again.
 */
import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import pg from 'pg'
import t, { type Test } from 'tap'
import { HeldBytes } from '../../../src/fronts/shared/heldBytes.ts'
import { pollPause } from '../../support/pollPause.ts'
import { shareOf, tester } from '../../support/callers.ts'
import { service, type Answer } from '../../support/service.ts'

const mib = 1024 * 1024
// This allows 2 MiB of requests, and 2 MiB of answers.
const holdfast = await service(t, {
  env: { HOLDFAST_WAITING_BYTES_MAX: `${mib}`, HOLDFAST_WAITERS_MAX: '3' }
})
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

const text = (bytes: number, queue = 'q') =>
  holdfast.post(`/queues/${queue}/messages`, 'x'.repeat(bytes), { 'content-type': 'text/plain' })
const lease = async (queue: string) =>
  (await holdfast.post(`/queues/${queue}/lease`, { leaseSeconds: 600 })).body.messages[0]?.receipt as string

function open(t: Test, bytes: string, url = holdfast.url): net.Socket {
  const socket = net.connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(bytes)
  return socket
}

const head = (path: string, more: string) => `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n\r\n`

function refused(t: Test, answer: Answer, what: string, code = 'overloaded'): void {
  t.match(
    answer,
    {
      status: code === 'overloaded' ? 503 : 429,
      body: { code, ...(code === 'overloaded' && { outcome: 'none' }) }
    },
    what
  )
  t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/, `${what}: Retry-After`)
}

async function gauge(name: string): Promise<number> {
  return Number(new RegExp(`^holdfast_${name} (\\d+)$`, 'm').exec((await holdfast.get('/metrics')).text)![1])
}

/** Asks until it is not refused. */
async function untilServed(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask()
    if (answer.status !== 503) return answer
  }
}

/** Asks until it is refused, and piles up more after each answer. */
async function untilRefused(
  ask: () => Promise<Answer>,
  pileUp: () => void | Promise<void> = () => {}
): Promise<Answer> {
  for (;;) {
    const answer = await ask()
    if (answer.status >= 300) return answer
    await pileUp()
  }
}

await holdfast.call('PUT', '/queues/q')
await text(10, 'held')
await text(10, 'held')

t.test('bytes of incoming requests are bounded', async t => {
  const receipt = await lease('held')
  const arriving = [1, 2].map(() =>
    open(
      t,
      head('/queues/q/messages', 'content-type: text/plain\r\ncontent-length: 1000000') + 'x'.repeat(999_000)
    )
  )
  while ((await gauge('bound_held.bound="request_bytes".')) < 2 * 999_000) await pollPause()
  refused(t, await text(300_000), 'a third request')
  t.equal((await text(10_000)).status, 201, 'a small request is not counted')
  const socket = open(
    t,
    head('/queues/q/messages', 'content-type: text/plain\r\ntransfer-encoding: chunked') +
      `${(300_000).toString(16)}\r\n${'x'.repeat(300_000)}\r\n`
  )
  const [bytes] = await once(socket, 'data')
  t.match(
    String(bytes),
    /^HTTP\/1.1 503 .*"code":"overloaded".*"outcome":"none"/s,
    'a request without a length is refused too'
  )
  const acks = `{"receipt":"${receipt}"${' '.repeat(300_000)}}`
  t.match(
    await holdfast.post('/queues/held/ack', acks),
    { status: 200, body: { outcome: 'acked' } },
    'a request that makes room has more room'
  )
  // The refusal of a request this large comes late. A caller that will close its connection gets it
  // once it has sent everything, or after a second.
  const beganMs = performance.now()
  const closing = open(
    t,
    head('/queues/q/messages', 'connection: close\r\ncontent-type: text/plain\r\ncontent-length: 1000000')
  )
  t.match(String((await once(closing, 'data'))[0]), /^HTTP\/1.1 503 .*"code":"overloaded"/s)
  t.ok(performance.now() - beganMs > 900, 'the caller is not cut off while it sends')
  for (const socket of arriving) socket.destroy()
  t.equal((await untilServed(() => text(300_000))).status, 201)
})

t.test('a body that is announced and does not come holds nothing', async t => {
  const announced = Array.from({ length: 16 }, () =>
    open(t, `${head('/queues/q/messages', 'content-type: text/plain\r\ncontent-length: 1000000')}abc`)
  )
  while ((await gauge('connections')) < 17) await pollPause()
  t.equal((await text(900_000)).status, 201)
  for (const socket of announced) socket.destroy()
})

t.test('messages that wait to be stored are bounded', async t => {
  await holdfast.call('PUT', '/queues/stored')
  await sql.query('begin; lock table holdfast.messages in exclusive mode')
  const calls: Promise<Answer>[] = []
  let full = false
  while (!full) {
    const call = text(250_000, 'stored')
    calls.push(call)
    call.then(({ body }) => {
      full ||= body.code === 'overloaded'
    })
    await new Promise(setImmediate)
  }
  await sql.query('commit')
  const answers = await Promise.all(calls)
  refused(
    t,
    answers.find(({ body }) => body.code === 'overloaded')!,
    'a message too many'
  )
  // A flush under way may have waited too long for the lock.
  for (const { status, body } of answers) if (status !== 201) t.match([status, body.outcome], [503, 'none'])
  const stored = answers.filter(({ status }) => status === 201).length
  t.ok(stored > 0 && stored < answers.length, `${stored} of ${answers.length}`)
  t.match(
    (await holdfast.get('/queues/stored')).body.counts,
    { ready: stored },
    'no refused message is stored'
  )
  t.equal((await text(250_000, 'stored')).status, 201)
})

t.test('bytes of unread answers are bounded', async t => {
  for (let i = 0; i < 9; i++) await untilServed(() => text(900_000, 'large'))
  const receipt = await lease('held')
  const page = 'GET /queues/large/messages?limit=4 HTTP/1.1\r\nhost: localhost\r\n\r\n'
  const readers = Array.from({ length: 4 }, () => open(t, page).pause())
  // The first pages fit into buffers of the system, whose size nobody knows. Then there is room
  // until the next page.
  const askMore = () => {
    for (const reader of readers) reader.write(page)
  }
  refused(t, await untilRefused(() => holdfast.get('/queues/large/messages?limit=1'), askMore), 'a page')
  refused(t, await untilRefused(() => holdfast.post('/queues/large/lease'), askMore), 'a lease')
  t.match(
    await holdfast.post('/queues/held/ack', { receipt }),
    { status: 200, body: { outcome: 'acked' } },
    'acks go on'
  )
  t.equal((await text(10, 'held')).status, 201, 'enqueues go on')
  for (const reader of readers) reader.destroy()
  t.equal((await untilServed(() => holdfast.get('/queues/large/messages?limit=1'))).status, 200)
})

t.test('unread answers of every route are bounded: lists, documents, files', async t => {
  const names = Array.from({ length: 200 }, (_, i) => `listed-${i}`)
  await Promise.all(names.map(name => untilServed(() => holdfast.call('PUT', `/queues/${name}`))))
  for (const path of ['/queues?limit=1000', '/docs/static/swagger-ui-bundle.js', '/openapi.json']) {
    const ask = `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`
    const readers = Array.from({ length: 4 }, () => open(t, ask).pause())
    // Not too many ahead, for which a connection is closed.
    const askMore = async () => {
      if ((await gauge('bound_held{bound="ahead_bytes"}')) > mib / 2) return
      for (const reader of readers) reader.write(ask.repeat(4))
    }
    refused(t, await untilRefused(() => holdfast.get(path), askMore), path)
    t.equal((await holdfast.get('/queues/q')).status, 200, 'small answers are sent')
    for (const reader of readers) reader.destroy()
    t.equal((await untilServed(() => holdfast.get(path))).status, 200)
  }
})

t.test('an answer to a caller that has hung up is not counted for ever', async t => {
  const share = shareOf(mib)
  const server = http.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const caller = open(
    t,
    'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n',
    `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`
  )
  const [, response] = await once(server, 'request')
  caller.destroy()
  await once(response, 'close')
  new HeldBytes(share).until(response, tester)(mib)
  t.equal(share.held, 0)
})

t.test('waiting calls are bounded', async t => {
  await holdfast.call('PUT', '/queues/empty')
  const ends = [1, 2, 3].map(() => new AbortController())
  const waiting = ends.map(({ signal }) =>
    fetch(`${holdfast.url}/queues/empty/lease`, {
      method: 'POST',
      body: '{"waitSeconds":60}',
      headers: { 'content-type': 'application/json' },
      signal
    }).catch(() => {})
  )
  while ((await gauge('waiting_calls')) < 3) await pollPause()
  refused(
    t,
    await holdfast.post('/queues/empty/lease', { waitSeconds: 60 }),
    'a fourth waiting call',
    'tooManyWaiting'
  )
  t.match(
    await holdfast.post('/queues/empty/lease'),
    { status: 200, body: { messages: [] } },
    'a call that does not wait is served'
  )
  ends[0]!.abort()
  while ((await gauge('waiting_calls')) > 2) await pollPause()
  t.match(await holdfast.post('/queues/empty/lease', { waitSeconds: 0.05 }), {
    status: 200,
    body: { messages: [] }
  })
  for (const end of ends) end.abort()
  await Promise.all(waiting)
})

t.test('messages in a queue are bounded by its maxDepth', async t => {
  await holdfast.call('PUT', '/queues/short', { maxDepth: 1 })
  t.equal((await text(1, 'short')).status, 201)
  refused(t, await text(1, 'short'), 'a second message', 'queueFull')
  await holdfast.post('/queues/short/ack', { receipt: await lease('short') })
  t.equal((await text(1, 'short')).status, 201)
})

t.test('connections are bounded', async t => {
  const narrow = await service(t, {
    database: { url: holdfast.databaseUrl },
    env: { HOLDFAST_CONNECTIONS_MAX: '3' }
  })
  const ask = 'GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'
  /** Whether the connection is answered before it is closed. */
  const isAnswered = (socket: net.Socket) =>
    new Promise<boolean>(resolve => {
      socket.once('data', () => resolve(true)).once('close', () => resolve(false))
    })
  const connected = [1, 2, 3].map(() => open(t, ask, narrow.url))
  t.strictSame(await Promise.all(connected.map(isAnswered)), [true, true, true])
  t.equal(await isAnswered(open(t, ask, narrow.url)), false, 'one more is closed unanswered')
  connected[0]!.destroy()
  while (!(await isAnswered(open(t, ask, narrow.url)))) await pollPause()
  t.pass('there is room again')
})
