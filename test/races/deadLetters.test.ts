/** Deaths that move messages, and redrives, beside other sessions that change the same things. */
import t, { type Test } from 'tap'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import {
  ack,
  blocker,
  brokerOn,
  bury,
  conserved,
  deadlocks,
  enqueue,
  expire,
  idOf,
  lease,
  leaseBy,
  never,
  pace,
  newName,
  poolA,
  poolB,
  queue,
  queues,
  receiptOf,
  redrive,
  replica,
  rowsOf,
  sessionOn,
  sweep,
  untilBlocked,
  type Database
} from './setup.ts'
import { tester } from '../support/callers.ts'

const everything = { ids: null, where: null, limit: Infinity }
const redriveOn = (database: Database, queueId: string, to: string | null = null) =>
  redrive(database, queueId, { selection: everything, to, ...pace }, () => {})

/** A queue with messages that are leased, and its dead-letter queue, which exists. */
async function pair(count: number) {
  const target = await queue()
  const source = await queue({ deadLetterQueue: target.name })
  await enqueue(source.id, count)
  return { source, target, leased: await lease(poolA, source.id, count) }
}

/** Each message is in exactly one queue, and that queue is there. */
async function nothingLost(t: Test, ids: string[]): Promise<void> {
  const rows = await poolA.query<{ id: string }>(
    `
    select m.id
    from holdfast.messages m
    join holdfast.queues q on q.id = m.queue_id
    where m.id = any($1::bigint[])
    order by m.id`,
    [ids]
  )
  t.strictSame(
    rows.map(({ id }) => id),
    ids
  )
}

for (const outcome of ['committed', 'rolled back'] as const) {
  t.test(`a death waits for the delete of its target, which is ${outcome}`, async t => {
    const { source, target, leased } = await pair(3)
    await blocker.query('begin')
    await queues.removeQueue(sessionOn(blocker), target.name)
    const dying = bury(poolB, source.id, leased)
    await untilBlocked(1)
    await blocker.query(outcome === 'committed' ? 'commit' : 'rollback')
    t.match((await dying).rows, [
      { movedTo: target.name },
      { movedTo: target.name },
      { movedTo: target.name }
    ])
    const id = await idOf(target.name)
    t.equal(id !== target.id, outcome === 'committed', 'made anew if it is gone')
    await createMaintenance(poolA)['remove-queues']()
    await nothingLost(
      t,
      leased.map(({ id }) => id)
    )
    await conserved(t, source.id)
    await conserved(t, id)
  })
}

t.test('a delete of the target waits for a death, and takes what has arrived', async t => {
  const { source, target, leased } = await pair(1)
  await blocker.query('begin')
  await bury(sessionOn(blocker) as Database, source.id, leased)
  const deleted = queues.removeQueue(poolB, target.name)
  await untilBlocked(1)
  await blocker.query('commit')
  await deleted
  t.strictSame(await rowsOf(source.id), [])
  await conserved(t, source.id)
})

t.test('two deaths make a missing target once', async t => {
  const name = newName()
  const sources = [await queue({ deadLetterQueue: name }), await queue({ deadLetterQueue: name })]
  const leases = []
  for (const { id } of sources) {
    await enqueue(id, 2)
    leases.push(await lease(poolA, id, 2))
  }
  await blocker.query('begin')
  await bury(sessionOn(blocker) as Database, sources[0]!.id, leases[0]!)
  const second = bury(poolB, sources[1]!.id, leases[1]!)
  await untilBlocked(1)
  await blocker.query('commit')
  await second
  const id = await idOf(name)
  t.equal((await rowsOf(id)).length, 4)
  await conserved(t, id)
})

t.test('of two sessions that set the halves of a circle at once, one is refused', async t => {
  for (const length of [2, 3]) {
    const chain: { id: string; name: string }[] = []
    for (let i = 0; i < length; i++) chain.push(await queue())
    const next = (i: number) => ({ deadLetterQueue: chain[(i + 1) % length]!.name })
    for (let i = 2; i < length; i++) await queues.putQueue(poolA, chain[i]!.name, next(i))
    await blocker.query('begin')
    await blocker.query(`select from holdfast.queues where id = $1 for update`, [chain[0]!.id])
    const first = queues.putQueue(poolA, chain[0]!.name, next(0))
    await untilBlocked(1)
    const second = queues.putQueue(poolB, chain[1]!.name, next(1))
    await untilBlocked(2)
    // The second one may be refused before the commit is answered here.
    const settled = Promise.allSettled([first, second])
    await blocker.query('commit')
    const [one, other] = await settled
    t.equal(one!.status, 'fulfilled')
    t.match(other, { status: 'rejected', reason: { code: 'invalidRequest' } })
  }
})

t.test('a fail sent twice at once moves once, and a late ack finds nothing', async t => {
  const { source, target, leased } = await pair(1)
  await blocker.query('begin')
  await blocker.query('select from holdfast.messages where queue_id = $1 for update', [source.id])
  const fails = [bury(poolA, source.id, leased), bury(poolB, source.id, leased)]
  await untilBlocked(2)
  const late = ack(poolA, source.id, leased)
  await untilBlocked(3)
  await blocker.query('commit')
  const changed = (await Promise.all(fails)).flatMap(({ rows }) => rows).length + (await late).rows.length
  t.equal(changed, 1, 'one of the three changed it')
  await conserved(t, source.id)
  await conserved(t, target.id)
  t.strictSame((await ack(poolB, source.id, leased)).rows, [])
})

t.test('one flush with a fail that moves a message and older receipts of it', async t => {
  const { source, target, leased } = await pair(2)
  const broker = brokerOn(poolA)
  const settle = (verb: 'fail' | 'ack', index: number) =>
    broker.settle(
      tester,
      source.name,
      verb,
      [{ receipt: receiptOf(source, leased[index]!), dead: true }],
      () => '/receipt'
    )
  const answers = await Promise.all([settle('fail', 0), settle('fail', 0), settle('fail', 1)])
  t.match(answers, [[{ movedTo: target.name }], [{ movedTo: target.name }], [{ movedTo: target.name }]])
  t.strictSame(await settle('ack', 0), [{ outcome: 'gone' }])
  t.strictSame(await settle('fail', 1), [{ outcome: 'gone' }])
  await conserved(t, target.id)
})

t.test('sweepers side by side move each message once', async t => {
  const target = await queue()
  const source = await queue({ deadLetterQueue: target.name, maxAttempts: 1 })
  await enqueue(source.id, 400)
  for (let i = 0; i < 8; i++) await lease(poolA, source.id, 50)
  await expire(source.id)
  await sweep(poolA, poolB)
  t.strictSame(await rowsOf(source.id), [])
  t.equal((await rowsOf(target.id)).length, 400)
  await conserved(t, source.id)
  await conserved(t, target.id)
})

t.test('a redrive leaves what another session leases meanwhile', async t => {
  const { source, target, leased } = await pair(3)
  await bury(poolA, source.id, leased)
  await blocker.query('begin')
  const [held] = await lease(sessionOn(blocker), target.id, 1)
  const redriven = redriveOn(poolB, target.id)
  await untilBlocked(1)
  await blocker.query('commit')
  await redriven
  t.match(await rowsOf(target.id), [{ id: held!.id, state: 'leased' }])
  t.equal((await rowsOf(source.id)).length, 2)
  t.equal((await ack(poolA, target.id, [held!])).rows.length, 1, 'the lease holds')
  await conserved(t, source.id)
  await conserved(t, target.id)
})

t.test('a lease finds nothing of what a redrive moves meanwhile', async t => {
  const { source, target, leased } = await pair(3)
  await bury(poolA, source.id, leased)
  await blocker.query('begin')
  await redriveOn(sessionOn(blocker) as Database, target.id)
  t.strictSame(await lease(poolB, target.id, 3), [])
  await blocker.query('commit')
  t.strictSame(await lease(poolB, target.id, 3), [])
  const again = await lease(poolB, source.id, 3)
  t.equal(again.length, 3)
  t.strictSame((await ack(poolA, source.id, leased)).rows, [], 'receipts from before the death hold nothing')
  t.equal((await ack(poolA, source.id, again)).rows.length, 3)
})

t.test('two redrives at once send each message home once', async t => {
  const { source, target, leased } = await pair(200)
  await bury(poolA, source.id, leased)
  await Promise.all([redriveOn(poolA, target.id), redriveOn(poolB, target.id)])
  t.equal((await rowsOf(source.id)).length, 200)
  await conserved(t, source.id)
  await conserved(t, target.id)
})

t.test('deaths, redrives, leases, acks and deletes at once lose and double nothing', async t => {
  const before = await deadlocks()
  const name = newName()
  const source = await queue({ deadLetterQueue: name, maxAttempts: 1 })
  const count = 3000
  for (let i = 0; i < count; i += 1000) await enqueue(source.id, 1000)
  const acked = new Set<string>()
  const replicas = [replica(poolA), replica(poolB)]
  await Promise.all(
    replicas.map(async ({ broker }, n) => {
      while (acked.size < count) {
        const { messages } = await leaseBy(broker, source.name, { max: 50 })
        // Every other one dies, however often it comes back.
        const dying = messages.filter((_, i) => i % 2 === n)
        const settle = (verb: 'ack' | 'fail', some: typeof messages) =>
          broker.settle(
            tester,
            source.name,
            verb,
            some.map(({ receipt }) => ({ receipt })),
            () => ''
          )
        if (dying.length > 0) await settle('fail', dying)
        const done = messages.filter(message => !dying.includes(message))
        if (done.length > 0) await settle('ack', done)
        for (const { id } of done) {
          if (acked.has(id)) t.fail(`${id} was acked twice`)
          acked.add(id)
        }
        await broker
          .redrive(tester, name, { selection: everything, to: null, signal: never })
          .catch((error: { code?: string }) => {
            if (error.code !== 'queueNotFound') throw error
          })
      }
    })
  )
  await Promise.all(replicas.map(({ stop }) => stop()))
  t.strictSame(
    replicas.flatMap(({ errors }) => errors),
    []
  )
  t.equal(acked.size, count)
  await conserved(t, source.id)
  await conserved(t, await idOf(name))
  t.equal((await deadlocks()) - before, 0, 'without a deadlock')
})
