/** What the settings of a queue say of messages and leases that do not say it themselves. */
import pg from 'pg'
import t from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service } from '../../support/service.ts'

const database = await freshDatabase(t)
const holdfast = await service(t, { database })
const sql = new pg.Client(database.url)
await sql.connect()
t.teardown(() => sql.end())

const put = (queue: string, settings: object) => holdfast.call('PUT', `/queues/${queue}`, settings)
const enqueue = (queue: string, message: object) => holdfast.post(`/queues/${queue}/messages`, message)
const lease = async (queue: string, request?: object) =>
  (await holdfast.post(`/queues/${queue}/lease`, request)).body.messages
const look = async (queue: string, id: string) => (await holdfast.get(`/queues/${queue}/messages/${id}`)).body
const counts = async (queue: string) => (await holdfast.get(`/queues/${queue}`)).body.counts

/** Seconds from the enqueue of a message to `column`. null: it has none. */
async function secondsTo(column: 'visible_at' | 'expires_at', id: string): Promise<number | null> {
  const { rows } = await sql.query(
    `
    select extract(epoch from ${column} - enqueued_at)::float8 as seconds
    from holdfast.messages
    where id = $1`,
    [id]
  )
  return rows[0].seconds
}

/** The id of a message that the SQL function stored. */
async function enqueueInSql(queue: string, options: object = {}): Promise<string> {
  const { rows } = await sql.query("select holdfast.enqueue($1, '1', $2) as id", [queue, options])
  return rows[0].id
}

t.test('with maxAttempts null no message is dead by its attempts', async t => {
  t.match((await put('stubborn', { maxAttempts: null, retry: { delaySeconds: 0 } })).body.settings, {
    maxAttempts: null
  })
  const { id } = (await enqueue('stubborn', { body: 1 })).body
  for (let attempt = 1; attempt <= 8; attempt++) {
    const [message] = await lease('stubborn')
    t.match(message, { id, attempt, maxAttempts: null })
    if (attempt === 1) {
      const { reasons } = (await holdfast.get(`/queues/stubborn/messages/${id}/explain`)).body
      t.match(reasons[0].detail, /: attempt 1\. Unless .* it is ready again\.$/)
    }
    t.match((await holdfast.post('/queues/stubborn/fail', { receipt: message.receipt })).body, {
      outcome: 'retrying'
    })
  }
  t.match(await look('stubborn', id), { state: 'ready', attempt: 8, maxAttempts: null })
  const [{ receipt }] = await lease('stubborn')
  await holdfast.post('/queues/stubborn/fail', { receipt, delaySeconds: 3600 })
  t.match(await look('stubborn', id), { state: 'delayed', attempt: 9 }, 'it backs off as ever')
  await holdfast.post('/queues/stubborn/retry')

  await t.test('a lease that runs out does not kill it either', async t => {
    await lease('stubborn', { leaseSeconds: 0.001 })
    t.match(await lease('stubborn', { waitSeconds: 20 }), [{ id, attempt: 11 }])
  })
  await t.test('a raw lease leaves the header out, and a kept acked message shows null', async t => {
    await put('stubborn', { keepAckedSeconds: 60 })
    await enqueue('stubborn', { body: 2 })
    const raw = await holdfast.post('/queues/stubborn/lease', undefined, { accept: 'text/plain' })
    t.equal(raw.status, 200)
    t.equal(raw.headers.get('holdfast-max-attempts'), null)
    await holdfast.post('/queues/stubborn/ack', { receipt: raw.headers.get('holdfast-receipt') })
    t.match(await look('stubborn', raw.headers.get('holdfast-id')!), { state: 'acked', maxAttempts: null })
  })
  await t.test('dead: true still kills, and a number of its own still counts', async t => {
    const own = (await enqueue('stubborn', { body: 3, maxAttempts: 1 })).body.id
    const [message] = await lease('stubborn')
    t.match(message, { id: own, maxAttempts: 1 })
    t.match((await holdfast.post('/queues/stubborn/fail', { receipt: message.receipt })).body, {
      outcome: 'dead'
    })
    await enqueue('stubborn', { body: 4 })
    const [{ receipt }] = await lease('stubborn')
    t.match((await holdfast.post('/queues/stubborn/fail', { receipt, dead: true })).body, {
      outcome: 'dead'
    })
  })
  t.match((await put('stubborn', { maxAttempts: 2 })).body.settings, { maxAttempts: 2 })
  t.match((await put('stubborn', { leaseSeconds: 9 })).body.settings, { maxAttempts: 2 }, 'left out')
})

t.test('a message gets the delay of its queue unless it says one', async t => {
  await put('late', { delaySeconds: 60 })
  const { body } = await holdfast.post('/queues/late/messages', {
    messages: [
      { body: 'bare' },
      { body: 'none', delaySeconds: 0 },
      { body: 'own', delaySeconds: 5 },
      { body: 'past', visibleAt: '2001-01-01T00:00:00Z' },
      { body: 'keyed', idempotencyKey: 'k' },
      { body: 'keyed none', idempotencyKey: 'l', delaySeconds: 0 }
    ]
  })
  const [bare, none, own, past, keyed, keyedNone] = body.messages.map(({ id }: { id: string }) => id)
  const delays = async (...ids: string[]) => {
    const seconds = []
    for (const id of ids) seconds.push(await secondsTo('visible_at', id))
    return seconds
  }
  t.strictSame(await delays(bare, none, own, past, keyed, keyedNone), [60, null, 5, null, 60, null])
  const raw = await holdfast.post('/queues/late/messages', 'raw', { 'content-type': 'text/plain' })
  t.strictSame(await delays(raw.body.id, await enqueueInSql('late')), [60, 60])
  t.strictSame(await delays(await enqueueInSql('late', { delaySeconds: 0 })), [null])
  t.match(await counts('late'), { ready: 4, delayed: 5 })
  t.equal((await lease('late', { max: 10 })).length, 4)

  await t.test('and it comes when that is over', async t => {
    await put('soon', { delaySeconds: 0.2, waitSeconds: 20 })
    const { id } = (await enqueue('soon', { body: 1 })).body
    t.strictSame(await lease('soon', { waitSeconds: 0 }), [])
    t.match(await lease('soon'), [{ id }])
  })
})

t.test('under a key, a delay of 0 is no delay only where the queue has none', async t => {
  const keyed = async (queue: string, delaySeconds?: number) =>
    (
      await enqueue(queue, {
        body: 1,
        idempotencyKey: 'k',
        ...(delaySeconds !== undefined && { delaySeconds })
      })
    ).status
  await put('undelayed', {})
  t.strictSame(
    [await keyed('undelayed'), await keyed('undelayed', 0), await keyed('undelayed', 1)],
    [201, 200, 422]
  )
  await put('undelayed-0', {})
  t.strictSame([await keyed('undelayed-0', 0), await keyed('undelayed-0')], [201, 200])
  await put('delayed', { delaySeconds: 60 })
  t.strictSame([await keyed('delayed'), await keyed('delayed', 0), await keyed('delayed')], [201, 422, 200])
  await put('delayed-0', { delaySeconds: 60 })
  t.strictSame([await keyed('delayed-0', 0), await keyed('delayed-0')], [201, 422])

  await t.test('a repeat stays a repeat when the delay of the queue changes', async t => {
    for (const queue of ['undelayed', 'undelayed-0', 'delayed', 'delayed-0']) {
      const had = queue.startsWith('delayed')
      await put(queue, { delaySeconds: had ? 0 : 60 })
      t.equal(await keyed(queue, queue.endsWith('-0') ? 0 : undefined), 200, queue)
    }
  })
  await t.test('in SQL too', async t => {
    await put('sql-delayed', { delaySeconds: 60 })
    const id = await enqueueInSql('sql-delayed', { idempotencyKey: 'k' })
    t.equal(await enqueueInSql('sql-delayed', { idempotencyKey: 'k' }), id)
    t.match(await enqueue('sql-delayed', { body: 1, idempotencyKey: 'k' }), { status: 200, body: { id } })
    await t.rejects(enqueueInSql('sql-delayed', { idempotencyKey: 'k', delaySeconds: 0 }), { code: 'HF005' })
  })
})

t.test('a message gets the time to live of its queue unless it says one', async t => {
  await put('brief', { ttlSeconds: 30 })
  const { body } = await holdfast.post('/queues/brief/messages', {
    messages: [{ body: 1 }, { body: 2, ttlSeconds: 3 }, { body: 3, delaySeconds: 1, idempotencyKey: 'k' }]
  })
  const ids = [...body.messages.map(({ id }: { id: string }) => id), await enqueueInSql('brief')]
  const lives = []
  for (const id of ids) lives.push(await secondsTo('expires_at', id))
  t.strictSame(lives, [30, 3, 30, 30])
  await put('brief', { ttlSeconds: null })
  const { id } = (await enqueue('brief', { body: 4 })).body
  t.equal(await secondsTo('expires_at', id), null)
})

t.test('a lease that does not say waits as long as its queue says', async t => {
  await put('waiting', { waitSeconds: 20 })
  for (const [name, ask] of Object.entries({
    'an empty body': () => lease('waiting'),
    'a body without it': () => lease('waiting', { max: 1 }),
    'a raw lease': async () => {
      const { status, headers } = await holdfast.post('/queues/waiting/lease', undefined, {
        accept: 'text/plain'
      })
      return status === 200 ? [{ receipt: headers.get('holdfast-receipt') }] : []
    }
  })) {
    const asked = ask()
    while (!(await holdfast.get('/metrics')).text.includes('holdfast_waiting_calls 1')) await pollPause()
    await enqueue('waiting', { body: name })
    const [message] = await asked
    t.ok(message, name)
    await holdfast.post('/queues/waiting/ack', { receipt: message.receipt })
  }
  const startedMs = performance.now()
  t.strictSame(await lease('waiting', { waitSeconds: 0 }), [])
  t.ok(performance.now() - startedMs < 5000, 'what the call says counts')
})

t.test('a body larger than the queue takes is refused with 413, its place named', async t => {
  await put('small', { messageBytesMax: 5 })
  t.equal((await enqueue('small', { body: 12345 })).status, 201)
  t.match(await enqueue('small', { body: 123456 }), {
    status: 413,
    body: {
      code: 'bodyTooLarge',
      detail: /at most 5 bytes in the queue small; nothing was stored/,
      errors: [{ pointer: '/body' }]
    }
  })
  t.equal((await enqueue('small', { body: 'äää' })).status, 413, 'bytes, not characters')
  t.match(await holdfast.post('/queues/small/messages', { messages: [{ body: 1 }, { body: 123456 }] }), {
    status: 413,
    body: { errors: [{ pointer: '/messages/1/body' }] }
  })
  const raw = (text: string) =>
    holdfast.post('/queues/small/messages', text, { 'content-type': 'text/plain' })
  t.equal((await raw('12345')).status, 201)
  t.equal((await raw('123456')).status, 413)
  await t.rejects(sql.query("select holdfast.enqueue('small', '123456')"), { code: 'HF004' })
  t.match(await counts('small'), { ready: 2 })
})

t.test('a schedule follows the settings of its queue', async t => {
  await put('cron', { messageBytesMax: 5, delaySeconds: 60, ttlSeconds: 90 })
  const fire = async (name: string, body: unknown) => {
    await holdfast.call('PUT', `/schedules/${name}`, { queue: 'cron', cron: '@yearly', body })
    await sql.query("update holdfast.schedules set next_at = date_trunc('minute', now()) where name = $1", [
      name
    ])
    await holdfast.call('PUT', `/schedules/${name}`, { headers: { a: 'the service sees it now' } })
    for (;;) {
      const { lastRun } = (await holdfast.get(`/schedules/${name}`)).body
      if (lastRun !== null) return lastRun
    }
  }
  const { outcome, messageId } = await fire('cron.small', 1)
  t.equal(outcome, 'enqueued')
  t.equal(await secondsTo('visible_at', messageId), 60)
  t.equal(await secondsTo('expires_at', messageId), 90)
  t.match(await fire('cron.large', 'too large'), { outcome: 'bodyTooLarge' })
})

t.test('tags are replaced as a whole, and bounded', async t => {
  const tags = async (given: object) => await put('tagged', { tags: given })
  t.strictSame((await put('tagged', {})).body.settings.tags, {})
  t.strictSame((await tags({ team: 'mail', 'cost: centre': 'ä' })).body.settings.tags, {
    team: 'mail',
    'cost: centre': 'ä'
  })
  const odd = { 'a\nb': '\r', '\u2028': '' }
  t.strictSame((await tags(odd)).body.settings.tags, odd, 'any name is kept')
  t.equal((await tags({ 'a\nb': 1 })).status, 400)
  t.strictSame((await tags({ owner: '' })).body.settings.tags, { owner: '' })
  t.strictSame((await put('tagged', { paused: false })).body.settings.tags, { owner: '' }, 'left out')
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, 'x']))
  t.equal((await tags(many(50))).status, 200)
  t.equal((await tags({ ['n'.repeat(128)]: '💡'.repeat(256) })).status, 200)
  for (const refused of [
    many(51),
    { '': 'x' },
    { ['n'.repeat(129)]: 'x' },
    { a: 'x'.repeat(257) },
    { a: 1 },
    { a: null },
    { a: '\0' },
    { '\ud800': 'x' },
    [],
    null
  ]) {
    t.equal((await put('tagged', { tags: refused })).status, 400, JSON.stringify(refused).slice(0, 40))
  }
  t.match(
    (await holdfast.get('/queues?limit=1000')).body.queues.find(
      ({ queue }: { queue: string }) => queue === 'tagged'
    ).settings.tags,
    { [`${'n'.repeat(128)}`]: /💡/ }
  )
})

t.test('a page of queues with large tags is short, and goes on', async t => {
  const large = Object.fromEntries(
    Array.from({ length: 50 }, (_, n) => [n + '💡'.repeat(120), '💡'.repeat(256)])
  )
  await put('zz-000', { tags: large })
  await sql.query(
    `insert into holdfast.queues (name, tags)
     select 'zz-' || to_char(n, 'FM000'), (select tags from holdfast.queues where name = 'zz-000')
     from generate_series(1, 150) n`
  )
  await sql.query(
    `insert into holdfast.counts (queue_id) select id from holdfast.queues on conflict do nothing`
  )
  const seen: string[] = []
  let pages = 0
  for (let cursor = ''; ; pages++) {
    const { body, text } = await holdfast.get(`/queues?limit=1000${cursor}`)
    t.ok(text.length < 8 * 1024 * 1024)
    seen.push(...body.queues.map(({ queue }: { queue: string }) => queue))
    if (body.cursor === null) break
    cursor = `&cursor=${body.cursor}`
  }
  t.ok(pages >= 1, 'it took more than one page')
  t.equal(seen.filter(name => name.startsWith('zz-')).length, 151)
  t.strictSame(seen, [...new Set(seen)].sort())
})

t.test('what is out of bounds is refused', async t => {
  for (const setting of [
    { maxAttempts: 0 },
    { delaySeconds: -1 },
    { delaySeconds: 31_536_001 },
    { delaySeconds: null },
    { ttlSeconds: 0 },
    { waitSeconds: 61 },
    { messageBytesMax: 0 },
    { messageBytesMax: 1_048_577 },
    { messageBytesMax: null }
  ]) {
    t.equal((await put('bounds', setting)).status, 400, JSON.stringify(setting))
  }
})

t.test('a changed setting holds on another replica within two seconds', async t => {
  const other = await service(t, { database })
  await put('shared', {})
  const enqueueThere = async () => (await other.post('/queues/shared/messages', { body: 123456 })).status
  t.equal(await enqueueThere(), 201)
  await put('shared', { messageBytesMax: 5 })
  const changedMs = performance.now()
  while ((await enqueueThere()) !== 413) await pollPause()
  t.ok(performance.now() - changedMs < 2000)
})
