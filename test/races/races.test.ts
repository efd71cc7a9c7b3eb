/**
 * Races, made with two real sessions and a third that holds what they race for. After each, the
 * ledger must equal the rows.
 */
import { answerBytesMax } from '../../src/core/limits.ts'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Broker } from '../../src/core/broker.ts'
import { QueueError } from '../../src/core/errors.ts'
import { type LeasedMessage } from '../../src/core/message.ts'
import { formatReceipt } from '../../src/core/receipt.ts'
import { Schedules } from '../../src/core/verbs/schedules.ts'
import type { Outcome } from '../../src/core/verbs/settle.ts'
import { Wakeups } from '../../src/core/engine/wakeups.ts'
import type { EnqueueRow, LeasedRow } from '../../src/core/ports.ts'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { isServerError } from '../../src/store/failures.ts'
import type { Statement } from '../../src/store/statement.ts'
import { openStore, sessionVerbs, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import * as bulk from '../../src/store/verbs/bulk.ts'
import * as messages from '../support/messages.ts'
import * as queues from '../../src/store/verbs/queues.ts'
import { startSweeper } from '../../src/store/upkeep/sweeper.ts'
import { freshDatabase } from '../support/postgres.ts'

let url: string
let one: Database
let two: Database
let blocker: pg.Client
let made = 0

t.before(async () => {
  url = (await freshDatabase(t)).url
  one = openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
  two = openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
  blocker = new pg.Client(url)
  await blocker.connect()
  t.teardown(async () => {
    await Promise.all([one.close(), two.close(), blocker.end()])
  })
})

async function queue(settings: object = {}): Promise<string> {
  const name = `race${++made}`
  await queues.putQueue(one, name, settings)
  return String((await one.query('select id from holdfast.queues where name = $1', [name]))[0]!.id)
}

const row = (queueId: string, key?: string, body = '1'): EnqueueRow => ({
  queueId,
  body,
  contentType: null,
  headers: undefined,
  priority: 4,
  delaySeconds: undefined,
  visibleAt: undefined,
  ttlSeconds: undefined,
  maxAttempts: undefined,
  idempotencyKey: key
})
const enqueue = (queueId: string, count: number) =>
  messages.enqueue(
    one,
    Array.from({ length: count }, () => row(queueId))
  )
const lease = async (database: Database, queueId: string, max: number, leaseSeconds: number | null = null) =>
  (
    await messages.lease(
      database,
      new ScanHints(),
      queueId,
      [{ max, leaseSeconds, worker: 'w', idempotencyKey: null }],
      answerBytesMax
    )
  ).rows
const held = (rows: LeasedRow[]) => rows.map(({ id, fence }) => ({ id, fence }))

/** Sweeps until nothing of the queue is overdue. */
async function sweep(...databases: Database[]): Promise<void> {
  const errors: unknown[] = []
  const sweepers = databases.map(database => {
    let swept = 0
    let done: () => void
    const finished = new Promise<void>(resolve => {
      done = resolve
    })
    const sweeper = startSweeper(database, {
      onReady: () => {},
      onCounted: () => {},
      waitingFor: () => [],
      onSwept: () => {
        if (++swept === 2) done()
      },
      onError: error => {
        errors.push(error)
      }
    })
    sweeper.dueAt(Date.now() + 20)
    return finished.then(() => sweeper.stop())
  })
  await Promise.all(sweepers)
  if (errors.length > 0) throw errors[0]
}

const expire = (queueId: string) =>
  one.query(
    "with m as (update holdfast.messages set leased_until = now() - interval '1 s' where queue_id = " +
      '$1 and leased_until is not null) update holdfast.leases set ends_at = now() - interval ' +
      "'1 s' where queue_id = $1",
    [queueId]
  )
const state = async (queueId: string) =>
  await one.query(
    'select id, fence, attempt, holdfast.state_of(visible_at, leased_until, dead_at) as state from ' +
      'holdfast.messages where queue_id = $1 order by id',
    [queueId]
  )

/** Until so many sessions wait for a lock. */
async function blocked(count: number): Promise<void> {
  for (;;) {
    const {
      rows: [{ n }]
    } = await blocker.query(
      "select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = " +
        'current_database()'
    )
    if (n >= count) return
  }
}

/** Conservation: the counts equal the rows, and all that was enqueued is accounted for. */
async function conserved(t: Test, queueId: string): Promise<void> {
  const [counted] = await one.query(
    `
    with sums as (
      select ready, delayed, leased, dead, acked, enqueued_total, acked_total, expired_total, purged_total from holdfast.counts where queue_id = $1
      union all select ready, delayed, leased, dead, acked, enqueued_total, acked_total, expired_total, purged_total from holdfast.ledger where queue_id = $1
    ) select sum(ready)::int as ready, sum(delayed)::int as delayed, sum(leased)::int as leased, sum(dead)::int as dead, sum(acked)::int as acked,
      (sum(enqueued_total) - sum(acked_total) - sum(expired_total) - sum(purged_total))::int as left from sums`,
    [queueId]
  )
  const rows = await state(queueId)
  const [kept] = await one.query('select count(*)::int as count from holdfast.acked where queue_id = $1', [
    queueId
  ])
  const count = (name: string) => rows.filter(one => one.state === name).length
  t.strictSame(
    counted,
    {
      ready: count('ready'),
      delayed: count('delayed'),
      leased: count('leased'),
      dead: count('dead'),
      acked: kept!.count,
      left: rows.length
    },
    'the ledger equals the rows'
  )
}

/** A replica without its front: the broker, its waiters and its sweeper. */
function replica(
  database: Database,
  createQueues = false,
  {
    answersFull = () => false,
    verbs = {}
  }: { answersFull?: () => boolean; verbs?: Partial<SessionVerbs> } = {}
) {
  const wakeups = new Wakeups(100)
  const scanHints = new ScanHints()
  const errors: unknown[] = []
  const onReady = (queueId: string, count: number, position: number) => {
    scanHints.lower(queueId, position)
    wakeups.wake(queueId, count)
  }
  const sweeper = startSweeper(database, {
    onReady,
    onCounted: (queueId, count) => {
      scanHints.suspect(queueId)
      wakeups.wake(queueId, count)
    },
    waitingFor: () => wakeups.waitedQueues(),
    onSwept: () => {},
    onError: error => {
      errors.push(error)
    }
  })
  const broker = new Broker(
    openStore(database, { ...sessionVerbs(scanHints), ...verbs }),
    wakeups,
    { onReady, onDue: timeMs => sweeper.dueAt(timeMs) },
    { createQueues, waitingBytesMax: 1e8, answersFull, isPoison: () => false }
  )
  return {
    broker,
    errors,
    stop: async () => {
      await broker.drained()
      await sweeper.stop()
    }
  }
}

const deadlocks = async () => {
  await blocker.query('select pg_stat_force_next_flush()')
  return (await blocker.query('select deadlocks from pg_stat_database where datname = current_database()'))
    .rows[0].deadlocks
}

t.test('two leases at once never share a message, and leave none', async t => {
  const id = await queue()
  await enqueue(id, 400)
  const batches = await Promise.all(Array.from({ length: 40 }, (_, i) => lease(i % 2 ? one : two, id, 10)))
  const ids = batches.flat().map(one => one.id)
  t.equal(new Set(ids).size, ids.length)
  t.equal(ids.length + (await lease(one, id, 400)).length, 400)
  await conserved(t, id)
})

t.test('a lease passes by what another one is taking, without waiting', async t => {
  const id = await queue()
  await enqueue(id, 2)
  await blocker.query('begin')
  const {
    rows: [{ id: locked }]
  } = await blocker.query(
    'select id from holdfast.messages where queue_id = $1 order by id limit 1 for update',
    [id]
  )
  const got = await lease(one, id, 5)
  t.equal(got.length, 1)
  t.not(got[0]!.id, locked)
  await blocker.query('rollback')
  t.strictSame(
    (await lease(two, id, 5)).map(one => one.id),
    [locked]
  )
  await conserved(t, id)
})

t.test('the limit is never overrun, whatever plan the server takes', async t => {
  const id = await queue()
  await enqueue(id, 400)
  const scans = ['enable_seqscan', 'enable_indexscan', 'enable_bitmapscan']
  const joins = ['enable_nestloop', 'enable_hashjoin', 'enable_mergejoin']
  for (const scan of scans) {
    for (const join of joins) {
      const client = new pg.Client(url)
      await client.connect()
      for (const setting of [...scans, ...joins]) {
        await client.query(`set ${setting} = ${setting === scan || setting === join ? 'on' : 'off'}`)
      }
      await client.query('set enable_material = off; set enable_memoize = off')
      const session = {
        query: async (statement: any, values?: unknown[]) =>
          (await client.query({ ...statement, values })).rows
      }
      await blocker.query('begin')
      await blocker.query(
        'select from holdfast.messages where queue_id = $1 and leased_until is null order by id ' +
          'limit 2 for update',
        [id]
      )
      t.equal(
        (
          await messages.lease(
            session,
            new ScanHints(),
            id,
            [{ max: 3, leaseSeconds: null, worker: 'w', idempotencyKey: null }],
            answerBytesMax
          )
        ).rows.length,
        3,
        `only ${scan} and ${join}`
      )
      await blocker.query('rollback')
      const [asked, at] = [
        [{ max: 3, leaseSeconds: null, worker: 'w', idempotencyKey: null }],
        new ScanHints()
      ]
      const both = await Promise.all([
        messages.lease(session, at, id, asked, answerBytesMax),
        lease(two, id, 3)
      ])
      t.equal(both[0].rows.length + both[1].length, 6)
      await client.end()
    }
  }
  t.equal((await state(id)).filter(one => one.state === 'leased').length, 81)
  await conserved(t, id)
})

t.test('a late ack after a new lease changes nothing, in whichever order they arrive', async t => {
  const id = await queue()
  await enqueue(id, 1)
  const late = await lease(one, id, 1)
  await expire(id)
  await sweep(one)
  const [{ fence: before }] = (await state(id)) as any
  t.equal(before, '1', 'a sweep does not touch the fence')
  const holder = await lease(two, id, 1)
  t.strictSame(await messages.ack(one, id, held(late)), [])
  t.strictSame((await messages.standings(one, id, [late[0]!.id])).get(late[0]!.id), {
    fence: '2',
    dead: false,
    acked: false
  })
  t.equal((await messages.ack(two, id, held(holder))).length, 1)
  await conserved(t, id)
})

t.test(
  'an ack that waits behind a lease of the same message finds the new fence and changes nothing',
  async t => {
    const id = await queue()
    await enqueue(id, 1)
    const late = await lease(one, id, 1)
    await blocker.query('begin')
    await blocker.query(
      'update holdfast.messages set fence = fence + 1, attempt = attempt + 1 where queue_id = $1',
      [id]
    )
    const acking = messages.ack(one, id, held(late))
    await blocked(1)
    await blocker.query('commit')
    t.strictSame(await acking, [])
    t.match(await state(id), [{ fence: '2' }])
  }
)

t.test('a sweep passes by a message whose ack is under way, and does not forget it', async t => {
  for (const end of ['commit', 'rollback']) {
    const id = await queue()
    await enqueue(id, 2)
    const [first] = await lease(one, id, 2)
    await expire(id)
    await blocker.query('begin')
    await blocker.query('delete from holdfast.messages where queue_id = $1 and id = $2', [id, first!.id])
    await blocker.query('insert into holdfast.ledger (queue_id, leased, acked_total) values ($1, -1, 1)', [
      id
    ])
    await sweep(two)
    t.match(await state(id), [{ id: first!.id, state: 'leased' }, { state: 'ready' }])
    await blocker.query(end)
    await one.query('update holdfast.leases set ends_at = now() where queue_id = $1', [id])
    await sweep(two)
    t.match(
      await state(id),
      end === 'commit' ? [{ state: 'ready' }] : [{ id: first!.id, state: 'ready' }, { state: 'ready' }],
      end
    )
    t.equal(
      (await one.query('select from holdfast.leases where queue_id = $1', [id])).length,
      0,
      'its row is gone'
    )
    await conserved(t, id)
  }
})

t.test('an ack before the sweep wins, and one between two sweeps too', async t => {
  const id = await queue()
  await enqueue(id, 2)
  const rows = await lease(one, id, 2)
  await expire(id)
  t.equal((await messages.ack(one, id, held(rows.slice(0, 1)))).length, 1)
  await sweep(two)
  t.match(await state(id), [{ id: rows[1]!.id, state: 'ready', attempt: 1 }])
  t.equal(
    (await messages.ack(one, id, held(rows.slice(1)))).length,
    1,
    'a receipt is good until its message is leased again'
  )
  await conserved(t, id)
})

t.test('an extended lease outlives the row that it came with, and ends in its own time', async t => {
  const id = await queue()
  await enqueue(id, 2)
  const rows = await lease(one, id, 2, 1)
  await messages.extend(
    one,
    id,
    held(rows.slice(0, 1)).map(one => ({ ...one, leaseSeconds: 1000 }))
  )
  await one.query('update holdfast.leases set ends_at = now() where queue_id = $1', [id])
  await one.query('update holdfast.messages set leased_until = now() where queue_id = $1 and id = $2', [
    id,
    rows[1]!.id
  ])
  await sweep(one)
  t.match(await state(id), [{ state: 'leased' }, { state: 'ready' }])
  await expire(id)
  await sweep(one)
  t.match(await state(id), [{ state: 'ready' }, { state: 'ready' }])
  await conserved(t, id)
})

t.test('two sweepers over thousands of expired leases count each expiry once', async t => {
  const id = await queue({ maxAttempts: 1 })
  const other = await queue({ maxAttempts: 2 })
  for (const queueId of [id, other]) {
    for (let i = 0; i < 3; i++) await enqueue(queueId, 1000)
    for (let i = 0; i < 30; i++) await lease(one, queueId, 100)
    await expire(queueId)
  }
  const startedMs = performance.now()
  await sweep(one, two)
  t.comment(`6000 expired leases swept in ${Math.round(performance.now() - startedMs)} ms`)
  t.ok((await state(id)).every(one => one.state === 'dead' && one.attempt === 1))
  t.ok((await state(other)).every(one => one.state === 'ready' && one.attempt === 1))
  const [counted] = await one.query(
    'select sum(lapsed_total)::int as lapsed, sum(dead_total)::int as died from (select queue_id, ' +
      'lapsed_total, dead_total from holdfast.counts union all select queue_id, lapsed_total, ' +
      'dead_total from holdfast.ledger) c where queue_id = $1',
    [id]
  )
  t.strictSame(counted, { lapsed: 3000, died: 3000 })
  t.equal((await one.query('select from holdfast.history where queue_id = $1', [id])).length, 3000)
  await conserved(t, id)
  await conserved(t, other)
})

t.test('batches that settle the same messages in opposite order do not deadlock', async t => {
  const id = await queue()
  await enqueue(id, 200)
  const rows = held(await lease(one, id, 200))
  const {
    rows: [{ deadlocks: before }]
  } = await blocker.query('select deadlocks from pg_stat_database where datname = current_database()')
  const work: Promise<unknown>[] = []
  for (let i = 0; i < 20; i++) {
    const [forth, back] = [[...rows], [...rows].reverse()]
    work.push(
      messages.extend(
        one,
        id,
        forth.map(one => ({ ...one, leaseSeconds: 60 }))
      ),
      messages.extend(
        two,
        id,
        back.map(one => ({ ...one, leaseSeconds: 90 }))
      )
    )
  }
  await Promise.all(work)
  const [acked, again] = await Promise.all([
    messages.ack(one, id, [...rows]),
    messages.ack(two, id, [...rows].reverse())
  ])
  t.equal(acked.length + again.length, 200, 'each message is acked once')
  await blocker.query('select pg_stat_force_next_flush()').catch(() => {})
  const {
    rows: [{ deadlocks: after }]
  } = await blocker.query('select deadlocks from pg_stat_database where datname = current_database()')
  t.equal(after, before)
  await conserved(t, id)
})

t.test('a list that holds two receipts of one message does not deadlock with another batch', async t => {
  const id = await queue()
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  await enqueue(id, 1)
  const [stale] = await lease(one, id, 1)
  await messages.release(one, id, held([stale!]))
  await enqueue(id, 1)
  const current = await lease(one, id, 2)
  const before = await deadlocks()
  await blocker.query('begin')
  await blocker.query('select from holdfast.messages where queue_id = $1 and id = $2 for update', [
    id,
    stale!.id
  ])
  const { broker, stop } = replica(one)
  const other = messages.extend(
    two,
    id,
    held(current).map(one => ({ ...one, leaseSeconds: 60 }))
  )
  await blocked(1)
  const acking = broker.settle(
    'ack',
    name,
    [stale!, ...current].map(({ id: message, fence }) => ({
      receipt: formatReceipt(name, { queueId: id, id: message, fence })
    })),
    () => ''
  )
  await blocked(2)
  await blocker.query('rollback')
  t.equal((await other).length, 2)
  t.match(await acking, [{ outcome: 'gone' }, { outcome: 'acked' }, { outcome: 'acked' }])
  t.equal(await deadlocks(), before)
  await stop()
  await conserved(t, id)
})

t.test(
  'two enqueues of one key at once store one message, also when the first has not committed',
  async t => {
    const id = await queue()
    await blocker.query('begin')
    const name = (await one.query('select name from holdfast.queues where id = $1', [id]))[0]!.name
    const {
      rows: [{ enqueue: first }]
    } = await blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { idempotencyKey: 'k' }])
    const second = messages.enqueue(one, [row(id, 'k')])
    await blocked(1)
    await blocker.query('commit')
    t.match(await second, [{ id: first, duplicate: true, mismatch: false }])
    await blocker.query('begin')
    await blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { idempotencyKey: 'undone' }])
    const third = messages.enqueue(one, [row(id, 'undone')])
    await blocked(1)
    await blocker.query('rollback')
    t.match(await third, [{ duplicate: false }], 'the key of a rolled-back enqueue is free')
    const both = await Promise.all([
      messages.enqueue(
        one,
        ['a', 'b', 'c'].map(key => row(id, key))
      ),
      messages.enqueue(
        two,
        ['c', 'b', 'a'].map(key => row(id, key))
      )
    ])
    t.strictSame(both[0].map(one => one!.id).sort(), both[1].map(one => one!.id).sort())
    t.equal((await state(id)).length, 5)
    await conserved(t, id)
  }
)

t.test(
  'a bad message takes no neighbour with it, and a flush that was split stores nothing twice',
  async t => {
    const id = await queue({ maxDepth: 1000 }) // such a queue has one lane for messages with keys and without
    const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
    const broker = new Broker(
      openStore(one, sessionVerbs(new ScanHints())),
      new Wakeups(1),
      { onReady: () => {}, onDue: () => {} },
      {
        createQueues: false,
        waitingBytesMax: 1e6,
        answersFull: () => false,
        isPoison: error => isServerError(error) && error.code.startsWith('22')
      }
    )
    const plain = (body: string) => broker.enqueue(name, [{ body, contentType: null }], false)
    // Past every check of a front: a time that PostgreSQL cannot read, under a key that makes it
    // go in a second round.
    const keyed = (visibleAt?: string) =>
      broker.enqueue(name, [{ body: '1', contentType: null, idempotencyKey: 'k', visibleAt }], false)
    await plain('0')
    const answers = await Promise.allSettled([
      plain('p'),
      keyed(),
      keyed('99999999-99-99'),
      broker.enqueue(name, [{ body: '7', contentType: null, idempotencyKey: 'other' }], false),
      broker.enqueue(
        name,
        ['8', '9'].map(body => ({ body, contentType: null, idempotencyKey: body })),
        true
      )
    ])
    t.strictSame(
      answers.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled']
    )
    t.equal((await state(id)).length, 6)
    const many = await Promise.allSettled(
      Array.from({ length: 63 }, (_, i) =>
        i === 31
          ? broker.enqueue(name, [{ body: '1', contentType: null, visibleAt: 'never' }], false)
          : plain(String(i))
      )
    )
    t.equal(many.filter(({ status }) => status === 'fulfilled').length, 62)
    t.equal((await state(id)).length, 68)
    await conserved(t, id)
  }
)

t.test('a message below a hint, whose notice was lost, is found by the next look from the start', async t => {
  const id = await queue()
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  let nowMs = 0
  const scanHints = new ScanHints(() => nowMs)
  const wakeups = new Wakeups(10)
  const broker = new Broker(
    openStore(one, sessionVerbs(scanHints)),
    wakeups,
    { onReady: () => {}, onDue: () => {} },
    { createQueues: false, waitingBytesMax: 1e6, answersFull: () => false, isPoison: () => false }
  )
  const take = async (waitSeconds = 0) =>
    (
      await broker.lease(
        name,
        { max: 1, waitSeconds, leaseSeconds: null, worker: 'w', idempotencyKey: null },
        [],
        AbortSignal.timeout(20_000)
      )
    ).messages.length
  const unheard = async () => {
    await enqueue(id, 1)
    scanHints.end(id, scanHints.begin(id), { rank: -1, position: NaN, exhausted: true, last: 1e9 })
  }
  t.equal(await take(), 0)
  await unheard()
  t.equal(await take(), 0, 'no look is due yet')
  nowMs += 6_000
  t.equal(await take(20), 1, 'the look wakes the one who waits')
  await unheard()
  t.equal(await take(), 0)
  scanHints.suspect(id)
  t.equal(await take(20), 1, 'a suspicion makes it due at once')
  // A look that has proved slow is made more rarely.
  t.ok(scanHints.takeLook(id) === false && (nowMs += 5_000) && scanHints.takeLook(id))
  nowMs += 200
  scanHints.looked(id, [])
  nowMs += 19_000
  t.notOk(scanHints.takeLook(id), 'a hundred times as long as it took')
  nowMs += 2_000
  t.ok(scanHints.takeLook(id))
})

t.test('what a failed scan had locked, and others have passed by, is looked for again', async t => {
  const scanHints = new ScanHints()
  const seen = (from: number) => {
    const scan = scanHints.begin('1')
    scanHints.end('1', scan, null)
    return t.ok(
      scan.from.every(one => one === from),
      `from ${from}`
    )
  }
  const exhausted = (last: number) => ({ rank: -1, position: NaN, exhausted: true, last })
  scanHints.end('1', scanHints.begin('1'), exhausted(100))
  const failing = scanHints.begin('1')
  scanHints.end('1', scanHints.begin('1'), exhausted(200))
  const underWay = scanHints.begin('1')
  seen(201)
  scanHints.fail('1', failing)
  seen(101)
  scanHints.end('1', underWay, exhausted(300))
  seen(101)
  scanHints.end('1', scanHints.begin('1'), exhausted(300))
  seen(301)
})

t.test('one lease key from two replicas at once is one set of messages and receipts', async t => {
  const id = await queue({ leaseSeconds: 60 })
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  await enqueue(id, 500)
  const replicas = [replica(one), replica(two)]
  const never = new AbortController().signal
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        replicas[i % 2]!.broker.lease(
          name,
          { max: 5, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey: `k${round}` },
          [],
          never
        )
      )
    )
    t.strictSame(
      new Set(
        answers.map(({ messages }) =>
          messages
            .map(({ receipt }) => receipt)
            .sort()
            .join()
        )
      ).size,
      1
    )
    t.equal(answers[0]!.messages.length, 5)
  }
  // The other one's whole lease between this one's look, which finds nothing, and its freeing of the key.
  const other = async () =>
    (
      await replicas[1]!.broker.lease(
        name,
        { max: 5, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey: 'between' },
        [],
        never
      )
    ).messages
  let first: Promise<LeasedMessage[]> | undefined
  const session = {
    query: async <Row>(statement: Statement<Row> | string, values?: unknown[]) => {
      const rows = await one.query(statement, values)
      await (first ??= other())
      return rows
    }
  }
  t.strictSame(await messages.leaseAgain(session, id, 'between'), [])
  t.strictSame(await other(), await first!)
  await Promise.all(replicas.map(one => one.stop()))
  t.equal((await state(id)).filter(one => one.state === 'leased').length, 55)
  await conserved(t, id)
})

t.test(
  'leases with keys share a flush with others, and each key brings its own messages again, from an ' +
    'empty queue too',
  async t => {
    const id = await queue({ leaseSeconds: 60 })
    const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
    await enqueue(id, 45)
    const { broker, stop } = replica(one)
    const never = new AbortController().signal
    const take = async (worker: string, idempotencyKey: string | null, receipts: string[] = []) =>
      await broker.lease(
        name,
        { max: 2, waitSeconds: 0, leaseSeconds: null, worker, idempotencyKey },
        receipts,
        never
      )
    const receiptsOf = ({ messages }: { messages: LeasedMessage[] }) => messages.map(({ receipt }) => receipt)
    const askers = Array.from({ length: 20 }, (_, i) => [`w${i}`, i % 4 === 0 ? null : `k${i}`] as const)
    const first = await Promise.all(askers.map(([worker, key]) => take(worker, key)))
    t.strictSame(
      first.map(({ messages }) => messages.length),
      askers.map(() => 2)
    )
    t.equal(new Set(first.flatMap(receiptsOf)).size, 40, 'nobody has what somebody else has')
    t.match(
      await one.query(
        'select count(distinct xmin::text)::int as commits, count(*)::int as rows from ' +
          'holdfast.leases where queue_id = $1',
        [id]
      ),
      [{ commits: 1, rows: 16 }],
      'one commit; one row for all without a key, and one for each key'
    )

    const acked = receiptsOf(first[0]!)
    const again = await Promise.all(
      [...askers.slice(1, 4), ...askers.slice(1, 4)].map(([worker, key], i) =>
        take(worker, key, i === 0 ? acked : [])
      )
    )
    t.strictSame(
      again.map(receiptsOf),
      [1, 2, 3, 1, 2, 3].map(i => receiptsOf(first[i]!)),
      'while there are others to lease'
    )
    t.strictSame(again[0]!.outcomes, [{ outcome: 'acked' }, { outcome: 'acked' }])
    t.equal(
      (await take('w', null)).messages.length +
        (await take('w', null)).messages.length +
        (await take('w', null)).messages.length,
      5,
      'which are still there'
    )
    t.strictSame(
      receiptsOf(await take('w7', 'k7', receiptsOf(first[4]!))),
      receiptsOf(first[7]!),
      'and when there are none'
    )

    await one.query("update holdfast.leases set ends_at = now() - interval '1 s' where queue_id = $1", [id])
    await one.query(
      "update holdfast.messages set leased_until = now() - interval '1 s' where queue_id = $1",
      [id]
    )
    await sweep(one)
    for (const i of [1, 8, 19]) {
      const [{ id: message }] = first[i]!.messages as [LeasedMessage]
      t.match(
        await one.query('select worker from holdfast.history where queue_id = $1 and message_id = $2', [
          id,
          message
        ]),
        [{ worker: `w${i}` }],
        'who held it'
      )
    }
    await stop()
    await conserved(t, id)
  }
)

t.test('whatever hinders a call whose key has been used, it is never told that there is nothing', async t => {
  const id = await queue({ leaseSeconds: 60 })
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  await enqueue(id, 5)
  let full = false
  let away = false
  const { broker, stop } = replica(one, false, {
    answersFull: () => full,
    verbs: {
      leaseAgain: async (...args) => {
        if (away) throw new QueueError('databaseUnavailable', 'away')
        return await messages.leaseAgain(...args)
      }
    }
  })
  const never = new AbortController().signal
  const take = async (idempotencyKey: string | null, receipts: string[] = []) =>
    (
      await broker.lease(
        name,
        { max: 1, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey },
        receipts,
        never
      )
    ).messages.map(({ receipt }) => receipt)
  const [first, ours, done] = [await take(null), await take('K'), await take(null)]
  t.equal((await take('L')).length, 1)
  const last = await Promise.all([take('M'), take('M'), take('M')])
  t.strictSame(last, [last[0], last[0], last[0]], 'the same key again in a flush that leaves the queue empty')
  t.equal(last[0]!.length, 1)

  full = true
  await t.rejects(
    take('K', first),
    { code: 'outcomeUnknown' },
    'callers have too much to read: the ack is done, the rest must be asked for again'
  )
  await t.rejects(take('K'), { code: 'overloaded' })
  full = false
  away = true
  await t.rejects(take('K', done), { code: 'outcomeUnknown' }, 'the database went away between the two')
  away = false
  t.strictSame(await take('K', done), ours)
  t.equal((await state(id)).length, 3, 'the acks were done')

  // A row in the way that has nothing to do with keys, as behind a sequence set too low: an error, at once.
  await queues.putQueue(one, name, { keepAckedSeconds: 60 })
  const [{ id: message, fence }] = (await lease(one, id, 1)).concat(
    (await one.query('select id, fence from holdfast.messages where queue_id = $1 limit 1', [id])) as any
  ) as any
  await one.query(
    'insert into holdfast.acked (id, enqueued_at, acked_at, keep_until, fence, queue_id, attempt, ' +
      "max_attempts, rank, body) values ($1, now(), now(), now(), 1, $2, 1, 1, 8, '1')",
    [message, id]
  )
  await broker.putQueue(name, {})
  await t.rejects(
    broker.settle(
      'ack',
      name,
      [{ receipt: formatReceipt(name, { queueId: id, id: message, fence }) }],
      () => ''
    ),
    { code: '23505' }
  )
  await one.query('delete from holdfast.acked where queue_id = $1', [id])
  await stop()
  await conserved(t, id)
})

t.test('what falls due has its turn beside any number of leases that end', async t => {
  const id = await queue()
  await one.query(
    'insert into holdfast.leases (id, ends_at, leased_at, queue_id, message_ids, fences, workers, ' +
      "holders) select nextval('holdfast.lease_ids'), now() - interval '1 s', now(), $1, " +
      "'{1}', '{1}', '{w}', '{1}' from generate_series(1, 150000)",
    [id]
  )
  await messages.enqueue(one, [{ ...row(id), delaySeconds: 0.01 }])
  const left = await new Promise<number>(resolve => {
    const sweeper = startSweeper(two, {
      onReady: async () => {
        resolve(
          Number(
            (await one.query('select count(*) from holdfast.leases where queue_id = $1', [id]))[0]!.count
          )
        )
      },
      onCounted: () => {},
      waitingFor: () => [],
      onSwept: () => {},
      onError: error => t.fail(String(error))
    })
    t.teardown(() => sweeper.stop())
  })
  t.ok(left > 0, `${left} of 150,000 were left`)
  const began = performance.now()
  while (
    (await one.query('select exists (select from holdfast.leases where queue_id = $1) as left', [id]))[0]!
      .left
  );
  t.comment(`swept up ${Math.round((left / (performance.now() - began)) * 1000)} a second`)
})

t.test(
  'of many who use and free one lease key at once, whoever is refused has been leased nothing; ' +
    'nobody else is refused',
  async t => {
    const id = await queue({ leaseSeconds: 60 })
    const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
    await enqueue(id, 300)
    const replicas = [replica(one), replica(two)]
    const never = new AbortController().signal
    let refused = 0
    const use = async (i: number, idempotencyKey: string | null) => {
      const { broker } = replicas[i % 2]!
      for (let n = 0; n < 5; n++) {
        try {
          const { messages } = await broker.lease(
            name,
            { max: 1, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey },
            [],
            never
          )
          t.equal(messages.length, 1)
          await broker.settle(
            'ack',
            name,
            messages.map(({ receipt }) => ({ receipt })),
            () => ''
          )
        } catch (error) {
          if (
            idempotencyKey === null ||
            !(error instanceof QueueError && error.code === 'overloaded' && error.outcome === 'none')
          ) {
            throw error
          }
          refused++
        }
      }
    }
    await Promise.all([
      ...Array.from({ length: 20 }, (_, i) => use(i, 'shared')),
      ...Array.from({ length: 10 }, (_, i) => use(i, null))
    ])
    t.comment(`${refused} of 100 refused`)
    await Promise.all(replicas.map(one => one.stop()))
    t.equal(
      (await state(id)).filter(one => one.state === 'leased').length,
      0,
      'what was leased has been told to somebody'
    )
    await conserved(t, id)
  }
)

t.test(
  'what another session leases or acks between the look of a mass action and its act is left alone, ' +
    'and not counted',
  async t => {
    const never = new AbortController().signal
    const all = { ids: null, where: null, limit: Infinity }
    const sessionOf = (client: pg.Client) =>
      ({
        query: async (statement: any, values?: unknown[]) =>
          (await client.query({ ...statement, values })).rows
      }) as Database
    type Act = (
      database: Database,
      id: string,
      ids: string[],
      count: (count: number) => void
    ) => Promise<void>
    const acts: Record<string, { from: 'ready' | 'delayed' | 'dead' | 'acked'; act: Act }> = {
      retry: {
        from: 'delayed',
        act: (database, id, _, count) => bulk.retry(database, id, all, never, count)
      },
      'retry by ids': {
        from: 'delayed',
        act: (database, id, ids, count) => bulk.retry(database, id, { ...all, ids }, never, count)
      },
      redrive: {
        from: 'dead',
        act: (database, id, _, count) => bulk.redrive(database, id, all, never, count)
      },
      purge: {
        from: 'ready',
        act: (database, id, _, count) => bulk.purge(database, id, 'ready', all, never, count)
      },
      'purge by ids': {
        from: 'ready',
        act: (database, id, ids, count) => bulk.purge(database, id, 'ready', { ...all, ids }, never, count)
      },
      'purge of dead ones': {
        from: 'dead',
        act: (database, id, _, count) => bulk.purge(database, id, 'dead', all, never, count)
      },
      'purge of acked ones': {
        from: 'acked',
        act: (database, id, _, count) => bulk.purge(database, id, 'acked', all, never, count)
      }
    }
    for (const [name, { from, act }] of Object.entries(acts)) {
      for (const when of ['before the act', 'while the act waits']) {
        const id = await queue({ keepAckedSeconds: 60 })
        const ids = (
          await messages.enqueue(
            one,
            Array.from({ length: 3 }, () => ({
              ...row(id),
              delaySeconds: from === 'delayed' ? 60 : undefined
            }))
          )
        ).map(one => one!.id)
        if (from === 'dead') {
          await messages.fail(
            one,
            id,
            held(await lease(one, id, 3)).map(one => ({
              ...one,
              reason: null,
              delaySeconds: null,
              dead: true
            }))
          )
        }
        if (from === 'acked') await messages.ack(one, id, held(await lease(one, id, 3)))

        /**
         * Another session's: the first message is leased, the second acked; of those that are
         * acked already the first two are removed.
         */
        let taken: LeasedRow[] = []
        const other = async (database: Database) => {
          const two = { ...all, ids: ids.slice(0, 2) }
          if (from === 'acked') for (const one of two.ids) await bulk.cancel(database, id, one)
          if (from === 'delayed') await bulk.retry(database, id, two, never, () => {})
          if (from === 'dead') await bulk.redrive(database, id, two, never, () => {})
          taken = await lease(database, id, 2)
          await messages.ack(database, id, held(taken.slice(1)))
        }
        let raced: Promise<unknown> | undefined
        const database: Database = {
          ...two,
          async query(statement, values) {
            const rows = await two.query(statement, values)
            if ((statement as Statement).name?.startsWith('look') && raced === undefined) {
              raced = Promise.resolve()
              if (when === 'before the act') await other(one)
              else {
                await blocker.query('begin')
                await other(sessionOf(blocker))
                raced = blocked(1).then(() => blocker.query('commit'))
              }
            }
            return rows
          }
        }
        let counted = 0
        await act(database, id, ids, count => {
          counted += count
        })
        await raced
        t.equal(counted, 1, `${name}, ${when}: only the third`)
        const third = name.startsWith('purge') ? [] : [{ id: ids[2], state: 'ready' }]
        t.match(await state(id), from === 'acked' ? [] : [{ id: ids[0], state: 'leased' }, ...third])
        if (from !== 'acked') {
          t.equal((await messages.ack(one, id, held(taken.slice(0, 1)))).length, 1, 'the lease holds')
        }
        await conserved(t, id)
      }
    }
  }
)

t.test('an enqueue into a queue that is deleted meanwhile is answered as not stored', async t => {
  const id = await queue()
  await one.query('delete from holdfast.queues where id = $1', [id])
  t.strictSame(await messages.enqueue(two, [row(id)]), [null])
  t.equal((await state(id)).length, 0)
})

t.test(
  'an enqueue that a delete of its queue overtakes leaves nothing behind, and the queue of the same ' +
    'name is another one',
  async t => {
    const id = await queue()
    const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
    await blocker.query('begin')
    await blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { idempotencyKey: 'slow' }])
    await queues.removeQueue(one, name)
    const chores = createMaintenance(two)
    await chores['remove-queues']()
    await blocker.query('commit')
    t.equal((await state(id)).length, 1, 'committed after the first clean-up')
    await chores['remove-queues']()
    for (const table of ['messages', 'idempotency_keys', 'ledger', 'counts', 'leases', 'history']) {
      t.strictSame(await one.query(`select from holdfast.${table} where queue_id = $1`, [id]), [], table)
    }

    // And under load: each enqueue is stored in the queue of before or in that of after, and none is refused.
    const replicas = [replica(one), replica(two)]
    await queues.putQueue(one, name, {})
    for (let round = 0; round < 20; round++) {
      const answers: Promise<unknown>[] = []
      for (const { broker } of replicas) {
        for (let i = 0; i < 10; i++) {
          answers.push(
            broker.enqueue(
              name,
              [{ body: '1', contentType: null, idempotencyKey: i % 2 ? undefined : `${round} ${i}` }],
              false
            )
          )
        }
      }
      await blocker.query('begin')
      await queues.removeQueue(
        {
          query: async (statement: any, values) =>
            (await blocker.query({ text: statement.text, values: values! })).rows
        },
        name
      )
      const [{ id: made }] = (
        await blocker.query('insert into holdfast.queues (name) values ($1) returning id', [name])
      ).rows
      await blocker.query('insert into holdfast.counts (queue_id) values ($1)', [made])
      await blocker.query('commit')
      t.strictSame(
        (await Promise.allSettled(answers)).filter(({ status }) => status === 'rejected'),
        []
      )
    }
    await Promise.all(replicas.map(one => one.stop()))
    const [{ id: last }] = (await one.query('select id from holdfast.queues where name = $1', [name])) as any
    await conserved(t, String(last))
    await chores['remove-queues']()
    t.strictSame(
      await one.query(
        'select queue_id from holdfast.messages m where not exists (select from holdfast.queues q ' +
          'where q.id = m.queue_id)'
      ),
      []
    )
  }
)

t.test('a queue made and deleted from all sides at once is there or not, and never half', async t => {
  const before = await deadlocks()
  const last = await queue()
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, i) =>
      i % 3
        ? queues.putQueue(i % 2 ? one : two, 'flicker', { maxAttempts: 1 + (i % 7) })
        : queues.removeQueue(i % 2 ? one : two, 'flicker')
    )
  )
  t.strictSame(
    results.filter(({ status }) => status === 'rejected'),
    []
  )
  t.equal(await deadlocks(), before)
  t.strictSame(
    await one.query(
      'select from holdfast.queues q full join holdfast.counts c on c.queue_id = q.id where ' +
        '(c.queue_id is null or q.id is null) and coalesce(q.id, c.queue_id) > $1',
      [last]
    ),
    []
  )
})

t.test(
  'no verb fails because another session deletes its queue before it, beside it, or all the time',
  async t => {
    const never = new AbortController().signal
    const all = { ids: null, where: null, limit: 1000 }
    const filter = { contains: '1', reason: null, enqueuedAfter: null, enqueuedBefore: null }
    const request = { max: 5, waitSeconds: 0, leaseSeconds: null, worker: 'w', idempotencyKey: null }
    const [here, there] = [replica(one, true), replica(two, true)]
    const schedulesOf = ({ broker }: typeof here) =>
      new Schedules(
        openStore(one, sessionVerbs(new ScanHints())),
        broker,
        { onReady: () => {}, onDue: () => {} },
        () => 4e12,
        { createQueues: true, onDue: () => {} }
      )
    type Held = { id: string; receipt: string }
    const verbs: Record<string, (broker: Broker, name: string, held: Held) => Promise<unknown>> = {
      enqueue: (broker, name) => broker.enqueue(name, [{ body: '1', contentType: null }], false),
      'enqueue with keys': (broker, name) =>
        broker.enqueue(
          name,
          ['a', 'b'].map(key => ({ body: '1', contentType: null, idempotencyKey: key })),
          true
        ),
      lease: (broker, name) => broker.lease(name, request, [], never),
      'lease with a key': (broker, name) =>
        broker.lease(name, { ...request, idempotencyKey: 'k' }, [], never),
      'lease and wait': (broker, name) => broker.lease(name, { ...request, waitSeconds: 0.1 }, [], never),
      'lease with an ack': (broker, name, { receipt }) => broker.lease(name, request, [receipt], never),
      ack: (broker, name, { receipt }) => broker.settle('ack', name, [{ receipt }], String),
      fail: (broker, name, { receipt }) => broker.settle('fail', name, [{ receipt }], String),
      extend: (broker, name, { receipt }) =>
        broker.settle('extend', name, [{ receipt, leaseSeconds: 9 }], String),
      release: (broker, name, { receipt }) => broker.settle('release', name, [{ receipt }], String),
      put: (broker, name) => broker.putQueue(name, { maxAttempts: 3 }),
      delete: (broker, name) => broker.deleteQueue(name),
      report: (broker, name) => broker.reportQueue(name),
      list: broker => broker.listQueues('', 100, { names: [], prefixes: [''] }),
      browse: (broker, name) => broker.browse(name, null, filter, '0', 10),
      message: (broker, name, { id }) => broker.message(name, id, 0.1, never),
      cancel: (broker, name, { id }) => broker.cancel(name, id),
      explain: (broker, name, { id }) => broker.explain(name, id),
      series: (broker, name) => broker.series(name),
      purge: (broker, name) => broker.purge(name, null, all, never),
      redrive: (broker, name) => broker.redrive(name, all, never),
      retry: (broker, name) => broker.retry(name, all, never),
      'dry run': (broker, name) => broker.countMatches(name, 'purge', null, all, never),
      'dry run with a filter': (broker, name) =>
        broker.countMatches(name, 'purge', null, { ...all, where: filter }, never),
      'schedule run': (broker, name) =>
        schedulesOf(broker === here.broker ? here : there).run(name, undefined, () => {})
    }
    const answerOf = (answer: Promise<unknown>) =>
      answer.then(
        () => 'served',
        error =>
          error instanceof QueueError && error.outcome === 'none' ? error.code : `failed: ${error.stack}`
      )
    const fine = ['served', 'queueNotFound', 'messageNotFound', 'messageLeased', 'ackedNotKept']
    /** A queue with a message in every state, that this replica has just seen. */
    const furnish = async (name: string): Promise<Held> => {
      const { broker } = here
      await broker.putQueue(name, { keepAckedSeconds: 60, maxDepth: 100 })
      await schedulesOf(here).put(name, { queue: name, cron: '0 0 1 1 *', body: '1' }, () => {})
      await broker.enqueue(
        name,
        [undefined, undefined, undefined, undefined, 60].map(delaySeconds => ({
          body: '1',
          contentType: null,
          delaySeconds
        })),
        true
      )
      const {
        messages: [held, dead, acked]
      } = await broker.lease(name, { ...request, max: 3 }, [], never)
      await broker.settle('fail', name, [{ receipt: dead!.receipt, dead: true, reason: '1' }], String)
      await broker.settle('ack', name, [{ receipt: acked!.receipt }], String)
      return held!
    }

    for (const [verb, call] of Object.entries(verbs)) {
      const [before, beside] = [`race${++made}`, `race${++made}`]
      const gone = await furnish(before)
      await there.broker.deleteQueue(before)
      const late = await answerOf(call(here.broker, before, gone))
      t.ok(fine.includes(late), `${verb} after: ${late}`)
      if (verb.startsWith('dry run')) t.equal(late, 'queueNotFound', `${verb}: there is nothing to count`)

      const held = await furnish(beside)
      await blocker.query('begin')
      await queues.removeQueue(
        {
          query: async (statement: any, values) =>
            (await blocker.query({ text: statement.text, values: values! })).rows
        },
        beside
      )
      const over = new AbortController()
      const answer = answerOf(call(here.broker, beside, held)).finally(() => over.abort())
      while (
        !over.signal.aborted &&
        (
          await blocker.query(
            "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
          )
        ).rowCount === 0
      );
      await blocker.query('commit')
      t.ok(fine.includes(await answer), `${verb} beside: ${await answer}`)
    }

    let held = await furnish('flicker')
    const answers = new Map<string, number>()
    const untilMs = performance.now() + 2000
    const caller = async (index: number) => {
      for (let i = index; performance.now() < untilMs; i++) {
        const { broker } = i % 2 ? here : there
        const verb =
          i % 8 === 0
            ? 'delete'
            : i % 4 === 0
              ? 'put'
              : Object.keys(verbs)[Math.floor(Math.random() * Object.keys(verbs).length)]!
        const answer = await answerOf(verbs[verb]!(broker, 'flicker', held))
        const told = fine.includes(answer) ? answer : `${verb}: ${answer}`
        answers.set(told, (answers.get(told) ?? 0) + 1)
        if (i % 40 === 1) {
          held = (await broker.lease('flicker', request, [], never).catch(() => null))?.messages[0] ?? held
        }
      }
    }
    await Promise.all(Array.from({ length: 12 }, (_, index) => caller(index)))
    await Promise.all([here.stop(), there.stop()])
    t.comment(Object.fromEntries(answers))
    t.strictSame(
      [...answers.keys()].filter(answer => !fine.includes(answer)),
      [],
      'made and deleted all the time'
    )
    t.ok(answers.get('served')! > 0 && answers.get('queueNotFound')! > 0)
    t.strictSame([...here.errors, ...there.errors], [])
  }
)

t.test('the fold and those who count see each row of the ledger once', async t => {
  const id = await queue()
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  const counting = new AbortController()
  const folding = (async () => {
    while (!counting.signal.aborted) await sweep(one, two)
  })()
  for (let i = 1; i <= 60; i++) {
    await enqueue(id, 5)
    t.equal((await queues.reportQueue(two, name))!.counts.ready, i * 5)
  }
  counting.abort()
  await folding
  await conserved(t, id)
})

t.test('whatever two replicas do to one queue at once, nothing is lost, doubled, or deadlocked', async t => {
  const id = await queue({
    leaseSeconds: 0.02,
    maxAttempts: 3,
    keepAckedSeconds: 60,
    retry: { strategy: 'fixed', delaySeconds: 0.02 }
  })
  const [{ name }] = (await one.query('select name from holdfast.queues where id = $1', [id])) as any
  const replicas = [replica(one), replica(two)]
  const before = await deadlocks()
  const leases = new Set<string>()
  const twice: string[] = []
  const acked: string[] = []
  const refused: unknown[] = []
  const known: string[] = []
  const never = new AbortController().signal
  const pick = <T>(from: T[]): T => from[Math.floor(Math.random() * from.length)]!
  const pointer = () => ''
  const untilMs = performance.now() + 3000
  const caller = async (index: number) => {
    const { broker } = replicas[index % 2]!
    let receipts: string[] = []
    const noteAcks = (some: string[], outcomes: Outcome[]) => {
      acked.push(
        ...some.filter((_, i) => outcomes[i]!.outcome === 'acked').map(receipt => receipt.split('.')[1]!)
      )
      receipts = receipts.filter(receipt => !some.includes(receipt))
    }
    while (performance.now() < untilMs) {
      const some = receipts.filter(() => Math.random() < 0.7).sort(() => Math.random() - 0.5)
      const work: (() => Promise<unknown>)[] = [
        async () => {
          const list = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, (_, i) => ({
            body: String(i),
            contentType: null,
            priority: pick([4, 4, 9]),
            delaySeconds: pick([undefined, undefined, 0.03]),
            ttlSeconds: pick([undefined, undefined, undefined, 0.1]),
            idempotencyKey: pick([undefined, `${index} ${Math.random()}`])
          }))
          for (const { id, duplicate } of await broker.enqueue(name, list, true)) {
            if (!duplicate) known.push(id)
          }
        },
        async () => {
          const acks = pick([[], some])
          const leased = await broker.lease(
            name,
            {
              max: 30,
              waitSeconds: 0,
              leaseSeconds: pick([null, 5]),
              worker: 'w',
              idempotencyKey: pick([null, null, String(Math.random())])
            },
            acks,
            never
          )
          noteAcks(acks, leased.outcomes)
          for (const { id, fence, receipt } of leased.messages) {
            if (leases.has(`${id} ${fence}`)) twice.push(`${id} ${fence}`)
            leases.add(`${id} ${fence}`)
            receipts.push(receipt)
          }
          receipts = receipts.slice(-60)
        },
        async () => {
          noteAcks(
            some,
            await broker.settle(
              'ack',
              name,
              some.map(receipt => ({ receipt })),
              pointer
            )
          )
        },
        () =>
          broker.settle(
            'fail',
            name,
            some.map(receipt => ({ receipt, delaySeconds: pick([0, 0.02]), dead: Math.random() < 0.1 })),
            pointer
          ),
        () =>
          broker.settle(
            'release',
            name,
            some.map(receipt => ({ receipt })),
            pointer
          ),
        () =>
          broker.settle(
            'extend',
            name,
            some.map(receipt => ({ receipt, leaseSeconds: pick([0.01, 1]) })),
            pointer
          ),
        () => broker.redrive(name, { ids: null, where: null, limit: 20 }, never),
        async () => {
          if (Math.random() < 0.1) {
            await broker.purge(
              name,
              pick(['dead', 'delayed', 'ready', null] as const),
              { ids: null, where: null, limit: Infinity },
              never
            )
          }
        },
        () =>
          known.length > 0
            ? broker.cancel(name, pick(known)).catch(error => {
                if (!['messageLeased', 'messageNotFound'].includes(error.code)) throw error
              })
            : Promise.resolve()
      ]
      await pick([...work.slice(0, 3), ...work])!().catch(error => refused.push(error))
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, index) => caller(index)))
  await Promise.all(replicas.map(one => one.stop()))
  t.strictSame([...refused, ...replicas.flatMap(({ errors }) => errors)], [])
  t.strictSame(twice, [], 'no lease is given twice')
  t.equal(new Set(acked).size, acked.length, 'no message is acked by two receipts')
  t.equal(await deadlocks(), before)
  t.comment(`${known.length} enqueued, ${leases.size} leases, ${acked.length} acks`)
  t.ok(acked.length > 100 && leases.size > 1000)
  await conserved(t, id)
})
