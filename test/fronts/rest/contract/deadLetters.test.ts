/** Dead-letter queues: what moves, what it shows there, and what a redrive does with it. */
import t from 'tap'
import { openDatabase } from '../../../../src/store/database.ts'
import { createMaintenance } from '../../../../src/store/upkeep/maintenance.ts'
import { holdfast, queue, sql } from './setup.ts'
import { pollPause } from '../../../support/pollPause.ts'

const database = openDatabase({ connectionString: holdfast.databaseUrl }, { poolSize: 1, onError: () => {} })
t.teardown(() => database.close())

type Queue = Awaited<ReturnType<typeof queue>>

/** A queue with a dead-letter queue, which is made too. */
async function pair(settings: object = {}, deadSettings: object = {}): Promise<{ q: Queue; dead: Queue }> {
  const dead = await queue(deadSettings)
  const q = await queue({ deadLetterQueue: dead.name, ...settings })
  return { q, dead }
}

/** Enqueues a message and lets it die. Returns its id and what the fail answered. */
async function die(q: Queue, message: object = { body: 1 }, failure: object = { reason: 'no' }) {
  const id = await q.id(message)
  const [leased] = await q.lease()
  return { id, leased, outcome: await q.outcome('fail', leased, { dead: true, ...failure }) }
}

const countsOf = async (q: Queue) => (await q.report()).counts
const hasMetric = async (line: string) => (await holdfast.get('/metrics')).text.includes(line)

t.test('a message that dies moves with all that it has, and is ready at once', async t => {
  const { q, dead } = await pair({ retry: { delaySeconds: 0 } }, { delaySeconds: 60, paused: false })
  const content = { body: { a: 1 }, headers: { h: 'v' }, priority: 7, maxAttempts: 2, ttlSeconds: 1000 }
  const id = await q.id(content)
  const [first] = await q.lease({ worker: 'w1' })
  t.strictSame((await q.outcome('fail', first, { reason: 'once' })).outcome, 'retrying')
  const [second] = await q.lease({ worker: 'w2' })
  t.strictSame(await q.outcome('fail', second, { reason: 'twice' }), {
    outcome: 'dead',
    movedTo: dead.name
  })
  t.match(await countsOf(q), { ready: 0, leased: 0, dead: 0 })
  t.match(await countsOf(dead), { ready: 1, dead: 0 })

  const origin = { queue: q.name, diedAt: String, reason: 'twice', attempts: 2 }
  const [leased] = await dead.lease()
  const { maxAttempts: _, ttlSeconds: __, ...shown } = content
  t.match(leased, { id, ...shown, attempt: 1, maxAttempts: 5, origin })
  t.strictSame(Object.keys(leased.origin), ['queue', 'diedAt', 'reason', 'attempts'])
  t.ok(leased.fence > second.fence + 1, 'the move and the lease have each raised the fence')
  const { body } = await dead.message(id)
  t.match(body, { state: 'leased', origin, headers: { h: 'v' } })
  t.match(body.history, [
    { queue: q.name, attempt: 1, worker: 'w1', outcome: 'failed', reason: 'once' },
    { queue: q.name, attempt: 2, worker: 'w2', outcome: 'failed', reason: 'twice' }
  ])
  t.match((await holdfast.get(`${dead.path}/messages`)).body.messages, [{ id, origin }])
  await dead.outcome('release', leased)

  const raw = await holdfast.post(`${dead.path}/lease`, {}, { accept: 'text/plain' })
  t.equal(raw.headers.get('holdfast-origin-queue'), q.name)
  t.equal(raw.headers.get('holdfast-origin-died-at'), leased.origin.diedAt)
  t.equal(raw.headers.get('holdfast-origin-reason'), 'twice')
  t.equal(raw.headers.get('holdfast-origin-attempts'), '2')
  await dead.settle('ack', { receipt: raw.headers.get('holdfast-receipt') })
  t.match(await countsOf(dead), { ready: 0, leased: 0, delayed: 0, dead: 0 })
})

t.test('the end of the last lease moves a message too', async t => {
  const { q, dead } = await pair({ maxAttempts: 1 })
  const waiting = dead.lease({ waitSeconds: 20 })
  const id = await q.id({ body: 1 })
  const [held] = await q.lease({ worker: 'w' })
  await q.age(60)
  t.match(await waiting, [{ id, origin: { queue: q.name, reason: 'lease expired', attempts: 1 } }])
  t.match((await dead.message(id)).body.history, [{ queue: q.name, worker: 'w', outcome: 'expired' }])
  t.strictSame(await q.outcome('ack', held), { outcome: 'gone' }, 'a late ack comes too late')
})

t.test('a death wakes a consumer of the dead-letter queue', async t => {
  const { q, dead } = await pair()
  const waiting = dead.lease({ waitSeconds: 20 })
  const startedMs = performance.now()
  const { id } = await die(q)
  t.match(await waiting, [{ id }])
  t.ok(performance.now() - startedMs < 5000)
})

t.test('the move ends the receipt', async t => {
  const { q } = await pair()
  const { leased } = await die(q)
  for (const verb of ['ack', 'release', 'fail']) {
    t.strictSame(await q.outcome(verb, leased), { outcome: 'gone' }, verb)
  }
  t.match(await q.settle('extend', { receipt: leased.receipt, leaseSeconds: 5 }), {
    status: 409,
    body: { code: 'gone' }
  })
})

t.test('a missing target is made with the defaults; purge, cancel and time to live do not move', async t => {
  const q = await queue({ deadLetterQueue: 'made-by-death' })
  t.equal((await holdfast.get('/queues/made-by-death')).status, 404)
  await q.id({ body: 'purged' })
  await q.settle('purge', {})
  await holdfast.call('DELETE', `${q.path}/messages/${await q.id({ body: 'cancelled' })}`)
  t.equal((await holdfast.get('/queues/made-by-death')).status, 404)
  const { outcome } = await die(q)
  t.strictSame(outcome, { outcome: 'dead', movedTo: 'made-by-death' })
  t.match((await holdfast.get('/queues/made-by-death')).body, {
    settings: { maxAttempts: 5, deadLetterQueue: null },
    counts: { ready: 1 }
  })
})

t.test('a full, paused queue with small messages receives all the same', async t => {
  const { q, dead } = await pair({}, { maxDepth: 1, paused: true })
  await dead.id({ body: 'full' })
  for (let i = 0; i < 3; i++) t.match((await die(q)).outcome, { movedTo: dead.name })
  t.match(await countsOf(dead), { ready: 4 })
})

t.test('a list of queues can be of those whose dead messages go to one', async t => {
  const { q, dead } = await pair()
  const other = await queue({ deadLetterQueue: dead.name })
  const namesOf = async (name: string, more = '') =>
    (await holdfast.get(`/queues?deadLetterQueue=${name}${more}`)).body.queues.map((row: any) => row.queue)
  t.strictSame((await namesOf(dead.name)).sort(), [q.name, other.name].sort())
  t.equal((await namesOf(dead.name, '&limit=1')).length, 1)
  t.strictSame(await namesOf(q.name), [])
  t.equal((await holdfast.get('/queues?deadLetterQueue=a%20b')).status, 400)
})

t.test('in a chain the origin is the first queue, and a circle is refused', async t => {
  const last = await queue()
  const middle = await queue({ deadLetterQueue: last.name })
  const first = await queue({ deadLetterQueue: middle.name })
  const { id } = await die(first, { body: 1 }, { reason: 'first' })
  const [leased] = await middle.lease()
  t.strictSame(await middle.outcome('fail', leased, { dead: true, reason: 'second' }), {
    outcome: 'dead',
    movedTo: last.name
  })
  const { body } = await last.message(id)
  t.match(body, { origin: { queue: first.name, reason: 'first', attempts: 1 } })
  t.match(body.history, [{ queue: first.name }, { queue: middle.name }])

  for (const [q, target] of [
    [last, first.name],
    [last, middle.name],
    [first, first.name]
  ] as const) {
    t.match(await q.put({ deadLetterQueue: target, leaseSeconds: 7 }), {
      status: 400,
      body: { code: 'invalidRequest', errors: [{ pointer: '/deadLetterQueue' }] }
    })
    t.equal((await q.report()).settings.leaseSeconds, 30, 'and nothing of the change was made')
  }
  t.equal((await first.put({ deadLetterQueue: null })).status, 200)
  t.equal((await last.put({ deadLetterQueue: first.name })).status, 200)
})

t.test('a redrive sends each message home, makes dead ones ready here, and leaves the others', async t => {
  const { q, dead } = await pair()
  const other = await queue({ deadLetterQueue: dead.name })
  const { id: home } = await die(q, { body: 'home', maxAttempts: 3, ttlSeconds: 500, priority: 2 })
  const { id: elsewhere } = await die(other, { body: 'elsewhere' })
  const { id: here } = await die(dead, { body: 'here', priority: 9 })
  await die(q, { body: 'leased', priority: 9 })
  t.match(await dead.lease(), [{ body: 'leased' }])
  const { id: plain } = (await dead.enqueue({ body: 'plain' })).body
  t.match((await holdfast.post(`${dead.path}/redrive`, { dryRun: true })).body, { matched: 3 })
  t.match((await holdfast.post(`${dead.path}/redrive`)).body, { redriven: 3 })
  const { body } = await q.message(home)
  t.match(body, { state: 'ready', attempt: 0, maxAttempts: 3, priority: 2 })
  t.notOk('origin' in body)
  t.equal((await other.message(elsewhere)).body.state, 'ready')
  t.equal((await dead.message(here)).body.state, 'ready')
  t.equal((await dead.message(plain)).body.state, 'ready')
  t.match(await countsOf(dead), { ready: 2, leased: 1, dead: 0 })
  const { rows } = await sql.query(
    'select extract(epoch from expires_at - now())::float8 as left from holdfast.messages where id = $1',
    [home]
  )
  t.ok(rows[0].left > 490 && rows[0].left <= 500, 'the time to live starts anew')
  t.match((await holdfast.post(`${dead.path}/redrive`)).body, { redriven: 0 })
})

t.test('a redrive raises the fence, and the time to live of a dead message here starts anew', async t => {
  const q = await queue()
  const { id, leased } = await die(q, { body: 1, ttlSeconds: 500 })
  await sql.query(
    `
    update holdfast.messages
    set enqueued_at = enqueued_at - interval '400 s',
      expires_at = expires_at - interval '400 s'
    where id = $1`,
    [id]
  )
  await holdfast.post(`${q.path}/redrive`)
  t.strictSame(await q.settle('ack', { receipt: leased.receipt }).then(({ body }) => body.code), 'leaseLost')
  const { rows } = await sql.query(
    'select extract(epoch from expires_at - now())::float8 as left from holdfast.messages where id = $1',
    [id]
  )
  t.ok(rows[0].left > 490 && rows[0].left <= 500)
})

t.test('a redrive sends messages to a queue that it names, by ids, filter and limit', async t => {
  const { q, dead } = await pair()
  const ids = []
  for (const body of ['a', 'b', 'c', 'd']) ids.push((await die(q, { body })).id)
  const redrive = async (body: object) => (await holdfast.post(`${dead.path}/redrive`, body)).body
  t.match(await redrive({ to: 'fresh', ids: [ids[0]] }), { redriven: 1 })
  t.match(await redrive({ to: 'fresh', where: { contains: 'c' } }), { redriven: 1 })
  t.match(await redrive({ to: 'fresh', limit: 1, dryRun: true }), { matched: 1 })
  t.match(await redrive({ to: 'fresh', limit: 1 }), { redriven: 1 })
  const { messages } = (await holdfast.post('/queues/fresh/lease', { max: 10 })).body
  t.strictSame(
    messages.map(({ body, origin }: any) => [body, origin]),
    [
      ['a', undefined],
      ['c', undefined],
      ['b', undefined]
    ]
  )
  t.match(await redrive({}), { redriven: 1 })
  t.equal((await q.message(ids[3]!)).body.state, 'ready')
})

t.test('a home that was deleted is made again', async t => {
  const { q, dead } = await pair({ maxAttempts: 7 })
  const { id } = await die(q)
  await holdfast.call('DELETE', q.path)
  t.match((await holdfast.post(`${dead.path}/redrive`)).body, { redriven: 1 })
  t.match(await q.message(id), { status: 200, body: { state: 'ready', maxAttempts: 5 } })
})

t.test('order is kept through the move and the redrive, and neither blocks a group', async t => {
  const { q, dead } = await pair({ ordering: 'group' }, { ordering: 'group' })
  for (const body of ['a1', 'b1', 'a2', 'a3']) await q.enqueue({ body, group: body[0]! })
  const kill = async (from: Queue, bodies: string[]) => {
    for (const body of bodies) {
      const leased = await from.lease({ max: 1 })
      t.match(leased, [{ body }], `${body} is next`)
      await from.outcome('fail', leased[0], { dead: true })
    }
  }
  await kill(q, ['a1', 'b1', 'a2'])
  const [held] = await dead.lease()
  t.match(held, { body: 'a1', group: 'a' })
  t.match(await dead.lease(), [{ body: 'b1' }], 'a2 waits for a1')
  t.strictSame(await dead.lease(), [])
  t.match((await holdfast.post(`${dead.path}/redrive`)).body, { redriven: 1 })
  await dead.outcome('ack', held)
  t.strictSame(await dead.lease(), [], 'a2 has gone home')
  t.match(await q.lease({ max: 10 }), [{ body: 'a3' }, { body: 'a2' }], 'to the tail of its group')
})

t.test('groups take turns among moved messages, and among those that come home', async t => {
  const { q, dead } = await pair({ fairness: 'group' }, { fairness: 'group' })
  for (const body of ['a1', 'a2', 'a3', 'b1', 'b2']) await q.enqueue({ body, group: body[0]! })
  const leased = await q.lease({ max: 10 })
  t.equal(leased.length, 5)
  await q.settle('fail', { failures: leased.map(({ receipt }: any) => ({ receipt, dead: true })) })
  t.match(await countsOf(dead), { ready: 5 })
  const [head] = await dead.lease()
  t.match(await holdfast.post(`${dead.path}/redrive`), { body: { redriven: 4 } })
  await dead.outcome('ack', head)
  t.strictSame(await dead.lease(), [])
  const home = []
  for (let i = 0; i < 4; i++) home.push((await q.lease())[0].body[0])
  t.notMatch(home.slice(0, 2).join(''), /aa|bb/, 'the first two are of two groups')
  t.match(await countsOf(q), { ready: 0, leased: 4 })
})

t.test('a redrive of a head frees its group', async t => {
  const { q, dead } = await pair({ ordering: 'group' }, { ordering: 'queue' })
  const ids = []
  for (const body of [1, 2, 3]) ids.push((await die(q, { body, group: `${body}` })).id)
  t.match((await holdfast.post(`${dead.path}/redrive`, { ids: [ids[0]] })).body, { redriven: 1 })
  const [second] = await dead.lease()
  t.match(second, { body: 2 })
  await dead.outcome('release', second)
  t.match((await holdfast.post(`${dead.path}/redrive`, { to: dead.name })).body, { redriven: 2 })
  t.match(await dead.leaseBodies({ max: 10 }), [2, 3])
  t.match(await q.leaseBodies({ max: 10 }), [1])
  const { rows } = await sql.query(
    `
    select l.line
    from holdfast.lines l
    join holdfast.queues q on q.id = l.queue_id
    where q.name = any($1)
      and not exists (select from holdfast.messages m where m.queue_id = l.queue_id and m.line = l.line)`,
    [[q.name, dead.name]]
  )
  t.strictSame(rows, [], 'no line is left without a message')
})

t.test('a producer that waits is told where its message went', async t => {
  const { q, dead } = await pair({ keepAckedSeconds: 60 })
  const id = await q.id({ body: 'asked', headers: { h: 'v' }, maxAttempts: 9 })
  const waiting = holdfast.get(`${q.path}/messages/${id}?waitSeconds=20`)
  const [leased] = await q.lease({ worker: 'w' })
  await q.outcome('fail', leased, { dead: true, reason: 'no' })
  const moved = {
    id,
    state: 'dead',
    movedTo: dead.name,
    body: 'asked',
    attempt: 1,
    maxAttempts: 9,
    lastFailure: { attempt: 1, reason: 'no' },
    history: [{ queue: q.name, worker: 'w', outcome: 'failed' }]
  }
  t.match(await waiting, { status: 200, body: moved })
  await dead.outcome('fail', (await dead.lease())[0], { reason: 'there', delaySeconds: 60 })
  const { body } = await q.message(id)
  t.match(body, moved)
  t.equal(body.history.length, 1, 'attempts in the other queue are not shown')
  const stranger = await queue({ deadLetterQueue: dead.name })
  t.equal((await stranger.message(id)).status, 404, 'a queue that it never was in does not show it')
})

t.test('explain tells where a message came from, and where it will go', async t => {
  const { q, dead } = await pair({ maxAttempts: 1 })
  const { id } = await die(q)
  const explain = async (in_: Queue, of: string) =>
    (await holdfast.get(`${in_.path}/messages/${of}/explain`)).body.reasons
  t.match(await explain(dead, id), [{ code: 'deadLetter', detail: new RegExp(`in the queue ${q.name} at`) }])
  t.match(await explain(q, id), [{ code: 'dead', detail: new RegExp(`dead-letter queue ${dead.name}`) }])
  const held = await q.id({ body: 2 })
  await q.lease()
  t.match(await explain(q, held), [{ code: 'leased', detail: new RegExp(`goes to the queue ${dead.name}`) }])
})

/** Waits until the sweeper has added the enqueue to the counts of the queue. */
async function enqueueCounted(name: string): Promise<void> {
  for (let counted = false; !counted;) {
    const { rows } = await sql.query(
      `
      select enqueued_total > 0 as counted
      from holdfast.counts
      where queue_id = (select id from holdfast.queues where name = $1)`,
      [name]
    )
    counted = rows[0].counted
  }
}

t.test('in a dead-letter queue the retention counts from the death', async t => {
  const { q, dead } = await pair({}, { retentionSeconds: 100 })
  const { id: young } = await die(q)
  const { id: old } = await die(q)
  const { id: early } = (await dead.enqueue({ body: 'enqueued there' })).body
  const agedBy = (column: string, id: string) =>
    sql.query(`update holdfast.messages set ${column} = ${column} - interval '101 s' where id = $1`, [id])
  await agedBy('enqueued_at', young)
  await agedBy('kept_from', old)
  await agedBy('enqueued_at', early)
  await enqueueCounted(dead.name)
  await createMaintenance(database).retention()
  t.equal((await dead.message(young)).status, 200)
  t.equal((await dead.message(old)).status, 404)
  t.equal((await dead.message(early)).status, 404)
  t.match(await countsOf(dead), { ready: 1 })
})

t.test('the metrics count deaths in the source and arrivals in the target', async t => {
  const { q, dead } = await pair()
  await die(q)
  await die(q)
  await holdfast.post(`${dead.path}/redrive`, { limit: 1 })
  const lines = [
    `holdfast_dead_total{queue="${q.name}"} 2`,
    `holdfast_moved_total{queue="${q.name}",by="death"} 2`,
    `holdfast_enqueued_total{queue="${dead.name}",by="death"} 2`,
    `holdfast_enqueued_total{queue="${dead.name}"} 0`,
    `holdfast_moved_total{queue="${dead.name}",by="redrive"} 1`,
    `holdfast_enqueued_total{queue="${q.name}",by="redrive"} 1`,
    `holdfast_messages{queue="${q.name}",state="dead"} 0`
  ]
  for (const line of lines) while (!(await hasMetric(line))) await pollPause()
  t.pass('all of them')
})
