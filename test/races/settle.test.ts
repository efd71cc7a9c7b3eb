/** Settles that race with leases and with each other: an old fence changes nothing. */
import t from 'tap'
import {
  ack,
  blocker,
  brokerOn,
  conserved,
  deadlocks,
  enqueue,
  expire,
  extend,
  lease,
  messages,
  poolA,
  poolB,
  queue,
  receiptOf,
  release,
  replica,
  rowsOf,
  sweep,
  untilBlocked
} from './setup.ts'
import { standingVerbs } from '../../src/store/verbs/standings.ts'
import { tester } from '../support/callers.ts'

t.test('a late ack after a new lease changes nothing, whichever order they arrive in', async t => {
  const { id } = await queue()
  await enqueue(id, 1)
  const late = await lease(poolA, id, 1)
  await expire(id)
  await sweep(poolA)
  t.match(await rowsOf(id), [{ fence: '1' }], 'a sweep does not touch the fence')
  const current = await lease(poolB, id, 1)
  t.strictSame((await ack(poolA, id, late)).rows, [])
  t.strictSame(
    await messages.standings(poolA, id, [late[0]!.id]),
    new Map([[late[0]!.id, { fence: '2', dead: false, acked: false }]])
  )
  t.equal((await ack(poolB, id, current)).rows.length, 1)
  await conserved(t, id)
})

t.test(
  'an ack that waits behind a lease of its message finds the new fence, and changes nothing',
  async t => {
    const { id } = await queue()
    await enqueue(id, 1)
    const late = await lease(poolA, id, 1)
    await blocker.query('begin')
    await blocker.query(
      `
    update holdfast.messages
    set fence = fence + 1, attempt = attempt + 1
    where queue_id = $1`,
      [id]
    )
    const acking = ack(poolA, id, late)
    await untilBlocked(1)
    await blocker.query('commit')
    t.strictSame((await acking).rows, [])
    t.match(await rowsOf(id), [{ fence: '2' }])
  }
)

t.test('batches that settle the same messages in opposite order do not deadlock', async t => {
  const { id } = await queue()
  await enqueue(id, 200)
  const leases = await lease(poolA, id, 200)
  const reversed = [...leases].reverse()
  const before = await deadlocks()
  await Promise.all(
    Array.from({ length: 20 }, () => [extend(poolA, id, leases, 60), extend(poolB, id, reversed, 90)]).flat()
  )
  const acked = await Promise.all([ack(poolA, id, leases), ack(poolB, id, reversed)])
  t.equal(acked.flatMap(({ rows }) => rows).length, 200, 'each message is acked once')
  t.equal(await deadlocks(), before)
  await conserved(t, id)
})

t.test('a list with two receipts of one message does not deadlock with another batch', async t => {
  const { id, name } = await queue()
  await enqueue(id, 1)
  const [stale] = await lease(poolA, id, 1)
  await release(poolA, id, [stale!])
  await enqueue(id, 1)
  const current = await lease(poolA, id, 2)
  const before = await deadlocks()
  await blocker.query('begin')
  await blocker.query('select from holdfast.messages where queue_id = $1 and id = $2 for update', [
    id,
    stale!.id
  ])
  const { broker, stop } = replica(poolA)
  const extending = extend(poolB, id, current, 60)
  await untilBlocked(1)
  const acking = broker.settle(
    tester,
    name,
    'ack',
    [stale!, ...current].map(lease => ({ receipt: receiptOf({ id, name }, lease) })),
    String
  )
  await untilBlocked(2)
  await blocker.query('rollback')
  t.equal((await extending).rows.length, 2)
  t.match(await acking, [{ outcome: 'gone' }, { outcome: 'acked' }, { outcome: 'acked' }])
  t.equal(await deadlocks(), before)
  await stop()
  await conserved(t, id)
})

t.test('receipts of one message under a thousand fences take no more statements than one', async t => {
  const { id, name } = await queue()
  await enqueue(id, 2)
  const [first, second] = await lease(poolA, id, 2)
  let statements = 0
  const counting =
    <Args extends unknown[], Answer>(verb: (...args: Args) => Answer) =>
    (...args: Args) => {
      statements++
      return verb(...args)
    }
  const { ack, extend } = messages.settleVerbs
  const { lockMessages, standings } = standingVerbs
  const broker = brokerOn(poolA, {
    verbs: {
      ack: counting(ack),
      extend: counting(extend),
      lockMessages: counting(lockMessages),
      standings: counting(standings)
    }
  })
  // Whoever may lease can make receipts up: they are no secrets.
  const madeUp = Array.from({ length: 998 }, (_, i) => ({ id: first!.id, fence: String(i + 2) }))
  const receipts = [...madeUp, first!, second!].map(held => receiptOf({ id, name }, held))
  const settle = async (verb: 'ack' | 'extend') => {
    const settlements = receipts.map(receipt => ({ receipt, leaseSeconds: 60 }))
    const outcomes = await broker.settle(tester, name, verb, settlements, String)
    return outcomes.map(({ outcome }) => outcome)
  }
  const lost = madeUp.map(() => 'leaseLost')
  t.strictSame(await settle('extend'), [...lost, 'extended', 'extended'])
  t.strictSame(await settle('ack'), [...lost.map(() => 'gone'), 'acked', 'acked'])
  t.equal(statements, 8)
  await conserved(t, id)
})
