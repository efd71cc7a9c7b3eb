/** The sweeper against acks, extended leases, other sweepers and those who count. */
import t, { type Test } from 'tap'
import { sweepOtherLeases } from '../../src/store/upkeep/sweepLeases.ts'
import { startSweeper } from '../../src/store/upkeep/sweeper.ts'
import { resumeOtherLines } from '../../src/store/upkeep/resume.ts'
import { exposeOthers } from '../../src/store/upkeep/sweeps.ts'
import {
  ack,
  blocker,
  conserved,
  enqueue,
  expire,
  extend,
  lease,
  messages,
  poolA,
  poolB,
  queue,
  queues,
  row,
  rowsOf,
  sweep
} from './setup.ts'
import { pollPause } from '../support/pollPause.ts'

t.test('a sweep skips a message whose ack is under way, and does not forget it', async t => {
  for (const end of ['commit', 'rollback']) {
    const { id } = await queue()
    await enqueue(id, 2)
    const [acked] = await lease(poolA, id, 2)
    await expire(id)
    await blocker.query('begin')
    await blocker.query('delete from holdfast.messages where queue_id = $1 and id = $2', [id, acked!.id])
    await blocker.query('insert into holdfast.ledger (queue_id, leased, acked_total) values ($1, -1, 1)', [
      id
    ])
    await sweep(poolB)
    t.match(await rowsOf(id), [{ id: acked!.id, state: 'leased' }, { state: 'ready' }])
    await blocker.query(end)
    await poolA.query('update holdfast.leases set ends_at = now() where queue_id = $1', [id])
    await sweep(poolB)
    t.match(
      await rowsOf(id),
      end === 'commit' ? [{ state: 'ready' }] : [{ id: acked!.id, state: 'ready' }, { state: 'ready' }],
      end
    )
    t.equal(
      (await poolA.query('select from holdfast.leases where queue_id = $1', [id])).length,
      0,
      'the row of the lease is gone'
    )
    await conserved(t, id)
  }
})

t.test('an ack before the sweep wins, and one between two sweeps too', async t => {
  const { id } = await queue()
  await enqueue(id, 2)
  const [first, second] = await lease(poolA, id, 2)
  await expire(id)
  t.equal((await ack(poolA, id, [first!])).rows.length, 1)
  await sweep(poolB)
  t.match(await rowsOf(id), [{ id: second!.id, state: 'ready', attempt: 1 }])
  t.equal(
    (await ack(poolA, id, [second!])).rows.length,
    1,
    'a receipt is good until its message is leased again'
  )
  await conserved(t, id)
})

t.test('an extended lease outlives the row of leases it came with, and ends in its own time', async t => {
  const { id } = await queue()
  await enqueue(id, 2)
  const [extended, other] = await lease(poolA, id, 2, { leaseSeconds: 1 })
  await extend(poolA, id, [extended!], 1000)
  await poolA.query('update holdfast.leases set ends_at = now() where queue_id = $1', [id])
  await poolA.query('update holdfast.messages set leased_until = now() where queue_id = $1 and id = $2', [
    id,
    other!.id
  ])
  await sweep(poolA)
  t.match(await rowsOf(id), [{ state: 'leased' }, { state: 'ready' }])
  await expire(id)
  await sweep(poolA)
  t.match(await rowsOf(id), [{ state: 'ready' }, { state: 'ready' }])
  await conserved(t, id)
})

t.test('two sweepers over thousands of expired leases count each expiry once', async t => {
  const { id } = await queue({ maxAttempts: 1 })
  const { id: retried } = await queue({ maxAttempts: 2 })
  for (const queueId of [id, retried]) {
    for (let i = 0; i < 3; i++) await enqueue(queueId, 1000)
    for (let i = 0; i < 30; i++) await lease(poolA, queueId, 100)
    await expire(queueId)
  }
  const startedMs = performance.now()
  await sweep(poolA, poolB)
  t.comment(`6000 expired leases swept in ${Math.round(performance.now() - startedMs)} ms`)
  t.ok((await rowsOf(id)).every(({ state, attempt }) => state === 'dead' && attempt === 1))
  t.ok((await rowsOf(retried)).every(({ state, attempt }) => state === 'ready' && attempt === 1))
  const counted = await poolA.query(
    `
    select sum(lapsed_total)::int as lapsed, sum(dead_total)::int as died
    from (
      select queue_id, lapsed_total, dead_total from holdfast.counts
      union all
      select queue_id, lapsed_total, dead_total from holdfast.ledger
    ) c
    where queue_id = $1`,
    [id]
  )
  t.strictSame(counted, [{ lapsed: 3000, died: 3000 }])
  t.equal((await poolA.query('select from holdfast.history where queue_id = $1', [id])).length, 3000)
  await conserved(t, id)
  await conserved(t, retried)
})

/** A sweeper that goes on until the test ends. */
function startSweeping(t: Test, onReady = () => {}): void {
  const sweeper = startSweeper(poolB, {
    onReady,
    onFree: () => {},
    onCounted: () => {},
    waitingFor: () => [],
    onSwept: () => {},
    onError: error => t.fail(String(error))
  })
  t.teardown(() => sweeper.stop())
}

t.test('delayed messages come due beside any number of ending leases', async t => {
  const { id } = await queue()
  await poolA.query(
    `
    insert into holdfast.leases (id, ends_at, leased_at, queue_id, message_ids, fences, workers, holders)
    select nextval('holdfast.lease_ids'), now() - interval '1 s', now(), $1, '{1}', '{1}', '{w}', '{1}'
    from generate_series(1, 150000)`,
    [id]
  )
  await messages.enqueue(poolA, [{ ...row(id), delaySeconds: 0.01 }])
  const leftNow = async () => {
    const [row] = await poolA.query('select count(*)::int as left from holdfast.leases where queue_id = $1', [
      id
    ])
    return row!.left as number
  }
  const left = await new Promise<number>(resolve => {
    startSweeping(t, async () => resolve(await leftNow()))
  })
  t.ok(left > 0, `${left} of 150,000 were left`)
  const beganMs = performance.now()
  while ((await poolA.query('select from holdfast.leases where queue_id = $1 limit 1', [id])).length > 0) {
    await pollPause()
  }
  t.comment(`swept up ${Math.round((left / (performance.now() - beganMs)) * 1000)} a second`)
})

/** What ends at one instant, a second ago. */
const endings = {
  delay: {
    settings: {},
    ofOthers: exposeOthers,
    put: (queueId: string, count: number) =>
      poolA.query(
        `
        insert into holdfast.messages (id, position, enqueued_at, visible_at, queue_id, rank)
        select n, n, now(), date_trunc('second', now()) - interval '1 s', $1, 0
        from (select nextval('holdfast.positions') as n from generate_series(1, $2::int)) s`,
        [queueId, count]
      ),
    left: 'select count(visible_at)::int as left from holdfast.messages where queue_id = $1'
  },
  // Of one message each.
  lease: {
    settings: {},
    ofOthers: sweepOtherLeases,
    put: (queueId: string, count: number) =>
      poolA.query(
        `
        with leased as (
          insert into holdfast.messages
            (id, position, enqueued_at, leased_until, lease_id, fence, attempt, queue_id, rank)
          select n, n, now(), date_trunc('second', now()) - interval '1 s', n, 1, 1, $1, 0
          from (select nextval('holdfast.positions') as n from generate_series(1, $2::int)) s
          returning *
        )
        insert into holdfast.leases (id, ends_at, leased_at, queue_id, message_ids, fences, workers, holders)
        select lease_id, leased_until, now(), queue_id, array[id], array[fence], '{w}', '{1}'
        from leased`,
        [queueId, count]
      ),
    left: 'select count(leased_until)::int as left from holdfast.messages where queue_id = $1'
  },
  // Of a group in which nothing waits, so it is forgotten.
  'used-up rate': {
    settings: { ratePerGroup: { messages: 1, perSeconds: 1 } },
    ofOthers: resumeOtherLines,
    put: (queueId: string, count: number) =>
      poolA.query(
        `
        insert into holdfast.line_rates (queue_id, line, tokens, refilled_at, due_at)
        select $1, n, 0, now() - interval '2 s', date_trunc('second', now()) - interval '1 s'
        from generate_series(1, $2::int) n`,
        [queueId, count]
      ),
    left: 'select count(*)::int as left from holdfast.line_rates where queue_id = $1'
  }
}

for (const [ending, { settings, ofOthers, put, left }] of Object.entries(endings)) {
  const leftOf = async (queueId: string) => (await poolA.query(left, [queueId]))[0]!.left as number

  t.test(`where all have a ${ending} that ends, each queue has turns but the largest`, async t => {
    const ids = await Promise.all(Array.from({ length: 4 }, () => queue(settings)))
    const [largest, second, third, few] = ids.map(({ id }) => id)
    await put(largest!, 3000)
    await put(second!, 3000)
    await put(third!, 3000)
    await put(few!, 20)
    await poolA.query(ofOthers, ['-infinity', false, largest])
    t.equal(await leftOf(few!), 0, 'the queue with few has no more')
    t.equal(await leftOf(largest!), 3000)
    const [ofSecond, ofThird] = [3000 - (await leftOf(second!)), 3000 - (await leftOf(third!))]
    t.ok(ofSecond > 100 && Math.abs(ofSecond - ofThird) <= 1, `${ofSecond} and ${ofThird}`)
    const left = async () => (await Promise.all(ids.map(({ id }) => leftOf(id)))).some(count => count > 0)
    // A sweep passes its turn after a while, so on a busy machine two may not come to the end of 9,000.
    for (let times = 0; times < 5 && (await left()); times++) await sweep(poolA)
    for (const { id } of ids) t.equal(await leftOf(id), 0)
  })

  t.test(`a ${ending} does not wait for 100,000 of another queue that end with it`, async t => {
    const [{ id: many }, { id: one }] = [await queue(settings), await queue(settings)]
    await put(many, 100_000)
    await put(one, 1)
    startSweeping(t)
    while ((await leftOf(one)) > 0) await pollPause()
    const leftBeside = await leftOf(many)
    t.ok(leftBeside > 50_000, `${leftBeside} of 100,000 were left`)
    while ((await leftOf(many)) > 0) await pollPause()
  })
}

t.test('the fold and those who count see each row of the ledger once', async t => {
  const { id, name } = await queue()
  const counting = new AbortController()
  const folding = (async () => {
    while (!counting.signal.aborted) await sweep(poolA, poolB)
  })()
  for (let i = 1; i <= 60; i++) {
    await enqueue(id, 5)
    t.equal((await queues.reportQueue(poolB, name))!.counts.ready, i * 5)
  }
  counting.abort()
  await folding
  await conserved(t, id)
})
