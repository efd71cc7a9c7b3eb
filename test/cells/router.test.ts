/** Several cells behind a router look like one service. */
import pg from 'pg'
import t from 'tap'
import { noRouter } from '../support/cells.ts'
import { threeCells, twoCells } from './setup.ts'

const places = {
  prefixes: { '': 'a', 'eu-': 'b', 'eu-old-': 'a' },
  queues: { orders: 'b', 'eu-one': 'a' }
}
const inThree = {
  prefixes: { ...places.prefixes, 'us-': 'c' },
  queues: { ...places.queues, 'us-one': 'a', 'eu-two': 'c' }
}

t.test('a call that names a queue goes to the cell of the queue', { skip: noRouter }, async t => {
  const { router, a, b, c } = await threeCells(t, inThree)
  const homes = {
    mail: a,
    orders: b,
    'orders-2': a,
    'eu-mail': b,
    'eu-old-mail': a,
    'eu-one': a,
    'eu-one-2': b,
    'us-mail': c,
    'us-one': a,
    'eu-two': c
  }
  for (const [queue, home] of Object.entries(homes)) {
    t.equal((await router.post(`/queues/${queue}/messages`, { body: queue })).status, 201, queue)
    t.equal((await home.get(`/queues/${queue}`)).body.counts.ready, 1, queue)
    for (const other of [a, b, c]) {
      if (other !== home) t.equal((await other.get(`/queues/${queue}`)).status, 404, queue)
    }
    const { messages } = (await router.post(`/queues/${queue}/lease`)).body
    t.equal(messages[0].body, queue)
    t.equal((await router.post(`/queues/${queue}/ack`, { receipt: messages[0].receipt })).status, 200)
  }
  // However the name is written, it is the same queue.
  t.equal((await router.post('/queues/%6frders/messages', { body: 1 })).status, 201)
  t.equal((await b.get('/queues/orders')).body.counts.ready, 1)
})

t.test('a cell makes no queue of another cell, whoever asks', { skip: noRouter }, async t => {
  const { a } = await twoCells(t, places)
  const refused = { status: 421, body: { code: 'wrongCell', detail: /orders belongs to the cell b/ } }
  t.match(await a.post('/queues/orders/messages', { body: 1 }), refused)
  t.match(await a.call('PUT', '/queues/orders', {}), refused)
  t.match(await a.call('PUT', '/queues/mail', { deadLetterQueue: 'orders' }), refused)
  t.match(await a.call('PUT', '/topics/news/subscriptions/orders', {}), refused)
  await a.post('/queues/mail/messages', { body: 1 })
  const [{ receipt }] = (await a.post('/queues/mail/lease')).body.messages
  t.match(await a.post('/queues/mail/ack', { receipt, then: [{ queue: 'orders', body: 2 }] }), refused)
  t.equal((await a.post('/queues/mail/ack', { receipt })).status, 200, 'nothing was changed by the refusal')
  const schedule = { queue: 'orders', cron: '@daily', body: 1 }
  t.match(await a.call('PUT', '/schedules/orders.x', schedule), refused)
  t.equal((await a.call('PUT', '/schedules/mail.x', { ...schedule, queue: 'mail' })).status, 201)
  t.match(await a.call('PUT', '/schedules/mail.x', { queue: 'orders' }), refused)
  await a.post('/queues/mail/messages', { body: 'dies', maxAttempts: 1 })
  const [{ receipt: last }] = (await a.post('/queues/mail/lease')).body.messages
  await a.post('/queues/mail/fail', { receipt: last })
  t.match(await a.post('/queues/mail/redrive', { to: 'orders' }), refused)
  t.equal((await a.get('/queues/mail')).body.counts.dead, 1)
  const sql = new pg.Client(a.databaseUrl)
  await sql.connect()
  t.teardown(() => sql.end())
  await t.rejects(sql.query("select holdfast.enqueue('orders', '1')"), {
    code: 'HF008',
    message: /orders belongs to the cell b/
  })
  t.same((await sql.query("select from holdfast.queues where name = 'orders'")).rows, [])
})
