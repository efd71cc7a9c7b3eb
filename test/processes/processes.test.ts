/** Several processes on one port are one replica: what one knows, the others know. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import t from 'tap'
import { freshDatabase } from '../support/postgres.ts'
import { line, metric, twoProcesses, until, type Line } from './setup.ts'

const run = promisify(execFile)

/** The processes that serve. */
async function serversOf(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(pid)])
  return stdout.trim().split(/\s+/).map(Number)
}

/** One replica for the tests that leave it as it was. */
const { one, two } = await twoProcesses(t)

t.test('a waiting call hears of a message that another process stores', async t => {
  await one.ask('PUT', '/queues/mail', {})
  const rounds = 60
  const ms: number[] = []
  for (let round = 0; round < rounds; round++) {
    const leased = one.post('/queues/mail/lease', { waitSeconds: 20 })
    await until(
      () => metric(two, 'holdfast_waiting_calls'),
      waiting => waiting === 1
    )
    const sentMs = performance.now()
    await two.post('/queues/mail/messages', { body: round })
    const { body } = await leased
    ms.push(performance.now() - sentMs)
    t.equal(body.messages[0].body, round)
    await one.post('/queues/mail/ack', { receipt: body.messages[0].receipt })
  }
  ms.sort((a, b) => a - b)
  t.comment(`from the enqueue to the lease at the other process: p50 ${ms[rounds >> 1]!.toFixed(1)} ms`)
  // Without a word from the other process, the sweeper would find the message after a second.
  t.ok(ms[rounds >> 1]! < 100)
})

t.test('a call that waits for the end of a message hears of an ack at another process', async t => {
  await one.ask('PUT', '/queues/mail', { keepAckedSeconds: 60 })
  const rounds = 10
  const ms: number[] = []
  for (let round = 0; round < rounds; round++) {
    const { id } = (await two.post('/queues/mail/messages', { body: round })).body
    const { receipt } = (await two.post('/queues/mail/lease')).body.messages[0]
    const ended = one.ask('GET', `/queues/mail/messages/${id}?waitSeconds=20`)
    await until(
      () => metric(two, 'holdfast_waiting_calls'),
      waiting => waiting === 1
    )
    const sentMs = performance.now()
    await two.post('/queues/mail/ack', { receipt })
    t.equal((await ended).body.state, 'acked')
    ms.push(performance.now() - sentMs)
  }
  ms.sort((a, b) => a - b)
  // Without a word from the other process, the next check would find it: up to half a second later.
  t.ok(ms[rounds >> 1]! < 100, `p50 ${ms[rounds >> 1]!.toFixed(1)} ms`)
})

t.test('what one process changes of queues, topics and keys, the other knows at once', async t => {
  for (let round = 1; round <= 20; round++) {
    await one.ask('PUT', '/queues/full', { maxDepth: round })
    await two.post('/queues/full/messages', { body: round })
    t.equal((await two.post('/queues/full/messages', { body: round })).body.code, 'queueFull', `${round}`)
  }
  await one.ask('PUT', '/topics/news/subscriptions/inbox', {})
  t.equal((await two.post('/topics/news/messages', { body: 1 })).body.messages.length, 1)
  await one.ask('PUT', '/topics/news/subscriptions/archive', {})
  t.equal((await two.post('/topics/news/messages', { body: 2 })).body.messages.length, 2)
  await one.ask('DELETE', '/queues/inbox')
  t.equal((await two.post('/queues/inbox/lease')).status, 404)

  const admin = (await one.post('/keys', { name: 'ops', rights: ['admin'] })).body.secret
  t.equal((await two.ask('GET', '/queues')).status, 401, 'keys are in force everywhere')
  for (let round = 1; round <= 20; round++) {
    const made = (await one.post('/keys', { name: 'worker', rights: ['browse:*'] }, admin)).body
    t.equal((await two.ask('GET', '/queues', undefined, made.secret)).status, 200)
    await one.ask('DELETE', `/keys/${made.id}`, undefined, admin)
    t.equal((await two.ask('GET', '/queues', undefined, made.secret)).status, 401)
  }
})

t.test('the connections of all processes together stay within the bound', async t => {
  const poolSize = 6
  const { holdfast, database } = await twoProcesses(t, { HOLDFAST_POOL_SIZE: String(poolSize) })
  const lines = Array.from({ length: 32 }, () => line(t, holdfast.url))
  for (const verb of ['messages', 'lease', 'messages']) {
    await Promise.all(lines.map(({ post }, n) => post(`/queues/q${n}/${verb}`, { body: n })))
    await Promise.all(lines.map(({ ask }, n) => ask('GET', `/queues/q${n}/messages`)))
  }
  const sql = new pg.Client(database.config)
  await sql.connect()
  const { rows } = await sql.query(`
    select count(*)::integer as sessions
    from pg_stat_activity
    where datname = current_database()
      and pid <> pg_backend_pid()`)
  await sql.end()
  const { sessions } = rows[0]
  const listening = 2
  t.ok(sessions > listening && sessions <= poolSize + listening, `${sessions} sessions`)
})

t.test('bounds and rates hold for all processes together', async t => {
  const { holdfast, one, two } = await twoProcesses(t, { HOLDFAST_WAITERS_MAX: '12' })
  const admin = (await one.post('/keys', { name: 'ops', rights: ['admin'] })).body.secret
  const grant = { name: 'worker', rights: ['lease:*', 'enqueue:*'] }
  const worker = (await one.post('/keys', grant, admin)).body.secret
  await one.ask('PUT', '/queues/mail', {}, admin)

  const answers = Array.from({ length: 6 }, () =>
    line(t, holdfast.url).post('/queues/mail/lease', { waitSeconds: 60 }, worker)
  )
  await until(
    () => metric(one, 'holdfast_waiting_calls', admin),
    waiting => waiting === 6
  )
  for (const process of [one, two]) {
    const wait = () => process.post('/queues/mail/lease', { waitSeconds: 1 }, worker)
    const { status } = await until(wait, ({ body }) => body.code === 'shareUsedUp')
    t.equal(status, 429)
  }
  await one.post('/queues/mail/messages', { messages: Array(6).fill({ body: 1 }) }, admin)
  for (const { body } of await Promise.all(answers)) t.equal(body.messages.length, 1)

  const slow = (await one.post('/keys', { ...grant, requestsPerSecond: 20 }, admin)).body.secret
  const endMs = performance.now() + 2000
  let served = 0
  const askAll = async ({ post }: Line) => {
    while (performance.now() < endMs) {
      if ((await post('/queues/mail/lease', {}, slow)).status !== 429) served++
    }
  }
  await Promise.all([askAll(one), askAll(two)])
  // 20 at once and 40 in two seconds. Each process by itself would serve as many.
  t.ok(served >= 40 && served < 90, `${served} requests served`)
})

t.test('a process that is killed is replaced, and the other serves on', async t => {
  const { holdfast, one, two } = await twoProcesses(t)
  await one.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }] })
  const { body } = await one.post('/queues/mail/lease', { max: 2 })
  const [killed] = (await serversOf(holdfast.child.pid!)) as [number]
  process.kill(killed, 'SIGKILL')
  const ends = await Promise.allSettled([one, two].map(({ ask }) => ask('GET', '/livez')))
  t.equal(ends.filter(({ status }) => status === 'rejected').length <= 1, true)
  await until(
    () => serversOf(holdfast.child.pid!),
    pids => pids.length === 2 && !pids.includes(killed)
  )
  await until(
    () => metric(line(t, holdfast.url), 'holdfast_processes'),
    processes => processes === 2
  )
  for (const { receipt } of body.messages) {
    t.equal((await line(t, holdfast.url).post('/queues/mail/ack', { receipt })).status, 200)
  }
  t.match(holdfast.said(), 'Another takes its place')
})

t.test('SIGTERM answers the waiting calls of every process, and ends all', async t => {
  const { holdfast, one, two } = await twoProcesses(t)
  await one.ask('PUT', '/queues/mail', {})
  const servers = await serversOf(holdfast.child.pid!)
  const waits = [one, two].map(({ post }) => post('/queues/mail/lease', { waitSeconds: 60 }))
  await until(
    () => metric(line(t, holdfast.url), 'holdfast_waiting_calls'),
    waiting => waiting === 2
  )
  // A terminal signals every process. The first one decides.
  for (const pid of [...servers, holdfast.child.pid!]) process.kill(pid, 'SIGTERM')
  for (const { status, body } of await Promise.all(waits)) {
    t.equal(status, 200)
    t.strictSame(body.messages, [])
  }
  t.equal(await holdfast.ended, 0)
  t.notOk(servers.some(isRunning))
})

t.test('the processes answer their waiting calls and end when the first one is killed', async t => {
  const { holdfast, one, two } = await twoProcesses(t)
  await one.ask('PUT', '/queues/mail', {})
  const servers = await serversOf(holdfast.child.pid!)
  const waits = [one, two].map(({ post }) => post('/queues/mail/lease', { waitSeconds: 60 }))
  await until(
    () => metric(line(t, holdfast.url), 'holdfast_waiting_calls'),
    waiting => waiting === 2
  )
  process.kill(holdfast.child.pid!, 'SIGKILL')
  for (const { status, body } of await Promise.all(waits)) {
    t.equal(status, 200)
    t.strictSame(body.messages, [])
  }
  await holdfast.ended
  await until(
    async () => servers.some(isRunning),
    running => !running
  )
})

t.test('a start that fails says why, and leaves no process', async t => {
  const { holdfast } = await twoProcesses(t)
  const taken = run(process.execPath, ['bin/holdfast.mjs', 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOLDFAST_DATABASE_URL: (await freshDatabase(t)).url,
      HOLDFAST_PROCESSES: '2',
      HOLDFAST_PORT: new URL(holdfast.url).port
    }
  })
  await t.rejects(taken, { code: 1, stderr: /another program serves on port \d+ of 127\.0\.0\.1/ })
  const few = run(process.execPath, ['bin/holdfast.mjs', 'serve'], {
    env: { PATH: process.env.PATH, HOLDFAST_PROCESSES: '3', HOLDFAST_POOL_SIZE: '5' }
  })
  await t.rejects(few, { code: 2, stderr: /HOLDFAST_POOL_SIZE must be at least 6: 2 for each process/ })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
