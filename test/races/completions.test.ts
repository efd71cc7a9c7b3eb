/** Acks with next messages that race: with each other, with a delete and with a full queue. */
import t from 'tap'
import type { Broker } from '../../src/core/broker.ts'
import type { Completion } from '../../src/core/completion.ts'
import { tester } from '../support/callers.ts'
import {
  ack,
  blocker,
  brokerOn,
  conserved,
  deadlocks,
  enqueue,
  lease,
  leaseBy,
  poolA,
  poolB,
  queue,
  queues,
  receiptOf,
  rowsOf,
  untilBlocked,
  type Database
} from './setup.ts'

type Queue = { id: string; name: string }

/** An ack of a lease, with one next message for each of these queues. */
const completion = (from: Queue, held: { id: string; fence: string }, ...to: Queue[]): Completion => ({
  receipt: receiptOf(from, held),
  pointer: '/receipt',
  result: null,
  then: to.map(({ name }, index) => ({
    queue: name,
    message: { body: `${index}`, contentType: null },
    pointer: `/then/${index}`
  }))
})

const complete = (broker: Broker, from: Queue, ...completions: Completion[]) =>
  broker.complete(tester, from.name, completions)

/** Holds the lock on a message until what it returns is called. */
async function lock(id: string): Promise<() => Promise<unknown>> {
  await blocker.query('begin')
  await blocker.query('select from holdfast.messages where id = $1 for update', [id])
  return () => blocker.query('commit')
}

async function leased(from: Queue, count: number) {
  await enqueue(from.id, count)
  return await lease(poolA, from.id, count)
}

t.test('one receipt acked on two replicas at once: one of them enqueues', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from, 1)
  const unlock = await lock(held!.id)
  const acks = [poolA, poolB].map(pool => complete(brokerOn(pool), from, completion(from, held!, to)))
  await untilBlocked(2)
  await unlock()
  const outcomes = (await Promise.all(acks)).flat()
  t.strictSame(outcomes.map(({ outcome }) => outcome).sort(), ['acked', 'gone'])
  t.equal(outcomes.filter(outcome => 'then' in outcome).length, 1)
  t.equal((await rowsOf(to.id)).length, 1)
  await conserved(t, from.id)
  await conserved(t, to.id)
})

t.test('an ack that waits behind a plain ack of its message enqueues nothing', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from, 1)
  const unlock = await lock(held!.id)
  const plain = ack(poolB, from.id, [held!])
  await untilBlocked(1)
  const acking = complete(brokerOn(poolA), from, completion(from, held!, to))
  await untilBlocked(2)
  await unlock()
  t.equal((await plain).rows.length, 1)
  t.strictSame(await acking, [{ outcome: 'gone' }])
  t.equal((await rowsOf(to.id)).length, 0)
})

t.test('a target deleted on another replica meanwhile is made anew, or refuses the ack', async t => {
  for (const createQueues of [true, false]) {
    const [from, to] = [await queue(), await queue()]
    const [held] = await leased(from, 1)
    const broker = brokerOn(poolA, { options: { createQueues } })
    await broker.reportQueue(tester, to.name)
    const unlock = await lock(held!.id)
    const acking = complete(broker, from, completion(from, held!, to)).catch((error: unknown) => error)
    await untilBlocked(1)
    await queues.removeQueue(poolB, to.name)
    await unlock()
    if (createQueues) {
      t.match(await acking, [{ outcome: 'acked', then: [{ queue: to.name }] }])
      t.equal((await queues.reportQueue(poolB, to.name))!.counts.ready, 1)
      t.equal((await rowsOf(to.id)).length, 0)
    } else {
      t.match(await acking, { code: 'queueNotFound', faults: [{ pointer: '/then/0' }] })
      t.match(await rowsOf(from.id), [{ state: 'leased' }])
    }
    await conserved(t, from.id)
  }
})

t.test('a target that has just got an order on another replica takes the message in its line', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from, 1)
  const broker = brokerOn(poolA)
  await leaseBy(broker, to.name) // it has seen the queue without an order
  await queues.putQueue(poolB, to.name, { ordering: 'group' })
  const ack = completion(from, held!, to)
  ack.then[0]!.message.group = 'ada'
  t.match(await complete(broker, from, ack), [{ outcome: 'acked', then: [{ queue: to.name }] }])
  t.match(await rowsOf(to.id), [{ state: 'ready' }])
  const { rows } = await blocker.query('select line from holdfast.messages where queue_id = $1', [to.id])
  t.strictSame(rows, [{ line: 'ada' }])
  for (const { id } of [from, to]) await conserved(t, id)
})

t.test('of acks in one commit, those that come too late enqueue nothing', async t => {
  const [from, to] = [await queue(), await queue()]
  const messages = await leased(from, 3)
  await ack(poolB, from.id, [messages[1]!])
  const broker = brokerOn(poolA)
  const outcomes = (
    await Promise.all([
      complete(broker, from, completion(from, messages[0]!, to), completion(from, messages[1]!, to, to)),
      complete(broker, from, completion(from, messages[2]!, to, to))
    ])
  ).flat()
  const ids = (await rowsOf(to.id)).map(({ id }) => id).sort()
  t.strictSame(outcomes, [
    { outcome: 'acked', then: [{ queue: to.name, id: ids[0] }] },
    { outcome: 'gone' },
    { outcome: 'acked', then: ids.slice(1).map(id => ({ queue: to.name, id })) }
  ])
  for (const { id } of [from, to]) await conserved(t, id)
})

t.test('a target that fills up meanwhile refuses the ack, and nothing is acked or stored', async t => {
  const [from, to, other] = [await queue(), await queue({ maxDepth: 1 }), await queue()]
  const [held, free] = await leased(from, 2)
  const broker = brokerOn(poolA)
  const unlock = await lock(held!.id)
  const refused = complete(broker, from, completion(from, held!, other, to)).catch((error: unknown) => error)
  const done = complete(broker, from, completion(from, free!, other))
  await untilBlocked(1)
  await enqueue(to.id, 1)
  await unlock()
  t.match(await refused, { code: 'queueFull', faults: [{ pointer: '/then/1' }] })
  t.match(await done, [{ outcome: 'acked', then: [{ queue: other.name }] }])
  t.match(await rowsOf(from.id), [{ id: held!.id, state: 'leased' }])
  t.equal((await rowsOf(other.id)).length, 1, 'only the other call has stored')
  for (const { id } of [from, to, other]) await conserved(t, id)
})

t.test('acks from two queues into each other, with keys in opposite order, end', async t => {
  const pair = [await queue(), await queue()] as [Queue, Queue]
  const held = await Promise.all(pair.map(from => leased(from, 40)))
  const before = await deadlocks()
  const send = (pool: Database, side: 0 | 1) => {
    const broker = brokerOn(pool)
    const [from, to] = [pair[side], pair[1 - side]!]
    return held[side]!.map((lease, n) => {
      const ack = completion(from, lease, to, from)
      ack.then.forEach(({ message }, i) => {
        message.idempotencyKey = `k${side === i ? n : 39 - n}`
        message.body = '0'
      })
      return complete(broker, from, ack)
    })
  }
  const outcomes = (await Promise.all([...send(poolA, 0), ...send(poolB, 1)])).flat()
  t.equal(outcomes.filter(({ outcome }) => outcome === 'acked').length, 80)
  for (const { id } of pair) {
    t.equal((await rowsOf(id)).length, 40, 'each key stands for one message')
    await conserved(t, id)
  }
  t.comment(`${(await deadlocks()) - before} deadlocks`)
})
