/** What a key needs for the next messages of an ack, and queues that are missing and not made. */
import t from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import { service, type Client } from '../../support/service.ts'

/** Enqueues a message and leases it. */
async function leased(client: Client, queue: string) {
  await client.post(`/queues/${queue}/messages`, { body: 1 })
  return (await client.post(`/queues/${queue}/lease`)).body.messages[0]
}
const counts = async (client: Client, queue: string) => (await client.get(`/queues/${queue}`)).body.counts

t.test('with keys', async t => {
  const { holdfast, admin } = await guarded(t)
  for (const queue of ['from', 'to', 'seen', 'hidden']) await admin.call('PUT', `/queues/${queue}`)
  const rights = ['lease:from', 'enqueue:to', 'browse:seen']

  t.test(
    'each target needs the right enqueue; without any right it looks as if it were not there',
    async t => {
      const worker = await clientWith(holdfast, admin, rights)
      const { receipt } = await leased(admin, 'from')
      const good = { queue: 'to', body: 1 }
      for (const [queue, status, code] of [
        ['seen', 403, 'forbidden'],
        ['from', 403, 'forbidden'],
        ['hidden', 404, 'queueNotFound'],
        ['unknown', 404, 'queueNotFound']
      ] as const) {
        const ack = { receipt, then: [good, { queue, body: 1 }] }
        t.match(
          await worker.post('/queues/from/ack', ack),
          { status, body: { code, errors: [{ pointer: '/then/1' }] } },
          queue
        )
        t.match(
          await worker.post('/queues/from/lease', { ack: [ack] }),
          { status, body: { code, errors: [{ pointer: '/ack/0/then/1' }] } },
          `${queue}, in a lease`
        )
      }
      t.match(await counts(admin, 'from'), { leased: 1 })
      t.match(await counts(admin, 'to'), { ready: 0 })
      t.equal((await admin.get('/queues/unknown')).status, 404, 'and it is not made')
      const answer = await worker.post('/queues/from/ack', { receipt, then: [good], result: 1 })
      t.match(answer, { status: 200, body: { outcome: 'acked', then: [{ queue: 'to' }] } })
    }
  )

  t.test('next messages count against the rate of messages; a plain ack never does', async t => {
    const worker = await clientWith(holdfast, admin, rights, { messagesPerSecond: 1 })
    const [first, second] = [await leased(admin, 'from'), await leased(admin, 'from')]
    const then = Array(50).fill({ queue: 'to', body: 1 })
    t.equal((await worker.post('/queues/from/ack', { receipt: first.receipt, then })).status, 200)
    const refused = await worker.post('/queues/from/ack', { receipt: second.receipt, then: then.slice(0, 1) })
    t.match(refused, { status: 429, body: { code: 'rateLimited' } })
    t.equal((await worker.post('/queues/from/ack', { receipt: second.receipt, result: 1 })).status, 200)
  })
})

t.test('where queues are not made, an unknown target refuses the ack, and a repeat is none', async t => {
  const holdfast = await service(t, { env: { HOLDFAST_CREATE_QUEUES: 'off' } })
  for (const queue of ['from', 'to']) await holdfast.call('PUT', `/queues/${queue}`)
  const held = await leased(holdfast, 'from')
  const then = [
    { queue: 'to', body: 1 },
    { queue: 'unknown', body: 1 }
  ]
  const ack = { receipt: held.receipt, then }
  t.match(await holdfast.post('/queues/from/ack', { acks: [ack] }), {
    status: 404,
    body: { code: 'queueNotFound', errors: [{ pointer: '/acks/0/then/1' }] }
  })
  t.match(await counts(holdfast, 'from'), { leased: 1 })
  t.match(await counts(holdfast, 'to'), { ready: 0 })
  t.equal(
    (await holdfast.post('/queues/from/ack', { receipt: held.receipt, then: then.slice(0, 1) })).status,
    200
  )
  t.strictSame((await holdfast.post('/queues/from/ack', ack)).body, { outcome: 'gone' })
})

t.test('where enqueues may make no more queues, an unknown target refuses the ack', async t => {
  const holdfast = await service(t, { env: { HOLDFAST_AUTO_QUEUES_MAX: '1' } })
  const held = await leased(holdfast, 'from')
  const ack = { receipt: held.receipt, then: [{ queue: 'another', body: 1 }] }
  t.match(await holdfast.post('/queues/from/ack', ack), {
    status: 429,
    body: { code: 'tooManyQueues', errors: [{ pointer: '/then/0' }] }
  })
  t.match(await counts(holdfast, 'from'), { leased: 1 })
})
