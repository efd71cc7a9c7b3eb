/** Processes killed and connections lost under load, and what callers see of it. */
import t from 'tap'
import { Proxy } from '../../faultbench/proxy.ts'
import { pollPause } from '../../support/pollPause.ts'
import { freshDatabase, freshServer } from '../../support/postgres.ts'
import { service, serviceProcess } from '../../support/service.ts'
import { connect, load, msSince } from '../../faults/setup.ts'

t.test('a service killed under load has lost no confirmed message', async t => {
  const database = await freshDatabase(t)
  for (let round = 0; round < 3; round++) {
    const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
    const running = load(holdfast, `killed${round}`)
    await running.reaching(300)
    holdfast.child.kill('SIGKILL')
    await holdfast.ended
    await running.stop()
    await running.kept(t, database.url)
  }
})

t.test('PostgreSQL killed under load: 503 at once, nothing confirmed is lost, service resumes', async t => {
  const server = await freshServer(t)
  const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: server.url })
  await holdfast.call('PUT', '/queues/waited')
  const waiting = Array.from({ length: 5 }, () => holdfast.post('/queues/waited/lease', { waitSeconds: 30 }))
  const running = load(holdfast, 'killed')
  const kills: Record<string, () => unknown> = {
    'its postmaster': () => process.kill(server.pid, 'SIGKILL'),
    'one backend': async () => {
      const sql = await connect(t, server.url)
      const { rows } = await sql.query(`
        select pid
        from pg_stat_activity
        where application_name = 'holdfast'
        limit 1`)
      process.kill(rows[0].pid, 'SIGKILL')
    }
  }
  for (const [what, kill] of Object.entries(kills)) {
    await running.reaching(running.confirmed.length + 300)
    await kill()
    const startedMs = performance.now()
    await running.reaching(running.confirmed.length + 100)
    const tookMs = msSince(startedMs)
    t.comment(`${what} killed: 100 more messages confirmed after ${tookMs} ms`)
    t.ok(tookMs < 5000, `${what}: 100 more messages confirmed ${tookMs} ms after the kill`)
  }
  await running.stop()
  const slowestMs = Math.round(running.slowestRefusalMs)
  t.comment(`the slowest 503 came after ${slowestMs} ms`)
  t.ok(slowestMs < 1000, `503 at once: ${slowestMs} ms`)
  t.strictSame(
    [...running.refusals].filter(code => !['databaseUnavailable', 'outcomeUnknown'].includes(code)),
    []
  )
  await running.kept(t, server.url)

  await holdfast.post('/queues/waited/messages', { messages: waiting.map((_, body) => ({ body })) })
  for (const answer of await Promise.all(waiting)) {
    if (answer.status === 503) continue
    t.match(
      answer,
      { status: 200, body: { messages: [{ attempt: 1 }] } },
      'a consumer that waited through it still gets a message'
    )
  }
  t.equal(holdfast.child.exitCode, null, 'the same process all along')
})

t.test('with the database away: 503 with Retry-After at once, and no crash', async t => {
  const server = await freshServer(t)
  const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: server.url })
  await holdfast.post('/queues/q/messages', { body: 1 })
  await server.stop()
  for (const [method, path, body] of [
    ['POST', '/queues/q/messages', { body: 1 }],
    ['POST', '/queues/q/lease', {}],
    ['POST', '/queues/new/messages', { body: 1 }],
    ['GET', '/queues/q', undefined],
    ['PUT', '/queues/q', {}]
  ] as const) {
    const startedMs = performance.now()
    const answer = await holdfast.call(method, path, body)
    t.match(
      answer,
      { status: 503, body: { code: 'databaseUnavailable', outcome: 'none' } },
      `${method} ${path}`
    )
    t.ok(answer.headers.get('retry-after'))
    t.ok(performance.now() - startedMs < 500)
  }
  while ((await holdfast.get('/readyz')).status !== 503) await pollPause()
  t.equal((await holdfast.get('/livez')).status, 200)
  holdfast.child.kill('SIGTERM')
  t.equal(await holdfast.ended, 0, 'it stops cleanly without a database')
})

t.test('connections to PostgreSQL that go silent hold up service for less than 5 s', async t => {
  const database = await freshDatabase(t)
  const proxy = new Proxy()
  const { host, port, user, password = '' } = database.config
  proxy.target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
  const address = `127.0.0.1:${await proxy.listen()}`
  const holdfast = await service(t, {
    database: { url: `postgresql://${user}:${password}@${address}/${database.name}` }
  })
  t.teardown(() => proxy.close())
  // Eight queues at once, so that many connections are open.
  const enqueueAll = () =>
    Promise.all(
      [...Array(8).keys()].map(n => holdfast.post(`/queues/q${n}/messages`, { body: n, idempotencyKey: 'k' }))
    )
  await enqueueAll()
  proxy.silence()
  const startedMs = performance.now()
  while (!(await enqueueAll()).every(({ status }) => status < 300)) await pollPause()
  const tookMs = msSince(startedMs)
  t.ok(tookMs < 5000, `after ${tookMs} ms`)
  proxy.reset()
})
