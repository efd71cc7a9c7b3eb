/** Shutdown: waiting calls are answered, begun calls are finished, idle connections are closed. */
import net from 'node:net'
import t, { type Test } from 'tap'
import { freshDatabase } from '../../support/postgres.ts'
import { service, serviceProcess } from '../../support/service.ts'
import { connect, load, msSince, untilBlocked, untilWaiting } from '../../faults/setup.ts'

interface Connection {
  socket: net.Socket
  /** The first bytes of an answer. */
  answered: Promise<string>
  closed: Promise<unknown>
}

/** Opens a connection, and sends what is given. */
function open(t: Test, url: string, request: string): Connection {
  const { hostname, port } = new URL(url)
  const socket = net.connect(Number(port), hostname)
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  if (request !== '') socket.write(request)
  return {
    socket,
    answered: new Promise(resolve => socket.once('data', bytes => resolve(String(bytes)))),
    closed: new Promise(resolve => socket.once('close', resolve))
  }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`

function post(path: string, body: object): string {
  const text = JSON.stringify(body)
  return (
    `POST ${path} HTTP/1.1\r\n` +
    'host: localhost\r\n' +
    'content-type: application/json\r\n' +
    `content-length: ${text.length}\r\n\r\n${text}`
  )
}

t.test(
  'SIGTERM under load: waiting consumers get an empty list, begun calls are finished, exit 0',
  async t => {
    const database = await freshDatabase(t)
    const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
    await holdfast.call('PUT', '/queues/empty')
    const running = load(holdfast, 'busy')
    await running.reaching(200)
    const waiting = Array.from({ length: 20 }, () =>
      holdfast.post('/queues/empty/lease', { waitSeconds: 50 })
    )
    await untilWaiting(holdfast, 20)
    const startedMs = performance.now()
    holdfast.child.kill('SIGTERM')
    for (const answer of await Promise.all(waiting)) t.match(answer, { status: 200, body: { messages: [] } })
    const tookMs = msSince(startedMs)
    t.ok(tookMs < 1000, `answered after ${tookMs} ms`)
    t.equal(await holdfast.ended, 0)
    await running.stop()
    t.strictSame(
      [...running.refusals].filter(code => code !== 'shuttingDown'),
      [],
      'begun calls are finished'
    )
    await running.kept(t, database.url)
  }
)

t.test('while it shuts down, a replica is alive and not ready, and finishes begun calls', async t => {
  const holdfast = await service(t)
  await holdfast.post('/queues/q/messages', { body: 1 })
  const { receipt } = (await holdfast.post('/queues/q/lease')).body.messages[0]
  const sql = await connect(t, holdfast.databaseUrl)
  await sql.query('begin; select from holdfast.messages for update')
  const acking = holdfast.post('/queues/q/ack', { receipt })
  await untilBlocked(sql)
  // Idle connections are closed at once, so each of these has sent half a request.
  const [alive, ready] = await Promise.all(
    ['/livez', '/readyz'].map(async path => {
      const connection = open(t, holdfast.url, `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n`)
      await holdfast.get('/livez') // by now the half has been read
      return connection
    })
  )
  const stopping = holdfast.stop()
  await new Promise(setImmediate)
  for (const { socket } of [alive!, ready!]) socket.write('\r\n')
  t.match(await alive!.answered, /^HTTP\/1.1 200 /)
  t.match(await ready!.answered, /^HTTP\/1.1 503 .*"code":"shuttingDown"/s)
  await sql.query('commit')
  t.match(await acking, { status: 200, body: { outcome: 'acked' } })
  await stopping
})

t.test('shutdown does not wait for connections on which nothing is asked', async t => {
  const database = await freshDatabase(t)
  const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
  await holdfast.post('/queues/q/messages', {
    messages: Array.from({ length: 9 }, () => ({ body: 'x'.repeat(900_000) }))
  })
  const { receipt } = (await holdfast.post('/queues/q/lease')).body.messages[0]
  await holdfast.call('PUT', '/queues/empty')

  const idle = Array.from({ length: 100 }, () => open(t, holdfast.url, get('/livez')))
  for (const { socket } of idle) socket.resume()
  await Promise.all(idle.map(({ answered }) => answered))
  const unused = Array.from({ length: 10 }, () => open(t, holdfast.url, ''))
  const wait = post('/queues/empty/lease', { waitSeconds: 60 })
  const waiting = Array.from({ length: 20 }, () => open(t, holdfast.url, wait))
  // A reader that takes the beginning of a long answer, and pauses.
  const reader = open(t, holdfast.url, '')
  let bytes = 0
  reader.socket
    .on('data', chunk => {
      bytes += chunk.length
    })
    .once('data', () => reader.socket.pause())
  reader.socket.write(get('/queues/q/messages'))
  // A call that has begun, and cannot end before the commit below.
  const sql = await connect(t, database.url)
  await sql.query('begin; select from holdfast.messages for update')
  const slow = open(t, holdfast.url, post('/queues/q/ack', { receipt }))
  await untilBlocked(sql)
  await untilWaiting(holdfast, 20)
  await reader.answered

  let startedMs = performance.now()
  holdfast.child.kill('SIGTERM')
  for (const { socket } of unused) socket.resume()
  await Promise.all([...idle, ...unused].map(({ closed }) => closed))
  for (const { answered } of waiting) {
    t.match(await answered, /^HTTP\/1.1 200 .*\r\nconnection: close\r\n.*"messages":\[\]/is)
  }
  await Promise.all(waiting.map(({ closed }) => closed))
  let tookMs = msSince(startedMs)
  t.ok(tookMs < 1000, `idle and waiting connections are closed after ${tookMs} ms`)

  startedMs = performance.now()
  await sql.query('commit')
  t.match(await slow.answered, /^HTTP\/1.1 200 .*"acked"/s, 'a begun call is finished')
  reader.socket.resume()
  await reader.closed
  t.ok(bytes > 8_000_000, `a begun answer is read to its end: ${bytes} bytes`)
  t.equal(await holdfast.ended, 0)
  tookMs = msSince(startedMs)
  t.ok(tookMs < 2000, `ended ${tookMs} ms after the last request`)
})
