/** Leases that race for the same messages: none is in two hands, and none is left behind. */
import pg from 'pg'
import t from 'tap'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import {
  blocker,
  brokerOn,
  conserved,
  countOf,
  enqueue,
  lease,
  leaseBy,
  poolA,
  poolB,
  queue,
  sessionOn,
  url
} from './setup.ts'

t.test('leases at the same time never share a message, and leave none behind', async t => {
  const { id } = await queue()
  await enqueue(id, 400)
  const batches = await Promise.all(
    Array.from({ length: 40 }, (_, i) => lease(i % 2 ? poolA : poolB, id, 10))
  )
  const ids = batches.flat().map(message => message.id)
  t.equal(new Set(ids).size, ids.length)
  t.equal(ids.length + (await lease(poolA, id, 400)).length, 400)
  await conserved(t, id)
})

t.test('a lease skips a message that another one is taking, without waiting', async t => {
  const { id } = await queue()
  await enqueue(id, 2)
  await blocker.query('begin')
  const locked = await blocker.query(
    `
    select id from holdfast.messages
    where queue_id = $1
    order by id
    limit 1
    for update`,
    [id]
  )
  const lockedId = locked.rows[0].id
  const leased = await lease(poolA, id, 5)
  t.equal(leased.length, 1)
  t.not(leased[0]!.id, lockedId)
  await blocker.query('rollback')
  t.strictSame(
    (await lease(poolB, id, 5)).map(message => message.id),
    [lockedId]
  )
  await conserved(t, id)
})

t.test('a lease never takes more than its limit, whatever plan the server chooses', async t => {
  const { id } = await queue()
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
      const session = sessionOn(client)
      await blocker.query('begin')
      await blocker.query(
        `
        select from holdfast.messages
        where queue_id = $1 and leased_until is null
        order by id
        limit 2
        for update`,
        [id]
      )
      t.equal((await lease(session, id, 3)).length, 3, `only ${scan} and ${join}`)
      await blocker.query('rollback')
      const both = await Promise.all([lease(session, id, 3), lease(poolB, id, 3)])
      t.equal(both.flat().length, 6)
      await client.end()
    }
  }
  t.equal(await countOf(id, 'leased'), 81)
  await conserved(t, id)
})

t.test('a message below a scan hint, whose notice was lost, is found by the next full scan', async t => {
  const { id, name } = await queue()
  let nowMs = 0
  const scanHints = new ScanHints(() => nowMs)
  const broker = brokerOn(poolA, { scanHints })
  const take = async (waitSeconds = 0) => (await leaseBy(broker, name, { waitSeconds })).messages.length
  const enqueueUnheard = async () => {
    await enqueue(id, 1)
    scanHints.end(id, scanHints.begin(id), { rank: -1, position: NaN, exhausted: true, last: 1e9 })
  }
  t.equal(await take(), 0)
  await enqueueUnheard()
  t.equal(await take(), 0, 'no full scan is due yet')
  nowMs += 6_000
  t.equal(await take(20), 1, 'the full scan wakes the waiting caller')
  await enqueueUnheard()
  t.equal(await take(), 0)
  scanHints.suspect(id)
  t.equal(await take(20), 1, 'a suspicion makes it due at once')
  // A full scan that was slow is made less often.
  t.ok(scanHints.takeCheck(id) === false && (nowMs += 5_000) && scanHints.takeCheck(id))
  nowMs += 200
  scanHints.checked(id, [])
  nowMs += 19_000
  t.notOk(scanHints.takeCheck(id), 'the pause is a hundred times as long as the scan')
  nowMs += 2_000
  t.ok(scanHints.takeCheck(id))
})

t.test('messages that a failed scan had locked, and others had skipped, are scanned again', async t => {
  const scanHints = new ScanHints()
  const startsAt = (position: number) => {
    const scan = scanHints.begin('1')
    scanHints.end('1', scan, null)
    t.ok(
      scan.from.every(from => from === position),
      `from ${position}`
    )
  }
  const exhausted = (last: number) => ({ rank: -1, position: NaN, exhausted: true, last })
  scanHints.end('1', scanHints.begin('1'), exhausted(100))
  const failing = scanHints.begin('1')
  scanHints.end('1', scanHints.begin('1'), exhausted(200))
  const underWay = scanHints.begin('1')
  startsAt(201)
  scanHints.fail('1', failing)
  startsAt(101)
  scanHints.end('1', underWay, exhausted(300))
  startsAt(101)
  scanHints.end('1', scanHints.begin('1'), exhausted(300))
  startsAt(301)
})
