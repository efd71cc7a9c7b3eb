/** What SQS promises, through both of its protocols. */
import pg from 'pg'
import t from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { service } from '../../support/service.ts'
import { callers, Refusal, type CallSqs, type OperationName } from './callers.ts'

const { url, databaseUrl, post, get, call: rest } = await service(t)
const sql = new pg.Client(databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

/** The code and the status of a refusal. */
async function refused(call: CallSqs, operation: OperationName, input: Record<string, any>): Promise<string> {
  try {
    return `answered ${JSON.stringify(await call(operation, input))}`
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return `${error.status} ${error.code}`
  }
}

for (const [protocol, callerOf] of Object.entries(callers)) {
  t.test(protocol, async t => {
    const call = callerOf(t, url)
    let made = 0
    /** A new queue. Answers its URL. */
    const queue = async (Attributes: Record<string, string> = {}, suffix = ''): Promise<string> => {
      const QueueName = `${protocol}-${++made}${suffix}`
      return (await call('CreateQueue', { QueueName, Attributes })).QueueUrl
    }
    const fifo = (attributes: Record<string, string> = {}) =>
      queue({ FifoQueue: 'true', ...attributes }, '.fifo')
    const send = (QueueUrl: string, MessageBody: string, more: object = {}) =>
      call('SendMessage', { QueueUrl, MessageBody, ...more })
    const receive = async (QueueUrl: string, more: object = {}): Promise<any[]> =>
      (await call('ReceiveMessage', { QueueUrl, ...more })).Messages ?? []
    const attributes = async (QueueUrl: string, ...AttributeNames: string[]) =>
      (await call('GetQueueAttributes', { QueueUrl, AttributeNames })).Attributes

    t.test('a queue is made, found, listed and deleted', async t => {
      const QueueUrl = await queue()
      t.match(QueueUrl, new RegExp(`^${url}/000000000000/${protocol}-\\d+$`))
      const QueueName = QueueUrl.split('/').at(-1)!
      t.strictSame(await call('GetQueueUrl', { QueueName }), { QueueUrl })
      t.strictSame(await call('CreateQueue', { QueueName }), { QueueUrl })
      t.strictSame((await call('ListQueues', { QueueNamePrefix: QueueName })).QueueUrls, [QueueUrl])
      t.strictSame(await call('ListQueues', { QueueNamePrefix: 'no-such' }), {})
      const other = { QueueName, Attributes: { VisibilityTimeout: '7' } }
      t.equal(await refused(call, 'CreateQueue', other), '400 QueueAlreadyExists')
      t.strictSame(await call('DeleteQueue', { QueueUrl }), {})
      for (const operation of [
        'DeleteQueue',
        'GetQueueAttributes',
        'PurgeQueue',
        'ReceiveMessage'
      ] as const) {
        t.equal(
          await refused(call, operation, { QueueUrl }),
          '400 AWS.SimpleQueueService.NonExistentQueue',
          operation
        )
      }
      t.equal(
        await refused(call, 'GetQueueUrl', { QueueName }),
        '400 AWS.SimpleQueueService.NonExistentQueue'
      )
      for (const QueueName of ['', 'a b', 'a.b', 'x'.repeat(81), 'ümlaut']) {
        t.match(
          await refused(call, 'CreateQueue', { QueueName }),
          /^400 (InvalidParameterValue|MissingParameter)$/,
          QueueName
        )
      }
    })

    t.test('lists of queues come in pages', async t => {
      const urls = [await queue({}, '-page'), await queue({}, '-page'), await queue({}, '-page')]
      const found: string[] = []
      let NextToken: string | undefined
      do {
        const page: any = await call('ListQueues', { QueueNamePrefix: protocol, MaxResults: 2, NextToken })
        t.ok(page.QueueUrls.length <= 2)
        found.push(...page.QueueUrls)
        NextToken = page.NextToken
      } while (NextToken !== undefined)
      for (const one of urls) t.equal(found.filter(other => other === one).length, 1)
      for (const MaxResults of [0, 1001]) {
        t.equal(await refused(call, 'ListQueues', { MaxResults }), '400 InvalidParameterValue')
      }
    })

    t.test('leases of REST last as they say, whatever was made visible at once', async t => {
      const QueueUrl = await queue()
      const name = QueueUrl.split('/').at(-1)!
      const lease = async (ask: object) => (await post(`/queues/${name}/lease`, ask)).body.messages[0]
      const leasedSeconds = async () => {
        const { id } = (await get(`/queues/${name}/messages?state=leased`)).body.messages[0]
        const { leasedAt, expiresAt } = (await get(`/queues/${name}/messages/${id}`)).body.lease
        return (Date.parse(expiresAt) - Date.parse(leasedAt)) / 1000
      }
      await send(QueueUrl, 'x')
      const [{ ReceiptHandle }] = (await receive(QueueUrl)) as [any]
      await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 })
      const { receipt } = await lease({ leaseSeconds: 70 })
      t.equal(await leasedSeconds(), 70, 'after ChangeMessageVisibility 0')
      await post(`/queues/${name}/fail`, { receipt, delaySeconds: 0 })

      await call('SetQueueAttributes', { QueueUrl, Attributes: { VisibilityTimeout: '0' } })
      t.equal((await receive(QueueUrl)).length, 1)
      t.equal((await receive(QueueUrl)).length, 1, 'it is visible again at once')
      const { receipt: second } = await lease({ leaseSeconds: 80 })
      t.equal(await leasedSeconds(), 80, 'after the attribute VisibilityTimeout 0')
      await post(`/queues/${name}/fail`, { receipt: second, delaySeconds: 0 })

      await rest('PUT', `/queues/${name}`, { leaseSeconds: 90 })
      t.strictSame(await attributes(QueueUrl, 'VisibilityTimeout'), { VisibilityTimeout: '90' })
      t.equal((await receive(QueueUrl)).length, 1)
      t.equal(await leasedSeconds(), 90, 'a setting of REST takes the place of the attribute')
    })

    t.test('attributes of queues', async t => {
      const given = {
        VisibilityTimeout: '11',
        MessageRetentionPeriod: '61',
        DelaySeconds: '1',
        ReceiveMessageWaitTimeSeconds: '2',
        MaximumMessageSize: '1025',
        Policy: '{"Version":"2012-10-17"}',
        KmsMasterKeyId: 'alias/aws/sqs'
      }
      const QueueUrl = await queue(given)
      const all = await attributes(QueueUrl, 'All')
      t.match(all, { ...given, ApproximateNumberOfMessages: '0', CreatedTimestamp: /^\d{10}$/ })
      t.match(all.QueueArn, /^arn:aws:sqs:[a-z0-9-]+:000000000000:/)
      t.notOk('FifoQueue' in all)
      t.strictSame(await attributes(QueueUrl, 'DelaySeconds'), { DelaySeconds: '1' })
      t.strictSame(await call('GetQueueAttributes', { QueueUrl }), {})
      t.equal(
        await refused(call, 'GetQueueAttributes', { QueueUrl, AttributeNames: ['Nonsense'] }),
        '400 InvalidAttributeName'
      )
      await call('SetQueueAttributes', { QueueUrl, Attributes: { VisibilityTimeout: '0', Policy: '' } })
      t.strictSame(await attributes(QueueUrl, 'VisibilityTimeout', 'Policy'), { VisibilityTimeout: '0' })
      await call('SetQueueAttributes', { QueueUrl, Attributes: { VisibilityTimeout: '12' } })
      t.strictSame(await attributes(QueueUrl, 'VisibilityTimeout'), { VisibilityTimeout: '12' })
      const wrong = {
        VisibilityTimeout: ['-1', '43201', 'x', ''],
        MessageRetentionPeriod: ['59', '1209601'],
        DelaySeconds: ['901'],
        ReceiveMessageWaitTimeSeconds: ['21'],
        MaximumMessageSize: ['1023', '1048577'],
        Policy: ['{']
      }
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values) {
          const input = { QueueUrl, Attributes: { [name]: value } }
          t.equal(
            await refused(call, 'SetQueueAttributes', input),
            '400 InvalidAttributeValue',
            `${name}=${value}`
          )
        }
      }
      for (const name of ['Nonsense', 'FifoQueue', 'ContentBasedDeduplication', 'QueueArn', 'constructor']) {
        const input = { QueueUrl, Attributes: { [name]: 'true' } }
        t.equal(await refused(call, 'SetQueueAttributes', input), '400 InvalidAttributeName', name)
      }
    })

    t.test('tags', async t => {
      const QueueName = `${protocol}-tags`
      const { QueueUrl } = await call('CreateQueue', { QueueName, tags: { a: '1' } })
      await call('TagQueue', { QueueUrl, Tags: { b: '2', __proto__x: '' } })
      t.strictSame(await call('ListQueueTags', { QueueUrl }), { Tags: { a: '1', b: '2', __proto__x: '' } })
      await call('UntagQueue', { QueueUrl, TagKeys: ['a', 'b', '__proto__x'] })
      t.strictSame(await call('ListQueueTags', { QueueUrl }), {})
    })

    t.test('changes at the same time keep what the others set', async t => {
      const QueueUrl = await queue()
      const names = Array.from({ length: 8 }, (_, n) => `k${n}`)
      await Promise.all(names.map(name => call('TagQueue', { QueueUrl, Tags: { [name]: name } })))
      t.strictSame(Object.keys((await call('ListQueueTags', { QueueUrl })).Tags).sort(), names)
      const changes: Record<string, string> = {
        Policy: '{"a":1}',
        KmsMasterKeyId: 'k',
        RedriveAllowPolicy: '{"redrivePermission":"denyAll"}',
        VisibilityTimeout: '0'
      }
      const set = (Attributes: object) => call('SetQueueAttributes', { QueueUrl, Attributes })
      await Promise.all(Object.entries(changes).map(([name, value]) => set({ [name]: value })))
      t.match((await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] })).Attributes, changes)
      await Promise.all([set({ Policy: '' }), set({ VisibilityTimeout: '7' })])
      const { Attributes } = await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] })
      t.match(Attributes, { VisibilityTimeout: '7', KmsMasterKeyId: 'k' })
      t.notOk('Policy' in Attributes)
    })

    t.test('of calls that make a queue at once with different attributes, one makes it', async t => {
      const QueueName = `${protocol}-at-once`
      const outcomes = await Promise.allSettled(
        ['10', '20', '30', '40'].map(VisibilityTimeout =>
          call('CreateQueue', { QueueName, Attributes: { VisibilityTimeout } })
        )
      )
      t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    })

    t.test('attributes that no queue can have', async t => {
      const plain = await queue()
      const fifo = await queue({ FifoQueue: 'true' }, '.fifo')
      const set = (QueueUrl: string, Attributes: object) =>
        refused(call, 'SetQueueAttributes', { QueueUrl, Attributes })
      const invalid = '400 InvalidAttributeValue'
      t.equal(await set(plain, { KmsMasterKeyId: 'a\0b' }), invalid)
      t.equal(await set(plain, { KmsDataKeyReusePeriodSeconds: '59' }), invalid)
      t.equal(await set(plain, { KmsDataKeyReusePeriodSeconds: '86401' }), invalid)
      t.equal(await set(plain, { RedriveAllowPolicy: '{"redrivePermission":"bogus"}' }), invalid)
      t.equal(await set(fifo, { FifoQueue: 'false' }), invalid)
      t.equal(await set(fifo, { FifoThroughputLimit: 'perMessageGroupId' }), invalid)
      await call('SetQueueAttributes', { QueueUrl: fifo, Attributes: { FifoQueue: 'true' } })
      const Attributes = { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }
      await call('SetQueueAttributes', { QueueUrl: fifo, Attributes })
      const badTags = { QueueUrl: plain, Tags: { 'b\u0001': 'x' } }
      t.equal(await refused(call, 'TagQueue', badTags), '400 InvalidParameterValue')
      for (const StringValue of ['1e127', '1'.repeat(39), '1e-129']) {
        const MessageAttributes = { n: { DataType: 'Number', StringValue } }
        const input = { QueueUrl: plain, MessageBody: 'x', MessageAttributes }
        t.equal(await refused(call, 'SendMessage', input), '400 InvalidParameterValue', StringValue)
      }
    })

    t.test('a RedriveAllowPolicy says whose dead messages may come', async t => {
      const [dead, source] = [await queue(), await queue()]
      const arnOf = async (QueueUrl: string): Promise<string> =>
        (await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['QueueArn'] })).Attributes.QueueArn
      const allow = (policy: object) =>
        call('SetQueueAttributes', {
          QueueUrl: dead,
          Attributes: { RedriveAllowPolicy: JSON.stringify(policy) }
        })
      const deadLetterTargetArn = await arnOf(dead)
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 })
      const redrive = { QueueUrl: source, Attributes: { RedrivePolicy } }
      await allow({ redrivePermission: 'denyAll' })
      t.equal(await refused(call, 'SetQueueAttributes', redrive), '400 InvalidParameterValue')
      await allow({ redrivePermission: 'byQueue', sourceQueueArns: [deadLetterTargetArn] })
      t.equal(await refused(call, 'SetQueueAttributes', redrive), '400 InvalidParameterValue')
      await allow({ redrivePermission: 'byQueue', sourceQueueArns: [await arnOf(source)] })
      await call('SetQueueAttributes', redrive)
      const fifo = await arnOf(await queue({ FifoQueue: 'true' }, '.fifo'))
      const move = { SourceArn: deadLetterTargetArn, DestinationArn: fifo }
      t.equal(await refused(call, 'StartMessageMoveTask', move), '400 InvalidParameterValue')
    })

    t.test('what REST enqueues is received, whatever XML can carry', async t => {
      const QueueUrl = await queue()
      const path = `/queues/${QueueUrl.split('/').at(-1)}/messages`
      const headers = {
        'sqs:trace': 'a\u0001',
        'sqs:attributes': JSON.stringify([
          ['n', 'String', 'a\u0001'],
          ['b', 'Binary', '@@@'],
          ['k', 'Number', '1']
        ])
      }
      await post(path, { body: 'x', group: 'a\ufffeb', headers })
      const input = { QueueUrl, AttributeNames: ['All'], MessageAttributeNames: ['All'] }
      const { Messages } = await call('ReceiveMessage', input)
      t.match(Messages, [{ Body: '"x"', MessageAttributes: { k: { StringValue: '1' } } }])
      t.strictSame(Object.keys(Messages[0].MessageAttributes), ['k'])
    })

    t.test('a message is sent, received, hidden, shown and deleted', async t => {
      const QueueUrl = await queue()
      const Body = 'Grüße, <&> "🐙"\r\n\t'
      const sent = await send(QueueUrl, Body)
      t.match(sent.MessageId, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      t.notOk('MD5OfMessageAttributes' in sent, 'no sum of nothing')
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessages, '1', 'counts are current')
      const [message] = await receive(QueueUrl, { VisibilityTimeout: 60 })
      t.equal(message.Body, Body)
      t.equal(message.MessageId, sent.MessageId)
      t.equal(message.MD5OfBody, sent.MD5OfMessageBody)
      t.notOk(
        'Attributes' in message || 'MessageAttributes' in message || 'MD5OfMessageAttributes' in message
      )
      t.strictSame(await receive(QueueUrl), [])
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessagesNotVisible, '1')
      const { ReceiptHandle } = message
      await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 })
      const [again] = await receive(QueueUrl, { AttributeNames: ['ApproximateReceiveCount'] })
      t.strictSame(again.Attributes, { ApproximateReceiveCount: '2' })
      const stale = { QueueUrl, ReceiptHandle }
      t.strictSame(await call('DeleteMessage', stale), {}, 'a stale handle is taken')
      t.equal(
        await refused(call, 'ChangeMessageVisibility', { ...stale, VisibilityTimeout: 9 }),
        '400 AWS.SimpleQueueService.MessageNotInflight'
      )
      t.equal(
        (await attributes(QueueUrl, 'All')).ApproximateNumberOfMessagesNotVisible,
        '1',
        'and deletes nothing'
      )
      const current = { QueueUrl, ReceiptHandle: again.ReceiptHandle }
      for (const VisibilityTimeout of [-1, 43201]) {
        t.equal(
          await refused(call, 'ChangeMessageVisibility', { ...current, VisibilityTimeout }),
          '400 InvalidParameterValue'
        )
      }
      const leasedAt = (time: string) => sql.query(`update holdfast.leases set leased_at = ${time}`)
      await leasedAt("now() - interval '2 seconds'")
      t.equal(
        await refused(call, 'ChangeMessageVisibility', { ...current, VisibilityTimeout: 43200 }),
        '400 InvalidParameterValue',
        'twelve hours in all'
      )
      await leasedAt("now() + interval '1 second'")
      await call('ChangeMessageVisibility', { ...current, VisibilityTimeout: 43200 })
      await call('DeleteMessage', current)
      await call('DeleteMessage', current)
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessagesNotVisible, '0')
      t.equal(
        await refused(call, 'DeleteMessage', { QueueUrl, ReceiptHandle: 'garbage' }),
        '404 ReceiptHandleIsInvalid'
      )
    })

    t.test('bounds of messages and of receives', async t => {
      const QueueUrl = await queue()
      for (const MessageBody of ['a\u0001b', '\ufffe']) {
        t.equal(await refused(call, 'SendMessage', { QueueUrl, MessageBody }), '400 InvalidMessageContents')
      }
      t.equal(await refused(call, 'SendMessage', { QueueUrl, MessageBody: '' }), '400 MissingParameter')
      t.equal(await refused(call, 'SendMessage', { QueueUrl }), '400 MissingParameter')
      await send(QueueUrl, 'x'.repeat(1_048_576))
      const tooLarge = { QueueUrl, MessageBody: 'x'.repeat(1_048_577) }
      t.equal(await refused(call, 'SendMessage', tooLarge), '400 InvalidParameterValue')
      for (const DelaySeconds of [-1, 901]) {
        t.equal(
          await refused(call, 'SendMessage', { QueueUrl, MessageBody: 'x', DelaySeconds }),
          '400 InvalidParameterValue'
        )
      }
      const wrong = [
        { MaxNumberOfMessages: 0 },
        { MaxNumberOfMessages: 11 },
        { WaitTimeSeconds: -1 },
        { WaitTimeSeconds: 21 },
        { VisibilityTimeout: -1 },
        { VisibilityTimeout: 43201 },
        { ReceiveRequestAttemptId: 'x'.repeat(129) }
      ]
      for (const input of wrong) {
        t.equal(
          await refused(call, 'ReceiveMessage', { QueueUrl, ...input }),
          '400 InvalidParameterValue',
          JSON.stringify(input)
        )
      }
      const strange = { QueueUrl, AttributeNames: ['Nonsense'] }
      t.equal(await refused(call, 'ReceiveMessage', strange), '400 InvalidAttributeName')
    })

    t.test('a long row of one sign is refused in a moment, and stops nobody', async t => {
      const QueueUrl = await queue()
      const startedMs = performance.now()
      for (const StringValue of ['1'.repeat(250_000) + 'x', `1${'0'.repeat(250_000)}1`]) {
        const MessageAttributes = { n: { DataType: 'Number', StringValue } }
        const input = { QueueUrl, MessageBody: 'x', MessageAttributes }
        t.equal(await refused(call, 'SendMessage', input), '400 InvalidParameterValue')
      }
      const wrong = { QueueUrl: `${'/'.repeat(250_000)}!`, MessageBody: 'x' }
      t.match(await refused(call, 'SendMessage', wrong), /^400 .*NonExistentQueue|QueueDoesNotExist/)
      const ms = performance.now() - startedMs
      t.ok(ms < 5000, `${ms} ms; time that grows with the square would be minutes`)
    })

    t.test('attributes of messages, with their sums', async t => {
      const QueueUrl = await queue()
      const MessageAttributes = {
        tenant: { DataType: 'String', StringValue: 'acme' },
        n: { DataType: 'Number', StringValue: '42' },
        bin: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 1, 2]) }
      }
      const trace = 'Root=1-5759e988-bd862e3fe1be46a994272793'
      const MessageSystemAttributes = { AWSTraceHeader: { DataType: 'String', StringValue: trace } }
      const sent = await send(QueueUrl, 'hello world', { MessageAttributes, MessageSystemAttributes })
      t.equal(sent.MD5OfMessageBody, '5eb63bbbe01eeed093cb22bb8f5acdc3')
      t.equal(sent.MD5OfMessageAttributes, '8e0907486236139698440ed7f7b864ac')
      t.equal(sent.MD5OfMessageSystemAttributes, '62a56dd927315f2b2e12832b84617ea5')
      const ask = async (more: object) => (await receive(QueueUrl, { VisibilityTimeout: 0, ...more }))[0]
      const all = await ask({ MessageAttributeNames: ['All'], AttributeNames: ['All'] })
      t.strictSame(all.MessageAttributes, MessageAttributes)
      t.equal(all.MD5OfMessageAttributes, sent.MD5OfMessageAttributes)
      t.match(all.Attributes, {
        AWSTraceHeader: trace,
        SenderId: /./,
        SentTimestamp: /^\d{13}$/,
        ApproximateReceiveCount: '1',
        ApproximateFirstReceiveTimestamp: /^\d{13}$/
      })
      const some = await ask({ MessageAttributeNames: ['ten.*', 'n'] })
      t.strictSame(Object.keys(some.MessageAttributes).sort(), ['n', 'tenant'])
      const none = await ask({ MessageAttributeNames: ['nothing'] })
      t.notOk('MessageAttributes' in none || 'MD5OfMessageAttributes' in none)
      const wrong: Record<string, object> = {
        'AWS.x': { DataType: 'String', StringValue: 'x' },
        '.x': { DataType: 'String', StringValue: 'x' },
        'a..b': { DataType: 'String', StringValue: 'x' },
        'a b': { DataType: 'String', StringValue: 'x' },
        empty: { DataType: 'String', StringValue: '' },
        none: { DataType: 'String' },
        type: { DataType: 'Text', StringValue: 'x' },
        number: { DataType: 'Number', StringValue: 'x' }
      }
      for (const [name, value] of Object.entries(wrong)) {
        const input = { QueueUrl, MessageBody: 'x', MessageAttributes: { [name]: value } }
        t.equal(await refused(call, 'SendMessage', input), '400 InvalidParameterValue', name)
      }
      const eleven = Object.fromEntries(
        Array.from({ length: 11 }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'x' }])
      )
      t.equal(
        await refused(call, 'SendMessage', { QueueUrl, MessageBody: 'x', MessageAttributes: eleven }),
        '400 InvalidParameterValue'
      )
    })

    t.test('batches answer each entry', async t => {
      const QueueUrl = await queue()
      const Entries = [
        { Id: 'a', MessageBody: '1' },
        { Id: 'bad', MessageBody: '\u0001' },
        { Id: 'b', MessageBody: '2' },
        { Id: 'late', MessageBody: '3', DelaySeconds: 901 }
      ]
      const sent = await call('SendMessageBatch', { QueueUrl, Entries })
      t.strictSame(
        sent.Successful.map(({ Id }: any) => Id),
        ['a', 'b']
      )
      t.match(sent.Failed, [
        { Id: 'bad', Code: 'InvalidMessageContents', SenderFault: true },
        { Id: 'late', Code: 'InvalidParameterValue', SenderFault: true }
      ])
      const messages = await receive(QueueUrl, { MaxNumberOfMessages: 10 })
      t.strictSame(
        messages.map(({ Body }) => Body),
        ['1', '2']
      )
      const handles = [...messages.map(({ ReceiptHandle }) => ReceiptHandle), 'garbage']
      const entries = handles.map((ReceiptHandle, i) => ({ Id: `e${i}`, ReceiptHandle }))
      const changed = await call('ChangeMessageVisibilityBatch', {
        QueueUrl,
        Entries: entries.map(entry => ({ ...entry, VisibilityTimeout: 40 }))
      })
      t.strictSame(changed.Successful, [{ Id: 'e0' }, { Id: 'e1' }])
      t.match(changed.Failed, [{ Id: 'e2', Code: 'ReceiptHandleIsInvalid' }])
      const deleted = await call('DeleteMessageBatch', { QueueUrl, Entries: entries })
      t.strictSame(deleted.Successful, [{ Id: 'e0' }, { Id: 'e1' }])
      t.match(deleted.Failed, [{ Id: 'e2', Code: 'ReceiptHandleIsInvalid', SenderFault: true }])
      const whole: [any[], string][] = [
        [[], 'EmptyBatchRequest'],
        [
          Array.from({ length: 11 }, (_, i) => ({ Id: `${i}`, MessageBody: 'x' })),
          'TooManyEntriesInBatchRequest'
        ],
        [
          [
            { Id: 'a', MessageBody: 'x' },
            { Id: 'a', MessageBody: 'x' }
          ],
          'BatchEntryIdsNotDistinct'
        ],
        [[{ Id: 'a b', MessageBody: 'x' }], 'InvalidBatchEntryId'],
        [[1, 2].map(i => ({ Id: `${i}`, MessageBody: 'x'.repeat(600_000) })), 'BatchRequestTooLong']
      ]
      for (const [Entries, code] of whole) {
        const answer = await refused(call, 'SendMessageBatch', { QueueUrl, Entries })
        t.equal(answer, `400 AWS.SimpleQueueService.${code}`, code)
      }
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessages, '0')
    })

    t.test('purge', async t => {
      const QueueUrl = await queue()
      await send(QueueUrl, 'x')
      await call('PurgeQueue', { QueueUrl })
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessages, '0')
    })

    t.test('a long poll ends with the message', async t => {
      const QueueUrl = await queue()
      const waiting = receive(QueueUrl, { WaitTimeSeconds: 20 })
      await send(QueueUrl, 'x')
      t.equal((await waiting)[0].Body, 'x')
    })

    t.test('delays: of the queue, and of the message', async t => {
      const QueueUrl = await queue({ DelaySeconds: '900' })
      await send(QueueUrl, 'late')
      await send(QueueUrl, 'now', { DelaySeconds: 0 })
      t.strictSame(
        (await receive(QueueUrl, { MaxNumberOfMessages: 10 })).map(({ Body }) => Body),
        ['now']
      )
      t.equal((await attributes(QueueUrl, 'All')).ApproximateNumberOfMessagesDelayed, '1')
    })

    t.test('FIFO: groups in order, one at a time, and deduplication', async t => {
      const QueueUrl = await fifo()
      const to = (group: string, body: string, id = body) =>
        send(QueueUrl, body, { MessageGroupId: group, MessageDeduplicationId: id })
      const first = await to('g', 'a')
      t.match(first.SequenceNumber, /^\d{20}$/)
      const same = await to('g', 'other', 'a')
      t.equal(same.MessageId, first.MessageId, 'the first wins')
      t.equal(same.SequenceNumber, first.SequenceNumber)
      t.not(same.MD5OfMessageBody, first.MD5OfMessageBody, 'sums are of the call')
      const second = await to('g', 'b')
      t.ok(second.SequenceNumber > first.SequenceNumber)
      await to('h', 'c')
      const [a] = await receive(QueueUrl, { AttributeNames: ['All'] })
      t.match(a.Attributes, {
        MessageGroupId: 'g',
        MessageDeduplicationId: 'a',
        SequenceNumber: first.SequenceNumber
      })
      const [c] = await receive(QueueUrl)
      t.equal(c.Body, 'c', 'the group g is busy')
      t.strictSame(await receive(QueueUrl), [])
      await call('DeleteMessage', { QueueUrl, ReceiptHandle: a.ReceiptHandle })
      const [b] = await receive(QueueUrl)
      t.equal(b.Body, 'b')
      t.equal((await to('g', 'a')).MessageId, first.MessageId, 'deduplication outlives the message')
      const wrong: [object, string][] = [
        [{ MessageDeduplicationId: 'x' }, 'MissingParameter'],
        [{ MessageGroupId: 'g' }, 'InvalidParameterValue'],
        [{ MessageGroupId: 'g', MessageDeduplicationId: 'x', DelaySeconds: 1 }, 'InvalidParameterValue'],
        [{ MessageGroupId: 'g g', MessageDeduplicationId: 'x' }, 'InvalidParameterValue'],
        [{ MessageGroupId: 'x'.repeat(129), MessageDeduplicationId: 'x' }, 'InvalidParameterValue']
      ]
      for (const [more, code] of wrong) {
        t.equal(
          await refused(call, 'SendMessage', { QueueUrl, MessageBody: 'x', ...more }),
          `400 ${code}`,
          JSON.stringify(more)
        )
      }
      const plain = { QueueUrl: await queue(), MessageBody: 'x', MessageDeduplicationId: 'x' }
      t.equal(await refused(call, 'SendMessage', plain), '400 InvalidParameterValue')
      t.equal(await refused(call, 'CreateQueue', { QueueName: 'x.fifo' }), '400 InvalidParameterValue')
      t.equal(
        await refused(call, 'CreateQueue', { QueueName: 'x', Attributes: { FifoQueue: 'true' } }),
        '400 InvalidParameterValue'
      )
    })

    t.test('FIFO: deduplication by content, and within a group', async t => {
      const byContent = await fifo({ ContentBasedDeduplication: 'true' })
      const one = await send(byContent, 'x', { MessageGroupId: 'g' })
      t.equal((await send(byContent, 'x', { MessageGroupId: 'h' })).MessageId, one.MessageId)
      t.not((await send(byContent, 'y', { MessageGroupId: 'g' })).MessageId, one.MessageId)
      const byGroup = await fifo({ ContentBasedDeduplication: 'true', DeduplicationScope: 'messageGroup' })
      const inGroup = await send(byGroup, 'x', { MessageGroupId: 'g' })
      t.not((await send(byGroup, 'x', { MessageGroupId: 'h' })).MessageId, inGroup.MessageId)
      t.equal((await send(byGroup, 'x', { MessageGroupId: 'g' })).MessageId, inGroup.MessageId)
      t.match(await attributes(byGroup, 'All'), { FifoQueue: 'true', DeduplicationScope: 'messageGroup' })
    })

    t.test('FIFO: a receive takes all it can of one group before it takes of the next', async t => {
      const QueueUrl = await fifo({ ContentBasedDeduplication: 'true' })
      for (const body of ['a1', 'b1', 'a2', 'c1', 'a3', 'b2']) {
        await send(QueueUrl, body, { MessageGroupId: body[0] })
      }
      const bodies = async (more: object) =>
        (await receive(QueueUrl, { MaxNumberOfMessages: 3, ...more })).map(({ Body }) => Body)
      t.strictSame(await bodies({}), ['a1', 'a2', 'a3'])
      const again = { ReceiveRequestAttemptId: 'again' }
      t.strictSame(await bodies(again), ['b1', 'b2', 'c1'])
      t.strictSame(await bodies(again), ['b1', 'b2', 'c1'], 'an SDK that repeats its call gets the same')
      t.strictSame(await bodies({}), [])
    })

    t.test('FIFO: a group that was received goes behind the others when it comes back', async t => {
      const QueueUrl = await fifo({ ContentBasedDeduplication: 'true' })
      for (const body of ['a1', 'b1', 'b2', 'c1', 'a2']) {
        await send(QueueUrl, body, { MessageGroupId: body[0] })
      }
      const bodies = async (MaxNumberOfMessages: number) =>
        (await receive(QueueUrl, { MaxNumberOfMessages, VisibilityTimeout: 0 })).map(({ Body }) => Body)
      t.strictSame(await bodies(3), ['a1', 'a2', 'b1'])
      t.strictSame(await bodies(10), ['c1', 'a1', 'a2', 'b1', 'b2'])
    })

    t.test('dead letters, and moving them back', async t => {
      const dead = await queue()
      const { QueueArn: deadLetterTargetArn } = await attributes(dead, 'QueueArn')
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: '2' })
      const source = await queue({ RedrivePolicy })
      t.strictSame(JSON.parse((await attributes(source, 'All')).RedrivePolicy), {
        deadLetterTargetArn,
        maxReceiveCount: 2
      })
      t.strictSame(await call('ListDeadLetterSourceQueues', { QueueUrl: dead }), { queueUrls: [source] })
      const sent = await send(source, 'x')
      for (let i = 0; i < 2; i++) t.equal((await receive(source, { VisibilityTimeout: 0 })).length, 1)
      t.strictSame(await receive(source), [])
      const [message] = await receive(dead, { VisibilityTimeout: 0, MessageSystemAttributeNames: ['All'] })
      t.equal(message.MessageId, sent.MessageId)
      t.match(message.Attributes, { ApproximateReceiveCount: '1', DeadLetterQueueSourceArn: /^arn:.*-\d+$/ })
      const SourceArn = deadLetterTargetArn
      const { TaskHandle } = await call('StartMessageMoveTask', {
        SourceArn,
        MaxNumberOfMessagesPerSecond: 500
      })
      t.match(TaskHandle, /./)
      const [home] = await receive(source, { WaitTimeSeconds: 20, AttributeNames: ['All'] })
      t.equal(home.MessageId, sent.MessageId)
      t.equal(home.Attributes.ApproximateReceiveCount, '1', 'the count starts again')
      const { Results } = await call('ListMessageMoveTasks', { SourceArn, MaxResults: 10 })
      t.match(Results, [{ SourceArn, MaxNumberOfMessagesPerSecond: 500, Status: /RUNNING|COMPLETED/ }])
      const { QueueArn } = await attributes(source, 'QueueArn')
      t.equal(
        await refused(call, 'StartMessageMoveTask', { SourceArn: QueueArn }),
        '400 InvalidParameterValue'
      )
      t.equal(
        await refused(call, 'ListMessageMoveTasks', { SourceArn: `${QueueArn}-none` }),
        '404 ResourceNotFoundException'
      )
      t.equal(await refused(call, 'CancelMessageMoveTask', { TaskHandle: 'x' }), '400 InvalidParameterValue')
      const policies = [
        '{',
        '{}',
        JSON.stringify({ deadLetterTargetArn }),
        JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 0 }),
        JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1001 }),
        JSON.stringify({ deadLetterTargetArn: `${deadLetterTargetArn}-none`, maxReceiveCount: 1 })
      ]
      for (const RedrivePolicy of policies) {
        const input = { QueueUrl: source, Attributes: { RedrivePolicy } }
        t.equal(await refused(call, 'SetQueueAttributes', input), '400 InvalidParameterValue', RedrivePolicy)
      }
      await call('SetQueueAttributes', { QueueUrl: source, Attributes: { RedrivePolicy: '' } })
      t.notOk('RedrivePolicy' in (await attributes(source, 'All')))
    })

    /** A dead-letter queue with its ARN, and a queue whose messages die at their first return. */
    const pair = async () => {
      const dead = await queue()
      const { QueueArn: SourceArn } = await attributes(dead, 'QueueArn')
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 })
      return { dead, SourceArn, source: await queue({ RedrivePolicy }) }
    }
    const taskOf = async (SourceArn: string) => (await call('ListMessageMoveTasks', { SourceArn })).Results[0]
    const untilEnded = async (SourceArn: string) => {
      for (;;) {
        const task = await taskOf(SourceArn)
        if (task.Status !== 'RUNNING') return task
      }
    }

    t.test('a move task takes what was sent to the dead-letter queue itself, but needs a target', async t => {
      const { dead, SourceArn } = await pair()
      const sent = [await send(dead, '1'), await send(dead, '2')]
      await call('StartMessageMoveTask', { SourceArn })
      t.match(await untilEnded(SourceArn), {
        Status: 'FAILED',
        FailureReason: 'CouldNotDetermineMessageSource',
        ApproximateNumberOfMessagesMoved: 0,
        ApproximateNumberOfMessagesToMove: 2
      })
      t.equal((await attributes(dead, 'All')).ApproximateNumberOfMessages, '2', 'nothing is lost')
      const target = await queue()
      const { QueueArn: DestinationArn } = await attributes(target, 'QueueArn')
      await rest('PUT', `/queues/${target.split('/').at(-1)}`, { maxDepth: 1, paused: true })
      await call('StartMessageMoveTask', { SourceArn, DestinationArn })
      const task = await untilEnded(SourceArn)
      t.match(task, { Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 2, DestinationArn })
      t.notOk('FailureReason' in task)
      await rest('PUT', `/queues/${target.split('/').at(-1)}`, { paused: false })
      const moved = await receive(target, { MaxNumberOfMessages: 10 })
      t.strictSame(
        moved.map(({ MessageId }) => MessageId),
        sent.map(({ MessageId }) => MessageId),
        'neither a full nor a paused queue stops it'
      )
    })

    t.test('a move task keeps the order of groups', async t => {
      const dead = await fifo()
      const { QueueArn: SourceArn } = await attributes(dead, 'QueueArn')
      await fifo({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 }) })
      const target = await fifo()
      const { QueueArn: DestinationArn } = await attributes(target, 'QueueArn')
      const bodies = ['a1', 'b1', 'a2', 'a3', 'b2']
      for (const body of bodies) {
        await send(dead, body, { MessageGroupId: body[0], MessageDeduplicationId: body })
      }
      const [held] = await receive(dead, { MaxNumberOfMessages: 1 })
      t.equal(held.Body, 'a1')
      await call('StartMessageMoveTask', { SourceArn, DestinationArn })
      t.match(await untilEnded(SourceArn), { Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 4 })
      const moved = await receive(target, { MaxNumberOfMessages: 10 })
      const ofGroup = (group: string) => moved.map(({ Body }) => Body).filter(body => body.startsWith(group))
      t.strictSame(
        [ofGroup('a'), ofGroup('b')],
        [
          ['a2', 'a3'],
          ['b1', 'b2']
        ]
      )
      await call('DeleteMessage', { QueueUrl: dead, ReceiptHandle: held.ReceiptHandle })
      t.equal((await attributes(dead, 'All')).ApproximateNumberOfMessages, '0')
    })

    t.test('a move task fails where its target has been deleted, and makes no queue', async t => {
      const { dead, SourceArn, source } = await pair()
      const target = await queue()
      const { QueueArn: DestinationArn } = await attributes(target, 'QueueArn')
      for (const body of ['1', '2', '3']) await send(dead, body)
      await call('StartMessageMoveTask', { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: 1 })
      while ((await taskOf(SourceArn)).ApproximateNumberOfMessagesMoved === 0) await pollPause()
      await call('DeleteQueue', { QueueUrl: target })
      const moved = await untilEnded(SourceArn)
      t.match(moved, { Status: 'FAILED', FailureReason: 'AWS.SimpleQueueService.NonExistentQueue' })
      t.notOk('TaskHandle' in moved)
      const { ApproximateNumberOfMessages: left } = await attributes(dead, 'All')
      t.equal(Number(left), 3 - moved.ApproximateNumberOfMessagesMoved, 'the rest stays')
      t.equal(
        await refused(call, 'GetQueueUrl', { QueueName: target.split('/').at(-1)! }),
        '400 AWS.SimpleQueueService.NonExistentQueue'
      )
      await call('PurgeQueue', { QueueUrl: dead })
      await send(source, 'x')
      await receive(source, { VisibilityTimeout: 0 })
      const other = await queue({
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 })
      })
      await send(other, 'y')
      await receive(other, { VisibilityTimeout: 0 })
      await call('DeleteQueue', { QueueUrl: other })
      await call('StartMessageMoveTask', { SourceArn })
      t.match(await untilEnded(SourceArn), {
        Status: 'FAILED',
        FailureReason: 'AWS.SimpleQueueService.NonExistentQueue',
        ApproximateNumberOfMessagesMoved: 1
      })
      t.match(await receive(source), [{ Body: 'x' }], 'what has a home is there')
      t.match(await receive(dead), [{ Body: 'y' }])
    })

    t.test('messages go from front to front', async t => {
      const QueueUrl = await queue()
      const name = QueueUrl.split('/').at(-1)!
      await post(`/queues/${name}/messages`, { body: { a: 1 }, headers: { kind: 'order' } })
      const [message] = await receive(QueueUrl, { MessageAttributeNames: ['All'] })
      t.equal(message.Body, '{"a":1}')
      t.strictSame(message.MessageAttributes, { kind: { DataType: 'String', StringValue: 'order' } })
      await post(`/queues/${name}/messages`, Buffer.from([0, 255]) as any, { 'content-type': 'image/png' })
      const [bytes] = await receive(QueueUrl)
      t.equal(bytes.Body, 'AP8=')
      t.strictSame(bytes.MessageAttributes, {
        'holdfast-encoding': { DataType: 'String', StringValue: 'base64' }
      })
      await send(QueueUrl, 'text', {
        MessageAttributes: { kind: { DataType: 'String', StringValue: 'note' } }
      })
      const { body } = await post(`/queues/${name}/lease`, {})
      t.match(body.messages, [{ body: 'text', headers: { kind: 'note' } }])
      t.match((await get(`/queues/${name}`)).body.settings, { maxAttempts: null })
    })

    t.test('groups take turns from the first one on', async t => {
      const QueueUrl = await queue()
      const name = QueueUrl.split('/').at(-1)!
      const fairness = async () => (await get(`/queues/${name}`)).body.settings.fairness
      await send(QueueUrl, 'alone')
      t.equal(await fairness(), 'none', 'a queue without groups pays for no turns')
      const sent = Array.from({ length: 8 }, (_, index) =>
        send(QueueUrl, `flood ${index}`, { MessageGroupId: 'flood' })
      )
      await Promise.all(sent)
      await send(QueueUrl, 'quiet', { MessageGroupId: 'quiet' })
      t.equal(await fairness(), 'group')
      const bodies: string[] = []
      for (let i = 0; i < 10; i++) bodies.push((await receive(QueueUrl))[0].Body)
      t.ok(bodies.indexOf('quiet') <= 3, `the quiet group came soon: ${bodies.join(', ')}`)
      t.equal(new Set(bodies).size, 10, 'and nothing was lost on the way')
      const { Attributes } = await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] })
      t.notOk(Object.keys(Attributes).some(attribute => /front|turns/i.test(attribute)))
    })

    t.test('a setting of fairness by its operator stays', async t => {
      const QueueUrl = await queue()
      const name = QueueUrl.split('/').at(-1)!
      await send(QueueUrl, 'one', { MessageGroupId: 'a' })
      await rest('PUT', `/queues/${name}`, { fairness: 'none' })
      await send(QueueUrl, 'two', { MessageGroupId: 'a' })
      t.equal((await get(`/queues/${name}`)).body.settings.fairness, 'none')
    })
  })
}
