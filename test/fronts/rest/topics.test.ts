/** Topics over HTTP: subscriptions, and copies of what is published. */
import pg from 'pg'
import t from 'tap'
import { environment } from '../../../src/config.ts'
import { publishBytesMax } from '../../../src/core/limits.ts'
import { pollPause } from '../../support/pollPause.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service } from '../../support/service.ts'

const database = await freshDatabase(t)
const holdfast = await service(t, { database })
const sql = new pg.Client(database.url)
await sql.connect()
t.teardown(() => sql.end())

const subscribe = (topic: string, queue: string, change?: object) =>
  holdfast.call('PUT', `/topics/${topic}/subscriptions/${queue}`, change)
const publish = (topic: string, message: object, headers?: Record<string, string>) =>
  holdfast.post(`/topics/${topic}/messages`, message, headers)
const lease = async (queue: string, max = 10) =>
  (await holdfast.post(`/queues/${queue}/lease`, { max })).body.messages
const bodies = async (queue: string) => (await lease(queue)).map(({ body }: { body: unknown }) => body)
const ready = async (queue: string) => (await holdfast.get(`/queues/${queue}`)).body.counts.ready

t.test('a subscription is made, changed and ended', async t => {
  t.match(await subscribe('t1', 't1-a'), { status: 201, body: { topic: 't1', queue: 't1-a', pattern: '#' } })
  t.equal((await holdfast.get('/queues/t1-a')).status, 200, 'the queue was made')
  t.match(await subscribe('t1', 't1-a', { pattern: 'eu.*' }), { status: 200, body: { pattern: 'eu.*' } })
  t.match(await subscribe('t1', 't1-a', {}), { status: 200, body: { pattern: 'eu.*' } }, 'left out')
  await subscribe('t1', 't1-b', { pattern: '#' })
  t.strictSame((await holdfast.get('/topics/t1')).body, {
    topic: 't1',
    subscriptions: [
      { queue: 't1-a', pattern: 'eu.*' },
      { queue: 't1-b', pattern: '#' }
    ]
  })
  await subscribe('t2', 't1-b')
  const topicsOf = async (queue: string) => (await holdfast.get(`/topics?queue=${queue}`)).body.topics
  t.strictSame(await topicsOf('t1-a'), [{ topic: 't1', subscriptions: 2 }])
  t.match(await topicsOf('t1-b'), [{ topic: 't1' }, { topic: 't2' }])
  t.strictSame(await topicsOf('t1-none'), [])
  const end = (path: string) => holdfast.call('DELETE', `/topics/${path}`)
  t.equal((await end('t1/subscriptions/t1-a')).status, 204)
  t.equal((await end('t1/subscriptions/t1-a')).status, 204, 'absent too')
  t.equal((await holdfast.get('/topics/t1')).body.subscriptions.length, 1)
  t.equal((await end('t1')).status, 204)
  t.equal((await end('t1')).status, 204)
  t.match(await holdfast.get('/topics/t1'), { status: 404, body: { code: 'topicNotFound' } })
  t.equal((await holdfast.get('/queues/t1-b')).status, 200, 'the queues stay')
  for (const pattern of ['', 'a..b', '.a', 'a.', 'x'.repeat(256), 5, null]) {
    t.equal((await subscribe('t1', 't1-a', { pattern })).status, 400, JSON.stringify(pattern))
  }
  t.equal((await subscribe('-t', 'q')).status, 400)
  t.equal((await subscribe('t', '-q')).status, 400)
})

t.test('a publish goes to every queue that matches, in one answer', async t => {
  for (const [queue, pattern] of Object.entries({
    'p-all': '#',
    'p-eu': 'eu.#',
    'p-one': '*',
    'p-created': '*.created'
  })) {
    await subscribe('p', queue, { pattern })
  }
  const queuesOf = async (message: object) => {
    const { status, body } = await publish('p', message)
    t.equal(status, 201)
    return body.messages.map(({ queue }: { queue: string }) => queue)
  }
  t.strictSame(await queuesOf({ body: 1, routingKey: 'eu.created' }), ['p-all', 'p-created', 'p-eu'])
  t.strictSame(await queuesOf({ body: 2, routingKey: 'eu' }), ['p-all', 'p-eu', 'p-one'])
  t.strictSame(await queuesOf({ body: 3, routingKey: 'EU' }), ['p-all', 'p-one'], 'case counts')
  t.strictSame(await queuesOf({ body: 4 }), ['p-all'], 'without a key')
  t.strictSame(await bodies('p-all'), [1, 2, 3, 4])
  t.strictSame(await bodies('p-eu'), [1, 2])
  t.strictSame(await bodies('p-one'), [2, 3])
  t.strictSame(await bodies('p-created'), [1])

  const { status, body } = await publish('p', {
    messages: [
      { body: 'a', routingKey: 'x' },
      { body: 'b', routingKey: 'x.y' }
    ]
  })
  t.equal(status, 201)
  t.match(body.messages, [
    { index: 0, queue: 'p-all', id: /^\d+$/ },
    { index: 0, queue: 'p-one' },
    { index: 1, queue: 'p-all' }
  ])
  t.equal(body.messages.length, 3)
  t.strictSame(Object.keys(body.messages[0]), ['index', 'queue', 'id'])

  await t.test('nothing matches, or there is no such topic', async t => {
    for (const topic of ['p-none', 'unknown']) {
      if (topic === 'p-none') await subscribe(topic, 'p-x', { pattern: 'never' })
      t.match(await publish(topic, { body: 1, routingKey: 'a' }), { status: 201, body: { messages: [] } })
    }
    t.equal(await ready('p-x'), 0)
  })
})

t.test('a copy shows its topic and its routing key, and no headers of ours', async t => {
  await subscribe('shown', 'shown')
  await holdfast.call('PUT', '/queues/shown', { keepAckedSeconds: 60 })
  const message = { body: 1, routingKey: 'a.ä', headers: { own: 'yes' }, priority: 7 }
  const { id } = (await publish('shown', message)).body.messages[0]
  const published = { topic: 'shown', routingKey: 'a.ä' }
  const looked = (await holdfast.get(`/queues/shown/messages/${id}`)).body
  t.match(looked, published)
  t.strictSame(looked.headers, { own: 'yes' })
  t.match((await holdfast.get('/queues/shown/messages')).body.messages, [published])
  const [leased] = await lease('shown')
  t.match(leased, { ...published, priority: 7 })
  t.strictSame(leased.headers, { own: 'yes' })
  await holdfast.post('/queues/shown/ack', { receipt: leased.receipt })
  t.match((await holdfast.get(`/queues/shown/messages/${id}`)).body, { state: 'acked', ...published })

  const raw = await holdfast.call('POST', '/topics/shown/messages?routingKey=r.w&priority=9', 'raw', {
    'content-type': 'text/plain'
  })
  t.equal(raw.status, 201)
  const { headers, text } = await holdfast.post('/queues/shown/lease', undefined, { accept: 'text/plain' })
  t.equal(text, 'raw')
  t.equal(headers.get('holdfast-topic'), 'shown')
  t.equal(headers.get('holdfast-routing-key'), 'r.w')
  t.equal(headers.get('holdfast-priority'), '9')
  t.notOk([...headers.keys()].some(name => name.startsWith('holdfast-header-')))

  await publish('shown', { body: 2 })
  const [keyless] = await lease('shown')
  t.equal(keyless.topic, 'shown')
  t.notOk('routingKey' in keyless)
  await holdfast.post('/queues/shown/messages', { body: 3 })
  const [plain] = await lease('shown')
  t.notOk('topic' in plain)
  const { rows } = await sql.query('select headers from holdfast.messages where id = $1', [plain.id])
  t.equal(rows[0].headers, null, 'a plain message pays nothing')
})

t.test('all or none: what one queue refuses refuses the publish and is named', async t => {
  await subscribe('all', 'all-a')
  await subscribe('all', 'all-b')
  await subscribe('all', 'all-c')
  const refused = async (settings: object, message: object) => {
    await holdfast.call('PUT', '/queues/all-b', settings)
    // Subscriptions are remembered with the settings of their queues, for a second.
    let answer = await publish('all', message)
    for (const untilMs = Date.now() + 3000; answer.status < 400 && Date.now() < untilMs;) {
      await holdfast.post('/queues/all-a/purge')
      await holdfast.post('/queues/all-b/purge')
      await holdfast.post('/queues/all-c/purge')
      answer = await publish('all', message)
    }
    t.match(answer.body.detail, /\ball-b\b/)
    t.equal(await ready('all-a'), 0)
    t.equal(await ready('all-c'), 0)
    return answer
  }
  t.match(await refused({ messageBytesMax: 3 }, { body: 12345 }), {
    status: 413,
    body: { code: 'bodyTooLarge', errors: [{ pointer: '/body' }] }
  })
  await holdfast.post('/queues/all-b/messages', { body: 1 })
  const full = { messageBytesMax: 1000, maxDepth: 2 }
  t.match(await refused(full, { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] }), {
    status: 429,
    body: { code: 'queueFull' }
  })
  await holdfast.post('/queues/all-b/purge')
  t.equal((await publish('all', { messages: [{ body: 1 }, { body: 2 }] })).status, 201)
  t.strictSame([await ready('all-a'), await ready('all-b'), await ready('all-c')], [2, 2, 2])
})

t.test('a queue with an order among the others: its line holds, and its refusal names it', async t => {
  await holdfast.call('PUT', '/queues/line-b', { ordering: 'group' })
  for (const queue of ['line-a', 'line-b']) await subscribe('lines', queue, { pattern: 'g.#' })
  await subscribe('lines', 'line-c', { pattern: 'other' })
  const refused = await publish('lines', {
    messages: [
      { body: 1, routingKey: 'other', priority: 9 },
      { body: 2, routingKey: 'g', priority: 9 }
    ]
  })
  t.match(refused, {
    status: 400,
    body: {
      code: 'invalidRequest',
      detail: /the queue line-b/,
      errors: [{ pointer: '/messages/1/priority' }]
    }
  })
  t.strictSame([await ready('line-a'), await ready('line-c')], [0, 0])
  t.equal((await publish('lines', { body: 3, routingKey: 'other', priority: 9 })).status, 201)
  const messages = [1, 2, 3].map(body => ({ body, group: 'g', routingKey: 'g.x' }))
  t.equal((await publish('lines', { messages })).body.messages.length, 6)
  t.equal((await lease('line-a', 3)).length, 3)
  const [first] = await lease('line-b', 1)
  t.match(first, { body: 1, group: 'g', topic: 'lines', routingKey: 'g.x' })
  t.strictSame(await lease('line-b'), [])
  await holdfast.post('/queues/line-b/ack', { receipt: first.receipt })
  t.match(await lease('line-b', 1), [{ body: 2 }])
})

t.test('a queue that gets an order after the look-up still gets its copy', async t => {
  const other = await service(t, { database })
  for (const queue of ['turned-a', 'turned-b']) await subscribe('turned', queue)
  for (let round = 0; round < 3; round++) {
    for (const queue of ['turned-a', 'turned-b']) await holdfast.post(`/queues/${queue}/purge`)
    t.equal((await other.post('/topics/turned/messages', { body: 0 })).body.messages.length, 2)
    for (const queue of ['turned-a', 'turned-b']) await holdfast.post(`/queues/${queue}/purge`)
    await holdfast.call('PUT', '/queues/turned-b', { ordering: round % 2 ? 'none' : 'group' })
    const { body } = await other.post('/topics/turned/messages', { body: 1 })
    t.match(body.messages, [{ queue: 'turned-a' }, { queue: 'turned-b' }])
    t.strictSame([await ready('turned-a'), await ready('turned-b')], [1, 1])
  }
})

t.test('idempotency keys count per queue', async t => {
  await subscribe('keyed', 'keyed-a')
  await subscribe('keyed', 'keyed-b')
  const message = { body: 1, routingKey: 'x', idempotencyKey: 'k' }
  const first = await publish('keyed', message)
  t.equal(first.status, 201)
  const again = await publish('keyed', { ...message, idempotencyKey: undefined }, { 'idempotency-key': 'k' })
  t.equal(again.status, 200, 'only duplicates were found')
  t.strictSame(
    again.body.messages,
    first.body.messages.map((copy: object) => ({ ...copy, duplicate: true }))
  )
  await subscribe('keyed', 'keyed-c')
  const more = await publish('keyed', message)
  t.equal(more.status, 201, 'one copy is new')
  t.match(more.body.messages, [{ duplicate: true }, { duplicate: true }, { queue: 'keyed-c' }])
  t.strictSame([await ready('keyed-a'), await ready('keyed-b'), await ready('keyed-c')], [1, 1, 1])

  await holdfast.post('/queues/keyed-b/messages', { body: 'other', idempotencyKey: 'taken' })
  t.match(await publish('keyed', { body: 2, idempotencyKey: 'taken' }), {
    status: 422,
    body: { code: 'idempotencyMismatch', detail: /in the queue keyed-b; nothing was stored/ }
  })
  t.strictSame([await ready('keyed-a'), await ready('keyed-b'), await ready('keyed-c')], [1, 2, 1])
  const twice = await publish('keyed', {
    messages: [
      { body: 3, idempotencyKey: 'twice' },
      { body: 3, idempotencyKey: 'twice' }
    ]
  })
  t.equal(twice.status, 201)
  t.strictSame([await ready('keyed-a'), await ready('keyed-b')], [2, 3])
})

t.test('settings of each queue count for its copy', async t => {
  await subscribe('own', 'own-a')
  await subscribe('own', 'own-b')
  await holdfast.call('PUT', '/queues/own-b', { delaySeconds: 60 })
  const at = Date.now()
  for (;;) {
    await holdfast.post('/queues/own-b/purge')
    await publish('own', { body: 1 })
    if ((await holdfast.get('/queues/own-b')).body.counts.delayed === 1) break
  }
  t.ok(Date.now() - at < 2000, 'a changed setting holds within two seconds')
  t.ok((await ready('own-a')) > 0)
})

t.test('deleting a queue ends its subscriptions, and a new one of its name has none', async t => {
  await subscribe('ended', 'ended-a')
  await subscribe('ended', 'ended-b')
  await publish('ended', { body: 1 })
  await holdfast.call('DELETE', '/queues/ended-a')
  const { status, body } = await publish('ended', { body: 2 })
  t.equal(status, 201)
  t.match(body.messages, [{ queue: 'ended-b' }])
  t.equal(body.messages.length, 1)
  await holdfast.call('PUT', '/queues/ended-a')
  await publish('ended', { body: 3 })
  t.equal(await ready('ended-a'), 0)
  t.equal(await ready('ended-b'), 3)
  await holdfast.call('DELETE', '/queues/ended-b')
  t.equal((await holdfast.get('/topics/ended')).status, 404)
})

t.test('topics are listed by name to the end', async t => {
  for (const topic of ['l-b', 'l-a', 'l-c']) await subscribe(topic, 'l-q')
  await subscribe('l-b', 'l-r')
  const seen: unknown[] = []
  for (let cursor = ''; ;) {
    const { body } = await holdfast.get(`/topics?limit=2${cursor}`)
    seen.push(...body.topics)
    if (body.cursor === null) break
    cursor = `&cursor=${body.cursor}`
  }
  t.strictSame(
    seen.filter(topic => (topic as { topic: string }).topic.startsWith('l-')),
    [
      { topic: 'l-a', subscriptions: 1 },
      { topic: 'l-b', subscriptions: 2 },
      { topic: 'l-c', subscriptions: 1 }
    ]
  )
  t.equal((await holdfast.get('/topics?cursor=x')).status, 400)
})

t.test('what an enqueue refuses, a publish refuses', async t => {
  for (const message of [
    {},
    { body: 1, routingKey: '' },
    { body: 1, routingKey: 'a..b' },
    { body: 1, routingKey: 'x'.repeat(256) },
    { body: 1, priority: 10 },
    { body: 1, colour: 'red' },
    { messages: [] },
    { messages: [{ body: 1, routingKey: '.' }] }
  ]) {
    t.equal((await publish('p', message)).status, 400, JSON.stringify(message).slice(0, 60))
  }
  t.equal((await publish('p', { body: 1, routingKey: '💡'.repeat(255) })).status, 201)
  const form = await holdfast.post('/topics/p/messages', 'a=b', {
    'content-type': 'application/x-www-form-urlencoded'
  })
  t.equal(form.status, 415)
  t.equal((await holdfast.post('/queues/t1-b/messages', { body: 1, routingKey: 'a' })).status, 400)
  const trailing = await holdfast.post('/topics/p/messages/', { body: 1 })
  t.equal(trailing.status, 201)
})

t.test('another replica follows a changed subscription within two seconds', async t => {
  const other = await service(t, { database })
  const copies = async () => (await other.post('/topics/far/messages', { body: 1 })).body.messages.length
  await subscribe('far', 'far-a')
  t.equal(await copies(), 1)
  await subscribe('far', 'far-b')
  const changedMs = performance.now()
  while ((await copies()) < 2) await pollPause()
  t.ok(performance.now() - changedMs < 2000)
})

t.test('too many copies are refused before anything is stored', async t => {
  await sql.query(
    `
    with made as (
      insert into holdfast.queues (name)
      select 'many-' || n
      from generate_series(1, 11) n
      returning id
    ), counted as (
      insert into holdfast.counts (queue_id)
      select id
      from made
    )
    insert into holdfast.subscriptions (topic, queue_id, pattern, caller_id)
    select 'many', id, '#', 'tests'
    from made`
  )
  const messages = Array.from({ length: 1000 }, (_, body) => ({ body }))
  t.match(await publish('many', { messages }), {
    status: 413,
    body: { code: 'requestTooLarge', detail: /10000 copies/ }
  })
  t.equal(await ready('many-1'), 0)
  const texts = Array.from({ length: 64 }, (_, index) => [`h${index}`, 'x'.repeat(4096)])
  const laden = { body: 1, headers: Object.fromEntries(texts) }
  t.match(await publish('many', { messages: new Array(12).fill(laden) }), {
    status: 413,
    body: { code: 'requestTooLarge', detail: /bodies and headers/ }
  })
  t.equal(await ready('many-1'), 0)
  t.equal((await publish('many', { messages: messages.slice(0, 900) })).body.messages.length, 9900)
})

t.test('patterns of many words hold up nobody, and a publish that compares too many is refused', async t => {
  const pattern = (n: number) => `#.${'a.'.repeat(115)}b${n}`
  for (let n = 0; n < 100; n++) await subscribe('long', 'long', { pattern: pattern(n) })
  for (let n = 0; n < 100; n++) await subscribe('long', `long-${n}`, { pattern: pattern(n) })
  const key = (n: number) => `${'a.'.repeat(115)}c${n}`
  t.match(await publish('long', { body: 1, routingKey: key(0) }), { status: 201, body: { messages: [] } })
  const messages = Array.from({ length: 100 }, (_, n) => ({ body: n, routingKey: key(n) }))
  t.match(await publish('long', { messages }), {
    status: 413,
    body: { code: 'requestTooLarge', detail: /too many comparisons of words; nothing was stored/ }
  })
  const matching = { body: 1, routingKey: pattern(7).replace('#', 'x') }
  t.match(await publish('long', matching), { status: 201, body: { messages: [{ queue: 'long-7' }] } })
})

t.test('one publish leaves room for messages of others', async t => {
  t.ok(publishBytesMax <= environment.waitingBytesMax.default / 2)
})
