/** Unique work: while a message holds its key, no second one of that key is stored. */
import t from 'tap'
import { holdfast, queueWith, sql, type FlowQueue } from './setup.ts'

/** Enqueues one message, and answers its status with its answer. */
async function put({ path }: FlowQueue, body: unknown, unique: object | undefined, rest: object = {}) {
  const answer = await holdfast.post(`${path}/messages`, { body, unique, ...rest })
  return { status: answer.status, ...answer.body }
}
const putAll = async ({ path }: FlowQueue, messages: object[]) => {
  const { status, body } = await holdfast.post(`${path}/messages`, { messages })
  return { status, ...body }
}
const read = async ({ path }: FlowQueue, id: string) => (await holdfast.get(`${path}/messages/${id}`)).body
const counts = async ({ path }: FlowQueue) => (await holdfast.get(path)).body.counts

const k = { key: 'k' }
const replacing = { key: 'k', onConflict: 'replace' }

t.test('while a message holds its key, an enqueue is a duplicate of it', async t => {
  const queue = await queueWith({ retry: { delaySeconds: 0 } })
  const first = await put(queue, 1, k)
  t.match(first, { status: 201, duplicate: undefined })
  t.strictSame(await put(queue, 2, k), { status: 200, id: first.id, duplicate: true })
  t.match(await put(queue, 3, { key: 'K' }), { status: 201 }, 'keys are compared exactly')
  t.match(await put(await queueWith({}), 3, k), { status: 201 }, 'within their queue')
  t.match(await read(queue, first.id), { body: 1, unique: { key: 'k', until: 'settled' } })

  const [leased] = await queue.lease()
  t.match(await put(queue, 4, k), { id: first.id, duplicate: true }, 'while it is leased')
  t.match(await put(queue, 4, replacing), { id: first.id, duplicate: true, replaced: undefined })
  await queue.fail(leased!, { delaySeconds: 600 })
  t.match(await put(queue, 5, k), { id: first.id, duplicate: true }, 'while it waits for its retry')
  t.match(await counts(queue), { ready: 1, delayed: 1, leased: 0 })
})

t.test('what settles a message frees its key', async t => {
  const queue = await queueWith({ retry: { delaySeconds: 0 } })
  const stored = async () => (await put(queue, 1, k)).status === 201
  t.ok(await stored())
  await queue.ack((await queue.lease())[0]!)
  t.ok(await stored(), 'an ack')
  const [dead] = await queue.lease()
  await queue.fail(dead!, { dead: true })
  t.same((await read(queue, dead!.id)).unique, undefined)
  const cancelled = await put(queue, 1, k)
  t.equal(cancelled.status, 201, 'a death')
  await holdfast.call('DELETE', `${queue.path}/messages/${cancelled.id}`)
  t.ok(await stored(), 'a cancel')
  await holdfast.post(`${queue.path}/purge`, { state: 'ready' })
  const living = await put(queue, 1, k, { ttlSeconds: 0.001 })
  t.equal(living.status, 201, 'a purge')
  await sql.query("update holdfast.messages set expires_at = now() - interval '1 hour' where id = $1", [
    living.id
  ])
  t.ok(await stored(), 'its time to live, swept or not')

  t.match((await holdfast.post(`${queue.path}/redrive`, {})).body, { redriven: 1 })
  t.same((await read(queue, dead!.id)).unique, undefined, 'a redrive does not take it back')
  t.equal((await queue.lease(10)).length, 2)
})

t.test('with until: leased the first lease frees the key, and nothing takes it back', async t => {
  const queue = await queueWith({})
  const leased = { key: 'k', until: 'leased' }
  const first = await put(queue, 1, leased)
  t.match(await read(queue, first.id), { unique: { key: 'k', until: 'leased' } })
  t.match(await put(queue, 1, k), { id: first.id, duplicate: true })
  const [lease] = await queue.lease()
  t.same((await read(queue, first.id)).unique, undefined)
  const second = await put(queue, 2, leased)
  t.match(second, { status: 201 })
  await queue.release(lease!)
  t.match(await put(queue, 3, leased), { id: second.id, duplicate: true })
  t.strictSame(
    (await queue.lease(10)).map(({ id }) => id),
    [first.id, second.id],
    'both may be there'
  )
})

t.test('followers free their keys too', async t => {
  const queue = await queueWith({ ordering: 'group' })
  const unique = (key: string) => ({ unique: { key, until: 'leased' } })
  await putAll(queue, [
    { body: 1, group: 'g', ...unique('a') },
    { body: 2, group: 'g', ...unique('b') }
  ])
  t.equal((await queue.lease(2)).length, 2)
  t.match(await put(queue, 3, unique('b').unique, { group: 'g' }), { status: 201 })
})

t.test('a replace changes content and options, and keeps id, place, attempts and history', async t => {
  const queue = await queueWith({})
  const before = await put(queue, 'before', undefined)
  const { id } = await put(queue, 1, k, { headers: { a: 'b' }, maxAttempts: 2, ttlSeconds: 600 })
  const after = await put(queue, 'after', undefined)
  const [, lease] = await queue.lease(2)
  await queue.fail(lease!, { reason: 'no', delaySeconds: 600 })
  const raw = await holdfast.call(
    'POST',
    `${queue.path}/messages?uniqueKey=k&uniqueOnConflict=replace&uniqueUntil=leased&priority=7`,
    'bytes',
    { 'content-type': 'text/plain' }
  )
  t.match(raw, { status: 200, body: { id, replaced: true } })
  const message = await read(queue, id)
  t.match(message, {
    state: 'ready',
    body: 'bytes',
    contentType: 'text/plain',
    headers: {},
    priority: 7,
    attempt: 1,
    maxAttempts: 5,
    unique: { key: 'k', until: 'leased' },
    history: [{ reason: 'no' }]
  })
  t.match(await settle(queue, 'ack', lease!), { code: 'leaseLost' }, 'older receipts are lost')
  t.match(await counts(queue), { ready: 2, delayed: 0, leased: 1 })
  t.strictSame(
    (await queue.lease(10)).map(message => message.id),
    [id, after.id]
  )
  t.ok(before.id)
})

const settle = async ({ path }: FlowQueue, verb: string, { receipt }: { receipt: string }) =>
  (await holdfast.post(`${path}/${verb}`, { receipt })).body

t.test('a replaced message keeps its place, delayed anew or not', async t => {
  const queue = await queueWith({})
  const ids: string[] = []
  for (const key of ['a', 'b', 'c']) ids.push((await put(queue, key, { key })).id)
  const replace = (key: string, rest: object = {}) =>
    put(queue, key.toUpperCase(), { ...replacing, key }, rest)
  t.match(await replace('b', { delaySeconds: 600 }), { replaced: true })
  t.match(await counts(queue), { ready: 2, delayed: 1 })
  t.match(await replace('b', { delaySeconds: 300 }), { replaced: true })
  t.match(await counts(queue), { ready: 2, delayed: 1 })
  t.match(await replace('a'), { id: ids[0], replaced: true })
  t.equal(await queue.bodies(3), 'A c')
  t.match(await replace('b'), { replaced: true }, 'ready at once')
  t.match(await counts(queue), { ready: 1, delayed: 0, leased: 2 })
  const [leased] = await queue.lease()
  t.match(leased, { id: ids[1], body: 'B' })
})

t.test('a replace of a delayed message wakes who waits, and so does one that is due', async t => {
  const queue = await queueWith({})
  await put(queue, 1, k, { delaySeconds: 600 })
  const waiting = queue.lease(1, { waitSeconds: 20 })
  await put(queue, 2, replacing)
  t.match(await waiting, [{ body: 2 }])
  await put(queue, 3, { key: 'l' })
  await put(queue, 4, { key: 'l', onConflict: 'replace' }, { delaySeconds: 0.2 })
  t.match(await queue.lease(1, { waitSeconds: 20 }), [{ body: 4 }])
})

t.test('in a queue with an order a replace keeps the group, and the place in it', async t => {
  for (const ordering of ['group', 'queue']) {
    const queue = await queueWith({ ordering })
    const [, second] = (
      await putAll(queue, [
        { body: 'a1', group: 'a' },
        { body: 'a2', group: 'a', unique: k },
        { body: 'a3', group: 'a' }
      ])
    ).messages
    t.match(await put(queue, 'b', replacing, { group: 'b' }), { status: 409, code: 'uniqueGroup' })
    t.match(await put(queue, 'b', replacing), { status: 409, code: 'uniqueGroup' })
    t.match(await put(queue, 'b', k, { group: 'b' }), { id: second.id, duplicate: true }, 'a duplicate may')
    const list = await putAll(queue, [
      { body: 'x', group: 'x' },
      { body: 'y', group: 'y', unique: replacing }
    ])
    t.match(list, { status: 409, code: 'uniqueGroup' })
    const others = await Promise.all([
      put(queue, 'b', replacing, { group: 'b' }),
      put(queue, 'a2+', replacing, { group: 'a' })
    ])
    t.match(others, [{ status: 409 }, { id: second.id, replaced: true }], 'others are unaffected')
    t.equal(await queue.drain(), 'a1 a2+ a3')
    t.strictSame(await queue.leftovers(), { lines: 0, messages: 0 })
  }
})

t.test('the head of a group is replaced, ready or delayed', async t => {
  const queue = await queueWith({ ordering: 'group', delaySeconds: 600 })
  const { id } = await put(queue, 'a1', k, { group: 'a' })
  await put(queue, 'a2', undefined, { group: 'a' })
  await holdfast.call('PUT', queue.path, { delaySeconds: 0 })
  t.match(await put(queue, 'a1+', replacing, { group: 'a' }), { id, replaced: true })
  const [head] = await queue.lease()
  t.match(head, { body: 'a1+' })
  t.match(await counts(queue), { ready: 0, delayed: 1, leased: 1 })
  await queue.ack(head!)
  t.equal(await queue.bodies(), '', 'the second is delayed still')
})

t.test(
  'of one key in one list the first is stored, and the later ones are duplicates or replace it',
  async t => {
    for (const settings of [{}, { ordering: 'group' }, { maxDepth: 100 }]) {
      const queue = await queueWith(settings)
      const answer = await putAll(queue, [
        { body: 1, unique: k },
        { body: 2, unique: k },
        { body: 3, unique: replacing },
        { body: 4 },
        { body: 5, unique: k }
      ])
      const [{ id }, , , { id: other }] = answer.messages
      t.strictSame(answer, {
        status: 201,
        messages: [
          { id },
          { id, duplicate: true },
          { id, replaced: true },
          { id: other },
          { id, duplicate: true }
        ]
      })
      t.match(await counts(queue), { ready: 2 })
      const again = await putAll(queue, [
        { body: 6, unique: k },
        { body: 7, unique: replacing }
      ])
      t.strictSame(again, {
        status: 200,
        messages: [
          { id, duplicate: true },
          { id, replaced: true }
        ]
      })
      t.match(await queue.lease(10), [{ body: 7 }, { body: 4 }])
    }
  }
)

t.test('an idempotency key is looked at first, and is remembered for these answers too', async t => {
  for (const settings of [{}, { ordering: 'group' }]) {
    const queue = await queueWith(settings)
    const { id } = await put(queue, 1, k)
    const replace = { idempotencyKey: 'replace', unique: replacing }
    const keep = { idempotencyKey: 'keep', unique: k }
    t.match(await put(queue, 2, undefined, replace), { id, replaced: true })
    t.match(await put(queue, 3, undefined, keep), { id, duplicate: true })
    t.match(await put(queue, 4, replacing), { id, replaced: true })
    t.match(await put(queue, 2, undefined, replace), { id, duplicate: true, replaced: undefined })
    t.match(await read(queue, id), { body: 4 }, 'the repeat changed nothing')
    t.match(await put(queue, 5, undefined, replace), { status: 422, code: 'idempotencyMismatch' })
    t.match(await put(queue, 2, k, { idempotencyKey: 'replace' }), { status: 422 }, 'the option is content')
    t.match(
      await put(queue, 2, { ...replacing, until: 'settled' }, { idempotencyKey: 'replace' }),
      { duplicate: true },
      'a default counts as left out'
    )
    await queue.ack((await queue.lease())[0]!)
    t.match(await put(queue, 2, undefined, replace), { id, duplicate: true }, 'also when it is gone')
    const list = await putAll(queue, [
      { body: 6, unique: k, idempotencyKey: 'x' },
      { body: 7, unique: replacing, idempotencyKey: 'y' },
      { body: 7, unique: replacing, idempotencyKey: 'y' }
    ])
    t.match(list.messages, [{ duplicate: undefined }, { replaced: true }, { duplicate: true }])
    t.match(await counts(queue), { ready: 1 })
  }
})

t.test('a refused replace leaves its idempotency key free', async t => {
  const queue = await queueWith({ ordering: 'group' })
  await put(queue, 1, k, { group: 'a' })
  const wrong = { group: 'b', idempotencyKey: 'i' }
  t.match(await put(queue, 2, replacing, wrong), { status: 409 })
  await queue.ack((await queue.lease())[0]!)
  t.match(await put(queue, 2, replacing, wrong), { status: 201 })
})

t.test('a next message may have a unique key', async t => {
  const queue = await queueWith({})
  const target = await queueWith({ ordering: 'group', maxDepth: 1 })
  await putAll(queue, [{ body: 1 }, { body: 2 }, { body: 3 }])
  const leased = await queue.lease(3)
  const ackThen = async (index: number, unique: object, group = 'g') => {
    const then = [{ queue: target.name, body: index, group, unique }]
    return (await holdfast.post(`${queue.path}/ack`, { receipt: leased[index]!.receipt, then })).body
  }
  const {
    then: [{ id }]
  } = await ackThen(0, k)
  t.match(await ackThen(1, replacing, 'other'), { code: 'uniqueGroup', errors: [{ pointer: '/then/0' }] })
  t.match(await ackThen(1, k), { outcome: 'acked', then: [{ id, duplicate: true }] })
  t.match(await ackThen(2, replacing), { outcome: 'acked', then: [{ id, replaced: true }] })
  t.match(await target.lease(), [{ body: 2 }])
})

t.test('unique keys of a publish count in each queue for itself', async t => {
  const queue = await queueWith({})
  const full = await queueWith({ maxDepth: 1 })
  for (const { name } of [queue, full]) {
    await holdfast.call('PUT', `/topics/unique/subscriptions/${name}`, {})
  }
  const publish = async (body: number, unique: object) =>
    (await holdfast.post('/topics/unique/messages', { body, unique })).body.messages
  const [stored] = await publish(1, k)
  await queue.ack((await queue.lease())[0]!)
  const [second, other] = await publish(2, replacing)
  t.match(
    [second.queue, second.replaced, other.queue, other.replaced],
    [queue.name, undefined, full.name, true]
  )
  t.not(second.id, stored.id)
  t.match(await full.lease(), [{ body: 2 }])
})

t.test('a death that moves the message frees its key, and its way home does not take it back', async t => {
  const target = await queueWith({})
  const queue = await queueWith({ deadLetterQueue: target.name, maxAttempts: 1 })
  const { id } = await put(queue, 1, k)
  await queue.fail((await queue.lease())[0]!)
  t.match(await read(target, id), { state: 'ready', unique: undefined })
  t.match(await put(queue, 2, k), { status: 201 })
  t.match(await put(target, 3, k), { status: 201 }, 'it holds no key there')
  t.match((await holdfast.post(`${target.path}/redrive`, {})).body, { redriven: 1 })
  t.match(await put(queue, 4, replacing), { replaced: true })
  t.strictSame((await queue.lease(10)).map(({ body }) => body).sort(), [1, 4])

  const source = await queueWith({})
  await put(source, 5, k)
  await source.fail((await source.lease())[0]!, { dead: true })
  t.match((await holdfast.post(`${source.path}/redrive`, { to: queue.name })).body, { redriven: 1 })
  t.match(await queue.lease(10), [{ body: 5 }], 'sent to a queue in which another one holds the key')
})

t.test('after a replace a redrive gives the time to live that the replace gave', async t => {
  const queue = await queueWith({})
  const { id } = await put(queue, 1, k, { ttlSeconds: 100 })
  await sql.query("update holdfast.messages set enqueued_at = now() - interval '1 hour' where id = $1", [id])
  await put(queue, 2, replacing, { ttlSeconds: 1000 })
  await queue.fail((await queue.lease())[0]!, { dead: true })
  await holdfast.post(`${queue.path}/redrive`, {})
  const { rows } = await sql.query(
    'select extract(epoch from expires_at - now())::float8 as left from holdfast.messages where id = $1',
    [id]
  )
  t.ok(rows[0].left > 900 && rows[0].left <= 1000, rows[0].left)
})

t.test('a full queue takes duplicates and replaces', async t => {
  const queue = await queueWith({ maxDepth: 2 })
  await put(queue, 1, k)
  await put(queue, 2, undefined)
  t.match(await put(queue, 3, { key: 'new' }), { status: 429, code: 'queueFull' })
  t.match(await put(queue, 3, k), { duplicate: true })
  t.match(await put(queue, 4, replacing), { replaced: true })
  t.match(await putAll(queue, [{ body: 5, unique: replacing }, { body: 6 }]), { status: 429 })
  const all = await Promise.all([
    put(queue, 7, replacing),
    put(queue, 8, undefined),
    put(queue, 9, { key: 'new' }),
    putAll(queue, [
      { body: 10, unique: k },
      { body: 11, unique: replacing }
    ])
  ])
  t.strictSame(
    all.map(({ status }) => status),
    [200, 429, 429, 200]
  )
  await queue.ack((await queue.lease())[0]!)
  const two = await putAll(queue, [
    { body: 12, unique: k },
    { body: 13, unique: k }
  ])
  t.match(two, { status: 201 }, 'two of one key need room for one')
})

t.test('two thousand enqueues on a hundred keys are a hundred messages', async t => {
  for (const settings of [{}, { ordering: 'group' }]) {
    const queue = await queueWith(settings)
    const answers = await Promise.all(
      Array.from({ length: 2000 }, (_, i) =>
        put(queue, i, { key: `k${i % 100}`, onConflict: i % 2 === 0 ? 'keep' : 'replace' }, { group: 'g' })
      )
    )
    t.equal(answers.filter(({ status }) => status === 201).length, 100)
    t.equal(answers.filter(({ status }) => status === 200).length, 1900)
    t.match(await counts(queue), { ready: 100 })
    t.equal((await queue.drain(100)).split(' ').length, 100)
  }
})

t.test('what is no unique option is refused', async t => {
  const queue = await queueWith({})
  for (const unique of [
    {},
    { key: '' },
    { key: 'ü' },
    { key: 'k'.repeat(256) },
    { key: 'k', until: 'acked' },
    { key: 'k', onConflict: 'drop' },
    { key: 'k', other: 1 },
    'k'
  ]) {
    t.match(
      await put(queue, 1, unique as object),
      { status: 400, code: 'invalidRequest' },
      JSON.stringify(unique)
    )
  }
  for (const query of ['uniqueUntil=leased', 'uniqueOnConflict=keep', 'uniqueKey=', 'unique=k']) {
    const answer = await holdfast.call('POST', `${queue.path}/messages?${query}`, 'x', {
      'content-type': 'text/plain'
    })
    t.match(answer, { status: 400 }, query)
  }
  t.match(await put(queue, 1, { key: ' ~'.repeat(127) }), { status: 201 })
})

t.test('where groups take turns, a replace keeps the group, and every message comes', async t => {
  const queue = await queueWith({ fairness: 'group' })
  const key = (key: string, onConflict = 'keep') => ({ unique: { key, onConflict } })
  const { messages } = await putAll(queue, [
    { body: 'a1', group: 'a', ...key('a1') },
    { body: 'a2', group: 'a', ...key('a2') },
    { body: 'a3', group: 'a', ...key('a3') },
    { body: 'b1', group: 'b', ...key('b1') },
    { body: 'n1', ...key('n1') }
  ])
  t.equal(new Set(messages.map(({ id }: { id: string }) => id)).size, 5)
  const replace = (name: string, options: object = {}) =>
    put(queue, `${name}+`, undefined, { ...key(name, 'replace'), group: name[0], ...options })
  t.match(await replace('a1', { group: 'b' }), { status: 409, code: 'uniqueGroup' })
  t.match(await replace('n1'), { status: 409 })
  t.match(await replace('n1', { group: undefined }), { replaced: true })
  t.match(await replace('a1', { delaySeconds: 600 }), { replaced: true }, 'the one that stands')
  t.match(await replace('a3', { priority: 9 }), { replaced: true }, 'a parked one')
  t.match(await replace('b1', { delaySeconds: 600 }), { replaced: true }, 'the only one of its group')
  t.match(await counts(queue), { ready: 3, delayed: 2 })
  t.strictSame((await queue.lease(10)).map(({ body }) => body).sort(), ['a2', 'a3+', 'n1+'])
  const waiting = queue.lease(1, { waitSeconds: 20 })
  t.match(await replace('b1'), { replaced: true })
  t.match(await waiting, [{ body: 'b1+' }])
  t.match(await replace('a1'), { replaced: true })
  t.match(await queue.lease(10), [{ body: 'a1+' }])
  t.match(await queue.leftovers(), { lines: 0 })
})
