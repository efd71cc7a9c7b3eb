/** Limits of a queue: what docs/rest.md promises of maxLeased and rate. */
import t from 'tap'
import { endLeases, holdfast, queueWith, type FlowQueue, type Leased } from './setup.ts'
import { pollPause } from '../support/pollPause.ts'

const words = (count: number) => Array.from({ length: count }, (_, n) => `m${n}`).join(' ')
const receiptsOf = (leased: Leased[]) => leased.map(({ receipt }) => receipt)

const report = async ({ path }: FlowQueue) => (await holdfast.get(path)).body

t.test('no more messages are leased at once than maxLeased', async t => {
  const queue = await queueWith({ maxLeased: 3 })
  await queue.put(words(10))
  const first = await queue.lease(2)
  t.equal(first.length, 2)
  const second = await queue.lease(2)
  t.equal(second.length, 1)
  t.equal((await queue.lease(10)).length, 0)
  await queue.ack(first[0]!)
  await queue.release(first[1]!)
  await queue.fail(second[0]!, { delaySeconds: 100 })
  const third = await queue.lease(10)
  t.equal(third.length, 3, 'ack, release and fail each free a place')
  await endLeases(
    queue,
    third.slice(0, 1).map(({ id }) => id)
  )
  t.equal((await queue.lease(1, { waitSeconds: 10 })).length, 1, 'the end of a lease frees a place')
  t.equal((await queue.lease(1)).length, 0)
})

t.test('an ack within a lease frees the place that the lease takes', async t => {
  const queue = await queueWith({ maxLeased: 2 })
  await queue.put(words(4))
  const first = await queue.lease(5)
  t.equal(first.length, 2)
  const second = await queue.lease(5, { ack: receiptsOf(first) })
  t.equal(second.length, 2)
  t.strictSame(await queue.lease(5, { ack: receiptsOf(second) }), [], 'none is left')
})

t.test('the limit counts followers, keyed leases and what it did not give', async t => {
  const queue = await queueWith({ ordering: 'group', maxLeased: 3 })
  await queue.put('a1 a2 a3 a4 b1')
  const keyed = await queue.lease(10, { idempotencyKey: 'k' })
  t.equal(keyed.length, 3)
  t.strictSame(
    (await queue.lease(10, { idempotencyKey: 'k' })).map(({ id }) => id),
    keyed.map(({ id }) => id),
    'the repeat needs no place'
  )
  t.equal((await queue.lease(10, { idempotencyKey: 'other' })).length, 0)
  await queue.ack(keyed[0]!)
  t.ok((await queue.lease(10)).length <= 1)

  const plain = await queueWith({})
  await plain.put(words(8))
  const before = await plain.lease(4)
  await holdfast.call('PUT', plain.path, { maxLeased: 3 })
  t.equal((await plain.lease(5)).length, 0, 'a limit below what is leased takes nothing away')
  await plain.ack(before[0]!)
  t.equal((await plain.lease(5)).length, 0)
  await plain.ack(before[1]!)
  t.equal((await plain.lease(5)).length, 1)
  await holdfast.call('PUT', plain.path, { maxLeased: null })
  t.equal((await plain.lease(5)).length, 3)
  await holdfast.call('PUT', plain.path, { maxLeased: 6 })
  t.equal((await plain.lease(5)).length, 0)
})

t.test('a rate gives its burst, and then what comes due', async t => {
  const queue = await queueWith({ rate: { messages: 5, perSeconds: 1 } })
  await queue.put(words(30))
  const startedMs = performance.now()
  t.equal((await queue.lease(30)).length, 5, 'it starts full')
  let leased = 5
  while (leased < 10) leased += (await queue.lease(30, { waitSeconds: 10 })).length
  const tookMs = performance.now() - startedMs
  t.ok(tookMs > 950 && tookMs < 1500, `five more took ${tookMs} ms`)
})

t.test('a rate counts redeliveries, gives nothing back, and no lease by its key twice', async t => {
  const queue = await queueWith({ rate: { messages: 1, perSeconds: 1000, burst: 3 } })
  await queue.put(words(5))
  const keyed = await queue.lease(1, { idempotencyKey: 'k' })
  t.strictSame(
    (await queue.lease(1, { idempotencyKey: 'k' })).map(({ id }) => id),
    keyed.map(({ id }) => id)
  )
  t.match(await report(queue), { limits: { places: null, tokens: 2, nextTokenAt: null } })
  await queue.release(keyed[0]!)
  t.equal((await queue.lease(1)).length, 1)
  t.equal((await queue.lease(5)).length, 1)
  t.equal((await queue.lease(1)).length, 0)
  const { limits } = await report(queue)
  t.match(limits, { places: null, tokens: 0 })
  const inMs = Date.parse(limits.nextTokenAt) - Date.now()
  t.ok(inMs > 980_000 && inMs < 1_000_100, `the next in ${inMs} ms`)
})

t.test('a changed rate holds at once, and gives no more than its burst', async t => {
  const queue = await queueWith({ rate: { messages: 1, perSeconds: 10_000, burst: 2 } })
  await queue.put(words(20))
  t.equal((await queue.lease(20)).length, 2)
  const waiting = queue.lease(20, { waitSeconds: 20 })
  const startedMs = performance.now()
  const { body } = await holdfast.call('PUT', queue.path, {
    rate: { messages: 1000, perSeconds: 1, burst: 3 }
  })
  t.strictSame(body.settings.rate, { messages: 1000, perSeconds: 1, burst: 3 })
  const given = (await waiting).length
  t.ok(given >= 1 && given <= 3, `${given}`)
  t.ok(performance.now() - startedMs < 500, 'who waited heard of it')
  t.equal((await holdfast.call('PUT', queue.path, { rate: null })).body.settings.rate, null)
  t.equal((await queue.lease(20)).length, 18 - given)
})

t.test('who waits for a place gets it when one is free', async t => {
  const queue = await queueWith({ maxLeased: 1 })
  await queue.put(words(4))
  let [held] = await queue.lease()
  for (const end of ['ack', 'fail', 'release'] as const) {
    const waiting = queue.lease(1, { waitSeconds: 20 })
    while (!(await holdfast.get('/metrics')).text.includes('\nholdfast_waiting_calls 1\n')) await pollPause()
    await queue[end](held!)
    const startedMs = performance.now()
    ;[held] = await waiting
    const tookMs = performance.now() - startedMs
    t.ok(held !== undefined && tookMs < 100, `${end}: ${tookMs} ms`)
  }
})

t.test('explain says which limit holds a message up', async t => {
  const queue = await queueWith({ maxLeased: 1, rate: { messages: 1, perSeconds: 1000, burst: 1 } })
  const [, id] = await queue.put(words(2))
  await queue.lease()
  const reasons = async () => {
    const { body } = await holdfast.get(`${queue.path}/messages/${id}/explain`)
    return body.reasons.map(({ code }: { code: string }) => code)
  }
  t.strictSame(await reasons(), ['maxLeased', 'rate'])
  t.match(await report(queue), { limits: { places: 0, tokens: 0 } })
  await holdfast.call('PUT', queue.path, { rate: null })
  t.strictSame(await reasons(), ['maxLeased'])
  await holdfast.call('PUT', queue.path, { maxLeased: null })
  t.strictSame(await reasons(), ['next'])
})

t.test('a rate is an object of its numbers', async t => {
  const put = async (rate: unknown) => {
    const { status, body } = await holdfast.call('PUT', '/queues/refused', { rate })
    return status < 300 ? body.settings.rate : body.errors[0].pointer
  }
  t.strictSame(await put({ messages: 1, perSeconds: 0.1 }), { messages: 1, perSeconds: 0.1 })
  t.strictSame(await put({ messages: 1_000_000, perSeconds: 86_400, burst: 1_000_000 }), {
    messages: 1_000_000,
    perSeconds: 86_400,
    burst: 1_000_000
  })
  t.match(await put({ messages: 1 }), '/rate')
  t.match(await put({ messages: 0, perSeconds: 1 }), '/rate/messages')
  t.match(await put({ messages: 1, perSeconds: 0.05 }), '/rate/perSeconds')
  t.match(await put({ messages: 1, perSeconds: 1, burst: null }), '/rate/burst')
  t.match(await put({ messages: 1, perSeconds: 1, every: 1 }), '/rate')
  t.equal((await holdfast.get('/queues/refused')).body.settings.rate.burst, 1_000_000)
})
