/** Lease: which messages, in which order, for how long. */
import t from 'tap'
import { holdfast, queue } from './setup.ts'

t.test('higher priorities go first, and within one, returned messages go before fresh ones', async t => {
  const q = await queue({ retry: { delaySeconds: 0, jitter: false } })
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
  t.strictSame(
    await q.leaseBodies({ max: 3 }),
    ['c', 'a', 'fresh'],
    'in the order in which they became ready'
  )
  t.strictSame(await q.leaseBodies({ max: 9 }), ['low'])
  await q.age(30)
  const returned = []
  while (returned.length < 6) returned.push(...(await q.lease({ max: 9, waitSeconds: 5 })))
  t.strictSame(
    returned.map(({ body }) => body),
    ['high', 'b', 'a', 'c', 'fresh', 'low'],
    'all messages come back, in their order'
  )
  t.ok(returned.every(({ lastFailure }) => lastFailure.reason === 'lease expired'))
})

t.test('delayed messages come due, and redriven messages begin again as fresh ones', async t => {
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
    leased.map(({ body }) => body),
    ['fresh', 'dead', 'delayed']
  )
  t.match(leased[1], { attempt: 1, fence: 3 })
})

t.test('an enqueue answers a waiting lease, and without one it ends in time, empty', async t => {
  const q = await queue()
  const waiting = q.leaseBodies({ waitSeconds: 20 })
  await q.enqueue({ body: 'wake' })
  t.strictSame(await waiting, ['wake'])
  const startedMs = performance.now()
  t.strictSame(await q.lease({ waitSeconds: 0.3 }), [])
  t.ok(performance.now() - startedMs >= 295)
})

t.test('a paused queue gives nothing and takes everything, until it is unpaused', async t => {
  const q = await queue({ paused: true })
  t.equal((await q.enqueue({ body: 1 })).status, 201)
  t.strictSame(await q.lease({ waitSeconds: 0.1 }), [])
  const waiting = q.lease({ waitSeconds: 20 })
  await q.put({ paused: false })
  t.equal((await waiting).length, 1)
})

t.test('the same idempotency key brings the same messages and receipts while leased', async t => {
  const q = await queue()
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  const leaseOnce = () => q.lease({ max: 2, idempotencyKey: 'once' })
  const first = await leaseOnce()
  t.strictSame(await leaseOnce(), first)
  await q.settle('ack', { receipt: first[0].receipt })
  t.strictSame(await leaseOnce(), first.slice(1), 'an acked message is not given again')
  await q.settle('ack', { receipt: first[1].receipt })
  t.match(await leaseOnce(), [{ body: 3 }], 'when all are acked, the key is free')
  const again = await Promise.all(Array.from({ length: 4 }, leaseOnce))
  t.ok(again.every(messages => messages.length === 1 && messages[0].receipt === again[0]![0].receipt))
})

t.test('an answer stops before 8 MiB, and a message that does not fit is not leased', async t => {
  const q = await queue()
  const body = 'x'.repeat(1_048_000)
  for (let i = 0; i < 10; i++) await q.enqueue(body, { 'content-type': 'text/plain' })
  const answer = await holdfast.post(`${q.path}/lease`, { max: 10 })
  const { length: count } = answer.body.messages
  const { length: bytes } = answer.text
  t.ok(bytes < 8_388_608 && count === 7, `${count} messages in ${bytes} bytes`)
  t.match((await q.report()).counts, { ready: 3, leased: 7 })
  t.match(await q.lease({ max: 10 }), { length: 3 })
})

t.test('a lease lasts as long as its call says, or else as long as its queue says', async t => {
  const q = await queue({ leaseSeconds: 100 })
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }] })
  const secondsLeft = ([message]: any[]) => (Date.parse(message.leaseExpiresAt) - Date.now()) / 1000
  const [byQueue, byCall] = await Promise.all([q.lease(), q.lease({ leaseSeconds: 7 })])
  t.ok(secondsLeft(byQueue) > 90 && secondsLeft(byQueue) < 101)
  t.ok(secondsLeft(byCall) > 5 && secondsLeft(byCall) < 8)
})

t.test('receipts in `ack` are acked in the commit of the lease', async t => {
  const q = await queue()
  const lease = async (request: object) => (await holdfast.post(`${q.path}/lease`, request)).body
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  const first = await lease({ ack: [] })
  t.match(first, { messages: [{ body: 1 }], outcomes: [] })
  const [{ receipt, fence }] = first.messages
  const second = await lease({ ack: [receipt] })
  t.match(second, { messages: [{ body: 2 }], outcomes: [{ receipt, outcome: 'acked' }] })
  const other = second.messages[0].receipt
  t.match(await lease({ max: 5, ack: [other, receipt, other] }), {
    messages: [{ body: 3 }],
    outcomes: [{ outcome: 'acked' }, { receipt, outcome: 'gone' }, { outcome: 'acked' }]
  })
  t.match(await q.report(), { counts: { ready: 0, leased: 1 } })
  t.equal(fence, 1)
  t.notHas(await lease({}), { outcomes: [] }, 'no outcomes where none were asked for')
})

t.test('the acks of a waiting lease are committed before it waits', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const id = await q.id({ body: 1 })
  const [{ receipt }] = await q.lease()
  const waiting = holdfast.post(`${q.path}/lease`, { waitSeconds: 20, ack: [receipt] })
  t.match((await holdfast.get(`${q.path}/messages/${id}?waitSeconds=20`)).body, { state: 'acked' })
  await q.enqueue({ body: 2 })
  t.match((await waiting).body, { messages: [{ body: 2 }], outcomes: [{ outcome: 'acked' }] })
})

t.test('the acks of a lease work on a paused queue and with a lease key, and tell a lost lease', async t => {
  const q = await queue()
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  const lease = (request: object) => holdfast.post(`${q.path}/lease`, request)
  const [first, second] = await q.lease({ max: 2 })
  await q.put({ paused: true })
  t.match((await lease({ ack: [first.receipt] })).body, { messages: [], outcomes: [{ outcome: 'acked' }] })
  await q.put({ paused: false })
  await q.age(60)
  const keyed = await lease({ max: 1, idempotencyKey: 'k', waitSeconds: 5, ack: [first.receipt] })
  t.match(keyed.body, { outcomes: [{ outcome: 'gone' }] })
  const leased = [...keyed.body.messages, ...(await q.lease({ max: 5, waitSeconds: 5 }))]
  const secondAgain = leased.find(({ body }) => body === 2)
  const third = leased.find(({ body }) => body === 3)
  t.match(secondAgain, { fence: 2 })
  // Both fences of one message in one call: only the newer holds.
  t.match((await lease({ ack: [second.receipt, secondAgain.receipt] })).body, {
    outcomes: [{ outcome: 'gone' }, { outcome: 'acked' }]
  })
  t.match(await lease({ ack: [third.receipt, 'nonsense'] }), {
    status: 400,
    body: { code: 'invalidReceipt', errors: [{ pointer: '/ack/1' }] }
  })
  t.match((await q.report()).counts, { leased: 1 }, 'an unreadable receipt stops the whole call')
})
