/** Failures grouped by reason, and what a redrive or a retry of a group takes. */
import pg from 'pg'
import t from 'tap'
import { failuresExaminedMax } from '../../../src/core/limits.ts'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
let queuesMade = 0

/** A new queue whose messages fail for these reasons, in this order. */
async function failing(reasons: (string | null)[], options: object = {}) {
  const path = `/queues/f${++queuesMade}`
  await holdfast.call('PUT', path, { maxAttempts: 3, retry: { delaySeconds: 3600 } })
  await holdfast.post(`${path}/messages`, { messages: reasons.map((_, body) => ({ body })) })
  const { messages } = (await holdfast.post(`${path}/lease`, { max: reasons.length })).body
  const failures = messages.map(({ receipt }: { receipt: string }, index: number) => ({
    receipt,
    ...(reasons[index] !== null && { reason: reasons[index] }),
    ...options
  }))
  const { status } = await holdfast.post(`${path}/fail`, { failures })
  if (status !== 200) throw new Error(`fail answered ${status}`)
  const ids: string[] = messages.map(({ id }: { id: string }) => id)
  const list = async (query = '') => (await holdfast.get(`${path}/failures${query}`)).body
  return { path, ids, list }
}

t.test('dead messages are grouped by reason, the largest group first', async t => {
  const reasons = ['timeout after 31 ms', 'no user "ada"', 'timeout after 47 ms', null]
  const { ids, list } = await failing(reasons, { dead: true })
  const { groups, ...rest } = await list()
  t.strictSame(rest, { groupsLeftOut: 0, more: false })
  t.strictSame(
    groups.map(({ reason, count, ids }: any) => ({ reason, count, ids })),
    [
      { reason: 'timeout after # ms', count: 2, ids: [ids[0], ids[2]] },
      { reason: 'no user "…"', count: 1, ids: [ids[1]] },
      { reason: null, count: 1, ids: [ids[3]] }
    ]
  )
  const [timeouts, , silent] = groups
  t.match(timeouts, { state: 'dead', piece: 'timeout after', example: { attempt: 1 } })
  t.ok(reasons.includes(timeouts.example.reason), 'the example is as the worker gave it')
  t.ok(timeouts.firstAt <= timeouts.lastAt && timeouts.lastAt === timeouts.example.at)
  t.strictSame([silent.piece, silent.example.reason], [null, null])
})

t.test('a redrive of a group takes what the group shows, and nothing that came later', async t => {
  const { path, ids, list } = await failing(['disk 1 full', 'no route', 'disk 2 full'], { dead: true })
  const [disks] = (await list()).groups
  await holdfast.post(`${path}/messages`, { body: 'later' })
  const { messages } = (await holdfast.post(`${path}/lease`, {})).body
  await holdfast.post(`${path}/fail`, { receipt: messages[0].receipt, reason: 'disk 3 full', dead: true })
  t.strictSame((await holdfast.post(`${path}/redrive`, { ids: disks.ids })).body, { redriven: 2 })
  const ready = (await holdfast.get(`${path}/messages?state=ready`)).body.messages
  t.strictSame(
    ready.map(({ id }: { id: string }) => id),
    [ids[0], ids[2]]
  )
  t.strictSame(
    (await list()).groups.map(({ count }: { count: number }) => count),
    [1, 1]
  )
})

t.test('messages that back off are groups of their own, and a delayed one is in none', async t => {
  const { path, list } = await failing(['busy 1', 'busy 2'])
  await holdfast.post(`${path}/messages`, { body: 'for tomorrow', delaySeconds: 86_400 })
  t.match((await list()).groups, [{ state: 'delayed', reason: 'busy #', count: 2 }])
  t.strictSame((await list('?state=dead')).groups, [])
  const [busy] = (await list('?state=delayed')).groups
  t.strictSame((await holdfast.post(`${path}/retry`, { ids: busy.ids })).body, { retried: 2 })
  t.strictSame((await list()).groups, [])
})

t.test('the last failure counts, and the piece is in every reason of the group', async t => {
  const { path, list } = await failing(['first  cause 1', 'first cause 2'])
  const [group] = (await list()).groups
  t.match(group, { reason: 'first cause #', count: 2, piece: null }, 'white space was folded')
  await holdfast.post(`${path}/retry`, { ids: group.ids })
  const { messages } = (await holdfast.post(`${path}/lease`, { max: 2 })).body
  for (const { receipt } of messages) {
    await holdfast.post(`${path}/fail`, { receipt, reason: 'second cause', dead: true })
  }
  const [last] = (await list()).groups
  t.match(last, { reason: 'second cause', count: 2, state: 'dead', example: { attempt: 2 } })
  const where = { reason: last.piece }
  t.strictSame((await holdfast.post(`${path}/redrive`, { where, dryRun: true })).body, { matched: 2 })
})

t.test('a dead-letter queue groups what moved there, and a redrive of a group sends it home', async t => {
  const grave = '/queues/grave'
  const source = '/queues/with-grave'
  await holdfast.call('PUT', source, { deadLetterQueue: 'grave' })
  await holdfast.post(`${source}/messages`, { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  const { messages } = (await holdfast.post(`${source}/lease`, { max: 3 })).body
  const reasons = ['disk 1 full', 'no route', 'disk 2 full']
  const failures = messages.map(({ receipt }: any, i: number) => ({
    receipt,
    reason: reasons[i],
    dead: true
  }))
  await holdfast.post(`${source}/fail`, { failures })
  await holdfast.post(`${grave}/messages`, { body: 'sent here, not moved' })
  const list = async () => (await holdfast.get(`${grave}/failures`)).body.groups
  const [disks, route] = await list()
  t.match(disks, {
    state: 'ready',
    reason: 'disk # full',
    count: 2,
    ids: [messages[0].id, messages[2].id],
    example: { attempt: 1, reason: /^disk/, at: String }
  })
  t.match(route, { state: 'ready', count: 1, ids: [messages[1].id] })
  t.strictSame((await holdfast.get(`${grave}/failures?state=dead`)).body.groups, [])
  t.strictSame((await holdfast.post(`${grave}/redrive`, { ids: disks.ids })).body, { redriven: 2 })
  t.match((await holdfast.get(source)).body.counts, { ready: 2 })
  t.match(await list(), [{ count: 1 }])
})

t.test('past its bound it says that there is more', async t => {
  const { path, list } = await failing(['x'], { dead: true })
  const sql = new pg.Client(holdfast.databaseUrl)
  await sql.connect()
  t.teardown(() => sql.end())
  await sql.query(
    `insert into holdfast.messages (id, position, enqueued_at, dead_at, queue_id, rank, attempt, body)
     select nextval('holdfast.positions'), n, now(), now(), q.id, 8, 1, '0'
     from holdfast.queues q, generate_series(1, $2) n
     where q.name = $1`,
    [path.slice('/queues/'.length), failuresExaminedMax]
  )
  const { groups, more } = await list()
  t.equal(more, true)
  t.equal(
    groups.reduce((sum: number, { count }: { count: number }) => sum + count, 0),
    failuresExaminedMax
  )
})

t.test('it refuses a queue that is not there and a state that cannot fail', async t => {
  t.match(await holdfast.get('/queues/nowhere/failures'), { status: 404, body: { code: 'queueNotFound' } })
  const { path } = await failing(['x'])
  t.match(await holdfast.get(`${path}/failures?state=leased`), { status: 400 })
})
