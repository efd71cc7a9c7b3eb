/** Sessions that hold a group for long: they delay what waits in that group, and nothing else. */
import t, { type Test } from 'tap'
import { connect } from '../support/postgres.ts'
import { databaseUrl, endLeases, queueWith, type FlowQueue } from './setup.ts'

/** A transaction that holds a group. Answers what ends it. */
async function hold(t: Test, statement: string, values: unknown[]): Promise<() => Promise<unknown>> {
  const session = await connect(t, databaseUrl)
  await session.query('begin')
  await session.query(statement, values)
  return () => session.query('commit')
}

/** A sweep that waits for the group ends after 1,250 ms, the longest wait for a lock. */
const lateMsMax = 750

/** In another queue, delays and a lease end in time. */
async function delaysNoOther(t: Test): Promise<void> {
  const other = await queueWith({})
  const startedMs = performance.now()
  await other.put('lease')
  await other.lease(1, { leaseSeconds: 1 })
  const dueMs: Record<string, number> = { lease: 1000 }
  for (const delaySeconds of [0.4, 0.7, 1, 1.3]) {
    dueMs[`delay ${delaySeconds}`] = performance.now() - startedMs + delaySeconds * 1000
    await other.put('x', { body: `delay ${delaySeconds}`, delaySeconds })
  }
  let left = Object.keys(dueMs)
  while (left.length > 0) {
    const bodies = (await other.lease(10, { waitSeconds: 20 })).map(({ body }) => body)
    const nowMs = performance.now() - startedMs
    for (const body of bodies) {
      const lateMs = nowMs - dueMs[body]!
      t.ok(lateMs < lateMsMax, `the ${body} ended ${Math.round(lateMs)} ms late while the group was held`)
    }
    left = left.filter(name => !bodies.includes(name))
  }
}

t.test('an application that acks in a long transaction delays no other queue', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await queue.put('a1 a2 a3')
  const [first, ...others] = await queue.lease(3)
  const commit = await hold(t, 'select holdfast.ack($1)', [first!.receipt])
  await endLeases(
    queue,
    others.map(({ id }) => id)
  )
  await delaysNoOther(t)
  await commit()
  t.equal((await queue.lease(1, { waitSeconds: 20 }))[0]?.body, 'a2', 'the lease has ended since')
})

/** A group in which a delay, a time to live or a rate ends while a session holds it. */
const endings: Record<string, () => Promise<FlowQueue>> = {
  async 'a delay ends'() {
    const queue = await queueWith({ maxLeasedPerGroup: 1 })
    await queue.put('a0 a1')
    await queue.lease()
    await queue.put('a2', { delaySeconds: 0.3 })
    return queue
  },
  async 'a time to live ends'() {
    const queue = await queueWith({ ordering: 'group' })
    await queue.put('a1', { ttlSeconds: 0.3 })
    await queue.put('a2')
    return queue
  },
  async 'a rate allows more'() {
    const queue = await queueWith({
      ordering: 'group',
      ratePerGroup: { messages: 3, perSeconds: 1, burst: 1 }
    })
    await queue.put('a1 a2')
    await queue.lease()
    return queue
  }
}

for (const [what, begin] of Object.entries(endings)) {
  t.test(`a session that holds a group in which ${what} delays no other queue`, async t => {
    const { name } = await begin()
    const held =
      'select 1 / count(*) from (select from holdfast.lines where queue_id = (' +
      'select id from holdfast.queues where name = $1) for update) held'
    const commit = await hold(t, held, [name])
    await delaysNoOther(t)
    await commit()
  })
}

t.test('an application that enqueues in a long transaction delays no other queue for long', async t => {
  const queue = await queueWith({ fairness: 'group' })
  await queue.put('a1', { delaySeconds: 0.2 })
  const commit = await hold(t, 'select holdfast.enqueue($1, $2, $3)', [queue.name, '1', '{"group": "a"}'])
  const other = await queueWith({})
  await other.put('x', { delaySeconds: 0.4 })
  t.equal((await other.lease(1, { waitSeconds: 5 })).length, 1, 'while the group is held')
  await commit()
  t.equal((await queue.lease(2, { waitSeconds: 20 })).length > 0, true, 'then its own messages come')
})
