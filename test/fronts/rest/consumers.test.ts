/** Who consumes a queue: workers, the leases that they hold, and what cannot be known. */
import t from 'tap'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const consumersOf = async (queue: string) => (await holdfast.get(`/queues/${queue}/consumers`)).body

async function lease(queue: string, worker: string, max: number): Promise<any[]> {
  return (await holdfast.post(`/queues/${queue}/lease`, { worker, max, leaseSeconds: 60 })).body.messages
}

t.test('a consumer is shown with the leases that it holds', async t => {
  await holdfast.post('/queues/mail/messages', { messages: Array(6).fill({ body: 1 }) })
  t.strictSame(await consumersOf('mail'), {
    consumers: [],
    more: false,
    keepsAcked: false,
    lastAskedAt: null
  })
  const ofAda = await lease('mail', 'ada', 3)
  await lease('mail', 'grace', 1)
  const { consumers, lastAskedAt } = await consumersOf('mail')
  t.match(consumers, [
    { worker: 'ada', leases: 3, lastAckedAt: null, lastFailedAt: null },
    { worker: 'grace', leases: 1 }
  ])
  t.equal(consumers[0].oldestLeaseAt, consumers[0].lastLeasedAt)
  t.equal(consumers[0].nextEndAt, ofAda[0].leaseExpiresAt)
  t.ok(Math.abs(Date.parse(lastAskedAt) - Date.now()) < 30_000)
})

t.test('an ack is known where the queue keeps acked messages, and only there', async t => {
  for (const [queue, keepAckedSeconds] of [
    ['kept', 600],
    ['unkept', 0]
  ] as const) {
    await holdfast.call('PUT', `/queues/${queue}`, { keepAckedSeconds })
    await holdfast.post(`/queues/${queue}/messages`, { messages: [{ body: 1 }, { body: 2 }] })
    const [first] = await lease(queue, 'ada', 2)
    await holdfast.post(`/queues/${queue}/ack`, { receipt: first.receipt })
    const { keepsAcked, consumers } = await consumersOf(queue)
    t.equal(keepsAcked, keepAckedSeconds > 0)
    t.equal(consumers.length, 1)
    t.match(consumers[0], { worker: 'ada', leases: 1 })
    t.equal(consumers[0].lastAckedAt !== null, keepsAcked, queue)
  }
})

t.test('a worker that failed is shown after its lease, one of another queue is not', async t => {
  await holdfast.post('/queues/fails/messages', { messages: [{ body: 1 }, { body: 2 }] })
  const [failed, released] = await lease('fails', 'ada', 2)
  await holdfast.post('/queues/fails/fail', { receipt: failed.receipt, reason: 'no' })
  const { lastFailedAt } = (await consumersOf('fails')).consumers[0]
  await holdfast.post('/queues/fails/release', { receipt: released.receipt })
  t.match((await consumersOf('fails')).consumers, [
    { worker: 'ada', leases: 0, oldestLeaseAt: null, nextEndAt: null, lastFailedAt }
  ])
  t.ok(lastFailedAt)
  // Another worker takes the message over: the first holds nothing any more.
  await lease('fails', 'grace', 1)
  t.strictSame(
    (await consumersOf('fails')).consumers.map(({ worker, leases }: any) => [worker, leases]),
    [
      ['grace', 1],
      ['ada', 0]
    ]
  )
  t.match(await holdfast.get('/queues/nowhere/consumers'), { status: 404, body: { code: 'queueNotFound' } })
})
