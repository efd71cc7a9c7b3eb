/** What misbehaves over time, or in numbers. Each resolves when it is over. */
import tls from 'node:tls'
import type { Test } from 'tap'
import { connectionRequestsMax } from '../../../../src/core/limits.ts'
import { pollPause } from '../../../support/pollPause.ts'
import { reset } from '../../../support/reset.ts'
import { head } from './cases/bytes.ts'
import { gauge, good, goodId, holdfast, open, port, requestSecondsMax, send } from './setup.ts'

export const misdeeds: Record<string, (t: Test) => Promise<void>> = {
  async 'headers and bodies sent a byte at a time are cut off in time'(t) {
    const startedMs = performance.now()
    const slowHeaders = `${head}x: ${'a'.repeat(1000)}`
    const slowBody = `${head}content-length: 1000\r\n\r\n${'1'.repeat(1000)}`
    for (const bytes of [slowHeaders, slowBody]) {
      const { socket, answer } = open()
      let sent = bytes === slowHeaders ? 0 : bytes.indexOf('\r\n\r\n') + 4
      socket.write(bytes.slice(0, sent))
      const drip = setInterval(() => {
        if (socket.writable) socket.write(bytes[sent++]!)
      }, 20)
      t.match(await answer, /^HTTP\/1.1 408 .*"code":"requestTimeout"/s)
      clearInterval(drip)
      socket.destroy()
    }
    const tookMs = performance.now() - startedMs
    t.ok(tookMs < 2 * requestSecondsMax * 2000, `both cut off after ${Math.round(tookMs)} ms`)
  },

  async 'callers that never read are cut off, and their buffers are freed'() {
    const before = await gauge('connections')
    for (let i = 0; i < 5; i++) {
      const { socket } = open()
      socket.pause()
      socket.write('GET /queues/large/messages HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(5))
    }
    while ((await gauge('connections')) <= before) await pollPause()
    while ((await gauge('connections')) > before) await pollPause()
  },

  async 'requests at once on one connection, then a reset, leave nothing waiting'() {
    const before = await gauge('connections')
    const wait = '{"waitSeconds":60}'
    const lease =
      'POST /queues/q/lease HTTP/1.1\r\n' +
      'host: localhost\r\n' +
      'content-type: application/json\r\n' +
      `content-length: ${wait.length}\r\n\r\n${wait}`
    const report = 'GET /queues/other HTTP/1.1\r\nhost: localhost\r\n\r\n'
    for (const request of [lease, report]) {
      const { socket } = open()
      socket.write(request.repeat(200))
      if (request === lease) while ((await gauge('waiting_calls')) < connectionRequestsMax) await pollPause()
      reset(socket)
      while ((await gauge('waiting_calls')) > 0) await pollPause()
    }
    while ((await gauge('connections')) > before) await pollPause()
  },

  async 'connections opened and reset, before a request and in the middle of one'() {
    const before = await gauge('connections')
    for (let i = 0; i < 100; i++) {
      const { socket } = open()
      await new Promise(resolve => socket.once('connect', resolve))
      if (i % 2) {
        await new Promise(resolve => socket.write(`${head}content-length: 10\r\n\r\n{"bod`, resolve))
      }
      reset(socket)
    }
    while ((await gauge('connections')) > before) await pollPause()
  },

  async 'TLS on the plain port fails its handshake'(t) {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    const failure = await new Promise<NodeJS.ErrnoException>(resolve => socket.once('error', resolve))
    t.match(failure.code, /ERR_SSL|ECONNRESET/)
  },

  async 'an expectation that nobody can meet is 417'(t) {
    const answer = await send(`${head}expect: miracles\r\ncontent-length: 10\r\n\r\n{"body":1}`)
    t.match(answer, /^HTTP\/1.1 417 /)
  },

  async 'a good request before a broken one gets its own answer'(t) {
    const body = '{"body":"good","idempotencyKey":"good"} '
    const goodHead = head.replace('connection: close\r\n', '').replace('/q/', '/other/')
    const answers = await send(`${goodHead}content-length: ${body.length}\r\n\r\n${body}GARBAGE\r\n\r\n`)
    const [whole, broken] = answers.split(/(?=HTTP\/1.1 )/)
    t.match(whole, /^HTTP\/1.1 200 .*"duplicate":true/s)
    t.match(broken, /^HTTP\/1.1 400 .*"code":"malformedRequest"/s)
  },

  async 'a good request before a CONNECT gets its own answer'(t) {
    const report = 'GET /queues/other HTTP/1.1\r\nhost: localhost\r\n\r\n'
    const answers = await send(`${report}CONNECT other:80 HTTP/1.1\r\nhost: other:80\r\n\r\n${report}`)
    const [whole, refused, ...more] = answers.split(/(?=HTTP\/1.1 )/)
    t.match(whole, /^HTTP\/1.1 200 .*"queue":"other"/s)
    t.match(refused, /^HTTP\/1.1 400 .*"code":"malformedRequest"/s)
    t.strictSame(more, [])
  },

  async 'a header named __proto__ is a header like any other'(t) {
    const answer = await send(
      'GET /queues/other HTTP/1.1\r\n' +
        'host: localhost\r\n' +
        'connection: close\r\n' +
        '__proto__: x\r\n' +
        'constructor: y\r\n\r\n'
    )
    t.match(answer, /^HTTP\/1.1 200 .*"queue":"other"/s)
  },

  async 'the host is not believed'(t) {
    const answer = await send(
      'GET /docs HTTP/1.1\r\n' +
        'host: evil.example\r\n' +
        'x-forwarded-host: evil.example\r\n' +
        'connection: close\r\n\r\n'
    )
    t.match(answer, /^HTTP\/1.1 403 /)
    t.notMatch(answer, 'evil.example')
  },

  async 'one idempotency key used 200 times at once is one message'(t) {
    const answers = await Promise.all(Array.from({ length: 200 }, good))
    for (const answer of answers) t.match(answer, { status: 200, body: { id: goodId, duplicate: true } })
  },

  async 'names that JavaScript knows are queues that do not exist'(t) {
    for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
      t.match(await holdfast.get(`/queues/${name}`), { status: 404, body: { code: 'queueNotFound' } })
    }
  }
}
