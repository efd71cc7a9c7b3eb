/** Queues: settings, reports, ends; and the health of the service. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { pollPause } from '../../../support/pollPause.ts'
import { service } from '../../../support/service.ts'
import { holdfast, queue } from './setup.ts'

t.test('a queue is made once, and its settings change one by one', async t => {
  t.match(await holdfast.call('PUT', '/queues/made', { leaseSeconds: 5, retry: { strategy: 'fixed' } }), {
    status: 201,
    body: { settings: { leaseSeconds: 5, maxAttempts: 5, retry: { strategy: 'fixed', delaySeconds: 1 } } }
  })
  const { status, body } = await holdfast.call('PUT', '/queues/made', {
    retry: { delaySeconds: 7 },
    maxDepth: 10
  })
  t.equal(status, 200)
  t.match(body.settings, {
    leaseSeconds: 5,
    retry: { strategy: 'fixed', delaySeconds: 7, maxDelaySeconds: 3600, jitter: true },
    maxDepth: 10,
    paused: false
  })
  t.match((await holdfast.call('PUT', '/queues/made', { maxDepth: null })).body.settings, {
    maxDepth: null
  })
})

t.test('an untouched queue has the documented defaults', async t => {
  const { body } = await holdfast.call('PUT', '/queues/defaults')
  t.strictSame(body.settings, {
    leaseSeconds: 30,
    maxAttempts: 5,
    retry: { strategy: 'exponential', delaySeconds: 1, maxDelaySeconds: 3600, jitter: true },
    delaySeconds: 0,
    ttlSeconds: null,
    waitSeconds: 0,
    retentionSeconds: 1209600,
    dedupSeconds: 86400,
    maxDepth: null,
    messageBytesMax: 1048576,
    paused: false,
    ordering: 'none',
    fairness: 'none',
    maxLeased: null,
    maxLeasedPerGroup: null,
    rate: null,
    ratePerGroup: null,
    keepAckedSeconds: 0,
    deadLetterQueue: null,
    tags: {}
  })
  t.strictSame(Object.keys(body), [
    'queue',
    'settings',
    'counts',
    'reliability',
    'oldestReadySeconds',
    'limits',
    'createdAt',
    'updatedAt'
  ])
  t.match(body.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

t.test('the list pages by name to its end', async t => {
  const seen: string[] = []
  for (let cursor = ''; ;) {
    const { body } = await holdfast.get(`/queues?limit=1${cursor}`)
    seen.push(...body.queues.map(({ queue }: { queue: string }) => queue))
    if (body.cursor === null) break
    cursor = `&cursor=${body.cursor}`
  }
  t.strictSame(seen, [...seen].sort())
  t.ok(seen.includes('made') && seen.includes('defaults'))
})

t.test('reliability is acked / (acked + dead + expired), in the report and the metrics', async t => {
  const q = await queue()
  t.equal((await q.report()).reliability, null)
  await q.enqueue({ messages: [...[1, 2, 3, 4].map(body => ({ body })), { body: 5, ttlSeconds: 0.001 }] })
  // The sweeper ends the fifth.
  while ((await q.report()).counts.ready > 4) await pollPause()
  const leased = await q.lease({ max: 4 })
  await q.settle('ack', { receipts: leased.slice(0, 3).map(({ receipt }) => receipt) })
  await q.settle('fail', { receipt: leased[3].receipt, dead: true })
  t.equal((await q.report()).reliability, 3 / 5)
  await holdfast.post(`${q.path}/redrive`)
  t.equal((await q.report()).reliability, 3 / 4, 'a redriven message has not ended')
  const line = `holdfast_reliability{queue="${q.name}"} 0.75`
  for (const untilMs = Date.now() + 10_000; !(await holdfast.get('/metrics')).text.includes(line);) {
    if (Date.now() > untilMs) return t.fail(line)
  }
})

t.test('counts follow every message through its states', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }, { body: 3 }, { body: 4, delaySeconds: 60 }] })
  t.strictSame((await q.report()).counts, { ready: 3, delayed: 1, leased: 0, dead: 0, acked: 0 })
  t.ok((await q.report()).oldestReadySeconds >= 0)
  const [first, second, third] = await q.lease({ max: 3 })
  t.equal((await q.report()).oldestReadySeconds, null)
  await q.settle('ack', { receipt: first.receipt })
  await q.settle('fail', { receipt: second.receipt, dead: true })
  await q.settle('release', { receipt: third.receipt })
  t.strictSame((await q.report()).counts, { ready: 1, delayed: 1, leased: 0, dead: 1, acked: 1 })
})

t.test('an enqueue makes an unknown queue; a lease, a report and a browse do not', async t => {
  t.match(await holdfast.post('/queues/unknown/lease'), { status: 404, body: { code: 'queueNotFound' } })
  t.match(await holdfast.get('/queues/unknown'), { status: 404 })
  t.match(await holdfast.get('/queues/unknown/messages'), { status: 404 })
  t.equal((await holdfast.post('/queues/unknown/messages', { body: 1 })).status, 201)
  t.equal((await holdfast.get('/queues/unknown')).body.counts.ready, 1)
})

t.test('with HOLDFAST_CREATE_QUEUES=off, an enqueue into an unknown queue is refused', async t => {
  const strict = await service(t, { env: { HOLDFAST_CREATE_QUEUES: 'off' } })
  t.match(await strict.post('/queues/unmade/messages', { body: 1 }), {
    status: 404,
    body: {
      code: 'queueNotFound',
      detail: /^There is no queue unmade\. PUT .* HOLDFAST_CREATE_QUEUES=off\.$/
    }
  })
  await strict.call('PUT', '/queues/unmade')
  t.equal((await strict.post('/queues/unmade/messages', { body: 1 })).status, 201)
})

t.test('the last page of a list says that it is the last, full or not', async t => {
  const dlq = await queue()
  const q = await queue({ ordering: 'group', deadLetterQueue: dlq.name })
  await queue({ deadLetterQueue: dlq.name })
  await q.enqueue({ messages: ['a', 'b'].map(group => ({ body: 1, group })) })
  for (const name of ['a', 'b']) {
    await holdfast.call('PUT', `/topics/${name}/subscriptions/${q.name}`)
    await holdfast.call('PUT', `/schedules/${name}`, { queue: q.name, cron: '0 0 1 1 *', body: 1 })
  }
  const lists: [string, string][] = [
    ['queues', `/queues?deadLetterQueue=${dlq.name}`],
    ['topics', '/topics?'],
    ['schedules', '/schedules?'],
    ['messages', `${q.path}/messages?`],
    ['messages', `${q.path}/messages?state=ready`],
    ['groups', `${q.path}/groups?`]
  ]
  for (const [field, path] of lists) {
    const page = async (limit: number, cursor?: string) =>
      (await holdfast.get(`${path}&limit=${limit}${cursor ? `&cursor=${cursor}` : ''}`)).body
    const whole = await page(2)
    t.match([whole[field].length, whole.cursor], [2, null], path)
    const first = await page(1)
    t.match(await page(1, first.cursor), { [field]: { length: 1 }, cursor: null }, path)
  }
})

t.test('a deleted queue is gone with its messages, and the next of its name is another queue', async t => {
  const q = await queue()
  await q.enqueue({ body: 1 })
  const [held] = await q.lease()
  t.equal((await holdfast.call('DELETE', q.path)).status, 204)
  t.equal((await holdfast.call('DELETE', q.path)).status, 204, 'a second delete too')
  t.equal((await holdfast.get(q.path)).status, 404)
  await q.enqueue({ body: 2 })
  t.match(await q.settle('ack', { receipt: held.receipt }), { status: 200, body: { outcome: 'gone' } })
  t.strictSame(await q.leaseBodies({ max: 10 }), [2])
})

t.test('with ifEmpty a queue that holds a message stays, in whatever state it is', async t => {
  const q = await queue({ keepAckedSeconds: 60, maxAttempts: 1 })
  const refused = { status: 409, body: { code: 'queueNotEmpty' } }
  const remove = () => holdfast.call('DELETE', `${q.path}?ifEmpty=true`)
  await q.enqueue({ body: 1 })
  t.match(await remove(), refused, 'ready')
  const [held] = await q.lease()
  t.match(await remove(), refused, 'leased')
  await q.settle('ack', { receipt: held.receipt })
  t.match(await remove(), refused, 'acked and kept')
  await holdfast.post(`${q.path}/purge`, {})
  t.equal((await remove()).status, 204)
  t.equal((await remove()).status, 204, 'a second time too')
  t.equal((await holdfast.get(q.path)).status, 404)
  t.equal((await holdfast.call('DELETE', `${q.path}?ifEmpty=yes`)).status, 400)
})

t.test('the service answers for its health, its metrics and its documents', async t => {
  t.match(await holdfast.get('/livez'), { status: 200, body: { status: 'ok' } })
  t.match(await holdfast.get('/readyz'), { status: 200, body: { status: 'ok' } })
  t.match((await holdfast.get('/metrics')).text, /holdfast_enqueued_total\{queue="made"\} 0/)
  const document = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  t.strictSame((await holdfast.get('/openapi.json')).body, document)
  t.match((await holdfast.get('/docs')).text, /swagger-ui/)
})
