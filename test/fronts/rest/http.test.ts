/** Details of HTTP that clients, proxies and tools differ in. */
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
  const page = await fetch(`${holdfast.url}/console/`)
  t.match(page, { url: `${holdfast.url}/console`, status: 200 }, 'the console finds its files')
  await page.arrayBuffer()
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
