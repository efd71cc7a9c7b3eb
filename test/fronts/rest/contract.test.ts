/**
 * The REST contract, promise by promise, on a real service over a real PostgreSQL. Rows are aged;
 * nothing sleeps.
 */
import pg from 'pg'
import t from 'tap'
import { service, type Client } from '../../support/service.ts'

let holdfast: Client & { databaseUrl: string }
let sql: pg.Client
let made = 0

t.before(async () => {
  holdfast = await service(t)
  sql = new pg.Client(holdfast.databaseUrl)
  await sql.connect()
  t.teardown(() => sql.end())
})

/** A queue of its own for each test. */
async function queue(settings: object = {}) {
  const name = `q${++made}`
  await holdfast.call('PUT', `/queues/${name}`, settings)
  const path = `/queues/${name}`
  return {
    name,
    path,
    report: async () => (await holdfast.get(path)).body,
    put: (change: object) => holdfast.call('PUT', path, change),
    enqueue: async (message: object | string, headers?: Record<string, string>) =>
      await holdfast.post(`${path}/messages`, message, headers),
    id: async (message: object): Promise<string> =>
      (await holdfast.post(`${path}/messages`, message)).body.id,
    lease: async (request: object = {}) =>
      (await holdfast.post(`${path}/lease`, request)).body.messages as any[],
    settle: (verb: string, body: object) => holdfast.post(`${path}/${verb}`, body),
    message: (id: string) => holdfast.get(`${path}/messages/${id}`),
    /** Lets leases end, or delays come due, as if so much time had passed. */
    age: async (seconds: number) => {
      const {
        rows: [{ id }]
      } = await sql.query('select id from holdfast.queues where name = $1', [name])
      await sql.query(
        'update holdfast.messages set leased_until = leased_until - make_interval(secs => $2), ' +
          'visible_at = visible_at - make_interval(secs => $2), expires_at = expires_at - ' +
          'make_interval(secs => $2) where queue_id = $1',
        [id, seconds]
      )
      await sql.query(
        'update holdfast.leases set ends_at = ends_at - make_interval(secs => $2) where queue_id = $1',
        [id, seconds]
      )
    }
  }
}

t.test('queues', async t => {
  t.test('a queue is made once, and its settings change one by one', async t => {
    t.match(await holdfast.call('PUT', '/queues/made', { leaseSeconds: 5, retry: { strategy: 'fixed' } }), {
      status: 201,
      body: { settings: { leaseSeconds: 5, maxAttempts: 5, retry: { strategy: 'fixed', delaySeconds: 1 } } }
    })
    const { status, body } = await holdfast.call('PUT', '/queues/made', {
      retry: { delaySeconds: 7 },
      maxDepth: 10
    })
    t.equal(status, 200)
    t.match(body.settings, {
      leaseSeconds: 5,
      retry: { strategy: 'fixed', delaySeconds: 7, maxDelaySeconds: 3600, jitter: true },
      maxDepth: 10,
      paused: false
    })
    t.match((await holdfast.call('PUT', '/queues/made', { maxDepth: null })).body.settings, {
      maxDepth: null
    })
  })

  t.test('an untouched queue has the documented defaults', async t => {
    const { body } = await holdfast.call('PUT', '/queues/defaults')
    t.strictSame(body.settings, {
      leaseSeconds: 30,
      maxAttempts: 5,
      retry: { strategy: 'exponential', delaySeconds: 1, maxDelaySeconds: 3600, jitter: true },
      retentionSeconds: 1209600,
      dedupSeconds: 86400,
      maxDepth: null,
      paused: false,
      keepAckedSeconds: 0
    })
    t.strictSame(Object.keys(body), [
      'queue',
      'settings',
      'counts',
      'reliability',
      'oldestReadySeconds',
      'createdAt',
      'updatedAt'
    ])
    t.match(body.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  t.test('the list pages by name to its end', async t => {
    const seen: string[] = []
    for (let cursor = ''; ;) {
      const { body } = await holdfast.get(`/queues?limit=1${cursor}`)
      seen.push(...body.queues.map((one: any) => one.queue))
      if (body.cursor === null) break
      cursor = `&cursor=${body.cursor}`
    }
    t.strictSame(seen, [...seen].sort())
    t.ok(seen.includes('made') && seen.includes('defaults'))
  })

  t.test(
    'reliability is the share of ended messages whose work was done, in the report and in the metrics',
    async t => {
      const q = await queue()
      t.equal((await q.report()).reliability, null)
      await q.enqueue({ messages: [...[1, 2, 3, 4].map(body => ({ body })), { body: 5, ttlSeconds: 0.001 }] })
      while ((await q.report()).counts.ready > 4); // the sweeper ends the fifth
      const leased = await q.lease({ max: 4 })
      await q.settle('ack', { receipts: leased.slice(0, 3).map(({ receipt }: any) => receipt) })
      await q.settle('fail', { receipt: leased[3].receipt, dead: true })
      t.equal((await q.report()).reliability, 3 / 5)
      await holdfast.post(`${q.path}/redrive`)
      t.equal((await q.report()).reliability, 3 / 4, 'what is redriven may yet be done')
      const line = `holdfast_reliability{queue="${q.path.slice(8)}"} 0.75`
      for (const untilMs = Date.now() + 10_000; !(await holdfast.get('/metrics')).text.includes(line);) {
        if (Date.now() > untilMs) return t.fail(line)
      }
    }
  )

  t.test('counts follow every message through its states', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }, { body: 4, delaySeconds: 60 }] })
    t.strictSame((await q.report()).counts, { ready: 3, delayed: 1, leased: 0, dead: 0, acked: 0 })
    t.ok((await q.report()).oldestReadySeconds >= 0)
    const [first, second, third] = await q.lease({ max: 3 })
    t.equal((await q.report()).oldestReadySeconds, null)
    await q.settle('ack', { receipt: first.receipt })
    await q.settle('fail', { receipt: second.receipt, dead: true })
    await q.settle('release', { receipt: third.receipt })
    t.strictSame((await q.report()).counts, { ready: 1, delayed: 1, leased: 0, dead: 1, acked: 1 })
  })

  t.test('an enqueue makes an unknown queue; a lease, a look and a receipt do not', async t => {
    t.match(await holdfast.post('/queues/unknown/lease'), { status: 404, body: { code: 'queueNotFound' } })
    t.match(await holdfast.get('/queues/unknown'), { status: 404 })
    t.match(await holdfast.get('/queues/unknown/messages'), { status: 404 })
    t.equal((await holdfast.post('/queues/unknown/messages', { body: 1 })).status, 201)
    t.equal((await holdfast.get('/queues/unknown')).body.counts.ready, 1)
  })

  t.test('where enqueues may not make queues, an unknown one is refused', async t => {
    const strict = await service(t, { env: { HOLDFAST_CREATE_QUEUES: 'off' } })
    t.match(await strict.post('/queues/unmade/messages', { body: 1 }), {
      status: 404,
      body: { code: 'queueNotFound' }
    })
    await strict.call('PUT', '/queues/unmade')
    t.equal((await strict.post('/queues/unmade/messages', { body: 1 })).status, 201)
  })

  t.test('a deleted queue is gone with all in it, and one of the same name is another', async t => {
    const q = await queue()
    await q.enqueue({ body: 1 })
    const [held] = await q.lease()
    t.equal((await holdfast.call('DELETE', q.path)).status, 204)
    t.equal((await holdfast.call('DELETE', q.path)).status, 204, 'absent too')
    t.equal((await holdfast.get(q.path)).status, 404)
    await q.enqueue({ body: 2 })
    t.match(await q.settle('ack', { receipt: held.receipt }), { status: 200, body: { outcome: 'gone' } })
    t.strictSame(
      (await q.lease({ max: 10 })).map(one => one.body),
      [2]
    )
  })
})

t.test('enqueue', async t => {
  t.test('a list is stored in its order, each with its options', async t => {
    const q = await queue()
    const { status, body } = await q.enqueue({
      messages: [{ body: 'a' }, { body: 'b', headers: { trace: '1' }, maxAttempts: 9 }, { body: null }]
    })
    t.equal(status, 201)
    const leased = await q.lease({ max: 3 })
    t.strictSame(
      leased.map(one => one.id),
      body.messages.map((one: any) => one.id)
    )
    t.match(leased[1], { body: 'b', headers: { trace: '1' }, maxAttempts: 9, priority: 4 })
    t.strictSame(leased[2].body, null)
  })

  t.test('every body comes back as it was sent', async t => {
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
      ['application/x-www-form-urlencoded', Buffer.from('a=1&b=%20'), 'text'],
      ['application/octet-stream', Buffer.from('plain bytes'), 'base64'],
      ['text/csv', Buffer.from(''), 'text']
    ]
    for (const [contentType, bytes, form] of cases) {
      const { status } = await holdfast.call('POST', `${q.path}/messages`, bytes, {
        'content-type': contentType
      })
      t.equal(status, 201, contentType)
      const [message] = await q.lease()
      t.equal(message.contentType, contentType)
      t.equal(
        Buffer.from(
          form === 'text' ? message.body : message.bodyBase64,
          form === 'text' ? 'utf8' : 'base64'
        ).equals(bytes),
        true,
        contentType
      )
      await q.settle('ack', { receipt: message.receipt })
    }
    for (const json of [
      '{"n":12345678901234567890,"a":1,"a":2,"s":"\\u0000"}',
      '1e400',
      '"\\ud800"',
      '[1.0, 1.00]',
      '{"__proto__": {"x": 1}}',
      ' {"spaced" : [ ] } '.trim(),
      '"\u2028"'
    ]) {
      const name = encodeURI(json.toWellFormed())
      t.equal((await q.enqueue(`{"body": ${json} }`)).status, 201, name)
      const {
        text,
        body: {
          messages: [message]
        }
      } = await holdfast.post(`${q.path}/lease`)
      t.ok(text.includes(`"body":${json},"contentType":"application/json"`), name)
      await q.settle('ack', { receipt: message.receipt })
    }
  })

  t.test('raw bytes take their options from the query, and refuse what is no option', async t => {
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

  t.test(
    'the same key and content is the same message, also after its ack, and other content is refused',
    async t => {
      const q = await queue()
      const {
        body: { id }
      } = await q.enqueue({ body: { a: 1 }, idempotencyKey: 'k' })
      t.match(
        await q.enqueue({ body: { a: 1 } }, { 'content-type': 'application/json', 'idempotency-key': 'k' }),
        { status: 200, body: { id, duplicate: true } }
      )
      for (const other of [
        { body: { a: 2 } },
        { body: { a: 1 }, priority: 5 },
        { body: { a: 1 }, headers: { h: '1' } },
        { body: { a: 1 }, delaySeconds: 1 }
      ]) {
        t.match(await q.enqueue({ ...other, idempotencyKey: 'k' }), {
          status: 422,
          body: { code: 'idempotencyMismatch' }
        })
      }
      const [message] = await q.lease({ max: 10 })
      await q.settle('ack', { receipt: message.receipt })
      t.match(await q.enqueue({ body: { a: 1 }, idempotencyKey: 'k' }), { status: 200, body: { id } })
      t.strictSame(await q.lease(), [])
      const elsewhere = await queue()
      t.equal(
        (await elsewhere.enqueue({ body: { a: 1 }, idempotencyKey: 'k' })).status,
        201,
        "the key is the queue's"
      )
      await sql.query(
        "update holdfast.idempotency_keys set expires_at = now() - interval '1 s' where key = 'k'"
      )
      t.equal(
        (await q.enqueue({ body: 'new', idempotencyKey: 'k' })).status,
        201,
        'free again after dedupSeconds'
      )
    }
  )

  t.test(
    'a key that comes twice in a list is one message, and one mismatch refuses the whole list',
    async t => {
      const q = await queue()
      const { status, body } = await q.enqueue({
        messages: [{ body: 1, idempotencyKey: 'x' }, { body: 2 }, { body: 1, idempotencyKey: 'x' }]
      })
      t.equal(status, 201)
      t.strictSame(body.messages[2], { id: body.messages[0].id, duplicate: true })
      t.equal((await q.enqueue({ messages: [{ body: 1, idempotencyKey: 'x' }] })).status, 200, 'nothing new')
      t.equal(
        (
          await q.enqueue({
            messages: [
              { body: 5, idempotencyKey: 'new' },
              { body: 6, idempotencyKey: 'x' }
            ]
          })
        ).status,
        422
      )
      t.equal((await q.report()).counts.ready, 2)
      t.equal(
        (await q.enqueue({ messages: [{ body: 5, idempotencyKey: 'new' }] })).status,
        201,
        'the refused list left no key behind'
      )
    }
  )

  t.test('two hundred calls at once with one key store one message', async t => {
    const q = await queue()
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => q.enqueue({ body: 'same', idempotencyKey: 'race' }))
    )
    t.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
    t.equal(answers.filter(({ status }) => status === 201).length, 1)
    t.equal((await q.report()).counts.ready, 1)
  })

  t.test('a delayed message comes when it is due and not before', async t => {
    const q = await queue()
    const id = await q.id({ body: 'later', delaySeconds: 600 })
    const past = await q.id({ body: 'now', visibleAt: '2020-01-01T00:00:00Z' })
    t.strictSame(
      (await q.lease({ max: 5 })).map(one => one.id),
      [past]
    )
    t.match((await q.message(id)).body, { state: 'delayed', visibleAt: /Z$/ })
    await q.age(600)
    t.strictSame(
      (await q.lease({ waitSeconds: 10 })).map(one => one.id),
      [id]
    )
    const startedMs = performance.now()
    await q.id({ body: 'soon', delaySeconds: 0.4 })
    t.equal((await q.lease({ waitSeconds: 10 })).length, 1)
    const tookMs = performance.now() - startedMs
    t.ok(tookMs >= 395 && tookMs < 650, `due after 400 ms, had after ${Math.round(tookMs)} ms`)
  })

  t.test('a message past its time to live is not delivered, and is counted out', async t => {
    const q = await queue()
    const id = await q.id({ body: 'short', ttlSeconds: 600 })
    await q.age(601)
    t.strictSame(await q.lease(), [])
    while ((await q.message(id)).status !== 404);
    t.equal((await q.report()).counts.ready, 0)
  })

  t.test('maxDepth refuses what would pass it, a list whole, until there is room', async t => {
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
    t.equal((await q.enqueue({ body: 4 })).status, 429, 'leased ones count')
    await q.settle('ack', { receipt: held.receipt })
    t.equal((await q.enqueue({ body: 4 })).status, 201)
  })
})

t.test('lease', async t => {
  t.test('higher priorities go first; in one, what came back goes before what is fresh', async t => {
    const q = await queue({ retry: { delaySeconds: 0, jitter: false } })
    const body = async (request?: object) => (await q.lease(request)).map(one => one.body)
    await q.enqueue({
      messages: [
        { body: 'low', priority: 0 },
        { body: 'a' },
        { body: 'b' },
        { body: 'c' },
        { body: 'high', priority: 9 }
      ]
    })
    const [high, a, b, c] = await q.lease({ max: 4 })
    t.strictSame([high.body, a.body, b.body, c.body], ['high', 'a', 'b', 'c'])
    await q.enqueue({ body: 'fresh' })
    await q.settle('release', { receipt: c.receipt })
    await q.settle('fail', { receipt: a.receipt })
    t.strictSame(await body({ max: 3 }), ['c', 'a', 'fresh'], 'in the order in which they became ready')
    t.strictSame(await body({ max: 9 }), ['low'])
    await q.age(30)
    const back = []
    while (back.length < 6) back.push(...(await q.lease({ max: 9, waitSeconds: 5 })))
    t.strictSame(
      back.map(one => one.body),
      ['high', 'b', 'a', 'c', 'fresh', 'low'],
      'all that was leased comes back, in its order'
    )
    t.ok(back.every(one => one.lastFailure.reason === 'lease expired'))
  })

  t.test('delayed messages come due, and redriven ones begin again, as fresh', async t => {
    const q = await queue({ retry: { delaySeconds: 0, jitter: false } })
    await q.enqueue({ body: 'dead' })
    const [dead] = await q.lease()
    await q.settle('fail', { receipt: dead.receipt, dead: true })
    await q.enqueue({ body: 'delayed', delaySeconds: 500 })
    await q.enqueue({ body: 'fresh' })
    t.strictSame((await holdfast.post(`${q.path}/redrive`)).body, { redriven: 1 })
    await q.age(500)
    const leased = []
    while (leased.length < 3) leased.push(...(await q.lease({ max: 3, waitSeconds: 5 })))
    t.strictSame(
      leased.map(one => one.body),
      ['fresh', 'dead', 'delayed']
    )
    t.match(leased[1], { attempt: 1, fence: 2 })
  })

  t.test('a waiting call is answered by the enqueue, an idle one by an empty list in time', async t => {
    const q = await queue()
    const waiting = q.lease({ waitSeconds: 20 })
    await q.enqueue({ body: 'wake' })
    t.strictSame(
      (await waiting).map(one => one.body),
      ['wake']
    )
    const startedMs = performance.now()
    t.strictSame(await q.lease({ waitSeconds: 0.3 }), [])
    t.ok(performance.now() - startedMs >= 295)
  })

  t.test('a paused queue gives nothing and takes everything, and goes on when it is unpaused', async t => {
    const q = await queue({ paused: true })
    t.equal((await q.enqueue({ body: 1 })).status, 201)
    t.strictSame(await q.lease({ waitSeconds: 0.1 }), [])
    const waiting = q.lease({ waitSeconds: 20 })
    await q.put({ paused: false })
    t.equal((await waiting).length, 1)
  })

  t.test('the same idempotency key gives the same messages and receipts while their leases last', async t => {
    const q = await queue()
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
    const first = await q.lease({ max: 2, idempotencyKey: 'once' })
    t.strictSame(await q.lease({ max: 2, idempotencyKey: 'once' }), first)
    await q.settle('ack', { receipt: first[0].receipt })
    t.strictSame(
      await q.lease({ max: 2, idempotencyKey: 'once' }),
      first.slice(1),
      'what was acked is not given again'
    )
    await q.settle('ack', { receipt: first[1].receipt })
    t.strictSame(
      (await q.lease({ max: 2, idempotencyKey: 'once' })).map(one => one.body),
      [3],
      'when none lasts, the key is free'
    )
    const again = await Promise.all([1, 2, 3, 4].map(() => q.lease({ max: 2, idempotencyKey: 'once' })))
    t.ok(again.every(answer => answer.length === 1 && answer[0].receipt === again[0]![0].receipt))
  })

  t.test('an answer stops before 8 MiB, and what did not fit was never leased', async t => {
    const q = await queue()
    const body = 'x'.repeat(1_048_000)
    for (let i = 0; i < 10; i++) await q.enqueue(body, { 'content-type': 'text/plain' })
    const {
      text,
      body: { messages }
    } = await holdfast.post(`${q.path}/lease`, { max: 10 })
    t.ok(
      text.length < 8_388_608 && messages.length === 7,
      `${messages.length} messages in ${text.length} bytes`
    )
    t.match((await q.report()).counts, { ready: 3, leased: 7 })
    t.match(await q.lease({ max: 10 }), { length: 3 })
  })

  t.test("a lease lasts as long as it says, its own before the queue's", async t => {
    const q = await queue({ leaseSeconds: 100 })
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }] })
    const seconds = (one: any) => (Date.parse(one.leaseExpiresAt) - Date.now()) / 1000
    const [[byQueue], [byCall]] = (await Promise.all([q.lease(), q.lease({ leaseSeconds: 7 })])) as [
      any[],
      any[]
    ]
    t.ok(seconds(byQueue) > 90 && seconds(byQueue) < 101)
    t.ok(seconds(byCall) > 5 && seconds(byCall) < 8)
  })

  t.test('receipts in ack are settled with the lease, in its one commit', async t => {
    const q = await queue()
    const step = async (request: object) => (await holdfast.post(`${q.path}/lease`, request)).body
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
    const first = await step({ ack: [] })
    t.match(first, { messages: [{ body: 1 }], outcomes: [] })
    const [{ receipt, fence }] = first.messages
    const second = await step({ ack: [receipt] })
    t.match(second, { messages: [{ body: 2 }], outcomes: [{ receipt, outcome: 'acked' }] })
    const other = second.messages[0].receipt
    t.match(await step({ max: 5, ack: [other, receipt, other] }), {
      messages: [{ body: 3 }],
      outcomes: [{ outcome: 'acked' }, { receipt, outcome: 'gone' }, { outcome: 'acked' }]
    })
    t.match(await q.report(), { counts: { ready: 0, leased: 1 } })
    t.equal(fence, 1)
    t.notHas(await step({}), { outcomes: [] }, 'no outcomes where none were asked for')
  })

  t.test('the acks of a waiting lease are committed before it waits', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    const id = await q.id({ body: 1 })
    const [{ receipt }] = (await q.lease()) as any
    const waiting = holdfast.post(`${q.path}/lease`, { waitSeconds: 20, ack: [receipt] })
    t.match((await holdfast.get(`${q.path}/messages/${id}?waitSeconds=20`)).body, { state: 'acked' })
    await q.enqueue({ body: 2 })
    t.match((await waiting).body, { messages: [{ body: 2 }], outcomes: [{ outcome: 'acked' }] })
  })

  t.test('acks of a lease work on a paused queue, with a lease key, and tell a lost lease', async t => {
    const q = await queue()
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
    const [one, two] = (await q.lease({ max: 2 })) as [any, any]
    await q.put({ paused: true })
    t.match((await holdfast.post(`${q.path}/lease`, { ack: [one.receipt] })).body, {
      messages: [],
      outcomes: [{ outcome: 'acked' }]
    })
    await q.put({ paused: false })
    await q.age(60)
    const again = await holdfast.post(`${q.path}/lease`, {
      max: 1,
      idempotencyKey: 'k',
      waitSeconds: 5,
      ack: [one.receipt]
    })
    t.match(again.body, { outcomes: [{ outcome: 'gone' }] })
    const all = [...again.body.messages, ...(await q.lease({ max: 5, waitSeconds: 5 }))]
    const taken = all.find(({ body }) => body === 2)
    t.match(taken, { fence: 2 })
    // Both fences of one message in one call: only the newer holds.
    t.match((await holdfast.post(`${q.path}/lease`, { ack: [two.receipt, taken.receipt] })).body, {
      outcomes: [{ outcome: 'gone' }, { outcome: 'acked' }]
    })
    t.match(
      await holdfast.post(`${q.path}/lease`, {
        ack: [all.find(({ body }) => body === 3).receipt, 'nonsense']
      }),
      { status: 400, body: { code: 'invalidReceipt', errors: [{ pointer: '/ack/1' }] } }
    )
    t.match((await q.report()).counts, { leased: 1 }, 'a receipt that cannot be read stops the whole call')
  })
})

t.test('settle', async t => {
  t.test('a superseded receipt changes nothing, whatever it asks', async t => {
    const q = await queue()
    const id = await q.id({ body: 1 })
    const [late] = await q.lease()
    await q.age(60)
    const [holder] = await q.lease({ waitSeconds: 5 })
    t.match(holder, { id, attempt: 2, fence: 2, lastFailure: { attempt: 1, reason: 'lease expired' } })
    for (const [verb, more] of [
      ['ack', {}],
      ['fail', { dead: true }],
      ['extend', { leaseSeconds: 1 }],
      ['release', {}]
    ] as const) {
      t.match(
        await q.settle(verb, { receipt: late.receipt, ...more }),
        { status: 409, body: { code: 'leaseLost' } },
        verb
      )
    }
    t.match((await q.message(id)).body, { state: 'leased', attempt: 2 })
    t.match(await q.settle('ack', { receipt: holder.receipt }), { status: 200, body: { outcome: 'acked' } })
    t.match(await q.settle('ack', { receipt: late.receipt }), { status: 200, body: { outcome: 'gone' } })
    t.match(await q.settle('extend', { receipt: holder.receipt, leaseSeconds: 1 }), {
      status: 409,
      body: { code: 'gone' }
    })
  })

  t.test('a receipt is good until the message is leased again, past its own fail and its expiry', async t => {
    const q = await queue({ maxAttempts: 2 })
    await q.enqueue({ body: 1 })
    const [first] = await q.lease()
    const failed = await q.settle('fail', { receipt: first.receipt, reason: 'no', delaySeconds: 600 })
    t.match(failed.body, { outcome: 'retrying', visibleAt: /Z$/ })
    t.match(
      (await q.settle('fail', { receipt: first.receipt, delaySeconds: 300 })).body,
      { outcome: 'retrying' },
      'sets the delay anew'
    )
    t.ok(Date.parse((await q.message(first.id)).body.visibleAt) - Date.now() < 301_000)
    t.match(await q.settle('extend', { receipt: first.receipt, leaseSeconds: 5 }), {
      status: 409,
      body: { code: 'leaseLost' }
    })
    t.match((await q.settle('release', { receipt: first.receipt })).body, { outcome: 'released' })
    t.equal((await q.message(first.id)).body.state, 'delayed', 'a release gives back a lease, not a retry')
    await q.age(300)
    const [second] = await q.lease({ waitSeconds: 5 })
    await q.age(60)
    while ((await q.message(second.id)).body.state !== 'dead');
    t.match((await q.settle('fail', { receipt: second.receipt })).body, { outcome: 'dead' })
    t.match((await q.settle('release', { receipt: second.receipt })).body, { outcome: 'dead' })
    t.match((await q.settle('ack', { receipt: second.receipt })).body, { outcome: 'acked' })
  })

  t.test(
    "fail retries after the delay of the queue's strategy, and the last attempt makes it dead",
    async t => {
      for (const [strategy, expected] of [
        ['exponential', [10, 20, 25]],
        ['linear', [10, 20, 25]],
        ['fixed', [10, 10, 10]]
      ] as const) {
        const q = await queue({
          maxAttempts: 4,
          retry: { strategy, delaySeconds: 10, maxDelaySeconds: 25, jitter: false }
        })
        await q.enqueue({ body: 1 })
        for (const seconds of expected) {
          const [message] = await q.lease({ waitSeconds: 5 })
          const { body } = await q.settle('fail', { receipt: message.receipt, reason: 'not yet' })
          t.ok(
            Math.abs(Date.parse(body.visibleAt) - Date.now() - seconds * 1000) < 2000,
            `${strategy} ${seconds}`
          )
          await q.age(seconds)
        }
        const [last] = await q.lease({ waitSeconds: 5 })
        t.match(last, { attempt: 4, lastFailure: { attempt: 3, reason: 'not yet', at: /Z$/ } })
        t.match((await q.settle('fail', { receipt: last.receipt })).body, { outcome: 'dead' })
      }
      const jittery = await queue({ retry: { strategy: 'fixed', delaySeconds: 100 } })
      await jittery.enqueue({ body: 1 })
      const [message] = await jittery.lease()
      const delay =
        Date.parse((await jittery.settle('fail', { receipt: message.receipt })).body.visibleAt) - Date.now()
      t.ok(delay > 98_000 && delay < 201_000, 'jitter adds up to as much again')
    }
  )

  t.test('a released lease does not count as an attempt, and its fence still rises', async t => {
    const q = await queue({ maxAttempts: 1 })
    await q.enqueue({ body: 1 })
    for (const fence of [1, 2, 3]) {
      const [message] = await q.lease()
      t.match(message, { attempt: 1, fence })
      t.match((await q.settle('release', { receipt: message.receipt })).body, { outcome: 'released' })
      t.match(
        (await q.settle('release', { receipt: message.receipt })).body,
        { outcome: 'released' },
        'twice is once'
      )
    }
  })

  t.test('extend counts from now, and may shorten: the sweeper heeds the new end', async t => {
    const q = await queue({ leaseSeconds: 600 })
    await q.enqueue({ messages: [{ body: 1 }, { body: 2 }] })
    const [one, two] = await q.lease({ max: 2 })
    const { body } = await q.settle('extend', { receipt: one.receipt, leaseSeconds: 1200 })
    t.ok(Math.abs(Date.parse(body.leaseExpiresAt) - Date.now() - 1_200_000) < 3000)
    await q.settle('extend', { receipt: two.receipt, leaseSeconds: 0.2 })
    t.match(await q.lease({ waitSeconds: 5 }), [{ id: two.id, attempt: 2 }])
    t.equal((await q.message(one.id)).body.state, 'leased')
    await q.age(1200)
    t.match(await q.lease({ waitSeconds: 5 }), [{ id: one.id, attempt: 2 }], 'the longer one ends too')
  })

  t.test('lists are answered in their order, each with its own outcome', async t => {
    const q = await queue()
    await q.enqueue({ messages: [1, 2, 3, 4].map(body => ({ body })) })
    const held = await q.lease({ max: 4 })
    const [a, b, c, d] = held.map(one => one.receipt)
    await q.settle('ack', { receipt: b })
    t.strictSame((await q.settle('ack', { receipts: [a, b, a] })).body, {
      outcomes: [
        { receipt: a, outcome: 'acked' },
        { receipt: b, outcome: 'gone' },
        { receipt: a, outcome: 'acked' }
      ]
    })
    t.match(
      (
        await q.settle('fail', {
          failures: [
            { receipt: c, dead: true },
            { receipt: d, delaySeconds: 0 }
          ]
        })
      ).body.outcomes,
      [{ outcome: 'dead' }, { outcome: 'retrying' }]
    )
    const [again] = await q.lease()
    t.match(
      (
        await q.settle('extend', {
          extensions: [
            { receipt: again.receipt, leaseSeconds: 9 },
            { receipt: d, leaseSeconds: 9 }
          ]
        })
      ).body.outcomes,
      [{ outcome: 'extended', leaseExpiresAt: /Z$/ }, { outcome: 'leaseLost' }]
    )
    t.match((await q.settle('release', { receipts: [again.receipt, d] })).body.outcomes, [
      { outcome: 'released' },
      { outcome: 'leaseLost' }
    ])
  })
})

t.test('look and mend', async t => {
  t.test('one message tells its lease and each attempt that ended badly', async t => {
    const q = await queue()
    const id = await q.id({ body: { a: 1 }, headers: { h: 'v' } })
    const [one] = await q.lease({ worker: 'w1' })
    await q.settle('fail', { receipt: one.receipt, reason: 'broken', delaySeconds: 0 })
    await q.lease({ worker: 'w2' })
    await q.age(60)
    const [three] = await q.lease({ worker: 'w3', waitSeconds: 5 })
    await q.settle('release', { receipt: three.receipt })
    await q.lease()
    const { body } = await q.message(id)
    t.match(body, {
      id,
      state: 'leased',
      body: { a: 1 },
      headers: { h: 'v' },
      attempt: 3,
      lease: { worker: /node|undici/, leasedAt: /Z$/, expiresAt: /Z$/ },
      lastFailure: { attempt: 2, reason: 'lease expired' }
    })
    t.match(body.history, [
      { attempt: 1, worker: 'w1', outcome: 'failed', reason: 'broken', leasedAt: /Z$/, endedAt: /Z$/ },
      { attempt: 2, worker: 'w2', outcome: 'expired', reason: 'lease expired' },
      { attempt: 3, worker: 'w3', outcome: 'released' }
    ])
    t.equal(body.history.length, 3)
    for (const unknown of ['0', '999999999999', 'x', '-1', '99999999999999999999']) {
      t.match(await q.message(unknown), { status: 404, body: { code: 'messageNotFound' } }, unknown)
    }
  })

  t.test('browsing pages by id through every state, without receipts', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    await q.enqueue({ messages: Array.from({ length: 7 }, (_, body) => ({ body })) })
    await q.enqueue({ body: 'delayed', delaySeconds: 60 })
    const held = await q.lease({ max: 3 })
    await q.settle('ack', { receipt: held[0].receipt })
    await q.settle('fail', { receipt: held[1].receipt, dead: true })
    const pages = async (query: string) => {
      const all: any[] = []
      for (let cursor = ''; ;) {
        const { body } = await holdfast.get(`${q.path}/messages?limit=2${query}${cursor}`)
        t.ok(body.messages.length <= 2)
        all.push(...body.messages)
        if (body.cursor === null) return all
        cursor = `&cursor=${body.cursor}`
      }
    }
    const all = await pages('')
    t.strictSame(
      all.map(one => one.state),
      ['dead', 'leased', 'ready', 'ready', 'ready', 'ready', 'delayed']
    )
    t.ok(all.every(one => one.receipt === undefined))
    for (const [state, count] of [
      ['ready', 4],
      ['delayed', 1],
      ['leased', 1],
      ['dead', 1],
      ['acked', 1]
    ] as const) {
      const some = await pages(`&state=${state}`)
      t.ok(some.length === count && some.every(one => one.state === state), state)
    }
  })

  t.test('a producer waits for its message to be acked, dead or gone', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    const wait = (id: string) => holdfast.get(`${q.path}/messages/${id}?waitSeconds=20`)
    const id = await q.id({ body: 1 })
    const waiting = wait(id)
    t.match(
      await holdfast.get(`${q.path}/messages/${id}?waitSeconds=0.1`),
      { status: 200, body: { state: 'ready' } },
      'not in time: as it is'
    )
    const [message] = await q.lease()
    await q.settle('ack', { receipt: message.receipt })
    t.match(await waiting, { status: 200, body: { state: 'acked', attempt: 1 } })
    const dead = await q.id({ body: 2 })
    const [second] = await q.lease()
    const waitingForDeath = wait(dead)
    await q.settle('fail', { receipt: second.receipt, dead: true })
    t.match(await waitingForDeath, { status: 200, body: { state: 'dead' } })
    const cancelled = await q.id({ body: 3 })
    const waitingForCancel = wait(cancelled)
    await holdfast.call('DELETE', `${q.path}/messages/${cancelled}`)
    t.equal((await waitingForCancel).status, 404)
    const plain = await queue()
    t.match(await holdfast.get(`${plain.path}/messages/${await plain.id({ body: 1 })}?waitSeconds=1`), {
      status: 409,
      body: { code: 'ackedNotKept' }
    })
  })

  t.test('a kept acked message answers a repeated ack with acked again', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    await q.enqueue({ body: 1 })
    const [one] = await q.lease()
    for (const time of ['first', 'second']) {
      t.match((await q.settle('ack', { receipt: one.receipt })).body, { outcome: 'acked' }, time)
    }
    t.match((await q.settle('fail', { receipt: one.receipt })).body, { outcome: 'gone' })
  })

  t.test('cancel removes what nobody holds', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    const cancel = async (id: string) => (await holdfast.call('DELETE', `${q.path}/messages/${id}`)).status
    const held = await q.id({ body: 1 })
    const [lease] = await q.lease()
    t.equal(await cancel(held), 409)
    await q.settle('ack', { receipt: lease.receipt })
    t.equal(await cancel(held), 204, 'a kept acked one too')
    const delayed = await q.id({ body: 2, delaySeconds: 60 })
    t.equal(await cancel(delayed), 204)
    t.equal(await cancel(delayed), 404)
    t.strictSame((await q.report()).counts, { ready: 0, delayed: 0, leased: 0, dead: 0, acked: 0 })
  })

  t.test('purge removes all, or one state', async t => {
    const q = await queue({ keepAckedSeconds: 60 })
    const purge = async (body?: object) => (await holdfast.post(`${q.path}/purge`, body)).body.purged
    await q.enqueue({
      messages: Array.from({ length: 10 }, (_, body) => ({ body, ...(body > 6 ? { delaySeconds: 60 } : {}) }))
    })
    const held = await q.lease({ max: 3 })
    await q.settle('fail', { receipt: held[0].receipt, dead: true })
    await q.settle('ack', { receipt: held[1].receipt })
    t.equal(await purge({ state: 'dead' }), 1)
    t.equal(await purge({ state: 'delayed' }), 3)
    t.strictSame((await q.report()).counts, { ready: 4, delayed: 0, leased: 1, dead: 0, acked: 1 })
    t.equal(await purge({ state: 'ready' }), 4)
    t.equal(await purge(), 2)
    t.equal(await purge(), 0)
    t.strictSame((await q.report()).counts, { ready: 0, delayed: 0, leased: 0, dead: 0, acked: 0 })
    t.match((await q.settle('ack', { receipt: held[2].receipt })).body, { outcome: 'gone' })
  })

  t.test('redrive takes those named, or so many, and begins their attempts again', async t => {
    const q = await queue({ maxAttempts: 1 })
    await q.enqueue({ messages: [1, 2, 3, 4].map(body => ({ body })) })
    const held = await q.lease({ max: 4 })
    await q.settle('fail', { failures: held.map(({ receipt }) => ({ receipt, reason: 'x' })) })
    const redrive = async (body: object) => (await holdfast.post(`${q.path}/redrive`, body)).body.redriven
    t.equal(await redrive({ ids: [held[2].id, held[2].id, '12345'] }), 1)
    t.equal(await redrive({ limit: 2 }), 2)
    t.match(await q.lease({ max: 9 }), [
      { id: held[2].id, attempt: 1, fence: 2 },
      { id: held[0].id },
      { id: held[1].id }
    ])
    t.match(
      (await q.settle('ack', { receipt: held[3].receipt })).body,
      { outcome: 'acked' },
      "a dead one is still its last holder's to ack"
    )
  })

  t.test('retention and the other chores take what is old and leave what is not', async t => {
    const { createMaintenance } = await import('../../../src/store/upkeep/maintenance.ts')
    const { openDatabase } = await import('../../../src/store/database.ts')
    const database = openDatabase(
      { connectionString: holdfast.databaseUrl },
      { poolSize: 2, onError: () => {} }
    )
    t.teardown(() => database.close())
    const chores = createMaintenance(database)
    const q = await queue({ retentionSeconds: 100, keepAckedSeconds: 100 })
    await q.enqueue({ messages: [{ body: 'old' }, { body: 'held' }, { body: 'done' }] })
    const [old, held, done] = await q.lease({ max: 3 })
    await q.settle('release', { receipt: old.receipt })
    await q.settle('ack', { receipt: done.receipt })
    await sql.query(
      "update holdfast.messages set enqueued_at = enqueued_at - interval '101 s' where id = any($1)",
      [[old.id, held.id]]
    )
    await q.enqueue({ body: 'young', idempotencyKey: 'kept' })
    await chores.retention()
    await chores['forget-acked']()
    await chores['forget-keys']()
    t.strictSame(
      (await q.report()).counts,
      { ready: 1, delayed: 0, leased: 1, dead: 0, acked: 1 },
      'a lease under way is finished first'
    )
    await sql.query(
      "update holdfast.acked set keep_until = now() - interval '1 s'; update " +
        "holdfast.idempotency_keys set expires_at = now() - interval '1 s' where key = 'kept'"
    )
    await chores['forget-acked']()
    await chores['forget-keys']()
    t.equal((await q.report()).counts.acked, 0)
    t.equal((await sql.query("select from holdfast.idempotency_keys where key = 'kept'")).rowCount, 0)
    const {
      rows: [{ id: number }]
    } = await sql.query('select id from holdfast.queues where name = $1', [q.name])
    await holdfast.call('DELETE', q.path)
    await chores['remove-queues']()
    for (const table of ['messages', 'acked', 'history', 'leases', 'ledger', 'counts']) {
      t.equal(
        (await sql.query(`select from holdfast.${table} where queue_id = $1`, [number])).rowCount,
        0,
        table
      )
    }
  })
})

t.test('health', async t => {
  t.match(await holdfast.get('/livez'), { status: 200, body: { status: 'ok' } })
  t.match(await holdfast.get('/readyz'), { status: 200, body: { status: 'ok' } })
  t.match((await holdfast.get('/metrics')).text, /holdfast_enqueued_total\{queue="made"\} 0/)
  t.match((await holdfast.get('/openapi.json')).body, { openapi: '3.1.0', info: { title: 'Holdfast' } })
  t.match((await holdfast.get('/docs')).text, /swagger-ui/)
})
