/** Enqueue: what is stored, under which key, and when it is delivered. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { headersMax } from '../../../../src/core/limits.ts'
import { options, uniqueMembers } from '../../../../src/core/options.ts'
import type { Row } from '../../../../src/core/table.ts'
import { holdfast, queue, sql } from './setup.ts'
import { pollPause } from '../../../support/pollPause.ts'

type Queue = Awaited<ReturnType<typeof queue>>

t.test('a list is stored in its order, each with its options', async t => {
  const q = await queue()
  const { status, body } = await q.enqueue({
    messages: [{ body: 'a' }, { body: 'b', headers: { trace: '1' }, maxAttempts: 9 }, { body: null }]
  })
  t.equal(status, 201)
  const leased = await q.lease({ max: 3 })
  t.strictSame(
    leased.map(({ id }) => id),
    body.messages.map(({ id }: { id: string }) => id)
  )
  t.match(leased[1], { body: 'b', headers: { trace: '1' }, maxAttempts: 9, priority: 4 })
  t.equal(leased[2].body, null)
})

t.test('a header may have any name, and its value is checked under each', async t => {
  const q = await queue()
  for (const name of ['\r', 'a\nb', '\u2028', ' ', '1']) {
    const headers = { [name]: 'kept' }
    await q.enqueue({ body: 1, headers })
    const [{ id, headers: leased }] = await q.lease()
    t.strictSame(leased, headers, encodeURIComponent(name))
    const { body } = await q.message(id)
    t.strictSame(body.headers, headers, 'shown by a browse')
    t.equal((await q.enqueue({ body: 1, headers: { [name]: 1 } })).status, 400)
  }
})

t.test('a raw body comes back byte for byte, with its content type', async t => {
  const q = await queue()
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452ff00fe', 'hex')
  const cases: [string, Buffer, 'text' | 'base64'][] = [
    ['image/png', png, 'base64'],
    ['text/plain', Buffer.from('héllo\r\n\ttab'), 'text'],
    ['text/plain; charset=utf-8', Buffer.from('nul \0 inside'), 'text'],
    ['text/plain; charset=latin1', Buffer.from('caf\xe9', 'latin1'), 'base64'],
    ['text/plain', Buffer.from([0xff, 0xfe]), 'base64'],
    ['application/problem+json', Buffer.from('{"a":1, "a":2}'), 'text'],
    ['application/xml', Buffer.from('<a/>'), 'text'],
    ['application/octet-stream', Buffer.from('plain bytes'), 'base64'],
    ['text/csv', Buffer.from(''), 'text']
  ]
  for (const [contentType, bytes, form] of cases) {
    const { status } = await holdfast.post(`${q.path}/messages`, bytes, { 'content-type': contentType })
    t.equal(status, 201, contentType)
    const [message] = await q.lease()
    t.equal(message.contentType, contentType)
    const body = form === 'text' ? Buffer.from(message.body) : Buffer.from(message.bodyBase64, 'base64')
    t.ok(body.equals(bytes), contentType)
    await q.settle('ack', { receipt: message.receipt })
  }
})

t.test('a JSON body comes back as the very text that was sent', async t => {
  const q = await queue()
  for (const json of [
    '{"n":12345678901234567890,"a":1,"a":2,"s":"\\u0000"}',
    '1e400',
    '"\\ud800"',
    '[1.0, 1.00]',
    '{"__proto__": {"x": 1}}',
    '{"spaced" : [ ] }',
    '"\u2028"'
  ]) {
    const name = encodeURI(json.toWellFormed())
    t.equal((await q.enqueue(`{"body": ${json} }`)).status, 201, name)
    const leased = await holdfast.post(`${q.path}/lease`)
    t.ok(leased.text.includes(`"body":${json},"contentType":"application/json"`), name)
    await q.settle('ack', { receipt: leased.body.messages[0].receipt })
  }
})

t.test('a raw body takes its options from the query, and an unknown option is refused', async t => {
  const q = await queue()
  const raw = (query: string) =>
    holdfast.call('POST', `${q.path}/messages?${query}`, 'hello', {
      'content-type': 'text/plain',
      'idempotency-key': 'raw'
    })
  t.equal((await raw('priority=9&maxAttempts=2&ttlSeconds=60')).status, 201)
  t.match(await raw('priority=9&maxAttempts=2&ttlSeconds=60'), { status: 200, body: { duplicate: true } })
  t.equal((await raw('priority=8')).status, 422)
  t.match(await raw('colour=red'), { status: 400, body: { errors: [{ pointer: 'query/colour' }] } })
  t.match((await q.lease())[0], { body: 'hello', priority: 9, maxAttempts: 2 })
})

t.test('one key with the same content is one message, and with other content it is refused', async t => {
  const q = await queue()
  const message = { body: { a: 1 }, idempotencyKey: 'k' }
  const id = await q.id(message)
  t.match(
    await q.enqueue({ body: { a: 1 } }, { 'content-type': 'application/json', 'idempotency-key': 'k' }),
    { status: 200, body: { id, duplicate: true } }
  )
  for (const change of [{ body: { a: 2 } }, { priority: 5 }, { headers: { h: '1' } }, { delaySeconds: 1 }]) {
    t.match(await q.enqueue({ ...message, ...change }), {
      status: 422,
      body: { code: 'idempotencyMismatch' }
    })
  }
  const [leased] = await q.lease({ max: 10 })
  await q.settle('ack', { receipt: leased.receipt })
  t.match(await q.enqueue(message), { status: 200, body: { id } }, 'also after its ack')
  t.strictSame(await q.lease(), [])
  const other = await queue()
  t.equal((await other.enqueue(message)).status, 201, 'each queue has its own keys')
  await sql.query(`
    update holdfast.idempotency_keys
    set expires_at = now() - interval '1 s'
    where key = 'k'`)
  const answer = await q.enqueue({ body: 'new', idempotencyKey: 'k' })
  t.equal(answer.status, 201, 'the key is free again after dedupSeconds')
})

/** Values beyond the bounds of an option. */
function beyond(row: Row): unknown[] {
  const values: unknown[] = [null, []]
  if ('min' in row) values.push(row.min! - 1)
  if ('above' in row) values.push(row.above)
  if ('max' in row) values.push(row.max + 1)
  if ('pattern' in row) values.push('', 'a\u0001')
  if ('choices' in row) values.push('never')
  return values
}

t.test('of a list, a refusal points at the entry and at the option', async t => {
  const plain = await queue({ messageBytesMax: 100 })
  const ordered = await queue({ ordering: 'group' })
  await plain.enqueue({ body: 1, idempotencyKey: 'k' })
  await ordered.enqueue({ body: 1, group: 'a', unique: { key: 'u' } })
  await holdfast.call('PUT', `/topics/all/subscriptions/${plain.name}`, {})
  const wrong: Record<string, unknown>[] = [
    ...Object.entries(options).flatMap(([name, row]) => beyond(row).map(value => ({ [name]: value }))),
    { unique: 'k' },
    { unique: { key: 'k', colour: 1 } }
  ]
  const members = Object.entries(uniqueMembers).flatMap(([name, row]) =>
    beyond(row).map(value => ({ [name]: value }))
  )
  const cases: [Queue, object, string, string?][] = [
    ...wrong.map((option): [Queue, object, string] => [plain, option, Object.keys(option)[0]!]),
    ...members.map((member): [Queue, object, string] => {
      return [plain, { unique: { key: 'k', ...member } }, `unique/${Object.keys(member)[0]}`]
    }),
    [plain, { visibleAt: '2030-01-01T00:00:00Z', delaySeconds: 1 }, 'visibleAt'],
    [plain, { body: 'x'.repeat(101) }, 'body', 'bodyTooLarge'],
    [plain, { idempotencyKey: 'k' }, 'idempotencyKey', 'idempotencyMismatch'],
    [ordered, { priority: 4 }, 'priority'],
    [ordered, { delaySeconds: 0 }, 'delaySeconds'],
    [ordered, { visibleAt: new Date().toISOString() }, 'visibleAt'],
    [ordered, { group: 'b', unique: { key: 'u', onConflict: 'replace' } }, 'unique/key', 'uniqueGroup']
  ]
  for (const [{ path }, option, place, code = 'invalidRequest'] of cases) {
    const messages = [{ body: 1 }, { body: 2, ...option }, { body: 3 }]
    const { body } = await holdfast.post(`${path}/messages`, { messages })
    t.equal(body.code, code, JSON.stringify(option))
    const isOf = (pointer: string) => pointer === place || pointer.startsWith(`${place}/`)
    const pointers: string[] = body.errors?.map(({ pointer }: any) => pointer) ?? []
    t.ok(
      pointers.length > 0 && pointers.every(pointer => isOf(pointer.replace('/messages/1/', ''))),
      `${JSON.stringify(option)}: ${pointers}`
    )
    if (path !== plain.path) continue
    const published = messages.map(message => ({ ...message, routingKey: 'a' }))
    const { body: refused } = await holdfast.post('/topics/all/messages', { messages: published })
    t.match(refused, { code, errors: body.errors }, `published: ${JSON.stringify(option)}`)
  }
  t.match((await plain.report()).counts, { ready: 1 }, 'nothing of these lists is stored')
  t.match((await ordered.report()).counts, { ready: 1 })
})

t.test('under a key, an option that says the default is the same as no option', async t => {
  const q = await queue()
  const spellings = [
    {},
    { headers: {} },
    { priority: 4 },
    { delaySeconds: 0 },
    { headers: {}, priority: 4, delaySeconds: 0 }
  ]
  for (const [index, first] of spellings.entries()) {
    const message = { body: 1, idempotencyKey: `spelling ${index}` }
    const id = await q.id({ ...message, ...first })
    for (const again of spellings) {
      t.match(await q.enqueue({ ...message, ...again }), { status: 200, body: { id, duplicate: true } })
    }
    t.equal((await q.enqueue({ ...message, headers: { h: '' } })).status, 422)
    t.equal((await q.enqueue({ ...message, delaySeconds: 0.5 })).status, 422)
  }
})

t.test('a key that an earlier release stored still stands for its content', async t => {
  const q = await queue()
  for (const [index, [headers, delaySeconds]] of [
    [null, null],
    ['{}', null],
    [null, 0],
    ['{}', 0]
  ].entries()) {
    const idempotencyKey = `earlier ${index}`
    await q.id({ body: 1, idempotencyKey })
    await sql.query(
      `
      update holdfast.idempotency_keys
      set digest = holdfast.digest_of('1', null, null, $1, 4, $2, null, null, null, null)
      where key = $3`,
      [headers, delaySeconds, idempotencyKey]
    )
    for (const options of [{}, { headers: {}, delaySeconds: 0 }]) {
      t.equal((await q.enqueue({ body: 1, idempotencyKey, ...options })).status, 200)
    }
    t.equal((await q.enqueue({ body: 2, idempotencyKey })).status, 422)
    t.equal((await q.enqueue({ body: 1, idempotencyKey, headers: { h: '1' } })).status, 422)
  }
})

t.test('a repeat under an idempotency key may name another trace', async t => {
  const q = await queue()
  const trace = (span: string, more = {}) => ({
    body: 1,
    idempotencyKey: 'traced',
    headers: {
      traceparent: `00-0af7651916cd43dd8448eb211c80319c-${span}-01`,
      tracestate: `a=${span}`,
      ...more
    }
  })
  const first = await q.enqueue(trace('b7ad6b7169203331'))
  t.match(await q.enqueue(trace('00f067aa0ba902b7')), { status: 200, body: { id: first.body.id } })
  t.equal((await q.enqueue({ body: 1, idempotencyKey: 'traced' })).status, 200, 'or none')
  t.equal((await q.enqueue(trace('00f067aa0ba902b7', { h: '1' }))).status, 422)
  t.equal((await q.enqueue({ ...trace('00f067aa0ba902b7'), body: 2 })).status, 422)
  // As releases before stored it.
  await sql.query(
    `update holdfast.idempotency_keys
    set digest = holdfast.digest_of('1', null, null, $1, 4, null, null, null, null, null)
    where key = 'traced'`,
    [trace('b7ad6b7169203331').headers]
  )
  t.equal((await q.enqueue(trace('b7ad6b7169203331'))).status, 200)
})

t.test('a form is refused, with a hint at what curl needs', async t => {
  const q = await queue()
  for (const contentType of [
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded; charset=utf-8',
    'Application/X-WWW-Form-Urlencoded'
  ]) {
    t.match(await q.enqueue('{"body": 1}', { 'content-type': contentType }), {
      status: 415,
      body: { code: 'unsupportedMediaType', detail: /curl -d .*-H 'content-type: application\/json'/ }
    })
  }
  t.equal((await q.report()).counts.ready, 0)
})

t.test('a time that cannot be kept is refused for its own reason', async t => {
  const q = await queue()
  const reasons: [string, RegExp][] = [
    ['2016-12-31T23:59:60Z', /its seconds 00 to 59/],
    ['0000-01-01T00:00:00Z', /from 1970 on/],
    ['1969-12-31T23:59:59.999Z', /from 1970 on/],
    ['1970-01-01T00:00:00+01:00', /from 1970 on/],
    ['9999-12-31T23:59:59Z', /at most a year ahead/]
  ]
  for (const [visibleAt, reason] of reasons) {
    t.match(await q.enqueue({ body: 1, visibleAt }), {
      status: 400,
      body: { errors: [{ pointer: '/visibleAt', message: reason }] }
    })
  }
  for (const visibleAt of [
    '1970-01-01T00:00:00Z',
    '2020-02-29t12:00:00.123456z',
    '2020-01-01T00:00:00-23:59'
  ]) {
    t.equal((await q.enqueue({ body: 1, visibleAt })).status, 201, visibleAt)
  }
})

t.test('a key twice in a list is one message, and one mismatch refuses the whole list', async t => {
  const q = await queue()
  const { status, body } = await q.enqueue({
    messages: [{ body: 1, idempotencyKey: 'x' }, { body: 2 }, { body: 1, idempotencyKey: 'x' }]
  })
  t.equal(status, 201)
  t.strictSame(body.messages[2], { id: body.messages[0].id, duplicate: true })
  t.equal((await q.enqueue({ messages: [{ body: 1, idempotencyKey: 'x' }] })).status, 200, 'nothing new')
  const mismatch = { body: 6, idempotencyKey: 'x' }
  t.equal((await q.enqueue({ messages: [{ body: 5, idempotencyKey: 'new' }, mismatch] })).status, 422)
  t.equal((await q.report()).counts.ready, 2)
  t.equal(
    (await q.enqueue({ messages: [{ body: 5, idempotencyKey: 'new' }] })).status,
    201,
    'the refused list left no key behind'
  )
})

t.test('200 calls with one key at the same time store one message', async t => {
  const q = await queue()
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => q.enqueue({ body: 'same', idempotencyKey: 'race' }))
  )
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
  t.equal(answers.filter(({ status }) => status === 201).length, 1)
  t.equal((await q.report()).counts.ready, 1)
})

t.test('a delayed message is delivered when it is due, not before', async t => {
  const q = await queue()
  const id = await q.id({ body: 'later', delaySeconds: 600 })
  await q.id({ body: 'now', visibleAt: '2020-01-01T00:00:00Z' })
  t.strictSame(await q.leaseBodies({ max: 5 }), ['now'])
  t.match((await q.message(id)).body, { state: 'delayed', visibleAt: /Z$/ })
  await q.age(600)
  t.strictSame(await q.leaseBodies({ waitSeconds: 10 }), ['later'])
  const startedMs = performance.now()
  await q.id({ body: 'soon', delaySeconds: 0.4 })
  t.equal((await q.lease({ waitSeconds: 10 })).length, 1)
  const tookMs = performance.now() - startedMs
  t.ok(tookMs >= 395 && tookMs < 650, `due after 400 ms, delivered after ${Math.round(tookMs)} ms`)
})

t.test('a message past its time to live is not delivered, and leaves the counts', async t => {
  const q = await queue()
  const id = await q.id({ body: 'short', ttlSeconds: 600 })
  await q.age(601)
  t.strictSame(await q.lease(), [])
  while ((await q.message(id)).status !== 404) await pollPause()
  t.equal((await q.report()).counts.ready, 0)
})

t.test('an enqueue that would pass maxDepth is refused whole, until there is room', async t => {
  const q = await queue({ maxDepth: 3 })
  t.equal((await q.enqueue({ messages: [{ body: 1 }, { body: 2, delaySeconds: 60 }] })).status, 201)
  t.match(await q.enqueue({ messages: [{ body: 3 }, { body: 4 }] }), {
    status: 429,
    body: { code: 'queueFull' }
  })
  t.equal((await q.enqueue({ body: 3 })).status, 201)
  const refused = await q.enqueue({ body: 4 })
  t.equal(refused.status, 429)
  t.ok(refused.headers.get('retry-after'))
  const [held] = await q.lease()
  t.equal((await q.enqueue({ body: 4 })).status, 429, 'leased messages count')
  await q.settle('ack', { receipt: held.receipt })
  t.equal((await q.enqueue({ body: 4 })).status, 201)
})

const parent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
const event = { traceparent: parent, tracestate: 'a=1', baggage: 'b=2', 'CE-Id': '7', 'ce-type': 'paid' }
const kept = { traceparent: parent, tracestate: 'a=1', baggage: 'b=2', 'ce-id': '7', 'ce-type': 'paid' }

t.test('the trace and the event of a request become headers, unless the message sets them', async t => {
  const q = await queue()
  const own = { Traceparent: 'mine', 'ce-type': 'own' }
  await q.enqueue({ messages: [{ body: 1 }, { body: 2, headers: own }] }, event)
  await q.enqueue(
    { body: 3 },
    { tracestate: 'a=1', traceparent: `00-${'0'.repeat(32)}-1-01`, 'x-ce-id': '1' }
  )
  await holdfast.call('PUT', `/topics/${q.name}/subscriptions/${q.name}`)
  await holdfast.post(`/topics/${q.name}/messages`, { body: 4 }, event)
  const full = Object.fromEntries(Array.from({ length: headersMax }, (_, n) => [`h${n}`, '']))
  await q.enqueue({ body: 5, headers: full }, event)
  const headers = (await q.lease({ max: 9 })).map(message => message.headers)
  t.strictSame(headers, [kept, { ...own, baggage: 'b=2', 'ce-id': '7' }, {}, kept, full])
})

t.test('of two fields of one name none is kept', async t => {
  const q = await queue()
  const body = '{"body":1}'
  const fields = ['ce-id: 1', 'CE-ID: 2', 'ce-source: x', `content-length: ${body.length}`]
  const { host, hostname, port } = new URL(holdfast.url)
  const socket = connect(Number(port), hostname)
  socket.write(
    `POST ${q.path}/messages HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
      `connection: close\r\n${fields.join('\r\n')}\r\n\r\n${body}`
  )
  t.match(await text(socket), /^HTTP\/1.1 201/)
  const [message] = await q.lease()
  t.strictSame(message.headers, { 'ce-source': 'x' })
})

t.test('fields that became headers do not count as content', async t => {
  const q = await queue()
  const message = { body: 1, headers: { a: 'b' }, idempotencyKey: 'k' }
  const first = await q.enqueue(message, event)
  const again = await q.enqueue(message, { ...event, 'ce-id': '8', baggage: 'b=3' })
  t.match(again, { status: 200, body: { id: first.body.id, duplicate: true } })
  t.equal((await q.enqueue({ ...message, headers: { a: 'c' } }, event)).status, 422)
})
