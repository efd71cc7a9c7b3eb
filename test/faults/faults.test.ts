/**
 * Bad luck, with real processes: what is killed, cut off, stopped or misconfigured, and what
 * callers see of it.
 */
import net from 'node:net'
import pg from 'pg'
import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Proxy } from '../faultbench/proxy.ts'
import { freshDatabase, freshServer } from '../support/postgres.ts'
import { service, serviceProcess, type Client } from '../support/service.ts'

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {}) // some tests take its server away
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/**
 * Enqueues from eight callers and acks from two until told to stop; knows what was confirmed, and
 * how it was refused.
 */
function load(holdfast: { post: Client['post'] }, queue: string) {
  const confirmed: string[] = []
  const acked = new Set<string>()
  const unsure = new Set<string>() // an ack was sent whose answer never came
  const refusals = new Set<string>()
  const odd: unknown[] = []
  let slowestRefusalMs = 0
  const stopping = new AbortController()
  let body = 0
  /** Null where the connection was lost or the call refused: not confirmed. */
  const call = async (path: string, payload: object, status: number) => {
    const startedMs = performance.now()
    const answer = await holdfast.post(`/queues/${queue}/${path}`, payload).catch(() => null)
    if (answer === null || answer.status === status) return answer
    refusals.add(answer.body.code)
    slowestRefusalMs = Math.max(slowestRefusalMs, performance.now() - startedMs)
    if (
      answer.status !== 503 ||
      !['none', 'unknown'].includes(answer.body.outcome) ||
      !answer.headers.get('retry-after')
    ) {
      odd.push(answer.text)
    }
    return null
  }
  const produce = async () => {
    while (!stopping.signal.aborted) {
      const answer = await call('messages', { body: ++body }, 201)
      if (answer) confirmed.push(answer.body.id)
    }
  }
  const consume = async () => {
    // until the queue is there
    while (confirmed.length === 0 && !stopping.signal.aborted) await new Promise(setImmediate)
    while (!stopping.signal.aborted) {
      const messages = (await call('lease', { max: 3 }, 200))?.body.messages ?? []
      const ids = messages.map(({ id }: any) => id)
      for (const id of ids) if (acked.has(id)) odd.push(`${id} was leased after its ack`)
      if (ids.length === 0) continue
      const answer = await call('ack', { receipts: messages.map(({ receipt }: any) => receipt) }, 200)
      for (const [i, id] of ids.entries()) {
        if (answer === null) unsure.add(id)
        else if (answer.body.outcomes[i].outcome === 'acked') acked.add(id)
        else odd.push(answer.body.outcomes[i])
      }
    }
  }
  const callers = [...Array.from({ length: 8 }, produce), consume(), consume()]
  return {
    confirmed,
    odd,
    refusals,
    get slowestRefusalMs() {
      return slowestRefusalMs
    },
    async reaching(count: number) {
      while (confirmed.length < count) await new Promise(setImmediate)
    },
    async stop() {
      stopping.abort()
      await Promise.all(callers)
    },
    /**
     * What was confirmed is there unless it was acked, what was acked is not, and the ledger
     * agrees with the rows.
     */
    async kept(t: Test, url: string) {
      const client = await connect(t, url)
      const there = await stored(client, queue)
      t.strictSame(
        confirmed.filter(id => !there.has(id) && !acked.has(id) && !unsure.has(id)),
        [],
        `all of ${confirmed.length} confirmed are there`
      )
      t.strictSame(
        [...acked].filter(id => there.has(id)),
        [],
        `none of ${acked.size} acked is back`
      )
      t.ok(acked.size > 10)
      const {
        rows: [{ left }]
      } = await client.query(
        `select sum(enqueued_total - acked_total)::int as left from (
        select queue_id, enqueued_total, acked_total from holdfast.counts union all select queue_id, enqueued_total, acked_total from holdfast.ledger) c
        join holdfast.queues q on q.id = c.queue_id where q.name = $1`,
        [queue]
      )
      t.equal(left, there.size, 'the ledger equals the rows')
      t.strictSame(odd, [])
    }
  }
}

async function stored(client: pg.Client, queue: string): Promise<Set<string>> {
  const { rows } = await client.query(
    'select m.id from holdfast.messages m join holdfast.queues q on q.id = m.queue_id where q.name = $1',
    [queue]
  )
  return new Set(rows.map(row => row.id))
}

t.test('two replicas', async t => {
  const database = await freshDatabase(t)
  const a = await service(t, { database })
  const b = await service(t, { database })
  const sql = await connect(t, database.url)
  const waits = async (client: Client, count: number) => {
    while (!(await client.get('/metrics')).text.includes(`\nholdfast_waiting_calls ${count}\n`));
  }
  const consume = async (client: Client, queue: string, waitSeconds = 20) =>
    (await client.post(`/queues/${queue}/lease`, { waitSeconds })).body.messages

  t.test('a consumer that waits at one is woken by an enqueue at the other', async t => {
    await a.call('PUT', '/queues/across')
    const tookMs: number[] = []
    for (let i = 0; i < 20; i++) {
      const waiting = consume(b, 'across')
      await waits(b, 1)
      const startedMs = performance.now()
      await a.post('/queues/across/messages', { body: i })
      t.equal((await waiting).length, 1)
      tookMs.push(performance.now() - startedMs)
    }
    const median = tookMs.sort((x, y) => x - y)[10]!
    t.comment(
      `enqueue at one to receipt at the other: median ${median.toFixed(1)} ms, worst ` +
        `${tookMs.at(-1)!.toFixed(1)} ms`
    )
    t.ok(median < 100)
  })

  t.test('a message is leased by one of many consumers at both', async t => {
    await a.call('PUT', '/queues/many')
    const waiting = Array.from({ length: 30 }, (_, i) => consume(i % 2 ? a : b, 'many'))
    await Promise.all([waits(a, 15), waits(b, 15)])
    await a.post('/queues/many/messages', { messages: Array.from({ length: 30 }, (_, body) => ({ body })) })
    const ids = (await Promise.all(waiting)).map(messages => messages.map((one: any) => one.id)).flat()
    t.equal(ids.length, 30)
    t.equal(new Set(ids).size, 30)
  })

  t.test(
    'with the listening connection cut, consumers still get messages within a second or so, and it ' +
      'comes back',
    async t => {
      await a.call('PUT', '/queues/deaf')
      const waiting = consume(b, 'deaf')
      await waits(b, 1)
      await sql.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast " +
          "listener' and datname = current_database()"
      )
      const startedMs = performance.now()
      await a.post('/queues/deaf/messages', { body: 1 })
      t.equal((await waiting).length, 1)
      t.ok(performance.now() - startedMs < 2000, `had after ${Math.round(performance.now() - startedMs)} ms`)
      while (!(await b.get('/metrics')).text.includes('\nholdfast_listener_connected 1\n'));
      t.pass('it listens again')
    }
  )

  t.test('five hundred waiting consumers hold no connection and ask the database nothing', async t => {
    await a.call('PUT', '/queues/idle')
    const waiting = Array.from({ length: 500 }, () => consume(b, 'idle', 3))
    await waits(b, 500)
    const {
      rows: [{ sessions }]
    } = await sql.query(
      "select count(*)::int as sessions from pg_stat_activity where application_name = 'holdfast' " +
        'and datname = current_database()'
    )
    t.ok(sessions <= 20, `${sessions} connections of two replicas`)
    // Sessions report what they have done up to ten seconds later, the looks at /metrics that come
    // before among them; five hundred that asked by themselves would still stand out.
    const transactions = async () => {
      await sql.query('select pg_stat_force_next_flush()')
      return Number(
        (await sql.query('select xact_commit from pg_stat_database where datname = current_database()'))
          .rows[0].xact_commit
      )
    }
    const before = await transactions()
    t.strictSame((await Promise.all(waiting)).flat(), [])
    t.ok(
      (await transactions()) - before < 500,
      `${(await transactions()) - before} transactions while 500 waited`
    )
  })

  t.test('a caller that hangs up while waiting takes no message with it', async t => {
    await a.call('PUT', '/queues/hangup')
    for (let i = 0; i < 30; i++) {
      const caller = new AbortController()
      const waiting = fetch(`${a.url}/queues/hangup/lease`, {
        method: 'POST',
        body: '{"waitSeconds":20}',
        headers: { 'content-type': 'application/json' },
        signal: caller.signal
      }).catch(() => {})
      await waits(a, 1)
      caller.abort()
      await a.post('/queues/hangup/messages', { body: i })
      await waiting
      const [message] = await consume(a, 'hangup')
      t.match(message, { body: i, attempt: 1 })
      await a.post('/queues/hangup/ack', { receipt: message.receipt })
    }
    for (let round = 0; round < 5; round++) {
      const callers = new AbortController()
      const waiting = Array.from({ length: 40 }, () =>
        fetch(`${a.url}/queues/hangup/lease`, {
          method: 'POST',
          body: '{"waitSeconds":20,"max":3}',
          headers: { 'content-type': 'application/json' },
          signal: callers.signal
        }).catch(() => {})
      )
      await waits(a, 40)
      callers.abort()
      await a.post('/queues/hangup/messages', {
        messages: Array.from({ length: 40 }, (_, body) => ({ body }))
      })
      await Promise.all(waiting)
      await waits(a, 0)
      t.match((await a.get('/queues/hangup')).body.counts, { ready: 40, leased: 0 })
      await a.post('/queues/hangup/purge')
    }
  })

  t.test('an expired lease is back within a second or so, at either', async t => {
    await a.call('PUT', '/queues/expiry', { leaseSeconds: 0.5 })
    await a.post('/queues/expiry/messages', { body: 1 })
    let [held] = await consume(a, 'expiry')
    for (const at of [b, a, b]) {
      const [next] = await consume(at, 'expiry')
      t.equal(next.attempt, held.attempt + 1)
      const lateMs = Date.parse(next.leaseExpiresAt) - 500 - Date.parse(held.leaseExpiresAt)
      t.ok(lateMs >= 0 && lateMs < 1200, `${lateMs} ms after its end`)
      held = next
    }
  })

  t.test(
    'visibility: whatever way messages become ready, a waiting consumer has them within a second',
    async t => {
      await a.call('PUT', '/queues/seen', {
        leaseSeconds: 1,
        maxAttempts: 10,
        retry: { strategy: 'fixed', delaySeconds: 0.5, jitter: false }
      })
      const each = 25
      const ways = ['fresh', 'delayed', 'expired', 'failed', 'released', 'redriven']
      const lateMs = new Map<string, number[]>(ways.map(way => [way, []]))
      const readyMs = new Map<string, number>() // on the database's clock, by body
      const note = (body: string, leasedMs: number) =>
        lateMs.get(body.split(' ')[0]!)!.push(leasedMs - readyMs.get(body)!)
      const seen = () => [...lateMs.values()].reduce((sum, { length }) => sum + length, 0)
      const worker = async (client: Client) => {
        while (seen() < each * ways.length) {
          for (const { receipt, body, attempt, fence, enqueuedAt, leaseExpiresAt } of (
            await client.post('/queues/seen/lease', { waitSeconds: 2 })
          ).body.messages) {
            const leasedMs = Date.parse(leaseExpiresAt) - 1000
            const [way] = body.split(' ')
            if (way === 'fresh' || way === 'delayed') {
              readyMs.set(body, Date.parse(enqueuedAt) + (way === 'delayed' ? 1000 : 0))
            } else if (fence === 1) {
              if (way === 'expired') readyMs.set(body, Date.parse(leaseExpiresAt))
              const answer =
                way === 'failed'
                  ? await client.post('/queues/seen/fail', { receipt })
                  : way === 'redriven'
                    ? await client.post('/queues/seen/fail', { receipt, dead: true })
                    : way === 'released'
                      ? await client.post('/queues/seen/release', { receipt })
                      : null
              if (way === 'failed') readyMs.set(body, Date.parse(answer!.body.visibleAt))
              // No answer says when; what the database's clock says before and after is near
              // enough for a second.
              else if (way !== 'expired') {
                readyMs.set(
                  body,
                  Number(
                    (await sql.query('select extract(epoch from clock_timestamp()) * 1000 as ms')).rows[0].ms
                  )
                )
              }
              if (way === 'redriven') await client.post('/queues/seen/redrive')
              continue
            }
            t.ok(attempt <= 2)
            note(body, leasedMs)
            await client.post('/queues/seen/ack', { receipt })
          }
        }
      }
      const workers = [a, b, a, b, a, b].map(worker)
      await a.post('/queues/seen/messages', {
        messages: ways.flatMap(way =>
          Array.from({ length: each }, (_, n) => ({
            body: `${way} ${n}`,
            ...(way === 'delayed' && { delaySeconds: 1 })
          }))
        )
      })
      await Promise.all(workers)
      const all = [...lateMs.values()].flat()
      t.comment(
        `visibility ${all.filter(late => late < 1000).length} of ${all.length}; at the latest, in ` +
          'ms: ' +
          `${[...lateMs].map(([way, late]) => `${way} ${Math.round(Math.max(...late))}`).join(', ')}`
      )
      t.strictSame(
        all.filter(late => late >= 1000),
        []
      )
    }
  )

  t.test('an enqueue in SQL, through no replica, wakes a consumer', async t => {
    await a.call('PUT', '/queues/sqlready')
    const waiting = consume(b, 'sqlready')
    await waits(b, 1)
    const startedMs = performance.now()
    await sql.query("select holdfast.enqueue('sqlready', '1')")
    t.equal((await waiting).length, 1)
    t.ok(performance.now() - startedMs < 500, `after ${Math.round(performance.now() - startedMs)} ms`)
  })

  t.test(
    'a delayed message enqueued in SQL, through no replica, comes within 250 ms of its time',
    async t => {
      await a.call('PUT', '/queues/sqldelay')
      for (const seconds of [0.3, 0.7, 1.4]) {
        const waiting = consume(b, 'sqldelay')
        await sql.query("select holdfast.enqueue('sqldelay', '1', $1)", [{ delaySeconds: seconds }])
        const [message] = await waiting
        const leasedMs = Date.parse(message.leaseExpiresAt) - 30_000
        const lateMs = leasedMs - Date.parse(message.enqueuedAt) - seconds * 1000
        t.ok(lateMs >= -1 && lateMs <= 250, `${seconds} s: ${Math.round(lateMs)} ms late`)
      }
    }
  )

  t.test(
    'a message that an open transaction has acked in SQL holds up nobody but its own caller',
    async t => {
      await a.post('/queues/locked/messages', {
        messages: Array.from({ length: 20 }, (_, body) => ({ body }))
      })
      const { messages } = (await a.post('/queues/locked/lease', { max: 20 })).body
      await sql.query('begin')
      await sql.query('select holdfast.ack($1)', [messages[7].receipt])
      const answers = await Promise.all(
        messages.map(({ receipt }: any) => a.post('/queues/locked/ack', { receipt }))
      )
      t.strictSame(
        answers.map(({ status }) => status),
        messages.map((_: unknown, i: number) => (i === 7 ? 503 : 200))
      )
      t.equal(answers[7].body.outcome, 'none')
      await sql.query('commit')
      t.match((await a.post('/queues/locked/ack', { receipt: messages[7].receipt })).body, {
        outcome: 'gone'
      })
    }
  )

  t.test('sessions are durable though the role says otherwise', async t => {
    const {
      rows: [{ role }]
    } = await sql.query('select current_user as role')
    await sql.query(`alter role ${role} in database ${database.name} set synchronous_commit = off`)
    const c = await service(t, { database })
    await c.post('/queues/durable/messages', { body: 1 })
    const { openDatabase } = await import('../../src/store/database.ts')
    const pool = openDatabase({ connectionString: database.url }, { poolSize: 1, onError: () => {} })
    t.strictSame(await pool.query('show synchronous_commit'), [{ synchronous_commit: 'on' }])
    await pool.close()
  })
})

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

t.test(
  'PostgreSQL killed under load: 503 at once, no confirmed message lost, service again by itself',
  async t => {
    const server = await freshServer(t)
    const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: server.url })
    const sql = async () => await connect(t, server.url)
    await holdfast.call('PUT', '/queues/waited')
    const waiting = Array.from({ length: 5 }, () =>
      holdfast.post('/queues/waited/lease', { waitSeconds: 30 })
    )
    const running = load(holdfast, 'killed')
    const recoveries: Record<string, number> = {}
    for (const [what, kill] of [
      ['its postmaster', async () => process.kill(server.pid, 'SIGKILL')],
      [
        'one backend',
        async () => {
          const {
            rows: [{ pid }]
          } = await (
            await sql()
          ).query("select pid from pg_stat_activity where application_name = 'holdfast' limit 1")
          process.kill(pid, 'SIGKILL')
        }
      ]
    ] as const) {
      await running.reaching(running.confirmed.length + 300)
      await kill()
      const startedMs = performance.now()
      await running.reaching(running.confirmed.length + 100)
      recoveries[what] = Math.round(performance.now() - startedMs)
      t.ok(
        recoveries[what] < 5000,
        `${what}: a hundred messages more confirmed ${recoveries[what]} ms after the kill`
      )
    }
    await running.stop()
    t.comment(
      `a hundred more confirmed after the kill of ${JSON.stringify(recoveries)} ms; slowest 503 ` +
        `after ${Math.round(running.slowestRefusalMs)} ms`
    )
    t.ok(running.slowestRefusalMs < 1000, `503 at once: ${Math.round(running.slowestRefusalMs)} ms`)
    t.strictSame(
      [...running.refusals].filter(code => !['databaseUnavailable', 'outcomeUnknown'].includes(code)),
      []
    )
    await running.kept(t, server.url)
    await holdfast.post('/queues/waited/messages', { messages: waiting.map((_, body) => ({ body })) })
    for (const answer of await Promise.all(waiting)) {
      if (answer.status !== 503) {
        t.match(
          answer,
          { status: 200, body: { messages: [{ attempt: 1 }] } },
          'who waited through it still gets a message'
        )
      }
    }
    t.equal(holdfast.child.exitCode, null, 'the same process all along')
  }
)

t.test('with the database away, 503 with Retry-After at once, and no crash', async t => {
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
  while ((await holdfast.get('/readyz')).status !== 503);
  t.equal((await holdfast.get('/livez')).status, 200)
  holdfast.child.kill('SIGTERM')
  t.equal(await holdfast.ended, 0, 'it stops cleanly without a database')
})

t.test(
  'connections to PostgreSQL on which nothing passes any more, and of which nobody is told, hold up ' +
    'service for less than five seconds',
  async t => {
    const database = await freshDatabase(t)
    const proxy = new Proxy()
    const { host, port } = database.config
    proxy.target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
    const { user, password = '' } = database.config
    const holdfast = await service(t, {
      database: { url: `postgresql://${user}:${password}@127.0.0.1:${await proxy.listen()}/${database.name}` }
    })
    t.teardown(() => proxy.close())
    // Several at once, on several queues, so that many connections are open.
    const enqueueAll = () =>
      Promise.all(
        [...Array(8).keys()].map(n =>
          holdfast.post(`/queues/q${n}/messages`, { body: n, idempotencyKey: 'k' })
        )
      )
    await enqueueAll()
    proxy.silence()
    const startedMs = performance.now()
    while (!(await enqueueAll()).every(({ status }) => status < 300));
    t.ok(performance.now() - startedMs < 5000, `after ${Math.round(performance.now() - startedMs)} ms`)
    proxy.reset()
  }
)

t.test(
  'SIGTERM under load: waiting consumers get an empty answer, what was begun is finished, exit 0',
  async t => {
    const database = await freshDatabase(t)
    const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
    await holdfast.call('PUT', '/queues/empty')
    const running = load(holdfast, 'busy')
    await running.reaching(200)
    const waiting = Array.from({ length: 20 }, () =>
      holdfast.post('/queues/empty/lease', { waitSeconds: 50 })
    )
    while (!(await holdfast.get('/metrics')).text.includes('\nholdfast_waiting_calls 20\n'));
    const startedMs = performance.now()
    holdfast.child.kill('SIGTERM')
    for (const answer of await Promise.all(waiting)) t.match(answer, { status: 200, body: { messages: [] } })
    t.ok(
      performance.now() - startedMs < 1000,
      `answered after ${Math.round(performance.now() - startedMs)} ms`
    )
    t.equal(await holdfast.ended, 0)
    await running.stop()
    t.strictSame(
      [...running.refusals].filter(code => code !== 'shuttingDown'),
      [],
      'what was begun is finished'
    )
    await running.kept(t, database.url)
  }
)

t.test('while it drains, a replica is alive and not ready, and what was begun is finished', async t => {
  const holdfast = await service(t)
  await holdfast.post('/queues/q/messages', { body: 1 })
  const { receipt } = (await holdfast.post('/queues/q/lease')).body.messages[0]
  const sql = await connect(t, holdfast.databaseUrl)
  await sql.query('begin; select from holdfast.messages for update')
  const acking = holdfast.post('/queues/q/ack', { receipt })
  while (
    (
      await sql.query(
        "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      )
    ).rowCount === 0
  );
  // Connections that rest are closed at once; on these a request is on its way.
  const { hostname, port } = new URL(holdfast.url)
  const [alive, ready] = await Promise.all(
    ['/livez', '/readyz'].map(async path => {
      const socket = net.connect(Number(port), hostname)
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
      const answer = new Promise<string>(resolve => socket.once('data', bytes => resolve(String(bytes))))
      socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n`)
      await holdfast.get('/livez') // by now it has been read
      return { socket, answer }
    })
  )
  const stopping = holdfast.stop()
  await new Promise(setImmediate)
  for (const { socket } of [alive!, ready!]) socket.write('\r\n')
  t.match(await alive!.answer, /^HTTP\/1.1 200 /)
  t.match(await ready!.answer, /^HTTP\/1.1 503 .*"code":"shuttingDown"/s)
  await sql.query('commit')
  t.match(await acking, { status: 200, body: { outcome: 'acked' } })
  await stopping
})

t.test('a drain waits for nobody who keeps a connection and asks nothing', async t => {
  const database = await freshDatabase(t)
  const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
  await holdfast.post('/queues/q/messages', {
    messages: Array.from({ length: 9 }, () => ({ body: 'x'.repeat(900_000) }))
  })
  const { receipt } = (await holdfast.post('/queues/q/lease')).body.messages[0]
  await holdfast.call('PUT', '/queues/empty')
  const { hostname, port } = new URL(holdfast.url)
  const open = (request: string) => {
    const socket = net.connect(Number(port), hostname)
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    socket.write(request)
    return {
      socket,
      closed: new Promise(resolve => socket.once('close', resolve)),
      answered: new Promise<string>(resolve => socket.once('data', bytes => resolve(String(bytes))))
    }
  }
  const post = (path: string, body: object) =>
    `POST /queues/${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ` +
    `${JSON.stringify(body).length}\r\n\r\n${JSON.stringify(body)}`
  const idle = Array.from({ length: 100 }, () => open('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n'))
  await Promise.all(
    idle.map(({ socket, answered }) => {
      socket.resume()
      return answered
    })
  )
  const unused = Array.from({ length: 10 }, () => open(''))
  const waiting = Array.from({ length: 20 }, () => open(post('empty/lease', { waitSeconds: 60 })))
  const reader = open('')
  let bytes = 0
  reader.socket
    .on('data', part => {
      bytes += part.length
    })
    .once('data', () => reader.socket.pause())
  reader.socket.write('GET /queues/q/messages HTTP/1.1\r\nhost: x\r\n\r\n')
  const sql = await connect(t, database.url)
  await sql.query('begin; select from holdfast.messages for update')
  const slow = open(post('q/ack', { receipt }))
  while (
    (
      await sql.query(
        "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      )
    ).rowCount === 0
  );
  while (!(await holdfast.get('/metrics')).text.includes('\nholdfast_waiting_calls 20\n'));
  await reader.answered // begun, and most of it unread: that keeps nobody else

  let startedMs = performance.now()
  holdfast.child.kill('SIGTERM')
  await Promise.all(
    [...idle, ...unused].map(({ socket, closed }) => {
      socket.resume()
      return closed
    })
  )
  for (const { answered } of waiting) {
    t.match(await answered, /^HTTP\/1.1 200 .*\r\nconnection: close\r\n.*"messages":\[\]/is)
  }
  await Promise.all(waiting.map(({ closed }) => closed))
  t.ok(
    performance.now() - startedMs < 1000,
    `who rests or waits is gone after ${Math.round(performance.now() - startedMs)} ms`
  )
  startedMs = performance.now()
  await sql.query('commit')
  t.match(await slow.answered, /^HTTP\/1.1 200 .*"acked"/s, 'what was begun is finished')
  reader.socket.resume()
  await reader.closed
  t.ok(bytes > 8_000_000, `an answer is read to its end: ${bytes} bytes`)
  t.equal(await holdfast.ended, 0)
  t.ok(
    performance.now() - startedMs < 2000,
    `ended ${Math.round(performance.now() - startedMs)} ms after the last request`
  )
})

t.test('a PostgreSQL that does not keep its promises is refused at the start, with the reason', async t => {
  const server = await freshServer(t)
  const sql = await connect(t, server.url)
  for (const setting of ['fsync', 'full_page_writes']) {
    await sql.query(`alter system set ${setting} = off`)
    await sql.query('select pg_reload_conf()')
    while ((await sql.query(`show ${setting}`)).rows[0][setting] !== 'off');
    const child = spawn(process.execPath, ['bin/holdfast.mjs', 'serve'], {
      env: { PATH: process.env.PATH, HOLDFAST_DATABASE_URL: server.url, HOLDFAST_PORT: '0' },
      stdio: ['ignore', 'ignore', 'pipe']
    })
    let said = ''
    child.stderr.on('data', data => {
      said += data
    })
    const [code] = await once(child, 'close')
    t.equal(code, 1)
    t.match(
      said,
      new RegExp(
        `^PostgreSQL runs with ${setting} = off, so a committed message could be lost in a ` +
          'crash\\.[^\\n]*\\n$'
      )
    )
    await sql.query(`alter system reset ${setting}`)
    await sql.query('select pg_reload_conf()')
    while ((await sql.query(`show ${setting}`)).rows[0][setting] !== 'on');
  }
})

t.test('settings that cannot be read stop the start, all at once', async t => {
  const child = spawn(process.execPath, ['bin/holdfast.mjs', 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOLDFAST_PORT: 'eighty',
      HOLDFAST_DATBASE_URL: 'x',
      HOLDFAST_POOL_SIZE: '0'
    },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let said = ''
  child.stderr.on('data', data => {
    said += data
  })
  const [code] = await once(child, 'close')
  t.equal(code, 2)
  t.match(said, /HOLDFAST_PORT must be a whole number/)
  t.match(said, /HOLDFAST_DATBASE_URL is not a setting; did you mean HOLDFAST_DATABASE_URL\?/)
  t.match(said, /HOLDFAST_POOL_SIZE must be/)
})
