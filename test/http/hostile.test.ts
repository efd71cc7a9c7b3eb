/** Bad input, as data: the answer each must get; after each the state is unchanged and the next good request is served. */
import net from 'node:net'
import t from 'tap'
import { problems } from '../../src/http/problem.ts'
import type { Code } from '../../src/core/errors.ts'
import { service, type Client } from '../support/service.ts'

let holdfast: Client
t.before(async () => {
  holdfast = await service(t, { env: { HOLDFAST_REQUEST_BYTES_MAX: '3000000' } })
  await holdfast.call('PUT', '/queues/q')
  await holdfast.call('PUT', '/queues/other')
})

interface Case { name: string, method?: string, path?: string, body?: string | Uint8Array, headers?: Record<string, string>, code: Code, pointer?: string }

const message = '/queues/q/messages'
const enqueue = (name: string, body: string | Uint8Array, code: Code, pointer?: string): Case => ({ name, body, code, ...(pointer === undefined ? {} : { pointer }) })
const post = (verb: string, body: string, code: Code, pointer: string): Case => ({ name: `${verb} ${body.slice(0, 60)}`, path: `/queues/q/${verb}`, body, code, pointer })
const typed = (type: string, code: Code): Case => ({ name: `content type ${JSON.stringify(type)}`, path: '/queues/q/lease', body: '{}', headers: { 'content-type': type }, code })

const cases: Case[] = [
  enqueue('nothing', '', 'invalidRequest', ''),
  enqueue('half an object', '{', 'malformedJson'),
  enqueue('half a string', '{"body":"a', 'malformedJson', '/body'),
  enqueue('a trailing comma', '{"body":1,}', 'malformedJson'),
  enqueue('a number with a leading zero', '{"body":01}', 'malformedJson'),
  enqueue('two values', '{"body":1} 2', 'malformedJson'),
  enqueue('a byte order mark', '\ufeff{"body":1}', 'malformedJson'),
  enqueue('invalid UTF-8', new Uint8Array([...Buffer.from('{"body":"'), 0xc3, 0x28, ...Buffer.from('"}')]), 'malformedJson', ''),
  enqueue('an unknown field', '{"body":1,"colour":"red"}', 'invalidRequest', '/colour'),
  enqueue('a name twice', '{"body":1,"body":2}', 'malformedJson', '/body'),
  enqueue('a name twice, once escaped', '{"body":1,"\\u0062ody":2}', 'malformedJson', '/body'),
  enqueue('__proto__', '{"body":1,"__proto__":{"priority":9}}', 'malformedJson'),
  enqueue('__proto__ in headers', '{"body":1,"headers":{"__proto__":"x"}}', 'malformedJson'),
  enqueue('constructor', '{"body":1,"constructor":{"prototype":{}}}', 'invalidRequest', '/constructor'),
  enqueue('no body', '{"priority":1}', 'invalidRequest', '/body'),
  enqueue('a list of its own', '[]', 'invalidRequest', ''),
  enqueue('null', 'null', 'invalidRequest', ''),
  enqueue('a number', '1', 'invalidRequest', ''),
  enqueue('body beside messages', '{"body":1,"messages":[{"body":1}]}', 'invalidRequest', '/body'),
  enqueue('no message', '{"messages":[]}', 'invalidRequest', '/messages'),
  enqueue('1001 messages', JSON.stringify({ messages: Array(1001).fill({ body: 1 }) }), 'invalidRequest', '/messages'),
  enqueue('one bad among good', '{"messages":[{"body":1},{"body":2,"priority":10},{"body":3}]}', 'invalidRequest', '/messages/1/priority'),
  enqueue('nesting 200,000 deep', '{"body":' + '['.repeat(200_000) + ']'.repeat(200_000) + '}', 'malformedJson'),
  enqueue('nesting 200,000 deep in the envelope', '{"headers":' + '{"a":'.repeat(200_000) + '1' + '}'.repeat(200_000) + '}', 'malformedJson'),
  enqueue('a body over 1 MiB', JSON.stringify({ body: 'x'.repeat(1_048_575) }), 'bodyTooLarge', '/body'),
  enqueue('a body over 1 MiB in bytes, not in characters', JSON.stringify({ messages: [{ body: 1 }, { body: 'é'.repeat(600_000) }] }), 'bodyTooLarge', '/messages/1/body'),
  enqueue('a request over the limit', JSON.stringify({ body: 'x'.repeat(3_000_001) }), 'requestTooLarge'),
  enqueue('delay and time together', '{"body":1,"delaySeconds":1,"visibleAt":"2026-01-01T00:00:00Z"}', 'invalidRequest', '/visibleAt'),
  enqueue('a header with U+0000', '{"body":1,"headers":{"a":"\\u0000"}}', 'invalidRequest', '/headers/a'),
  enqueue('a header name with U+0000', '{"body":1,"headers":{"a\\u0000":"x"}}', 'invalidRequest', '/headers'),
  enqueue('a header with half a surrogate pair', '{"body":1,"headers":{"a":"\\ud800"}}', 'invalidRequest', '/headers/a'),
  enqueue('a header that is a number', '{"body":1,"headers":{"a":1}}', 'invalidRequest', '/headers/a'),
  enqueue('65 headers', JSON.stringify({ body: 1, headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, ''])) }), 'invalidRequest', '/headers'),
  ...['"4"', '1e309', '-1', 'null', '10', '1.5', 'true', '[]'].map((value) => enqueue(`priority ${value}`, `{"body":1,"priority":${value}}`, 'invalidRequest', '/priority')),
  ...['"30"', '1e309', '-1', 'null', '31536001', '{}'].map((value) => enqueue(`delaySeconds ${value}`, `{"body":1,"delaySeconds":${value}}`, 'invalidRequest', '/delaySeconds')),
  ...['0', '-1', '"1"', 'null'].map((value) => enqueue(`ttlSeconds ${value}`, `{"body":1,"ttlSeconds":${value}}`, 'invalidRequest', '/ttlSeconds')),
  ...['"soon"', '0', 'null', '"2026-13-01T00:00:00Z"', '"9999-01-01T00:00:00Z"', '"0000-01-01T00:00:00Z"'].map((value) => enqueue(`visibleAt ${value}`, `{"body":1,"visibleAt":${value}}`, 'invalidRequest', '/visibleAt')),
  ...['0', '1001', '"5"', '1e309'].map((value) => enqueue(`maxAttempts ${value}`, `{"body":1,"maxAttempts":${value}}`, 'invalidRequest', '/maxAttempts')),
  ...['""', `"${'k'.repeat(256)}"`, '"a\\u0001"', '"é"', '1'].map((value) => enqueue(`idempotencyKey ${value.slice(0, 12)}`, `{"body":1,"idempotencyKey":${value}}`, 'invalidRequest', '/idempotencyKey')),
  { name: 'a key in header and body that differ', body: '{"body":1,"idempotencyKey":"a"}', headers: { 'idempotency-key': 'b' }, code: 'invalidRequest', pointer: '/idempotencyKey' },
  { name: 'a key for a list', body: '{"messages":[{"body":1}]}', headers: { 'idempotency-key': 'b' }, code: 'invalidRequest', pointer: 'header/idempotency-key' },
  { name: 'an unknown query parameter', path: `${message}?colour=red`, body: '{"body":1}', code: 'invalidRequest', pointer: 'query/colour' },
  { name: 'an option in the query of a JSON message', path: `${message}?priority=1`, body: '{"body":1}', code: 'invalidRequest', pointer: 'query/priority' },
  { name: 'a raw body over 1 MiB', body: 'x'.repeat(1_048_577), headers: { 'content-type': 'text/plain' }, code: 'bodyTooLarge' },

  ...['..%2F..%2Fetc%2Fpasswd', '%2e%2e', 'q%00', "q'%3Bdrop%20table%20x%3B--", '%22q%22', 'q%C3%A9', '.hidden', '-q', 'a'.repeat(81), 'q%20r', '%E2%80%AEq', '__proto__'].map((name): Case =>
    ({ name: `queue name ${name.slice(0, 30)}`, path: `/queues/${name}/messages`, body: '{"body":1}', code: 'invalidRequest', pointer: 'path/queue' })),
  { name: 'a path that is not UTF-8', path: '/queues/%ff/messages', body: '{"body":1}', code: 'malformedRequest' },
  { name: 'a name of 10,000 characters', path: `/queues/${'a'.repeat(10_000)}/messages`, body: '{"body":1}', code: 'malformedRequest' },
  { name: 'an unknown route', method: 'GET', path: '/.env', code: 'routeNotFound' },
  { name: 'a route with a slash too many', path: '/queues//q/messages', body: '{"body":1}', code: 'routeNotFound' },

  ...['application/json\ta', 'application/json garbage', 'application/json; charset=utf-16', 'multipart/form-data', 'text/plain', ''].map((type) => typed(type, 'unsupportedMediaType')),
  { name: 'an enqueue as JSON with a tab behind', body: '{"body":1}', headers: { 'content-type': 'application/json\ta' }, code: 'unsupportedMediaType' },
  { name: 'an enqueue as UTF-16', body: '{"body":1}', headers: { 'content-type': 'application/json; charset=utf-16' }, code: 'unsupportedMediaType' },
  { name: 'a content encoding', body: new Uint8Array([0x1f, 0x8b]), headers: { 'content-encoding': 'gzip' }, code: 'unsupportedMediaType' },

  ...['{"max":0}', '{"max":1001}', '{"max":"1"}', '{"max":1.5}', '{"max":null}', '{"max":1e309}'].map((body) => post('lease', body, 'invalidRequest', '/max')),
  ...['{"waitSeconds":61}', '{"waitSeconds":-1}', '{"waitSeconds":"5"}'].map((body) => post('lease', body, 'invalidRequest', '/waitSeconds')),
  ...['{"leaseSeconds":0}', '{"leaseSeconds":43201}', '{"leaseSeconds":null}'].map((body) => post('lease', body, 'invalidRequest', '/leaseSeconds')),
  post('lease', JSON.stringify({ worker: 'w'.repeat(129) }), 'invalidRequest', '/worker'),
  post('lease', '{"worker":"\\u0000"}', 'invalidRequest', '/worker'),
  post('lease', '{"unknown":1}', 'invalidRequest', '/unknown'),
  post('lease', '[]', 'invalidRequest', ''),
  { name: 'a HEAD that would lease', method: 'HEAD', path: '/queues/q/lease', code: 'methodNotAllowed' },
  { name: 'a GET that would lease', method: 'GET', path: '/queues/q/lease', code: 'methodNotAllowed' },
  { name: 'PATCH', method: 'PATCH', path: '/queues/q', body: '{}', code: 'methodNotAllowed' },

  ...['ack', 'release'].flatMap((verb) => [
    post(verb, '{}', 'invalidRequest', '/receipt'),
    post(verb, '{"receipt":1}', 'invalidRequest', '/receipt'),
    post(verb, '{"receipt":""}', 'invalidRequest', '/receipt'),
    post(verb, JSON.stringify({ receipt: 'x'.repeat(1_000_000) }), 'invalidRequest', '/receipt'),
    post(verb, '{"receipt":"garbage"}', 'invalidReceipt', '/receipt'),
    post(verb, '{"receipt":"1.1.1.00000000"}', 'invalidReceipt', '/receipt'),
    post(verb, '{"receipt":"99999999999999999999.1.1.00000000"}', 'invalidReceipt', '/receipt'),
    post(verb, '{"receipts":[]}', 'invalidRequest', '/receipts'),
    post(verb, '{"receipts":["x","y"]}', 'invalidReceipt', '/receipts/0'),
    post(verb, '{"receipts":["x"],"receipt":"y"}', 'invalidRequest', '/receipt'),
    post(verb, JSON.stringify({ receipts: Array(1001).fill('x') }), 'invalidRequest', '/receipts')
  ]),
  post('fail', '{"receipt":"x","delaySeconds":-1}', 'invalidRequest', '/delaySeconds'),
  post('fail', '{"receipt":"x","reason":"\\u0000"}', 'invalidRequest', '/reason'),
  post('fail', JSON.stringify({ receipt: 'x', reason: 'r'.repeat(4097) }), 'invalidRequest', '/reason'),
  post('fail', '{"failures":[{"receipt":"x","dead":"yes"}]}', 'invalidRequest', '/failures/0/dead'),
  post('fail', '{"failures":[{"receipt":"x"}]}', 'invalidReceipt', '/failures/0/receipt'),
  post('extend', '{"receipt":"x"}', 'invalidRequest', '/leaseSeconds'),
  post('extend', '{"receipt":"x","leaseSeconds":43201}', 'invalidRequest', '/leaseSeconds'),
  post('purge', '{"state":"gone"}', 'invalidRequest', '/state'),
  post('redrive', '{"ids":["99999999999999999999"]}', 'invalidRequest', '/ids/0'),
  post('redrive', '{"limit":0}', 'invalidRequest', '/limit'),

  ...['{"leaseSeconds":0}', '{"leaseSeconds":"30"}'].map((body): Case => ({ name: `settings ${body}`, method: 'PUT', path: '/queues/q', body, code: 'invalidRequest', pointer: '/leaseSeconds' })),
  { name: 'settings with an unknown strategy', method: 'PUT', path: '/queues/q', body: '{"retry":{"strategy":"random"}}', code: 'invalidRequest', pointer: '/retry/strategy' },
  { name: 'settings with an unknown field', method: 'PUT', path: '/queues/q', body: '{"retry":{"x":1}}', code: 'invalidRequest', pointer: '/retry/x' },
  ...['limit=0', 'limit=1001', 'limit=x'].map((query): Case => ({ name: query, method: 'GET', path: `${message}?${query}`, code: 'invalidRequest', pointer: 'query/limit' })),
  { name: 'an unknown state', method: 'GET', path: `${message}?state=lost`, code: 'invalidRequest', pointer: 'query/state' },
  ...['x', 'LTE', 'OTk5OTk5OTk5OTk5OTk5OTk5OTk5', "'; drop table"].map((cursor): Case => ({ name: `cursor ${cursor}`, method: 'GET', path: `${message}?cursor=${encodeURIComponent(cursor)}`, code: 'invalidCursor', pointer: 'query/cursor' })),
  { name: 'a tampered cursor of queues', method: 'GET', path: '/queues?cursor=Li4v', code: 'invalidCursor', pointer: 'query/cursor' }
]

t.test('each bad request gets its code and pointer, and changes nothing', async (t) => {
  const before = (await holdfast.get('/queues')).body
  for (const { name, method = 'POST', path = message, body, headers = {}, code, pointer } of cases) {
    const answer = await raw(method, path, body, { 'content-type': 'application/json', ...headers })
    t.equal(answer.status, problems[code].status, `${name}: ${answer.text.slice(0, 200)}`)
    if (method === 'HEAD') continue
    const problem = JSON.parse(answer.text)
    t.match(problem, { code, type: `urn:holdfast:error:${code}`, title: problems[code].title, status: problems[code].status, detail: /\.$/, requestId: /./ }, name)
    if (pointer !== undefined) t.equal(problem.errors?.[0]?.pointer, pointer, `${name}: its pointer`)
    t.notMatch(answer.text, /select |insert |\/src\/|node_modules|at .*\.ts/i, `${name}: no inside shows`)
    if (code === 'methodNotAllowed') t.ok(answer.head.includes('allow: '), name)
  }
  t.strictSame((await holdfast.get('/queues')).body, before, 'nothing was stored or changed')
})

t.test('a receipt of another queue, and a damaged one, are refused and hurt nobody', async (t) => {
  await holdfast.post('/queues/other/messages', { body: 1 })
  const { receipt } = (await holdfast.post('/queues/other/lease')).body.messages[0]
  for (const bad of [receipt.slice(0, -1), receipt + '0', receipt.replace(/\.\d+\./, '.9.'), receipt.toUpperCase().replace(/[a-f]/gi, 'F')]) {
    if (bad !== receipt) t.match(await holdfast.post('/queues/other/ack', { receipt: bad }), { status: 400, body: { code: 'invalidReceipt' } }, bad)
  }
  for (const verb of ['ack', 'fail', 'release']) t.match(await holdfast.post(`/queues/q/${verb}`, { receipt }), { status: 400, body: { code: 'invalidReceipt', errors: [{ pointer: '/receipt' }] } })
  t.match(await holdfast.post('/queues/other/ack', { receipts: [receipt, 'bad'] }), { status: 400, body: { errors: [{ pointer: '/receipts/1' }] } })
  t.match(await holdfast.post('/queues/other/ack', { receipt }), { status: 200, body: { outcome: 'acked' } })
})

t.test('what is not HTTP gets an answer and a closed connection, and the service goes on', async (t) => {
  const { port } = new URL(holdfast.url)
  const say = (text: string | Buffer) => new Promise<string>((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (data) => { answer += data })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
  const head = 'POST /queues/q/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n'
  const chunk = 'x'.repeat(65_536)
  const bad: [string, string | Buffer, number][] = [
    ['garbage', 'hello\r\n\r\n', 400],
    ['TLS on the plain port', Buffer.from('160301020001000001fc0303', 'hex'), 400],
    ['length and chunked together', `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['a bad chunk size', `${head}transfer-encoding: chunked\r\n\r\nZZ\r\n`, 400],
    ['a negative length', `${head}content-length: -1\r\n\r\n`, 400],
    ['two lengths', `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n{}`, 400],
    ['17 kB of headers', `${head}x: ${'a'.repeat(17_000)}\r\n\r\n`, 431],
    ['a body over the limit without a length', `${head}transfer-encoding: chunked\r\n\r\n${`10000\r\n${chunk}\r\n`.repeat(50)}0\r\n\r\n`, 413],
    ['a good one, to compare', `${head}content-length: 10\r\n\r\n{"body":1}`, 201]
  ]
  for (const [name, text, status] of bad) {
    const answer = await say(text)
    t.match(answer, new RegExp(`^HTTP/1.1 ${status} `), name)
    if (status !== 201) t.match(answer, /application\/problem\+json/, name)
    t.equal((await holdfast.get('/livez')).status, 200)
  }
  t.equal((await holdfast.get('/queues/q')).body.counts.ready, 1)
})

t.test('names that JavaScript knows are names like any other', async (t) => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
    t.equal((await holdfast.post(`/queues/${name}/messages`, { body: name, headers: { [name]: name } })).status, 201)
    t.match((await holdfast.post(`/queues/${name}/lease`)).body.messages, [{ body: name, headers: { [name]: name } }])
  }
})

/** Exactly these bytes and headers, which fetch would mend. */
function raw (method: string, path: string, body: string | Uint8Array = '', headers: Record<string, string>): Promise<{ status: number, head: string, text: string }> {
  const bytes = Buffer.from(body)
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(new URL(holdfast.url).port), '127.0.0.1')
    const answer: Buffer[] = []
    socket.on('data', (data) => answer.push(data))
    socket.on('error', (error) => answer.length > 0 ? undefined : reject(error))
    socket.on('close', () => {
      const text = Buffer.concat(answer).toString()
      const end = text.indexOf('\r\n\r\n')
      resolve({ status: Number(text.slice(9, 12)), head: text.slice(0, end), text: text.slice(end + 4) })
    })
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}content-length: ${bytes.length}\r\n\r\n`)
    socket.write(bytes)
  })
}
