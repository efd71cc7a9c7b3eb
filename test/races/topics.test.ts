/** Publishes beside sessions that end subscriptions and delete queues. */
import t from 'tap'
import type { Broker } from '../../src/core/broker.ts'
import type { SessionVerbs } from '../../src/store/store.ts'
import { tester } from '../support/callers.ts'
import {
  blocker,
  conserved,
  deadlocks,
  idOf,
  messages,
  newName,
  poolA,
  poolB,
  queue,
  queues,
  replica,
  rowsOf,
  untilBlocked
} from './setup.ts'

const publish = (broker: Broker, topic: string, count = 1) =>
  broker.publish(
    tester,
    topic,
    Array.from({ length: count }, (_, body) => ({ body: String(body), contentType: null })),
    true
  )

t.test('a queue deleted between look-up and commit neither refuses the publish nor gets it', async t => {
  const [gone, stays] = [await queue(), await queue()]
  let flushes = 0
  const verbs: Partial<SessionVerbs> = {
    async enqueue(session, rows) {
      if (flushes++ === 0) await queues.removeQueue(poolB, gone.name)
      return await messages.enqueue(session, rows)
    }
  }
  const { broker, stop } = replica(poolA, { verbs })
  for (const { name } of [gone, stays]) await broker.topics.subscribe(tester, 'between', name, null)
  const copies = await publish(broker, 'between', 3)
  t.match(
    copies,
    [0, 1, 2].map(index => ({ index, queue: stays.name, duplicate: false }))
  )
  t.equal(copies.length, 3)
  t.equal((await rowsOf(gone.id)).length, 0)
  t.equal((await rowsOf(stays.id)).length, 3)
  t.match((await broker.topics.report(tester, 'between')).subscriptions, [{ queue: stays.name }])
  await stop()
})

t.test('when every queue is deleted in between, nobody gets the message', async t => {
  const only = await queue()
  const verbs: Partial<SessionVerbs> = {
    async enqueue(session, rows) {
      await queues.removeQueue(poolB, only.name)
      return await messages.enqueue(session, rows)
    }
  }
  const { broker, stop } = replica(poolA, { verbs })
  await broker.topics.subscribe(tester, 'alone', only.name, null)
  t.strictSame(await publish(broker, 'alone'), [])
  await stop()
})

t.test('a subscription that meets a delete of its queue is made on the new queue', async t => {
  const { broker, stop } = replica(poolA)
  const { name, id } = await queue()
  await blocker.query('begin')
  await blocker.query('delete from holdfast.queues where name = $1', [name])
  const subscribing = broker.topics.subscribe(tester, 'met', name, 'a')
  await untilBlocked(1)
  await blocker.query('delete from holdfast.counts where queue_id = $1', [id])
  await blocker.query('commit')
  t.strictSame(await subscribing, { pattern: 'a', created: true })
  t.not(await idOf(name), id)
  t.match((await broker.topics.report(tester, 'met')).subscriptions, [{ queue: name, pattern: 'a' }])
  await stop()
})

t.test('two replicas subscribe one queue at once: one makes it', async t => {
  const replicas = [replica(poolA), replica(poolB)]
  for (let round = 0; round < 10; round++) {
    const name = newName()
    const made = await Promise.all(
      replicas.map(({ broker }) => broker.topics.subscribe(tester, 'both', name, null))
    )
    t.strictSame(made.map(({ created }) => created).sort(), [false, true])
  }
  await Promise.all(replicas.map(({ stop }) => stop()))
})

t.test(
  'a publish with a mismatch in one queue stores nothing in any, beside others that are stored',
  async t => {
    const { broker, stop } = replica(poolA)
    const [a, b] = [await queue(), await queue()]
    for (const { name } of [a, b]) await broker.topics.subscribe(tester, 'torn', name, null)
    await broker.enqueue(tester, b.name, [{ body: '"other"', contentType: null, idempotencyKey: 'k' }], false)
    const message = (idempotencyKey?: string) => [{ body: '1', contentType: null, idempotencyKey }]
    const answers = await Promise.allSettled([
      broker.publish(tester, 'torn', message(), false),
      broker.publish(tester, 'torn', message('k'), false),
      broker.publish(tester, 'torn', message('own'), false)
    ])
    t.strictSame(
      answers.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled']
    )
    t.equal((await rowsOf(a.id)).length, 2)
    t.equal((await rowsOf(b.id)).length, 3)
    await conserved(t, a.id)
    await conserved(t, b.id)
    await stop()
  }
)

t.test(
  'publishes, subscriptions and deletes of queues from all sides: no deadlock, nothing in part',
  async t => {
    const before = await deadlocks()
    const replicas = [replica(poolA), replica(poolB)]
    const names = Array.from({ length: 4 }, newName)
    const keep = await queue()
    await replicas[0]!.broker.topics.subscribe(tester, 'busy', keep.name, null)
    const results = await Promise.allSettled(
      Array.from({ length: 240 }, async (_, i) => {
        const { broker } = replicas[i % 2]!
        const name = names[i % 4]!
        if (i % 5 === 0) await broker.topics.subscribe(tester, 'busy', name, null)
        else if (i % 7 === 0) await queues.removeQueue(poolB, name)
        else if (i % 11 === 0) await broker.topics.unsubscribe(tester, 'busy', name)
        else return (await publish(broker, 'busy', 2)).filter(copy => copy.queue === keep.name).length
        return null
      })
    )
    t.strictSame(
      results.filter(({ status }) => status === 'rejected'),
      []
    )
    const copies = results.map(result => (result.status === 'fulfilled' ? result.value : null))
    t.ok(
      copies.every(count => count === null || count === 2),
      'each publish reached the queue that stays'
    )
    t.equal(
      (await rowsOf(keep.id)).length,
      copies.reduce<number>((sum, count) => sum + (count ?? 0), 0)
    )
    t.equal(await deadlocks(), before)
    await conserved(t, keep.id)
    await Promise.all(replicas.map(({ stop }) => stop()))
  }
)
