/** Two replicas over one database: what one does, the other's consumers learn at once. */
import t from 'tap'
import { openDatabase } from '../../../src/store/database.ts'
import { lockMsMax } from '../../../src/store/sessionSettings.ts'
import { pollPause } from '../../support/pollPause.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service, type Client } from '../../support/service.ts'
import { connect, msSince, untilWaiting } from '../../faults/setup.ts'

const database = await freshDatabase(t)
const replicaA = await service(t, { database })
const replicaB = await service(t, { database })
const sql = await connect(t, database.url)

const consume = async (replica: Client, queue: string, waitSeconds = 20) =>
  (await replica.post(`/queues/${queue}/lease`, { waitSeconds })).body.messages

t.test('a consumer that waits at one replica is woken by an enqueue at the other', async t => {
  await replicaA.call('PUT', '/queues/across')
  const tookMs: number[] = []
  for (let i = 0; i < 20; i++) {
    const waiting = consume(replicaB, 'across')
    await untilWaiting(replicaB, 1)
    const startedMs = performance.now()
    await replicaA.post('/queues/across/messages', { body: i })
    t.equal((await waiting).length, 1)
    tookMs.push(performance.now() - startedMs)
  }
  tookMs.sort((x, y) => x - y)
  const [median, worst] = [tookMs[10]!, tookMs.at(-1)!]
  t.comment(`from enqueue to receipt: median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} ms`)
  t.ok(median < 100)
})

t.test('each message is leased by one of many consumers at both replicas', async t => {
  await replicaA.call('PUT', '/queues/many')
  const waiting = Array.from({ length: 30 }, (_, i) => consume(i % 2 ? replicaA : replicaB, 'many'))
  await Promise.all([untilWaiting(replicaA, 15), untilWaiting(replicaB, 15)])
  const messages = Array.from({ length: 30 }, (_, body) => ({ body }))
  await replicaA.post('/queues/many/messages', { messages })
  const leased = (await Promise.all(waiting)).flat()
  t.equal(leased.length, 30)
  t.equal(new Set(leased.map(({ id }) => id)).size, 30)
})

t.test('with its listening connection cut, a replica still delivers, and listens again', async t => {
  await replicaA.call('PUT', '/queues/deaf')
  const waiting = consume(replicaB, 'deaf')
  await untilWaiting(replicaB, 1)
  await sql.query(`
    select pg_terminate_backend(pid)
    from pg_stat_activity
    where application_name = 'holdfast listener' and datname = current_database()`)
  const startedMs = performance.now()
  await replicaA.post('/queues/deaf/messages', { body: 1 })
  t.equal((await waiting).length, 1)
  const tookMs = msSince(startedMs)
  t.ok(tookMs < 2000, `delivered after ${tookMs} ms`)
  while (!(await replicaB.get('/metrics')).text.includes('\nholdfast_listener_connected 1\n')) {
    await pollPause()
  }
  t.pass('it listens again')
})

t.test('500 waiting consumers hold no connection and ask the database nothing', async t => {
  await replicaA.call('PUT', '/queues/idle')
  const waiting = Array.from({ length: 500 }, () => consume(replicaB, 'idle', 3))
  await untilWaiting(replicaB, 500)
  const { rows } = await sql.query(`
    select count(*)::int as sessions
    from pg_stat_activity
    where application_name = 'holdfast' and datname = current_database()`)
  t.ok(rows[0].sessions <= 20, `${rows[0].sessions} connections of two replicas`)
  // Sessions report what they have done up to ten seconds later, so the reads of /metrics above are
  // counted too. Questions of 500 consumers would still stand out.
  const transactions = async () => {
    await sql.query('select pg_stat_force_next_flush()')
    const { rows } = await sql.query(`
      select xact_commit::int as transactions
      from pg_stat_database
      where datname = current_database()`)
    return rows[0].transactions as number
  }
  const before = await transactions()
  t.strictSame((await Promise.all(waiting)).flat(), [])
  const meanwhile = (await transactions()) - before
  t.ok(meanwhile < 500, `${meanwhile} transactions while 500 waited`)
})

t.test('a caller that hangs up while waiting takes no message with it', async t => {
  await replicaA.call('PUT', '/queues/hangup')
  const leaseUntil = (signal: AbortSignal, max: number) =>
    fetch(`${replicaA.url}/queues/hangup/lease`, {
      method: 'POST',
      body: JSON.stringify({ waitSeconds: 20, max }),
      headers: { 'content-type': 'application/json' },
      signal
    }).catch(() => {})

  for (let i = 0; i < 30; i++) {
    const caller = new AbortController()
    const waiting = leaseUntil(caller.signal, 1)
    await untilWaiting(replicaA, 1)
    caller.abort()
    await replicaA.post('/queues/hangup/messages', { body: i })
    await waiting
    const [message] = await consume(replicaA, 'hangup')
    t.match(message, { body: i, attempt: 1 })
    await replicaA.post('/queues/hangup/ack', { receipt: message.receipt })
  }

  const messages = Array.from({ length: 40 }, (_, body) => ({ body }))
  for (let round = 0; round < 5; round++) {
    const callers = new AbortController()
    const waiting = Array.from({ length: 40 }, () => leaseUntil(callers.signal, 3))
    await untilWaiting(replicaA, 40)
    callers.abort()
    await replicaA.post('/queues/hangup/messages', { messages })
    await Promise.all(waiting)
    await untilWaiting(replicaA, 0)
    t.match((await replicaA.get('/queues/hangup')).body.counts, { ready: 40, leased: 0 })
    await replicaA.post('/queues/hangup/purge')
  }
})

t.test('a message whose lease has expired is back within 1.2 s, at either replica', async t => {
  await replicaA.call('PUT', '/queues/expiry', { leaseSeconds: 0.5 })
  await replicaA.post('/queues/expiry/messages', { body: 1 })
  let [message] = await consume(replicaA, 'expiry')
  for (const replica of [replicaB, replicaA, replicaB]) {
    const [next] = await consume(replica, 'expiry')
    t.equal(next.attempt, message.attempt + 1)
    const lateMs = Date.parse(next.leaseExpiresAt) - 500 - Date.parse(message.leaseExpiresAt)
    t.ok(lateMs >= 0 && lateMs < 1200, `${lateMs} ms after its end`)
    message = next
  }
})

t.test('an enqueue in SQL, through no replica, wakes a consumer', async t => {
  await replicaA.call('PUT', '/queues/sqlready')
  const waiting = consume(replicaB, 'sqlready')
  await untilWaiting(replicaB, 1)
  const startedMs = performance.now()
  await sql.query("select holdfast.enqueue('sqlready', '1')")
  t.equal((await waiting).length, 1)
  const tookMs = msSince(startedMs)
  t.ok(tookMs < 500, `after ${tookMs} ms`)
})

t.test('a message delayed in SQL, through no replica, is at most 250 ms late', async t => {
  await replicaA.call('PUT', '/queues/sqldelay')
  for (const seconds of [0.3, 0.7, 1.4]) {
    const waiting = consume(replicaB, 'sqldelay')
    await sql.query("select holdfast.enqueue('sqldelay', '1', $1)", [{ delaySeconds: seconds }])
    const [message] = await waiting
    const leasedMs = Date.parse(message.leaseExpiresAt) - 30_000
    const lateMs = leasedMs - Date.parse(message.enqueuedAt) - seconds * 1000
    t.ok(lateMs >= -1 && lateMs <= 250, `${seconds} s: ${Math.round(lateMs)} ms late`)
  }
})

t.test('a message that an open transaction has acked in SQL is refused alone', async t => {
  await replicaA.post('/queues/locked/messages', {
    messages: Array.from({ length: 20 }, (_, body) => ({ body }))
  })
  const { messages } = (await replicaA.post('/queues/locked/lease', { max: 20 })).body
  const receipts: string[] = messages.map(({ receipt }: { receipt: string }) => receipt)
  await sql.query('begin')
  await sql.query('select holdfast.ack($1)', [receipts[7]])
  const startedMs = performance.now()
  const answers = await Promise.all(
    receipts.map(async receipt => {
      const { status, body } = await replicaA.post('/queues/locked/ack', { receipt })
      return { status, body, tookMs: msSince(startedMs) }
    })
  )
  t.strictSame(
    answers.map(({ status }) => status),
    receipts.map((_, index) => (index === 7 ? 503 : 200))
  )
  t.equal(answers[7]!.body.outcome, 'none')
  const slowestMs = Math.max(...answers.filter((_, index) => index !== 7).map(({ tookMs }) => tookMs))
  t.ok(slowestMs < 2 * lockMsMax, `the others wait for the lock once: ${slowestMs} ms`)
  await sql.query('commit')
  t.match(await replicaA.post('/queues/locked/ack', { receipt: receipts[7] }), { body: { outcome: 'gone' } })
})

t.test('sessions wait for the disk, even where the role sets synchronous_commit off', async t => {
  const { rows } = await sql.query('select current_user as role')
  await sql.query(`alter role ${rows[0].role} in database ${database.name} set synchronous_commit = off`)
  const replicaC = await service(t, { database })
  await replicaC.post('/queues/durable/messages', { body: 1 })
  const pool = openDatabase({ connectionString: database.url }, { poolSize: 1, onError: () => {} })
  t.strictSame(await pool.query('show synchronous_commit'), [{ synchronous_commit: 'on' }])
  await pool.close()
})
