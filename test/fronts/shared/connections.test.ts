/** What one connection may hold: requests sent ahead, and answers that it does not read. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import {
  connectionRequestsMax,
  readingBytesPerSecondMin,
  requestsAheadMax
} from '../../../src/core/limits.ts'
import { callerAt, shareOf } from '../../../src/fronts/shared/addresses.ts'
import { shareOf as boundOf } from '../../support/callers.ts'
import { boundPipelines } from '../../../src/fronts/shared/pipeline.ts'
import { ReadingPace } from '../../../src/fronts/shared/readingPace.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function serverOf(t: Test, handler: Handler, share = boundOf(Infinity)): Promise<number> {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  boundPipelines(server, share, callerAt)
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as net.AddressInfo).port
}

function connect(t: Test, port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

t.test('of requests sent ahead on one connection, a few are at work, and the rest wait', async t => {
  const atWork: ServerResponse[] = []
  let mostAtWork = 0
  const port = await serverOf(t, (_request, response) => {
    atWork.push(response)
    mostAtWork = Math.max(mostAtWork, atWork.length)
  })
  const socket = connect(t, port)
  const got = { answers: 0 }
  socket.on('data', data => {
    got.answers += String(data).split('HTTP/1.1 200').length - 1
  })
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(requestsAheadMax))
  while (got.answers < requestsAheadMax) {
    for (const response of atWork.splice(0)) response.end('ok')
    await new Promise(setImmediate)
  }
  t.ok(mostAtWork <= connectionRequestsMax, `${mostAtWork} at work`)
})

t.test('a connection that sends too many ahead is closed, before they are at work', async t => {
  let started = 0
  const port = await serverOf(t, () => {
    started++
  })
  const socket = connect(t, port)
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20_000))
  await new Promise(resolve => socket.once('close', resolve))
  t.ok(started <= connectionRequestsMax, `${started} were begun`)
})

t.test('of requests sent ahead on all connections, one begins in each turn of the event loop', async t => {
  const connections = 8
  const begun = { all: 0, inTurn: 0, mostInTurn: 0 }
  const port = await serverOf(t, (_request, response) => {
    begun.all++
    begun.inTurn++
    begun.mostInTurn = Math.max(begun.mostInTurn, begun.inTurn)
    setImmediate(() => response.end('ok'))
  })
  const sockets = Array.from({ length: connections }, () => connect(t, port).resume())
  for (const socket of sockets) socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(50))
  while (begun.all < 50 * connections) {
    await new Promise(setImmediate)
    begun.inTurn = 0
  }
  t.ok(begun.mostInTurn <= 1 + connections, `${begun.mostInTurn} begun; each connection has a first one`)
})

t.test('what all connections of an address send ahead is bounded, and given back', async t => {
  const responses: ServerResponse[] = []
  const share = boundOf(1_000_000)
  const port = await serverOf(t, (_request, response) => responses.push(response), share)
  const request = `GET / HTTP/1.1\r\nhost: x\r\nlarge: ${'x'.repeat(15_000)}\r\n\r\n`
  const sockets = Array.from({ length: 10 }, () => connect(t, port))
  for (const socket of sockets) socket.write(request.repeat(10))
  await Promise.race(sockets.map(socket => once(socket, 'close')))
  t.ok(share.held <= 500_000, `${share.held} are held`)
  t.notOk(
    sockets.every(({ destroyed }) => destroyed),
    'connections within the share stay'
  )
  for (const socket of sockets) socket.destroy()
  while (share.held > 0) await new Promise(setImmediate)
})

t.test('a caller that hangs up takes the requests that it sent ahead with it', async t => {
  const responses: ServerResponse[] = []
  const port = await serverOf(t, (_request, response) => {
    responses.push(response)
  })
  const socket = connect(t, port)
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(connectionRequestsMax))
  while (responses.length < connectionRequestsMax) await new Promise(setImmediate)
  socket.destroy()
  await Promise.all(responses.map(response => once(response, 'close')))
  t.ok(
    responses.every(({ closed }) => closed),
    'each of them hears of it'
  )
})

t.test('an answer must be read at a pace, and a caller that reads keeps its connection', async t => {
  let nowMs = 0
  const pace = new ReadingPace(() => nowMs)
  const port = await serverOf(t, (_request, response) => {
    response.end(Buffer.alloc(32 * 1024 * 1024))
    pace.watch(response)
  })
  const [idle, reading] = [connect(t, port), connect(t, port)]
  for (const socket of [idle, reading]) socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await Promise.all([idle, reading].map(socket => once(socket, 'readable')))
  idle.pause()
  // More than the system holds, so that Node has had to send some of it.
  let read = 0
  const readSome = async (bytes: number) => {
    const until = read + bytes
    while (read < until) {
      const piece: Buffer | null = reading.read()
      if (piece === null) await once(reading, 'readable')
      else read += piece.length
    }
  }
  nowMs = 2000
  pace.check()
  t.notOk(idle.closed, 'nothing is judged before five seconds')
  await readSome(16 * 1024 * 1024)
  nowMs = 6000
  const closed = once(idle.resume(), 'close')
  pace.check()
  await closed
  t.ok(16 * 1024 * 1024 > readingBytesPerSecondMin * 6)
  await readSome(8 * 1024 * 1024)
  t.notOk(reading.destroyed, 'the caller that reads goes on')
})

t.test('callers without keys are told apart by address, of IPv6 by its first half', async t => {
  t.equal(shareOf('10.1.2.3'), '10.1.2.3')
  t.equal(shareOf('::ffff:10.1.2.3'), '10.1.2.3')
  t.equal(shareOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(shareOf('2001:db8:1:2::9'), '2001:db8:1:2::/64')
  t.equal(shareOf('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(shareOf('::1'), '0:0:0:0::/64')
  const socket = { remoteAddress: '10.1.2.3' } as net.Socket
  t.equal(callerAt(socket), callerAt(socket), 'one caller for all connections of an address')
})
