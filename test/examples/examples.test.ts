/** The examples, run as they stand, as real processes against a real service. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import pg from 'pg'
import t, { type Test } from 'tap'
import { freshServer } from '../support/postgres.ts'
import { client, service, serviceProcess, type Client } from '../support/service.ts'

const python = spawnSync('python3', ['--version']).status === 0
const noPython = python ? false : 'python3 is not installed'
const programs: Record<string, (role: string) => string[]> = {
  shell: role => ['bash', `docs/examples/shell/${role}.sh`],
  typescript: role => [
    process.execPath,
    '--conditions=holdfast-source',
    `docs/examples/typescript/${role}.ts`
  ],
  ...(python ? { python: (role: string) => ['python3', `docs/examples/python/${role}.py`] } : {})
}

let holdfast: Client
t.before(async () => {
  holdfast = await service(t)
})

/**
 * A bad network before the service: `upset` may refuse a call, lose its answer after it was done,
 * or hold it up.
 */
async function badNetwork(
  t: Test,
  upset: (path: string, body: string) => Promise<'refuse' | 'lose' | 'pass'>
): Promise<string> {
  const server = createServer(async (request, reply) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const what = await upset(request.url!, Buffer.concat(chunks).toString())
    if (what === 'refuse') return reply.writeHead(503, { 'retry-after': '0' }).end()
    const headers = Object.fromEntries(
      ['accept', 'content-type', 'idempotency-key'].flatMap(name =>
        request.headers[name] === undefined ? [] : [[name, String(request.headers[name])]]
      )
    )
    const answer = await holdfast
      .call(request.method!, request.url!, chunks.length > 0 ? Buffer.concat(chunks) : undefined, headers)
      .catch(() => null)
    if (what === 'lose' || answer === null) return reply.destroy()
    return reply
      .writeHead(
        answer.status,
        Object.fromEntries([...answer.headers].filter(([name]) => /^(content-type|holdfast-.*)$/.test(name)))
      )
      .end(answer.text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The receipt that a call acks, alone or with the next lease. */
function ackedBy(path: string, body: string): string | undefined {
  return (
    /[?&]ack=([^&]+)/.exec(path)?.[1] ??
    /"ack": ?\["([^"]+)/.exec(body)?.[1] ??
    (path.endsWith('/ack') ? /"([\d.]+\.[0-9a-f]{8})"/.exec(body)?.[1] : undefined)
  )
}

interface Running {
  child: ChildProcess
  ended: Promise<unknown[]>
  lines: string[]
  line: (pattern: RegExp) => Promise<RegExpExecArray>
}

/** Starts an example; `line` waits for output that fits. Killed when `t` ends. */
function run(
  t: Test,
  [command, ...args]: string[],
  queue: string,
  env: Record<string, string> = {}
): Running {
  const child = spawn(command!, args, {
    env: {
      PATH: process.env.PATH,
      QUEUE_URL: `${holdfast.url}/queues/${queue}`,
      PYTHONDONTWRITEBYTECODE: '1',
      ...env
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'exit')
  const lines: string[] = []
  let closed = false
  const output = createInterface({ input: child.stdout! })
    .on('line', line => lines.push(line))
    .on('close', () => {
      closed = true
    })
  t.teardown(async () => {
    child.kill('SIGKILL')
    child.stdout!.destroy()
    await ended
  })
  return {
    child,
    ended,
    lines,
    async line(pattern) {
      for (let at = 0; ; at++) {
        while (at >= lines.length) {
          if (closed) throw new Error(`ended without ${pattern}: ${lines.join(' | ')}`)
          await new Promise<void>(resolve =>
            output.once('line', () => resolve()).once('close', () => resolve())
          )
        }
        const match = pattern.exec(lines[at]!)
        if (match !== null) return match
      }
    }
  }
}

t.test('every producer is confirmed, and every worker works and acks what it enqueued', async t => {
  await Promise.all(
    Object.entries(programs).flatMap(([from, producer]) =>
      Object.entries(programs).map(async ([to, worker]) => {
        const queue = `${from}-to-${to}`
        const enqueued = run(t, [...producer('producer'), 'first', 'second "quoted"'], queue)
        const ids = [(await enqueued.line(/^enqueued (\d+)$/))[1]]
        ids.push((await enqueued.line(new RegExp(`^enqueued (?!${ids[0]}$)(\\d+)$`)))[1])
        const working = run(t, worker('worker'), queue, { WORK_SECONDS: '0.05' })
        for (const id of ids) await working.line(new RegExp(`^acked ${id}$`))
        t.match(working.lines[0], new RegExp(`^working ${ids[0]} attempt 1 .*first`), queue)
        t.match((await holdfast.get(`/queues/${queue}`)).body.counts, { ready: 0, leased: 0 })
        working.child.kill('SIGTERM')
        t.strictSame((await working.ended)[0], 0, `${queue}: ends at SIGTERM`)
      })
    )
  )
})

t.test('where a key is asked for, each sends the one it is given', async t => {
  const guarded = await service(t)
  const { secret } = (
    await guarded.post('/keys', { name: 'examples', rights: ['lease:keyed-*', 'enqueue:keyed-*'] })
  ).body
  while ((await guarded.get('/queues')).status !== 401);
  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const env = {
        QUEUE_URL: `${guarded.url}/queues/keyed-${name}`,
        HOLDFAST_KEY: secret,
        WORK_SECONDS: '0'
      }
      const [, id] = await run(t, [...program('producer'), 'guarded'], '', env).line(/^enqueued (\d+)$/)
      await run(t, program('worker'), '', env).line(new RegExp(`^acked ${id}$`))
      t.pass(name)
    })
  )
})

t.test(
  'a worker killed in the middle of its work: another one gets the message as attempt 2',
  { skip: noPython },
  async t => {
    const producer = run(t, ['python3', 'docs/examples/python/producer.py', 'precious'], 'killed')
    const [, id] = await producer.line(/^enqueued (\d+)$/)
    const first = run(t, ['python3', 'docs/examples/python/worker.py'], 'killed', {
      WORK_SECONDS: '600',
      LEASE_SECONDS: '1'
    })
    await first.line(new RegExp(`^working ${id} attempt 1 `))
    first.child.kill('SIGKILL')
    const second = run(t, ['python3', 'docs/examples/python/worker.py'], 'killed', { WORK_SECONDS: '0' })
    await second.line(new RegExp(`^working ${id} attempt 2 `))
    await second.line(new RegExp(`^acked ${id}$`))
    t.pass()
  }
)

t.test(
  'a lease is made to last while the work goes on; told to stop, a worker gives back what it holds, ' +
    'and the attempt does not count',
  async t => {
    await Promise.all(
      Object.entries(programs).map(async ([name, program]) => {
        const queue = `stopped-${name}`
        const {
          body: { id }
        } = await holdfast.post(`/queues/${queue}/messages`, { body: 1 })
        const message = async () => (await holdfast.get(`/queues/${queue}/messages/${id}`)).body
        const working = run(t, program('worker'), queue, {
          WORK_SECONDS: '600',
          LEASE_SECONDS: '9',
          GRACE_SECONDS: '0'
        })
        await working.line(/^working/)
        const { lease } = await message()
        while ((await message()).lease?.expiresAt === lease.expiresAt);
        working.child.kill('SIGTERM')
        t.strictSame((await working.ended)[0], 0, `${name} ends with 0`)
        t.match(await message(), { state: 'ready', attempt: 0, history: [{ outcome: 'released' }] }, name)
      })
    )
  }
)

t.test('a refusal and a lost answer: the producer asks again, and there is one message', async t => {
  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const queue = `unsure-${name}`
      const upsets = ['refuse', 'lose'] as const
      let calls = 0
      const url = await badNetwork(t, async () => upsets[calls++] ?? 'pass')
      const producer = run(t, [...program('producer'), '@once'], queue, {
        QUEUE_URL: `${url}/queues/${queue}`
      })
      const [, id] = await producer.line(/^enqueued (\d+)$/)
      t.strictSame((await producer.ended)[0], 0, name)
      t.equal(calls, 3, `${name}: asked three times`)
      const {
        body: { messages }
      } = await holdfast.get(`/queues/${queue}/messages`)
      t.strictSame(
        messages.map((message: { id: string }) => message.id),
        [id],
        name
      )
      t.match(JSON.stringify(messages[0].body), '@once', name)
    })
  )
})

t.test('a refusal is told, and not asked again', async t => {
  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const producer = run(t, [...program('producer'), 'x'], '-')
      t.not((await producer.ended)[0], 0, name)
      t.strictSame(producer.lines, [], name)
    })
  )
})

t.test(
  'a lost answer to the lease, a refusal and a lost answer to the ack: the worker asks again, and ' +
    'the work counts, at the first attempt',
  async t => {
    await Promise.all(
      Object.entries(programs).map(async ([name, program]) => {
        const queue = `ack-unsure-${name}`
        const upsets = ['refuse', 'lose'] as const
        let acks = 0
        let leases = 0
        const url = await badNetwork(t, async (path, body) =>
          path.includes('/lease') && leases++ === 0
            ? 'lose'
            : ackedBy(path, body) !== undefined
              ? (upsets[acks++] ?? 'pass')
              : 'pass'
        )
        const {
          body: { id }
        } = await holdfast.post(`/queues/${queue}/messages`, {
          body: { id: '7', receipt: 'x', attempt: 9, contentType: 'y' }
        })
        const worker = run(t, program('worker'), queue, {
          QUEUE_URL: `${url}/queues/${queue}`,
          WORK_SECONDS: '0'
        })
        await worker.line(new RegExp(`^acked ${id}$`))
        t.match(worker.lines[0], new RegExp(`^working ${id} attempt 1 \\{"id": ?"7".*"y"\\}$`), name)
        t.equal(worker.lines.length, 2, `${name}: worked once`)
        t.equal(acks, 3, name)
        t.equal((await holdfast.get(`/queues/${queue}/messages/${id}`)).status, 404, name)
      })
    )
  }
)

t.test('a worker that lost its lease says so and goes on', async t => {
  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const queue = `lost-${name}`
      const {
        body: { id }
      } = await holdfast.post(`/queues/${queue}/messages`, { body: 1 })
      let held = false
      const url = await badNetwork(t, async (path, body) => {
        const receipt = ackedBy(path, body)
        if (receipt !== undefined && !held) {
          // the ack is late: somebody else has the message by then
          held = true
          await holdfast.post(`/queues/${queue}/release`, { receipt })
          t.match(
            (await holdfast.post(`/queues/${queue}/lease`, { leaseSeconds: 600 })).body,
            { messages: [{ id, fence: 2 }] },
            name
          )
        }
        return 'pass'
      })
      const worker = run(t, program('worker'), queue, {
        QUEUE_URL: `${url}/queues/${queue}`,
        WORK_SECONDS: '0',
        CONCURRENCY: '1'
      })
      await worker.line(new RegExp(`^lost the lease of ${id}$`))
      const next = (await holdfast.post(`/queues/${queue}/messages`, { body: 2 })).body.id
      await worker.line(new RegExp(`^acked ${next}$`))
      t.match(
        (await holdfast.get(`/queues/${queue}/messages/${id}`)).body,
        { state: 'leased', history: [{ outcome: 'released' }] },
        name
      )
    })
  )
})

t.test('work that fails is failed with its reason', async t => {
  await Promise.all(
    Object.entries(programs).map(async ([name, program]) => {
      const queue = `failing-${name}`
      await holdfast.call('PUT', `/queues/${queue}`, {
        maxAttempts: 2,
        retry: { strategy: 'fixed', delaySeconds: 0, jitter: false }
      })
      const {
        body: { id }
      } = await holdfast.post(`/queues/${queue}/messages`, { body: 1 })
      const worker = run(t, program('worker'), queue, { WORK_SECONDS: 'soon' })
      await worker.line(new RegExp(`^failed ${id}$`))
      // The second attempt comes with the first one's failure, whose attempt must not be taken for
      // the message's.
      await worker.line(new RegExp(`^working ${id} attempt 2 1$`))
      worker.child.kill('SIGTERM')
      await worker.ended
      t.match(
        (await holdfast.get(`/queues/${queue}/messages/${id}`)).body.lastFailure.reason,
        /exit code 1|ValueError|not a number/,
        name
      )
    })
  )
})

t.test('send and wait: the producer learns of the ack, and not before', { skip: noPython }, async t => {
  let ask = () => {}
  const asked = new Promise<void>(resolve => {
    ask = resolve
  })
  const url = await badNetwork(t, async (path, body) => {
    if (path.includes('/messages/')) ask()
    if (ackedBy(path, body) !== undefined) {
      t.match((await holdfast.get(`/queues/confirmed/messages/${id}`)).body, { state: 'leased' })
      t.equal(sender.lines.length, 1, 'nothing yet, though the work is done: its ack is still on its way')
    }
    return 'pass'
  })
  const sender = run(t, ['python3', 'docs/examples/python/send_and_wait.py', 'tell me'], 'confirmed', {
    QUEUE_URL: `${url}/queues/confirmed`
  })
  const [, id] = await sender.line(/^enqueued (\d+)$/)
  await asked
  const worker = run(t, ['python3', 'docs/examples/python/worker.py'], 'confirmed', {
    QUEUE_URL: `${url}/queues/confirmed`,
    WORK_SECONDS: '0'
  })
  await worker.line(new RegExp(`^acked ${id}$`))
  await sender.line(new RegExp(`^acked ${id}$`))
  t.strictSame((await sender.ended)[0], 0)
})

t.test('send and wait: a message that nobody could do is told as dead', { skip: noPython }, async t => {
  await holdfast.call('PUT', '/queues/hopeless', { maxAttempts: 1 })
  const sender = run(t, ['python3', 'docs/examples/python/send_and_wait.py', 'impossible'], 'hopeless')
  const [, id] = await sender.line(/^enqueued (\d+)$/)
  run(t, ['python3', 'docs/examples/python/worker.py'], 'hopeless', { WORK_SECONDS: 'soon' })
  await sender.line(new RegExp(`^dead ${id}$`))
  t.strictSame((await sender.ended)[0], 1)
})

t.test('an effect counts exactly once while everything is killed', async t => {
  const server = await freshServer(t)
  const sql = () => connected(server.url)
  const replicas: ChildProcess[] = []
  const urls = new Map<ChildProcess, string>()
  const startReplica = async () => {
    const { child, url } = await serviceProcess(t, {
      HOLDFAST_DATABASE_URL: server.url,
      HOLDFAST_LOG_LEVEL: 'silent'
    })
    replicas.push(child)
    urls.set(child, url)
  }
  await startReplica()
  // The examples know one address; a replica that is started anew has another.
  const front = createServer(async (request, reply) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const headers = Object.fromEntries(
      ['content-type', 'idempotency-key'].flatMap(name =>
        request.headers[name] === undefined ? [] : [[name, String(request.headers[name])]]
      )
    )
    const answer = await client(urls.get(replicas.at(-1)!)!)
      .call(request.method!, request.url!, Buffer.concat(chunks), headers)
      .catch(() => null)
    if (answer === null) return reply.destroy()
    return reply.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.text)
  }).listen(0, '127.0.0.1')
  await once(front, 'listening')
  t.teardown(() => {
    front.closeAllConnections()
    front.close()
  })
  const env = {
    QUEUE_URL: `http://127.0.0.1:${(front.address() as AddressInfo).port}/queues/bookings`,
    DATABASE_URL: server.url
  }
  const examples = new Map<number, Running>()
  const start = (place: number) => {
    examples.set(
      place,
      run(
        t,
        [process.execPath, 'docs/examples/typescript/exactly_once.ts', place === 0 ? 'relay' : 'work'],
        'bookings',
        env
      )
    )
  }
  for (const place of [0, 1, 2]) start(place)

  /** Until it has been answered, whatever goes away meanwhile. */
  const ask = async (text: string, values: unknown[] = []): Promise<any[]> => {
    for (const untilMs = Date.now() + 60_000; ;) {
      const session = await sql().catch(() => null)
      try {
        if (session !== null) return (await session.query(text, values)).rows
      } catch (error) {
        if (Date.now() > untilMs) throw error
      } finally {
        await session?.end().catch(() => {})
      }
    }
  }
  const booked = async () =>
    Number((await ask("select count(*) as n from bookings where to_regclass('bookings') is not null"))[0].n)
  const kills: [string, () => unknown][] = [
    [
      'a worker',
      () => {
        examples.get(1)!.child.kill('SIGKILL')
        start(1)
      }
    ],
    [
      'the relay',
      () => {
        examples.get(0)!.child.kill('SIGKILL')
        start(0)
      }
    ],
    [
      'every session',
      () =>
        ask(
          'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and ' +
            'backend_type = $1',
          ['client backend']
        )
    ],
    [
      'the service',
      async () => {
        replicas.at(-1)!.kill('SIGKILL')
        await startReplica()
      }
    ],
    ['PostgreSQL', () => process.kill(server.pid, 'SIGKILL')],
    [
      'the other worker',
      () => {
        examples.get(2)!.child.kill('SIGKILL')
        start(2)
      }
    ]
  ]
  while ((await ask("select to_regclass('bookings') as made"))[0].made === null);
  let orders = 0
  for (const [what, kill] of kills) {
    const before = await booked()
    await ask(
      'insert into outbox (body) select json_build_object($1::text, $2::int + n) from ' +
        'generate_series(1, 24) as n',
      ['order', orders]
    )
    orders += 24
    while ((await booked()) < before + 5);
    await kill()
    t.comment(`killed ${what}, ${await booked()} of ${orders} booked`)
  }
  while ((await booked()) < orders || (await ask('select 1 from outbox limit 1')).length > 0);
  const rows = await ask(
    'select order_id, count(*)::int as times from bookings group by order_id having count(*) <> 1'
  )
  t.strictSame(rows, [], 'no order was booked twice')
  t.equal(
    Number((await ask('select count(distinct order_id) as n from bookings'))[0].n),
    orders,
    'and none was not'
  )

  const [, audit] = /```sql\n([^`]*)```/.exec(await readFile('docs/guarantees.md', 'utf8'))!
  t.strictSame(await ask(audit!), [], 'the audit accounts for every message')
  await ask('insert into holdfast.ledger (queue_id, enqueued_total) select id, 1 from holdfast.queues')
  t.equal((await ask(audit!)).length, 1, 'and would tell of one that is missing')
})

async function connected(url: string): Promise<pg.Client> {
  const session = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5000,
    query_timeout: 10_000
  })
  session.on('error', () => {})
  await session.connect()
  return session
}
