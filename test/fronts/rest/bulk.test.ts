/**
 * Browsing with filters, and bulk actions: retry, redrive, purge, dry runs. After each, the ledger
 * must equal the rows.
 */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())
let queuesMade = 0

/** A new queue, and its verbs. */
async function queue(settings: object = {}) {
  const path = `/queues/q${++queuesMade}`
  await holdfast.call('PUT', path, settings)
  const browse = async (query: string): Promise<any[]> => {
    const { messages } = (await holdfast.get(`${path}/messages?${query}`)).body
    return messages.map(({ body }: { body: unknown }) => body)
  }
  return {
    path,
    ids: async (...messages: object[]): Promise<string[]> => {
      const { body } = await holdfast.post(`${path}/messages`, { messages })
      return body.messages.map(({ id }: { id: string }) => id)
    },
    lease: async (max = 1): Promise<any[]> => (await holdfast.post(`${path}/lease`, { max })).body.messages,
    leaseBodies: async (max: number): Promise<unknown[]> => {
      const { messages } = (await holdfast.post(`${path}/lease`, { max })).body
      return messages.map(({ body }: { body: unknown }) => body)
    },
    fail: (leased: any[], reason: string, options: object = {}) => {
      const failures = leased.map(({ receipt }) => ({ receipt, reason, ...options }))
      return holdfast.post(`${path}/fail`, { failures })
    },
    act: async (verb: string, body: object = {}) => (await holdfast.post(`${path}/${verb}`, body)).body,
    /** Returns bodies, as the verbs below do. */
    browse,
    counts: async () => (await holdfast.get(path)).body.counts,
    numbers: async () => (await browse('limit=1000')).toSorted((a, b) => a - b)
  }
}

/** Runs the audit of docs/guarantees.md. Every row of its answer is a broken promise. */
async function balanced(t: Test): Promise<void> {
  const [, audit] = /## The audit[^]*?```sql\n([^]*?)```/.exec(await readFile('docs/guarantees.md', 'utf8'))!
  t.strictSame((await sql.query(audit!)).rows, [], 'the ledger equals the rows')
}

t.test('a filter by body, last reason and time finds messages that meet all of it', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const [first] = await q.ids(
    { body: { to: 'Ada' } },
    { body: 'ada 100%' },
    { body: 'a_da' },
    { body: 'caf\u00e9 \ud83d\ude00' },
    { body: { to: 'Ada', delayed: true }, delaySeconds: 60 }
  )
  await holdfast.post(`${q.path}/messages`, Buffer.from([0, 65, 100, 97]), {
    'content-type': 'application/octet-stream'
  })
  await holdfast.post(`${q.path}/messages`, 'Ada as text', { 'content-type': 'text/plain' })
  const containing = (text: string, more = '') => q.browse(`contains=${encodeURIComponent(text)}${more}`)
  t.strictSame(
    await containing('Ada'),
    [{ to: 'Ada' }, { to: 'Ada', delayed: true }, 'Ada as text'],
    'case counts, and bytes never match'
  )
  t.strictSame(await containing('Ada', '&state=delayed'), [{ to: 'Ada', delayed: true }])
  t.strictSame(await containing('%'), ['ada 100%'], 'a percent sign is only itself')
  t.strictSame(await containing('_'), ['a_da'], 'an underscore is only itself')
  t.strictSame(await containing('\\'), [])
  t.strictSame(await containing('\u00e9 \ud83d\ude00'), ['caf\u00e9 \ud83d\ude00'])
  t.strictSame(await containing('__proto__'), [])

  const leased = await q.lease(3)
  await q.fail(leased.slice(0, 2), 'socket 50% closed', { delaySeconds: 0 })
  await q.fail((await q.lease(2)).slice(0, 1), 'timeout', { dead: true })
  t.strictSame(await q.browse('reason=socket'), ['ada 100%'], 'only the last reason counts')
  t.strictSame(await q.browse('reason=timeout&contains=Ada&state=dead'), [{ to: 'Ada' }])
  t.strictSame(await q.browse('reason=timeout&contains=ada&state=dead'), [])
  await holdfast.post(`${q.path}/ack`, { receipt: leased[2].receipt })
  t.strictSame(await q.browse('state=acked&contains=a_d'), ['a_da'], 'kept acked messages too')

  await sql.query(
    `
    update holdfast.messages
    set enqueued_at = '2026-01-02T03:04:05.678901Z'
    where id = $1`,
    [first]
  )
  const time = '2026-01-02T03:04:05.678Z'
  t.strictSame(
    await q.browse(`enqueuedAfter=${time}&enqueuedBefore=2026-01-02T03:04:05.679Z`),
    [{ to: 'Ada' }],
    'enqueuedAfter includes the time that is shown'
  )
  t.strictSame(await q.browse(`enqueuedBefore=${time}`), [])
  t.equal(
    (await q.browse(`enqueuedAfter=${encodeURIComponent('2026-01-02T05:04:05.679+02:00')}`)).length,
    5,
    'with an offset'
  )
  await balanced(t)
})

t.test('browsing with a filter pages to the end of a long queue', async t => {
  const q = await queue()
  for (let list = 0; list < 13; list++) {
    await q.ids(...Array.from({ length: 1000 }, (_, i) => ({ body: i === 500 ? `rare ${list}` : 'common' })))
  }
  const found: string[] = []
  let pages = 0
  for (let cursor: string | null = ''; cursor !== null; pages++) {
    const query = `contains=rare&limit=4${cursor === '' ? '' : `&cursor=${cursor}`}`
    const { body }: any = await holdfast.get(`${q.path}/messages?${query}`)
    t.ok(body.messages.length <= 4)
    found.push(...body.messages.map((message: { body: string }) => message.body))
    cursor = body.cursor
  }
  t.strictSame(
    found,
    Array.from({ length: 13 }, (_, list) => `rare ${list}`)
  )
  t.ok(pages > 3)
  t.strictSame((await holdfast.get(`${q.path}/messages?contains=nowhere&limit=1`)).body.messages, [])
  t.strictSame(await q.act('purge', { where: { contains: 'rare' }, dryRun: true }), { matched: 13 })
  t.strictSame(await q.act('purge', { where: { contains: 'rare' }, limit: 5 }), { purged: 5 })
  t.strictSame(
    await q.browse('contains=rare&limit=1000'),
    ['rare 5', 'rare 6', 'rare 7', 'rare 8', 'rare 9'],
    'a page examines a few thousand messages, and the cursor leads on'
  )
  t.strictSame(await q.act('purge', { where: { contains: 'rare' } }), { purged: 8 })
  t.strictSame(await q.act('purge'), { purged: 12_987 })
  await balanced(t)
})

t.test('large bodies are examined a few at a time', async t => {
  const q = await queue()
  const large = 'x'.repeat(1_000_000)
  for (let list = 0; list < 4; list++) {
    await q.ids(...Array.from({ length: 7 }, (_, i) => ({ body: i < 6 ? large : `${large}needle` })))
  }
  t.strictSame(await q.act('purge', { where: { contains: 'needle' }, dryRun: true }), { matched: 4 })
  t.strictSame(await q.act('purge', { where: { contains: 'needle' } }), { purged: 4 })
  t.equal((await q.counts()).ready, 24)
})

t.test('retry makes delayed and backing-off messages ready, in the order they were due in', async t => {
  const q = await queue({ maxAttempts: 3 })
  const [failed, late, soon] = await q.ids(
    { body: 1 },
    { body: 2, delaySeconds: 500 },
    { body: 3, delaySeconds: 100 },
    { body: 4 },
    { body: 5, delaySeconds: 900, priority: 9 }
  )
  await q.fail(await q.lease(), 'no answer from upstream', { delaySeconds: 50 })
  t.strictSame(await q.act('retry', { dryRun: true }), { matched: 4 })
  t.strictSame(await q.act('retry', { where: { reason: 'upstream' }, dryRun: true }), { matched: 1 })
  t.strictSame(await q.act('retry', { ids: [soon, late, soon, '987654321'], limit: 1, dryRun: true }), {
    matched: 1
  })
  t.match(await q.counts(), { ready: 1, delayed: 4 }, 'a dry run changes nothing')
  const waiting = holdfast.post(`${q.path}/lease`, { max: 5, waitSeconds: 20 })
  t.match((await waiting).body.messages, [{ body: 4 }])
  const consumer = holdfast.post(`${q.path}/lease`, { max: 5, waitSeconds: 20 })
  t.strictSame(await q.act('retry', { where: { reason: 'upstream' } }), { retried: 1 })
  t.match(
    (await consumer).body.messages,
    [{ id: failed, attempt: 2, fence: 2 }],
    'a waiting consumer is woken, and attempts go on'
  )
  t.strictSame(await q.act('retry'), { retried: 3 })
  t.strictSame(await q.leaseBodies(5), [5, 3, 2])
  t.strictSame(await q.act('retry'), { retried: 0 })
  await balanced(t)
})

t.test('redrive takes messages by reason, by ids, and up to a limit', async t => {
  const q = await queue({ maxAttempts: 1 })
  const ids = await q.ids(...[0, 1, 2, 3, 4, 5].map(body => ({ body })))
  const leased = await q.lease(6)
  await q.fail(
    leased.filter((_, i) => i % 2 === 0),
    'timeout after 30 s'
  )
  await q.fail(
    leased.filter((_, i) => i % 2 === 1),
    'refused'
  )
  t.strictSame(await q.act('redrive', { dryRun: true }), { matched: 6 })
  t.strictSame(await q.act('redrive', { limit: 4, dryRun: true }), { matched: 4 })
  t.strictSame(await q.act('redrive', { where: { reason: 'timeout' }, dryRun: true }), { matched: 3 })
  t.strictSame(await q.act('redrive', { where: { reason: 'timeout' }, limit: 1 }), { redriven: 1 })
  t.strictSame(
    await q.act('redrive', { where: { reason: 'timeout' }, ids: ids.slice(0, 3) }),
    { redriven: 1 },
    'a message must be named and match'
  )
  t.strictSame(
    await q.act('redrive', { ids: [ids[5], ids[0]] }),
    { redriven: 1 },
    'a message that is not dead is left alone'
  )
  t.strictSame(await q.leaseBodies(6), [0, 2, 5])
  await balanced(t)
})

t.test('purge by ids removes many messages, and leaves leased ones', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const ids = await q.ids(...[0, 1, 2, 3, 4].map(body => ({ body })), { body: 5, delaySeconds: 60 })
  const [leased, acked, dead] = await q.lease(3)
  await holdfast.post(`${q.path}/ack`, { receipt: acked.receipt })
  await q.fail([dead], 'x', { dead: true })
  const named = { ids: [...ids.filter((_, i) => i !== 4), '987654321'] }
  t.strictSame(await q.act('purge', { ...named, dryRun: true }), { matched: 4 })
  t.strictSame(await q.act('purge', { ...named, state: 'dead', dryRun: true }), { matched: 1 })
  t.strictSame(await q.act('purge', { ...named, state: 'leased' }), { purged: 0 })
  t.strictSame(await q.act('purge', named), { purged: 4 })
  t.strictSame(await q.numbers(), [0, 4])
  t.strictSame(await q.counts(), { ready: 1, delayed: 0, leased: 1, dead: 0, acked: 0 })
  t.match((await holdfast.post(`${q.path}/ack`, { receipt: leased.receipt })).body, { outcome: 'acked' })
  await balanced(t)
})

t.test('purge by filter takes messages in one state, or in any', async t => {
  const q = await queue()
  await q.ids(...['keep', 'spam 1', 'spam 2', 'spam 3'].map(body => ({ body })), {
    body: 'spam 4',
    delaySeconds: 60
  })
  t.strictSame(await q.act('purge', { dryRun: true }), { matched: 5 })
  t.strictSame(await q.act('purge', { state: 'delayed', dryRun: true }), { matched: 1 })
  t.strictSame(await q.act('purge', { state: 'ready', where: { contains: 'spam' }, limit: 1 }), { purged: 1 })
  t.strictSame(await q.act('purge', { state: 'delayed', where: { contains: 'spam' } }), { purged: 1 })
  t.strictSame(
    await q.act('purge', { where: { contains: 'spam', enqueuedBefore: '1999-01-01T00:00:00Z' } }),
    { purged: 0 }
  )
  t.strictSame(await q.act('purge', { where: { contains: 'spam' } }), { purged: 2 })
  t.strictSame(await q.browse(''), ['keep'])
  t.match(await holdfast.post('/queues/nowhere/retry', {}), { status: 404, body: { code: 'queueNotFound' } })
  await balanced(t)
})

t.test('while one key searches through a long queue, another key browses', async t => {
  // Of two connections, one is for all searches.
  const { holdfast: guardedService, admin } = await guarded(t, { HOLDFAST_POOL_SIZE: '2' })
  const clientOf = (name: string) =>
    clientWith(guardedService, admin, [`browse:${name}-*`, `manage:${name}-*`])
  const [busy, other] = [await clientOf('a'), await clientOf('b')]
  for (const name of ['a-long', 'b-short']) await admin.call('PUT', `/queues/${name}`, {})
  const messages = Array(1000).fill({ body: 'hay' })
  for (let n = 0; n < 40; n++) await admin.post('/queues/a-long/messages', { messages })
  const ended = { is: false }
  const purge = busy.post('/queues/a-long/purge', { where: { contains: 'needle' } })
  purge.then(() => (ended.is = true))
  let browsed = 0
  while (!ended.is) {
    t.equal((await other.get('/queues/b-short/messages')).status, 200)
    browsed++
  }
  t.strictSame((await purge).body, { purged: 0 })
  t.ok(browsed > 5, `${browsed} pages meanwhile`)
})
