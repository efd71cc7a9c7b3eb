/** A queue moves to another cell while it is used. */
import pg from 'pg'
import t from 'tap'
import { noRouter } from '../support/cells.ts'
import { move, threeCells, twoCells } from './setup.ts'

const skip = noRouter

// Each has cells of its own, and a move mostly waits.
t.jobs = 2
const buffered = true

t.test('what stays behind is carried over, whole', { skip, buffered }, async t => {
  const cells = await threeCells(t)
  const { router, a, c } = cells
  const json = '{"big":12345678901234567890123, "twice":1,"twice":2}'
  const send = (text: string) => router.post('/queues/mail/messages', text)
  await send(`{"body":${json},"delaySeconds":3600,"priority":7,"headers":{"a":"ä"},"unique":{"key":"u"}}`)
  const zeros = Uint8Array.of(0, 255, 10)
  await router.post('/queues/mail/messages?delaySeconds=3600&group=g%20h', zeros, {
    'content-type': 'application/octet-stream'
  })
  await send('{"body":"dies","maxAttempts":1}')
  const [{ receipt }] = (await router.post('/queues/mail/lease')).body.messages
  await router.post('/queues/mail/fail', { receipt, reason: 'for the test' })

  const waiting = move(cells, 'mail', 'c')
  await waiting.says('a holds 0 ready, 0 leased, 2 delayed')
  waiting.child.kill('SIGKILL')
  await waiting.ended
  const { code, said } = await move(cells, 'mail', 'c', '--carry').ended
  t.equal(code, 0, said)
  t.match(said, /Carried 3 from a to c/)
  t.equal((await a.get('/queues/mail')).status, 404)
  t.match((await router.get('/queues/mail')).body.counts, { ready: 1, delayed: 2, dead: 0 })
  const { messages } = (await c.get('/queues/mail/messages')).body
  const texts = await Promise.all(
    messages.map(async ({ id }: { id: string }) => (await router.get(`/queues/mail/messages/${id}`)).text)
  )
  const [big, bytes, died] = ['"ä"', 'octet-stream', '"dies"'].map(mark =>
    texts.find(text => text.includes(mark))
  )
  t.ok(big?.includes(`"body":${json}`), big)
  t.match(JSON.parse(big!), { priority: 7, headers: { a: 'ä' }, unique: { key: 'u' }, state: 'delayed' })
  t.match(JSON.parse(bytes!), { bodyBase64: Buffer.from(zeros).toString('base64'), group: 'g h' })
  t.match(JSON.parse(died!), { state: 'ready', attempt: 0 })
  const ids = texts.map(text => JSON.parse(text).id)
  t.ok(
    ids.every(id => BigInt(id) > 10n ** 10n),
    `ids go on far beyond those of a: ${ids}`
  )
})

t.test('an enqueue that commits after the drain is not lost', { skip, buffered }, async t => {
  const cells = await twoCells(t)
  const { router, a } = cells
  t.equal((await router.call('PUT', '/queues/mail', {})).status, 201)
  const sql = new pg.Client(a.databaseUrl)
  await sql.connect()
  t.teardown(() => sql.end())
  await sql.query('begin')
  await sql.query(`select holdfast.enqueue('mail', '"late"')`)
  const moving = move(cells, 'mail', 'b')
  await moving.says('a does not let go of mail yet')
  await sql.query('commit')
  const { code, said } = await moving.ended
  t.equal(code, 0, said)
  t.match(said, /Carried 1 from a to b/)
  t.match((await router.post('/queues/mail/lease')).body.messages, [{ body: 'late' }])
  t.equal((await a.get('/queues/mail')).status, 404)
})

t.test(
  'a queue that moves takes no subscription, push or publish that would end with it',
  { skip, buffered },
  async t => {
    const cells = await twoCells(t)
    const { router, a } = cells
    await router.post('/queues/mail/messages', { body: 1 })
    const [{ receipt }] = (await router.post('/queues/mail/lease')).body.messages
    const moving = move(cells, 'mail', 'b')
    await moving.says('a holds 0 ready, 1 leased')
    const refused = { status: 421, body: { code: 'wrongCell', detail: /mail belongs to the cell b/ } }
    t.match(await a.call('PUT', '/topics/news/subscriptions/mail', {}), refused)
    t.match(await a.call('PUT', '/queues/mail/push', { url: 'https://example.org/hook' }), refused)
    t.match(await a.post('/queues/mail/messages', { body: 2 }), refused)
    t.match(await a.call('PUT', '/queues/mail', { maxDepth: 5 }), { status: 200 }, 'its settings may change')
    await router.post('/queues/mail/ack', { receipt })
    t.equal((await moving.ended).code, 0)
    t.equal((await router.get('/queues/mail')).body.settings.maxDepth, 5, 'and go along')
  }
)

t.test('what only works within a cell is not torn apart', { skip, buffered }, async t => {
  const cells = await twoCells(t)
  const { router } = cells
  await router.call('PUT', '/queues/graves', {})
  await router.call('PUT', '/queues/mail', { deadLetterQueue: 'graves' })
  await router.call('PUT', '/topics/news/subscriptions/feed', {})
  await router.call('PUT', '/queues/pushed/push', { url: 'https://example.org/hook' })
  for (const [queue, reason] of [
    ['pushed', /pushed is delivered by push/],
    ['graves', /Dead messages of mail go to graves/],
    ['mail', /Dead messages of mail go to graves, which is in a/],
    ['feed', /feed subscribes to news/]
  ] as const) {
    const { code, said } = await move(cells, queue, 'b').ended
    t.equal(code, 1, queue)
    t.match(said, reason)
    t.equal((await router.post(`/queues/${queue}/messages`, { body: 1 })).status, 201, 'it stays in use')
    t.equal((await cells.a.get(`/queues/${queue}`)).status, 200)
  }
})

t.test('schedules go along, and those that wait for messages hear of it', { skip, buffered }, async t => {
  const cells = await twoCells(t)
  const { router, a, b } = cells
  const body = '{"queue":"mail","cron":"30 6 * * *","body":{"n":1.0}}'
  t.equal((await router.call('PUT', '/schedules/mail.nightly', body)).status, 201)
  t.equal((await router.call('PUT', '/schedules/mail.off', body.replace('{', '{"paused":true,'))).status, 201)
  t.equal((await router.post('/queues/mail/messages', { body: 0 })).status, 201)
  const [{ receipt }] = (await router.post('/queues/mail/lease')).body.messages
  const waits = router.post('/queues/mail/lease', { waitSeconds: 60 })
  const moving = move(cells, 'mail', 'b')
  t.same((await waits).body.messages, [], 'the call is answered long before its minute is over')
  await moving.says('a holds 0 ready, 1 leased')
  t.equal((await router.post('/queues/mail/messages', { body: 1 })).status, 201)
  t.same((await router.post('/queues/mail/lease')).body.messages, [], 'nothing overtakes the leased one')
  t.equal((await router.post('/queues/mail/ack', { receipt })).status, 200)
  t.equal((await moving.ended).code, 0)
  t.match((await router.post('/queues/mail/lease')).body.messages, [{ body: 1 }])
  for (const [name, paused] of [
    ['mail.nightly', false],
    ['mail.off', true]
  ] as const) {
    t.equal((await a.get(`/schedules/${name}`)).status, 404)
    const { text, body: schedule } = await b.get(`/schedules/${name}`)
    t.match(schedule, { queue: 'mail', cron: '30 6 * * *', paused })
    t.match(text, '{"n":1.0}')
    t.equal((await router.get(`/schedules/${name}`)).text, text)
  }
})
