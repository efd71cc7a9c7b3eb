/** What emulators of SQS get wrong, each by its name; the rest stands in contract.test.ts. */
import t from 'tap'
import { service } from '../../support/service.ts'
import { callers } from './callers.ts'

const { url, get } = await service(t)

for (const [protocol, callerOf] of Object.entries(callers)) {
  t.test(protocol, async t => {
    const call = callerOf(t, url)
    let made = 0
    const queue = async (Attributes: Record<string, string> = {}, suffix = ''): Promise<string> =>
      (await call('CreateQueue', { QueueName: `${protocol}-${++made}${suffix}`, Attributes })).QueueUrl
    const send = (QueueUrl: string, MessageBody: string, more: object = {}) =>
      call('SendMessage', { QueueUrl, MessageBody, ...more })
    const receive = async (QueueUrl: string, more: object = {}): Promise<any[]> =>
      (await call('ReceiveMessage', { QueueUrl, ...more })).Messages ?? []

    t.test("a stale delete removes another worker's lease", async t => {
      const QueueUrl = await queue()
      await send(QueueUrl, 'x')
      const [stale] = await receive(QueueUrl, { VisibilityTimeout: 0 })
      await receive(QueueUrl)
      await call('DeleteMessage', { QueueUrl, ReceiptHandle: stale.ReceiptHandle })
      const { Attributes } = await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] })
      t.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '1')
    })

    t.test('nobody hears of stale deletes', async t => {
      const counted = async () =>
        Number(/^holdfast_stale_deletes_total (\d+)$/m.exec((await get('/metrics')).text)![1])
      const before = await counted()
      const QueueUrl = await queue()
      await send(QueueUrl, 'x')
      const [stale] = await receive(QueueUrl, { VisibilityTimeout: 0 })
      const [{ ReceiptHandle }] = (await receive(QueueUrl)) as [any]
      await call('DeleteMessage', { QueueUrl, ReceiptHandle: stale.ReceiptHandle })
      const Entries = [{ Id: '0', ReceiptHandle: stale.ReceiptHandle }]
      await call('DeleteMessageBatch', { QueueUrl, Entries })
      await call('DeleteMessage', { QueueUrl, ReceiptHandle })
      t.equal((await counted()) - before, 2, 'a delete once more is none')
      const fifo = await queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, '.fifo')
      await send(fifo, 'x', { MessageGroupId: 'g' })
      const [late] = await receive(fifo, { VisibilityTimeout: 0 })
      const { ReceiptHandle: over } = late
      await t.rejects(call('DeleteMessage', { QueueUrl: fifo, ReceiptHandle: over }))
      t.equal((await counted()) - before, 3)
    })

    t.test('ChangeMessageVisibility revives an expired lease', async t => {
      const QueueUrl = await queue()
      await send(QueueUrl, 'x')
      const [{ ReceiptHandle }] = (await receive(QueueUrl, { VisibilityTimeout: 0 })) as [any]
      await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 60 })
      t.equal((await receive(QueueUrl)).length, 1, 'the message stays visible')
    })

    t.test('an expired handle deletes: where there is an order, never', async t => {
      const plain = await queue()
      const fifo = await queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, '.fifo')
      await send(plain, 'x')
      await send(fifo, 'x', { MessageGroupId: 'g' })
      const [late] = await receive(plain, { VisibilityTimeout: 0 })
      await call('DeleteMessage', { QueueUrl: plain, ReceiptHandle: late.ReceiptHandle })
      t.strictSame(await receive(plain), [], 'it was not received again')
      const [{ ReceiptHandle }] = (await receive(fifo, { VisibilityTimeout: 0 })) as [any]
      await t.rejects(call('DeleteMessage', { QueueUrl: fifo, ReceiptHandle }), {
        code: 'InvalidParameterValue'
      })
      t.equal((await receive(fifo)).length, 1)
    })

    t.test('a send makes a queue that was deleted', async t => {
      for (const [suffix, Attributes, more] of [
        ['', {}, {}],
        ['.fifo', { FifoQueue: 'true', ContentBasedDeduplication: 'true' }, { MessageGroupId: 'g' }]
      ] as const) {
        for (let time = 0; time < 5; time++) {
          const QueueUrl = await queue(Attributes, suffix)
          const sends = Array.from({ length: 12 }, (_, n) => send(QueueUrl, `${n}`, more).catch(() => {}))
          await call('DeleteQueue', { QueueUrl })
          await Promise.all(sends)
          t.equal((await get(`/queues/${QueueUrl.split('/').at(-1)}`)).status, 404)
        }
      }
    })

    t.test('a dead-letter queue that was deleted comes back without its order', async t => {
      const dead = await queue({ FifoQueue: 'true' }, '.fifo')
      const name = dead.split('/').at(-1)!
      const deadLetterTargetArn = `arn:aws:sqs:eu-west-1:000000000000:${name}`
      const source = await queue(
        {
          FifoQueue: 'true',
          ContentBasedDeduplication: 'true',
          RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 })
        },
        '.fifo'
      )
      await call('DeleteQueue', { QueueUrl: dead })
      for (const body of ['1', '2']) {
        await send(source, body, { MessageGroupId: 'g' })
        await receive(source, { VisibilityTimeout: 0 })
      }
      t.match(await receive(dead), [{ Body: '1' }])
      t.strictSame(await receive(dead), [], 'the group is held')
      const { Attributes } = await call('GetQueueAttributes', { QueueUrl: dead, AttributeNames: ['All'] })
      t.match(Attributes, { FifoQueue: 'true', MessageRetentionPeriod: '345600' })
      t.notOk('Front' in Attributes)
      t.match((await get(`/queues/${name}`)).body.settings, { maxAttempts: null, dedupSeconds: 300 })
    })

    t.test('a receive of ten brings one', async t => {
      const QueueUrl = await queue()
      const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: `${i}` }))
      await call('SendMessageBatch', { QueueUrl, Entries })
      const bodies = (await receive(QueueUrl, { MaxNumberOfMessages: 10 })).map(({ Body }) => Body)
      t.strictSame(
        bodies,
        Entries.map(({ MessageBody }) => MessageBody)
      )
    })

    t.test('messages of a FIFO group that were returned in reverse swap their places', async t => {
      const QueueUrl = await queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, '.fifo')
      for (const body of ['1', '2', '3']) await send(QueueUrl, body, { MessageGroupId: 'g' })
      const first = await receive(QueueUrl, { MaxNumberOfMessages: 10 })
      t.strictSame(
        first.map(({ Body }) => Body),
        ['1', '2', '3']
      )
      for (const { ReceiptHandle } of first.toReversed()) {
        await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 })
      }
      const again = await receive(QueueUrl, { MaxNumberOfMessages: 10 })
      t.strictSame(
        again.map(({ Body }) => Body),
        ['1', '2', '3']
      )
    })

    t.test('a delayed message of its producer blocks its group in no other queue', async t => {
      const QueueUrl = await queue()
      await send(QueueUrl, 'late', { MessageGroupId: 'g', DelaySeconds: 900 })
      await send(QueueUrl, 'now', { MessageGroupId: 'g' })
      t.match(await receive(QueueUrl, { AttributeNames: ['MessageGroupId'] }), [
        { Body: 'now', Attributes: { MessageGroupId: 'g' } }
      ])
    })

    t.test('the names of attributes may be those of every object', async t => {
      const QueueUrl = await queue()
      const MessageAttributes = Object.fromEntries([
        ['__proto__', { DataType: 'String', StringValue: 'x' }],
        ['constructor', { DataType: 'Number', StringValue: '1' }]
      ])
      await send(QueueUrl, 'x', { MessageAttributes })
      const [message] = await receive(QueueUrl, { MessageAttributeNames: ['constructor', '__proto__'] })
      t.strictSame(Object.keys(message.MessageAttributes).sort(), ['__proto__', 'constructor'])
      t.equal((await get('/readyz')).status, 200)
    })
  })
}
