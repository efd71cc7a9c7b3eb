/** Fairness between groups: what docs/ordering.md promises. */
import t from 'tap'
import { endLeases, holdfast, queueWith } from './setup.ts'

t.test('groups take turns, in the order in which they became ready', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await queue.put('z1 z2 z3 a1 b1 a2')
  const bodies: string[] = []
  for (let n = 0; n < 6; n++) bodies.push(await queue.bodies())
  t.strictSame(bodies, ['z1', 'a1', 'b1', 'z2', 'a2', 'z3'], 'leased messages block nobody')
  t.equal(await queue.bodies(), '')
})

t.test('a list goes round the groups', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await queue.put('a1 a2 a3 a4 a5 b1 b2 c1')
  t.equal(await queue.bodies(6), 'a1 b1 c1 a2 b2 a3')
  t.equal(await queue.bodies(6), 'a4 a5')
  t.strictSame(await queue.leftovers(), { lines: 0, messages: 8 }, 'no line has a ready message')
})

t.test('messages without a group are one group', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await holdfast.post(`${queue.path}/messages`, { messages: [{ body: '1' }, { body: '2' }] })
  await queue.put('a1')
  t.equal(await queue.bodies(2), '1 a1')
  t.equal(await queue.bodies(2), '2')
})

t.test('priorities and what comes back count within a group only', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await queue.put('a1 a2')
  await queue.put('a9', { priority: 9 })
  await queue.put('b1')
  await queue.put('b0', { priority: 0 })
  t.equal(await queue.bodies(), 'a9', 'it takes the place of a1')
  const [b1] = await queue.lease()
  t.equal(b1!.body, 'b1')
  await queue.fail(b1!)
  t.equal(await queue.bodies(), 'a1')
  t.equal(await queue.bodies(), 'b1', 'before b0')
  t.equal(await queue.drain(), 'a2 b0')
})

t.test('a delayed message takes no turn, and joins when it is due', async t => {
  const queue = await queueWith({ fairness: 'group' })
  const [a1] = await queue.put('a1', { delaySeconds: 1000 })
  await queue.put('a2 b1')
  t.equal(await queue.bodies(5), 'a2 b1')
  await holdfast.post(`${queue.path}/retry`, { ids: [a1] })
  t.equal(await queue.bodies(5), 'a1')
})

t.test('whatever takes the message away whose turn it is, the next one of its group stands', async t => {
  const queue = await queueWith({ fairness: 'group' })
  const [a1] = await queue.put('a1 a2 a3')
  await holdfast.call('DELETE', `${queue.path}/messages/${a1}`)
  const [a2] = await queue.lease()
  await queue.fail(a2!, { dead: true })
  t.equal(await queue.bodies(5), 'a3')
  await holdfast.post(`${queue.path}/redrive`)
  t.equal(await queue.bodies(5), 'a2')
})

t.test('fairness may change while there are messages', async t => {
  const queue = await queueWith({})
  await queue.put('a1 a2')
  await holdfast.call('PUT', queue.path, { fairness: 'group' })
  await queue.put('a3 a4 b1')
  await holdfast.call('PUT', queue.path, { fairness: 'none' })
  await queue.put('c1')
  const bodies: string[] = []
  for (let n = 0; n < 6; n++) bodies.push(await queue.bodies())
  t.strictSame(bodies, ['a1', 'a2', 'a3', 'b1', 'c1', 'a4'])
})

t.test('fairness and the order of the whole queue exclude one another', async t => {
  const queue = await queueWith({})
  const change = { ordering: 'queue', fairness: 'group' }
  t.match(await holdfast.call('PUT', queue.path, change), { status: 400, body: { code: 'invalidRequest' } })
  t.equal((await holdfast.call('PUT', queue.path, { ordering: 'queue' })).status, 200)
  t.equal((await holdfast.call('PUT', queue.path, { fairness: 'group' })).status, 400)
})

t.test('a lease with a key goes round the groups, and is given again whole', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await queue.put('a1 a2 a3 b1')
  const first = await queue.lease(4, { idempotencyKey: 'k' })
  t.equal(first.map(({ body }) => body).join(' '), 'a1 b1 a2 a3')
  t.strictSame(await queue.lease(4, { idempotencyKey: 'k' }), first)
  await endLeases(
    queue,
    first.map(({ id }) => id)
  )
  t.equal((await queue.lease(4, { waitSeconds: 10 })).length, 4, 'each came back once')
})
