/** How many queues enqueues, and keys that are not admin, may make: in all and with one key. */
import pg from 'pg'
import t from 'tap'
import { clientWith, guarded, withKey } from '../../support/apiKeys.ts'
import { service, type Client } from '../../support/service.ts'

const max = 8
const { holdfast, admin } = await guarded(t, { HOLDFAST_AUTO_QUEUES_MAX: String(max) })
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())
const enqueue = (client: Client, queue: string) => client.post(`/queues/${queue}/messages`, { body: 1 })
const refused = { status: 429, body: { code: 'tooManyQueues' } }

t.afterEach(async () => {
  for (const { queue } of (await admin.get('/queues')).body.queues) {
    await admin.call('DELETE', `/queues/${queue}`)
  }
})

/** Enqueues to new queues until one is refused. Returns how many were made. */
async function fill(client: Client, prefix: string): Promise<number> {
  for (let made = 0; ; made++) {
    const { status } = await enqueue(client, `${prefix}${made}`)
    if (status !== 201) return made
  }
}

t.test('a key makes at most half of the queues that others leave, and each other key makes some', async t => {
  const [a, b, c] = await Promise.all(
    ['a', 'b', 'c'].map(x => clientWith(holdfast, admin, [`enqueue:${x}-*`]))
  )
  t.equal(await fill(a!, 'a-'), 4)
  const { status, body, headers } = await enqueue(a!, 'a-one-more')
  t.match({ status, body }, refused)
  t.match(body.detail, /made 4 queues.*share of the 8/)
  t.match(body.detail, /admin key: its PUT \/queues\/a-one-more is not bounded/)
  t.ok(Number(headers.get('retry-after')) >= 1)
  t.equal(await fill(b!, 'b-'), 2, 'the second key is not stopped by the first')
  t.equal(await fill(c!, 'c-'), 1)
  t.match(await enqueue(a!, 'a-0'), { status: 201 }, 'queues that are there take messages as before')
  const d = await clientWith(holdfast, admin, ['enqueue:d-*'])
  t.equal(await fill(d, 'd-'), 1, 'a key without any gets one while the total has room')
  t.equal((await admin.get('/queues')).body.queues.length, max)
  t.match(await enqueue(admin, 'ops'), { status: 201 }, 'an admin gets in')
})

t.test('a key makes queues by PUT within the same share', async t => {
  const key = await clientWith(holdfast, admin, ['enqueue:d-*', 'manage:d-*'])
  const put = (name: string, settings = {}) => key.call('PUT', `/queues/${name}`, settings)
  t.equal(await fill(key, 'd-'), 4)
  t.match(await put('d-put'), refused)
  t.equal((await key.get('/queues/d-put')).status, 403, 'it was not made')
  t.match(await put('d-0', { maxAttempts: 3 }), { status: 200 }, 'settings can be changed')
  t.match(await enqueue(key, 'd-4'), refused, 'and a change gives no room')
  const tags = { QueueUrl: 'd-0', Tags: { a: 'b' } }
  const target = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.TagQueue' }
  t.match(await key.call('POST', '/', tags, target), { status: 200 })
  t.match(await enqueue(key, 'd-4'), refused, 'nor does one over SQS')
  t.equal((await key.call('DELETE', '/queues/d-0')).status, 204)
  t.match(await put('d-put', { maxAttempts: 3 }), { status: 201, body: { settings: { maxAttempts: 3 } } })
  t.match(await enqueue(key, 'd-4'), refused)
  t.match(await put('d-put-2'), refused)
})

t.test('a PUT with an admin key is not bounded, and takes a queue out of the share', async t => {
  const key = await clientWith(holdfast, admin, ['enqueue:h-*'])
  t.equal(await fill(key, 'h-'), 4)
  t.equal((await admin.call('PUT', '/queues/h-put')).status, 201)
  t.match(await enqueue(key, 'h-put'), { status: 201 })
  t.match(await enqueue(key, 'h-4'), refused)
  t.equal((await admin.call('PUT', '/queues/h-0')).status, 200)
  t.match(await enqueue(key, 'h-4'), { status: 201 })
})

t.test('a PUT of a queue that is there uses up no id', async t => {
  await admin.call('PUT', '/queues/i')
  const lastId = async () =>
    (await sql.query("select last_value from pg_sequences where sequencename = 'queues_id_seq'")).rows[0]
  const before = await lastId()
  for (let i = 0; i < 10; i++) await admin.call('PUT', '/queues/i', { maxAttempts: i + 1 })
  t.strictSame(await lastId(), before)
})

t.test('new queues of one key are made one after another, and another key need not wait', async t => {
  const { holdfast, admin } = await guarded(t)
  const [a, b] = await Promise.all(['a', 'b'].map(x => clientWith(holdfast, admin, [`enqueue:${x}-*`])))
  const order: string[] = []
  const make = async (client: Client, queue: string) => {
    t.match(await enqueue(client, queue), { status: 201 })
    order.push(queue)
  }
  const many = Array.from({ length: 200 }, (_, i) => make(a!, `a-${i}`))
  await Promise.race(many)
  await Promise.all([...many, make(b!, 'b-0')])
  t.ok(order.indexOf('b-0') < 100, `after ${order.indexOf('b-0')} others`)
})

t.test('an admin alone is bounded by the total, and PUT passes it', async t => {
  t.equal(await fill(admin, 'e-'), max)
  t.match((await enqueue(admin, 'e-more')).body.detail, /8 queues have been made already.*which is the most/)
  t.match(await enqueue(await clientWith(holdfast, admin, ['enqueue:*']), 'first'), refused)
  t.equal((await admin.call('PUT', '/queues/e-more')).status, 201)
})

t.test('the bound is exact, however many enqueue at once on two replicas', async t => {
  const key = await clientWith(holdfast, admin, ['enqueue:*'])
  const replica = await service(t, {
    database: { url: holdfast.databaseUrl },
    env: { HOLDFAST_AUTO_QUEUES_MAX: String(max) }
  })
  const there = withKey(replica, key.secret)
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => enqueue(i % 2 === 0 ? key : there, `f-${i % 20}`))
  )
  const queues = (await admin.get('/queues')).body.queues.length
  t.equal(queues, max / 2)
  const stored = answers.filter(({ status }) => status === 201).length
  t.ok(stored >= queues && answers.every(({ status }) => status === 201 || status === 429))
})

t.test('a schedule makes its queue within the share of its owner', async t => {
  const key = await clientWith(holdfast, admin, ['enqueue:g-*', 'manage:g-*'])
  t.equal(await fill(key, 'g-'), 4)
  const schedule = { queue: 'g-new', cron: '* * * * *', body: 1 }
  t.equal((await key.call('PUT', '/schedules/g-new', schedule)).status, 201)
  await sql.query('update holdfast.schedules set next_at = now()')
  // By this change, the service learns that it is due.
  await key.call('PUT', '/schedules/g-new', { priority: 5 })
  let lastRun = null
  while (lastRun === null) lastRun = (await admin.get('/schedules/g-new')).body.lastRun
  t.match(lastRun, { outcome: 'tooManyQueues' })
  t.equal((await admin.get('/queues/g-new')).status, 404)
})
