/** Order within groups: what docs/ordering.md promises. */
import t from 'tap'
import { holdfast, queueWith } from './setup.ts'

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
  t.equal(await queue.bodies(10), 'a3')
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
