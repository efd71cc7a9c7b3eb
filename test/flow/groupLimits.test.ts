/** Limits per group: what docs/rest.md promises of maxLeasedPerGroup and ratePerGroup. */
import t from 'tap'
import { endLeases, holdfast, queueWith, sql, type FlowQueue, type Leased } from './setup.ts'
import { pollPause } from '../support/pollPause.ts'

const bodiesOf = (leased: Leased[]) => leased.map(({ body }) => body).join(' ')
const put = (queue: FlowQueue, settings: object) => holdfast.call('PUT', queue.path, settings)

async function reasonsOf(queue: FlowQueue, id: string): Promise<string[]> {
  const { body } = await holdfast.get(`${queue.path}/messages/${id}/explain`)
  return body.reasons.map(({ code }: { code: string }) => code)
}

/** Rows of rates, and lines, that a queue has left behind. */
async function rows({ name }: FlowQueue): Promise<{ rates: number; lines: number }> {
  const { rows } = await sql.query(
    `select
      (select count(*)::int from holdfast.line_rates where queue_id = q.id) as rates,
      (select count(*)::int from holdfast.lines where queue_id = q.id) as lines
    from holdfast.queues q
    where name = $1`,
    [name]
  )
  return rows[0]
}

t.test('no more of a group are leased at once, and groups at their limit delay nobody', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 2 })
  const [, , a3] = await queue.put('a1 a2 a3 a4 b1')
  const first = await queue.lease(10)
  t.equal(bodiesOf(first), 'a1 b1 a2')
  t.strictSame(await queue.lease(10), [])
  t.strictSame(await reasonsOf(queue, a3!), ['maxLeasedPerGroup'])
  await queue.put('c1 b2')
  t.equal(await queue.bodies(10), 'c1 b2')

  await queue.ack(first[0]!)
  const [third, ...none] = await queue.lease(10)
  t.equal(third!.body, 'a3')
  t.strictSame(none, [])
  await queue.release(third!)
  t.equal(await queue.bodies(10), 'a3', 'a release gives its place back')
  await queue.fail(first[2]!, { delaySeconds: 100 })
  t.equal(await queue.bodies(10), 'a4', 'so does a fail')
})

t.test('messages without a group are one group for the limit', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 2 })
  await queue.put('1 2 3', { group: undefined })
  t.equal((await queue.lease(10)).length, 2)
})

t.test('the end of a lease and a death free a place, and wake who waits', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 1, maxAttempts: 1 })
  await queue.put('a1 a2 a3')
  const [first] = await queue.lease()
  let waiting = queue.lease(1, { waitSeconds: 20 })
  await endLeases(queue, [first!.id])
  const [second] = await waiting
  t.equal(second!.body, 'a2', 'the first is dead by its attempts')
  waiting = queue.lease(1, { waitSeconds: 20 })
  await queue.fail(second!, { dead: true })
  t.equal(bodiesOf(await waiting), 'a3')
})

t.test('holdfast.ack frees a place too', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 1 })
  await queue.put('a1 a2')
  const [first] = await queue.lease()
  const waiting = queue.lease(1, { waitSeconds: 20 })
  await sql.query('select holdfast.ack($1)', [first!.receipt])
  t.equal(bodiesOf(await waiting), 'a2')
})

t.test('a lowered limit takes nothing away, a higher one and none hold at once', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 3 })
  await queue.put('a1 a2 a3 a4 a5 a6 a7 a8')
  const [a1, a2] = await queue.lease(2)
  await put(queue, { maxLeasedPerGroup: 1 })
  t.strictSame(await queue.lease(10), [], 'also though one stood ready under the old limit')
  await queue.ack(a1!)
  t.strictSame(await queue.lease(10), [])
  await queue.ack(a2!)
  t.equal(await queue.bodies(10), 'a3')
  await put(queue, { maxLeasedPerGroup: 3 })
  t.equal(await queue.bodies(10), 'a4 a5')
  await put(queue, { maxLeasedPerGroup: null })
  t.equal(await queue.bodies(10), 'a6 a7 a8')
  await put(queue, { maxLeasedPerGroup: 2 })
  await queue.put('a9 b1')
  t.equal(await queue.bodies(10), 'b1', 'leases from before the limit count')
})

t.test('the first limit per group needs messages in lines', async t => {
  const plain = await queueWith({})
  await plain.put('a1')
  const refused = await put(plain, { maxLeasedPerGroup: 1, leaseSeconds: 77 })
  t.match(refused, { status: 409, body: { code: 'queueNotEmpty' } })
  t.not((await holdfast.get(plain.path)).body.settings.leaseSeconds, 77)
  t.equal(await plain.drain(), 'a1')
  t.equal((await put(plain, { maxLeasedPerGroup: 1 })).status, 200)

  const turns = await queueWith({ fairness: 'group' })
  await turns.put('a1 a2')
  const held = await turns.lease(1)
  t.equal((await put(turns, { maxLeasedPerGroup: 1 })).status, 200)
  t.strictSame(await turns.lease(10), [])
  await turns.ack(held[0]!)
  t.equal(await turns.bodies(10), 'a2')
})

t.test('an ordered queue bounds what an answer brings of a group', async t => {
  const queue = await queueWith({ ordering: 'group', maxLeasedPerGroup: 2 })
  await queue.put('a1 a2 a3 b1')
  const first = await queue.lease(10)
  t.equal(bodiesOf(first), 'a1 b1 a2')
  t.strictSame(await queue.lease(10), [])
  for (const message of first) await queue.ack(message)
  t.equal(await queue.drain(10), 'a3')
})

for (const ordering of ['none', 'group']) {
  t.test(`a rate per group, ordering ${ordering}`, async t => {
    const slow = await queueWith({ ordering, ratePerGroup: { messages: 1, perSeconds: 1000, burst: 2 } })
    const ids = await slow.put('a1 a2 a3 b1')
    const first = await slow.lease(10)
    t.equal(bodiesOf(first), 'a1 b1 a2')
    await holdfast.post(`${slow.path}/ack`, { receipts: first.map(({ receipt }) => receipt) })
    t.strictSame(await slow.lease(10), [])
    t.ok((await reasonsOf(slow, ids[2]!)).includes('ratePerGroup'))
    await slow.put('b2')
    t.equal(await slow.bodies(10), 'b2', 'other groups go on')
    await holdfast.post(`${slow.path}/purge`, {})
    await slow.put('a4')
    t.strictSame(await slow.lease(10), [], 'the group has used its rate up, though it was empty')

    const queue = await queueWith({ ordering, ratePerGroup: { messages: 10, perSeconds: 1, burst: 2 } })
    await queue.put('a1 a2 a3 a4 a5 a6')
    const startedMs = performance.now()
    const rest: Leased[] = []
    while (rest.length < 6) {
      const leased = await queue.lease(10, { waitSeconds: 10 })
      rest.push(...leased)
      await holdfast.post(`${queue.path}/ack`, { receipts: leased.map(({ receipt }) => receipt) })
    }
    const tookMs = performance.now() - startedMs
    t.equal(bodiesOf(rest), 'a1 a2 a3 a4 a5 a6')
    t.ok(tookMs > 390, `four more than the burst took ${tookMs} ms`)
    while ((await rows(queue)).rates > 0) await pollPause()
    t.equal((await rows(queue)).lines, 0, 'nothing of a full rate is left')
  })

  t.test(`a changed rate per group holds at once, ordering ${ordering}`, async t => {
    const queue = await queueWith({ ordering, ratePerGroup: { messages: 1, perSeconds: 10_000 } })
    await queue.put('a1 a2 b1 b2')
    const first = await queue.lease(10)
    t.equal(bodiesOf(first), 'a1 b1')
    await holdfast.post(`${queue.path}/ack`, { receipts: first.map(({ receipt }) => receipt) })
    const waiting = queue.lease(10, { waitSeconds: 20 })
    await put(queue, { ratePerGroup: null })
    const second = [...(await waiting), ...(await queue.lease(10))]
    t.strictSame(bodiesOf(second).split(' ').sort(), ['a2', 'b2'])
    t.equal((await rows(queue)).rates, 0)
  })
}

t.test('redeliveries count for the rate, and a release gives nothing back', async t => {
  const queue = await queueWith({ ratePerGroup: { messages: 1, perSeconds: 10_000, burst: 2 } })
  await queue.put('a1 a2')
  const [first] = await queue.lease()
  await queue.release(first!)
  t.equal(await queue.bodies(5), 'a1')
  t.strictSame(await queue.lease(5), [])
})

t.test('whatever happens, the limit holds and nobody is forgotten', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 2, maxAttempts: null })
  const groups = ['a', 'b', 'c']
  for (let n = 0; n < 15; n++) await queue.put(groups.map(group => `${group}${n}`).join(' '))
  const left = new Set<string>()
  for (const group of groups) for (let n = 0; n < 15; n++) left.add(`${group}${n}`)

  const held = new Map<string, Leased>()
  const most = { a: 0, b: 0, c: 0 } as Record<string, number>
  const work = async (seed: number) => {
    let state = seed
    const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below
    while (left.size > 0) {
      const leased = await queue.lease(1 + random(4), { waitSeconds: 1 })
      for (const message of leased) {
        held.set(message.receipt, message)
        const group = message.body[0]!
        const count = [...held.values()].filter(({ body }) => body[0] === group).length
        most[group] = Math.max(most[group]!, count)
      }
      for (const message of leased) {
        const verb = (['ack', 'ack', 'release', 'fail'] as const)[random(4)]!
        // It counts as returned from here: the answer comes after the commit.
        held.delete(message.receipt)
        await queue[verb](message)
        if (verb === 'ack') left.delete(message.body)
      }
    }
  }
  await Promise.all([1, 2, 3, 4].map(work))
  t.ok(Math.max(...Object.values(most)) <= 2, JSON.stringify(most))
  t.match(await queue.leftovers(), { lines: 0, messages: 0 })
})

t.test('a line counts only what was leased under its limit', async t => {
  const target = await queueWith({ fairness: 'group' })
  const queue = await queueWith({ maxLeasedPerGroup: 2, deadLetterQueue: target.name })
  await queue.put('a1 a2 a3 a4')
  const [a1, a2] = await queue.lease(2)
  await queue.release(a1!)
  await queue.fail(a2!, { dead: true })
  await put(queue, { maxLeasedPerGroup: null })
  const [again] = await queue.lease()
  await queue.ack(again!)
  const [moved] = await target.lease()
  await target.ack(moved!)
  for (const { name } of [queue, target]) {
    const { rows } = await sql.query(
      `select coalesce(min(leased), 0)::int as least, coalesce(max(leased), 0)::int as most
      from holdfast.lines
      where queue_id = (select id from holdfast.queues where name = $1)`,
      [name]
    )
    t.strictSame(rows, [{ least: 0, most: 0 }], name)
  }
})

t.test('acks within a lease free their places for it, and each has its outcome', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 1, maxLeased: 2 })
  await queue.put('a1 a2 b1 b2')
  const held = await queue.lease(4)
  t.equal(bodiesOf(held), 'a1 b1')
  const { body } = await holdfast.post(`${queue.path}/lease`, {
    max: 4,
    ack: held.map(({ receipt }) => receipt)
  })
  t.equal(bodiesOf(body.messages), 'a2 b2')
  t.match(body.outcomes, [{ outcome: 'acked' }, { outcome: 'acked' }])
})

for (const settings of [
  { maxLeasedPerGroup: 1 },
  { ratePerGroup: { messages: 1, perSeconds: 60 } }
] as const) {
  t.test(`${Object.keys(settings)[0]}: the group is listed, and turn is said of those behind`, async t => {
    const queue = await queueWith(settings)
    const [, second, third] = await queue.put('a1 a2 a3')
    await queue.lease()
    const { groups } = (await holdfast.get(`${queue.path}/groups`)).body
    t.match(groups, [{ group: 'a', waiting: 2, leased: 1, first: { id: second } }])
    const limit = Object.keys(settings)[0]!
    t.strictSame(await reasonsOf(queue, second!), [limit])
    t.ok((await reasonsOf(queue, third!)).includes('turn'))
  })
}
