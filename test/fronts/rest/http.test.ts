/** Details of HTTP that clients, proxies and tools differ in. */
import { once } from 'node:events'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const { port } = new URL(holdfast.url)
await holdfast.call('PUT', '/queues/q')

/** Sends a request with just these header fields on a connection of its own, and returns the answer. */
async function send(method: string, path: string, fields: string[], body = ''): Promise<string> {
  const socket = net.connect(Number(port), '127.0.0.1')
  const head = [
    `${method} ${path} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'connection: close',
    `content-length: ${body.length}`,
    ...fields
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  return await text(socket)
}

const json = 'content-type: application/json'
const messages = '/queues/q/messages'

t.test('an address with a slash at its end is the same address', async t => {
  const calls: [string, string, unknown, number][] = [
    ['POST', '/queues/q/messages/', { body: 1 }, 201],
    ['GET', '/queues/q/messages/', undefined, 200],
    ['DELETE', '/queues/q/messages/', undefined, 405],
    ['POST', '/queues/q/lease/?max=1', undefined, 200],
    ['PUT', '/queues/q/', {}, 200],
    ['GET', '/queues/', undefined, 200],
    ['GET', '/schedules/', undefined, 200],
    ['GET', '/keys/', undefined, 200],
    ['GET', '/livez/', undefined, 200],
    ['GET', '/openapi.json/', undefined, 200],
    ['GET', '/docs/', undefined, 200],
    ['GET', '/console/', undefined, 200],
    ['GET', '/console/app.js/', undefined, 200],
    ['GET', '/queues//q', undefined, 404]
  ]
  for (const [method, path, body, status] of calls) {
    const response = await fetch(holdfast.url + path, {
      method,
      redirect: 'manual',
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' }
      })
    })
    t.equal(response.status, status, `${method} ${path}`)
    if (status === 405) t.equal(response.headers.get('allow'), 'GET, HEAD, POST')
    await response.arrayBuffer()
  }
  const filesOf = async (path: string) => {
    const page = await (await fetch(holdfast.url + path)).text()
    return [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(
      ([, file]) => new URL(file!, holdfast.url + path).href
    )
  }
  t.strictSame(await filesOf('/console/'), await filesOf('/console'), 'the console finds its files')
  const guide = await fetch(`${holdfast.url}/docs/guide/`)
  const shown = guide.status === 200 ? /<h1 id="holdfast">/ : /"status":404.*npm run docs/
  t.match(await guide.text(), shown, 'the guide, if it is built')
})

t.test('the encoding identity is none, and another one is refused with what is taken', async t => {
  for (const encoding of ['identity', 'Identity', 'identity, identity']) {
    const answer = await send('POST', messages, [json, `content-encoding: ${encoding}`], '{"body":1}')
    t.match(answer, /^HTTP\/1.1 201 /, encoding)
  }
  for (const encoding of ['gzip', 'identity, gzip', 'identityx']) {
    const answer = await holdfast.post(messages, gzipSync('{"body":1}'), { 'content-encoding': encoding })
    t.match(answer, { status: 415, body: { code: 'unsupportedMediaType' } }, encoding)
    t.equal(answer.headers.get('accept-encoding'), 'identity')
  }
})

t.test('an expectation other than 100-continue is refused as a problem', async t => {
  const other = await send('POST', messages, [json, 'expect: other'], '{"body":1}')
  t.match(other, /^HTTP\/1.1 417 [^]*content-type: application\/problem\+json[^]*"code":"expectationFailed"/)
  for (const word of ['100-continue', '100-Continue']) {
    const answer = await send('POST', messages, [json, `expect: ${word}`], '{"body":1}')
    t.match(answer, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201 /, word)
  }
})

t.test('two Idempotency-Key fields are refused, and one may repeat the key of the body', async t => {
  const field = 'idempotency-key: k'
  const twice = await send('POST', messages, [json, field, field], '{"body":1}')
  t.match(twice, /^HTTP\/1.1 400 [^]*"pointer":"header\/idempotency-key"/)
  const raw = await send('POST', messages, ['content-type: text/plain', field, field], 'x')
  t.match(raw, /^HTTP\/1.1 400 /)
  const equal = await send('POST', messages, [json, field], '{"body":1,"idempotencyKey":"k"}')
  t.match(equal, /^HTTP\/1.1 201 /)
  const different = await send('POST', messages, [json, field], '{"body":1,"idempotencyKey":"l"}')
  t.match(different, /^HTTP\/1.1 400 [^]*"pointer":"\/idempotencyKey"/)
  const comma = await send('POST', messages, [json, 'idempotency-key: a, b'], '{"body":1}')
  t.match(comma, /^HTTP\/1.1 201 /, 'a comma is a character like any other')
})

/** Sends bytes, closes this half, and returns what comes until the other half is closed too. */
async function sendAndClose(bytes: string): Promise<string> {
  const socket = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
  socket.end(bytes)
  return await text(socket)
}

function request(method: string, path: string, body = ''): string {
  const fields = [`host: 127.0.0.1:${port}`, json, `content-length: ${body.length}`]
  return `${method} ${path} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`
}

t.test('a caller that closes its half after its requests gets their answers', async t => {
  await holdfast.call('PUT', '/queues/half')
  const enqueue = request('POST', '/queues/half/messages', '{"body":1}')
  const answer = await sendAndClose(enqueue)
  t.match(answer, /^HTTP\/1.1 201 /)
  t.match(answer, /"id":"\d+"/)
  const both = await sendAndClose(enqueue + request('POST', '/queues/half/lease'))
  t.match(both, /^HTTP\/1.1 201 [^]*HTTP\/1.1 200 [^]*"receipt"/, 'the answers of all that it sent')
  t.equal(await sendAndClose(''), '', 'one that asked nothing is closed')
  t.match(await sendAndClose(enqueue.slice(0, -1)), /^HTTP\/1.1 400 /, 'half a request is refused')
})

t.test('a call that waits is answered at once when its caller closes its half', async t => {
  await holdfast.call('PUT', '/queues/left', { keepAckedSeconds: 60 })
  const startedMs = performance.now()
  const waiting = '{"waitSeconds":60}'
  t.match(await sendAndClose(request('POST', '/queues/left/lease', waiting)), /"messages":\[\]/)
  const { body } = await holdfast.post('/queues/left/messages', { body: 1 })
  // A worker that was killed closes its half too. It must not take a message with it.
  t.match(await sendAndClose(request('POST', '/queues/left/lease', waiting)), /"messages":\[\]/)
  const path = `/queues/left/messages/${body.id}?waitSeconds=60`
  t.match(await sendAndClose(request('GET', path)), /^HTTP\/1.1 200 /)
  t.ok(performance.now() - startedMs < 30_000)
  t.match((await holdfast.get('/queues/left')).body.counts, { ready: 1, leased: 0 })
})

t.test('an idle connection is kept for HOLDFAST_KEEP_ALIVE_SECONDS', async t => {
  t.equal((await holdfast.get('/livez')).headers.get('keep-alive'), 'timeout=75')
  const other = await service(t, { env: { HOLDFAST_KEEP_ALIVE_SECONDS: '1' } })
  const socket = net.connect(Number(new URL(other.url).port), '127.0.0.1')
  const startedMs = performance.now()
  socket.write(`GET /livez HTTP/1.1\r\nhost: ${new URL(other.url).host}\r\n\r\n`)
  t.match(await text(socket), /keep-alive: timeout=1\r\n/i)
  t.ok(performance.now() - startedMs > 900, 'not before')
})

t.test('an unknown field is refused with the field that was probably meant', async t => {
  const wrong: [string, object, string][] = [
    ['messages', { body: 1, delay: 5 }, '/delay is not a known field (did you mean delaySeconds?).'],
    ['messages', { messages: [{ body: 1, headrs: {} }] }, '(did you mean headers?).'],
    ['messages', { body: 1, colour: 'red' }, '/colour is not a known field. Fix'],
    ['messages', { body: 1, headers: {}, header: {} }, '/header is not a known field. Fix'],
    ['lease', { wait_seconds: 5 }, '(did you mean waitSeconds?).'],
    ['lease?leaseSecond=5', {}, 'query/leaseSecond is not a known field (did you mean leaseSeconds?).'],
    ['fail', { receipt: 'x', reasons: 'y' }, '(did you mean reason?).'],
    ['purge', { where: { contain: 'x' } }, '/where/contain is not a known field (did you mean contains?).'],
    ['purge', { where: { reason: '' } }, '/where/reason must not be empty.'],
    ['purge', { where: [] }, '/where must be an object.'],
    ['lease', { max: 0 }, '/max must be at least 1.']
  ]
  for (const [path, body, detail] of wrong) {
    const answer = await holdfast.post(`/queues/q/${path}`, body)
    t.equal(answer.status, 400, path)
    t.ok(answer.body.detail.includes(detail), `${detail}: ${answer.body.detail}`)
  }
})

t.test('a value of the wrong type is refused with what it must be, in one fault', async t => {
  const refused = async (settings: object) => (await holdfast.call('PUT', '/queues/q', settings)).body.errors
  t.strictSame(await refused({ rate: 10 }), [
    { pointer: '/rate', message: 'must be an object with messages and perSeconds, or null' }
  ])
  t.strictSame(await refused({ rate: { messages: 10 } }), [
    { pointer: '/rate/perSeconds', message: 'is missing' }
  ])
  t.strictSame(await refused({ maxDepth: 'many' }), [
    { pointer: '/maxDepth', message: 'must be a whole number, or null' }
  ])
})

t.test('a body that is missing, misspelt or two in one is refused with words that help', async t => {
  const refused = async (verb: string, body?: unknown) =>
    (await holdfast.post(`/queues/q/${verb}`, body)).body.errors
  t.strictSame(await refused('messages'), [
    { pointer: '', message: 'is missing. It must be an object with body' }
  ])
  t.strictSame(await refused('ack', { reciept: '1' }), [
    { pointer: '/receipt', message: 'is missing, and reciept is not a known field' }
  ])
  t.strictSame(await refused('ack', { receipts: ['1.1.1.00000000'], receipt: '1.1.1.00000000' }), [
    { pointer: '/receipt', message: 'is not a known field beside receipts' }
  ])
  t.strictSame(await refused('messages', { messages: [{ body: 1 }], body: 1 }), [
    { pointer: '/body', message: 'is not a known field beside messages' }
  ])
})

t.test('a name that no queue can have is explained in words, beside the pattern', async t => {
  const words =
    /must be 1 to 80 of A–Z a–z 0–9 _ \. -, the first a letter or a digit \(the pattern is \^\[A-Za/
  for (const name of ['my%20queue', '-first', 'a'.repeat(81)]) {
    const { body } = await holdfast.post(`/queues/${name}/messages`, { body: 1 })
    t.match(body, { errors: [{ pointer: 'path/queue', message: words }] }, name)
  }
  const key = await holdfast.post(messages, { body: 1, idempotencyKey: 'schlüssel' })
  t.match(key.body.errors, [{ message: 'must be 1 to 255 printable ASCII characters' }])
})

t.test('the root leads a browser to the console, and is nothing to a program', async t => {
  const root = (accept: string, method = 'GET') =>
    fetch(`${holdfast.url}/`, { method, headers: { accept }, redirect: 'manual' })
  const page = await root('text/html,application/xhtml+xml,*/*;q=0.8')
  t.equal(page.status, 302)
  t.equal(page.headers.get('location'), '/console')
  for (const accept of ['*/*', 'application/json']) t.equal((await root(accept)).status, 404)
  t.equal((await root('text/html', 'POST')).status, 404)
})

t.test('a taken port is refused by the name of its setting', async t => {
  await t.rejects(service(t, { env: { HOLDFAST_PORT: port } }), {
    message:
      `HOLDFAST_PORT: another program serves on port ${port} of 127.0.0.1. ` +
      'Stop it, or choose another port.'
  })
})

t.test('a body of JSON null is refused wherever a body may be left out', async t => {
  await holdfast.post(messages, { body: 1 })
  const before = (await holdfast.get('/queues/q')).body
  for (const [method, path] of [
    ['POST', '/queues/q/lease'],
    ['POST', '/queues/q/purge'],
    ['POST', '/queues/q/redrive'],
    ['POST', '/queues/q/retry'],
    ['PUT', '/queues/q'],
    ['PUT', '/queues/made-of-null'],
    ['PUT', '/schedules/s'],
    ['POST', '/schedules/s/run'],
    ['POST', '/queues/q/messages'],
    ['POST', '/queues/q/ack'],
    ['POST', '/keys']
  ] as const) {
    for (const body of ['null', ' null ', '[]', '1', '"x"', 'true']) {
      t.match(await holdfast.call(method, path, body), { status: 400 }, `${method} ${path} ${body}`)
    }
  }
  t.strictSame((await holdfast.get('/queues/q')).body.counts, before.counts)
  t.equal((await holdfast.get('/queues/made-of-null')).status, 404)
})

t.test('many large answers at once let a small one pass', async t => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`
  await holdfast.get('/openapi.json') // made at the first call
  const sockets = Array.from({ length: 65 }, () => net.connect(Number(port), '127.0.0.1'))
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  // The service takes one new connection in each turn of the event loop, so it takes them before.
  await Promise.all(
    sockets.map(socket => {
      socket.write(get('/livez'))
      return once(socket, 'data')
    })
  )
  const small = sockets.at(-1)!
  const large = sockets.slice(0, -1)
  let begun = 0
  for (const socket of large) socket.once('data', () => begun++)
  for (const socket of large) socket.write(get('/openapi.json'))
  small.write(get('/livez'))
  t.match(String((await once(small, 'data'))[0]), /^HTTP\/1.1 200/)
  t.ok(begun < large.length / 2, `${begun} large answers came before the small one, asked for last`)
})
