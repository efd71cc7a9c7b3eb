/** Limits of a queue, against sessions that lease, settle and change settings at once. */
import { QueueError } from '../../src/core/errors.ts'
import { answerBytesMax } from '../../src/core/limits.ts'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { followerVerbs } from '../../src/store/verbs/followers.ts'
import { tester } from '../support/callers.ts'
import {
  ack,
  blocker,
  brokerOn,
  conserved,
  countOf,
  deadlocks,
  enqueue,
  lease,
  leaseBy,
  messages,
  poolA,
  poolB,
  queue,
  queues,
  receiptsOf,
  replica,
  row,
  rowsOf,
  sessionOn,
  untilBlocked,
  type Database,
  type Session
} from './setup.ts'

const limited = { ordered: false, limited: true }

/** Leases as a replica does that knows of the limits. */
async function leaseInRoom(session: Session, queueId: string, max: number) {
  const ask = { max, leaseSeconds: 60, worker: 'w', idempotencyKey: null }
  const work = { asks: [ask], bytesMax: answerBytesMax, mode: limited }
  return await messages.lease(session, new ScanHints(), queueId, work)
}

t.test('a lease that waits for another one gets what that has left', async t => {
  const { id } = await queue({ maxLeased: 10, rate: { messages: 1, perSeconds: 1000, burst: 12 } })
  await enqueue(id, 20)
  await blocker.query('begin')
  const first = await leaseInRoom(sessionOn(blocker), id, 6)
  const waiting = leaseInRoom(poolA, id, 6)
  await untilBlocked(1)
  await blocker.query('commit')
  const second = await waiting
  t.strictSame([first.rows.length, second.rows.length], [6, 4])
  t.match(second.room, { places: 0 })
  await ack(poolA, id, first.rows)
  t.equal((await leaseInRoom(poolB, id, 6)).rows.length, 2, 'the rate allows two more')
  await conserved(t, id)
})

t.test('a lease that was rolled back takes nothing out of the limits', async t => {
  const { id } = await queue({ maxLeased: 5, rate: { messages: 1, perSeconds: 1000, burst: 5 } })
  await enqueue(id, 10)
  await blocker.query('begin')
  t.equal((await leaseInRoom(sessionOn(blocker), id, 5)).rows.length, 5)
  const waiting = leaseInRoom(poolA, id, 5)
  await untilBlocked(1)
  await blocker.query('rollback')
  t.equal((await waiting).rows.length, 5)
})

t.test('a replica that has not heard of the limits keeps them', async t => {
  const { id, name } = await queue({ ordering: 'queue' })
  await enqueue(id, 1)
  await queues.putQueue(poolA, name, { maxLeased: 2 })
  const ordered = await queue({ ordering: 'group', maxLeased: 1 })
  const row = (group: string) => ({
    queueId: ordered.id,
    body: '1',
    contentType: null,
    priority: 4,
    defaults: null,
    lined: true,
    group,
    marks: { group }
  })
  await messages.enqueue(poolA, [row('a'), row('a')] as never)
  const [head] = await lease(poolA, ordered.id, 5)
  t.ok(head)
  t.equal((await lease(poolB, ordered.id, 5)).length, 0)
  const heads = [{ ...head!, ask: 0 }]
  for (const inRoom of [false, true]) {
    const more = { heads, wanted: [4], bytesMax: 1e6, limited: inRoom }
    t.strictSame(await followerVerbs.leaseFollowers(poolA, ordered.id, more), [])
  }
  const plain = await queue({ maxLeased: 3 })
  await enqueue(plain.id, 10)
  t.equal((await lease(poolA, plain.id, 5)).length, 3)
  t.equal((await lease(poolB, plain.id, 5)).length, 0)
})

t.test('limits that are changed while messages are leased count all of them', async t => {
  const { id, name } = await queue({ maxLeased: 100 })
  await enqueue(id, 50)
  await leaseInRoom(poolA, id, 3)
  await queues.putQueue(poolA, name, { maxLeased: null })
  await lease(poolB, id, 10)
  await queues.putQueue(poolA, name, { maxLeased: 15 })
  t.equal((await leaseInRoom(poolA, id, 20)).rows.length, 2)
  await queues.putQueue(poolA, name, { maxLeased: null, rate: { messages: 5, perSeconds: 1000 } })
  t.equal((await leaseInRoom(poolA, id, 20)).rows.length, 5)
  await queues.putQueue(poolA, name, { rate: { messages: 7, perSeconds: 1000 } })
  t.equal((await leaseInRoom(poolA, id, 20)).rows.length, 0, 'a changed rate does not fill its bucket')
  await queues.putQueue(poolA, name, { rate: null })
  await queues.putQueue(poolA, name, { rate: { messages: 7, perSeconds: 1000 } })
  t.equal((await leaseInRoom(poolA, id, 20)).rows.length, 7, 'a new one starts full')
})

/** A replica whose attempts to lease are counted. */
function counting(database: Database) {
  let attempts = 0
  const counted = replica(database, {
    verbs: {
      lease: (session, ...args) => {
        attempts++
        return messages.lease(session, new ScanHints(), ...args)
      }
    }
  })
  return { ...counted, attempts: () => attempts }
}

t.test('one caller is woken for each free place, and none by messages while all are taken', async t => {
  const { id, name } = await queue({ maxLeased: 2 })
  const { broker, attempts, stop } = counting(poolA)
  const put = (count: number) =>
    broker.enqueue(
      tester,
      name,
      Array<{ body: string; contentType: null }>(count).fill({ body: '1', contentType: null }),
      true
    )
  await put(20)
  let held = receiptsOf((await leaseBy(broker, name, { max: 2 })).messages)
  const given: number[] = []
  const waiting = Array.from({ length: 10 }, async () => {
    const { messages } = await leaseBy(broker, name, { waitSeconds: 30 })
    given.push(messages.length)
    held.push(...receiptsOf(messages))
  })
  while (attempts() < 2) await pause(1)
  await pause(20)
  const before = attempts()
  for (let n = 0; n < 20; n++) await put(1)
  t.equal(attempts(), before, 'ready messages wake nobody')
  const [first, second] = held
  held = []
  await broker.settle(tester, name, 'ack', [{ receipt: first! }], () => '')
  while (given.length < 1) await pause(1)
  await pause(20)
  t.strictSame(given, [1])
  t.ok(attempts() <= before + 2, `${attempts() - before} attempts for one place`)
  await broker.settle(tester, name, 'ack', [{ receipt: second! }], () => '')
  while (given.length < 10) {
    const receipts = held.splice(0)
    if (receipts.length === 0) await pause(1)
    else {
      await broker.settle(
        tester,
        name,
        'ack',
        receipts.map(receipt => ({ receipt })),
        () => ''
      )
    }
  }
  await Promise.all(waiting)
  await stop()
  await conserved(t, id)
})

t.test('while a rate is used up nobody asks, and who waits is woken when a lease is due', async t => {
  const { name } = await queue({ rate: { messages: 2, perSeconds: 1, burst: 1 } })
  const replicas = [counting(poolA), counting(poolB)]
  const { broker } = replicas[0]!
  const put = () => broker.enqueue(tester, name, [{ body: '1', contentType: null }], false)
  for (let n = 0; n < 10; n++) await put()
  await leaseBy(broker, name)
  const startedMs = performance.now()
  const givenMs: number[] = []
  const waiting = Array.from({ length: 6 }, async (_, n) => {
    await leaseBy(replicas[n % 2]!.broker, name, { waitSeconds: 30 })
    givenMs.push(performance.now() - startedMs)
  })
  await pause(50)
  const before = replicas.map(({ attempts }) => attempts())
  for (let n = 0; n < 100; n++) await put()
  await Promise.all(waiting)
  const attempts = replicas.map(({ attempts }, index) => attempts() - before[index]!)
  t.comment(`given after ${givenMs.map(Math.round).join(', ')} ms, with ${attempts.join(' and ')} attempts`)
  t.ok(givenMs[5]! > 2950 && givenMs[5]! < 3600)
  t.ok(
    attempts.every(count => count <= 16),
    `${attempts.join(' and ')} attempts for six leases in three seconds`
  )
  await Promise.all(replicas.map(({ stop }) => stop()))
})

/** Looks at the queue again and again, and answers the most messages that it saw leased. */
async function watch(id: string, signal: AbortSignal): Promise<number> {
  let most = 0
  while (!signal.aborted) most = Math.max(most, await countOf(id, 'leased'))
  return most
}

async function crowd(t: Test, settings: object, work: object[]): Promise<void> {
  const { id, name } = await queue({ maxLeased: 7, leaseSeconds: 60, ...settings })
  const replicas = [replica(poolA), replica(poolB)]
  const done = new AbortController()
  const watching = watch(id, done.signal)
  const { broker } = replicas[0]!
  for (let n = 0; n < 4; n++) await broker.enqueue(tester, name, work as never, true)
  let left = 4 * work.length
  const consume = async (n: number) => {
    const { broker } = replicas[n % 2]!
    for (let acks: string[] = []; left > 0 || acks.length > 0;) {
      const idempotencyKey = n % 3 === 0 ? `${n} ${left} ${Math.random()}` : null
      const { messages } = await leaseBy(
        broker,
        name,
        { max: 1 + (n % 4), waitSeconds: 0.2, idempotencyKey },
        acks
      )
      acks = receiptsOf(messages)
      left -= acks.length
      const verb = (['ack', 'release', 'fail'] as const)[Math.floor(Math.random() * 6)]
      if (verb === undefined || acks.length === 0) continue
      if (verb !== 'ack') left += acks.length
      const settlements = acks.splice(0).map(receipt => ({ receipt, delaySeconds: 0 }))
      await broker.settle(tester, name, verb, settlements, () => '')
    }
  }
  await Promise.all(Array.from({ length: 16 }, (_, n) => consume(n)))
  done.abort()
  const most = await watching
  t.ok(most <= 7, `at most ${most} were leased`)
  t.ok(most >= 5, `the limit was used: ${most}`)
  t.strictSame(await rowsOf(id), [])
  await Promise.all(replicas.map(({ stop }) => stop()))
  await conserved(t, id)
}

t.test('a crowd at two replicas never holds more than maxLeased', async t => {
  await crowd(
    t,
    { maxAttempts: null, retry: { delaySeconds: 0 } },
    Array(50).fill({ body: '1', contentType: null })
  )
})

t.test('nor does it in an ordered queue, whose leases take followers', async t => {
  const work = Array.from({ length: 60 }, (_, n) => ({ body: '1', contentType: null, group: `g${n % 9}` }))
  await crowd(t, { ordering: 'group', maxAttempts: null }, work)
})

t.test('a limit per group that ends while a message is acked leaves no count behind', async t => {
  const { id, name } = await queue({ maxLeasedPerGroup: 2 })
  await messages.enqueue(
    poolA,
    [1, 2, 3].map(() => ({ ...row(id), lined: true }))
  )
  const { rows } = await leaseInRoom(poolA, id, 1)
  await blocker.query('begin')
  await ack(sessionOn(blocker), id, rows)
  const ending = queues.putQueue(poolB, name, { maxLeasedPerGroup: null })
  await untilBlocked(1)
  await blocker.query('commit')
  await ending
  const lines = await poolA.query({
    name: 'lines_of',
    text: `select leased from holdfast.lines where queue_id = ${id}`
  })
  t.strictSame(lines, [{ leased: 0 }])
  await conserved(t, id)
})

const inGroups = (queueId: string, groups: string[]) =>
  groups.map(group => ({ ...row(queueId), group, lined: true }))

t.test('an ack and a lease of one call do not deadlock with an enqueue to several groups', async t => {
  const { id, name } = await queue({ maxLeasedPerGroup: 1 })
  const { broker, stop } = replica(poolA)
  await messages.enqueue(poolA, inGroups(id, ['m', 'z']))
  const [, z] = receiptsOf((await leaseBy(broker, name, { max: 2 })).messages)
  await messages.enqueue(poolA, inGroups(id, ['a']))
  const before = await deadlocks()
  await blocker.query('begin')
  await blocker.query("select from holdfast.lines where queue_id = $1 and line = 'm' for update", [id])
  // The enqueue has locked a, and waits for m. It wants z last.
  const enqueueing = messages.enqueue(poolB, inGroups(id, ['a', 'm', 'z']))
  await untilBlocked(1)
  // The call acks the message of z. Then it leases that of a, and waits for a.
  const calling = leaseBy(broker, name, {}, [z!])
  await untilBlocked(2)
  await blocker.query('commit')
  t.equal((await enqueueing).length, 3)
  t.match((await calling).outcomes, [{ outcome: 'acked' }])
  t.equal(await deadlocks(), before)
  await stop()
})

t.test('acks are told where the lease of the same call fails, under limits per group too', async t => {
  const { id, name } = await queue({ maxLeasedPerGroup: 1 })
  const failing = replica(poolA, {
    verbs: {
      lease: () => Promise.reject(new QueueError('overloaded', 'as a full store says'))
    }
  })
  const { broker, stop } = replica(poolA)
  await messages.enqueue(poolA, inGroups(id, ['a', 'b']))
  const [a, b] = receiptsOf((await leaseBy(broker, name, { max: 2 })).messages)
  t.match(await leaseBy(failing.broker, name, {}, [a!]), { messages: [], outcomes: [{ outcome: 'acked' }] })
  const keyed = leaseBy(failing.broker, name, { idempotencyKey: 'k' }, [b!])
  await t.rejects(keyed, { code: 'outcomeUnknown' }, 'messages may be leased under the key')
  t.equal(await countOf(id, 'leased'), 0)
  await Promise.all([stop(), failing.stop()])
})

t.test(
  'acks are told where a bug keeps the lease of the same call away, and the bug is reported',
  async t => {
    const { id, name } = await queue({ maxLeasedPerGroup: 1 })
    const bug = new TypeError('a bug')
    const reported: unknown[] = []
    const broker = brokerOn(poolA, {
      verbs: { lease: () => Promise.reject(bug) },
      options: { onError: error => reported.push(error) }
    })
    await messages.enqueue(poolA, inGroups(id, ['a']))
    const { broker: working, stop } = replica(poolA)
    const receipts = receiptsOf((await leaseBy(working, name)).messages)
    t.match(await leaseBy(broker, name, {}, receipts), { messages: [], outcomes: [{ outcome: 'acked' }] })
    t.strictSame(reported, [bug])
    await stop()
  }
)
