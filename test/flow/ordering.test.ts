/** Order within groups: what docs/ordering.md promises. */
import t from 'tap'
import { endLeases, holdfast, queueWith } from './setup.ts'
import { pollPause } from '../support/pollPause.ts'

const empty = { lines: 0, messages: 0 }

t.test('the messages of a group are leased one after another, in the order of their enqueues', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 b1')
  await queue.put('a3 b2')
  const [a1] = await queue.lease()
  t.match(a1, { body: 'a1', group: 'a' })
  const [b1, ...others] = await queue.lease()
  t.match(b1, { body: 'b1', group: 'b' })
  t.strictSame(others, [])
  t.equal(await queue.bodies(), '', 'both groups are out')
  await queue.ack(a1!)
  t.equal(await queue.bodies(), 'a2')
  await queue.ack(b1!)
  t.equal(await queue.drain(), 'b2')
})

t.test('of groups that are used up nothing is left', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put(Array.from({ length: 200 }, (_, n) => `g${'x'.repeat(n % 50)}${n}`).join(' '))
  await queue.drain(50)
  t.strictSame(await queue.leftovers(), empty)
})

t.test('a list brings followers of its groups, and no other answer brings any of them', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 a3 b1 b2')
  const first = await queue.lease(4)
  t.strictSame(first.map(({ body }) => body).sort(), ['a1', 'a2', 'b1', 'b2'])
  t.equal(await queue.bodies(10), '', 'a3 waits for the whole answer')
  await queue.ack(first.find(({ body }) => body === 'a1')!)
  t.equal(await queue.bodies(10), '', 'a3 waits for a2 too')
  await queue.ack(first.find(({ body }) => body === 'a2')!)
  const { body } = await holdfast.post(`${queue.path}/lease`, { max: 10 })
  t.match(body, { ordering: 'group', messages: [{ body: 'a3' }] })
})

t.test('with the order of the queue, all messages are one group', async t => {
  const queue = await queueWith({ ordering: 'queue' })
  await holdfast.post(`${queue.path}/messages`, { body: '1' })
  await holdfast.post(`${queue.path}/messages`, { body: '2', group: 'mine' })
  await holdfast.post(`${queue.path}/messages`, { body: '3' })
  const [first] = await queue.lease()
  t.equal(first!.body, '1')
  t.equal(await queue.bodies(), '')
  await queue.ack(first!)
  const [second] = await queue.lease()
  t.match(second, { body: '2', group: 'mine' })
  await queue.ack(second!)
  t.equal(await queue.drain(), '3')
  t.strictSame(await queue.leftovers(), empty)
})

t.test('what comes back stands in its old place', async t => {
  const queue = await queueWith({ ordering: 'group', maxAttempts: 100 })
  await queue.put('a1 a2')
  for (const back of ['fail', 'release'] as const) {
    const [a1] = await queue.lease()
    t.equal(a1!.body, 'a1')
    await queue[back](a1!)
  }
  t.equal(await queue.drain(), 'a1 a2')
})

t.test('with fairness, a group whose message comes back goes behind the groups that are ready', async t => {
  for (const back of ['fail', 'release', 'expire'] as const) {
    for (const [fairness, drained] of [
      ['group', 'b1 a1 a2'],
      ['none', 'a1 b1 a2']
    ] as const) {
      const queue = await queueWith({ ordering: 'group', fairness, maxAttempts: 100 })
      await queue.put('a1 a2 b1')
      const [a1] = await queue.lease()
      if (back === 'expire') await endLeases(queue, [a1!.id])
      else await queue[back](a1!)
      while ((await holdfast.get(queue.path)).body.counts.leased > 0) await pollPause()
      t.equal(await queue.drain(), drained, `${back}, fairness ${fairness}`)
    }
  }
})

t.test('explain says which message of the group goes first', async t => {
  const queue = await queueWith({ ordering: 'group' })
  const [a1, a2] = await queue.put('a1 a2')
  const reasons = async () => (await holdfast.get(`${queue.path}/messages/${a2}/explain`)).body.reasons
  t.match(await reasons(), [{ code: 'noConsumer' }, { code: 'groupBlocked', by: { id: a1, state: 'ready' } }])
  const [leased] = await queue.lease()
  t.match(await reasons(), [{ code: 'groupBlocked', by: { id: a1, state: 'leased' } }])
  await queue.fail(leased!, { delaySeconds: 1000 })
  t.match(await reasons(), [{ code: 'groupBlocked', by: { id: a1, state: 'delayed' } }])
  await holdfast.call('DELETE', `${queue.path}/messages/${a1}`)
  t.match(await reasons(), [{ code: 'next' }])
})

t.test('a dead message frees its group, and after a redrive it stands at the tail', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 a3')
  const [a1] = await queue.lease()
  t.match(await queue.fail(a1!, { dead: true }), { outcome: 'dead' })
  const [a2] = await queue.lease()
  t.equal(a2!.body, 'a2')
  await holdfast.post(`${queue.path}/redrive`)
  await queue.ack(a2!)
  t.equal(await queue.drain(), 'a3 a1')
  t.strictSame(await queue.leftovers(), empty)
})

t.test('a redrive of several keeps the order in which they stand', async t => {
  const dead = await queueWith({ ordering: 'group' })
  for (const settings of [{}, { deadLetterQueue: dead.name }]) {
    const queue = await queueWith({ ordering: 'group', ...settings })
    await queue.put('a1 a2')
    const [first] = await queue.lease()
    await queue.release(first!)
    const both = await queue.lease(2)
    for (const leased of both.toReversed()) await queue.fail(leased, { dead: true })
    await holdfast.post(`${settings.deadLetterQueue === undefined ? queue.path : dead.path}/redrive`)
    t.equal(await queue.drain(), settings.deadLetterQueue === undefined ? 'a1 a2' : 'a2 a1')
  }
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2')
  const kill = async () => queue.fail((await queue.lease())[0]!, { dead: true })
  await kill()
  await holdfast.post(`${queue.path}/redrive`) // a1 stands behind a2 now
  await kill()
  await kill()
  await holdfast.post(`${queue.path}/redrive`)
  t.equal(await queue.drain(), 'a2 a1')
})

t.test('a delay of the queue holds up what comes after the message, and nothing before it', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1')
  await holdfast.call('PUT', queue.path, { delaySeconds: 1000 })
  const [a2] = await queue.put('a2')
  await holdfast.call('PUT', queue.path, { delaySeconds: 0 })
  await queue.put('a3 b1')
  const [a1, ...others] = await queue.lease(10)
  t.equal(a1!.body, 'a1')
  t.strictSame(
    others.map(({ body }) => body),
    ['b1']
  )
  await queue.ack(a1!)
  t.equal(await queue.bodies(10), '', 'a3 waits for a2, although its own delay is shorter')
  await holdfast.post(`${queue.path}/retry`, { ids: [a2] })
  t.equal(await queue.bodies(10), 'a2 a3')
})

t.test('what would change the order is refused, with the place of the option', async t => {
  const queue = await queueWith({ ordering: 'group' })
  const refused = async (body: unknown, pointer: string) => {
    const answer = await holdfast.post(`${queue.path}/messages`, body)
    t.match(answer, { status: 400, body: { errors: [{ pointer }] } }, pointer)
  }
  await refused({ body: 1, priority: 4 }, '/priority')
  await refused({ messages: [{ body: 1 }, { body: 1, delaySeconds: 0 }] }, '/messages/1/delaySeconds')
  await refused({ body: 1, visibleAt: new Date().toISOString() }, '/visibleAt')
  const raw = await holdfast.post(`${queue.path}/messages?priority=1`, 'x', { 'content-type': 'text/plain' })
  t.match(raw, { status: 400, body: { errors: [{ pointer: 'query/priority' }] } })
  t.equal((await holdfast.get(queue.path)).body.counts.ready, 0)
})

t.test('the order changes only while the queue holds no message, and then nothing else does', async t => {
  const queue = await queueWith({})
  const [id] = await queue.put('a1')
  const change = { ordering: 'group', leaseSeconds: 7 }
  t.match(await holdfast.call('PUT', queue.path, change), { status: 409, body: { code: 'queueNotEmpty' } })
  t.match((await holdfast.get(queue.path)).body.settings, { ordering: 'none', leaseSeconds: 30 })
  t.equal((await holdfast.call('PUT', queue.path, { ordering: 'none', leaseSeconds: 8 })).status, 200)
  await holdfast.call('DELETE', `${queue.path}/messages/${id}`)
  t.equal((await holdfast.call('PUT', queue.path, change)).status, 200)
  await queue.put('a1 a2')
  t.equal(await queue.bodies(1), 'a1')
  t.equal(await queue.bodies(1), '')
})

t.test('groups are compared exactly', async t => {
  const queue = await queueWith({ ordering: 'group' })
  // The same to a reader, in upper case, with an accent in one or two characters, beyond the BMP.
  const groups = [
    'a',
    'A',
    'a ',
    'é',
    'e\u0301',
    '\u{1f600}',
    '\u200b',
    'ﬁ',
    'fi',
    '%',
    "'",
    '\\',
    '"',
    '💩'.repeat(128)
  ]
  const messages = groups.map(group => ({ body: 'x', group }))
  t.equal((await holdfast.post(`${queue.path}/messages`, { messages })).status, 201)
  const leased = await queue.lease(100)
  t.strictSame(
    leased.map(({ group }) => group).sort(),
    [...groups].sort(),
    'each stands in a line of its own'
  )
  for (const group of ['', 'x'.repeat(129), 'a\n', '\u0000', '\u0085', '\ud800']) {
    const { status } = await holdfast.post(`${queue.path}/messages`, { body: 'x', group })
    t.equal(status, 400, JSON.stringify(group.slice(0, 5)))
  }
  const browsed = await holdfast.get(`${queue.path}/messages?group=${encodeURIComponent('e\u0301')}`)
  t.match(browsed.body.messages, [{ group: 'e\u0301' }])
  t.equal(browsed.body.messages.length, 1)
})

t.test('a worker that acks and leases in one call gets the next message of its group', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 a3')
  const bodies: string[] = []
  let held: string[] = []
  do {
    const leased = await queue.lease(1, { ack: held })
    bodies.push(...leased.map(({ body }) => body))
    held = leased.map(({ receipt }) => receipt)
  } while (held.length > 0)
  t.strictSame(bodies, ['a1', 'a2', 'a3'])
  t.strictSame(await queue.leftovers(), empty)
})

t.test('a lease with an idempotency key brings its followers again', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 a3')
  const first = await queue.lease(2, { idempotencyKey: 'k' })
  t.strictSame(
    first.map(({ body }) => body),
    ['a1', 'a2']
  )
  t.strictSame(await queue.lease(2, { idempotencyKey: 'k' }), first)
})

t.test('a waiting worker is woken when its group is free', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2')
  const [a1] = await queue.lease()
  const waiting = queue.lease(1, { waitSeconds: 60 })
  const startedMs = performance.now()
  await queue.ack(a1!)
  t.match(await waiting, [{ body: 'a2' }])
  t.ok(performance.now() - startedMs < 500)
})
