/** Who may publish, subscribe and look; and how many subscriptions one caller may make. */
import pg from 'pg'
import t from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import type { Answer } from '../../support/service.ts'

const { holdfast, admin } = await guarded(t)
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

const seen = ({ status, body: { requestId: _, ...body } }: Answer) => ({ status, body })

t.test('publishing needs publish:TOPIC and no right on the queues', async t => {
  await admin.call('PUT', '/topics/orders/subscriptions/invoices')
  const key = await clientWith(holdfast, admin, ['publish:orders'])
  const publish = (topic: string) => key.post(`/topics/${topic}/messages`, { body: 1 })
  t.match(await publish('orders'), { status: 201, body: { messages: [{ queue: 'invoices' }] } })
  t.equal((await key.get('/topics/orders')).status, 200, 'looking needs either right')
  t.equal((await key.call('PUT', '/topics/orders/subscriptions/invoices')).status, 403)
  t.equal((await key.call('DELETE', '/topics/orders')).status, 403)
  t.equal((await key.get('/queues/invoices')).status, 404)
  t.equal((await key.post('/queues/orders/messages', { body: 1 })).status, 404, 'a topic is no queue')
})

t.test('an unknown topic and one out of rights look the same', async t => {
  await admin.call('PUT', '/topics/secret/subscriptions/hidden')
  const key = await clientWith(holdfast, admin, ['publish:orders', 'subscribe:orders', 'manage:secret'])
  for (const [method, path, body] of [
    ['GET', ''],
    ['POST', '/messages', { body: 1 }],
    ['PUT', '/subscriptions/secret', {}],
    ['DELETE', '/subscriptions/secret'],
    ['DELETE', '']
  ] as const) {
    const ask = (topic: string) => key.call(method, `/topics/${topic}${path}`, body)
    const [there, absent] = [seen(await ask('secret')), seen(await ask('nowhere'))]
    t.equal(there.status, 404, `${method} ${path}`)
    t.equal(there.body.code, 'topicNotFound')
    t.strictSame(JSON.parse(JSON.stringify(there).replaceAll('secret', 'nowhere')), absent)
  }
  t.match((await key.get('/topics')).body, { topics: [{ topic: 'orders' }], cursor: null })
})

t.test('subscribing needs subscribe:TOPIC and manage:QUEUE', async t => {
  const key = await clientWith(holdfast, admin, ['subscribe:news-*', 'manage:own-*', 'browse:seen'])
  const put = async (topic: string, queue: string) =>
    (await key.call('PUT', `/topics/${topic}/subscriptions/${queue}`)).status
  t.equal(await put('news-a', 'own-a'), 201)
  t.equal(await put('news-a', 'other'), 404, 'the queue is out of sight')
  t.equal(await put('news-a', 'seen'), 403)
  t.equal(await put('orders', 'own-a'), 404)
  t.equal((await key.post('/topics/news-a/messages', { body: 1 })).status, 403)
  t.equal((await holdfast.get('/queues/other')).status, 401)
  t.equal((await admin.get('/queues/other')).status, 404, 'nothing was made')

  await admin.call('PUT', '/topics/news-a/subscriptions/invoices')
  t.match(await key.call('DELETE', '/topics/news-a'), { status: 403, body: { detail: /invoices/ } })
  t.equal((await admin.get('/topics/news-a')).body.subscriptions.length, 2, 'nothing was changed')
  t.equal((await key.call('DELETE', '/topics/news-a/subscriptions/invoices')).status, 404)
  t.equal((await key.call('DELETE', '/topics/news-a/subscriptions/own-a')).status, 204)
  t.equal((await admin.get('/topics/news-a')).body.subscriptions.length, 1)
})

t.test('rights to topics are written like others', async t => {
  for (const right of ['publish:', 'publish:a b', 'subscribe', 'publish:**', 'look:t']) {
    t.equal((await admin.post('/keys', { name: 'k', rights: [right] })).status, 400, right)
  }
  for (const right of ['publish:*', 'subscribe:a-*']) {
    t.equal((await admin.post('/keys', { name: 'k', rights: [right] })).status, 201, right)
  }
})

t.test('copies count against the rate of the key that publishes', async t => {
  for (const queue of ['r-1', 'r-2', 'r-3']) await admin.call('PUT', `/topics/rated/subscriptions/${queue}`)
  const key = await clientWith(holdfast, admin, ['publish:rated'], { messagesPerSecond: 2 })
  t.equal((await key.post('/topics/rated/messages', { body: 1 })).status, 201)
  t.match(await key.post('/topics/rated/messages', { body: 1 }), {
    status: 429,
    body: { code: 'rateLimited' }
  })
})

t.test('a caller that floods a topic leaves room for others', async t => {
  const flooder = await clientWith(holdfast, admin, ['subscribe:*', 'manage:f-*'])
  const quiet = await clientWith(holdfast, admin, ['subscribe:*', 'manage:q-*'])
  await sql.query(
    `
    with made as (
      insert into holdfast.queues (name)
      select 'f-' || n
      from generate_series(1, 500) n
      returning id
    ), counted as (
      insert into holdfast.counts (queue_id)
      select id
      from made
    )
    insert into holdfast.subscriptions (topic, queue_id, pattern, caller_id)
    select 'flooded', id, '#', $1
    from made`,
    [flooder.id]
  )
  const put = (key: typeof quiet, queue: string) => key.call('PUT', `/topics/flooded/subscriptions/${queue}`)
  t.match(await put(flooder, 'f-more'), {
    status: 429,
    body: { code: 'tooManySubscriptions', detail: /share/ }
  })
  t.equal((await admin.get('/queues/f-more')).status, 404, 'the queue was not made either')
  t.equal((await put(flooder, 'f-1')).status, 200, 'one that is there can be changed')
  t.equal((await put(quiet, 'q-1')).status, 201)
  await flooder.call('DELETE', '/topics/flooded/subscriptions/f-1')
  t.equal((await put(flooder, 'f-2')).status, 200)
})
