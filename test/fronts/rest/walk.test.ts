/** The walk of a first visitor: make a queue, enqueue, lease, settle. */
import t from 'tap'
import { service } from '../../support/service.ts'

t.test('an enqueued message is leased with its body, acked, and gone', async t => {
  const { call, post, get } = await service(t)
  t.equal((await call('PUT', '/queues/mail')).status, 201)
  t.equal((await call('PUT', '/queues/mail')).status, 200)
  const body = '{"n":12345678901234567890,"a":1,"a":2,"s":"\\u0000"}'
  const enqueued = await post('/queues/mail/messages', `{"body": ${body} }`)
  t.equal(enqueued.status, 201)
  const leased = await post('/queues/mail/lease')
  t.equal(leased.status, 200)
  t.ok(leased.text.includes(`"body":${body},`), 'the very text that was sent')
  const [message] = leased.body.messages
  t.match(message, { id: enqueued.body.id, attempt: 1, fence: 1, contentType: 'application/json' })
  t.equal((await post('/queues/mail/lease')).body.messages.length, 0, 'nobody else gets the message')
  t.match(await post('/queues/mail/ack', { receipt: message.receipt }), {
    status: 200,
    body: { outcome: 'acked' }
  })
  t.match(await post('/queues/mail/ack', { receipt: message.receipt }), {
    status: 200,
    body: { outcome: 'gone' }
  })
  t.match((await get('/queues/mail')).body.counts, { ready: 0, leased: 0 })
})
