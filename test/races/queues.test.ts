/** Queues that are made and deleted while others use them. */
import { openStore, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import t from 'tap'
import { everything } from '../../src/core/message.ts'
import type { Broker } from '../../src/core/broker.ts'
import { QueueError } from '../../src/core/errors.ts'
import { everyQueue } from '../../src/core/queue.ts'
import { Schedules } from '../../src/core/verbs/schedules.ts'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import {
  blockedSessions,
  blocker,
  conserved,
  deadlocks,
  idOf,
  messages,
  never,
  newName,
  poolA,
  poolB,
  queue,
  queues,
  replica,
  row,
  rowsOf,
  sessionOn,
  type Replica
} from './setup.ts'
import { callerNamed, tester } from '../support/callers.ts'

t.test('an enqueue into a queue that is deleted meanwhile is answered as not stored', async t => {
  const { id } = await queue()
  await poolA.query('delete from holdfast.queues where id = $1', [id])
  t.strictSame(await messages.enqueue(poolB, [row(id)]), [null])
  t.equal((await rowsOf(id)).length, 0)
})

t.test('an enqueue that a delete of its queue overtakes leaves nothing behind', async t => {
  const { id, name } = await queue()
  await blocker.query('begin')
  await blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { idempotencyKey: 'slow' }])
  await queues.removeQueue(poolA, name)
  const maintenance = createMaintenance(poolB)
  await maintenance['remove-queues']()
  await blocker.query('commit')
  t.equal((await rowsOf(id)).length, 1, 'committed after the first clean-up')
  await maintenance['remove-queues']()
  for (const table of ['messages', 'idempotency_keys', 'ledger', 'counts', 'leases', 'history']) {
    t.strictSame(await poolA.query(`select from holdfast.${table} where queue_id = $1`, [id]), [], table)
  }
})

t.test('while a queue is deleted and made anew, each enqueue is stored in one of the two', async t => {
  const { name } = await queue()
  const replicas = [replica(poolA), replica(poolB)]
  for (let round = 0; round < 20; round++) {
    const answers = replicas.flatMap(({ broker }) =>
      Array.from({ length: 10 }, (_, i) => {
        const idempotencyKey = i % 2 ? undefined : `${round} ${i}`
        return broker.enqueue(tester, name, [{ body: '1', contentType: null, idempotencyKey }], false)
      })
    )
    await blocker.query('begin')
    await queues.removeQueue(sessionOn(blocker), name)
    const made = await blocker.query('insert into holdfast.queues (name) values ($1) returning id', [name])
    await blocker.query('insert into holdfast.counts (queue_id) values ($1)', [made.rows[0].id])
    await blocker.query('commit')
    const refused = (await Promise.allSettled(answers)).filter(({ status }) => status === 'rejected')
    t.strictSame(refused, [])
  }
  await Promise.all(replicas.map(({ stop }) => stop()))
  await conserved(t, await idOf(name))
  await createMaintenance(poolB)['remove-queues']()
  t.strictSame(
    await poolA.query(`
      select queue_id
      from holdfast.messages m
      where not exists (select from holdfast.queues q where q.id = m.queue_id)`),
    []
  )
})

t.test('a queue made and deleted from all sides at once is there or not, never half', async t => {
  const before = await deadlocks()
  const { id: last } = await queue()
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, i) => {
      const pool = i % 2 ? poolA : poolB
      return i % 3
        ? queues.putQueue(pool, 'half', { maxAttempts: 1 + (i % 7) })
        : queues.removeQueue(pool, 'half')
    })
  )
  t.strictSame(
    results.filter(({ status }) => status === 'rejected'),
    []
  )
  t.equal(await deadlocks(), before)
  t.strictSame(
    await poolA.query(
      `
      select from holdfast.queues q
      full join holdfast.counts c on c.queue_id = q.id
      where (c.queue_id is null or q.id is null) and coalesce(q.id, c.queue_id) > $1`,
      [last]
    ),
    []
  )
})

t.test('an enqueue that makes queues is stored, however often its queue is deleted meanwhile', async t => {
  const name = newName()
  let enqueues = 0
  let finds = 0
  const verbs: Partial<SessionVerbs> = {
    async enqueue(session, rows) {
      if (enqueues++ < 20) await queues.removeQueue(poolB, name)
      return await messages.enqueue(session, rows)
    },
    async findQueue(session, name) {
      if (finds++ < 400 && finds % 20 !== 0) await queues.removeQueue(poolB, name)
      return await queues.findQueue(session, name)
    }
  }
  const { broker, stop } = replica(poolA, { verbs, options: { createQueues: true } })
  const [stored] = await broker.enqueue(tester, name, [{ body: '1', contentType: null }], false)
  t.match(await rowsOf(await idOf(name)), [{ id: stored!.id }])
  await stop()
})

t.test('no verb fails because another session deletes its queue', async t => {
  const filter = { contains: '1', reason: null, enqueuedAfter: null, enqueuedBefore: null, group: null }
  const all = { state: null, selection: everything }
  const filtered = { state: null, selection: { ...everything, where: filter } }
  const request = { max: 5, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey: null }
  const options = { createQueues: true }
  const [here, there] = [replica(poolA, { options }), replica(poolB, { options })]
  const schedulesOf = ({ broker }: Replica) =>
    new Schedules(openStore(poolA, new ScanHints()), broker, () => 4e12, {
      schedulesMax: Infinity,
      schedulesPerQueueMax: Infinity,
      onDue: () => {}
    })
  const anyone = { caller: tester, key: null, permit: () => {} }
  type Lease = { id: string; receipt: string }
  const verbs: Record<string, (broker: Broker, name: string, lease: Lease) => Promise<unknown>> = {
    enqueue: (broker, name) => broker.enqueue(tester, name, [{ body: '1', contentType: null }], false),
    'enqueue with keys': (broker, name) =>
      broker.enqueue(
        tester,
        name,
        ['a', 'b'].map(key => ({ body: '1', contentType: null, idempotencyKey: key })),
        true
      ),
    lease: (broker, name) => broker.lease(tester, name, request, [], () => never),
    'lease with a key': (broker, name) =>
      broker.lease(tester, name, { ...request, idempotencyKey: 'k' }, [], () => never),
    'lease and wait': (broker, name) =>
      broker.lease(tester, name, { ...request, waitSeconds: 0.1 }, [], () => never),
    'lease with an ack': (broker, name, { receipt }) =>
      broker.lease(tester, name, request, [receipt], () => never),
    ack: (broker, name, { receipt }) => broker.settle(tester, name, 'ack', [{ receipt }], String),
    fail: (broker, name, { receipt }) => broker.settle(tester, name, 'fail', [{ receipt }], String),
    extend: (broker, name, { receipt }) =>
      broker.settle(tester, name, 'extend', [{ receipt, leaseSeconds: 9 }], String),
    release: (broker, name, { receipt }) => broker.settle(tester, name, 'release', [{ receipt }], String),
    put: (broker, name) => broker.putQueue(tester, name, { maxAttempts: 3 }),
    delete: (broker, name) => broker.deleteQueue(tester, name),
    report: (broker, name) => broker.reportQueue(tester, name),
    list: broker => broker.listQueues(tester, { after: '', limit: 100, scope: everyQueue }),
    names: broker => broker.listQueueNames(tester, { after: '', limit: 100, scope: everyQueue }),
    browse: (broker, name) =>
      broker.browse(tester, name, { state: null, where: filter, after: '0', limit: 10 }),
    message: (broker, name, { id }) => broker.message(tester, name, id, { seconds: 0.1, signal: never }),
    cancel: (broker, name, { id }) => broker.cancel(tester, name, id),
    explain: (broker, name, { id }) => broker.explain(tester, name, id),
    series: (broker, name) => broker.series(tester, name),
    purge: (broker, name) => broker.bulk(tester, name, { ...all, action: 'purge' }, never),
    redrive: (broker, name) =>
      broker.redrive(tester, name, { selection: everything, to: null, signal: never }),
    retry: (broker, name) => broker.bulk(tester, name, { ...all, action: 'retry' }, never),
    'dry run': (broker, name) => broker.countMatches(tester, name, { ...all, action: 'purge' }, never),
    'dry run with a filter': (broker, name) =>
      broker.countMatches(tester, name, { ...filtered, action: 'purge' }, never),
    'schedule run': (broker, name) =>
      schedulesOf(broker === here.broker ? here : there).run(name, undefined, anyone)
  }
  const answerOf = (answer: Promise<unknown>) =>
    answer.then(
      () => 'served',
      error =>
        error instanceof QueueError && error.outcome === 'none' ? error.code : `failed: ${error.stack}`
    )
  const allowed = ['served', 'queueNotFound', 'messageNotFound', 'messageLeased', 'ackedNotKept']
  /** A queue with a message in every state, which `here` has just seen. Returns a lease of one. */
  const furnish = async (name: string): Promise<Lease> => {
    const { broker } = here
    await broker.putQueue(tester, name, { keepAckedSeconds: 60, maxDepth: 100 })
    await schedulesOf(here).put(name, { queue: name, cron: '0 0 1 1 *', body: '1' }, anyone)
    const delays = [undefined, undefined, undefined, undefined, 60]
    await broker.enqueue(
      tester,
      name,
      delays.map(delaySeconds => ({ body: '1', contentType: null, delaySeconds })),
      true
    )
    const leased = await broker.lease(tester, name, { ...request, max: 3 }, [], () => never)
    const [held, dead, acked] = leased.messages
    await broker.settle(tester, name, 'fail', [{ receipt: dead!.receipt, dead: true, reason: '1' }], String)
    await broker.settle(tester, name, 'ack', [{ receipt: acked!.receipt }], String)
    return held!
  }

  await t.test('before it begins, or while it waits', async t => {
    for (const [verb, call] of Object.entries(verbs)) {
      const gone = newName()
      const leaseOfGone = await furnish(gone)
      await there.broker.deleteQueue(tester, gone)
      const late = await answerOf(call(here.broker, gone, leaseOfGone))
      t.ok(allowed.includes(late), `${verb} after the delete: ${late}`)
      if (verb.startsWith('dry run')) t.equal(late, 'queueNotFound', `${verb}: there is nothing to count`)

      const going = newName()
      const leaseOfGoing = await furnish(going)
      await blocker.query('begin')
      await queues.removeQueue(sessionOn(blocker), going)
      const answered = new AbortController()
      const answer = answerOf(call(here.broker, going, leaseOfGoing)).finally(() => answered.abort())
      while (!answered.signal.aborted && (await blockedSessions()) === 0);
      await blocker.query('commit')
      t.ok(allowed.includes(await answer), `${verb} beside the delete: ${await answer}`)
    }
  })

  await t.test('again and again, while others make it', async t => {
    let lease = await furnish('flicker')
    const answers = new Map<string, number>()
    const untilMs = performance.now() + 2000
    const names = Object.keys(verbs)
    const caller = async (index: number) => {
      for (let i = index; performance.now() < untilMs; i++) {
        const { broker } = i % 2 ? here : there
        let verb = names[Math.floor(Math.random() * names.length)]!
        if (i % 4 === 0) verb = i % 8 === 0 ? 'delete' : 'put'
        const answer = await answerOf(verbs[verb]!(broker, 'flicker', lease))
        const shown = allowed.includes(answer) ? answer : `${verb}: ${answer}`
        answers.set(shown, (answers.get(shown) ?? 0) + 1)
        if (i % 40 === 1) {
          const leased = await broker.lease(tester, 'flicker', request, [], () => never).catch(() => null)
          lease = leased?.messages[0] ?? lease
        }
      }
    }
    await Promise.all(Array.from({ length: 12 }, (_, index) => caller(index)))
    t.comment(Object.fromEntries(answers))
    t.strictSame(
      [...answers.keys()].filter(answer => !allowed.includes(answer)),
      []
    )
    t.ok(answers.get('served')! > 0 && answers.get('queueNotFound')! > 0)
  })

  await Promise.all([here.stop(), there.stop()])
  t.strictSame([...here.errors, ...there.errors], [])
})

t.test('changes of order and removals of empty queues leave everybody else their time', async t => {
  const [mine, theirs] = [callerNamed('mine'), callerNamed('theirs')]
  const [nuisance, neighbour] = [replica(poolA), replica(poolB)]
  const { name } = await queue()
  const work = [await queue(), await queue()]
  // A transaction that has written messages, as there always is one under load.
  await blocker.query('begin')
  await blocker.query('select holdfast.enqueue($1, $2)', [work[0]!.name, '1'])
  const untilMs = performance.now() + 1500
  const refusals: QueueError[] = []
  const again = async (step: (round: number) => Promise<unknown>) => {
    for (let round = 0; performance.now() < untilMs; round++) {
      await step(round).catch(error => refusals.push(error))
    }
  }
  const times: number[] = []
  await Promise.all([
    ...[1, 2].map(() =>
      again(round =>
        nuisance.broker.putQueue(mine, name, { ordering: round % 2 === 0 ? 'queue' : 'none' }, {})
      )
    ),
    again(() => nuisance.broker.deleteQueue(mine, name, true)),
    again(async () => {
      const startedMs = performance.now()
      await neighbour.broker.enqueue(theirs, work[1]!.name, [{ body: '1', contentType: null }], false)
      times.push(performance.now() - startedMs)
    })
  ])
  await blocker.query('commit')
  await Promise.all([nuisance.stop(), neighbour.stop()])
  const waitedMs = times.filter(ms => ms > 25).reduce((sum, ms) => sum + ms, 0)
  t.ok(waitedMs < 500, `of 1500 ms, enqueues waited for ${waitedMs.toFixed()} ms`)
  for (const { code, retryAfterSeconds } of refusals) {
    t.ok(code === 'overloaded' || (code === 'shareUsedUp' && retryAfterSeconds! > 0), code)
  }
})
