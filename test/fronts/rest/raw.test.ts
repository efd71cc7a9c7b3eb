/**
 * A lease that answers with the message itself: its bytes, its content type, the rest in headers.
 */
import pg from 'pg'
import t from 'tap'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const raw = { accept: 'application/octet-stream' }
const lease = async (queue: string, query = '', headers: Record<string, string> = raw) => {
  const response = await fetch(`${holdfast.url}/queues/${queue}/lease${query}`, { method: 'POST', headers })
  return {
    status: response.status,
    headers: response.headers,
    bytes: Buffer.from(await response.arrayBuffer())
  }
}

t.test('bytes come back as enqueued, with their content type, and never as a page', async t => {
  const bodies: [string, Buffer][] = [
    ['image/png', Buffer.from([0x89, 0x50, 0, 255, 13, 10])],
    ['text/html; charset=utf-8', Buffer.from('<script>alert(1)</script>')],
    ['text/plain; charset=latin1', Buffer.from([0xe9])],
    ['application/vnd.x+json', Buffer.from('{"a":1,"a":2}')],
    ['application/octet-stream', Buffer.alloc(0)],
    ['application/octet-stream', Buffer.alloc(1_000_000, 7)]
  ]
  for (const [contentType, bytes] of bodies) {
    await fetch(`${holdfast.url}/queues/bytes/messages`, {
      method: 'POST',
      headers: { 'content-type': contentType },
      body: bytes
    })
    const leased = await lease('bytes')
    t.equal(leased.status, 200, contentType)
    t.ok(leased.bytes.equals(bytes), contentType)
    t.equal(leased.headers.get('content-type'), contentType)
    t.match(Object.fromEntries(leased.headers), {
      'x-content-type-options': 'nosniff',
      'content-disposition': 'attachment',
      'content-security-policy': /sandbox/
    })
  }
  const text = '{"n":12345678901234567890, "a":"\\u00e9"}'
  await holdfast.post('/queues/bytes/messages', `{"body":${text}}`)
  const json = await lease('bytes')
  t.equal(json.bytes.toString(), text, 'JSON is the very text too')
  t.equal(json.headers.get('content-type'), 'application/json')
})

t.test('the receipt, and what is known of the message, stand in headers', async t => {
  await holdfast.call('PUT', '/queues/told', { leaseSeconds: 600 })
  const {
    body: { id }
  } = await holdfast.post('/queues/told/messages', { body: 'x', priority: 7, maxAttempts: 3 })
  const first = await lease('told')
  t.match(Object.fromEntries(first.headers), {
    'holdfast-id': id,
    'holdfast-fence': '1',
    'holdfast-attempt': '1',
    'holdfast-max-attempts': '3',
    'holdfast-priority': '7',
    'holdfast-enqueued-at': /Z$/,
    'holdfast-lease-expires-at': /Z$/
  })
  t.equal(first.headers.get('holdfast-last-failure'), null)
  await holdfast.post('/queues/told/fail', {
    receipt: first.headers.get('holdfast-receipt'),
    reason: 'line 1\r\nSet-Cookie: é 100%',
    delaySeconds: 0
  })
  const second = await lease('told')
  t.equal(second.headers.get('holdfast-attempt'), '2')
  t.equal(second.headers.get('holdfast-last-failure'), 'line 1%0D%0ASet-Cookie: %C3%A9 100%25')
  t.equal(second.headers.get('set-cookie'), null)
})

t.test('headers of a message come along, percent-encoded where HTTP needs it', async t => {
  const headers: Record<string, string> = {
    'X-Trace': 'abc, "d"=1',
    'a b:(c)é%': ' é\r\nX-Evil: 1 %\t',
    empty: '',
    x: 'first',
    X: 'second',
    big: 'é'.repeat(4096)
  }
  await holdfast.post('/queues/headers/messages', { body: 1, headers })
  const { headers: leased } = await lease('headers')
  const decoded = Object.fromEntries(
    [...leased]
      .filter(([name]) => name.startsWith('holdfast-header-'))
      .map(([name, value]) => [decodeURIComponent(name.slice(16)), decodeURIComponent(value)])
  )
  t.strictSame(decoded, {
    'x-trace': headers['X-Trace'],
    'a b:(c)é%': headers['a b:(c)é%'],
    empty: '',
    x: decoded.x
  })
  t.match(decoded.x, /^(first|second)$/, 'one of two names that differ only in case')
  t.equal(leased.get('holdfast-headers-left-out'), '2', 'the other name, and a value that is too large')
  t.equal(leased.get('x-evil'), null)
})

t.test('a content type that HTTP cannot carry, enqueued in SQL, is bytes', async t => {
  const session = new pg.Client(holdfast.databaseUrl)
  await session.connect()
  await holdfast.post('/queues/odd/messages', { body: 1 })
  await session.query(`
    update holdfast.messages
    set content_type = E'text/plain\\r\\nX-Evil: 1', body_bytes = null
    where queue_id = (select id from holdfast.queues where name = 'odd')`)
  await session.end()
  const leased = await lease('odd')
  t.equal(leased.status, 200)
  t.equal(leased.headers.get('content-type'), 'application/octet-stream')
})

t.test('an empty queue is 204, and the outcome of an ack stands in a header', async t => {
  await holdfast.post('/queues/acked/messages', { messages: [{ body: 1 }, { body: 2 }] })
  const first = await lease('acked', '?worker=curl&leaseSeconds=600&max=1')
  const second = await lease('acked', `?ack=${first.headers.get('holdfast-receipt')}`)
  t.strictSame(
    [second.status, second.headers.get('holdfast-ack-outcome'), second.bytes.toString()],
    [200, 'acked', '2']
  )
  const none = await lease('acked', `?ack=${second.headers.get('holdfast-receipt')}`)
  t.strictSame([none.status, none.headers.get('holdfast-ack-outcome'), none.bytes.length], [204, 'acked', 0])
  t.equal((await lease('acked')).headers.get('holdfast-ack-outcome'), null)
  const again = await lease('acked', `?ack=${first.headers.get('holdfast-receipt')}`)
  t.equal(again.headers.get('holdfast-ack-outcome'), 'gone')
})

t.test('a lease key in the URL brings the same message again, and a wait ends with a message', async t => {
  await holdfast.call('PUT', '/queues/again')
  const waiting = lease('again', '?waitSeconds=20&idempotencyKey=k')
  await holdfast.post('/queues/again/messages', { body: 1 })
  const { headers } = await waiting
  t.equal(
    (await lease('again', '?idempotencyKey=k')).headers.get('holdfast-receipt'),
    headers.get('holdfast-receipt')
  )
})

t.test('a caller that accepts JSON, or anything, gets JSON, and may put options into the URL', async t => {
  await holdfast.post('/queues/json/messages', { body: 1 })
  for (const accept of [
    '*/*',
    'application/json',
    'text/html, application/*;q=0.8',
    'text/plain,*/*;q=0.1',
    'Application/JSON;q=1'
  ]) {
    const { status, headers, bytes } = await lease('json', '?idempotencyKey=same&max=5', { accept })
    t.equal(status, 200, accept)
    t.match(headers.get('content-type'), /^application\/json/, accept)
    t.match(JSON.parse(bytes.toString()), { messages: [{ body: 1 }] }, accept)
  }
  t.equal((await lease('json', '?idempotencyKey=same', { accept: 'image/*' })).bytes.toString(), '1')
})

t.test('options that do not fit are refused as a problem document, and nothing is leased', async t => {
  await holdfast.post('/queues/strict/messages', { body: 1 })
  const refused = async (query: string, body: object | undefined, pointer: string) => {
    const answer = await holdfast.post(`/queues/strict/lease${query}`, body, raw)
    t.match(answer, { status: 400, body: { code: 'invalidRequest', errors: [{ pointer }] } }, pointer)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
  }
  await refused('?max=2', undefined, 'query/max')
  await refused('', { max: 2 }, '/max')
  await refused('', { ack: ['1.1.1.00000000', '1.1.1.00000000'] }, '/ack')
  await refused('?max=1', { max: 1 }, 'query/max')
  await refused('?ack=x', { ack: [] }, 'query/ack')
  await refused('?wait=1', undefined, 'query/wait')
  t.equal((await lease('unknown')).status, 404)
  t.match((await holdfast.get('/queues/strict')).body.counts, { ready: 1, leased: 0 })
})

t.test('a trace and an event come back as the fields that they were', async t => {
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  const fields = { traceparent, baggage: 'a=1', 'ce-id': '7', 'ce-source': '/shop' }
  await holdfast.post('/queues/events/messages', { body: 1, headers: { plain: 'x', 'ce-odd': 'é' } }, fields)
  const { headers } = await lease('events')
  t.match(Object.fromEntries(headers), fields)
  t.equal(headers.get('holdfast-header-ce-id'), '7', 'with the other headers too')
  t.equal(headers.get('ce-odd'), null, 'what no field can hold stands in Holdfast-Header alone')
})
