/** Sessions that hold a group for long: they delay what waits in that group, and nothing else. */
import t, { type Test } from 'tap'
import { connect } from '../support/postgres.ts'
import { databaseUrl, endLeases, queueWith } from './setup.ts'

/** A transaction that holds a group. Answers what ends it. */
async function hold(t: Test, statement: string, values: unknown[]): Promise<() => Promise<unknown>> {
  const session = await connect(t, databaseUrl)
  await session.query('begin')
  await session.query(statement, values)
  return () => session.query('commit')
}

/** In another queue, a delay and a lease end in time. */
async function delaysNoOther(t: Test): Promise<void> {
  const other = await queueWith({})
  await other.put('lapsed')
  await other.lease(1, { leaseSeconds: 1 })
  await other.put('delayed', { delaySeconds: 0.6 })
  const bodies = [await other.lease(1, { waitSeconds: 1 }), await other.lease(1, { waitSeconds: 2 })]
  t.strictSame(
    bodies.flat().map(({ body }) => body),
    ['delayed', 'lapsed'],
    'while the group is held'
  )
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

t.test('a session that holds a group in which a delay ends delays no other queue', async t => {
  const queue = await queueWith({ maxLeasedPerGroup: 1 })
  await queue.put('a0 a1')
  await queue.lease()
  await queue.put('a2', { delaySeconds: 0.3 })
  const held = 'select from holdfast.lines where queue_id = (select id from holdfast.queues where name = $1)'
  const commit = await hold(t, `${held} for update`, [queue.name])
  await delaysNoOther(t)
  await commit()
})

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
