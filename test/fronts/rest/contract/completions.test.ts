/** Acks with a result and with next messages: the ack and what follows are one commit. */
import t from 'tap'
import { listMax, messageBytesMax, resultBytesMax, thenMax } from '../../../../src/core/limits.ts'
import { holdfast, queue, sql } from './setup.ts'
import { pollPause } from '../../../support/pollPause.ts'

type Queue = Awaited<ReturnType<typeof queue>>

/** Enqueues messages and leases them. */
async function leased(q: Queue, count = 1): Promise<any[]> {
  for (let body = 0; body < count; body++) await q.enqueue({ body })
  return await q.lease({ max: count })
}
/** How many messages are ready in a queue. */
const ready = async (q: Queue) => (await q.report()).counts.ready
const stateOf = async (q: Queue, { id }: { id: string }) => (await q.message(id)).body.state

t.test('an ack enqueues what follows, in its own commit, and says what it enqueued', async t => {
  const [from, to] = [await queue(), await queue()]
  const [{ receipt }] = await leased(from)
  const then = [
    { queue: to.name, body: { n: 1 }, headers: { a: 'b' }, priority: 7 },
    { queue: from.name, body: 'again', delaySeconds: 600 }
  ]
  const answer = await from.settle('ack', { receipt, then })
  t.equal(answer.status, 200)
  const [first, second] = answer.body.then
  t.strictSame(answer.body, {
    outcome: 'acked',
    then: [
      { queue: to.name, id: first.id },
      { queue: from.name, id: second.id }
    ]
  })
  t.match(await to.lease(), [{ id: first.id, body: { n: 1 }, headers: { a: 'b' }, priority: 7, attempt: 1 }])
  t.equal(await stateOf(from, second), 'delayed')
  t.match((await from.report()).counts, { ready: 0, delayed: 1, leased: 0 })
})

t.test('a next message has its body as it was sent, and inherits nothing', async t => {
  const [from, to] = [await queue(), await queue()]
  await from.enqueue({ body: 1, headers: { a: 'b' }, priority: 9 })
  const [{ receipt }] = await from.lease()
  const body = '{"n":12345678901234567890,  "a":1, "a":2, "__proto__":"\\u0041"}'
  const text = `{"receipt":"${receipt}","then":[{"queue":"${to.name}","body":${body}}]}`
  t.equal((await holdfast.post(`${from.path}/ack`, text)).status, 200)
  const lease = await holdfast.post(`${to.path}/lease`)
  t.ok(lease.text.includes(`"body":${body},`), lease.text)
  t.match(lease.body.messages, [{ headers: {}, priority: 4 }])
})

t.test('a repeat enqueues nothing', async t => {
  for (const keepAckedSeconds of [0, 600]) {
    const [from, to] = [await queue({ keepAckedSeconds }), await queue({ maxDepth: 1 })]
    const [{ receipt }] = await leased(from)
    const then = [{ queue: to.name, body: 1 }]
    t.match((await from.settle('ack', { receipt, then })).body, { outcome: 'acked', then: [{}] })
    const outcome = keepAckedSeconds > 0 ? 'acked' : 'gone'
    t.strictSame(
      (await from.settle('ack', { receipt, then })).body,
      { outcome },
      'although the target is full'
    )
    await holdfast.call('DELETE', to.path)
    t.strictSame((await from.settle('ack', { receipt, then: [{ queue: to.name, body: 2 }] })).body, {
      outcome
    })
  }
})

t.test('twice at once, and twice in a list: one ack enqueues', async t => {
  const [from, to] = [await queue(), await queue()]
  const [{ receipt }, other] = await leased(from, 2)
  const ack = { receipt, then: [{ queue: to.name, body: 1 }] }
  const answers = await Promise.all(Array.from({ length: 20 }, () => from.settle('ack', ack)))
  t.equal(answers.filter(({ body }) => 'then' in body).length, 1)
  t.equal(await ready(to), 1)
  const twice = { receipt: other.receipt, then: [{ queue: to.name, body: 2 }] }
  const { outcomes } = (await from.settle('ack', { acks: [twice, twice] })).body
  t.match(outcomes, [{ outcome: 'acked', then: [{}] }, { outcome: 'acked' }])
  t.notOk('then' in outcomes[1])
  t.equal(await ready(to), 2)
})

t.test('in a list, what is gone or lost is an outcome, and leaves out its own then', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held, gone, lost] = await leased(from, 3)
  await from.settle('ack', { receipt: gone.receipt })
  await from.settle('release', { receipt: lost.receipt })
  await from.lease()
  const acks = [gone, held, lost].map(({ receipt }, n) => ({ receipt, then: [{ queue: to.name, body: n }] }))
  const { status, body } = await from.settle('ack', { acks: [...acks, { receipt: held.receipt }] })
  t.equal(status, 200)
  t.match(body.outcomes, [
    { receipt: gone.receipt, outcome: 'gone' },
    { receipt: held.receipt, outcome: 'acked', then: [{ queue: to.name }] },
    { receipt: lost.receipt, outcome: 'leaseLost' },
    { receipt: held.receipt, outcome: 'acked' }
  ])
  t.strictSame(
    body.outcomes.map((outcome: object) => 'then' in outcome),
    [false, true, false, false]
  )
  t.strictSame(await to.leaseBodies({ max: 10 }), [1])
  const alone = await from.settle('ack', { receipt: lost.receipt, then: [{ queue: to.name, body: 9 }] })
  t.match(alone, { status: 409, body: { code: 'leaseLost' } })
  t.equal(await ready(to), 0)
})

t.test('a lease takes acks with what follows beside plain receipts', async t => {
  const [from, to] = [await queue({ keepAckedSeconds: 600 }), await queue()]
  const [one, two, three] = await leased(from, 3)
  const id = await from.id({ body: 'next' })
  const ack = [
    one.receipt,
    { receipt: two.receipt, then: [{ queue: to.name, body: 1 }] },
    { receipt: three.receipt, result: 3 }
  ]
  const { status, body } = await holdfast.post(`${from.path}/lease`, { ack })
  t.equal(status, 200)
  t.match(body, {
    messages: [{ id }],
    outcomes: [
      { receipt: one.receipt, outcome: 'acked' },
      { receipt: two.receipt, outcome: 'acked', then: [{ queue: to.name, id: /^\d+$/ }] },
      { receipt: three.receipt, outcome: 'acked' }
    ]
  })
  t.equal((await from.message(three.id)).body.result, 3)
  const plain = await holdfast.post(`${from.path}/lease`, { ack: [{ receipt: body.messages[0].receipt }] })
  t.match(plain.body, { messages: [], outcomes: [{ receipt: body.messages[0].receipt, outcome: 'acked' }] })
})

t.test('a lease whose acks are refused leases nothing', async t => {
  const [from, full] = [await queue(), await queue({ maxDepth: 1 })]
  await full.enqueue({ body: 1 })
  const [held] = await leased(from)
  const id = await from.id({ body: 'next' })
  const ack = [{ receipt: held.receipt, then: [{ queue: full.name, body: 1 }] }]
  const { status, body } = await holdfast.post(`${from.path}/lease`, { ack })
  t.match(
    { status, body },
    { status: 429, body: { code: 'queueFull', errors: [{ pointer: '/ack/0/then/0' }] } }
  )
  t.equal(await stateOf(from, held), 'leased')
  t.equal(await stateOf(from, { id }), 'ready')
})

t.test('with an idempotency key, a repeated lease brings the same messages and acks once', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from)
  await from.enqueue({ body: 'next' })
  const request = {
    idempotencyKey: 'k',
    ack: [{ receipt: held.receipt, then: [{ queue: to.name, body: 1 }] }]
  }
  const first = (await holdfast.post(`${from.path}/lease`, request)).body
  const again = (await holdfast.post(`${from.path}/lease`, request)).body
  t.strictSame(again.messages, first.messages)
  t.match([...first.outcomes, ...again.outcomes], [{ outcome: 'acked' }, { outcome: 'gone' }])
  t.equal(await ready(to), 1)
})

t.test('a then that is refused refuses the whole call, names its place, and settles nothing', async t => {
  const from = await queue()
  const [full, free] = [await queue({ maxDepth: 2 }), await queue()]
  await full.enqueue({ body: 1 })
  await free.enqueue({ body: 1, idempotencyKey: 'k' })
  const held = await leased(from, 2)
  const good = { queue: free.name, body: 1 }
  const large = 'x'.repeat(messageBytesMax)
  for (const [what, entries, status, code, pointer] of [
    [
      'a full queue',
      [good, { queue: full.name, body: 1 }, { queue: full.name, body: 2 }],
      429,
      'queueFull',
      '/acks/1/then/2'
    ],
    [
      'other content under a key',
      [{ ...good, body: 2, idempotencyKey: 'k' }],
      422,
      'idempotencyMismatch',
      '/acks/1/then/0'
    ],
    [
      'two contents under a key',
      [
        { ...good, idempotencyKey: 'l' },
        { ...good, body: 2, idempotencyKey: 'l' }
      ],
      422,
      'idempotencyMismatch',
      '/acks/1/then/1'
    ],
    ['a large body', [good, { queue: free.name, body: large }], 413, 'bodyTooLarge', '/acks/1/then/1/body'],
    ['no body', [{ queue: free.name }], 400, 'invalidRequest', '/acks/1/then/0/body'],
    ['no queue', [{ body: 1 }], 400, 'invalidRequest', '/acks/1/then/0/queue'],
    ['a bad name', [{ queue: '../x', body: 1 }], 400, 'invalidRequest', '/acks/1/then/0/queue'],
    ['an unknown field', [{ ...good, colour: 1 }], 400, 'invalidRequest', '/acks/1/then/0/colour'],
    ['a bad option', [{ ...good, priority: 10 }], 400, 'invalidRequest', '/acks/1/then/0/priority'],
    [
      'an odd time',
      [{ ...good, visibleAt: '1969-01-01T00:00:00Z' }],
      400,
      'invalidRequest',
      '/acks/1/then/0/visibleAt'
    ],
    ['none', [], 400, 'invalidRequest', '/acks/1/then'],
    ['too many', Array(thenMax + 1).fill(good), 400, 'invalidRequest', '/acks/1/then']
  ] as const) {
    const acks = [
      { receipt: held[0].receipt, then: [good] },
      { receipt: held[1].receipt, then: entries }
    ]
    const answer = await from.settle('ack', { acks })
    t.match(answer, { status, body: { code, errors: [{ pointer }] } }, what)
    t.equal((await from.report()).counts.leased, 2, `${what}: nothing is acked`)
    t.match([await ready(full), await ready(free)], [1, 1], `${what}: nothing is enqueued`)
  }
  const bad = await from.settle('ack', {
    acks: [{ receipt: held[0].receipt, then: [good] }, { receipt: 'x' }]
  })
  t.match(bad, { status: 400, body: { code: 'invalidReceipt', errors: [{ pointer: '/acks/1/receipt' }] } })
  t.equal((await from.report()).counts.leased, 2)
})

t.test('a request has at most a thousand next messages', async t => {
  const [from, to] = [await queue(), await queue()]
  const held = await leased(from, 11)
  const then = Array(thenMax).fill({ queue: to.name, body: 1 })
  const acks = held.map(({ receipt }) => ({ receipt, then }))
  t.match(await from.settle('ack', { acks }), {
    status: 400,
    body: { errors: [{ pointer: '/acks/10/then' }] }
  })
  t.equal((await from.report()).counts.leased, 11)
  const { body } = await from.settle('ack', { acks: acks.slice(0, 10) })
  t.equal(body.outcomes.flatMap(({ then }: { then: object[] }) => then).length, listMax)
  t.equal(await ready(to), listMax)
})

t.test('idempotency keys count in the target, also within one call', async t => {
  const [from, to] = [await queue(), await queue()]
  const first = (await to.enqueue({ body: 1, idempotencyKey: 'k' })).body.id
  const [held] = await leased(from)
  const next = (key: string, body: number) => ({ queue: to.name, body, idempotencyKey: key })
  const then = [next('k', 1), next('new', 2), next('new', 2)]
  const { body } = await from.settle('ack', { receipt: held.receipt, then })
  const made = body.then[1].id
  t.strictSame(body.then, [
    { queue: to.name, id: first, duplicate: true },
    { queue: to.name, id: made },
    { queue: to.name, id: made, duplicate: true }
  ])
  t.equal(await ready(to), 2)
})

t.test('the queue itself as a target: the ack makes the room', async t => {
  const q = await queue({ maxDepth: 1 })
  const [held] = await leased(q)
  const answer = await q.settle('ack', { receipt: held.receipt, then: [{ queue: q.name, body: 'again' }] })
  t.match(answer, { status: 200, body: { outcome: 'acked' } })
  t.strictSame(await q.leaseBodies(), ['again'])
})

t.test('an unknown target is made, as an enqueue makes it', async t => {
  const from = await queue()
  const [held] = await leased(from)
  const name = `${from.name}-made`
  const answer = await from.settle('ack', { receipt: held.receipt, then: [{ queue: name, body: 1 }] })
  t.match(answer.body, { outcome: 'acked', then: [{ queue: name }] })
  t.match((await holdfast.get(`/queues/${name}`)).body.counts, { ready: 1 })
})

t.test('many calls at once: one that is refused fails no other', async t => {
  const [from, full, keyed] = [await queue(), await queue({ maxDepth: 5 }), await queue()]
  await keyed.enqueue({ body: 'first', idempotencyKey: 'k' })
  const held = await leased(from, 60)
  const answers = await Promise.all(
    held.map(({ receipt }, n) => {
      const thens = [{ queue: full.name }, { queue: keyed.name, idempotencyKey: 'k' }, { queue: keyed.name }]
      return from.settle('ack', { receipt, then: [{ ...thens[n % 3]!, body: n }] })
    })
  )
  const statuses = (third: number) => answers.filter((_, n) => n % 3 === third).map(({ status }) => status)
  // Two commits at once may each take the room that is left.
  const stored = statuses(0).filter(status => status === 200).length
  t.ok(stored === 5 || stored === 10, `${stored} stored where there is room for 5`)
  t.strictSame(
    statuses(0).sort(),
    [...Array(stored).fill(200), ...Array(20 - stored).fill(429)],
    'all others are refused'
  )
  t.strictSame(statuses(1), Array(20).fill(422))
  t.strictSame(statuses(2), Array(20).fill(200))
  t.match([await ready(full), await ready(keyed)], [stored, 21])
  t.equal((await from.report()).counts.leased, 40 - stored)
})

t.test('a target has its own settings: its delay, its largest body, its order', async t => {
  const from = await queue()
  const [small, ordered] = [
    await queue({ messageBytesMax: 5, delaySeconds: 60 }),
    await queue({ ordering: 'group' })
  ]
  const [held, other] = await leased(from, 2)
  for (const [queue, message, status, pointer] of [
    [small, { body: 'large' }, 413, '/then/1/body'],
    [ordered, { body: 1, priority: 4 }, 400, '/then/1/priority'],
    [ordered, { body: 1, delaySeconds: 1 }, 400, '/then/1/delaySeconds']
  ] as const) {
    const then = [
      { queue: from.name, body: 1 },
      { queue: queue.name, ...message }
    ]
    const answer = await from.settle('ack', { receipt: held.receipt, then })
    t.match(answer, { status, body: { errors: [{ pointer }] } })
    t.equal(await stateOf(from, held), 'leased')
  }
  const inGroup = (body: number) => ({ queue: ordered.name, body, group: 'g' })
  const then = [inGroup(1), { queue: small.name, body: 1 }, inGroup(2)]
  t.match(await from.settle('ack', { receipt: held.receipt, then }), {
    status: 200,
    body: { outcome: 'acked' }
  })
  t.match((await small.report()).counts, { delayed: 1 })
  const rest = { receipt: other.receipt, then: [inGroup(3)] }
  t.equal((await from.settle('ack', rest)).status, 200)
  for (const body of [1, 2, 3]) {
    const [first, ...more] = await ordered.lease({ max: 1 })
    t.match([first, more], [{ body }, []])
    t.strictSame(await ordered.lease(), [], 'the others of the group wait')
    await ordered.settle('ack', { receipt: first.receipt, then: [{ queue: from.name, body }] })
  }
})

t.test(
  'an ack with a result or a then lets the next of its group be leased, and wakes who waits',
  async t => {
    const q = await queue({ ordering: 'group', keepAckedSeconds: 600 })
    const to = await queue()
    for (const body of [1, 2, 3]) await q.enqueue({ body, group: 'g' })
    const ends = [{ result: 1 }, { then: [{ queue: to.name, body: 1 }] }]
    for (const [index, end] of ends.entries()) {
      const [held] = await q.lease()
      t.equal(held.body, index + 1)
      const waiting = q.leaseBodies({ waitSeconds: 30, leaseSeconds: 0.001 })
      while (!/^holdfast_waiting_calls 1$/m.test((await holdfast.get('/metrics')).text)) await pollPause()
      await q.settle('ack', { receipt: held.receipt, ...end })
      t.strictSame(await waiting, [index + 2])
      // The lease of a millisecond has ended. Aged by a minute, only a full sweep would find it.
      while ((await ready(q)) < 2 - index) await pollPause()
    }
  }
)

t.test('a consumer that waits on a target is woken', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from)
  const waiting = to.leaseBodies({ waitSeconds: 30 })
  while (!/^holdfast_waiting_calls 1$/m.test((await holdfast.get('/metrics')).text)) await pollPause()
  const startedMs = performance.now()
  await from.settle('ack', { receipt: held.receipt, then: [{ queue: to.name, body: 'up' }] })
  t.strictSame(await waiting, ['up'])
  t.ok(performance.now() - startedMs < 900, 'before the sweeper looks')
})

t.test('a result is kept as it was sent, for as long as the message', async t => {
  const q = await queue({ keepAckedSeconds: 600 })
  const held = await leased(q, 2)
  const result = '{"n":1.0,  "big":12345678901234567890, "a":1, "a":2, "z":"\\u0000"}'
  const [{ receipt }, plain] = held
  const text = `{"acks":[{"receipt":"${receipt}","result":${result}},{"receipt":"${plain.receipt}"}]}`
  t.match((await holdfast.post(`${q.path}/ack`, text)).body.outcomes, [
    { outcome: 'acked' },
    { outcome: 'acked' }
  ])
  const shown = await q.message(held[0].id)
  t.match(shown.body, { state: 'acked' })
  t.ok(shown.text.includes(`"result":${result},`), shown.text)
  t.notOk('result' in (await q.message(held[1].id)).body)
  await q.settle('ack', { receipt: held[0].receipt, result: 'another' })
  t.ok((await q.message(held[0].id)).text.includes(`"result":${result},`), 'a repeat changes nothing')
})

t.test('a result may be null, and one of 64 KiB; a larger one is refused', async t => {
  const q = await queue({ keepAckedSeconds: 600 })
  const [nothing, full, large] = await leased(q, 3)
  await q.settle('ack', { receipt: nothing.receipt, result: null })
  t.ok((await q.message(nothing.id)).text.includes('"result":null,'))
  const longest = 'é'.repeat(resultBytesMax / 2 - 1)
  t.equal((await q.settle('ack', { receipt: full.receipt, result: longest })).status, 200)
  t.equal((await q.message(full.id)).body.result, longest)
  const answer = await q.settle('ack', { receipt: large.receipt, result: `${longest}x` })
  t.match(answer, { status: 413, body: { code: 'bodyTooLarge', errors: [{ pointer: '/result' }] } })
  t.equal(await stateOf(q, large), 'leased')
})

t.test('a caller waits for an answer', async t => {
  const q = await queue({ keepAckedSeconds: 600 })
  const [held] = await leased(q)
  const waiting = holdfast.get(`${q.path}/messages/${held.id}?waitSeconds=30`)
  while (!/^holdfast_waiting_calls 1$/m.test((await holdfast.get('/metrics')).text)) await pollPause()
  await q.settle('ack', { receipt: held.receipt, result: { sum: 5 } })
  t.match((await waiting).body, { state: 'acked', result: { sum: 5 } })
})

t.test('where nothing is kept, a result is accepted and dropped', async t => {
  const q = await queue()
  const [held] = await leased(q)
  t.strictSame((await q.settle('ack', { receipt: held.receipt, result: [1] })).body, { outcome: 'acked' })
  t.equal((await q.message(held.id)).status, 404)
  const { rows } = await sql.query(
    'select count(*)::int from holdfast.acked where result is not null and id = $1',
    [held.id]
  )
  t.equal(rows[0].count, 0)
})

t.test('the receipt of a deleted queue is gone, and leaves out its then', async t => {
  const [from, to] = [await queue(), await queue()]
  const [held] = await leased(from)
  await holdfast.call('DELETE', from.path)
  await holdfast.call('PUT', from.path)
  const answer = await from.settle('ack', { receipt: held.receipt, then: [{ queue: to.name, body: 1 }] })
  t.strictSame(answer.body, { outcome: 'gone' })
  t.equal(await ready(to), 0)
})

t.test('an ack that takes no effect, or is refused, makes no queue', async t => {
  const from = await queue()
  const small = await queue({ messageBytesMax: 3 })
  const isMade = async (name: string) => (await holdfast.get(`/queues/${name}`)).status === 200
  const [{ receipt }] = await leased(from)
  const toBoth = [
    { queue: 'never-made', body: 1 },
    { queue: small.name, body: 'long' }
  ]
  t.equal((await from.settle('ack', { receipt, then: toBoth })).status, 413)
  const [lost] = await leased(from)
  await from.settle('release', { receipt: lost.receipt })
  await from.lease()
  const then = [{ queue: 'never-made', body: 1 }]
  t.match((await from.settle('ack', { receipt: lost.receipt, then })).body, { code: 'leaseLost' })
  await from.settle('ack', { receipt })
  t.match((await from.settle('ack', { receipt, then })).body, { outcome: 'gone' })
  t.notOk(await isMade('never-made'))
})
