/**
 * The last hour of a queue: what replicas write of it, and how it is read. Rows are made older
 * instead of waiting.
 */
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { quantileSeconds, seriesOf, sparkOf, type Sample } from '../../src/core/series.ts'
import { bucketsCount, ReplicaStats } from '../../src/core/engine/replicaStats.ts'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { putQueue } from '../../src/store/verbs/putQueue.ts'
import * as queues from '../../src/store/verbs/queues.ts'
import { shareStats, writeStep } from '../../src/store/upkeep/seriesWriter.ts'
import { readSeries, readSparks } from '../../src/store/verbs/series.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

async function fresh(t: Test): Promise<Database> {
  const { url } = await freshDatabase(t)
  const database = openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
  t.teardown(() => database.close())
  return database
}

async function made(database: Database, name: string): Promise<string> {
  await putQueue(database, name, {})
  return (await queues.findQueue(database, name))!.id
}

/** Makes all rows older by this many steps. */
const age = async (database: Database, steps: number) => {
  for (const table of ['series', 'times']) {
    await database.query(`update holdfast.${table} set at = at - $1 where at > 0`, [steps * 30])
  }
  await database.query('update holdfast.series_turn set at = at - $1', [steps * 30])
}

t.test('one replica writes each step, and only for queues whose numbers have changed', async t => {
  const database = await fresh(t)
  const [busy, idle] = [await made(database, 'busy'), await made(database, 'idle')]
  const written = async () =>
    (await Promise.all(Array.from({ length: 4 }, () => writeStep(database)))).reduce(
      (sum, { written }) => sum + written,
      0
    )
  t.equal(await written(), 2, 'each queue once')
  t.equal(await written(), 0, 'not twice in a step')
  await age(database, 1)
  await database.query(
    'update holdfast.counts set ready = 5, enqueued_total = 60, failed_total = 2, lapsed_total = 1 ' +
      'where queue_id = $1',
    [busy]
  )
  t.equal(await written(), 1)
  await age(database, 1)
  t.equal(await written(), 0, 'nothing has changed')
  const { last, samples } = await readSeries(database, busy)
  const { at, ready, enqueuedPerSecond, failedPerSecond } = seriesOf('busy', last, samples, [])
  t.match({ at, ready }, { at: { length: 120, 119: last }, ready: { 0: null, 119: 5 } })
  t.strictSame(
    [enqueuedPerSecond, failedPerSecond].map(rates => rates.filter(rate => rate !== 0)),
    [[2], [0.1]],
    'in the step in which it changed'
  )
  t.equal((await readSeries(database, idle)).samples.length, 1)
  const [{ name, samples: totals }] = (await readSparks(database, ['busy', 'none'])) as [
    Awaited<ReturnType<typeof readSparks>>[0]
  ]
  t.equal(name, 'busy')
  t.equal(
    sparkOf(last, totals).enqueuedPerSecond.reduce((sum, rate) => sum + rate * 60, 0),
    60
  )
})

t.test('the times that replicas have counted add up', async t => {
  const database = await fresh(t)
  const queueId = await made(database, 'one')
  const row = (id: string, position: string) => ({
    id,
    fence: '1',
    position,
    enqueuedAt: '2026-01-01T00:00:00.000Z'
  })
  const atMs = Date.parse('2026-01-01T00:00:00.100Z')
  for (let replica = 0; replica < 2; replica++) {
    const replicaStats = new ReplicaStats()
    replicaStats.leased(queueId, [row('1', '1'), row('2', '2'), row('3', '7')], atMs) // the third came back
    replicaStats.acked(queueId, ['1.1', '9.1'])
    replicaStats.asked(queueId)
    replicaStats.asked('99999') // a queue that is gone
    t.equal(replicaStats.waits.sumMs, 200)
    await shareStats(database, replicaStats.take())
    t.equal(replicaStats.take().size, 0)
  }
  const rows = await database.query<{ waits: number[]; works: number[] }>(
    'select waits, works from holdfast.times'
  )
  const sum = (counts: number[]) => counts.reduce((all, count) => all + count, 0)
  t.ok(
    rows.every(({ waits }) => sum(waits) === waits[7]),
    '64 to 128 ms'
  )
  t.strictSame([sum(rows.flatMap(({ waits }) => waits)), sum(rows.flatMap(({ works }) => works))], [4, 2])
  t.strictSame(
    await database.query(
      "select holdfast.sums_of('{1,2}', '{1,0,3}') as more, holdfast.sums_of('{}', '{}') as none"
    ),
    [{ more: [2, 2, 3], none: [] }]
  )
  t.strictSame(
    await database.query(
      "select queue_id, asked_at > now() - interval '1 minute' as lately from holdfast.asked"
    ),
    [{ queue_id: Number(queueId), lately: true }]
  )
})

t.test(
  'maintenance removes rows older than an hour, and leaves the row from which the hour begins',
  async t => {
    const database = await fresh(t)
    const queueId = await made(database, 'one')
    await writeStep(database)
    const [{ at }] = (await database.query('select at from holdfast.series_turn')) as [{ at: number }]
    await database.query(
      'insert into holdfast.series select queue_id, at - n * 30, n, 0, 0, 0, 10000 - n, 0, 0 from ' +
        'holdfast.series cross join generate_series(1, 6000) n'
    )
    await database.query("insert into holdfast.times select queue_id, at, '{1}', '{}' from holdfast.series")
    await createMaintenance(database)['forget-series']()
    t.strictSame(
      await database.query('select min(at) as from, max(at) as to, count(*)::integer from holdfast.series'),
      [{ from: at - 3600, to: at, count: 121 }]
    )
    t.strictSame(await database.query('select count(*)::integer from holdfast.times'), [{ count: 120 }])
    await age(database, 5000)
    await database.query('update holdfast.series_turn set at = at + 5000 * 30')
    await createMaintenance(database)['forget-series']()
    t.strictSame(
      await database.query('select at from holdfast.series'),
      [{ at: at - 150_000 }],
      'of an idle queue its last row'
    )
    t.match(seriesOf('one', at, (await readSeries(database, queueId)).samples, []), {
      ready: { 0: 0, 119: 0 },
      enqueuedPerSecond: { 0: 0 }
    })
  }
)

t.test('rates begin with the queue, and leave out what it had done before the hour', t => {
  const sample = (at: number, enqueued: number): Sample => ({
    at,
    ready: 0,
    delayed: 0,
    leased: 0,
    dead: 0,
    enqueued,
    acked: 0,
    failed: 0
  })
  const at = 3600 * 100
  t.equal(seriesOf('q', at, [sample(at, 30)], []).enqueuedPerSecond.at(-1), 1, 'a new one, from nothing')
  t.equal(seriesOf('q', at, [sample(0, 1_000_000), sample(at - 3570, 1_000_030)], []).enqueuedPerSecond[0], 1)
  t.strictSame(seriesOf('q', at, [sample(0, 1_000_000)], []).enqueuedPerSecond, Array(120).fill(0))
  t.equal(sparkOf(at, [sample(at - 30, 30), sample(at, 60)]).enqueuedPerSecond.at(-1), 1)
  t.end()
})

t.test('quantiles are read from buckets that double', t => {
  const replicaStats = new ReplicaStats()
  const ages = Array.from({ length: 1000 }, (_, index) => index + 1)
  replicaStats.leased(
    '1',
    ages.map((ms, n) => ({
      id: `${n}`,
      fence: '1',
      position: `${n}`,
      enqueuedAt: new Date(1e12 - ms).toISOString()
    })),
    1e12
  )
  const { waits } = replicaStats.take().get('1')!
  t.ok(Math.abs(quantileSeconds(waits, 0.5)! - 0.5) < 0.02, `${quantileSeconds(waits, 0.5)}`)
  t.ok(Math.abs(quantileSeconds(waits, 0.95)! - 0.95) < 0.05, `${quantileSeconds(waits, 0.95)}`)
  t.equal(quantileSeconds([], 0.5), null)
  t.equal(quantileSeconds([4], 0.5), 0.001)
  replicaStats.leased(
    '1',
    [{ id: '1', fence: '1', position: '1', enqueuedAt: '2000-01-01T00:00:00.000Z' }],
    Date.parse('2026-01-01')
  )
  t.equal(replicaStats.take().get('1')!.waits.indexOf(1), bucketsCount - 1, 'years are in the last bucket')
  t.end()
})

t.test('the series that one replica answers has what another replica has done', async t => {
  const { url } = await freshDatabase(t)
  const [one, two] = [await service(t, { database: { url } }), await service(t, { database: { url } })]
  const sql = await connect(t, url)
  await one.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  const {
    body: {
      messages: [message, failing]
    }
  } = await one.post('/queues/mail/lease', { max: 2 })
  await one.post('/queues/mail/ack', { receipt: message.receipt })
  await one.post('/queues/mail/fail', { receipt: failing.receipt, dead: true })
  await one.stop() // shares what it has counted
  while ((await sql.query('select from holdfast.counts where dead = 1 and acked_total = 1')).rowCount === 0) {
    await pause(50)
  } // folded by the other
  const database = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
  t.teardown(() => database.close())
  await age(database, 1)
  await writeStep(database)
  const { status, body } = await two.get('/queues/mail/series')
  t.equal(status, 200)
  t.match(body, {
    queue: 'mail',
    stepSeconds: 30,
    ready: { 119: 1 },
    delayed: { 119: 0 },
    leased: { 119: 0 },
    dead: { 119: 1 }
  })
  for (const [name, count] of [
    ['enqueued', 3],
    ['acked', 1],
    ['failed', 1]
  ] as const) {
    t.equal(
      Math.round(body[`${name}PerSecond`].reduce((sum: number, rate: number) => sum + rate * 30, 0)),
      count,
      name
    )
  }
  for (const name of ['waitSecondsP50', 'waitSecondsP95', 'workSecondsP50', 'workSecondsP95']) {
    const known = body[name].filter((seconds: number | null) => seconds !== null)
    t.ok(known.length === 1 && known[0] > 0 && known[0] < 30, `${name} ${known}`)
  }
  t.match(await two.get('/queues/none/series'), { status: 404, body: { code: 'queueNotFound' } })
})
