/** What AWS answers to the letter, as far as it is known. Clients match on codes, and some on texts. */
import t from 'tap'
import { service } from '../../support/service.ts'
import { callers, Refusal, type OperationName } from './callers.ts'

const { url } = await service(t)

const repeated = (count: number, entry: object) =>
  Array.from({ length: count }, (_, i) => ({ Id: `e${i}`, ...entry }))
const handleOf = (task: object) => Buffer.from(JSON.stringify(task)).toString('base64')
const nobody = '10f57157-fc38-4da9-a113-4de7e12d05dd'
const entry = { MessageBody: 'x', ReceiptHandle: 'x', VisibilityTimeout: 1 }
const attribute = (name: string, DataType: string, StringValue: string) => ({
  MessageBody: 'x',
  MessageAttributes: { [name]: { DataType, StringValue } }
})

/** Name, type and value of an attribute of a message, and why it is refused. */
const attributeCases: [string, string, string, string][] = [
  ['', 'String', 'x', 'The request must contain non-empty message (user) attribute names.'],
  ['n'.repeat(257), 'String', 'x', 'Message (user) attribute name must be shorter than 256 bytes.'],
  [
    'aWs.x',
    'String',
    'x',
    "You can't use message attribute names beginning with 'AWS.' or 'Amazon'. These strings are " +
      'reserved for internal use.'
  ],
  ['a', `String.${'t'.repeat(250)}`, 'x', 'Message (user) attribute type must be shorter than 256 bytes.'],
  [
    'a',
    'String.\u0001',
    'x',
    "The type of message (user) attribute 'a' is invalid. You must use only the following supported type " +
      'prefixes: Binary, Number, String.'
  ],
  ['a', 'Number', 'x', "Can't cast the value of message (user) attribute 'a' to a number."]
]
const unsupportedFormat =
  "400 InvalidAttributeValue: Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't " +
  'create the redrive allow policy, as it’s in an unsupported format.'
const noAllowPolicy =
  '400 InvalidParameterValue: Value VALUE for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS ' +
  "can't create the redrive allow policy."
const noPolicy = '400 InvalidParameterValue: Value VALUE for parameter RedrivePolicy is invalid. Reason:'
const eleven = JSON.stringify(
  Array.from({ length: 11 }, (_, i) => `arn:aws:sqs:us-east-1:000000000000:q${i}`)
)
/** An attribute of a queue, and how it is refused. */
const policyCases: [string, string, string][] = [
  ['RedriveAllowPolicy', '[]', unsupportedFormat],
  ['RedriveAllowPolicy', '{"redrivePermission":"dummy"}', unsupportedFormat],
  ['RedriveAllowPolicy', '{"redrivePermission":"allowAll","dummy":1}', unsupportedFormat],
  [
    'RedriveAllowPolicy',
    '{"redrivePermission":"byQueue"}',
    `${noAllowPolicy} When you specify the byQueue permission type, you must also specify one or more ` +
      'sourceQueueArns values.'
  ],
  [
    'RedriveAllowPolicy',
    '{"redrivePermission":"denyAll","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:q"]}',
    `${noAllowPolicy} To specify one or more source queue ARNs, you must set redrivePermission to byQueue.`
  ],
  [
    'RedriveAllowPolicy',
    `{"redrivePermission":"byQueue","sourceQueueArns":${eleven}}`,
    `${noAllowPolicy} The maximum number of source queue ARNs you can specify is 10.`
  ],
  [
    'RedrivePolicy',
    '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q","maxReceiveCount":1001}',
    `${noPolicy} Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.`
  ],
  [
    'RedrivePolicy',
    '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":1}',
    `${noPolicy} Dead letter target does not exist.`
  ],
  [
    'RedrivePolicy',
    '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q.fifo","maxReceiveCount":1}',
    `${noPolicy} Dead-letter queue must be same type of queue as the source.`
  ],
  [
    'FifoThroughputLimit',
    'perQueue',
    '400 InvalidAttributeName: You can specify the FifoThroughputLimit only when FifoQueue is set to true.'
  ],
  ['DelaySeconds', '901', '400 InvalidAttributeValue: Invalid value for the parameter DelaySeconds.']
]

const invalid = (text: string) => `400 InvalidParameterValue: ${text}`
const noIdsOfFifo =
  'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided ' +
  'explicitly'
const nameRule = 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length'
const badCharacters =
  'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | ' +
  '#xE000 to #xFFFD | #x10000 to #x10FFFF'
const idRule =
  '400 AWS.SimpleQueueService.InvalidBatchEntryId: A batch entry id can only contain alphanumeric ' +
  'characters, hyphens and underscores. It can be at most 80 letters long.'

for (const [protocol, callerOf] of Object.entries(callers)) {
  t.test(protocol, async t => {
    const call = callerOf(t, url)
    const make = async (name: string, Attributes: Record<string, string> = {}): Promise<string> =>
      (await call('CreateQueue', { QueueName: `${protocol}-${name}`, Attributes })).QueueUrl
    const attributes = async (QueueUrl: string, ...AttributeNames: string[]) =>
      (await call('GetQueueAttributes', { QueueUrl, AttributeNames })).Attributes ?? {}
    const arnOf = async (QueueUrl: string) => (await attributes(QueueUrl, 'QueueArn')).QueueArn
    /** What is answered, or the status, the code and the text of the refusal. */
    const answer = async (operation: OperationName, input: Record<string, any>) => {
      try {
        return await call(operation, input)
      } catch (error) {
        if (error instanceof Refusal) return `${error.status} ${error.code}: ${error.message}`
        throw error
      }
    }
    const plain = await make('plain', { DelaySeconds: '1' })
    const fifo = await make('a.fifo', { FifoQueue: 'true' })
    const none = `${plain}-none`
    const noQueue = `400 AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist${
      protocol === 'query' ? ' for this wsdl version' : ''
    }.`

    t.test('refusals', async t => {
      const cases: [OperationName, Record<string, any>, string][] = [
        ['DeleteQueue', { QueueUrl: none }, noQueue],
        ['GetQueueUrl', { QueueName: 'none' }, noQueue],
        ['SendMessage', { QueueUrl: none, MessageBody: 'x' }, noQueue],
        ['DeleteMessage', { QueueUrl: none, ReceiptHandle: 'x' }, noQueue],
        [
          'CreateQueue',
          { QueueName: plain.split('/').at(-1), Attributes: { DelaySeconds: '2' } },
          '400 QueueAlreadyExists: A queue already exists with the same name and a different value for ' +
            'attribute DelaySeconds'
        ],
        ['CreateQueue', { QueueName: 'a b' }, invalid(nameRule)],
        [
          'CreateQueue',
          { QueueName: 'no-suffix', Attributes: { FifoQueue: 'true' } },
          invalid(
            'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, ' +
              'must end with .fifo suffix and be 1 to 80 in length.'
          )
        ],
        [
          'CreateQueue',
          {
            QueueName: 'q',
            Attributes: { RedrivePolicy: '{"deadLetterTargetArn":"d","maxReceiveCount":4}' }
          },
          invalid(
            'Value {"deadLetterTargetArn":"d","maxReceiveCount":4} for parameter RedrivePolicy is invalid. ' +
              'Reason: Invalid value for deadLetterTargetArn.'
          )
        ],
        [
          'SetQueueAttributes',
          { QueueUrl: fifo, Attributes: { FifoQueue: 'false' } },
          '400 InvalidAttributeValue: Invalid value for the parameter FifoQueue. Reason: Modifying queue ' +
            'type is not supported.'
        ],
        [
          'SetQueueAttributes',
          { QueueUrl: plain, Attributes: { KmsMasterKeyId: 'k', SqsManagedSseEnabled: 'true' } },
          '400 InvalidAttributeName: You can use one type of server-side encryption (SSE) at one time. You ' +
            'can either enable KMS SSE or SQS SSE.'
        ],
        [
          'TagQueue',
          { QueueUrl: plain, Tags: {} },
          '400 MissingParameter: The request must contain the parameter Tags.'
        ],
        [
          'TagQueue',
          { QueueUrl: plain, Tags: Object.fromEntries(repeated(51, {}).map(({ Id }) => [Id, 'v'])) },
          invalid(`Too many tags added for queue ${plain.split('/').at(-1)}.`)
        ],
        ...[[], ['a', ''], ['k'.repeat(129)]].map((TagKeys): [OperationName, object, string] => [
          'UntagQueue',
          { QueueUrl: plain, TagKeys },
          invalid('Tag keys must be between 1 and 128 characters in length.')
        ]),
        [
          'ReceiveMessage',
          { QueueUrl: plain, MaxNumberOfMessages: 11 },
          invalid(
            'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and ' +
              '10, if provided.'
          )
        ],
        [
          'ReceiveMessage',
          { QueueUrl: plain, WaitTimeSeconds: 21 },
          invalid(
            'Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.'
          )
        ],
        [
          'SendMessage',
          { QueueUrl: plain, MessageBody: 'x'.repeat(1_048_577) },
          invalid('One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.')
        ],
        [
          'SendMessage',
          { QueueUrl: plain, ...attribute('a', 'String', '') },
          invalid("Message (user) attribute 'a' must contain a non-empty value of type 'String'.")
        ],
        [
          'SendMessage',
          { QueueUrl: plain, ...attribute('a', 'Whatever', 'x') },
          invalid(
            "The type of message (user) attribute 'a' is invalid. You must use only the following " +
              'supported type prefixes: Binary, Number, String.'
          )
        ],
        [
          'SendMessage',
          { QueueUrl: plain, ...attribute('a', 'String', '\b') },
          invalid(`The message attribute 'a' is invalid. ${badCharacters}`)
        ],
        [
          'SendMessage',
          { QueueUrl: fifo, MessageBody: 'x', MessageDeduplicationId: 'd' },
          '400 MissingParameter: The request must contain the parameter MessageGroupId.'
        ],
        ['SendMessage', { QueueUrl: fifo, MessageBody: 'x', MessageGroupId: 'g' }, invalid(noIdsOfFifo)],
        [
          'SendMessageBatch',
          {
            QueueUrl: fifo,
            Entries: [1, 2].map(i => ({ Id: `${i}`, MessageBody: 'x', MessageDeduplicationId: 'd' }))
          },
          invalid('The request must contain the parameter MessageGroupId.')
        ],
        [
          'SendMessageBatch',
          {
            QueueUrl: fifo,
            Entries: [1, 2].map(i => ({ Id: `${i}`, MessageBody: 'x', MessageGroupId: 'g' }))
          },
          invalid(noIdsOfFifo)
        ],
        [
          'SendMessageBatch',
          { QueueUrl: plain, Entries: [{ Id: 'a', MessageBody: 'x'.repeat(1_048_577) }] },
          '400 AWS.SimpleQueueService.BatchRequestTooLong: Batch requests cannot be longer than 1048576 ' +
            'bytes. You have sent 1048577 bytes.'
        ],
        ...(['SendMessageBatch', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch'] as const).flatMap(
          (operation): [OperationName, Record<string, any>, string][] => [
            [
              operation,
              { QueueUrl: plain, Entries: [] },
              `400 AWS.SimpleQueueService.EmptyBatchRequest: There should be at least one ${operation}` +
                'RequestEntry in the request.'
            ],
            [
              operation,
              { QueueUrl: plain, Entries: repeated(20, entry) },
              '400 AWS.SimpleQueueService.TooManyEntriesInBatchRequest: Maximum number of entries per ' +
                'request are 10. You have sent 20.'
            ],
            [
              operation,
              { QueueUrl: plain, Entries: ['a', 'b', 'b', 'a'].map(Id => ({ Id, ...entry })) },
              '400 AWS.SimpleQueueService.BatchEntryIdsNotDistinct: Id b repeated.'
            ],
            [operation, { QueueUrl: plain, Entries: [{ Id: '', ...entry }] }, idRule],
            [operation, { QueueUrl: plain, Entries: [{ Id: 'i'.repeat(81), ...entry }] }, idRule]
          ]
        ),
        ...attributeCases.map(([name, DataType, value, expected]): [OperationName, object, string] => [
          'SendMessage',
          { QueueUrl: plain, ...attribute(name, DataType, value) },
          invalid(expected)
        ]),
        ...policyCases.map(([name, value, expected]): [OperationName, object, string] => [
          'SetQueueAttributes',
          { QueueUrl: plain, Attributes: { [name]: value } },
          expected.replace('VALUE', value)
        ]),
        [
          'DeleteMessage',
          { QueueUrl: plain, ReceiptHandle: 'garbage' },
          '404 ReceiptHandleIsInvalid: The input receipt handle "garbage" is not a valid receipt handle.'
        ],
        [
          'StartMessageMoveTask',
          { SourceArn: 'x' },
          invalid(
            'You must use this format to specify the SourceArn: ' +
              'arn:<partition>:<service>:<region>:<account-id>:<resource-id>'
          )
        ],
        [
          'StartMessageMoveTask',
          { SourceArn: await arnOf(plain) },
          invalid('Source queue must be configured as a Dead Letter Queue.')
        ],
        [
          'CancelMessageMoveTask',
          { TaskHandle: 'garbage' },
          invalid('Value for parameter TaskHandle is invalid.')
        ],
        [
          'CancelMessageMoveTask',
          { TaskHandle: handleOf({ taskId: nobody, sourceArn: `${await arnOf(plain)}-none` }) },
          '404 ResourceNotFoundException: The resource that you specified for the SourceArn ' +
            "parameter doesn't exist."
        ],
        [
          'CancelMessageMoveTask',
          { TaskHandle: handleOf({ taskId: nobody, sourceArn: await arnOf(plain) }) },
          '404 ResourceNotFoundException: Task does not exist.'
        ]
      ]
      for (const [operation, input, expected] of cases) {
        const said = await answer(operation, input)
        t.equal(said, expected, `${operation} ${JSON.stringify(input).slice(0, 100)}`)
      }
      t.equal((await attributes(fifo, 'All')).ApproximateNumberOfMessages, '0', 'and nothing was stored')
    })

    t.test('an entry that lacks something fails alone, unless it is its id', async t => {
      const lacks = (name: string) => [
        { Id: 'a', Code: 'MissingParameter', Message: `The request must contain the parameter ${name}.` }
      ]
      const cases: [OperationName, object, string][] = [
        ['SendMessageBatch', {}, 'MessageBody'],
        ['DeleteMessageBatch', {}, 'ReceiptHandle'],
        ['ChangeMessageVisibilityBatch', { VisibilityTimeout: 1 }, 'ReceiptHandle']
      ]
      for (const [operation, entry, name] of cases) {
        const { Failed } = await call(operation, { QueueUrl: plain, Entries: [{ Id: 'a', ...entry }] })
        t.match(Failed, lacks(name), operation)
      }
      const unnamed = [{ Id: 'a', MessageBody: 'x' }, { MessageBody: 'x' }]
      t.equal(
        await answer('SendMessageBatch', { QueueUrl: plain, Entries: unnamed }),
        '400 MissingParameter: The request must contain the parameter SendMessageBatchRequestEntry.2.Id.'
      )
    })

    t.test('receipts of another queue', async t => {
      const other = await make('other')
      await call('SendMessage', { QueueUrl: other, MessageBody: 'x' })
      const [{ ReceiptHandle }] = (await call('ReceiveMessage', { QueueUrl: other })).Messages
      const text = `The receipt handle "${ReceiptHandle}" is not valid for this queue.`
      t.equal(
        await answer('DeleteMessage', { QueueUrl: plain, ReceiptHandle }),
        `404 ReceiptHandleIsInvalid: ${text}`
      )
      const Entries = [{ Id: 'a', ReceiptHandle, VisibilityTimeout: 1 }]
      const { Failed } = await call('ChangeMessageVisibilityBatch', { QueueUrl: plain, Entries })
      t.match(Failed, [{ Id: 'a', Code: 'ReceiptHandleIsInvalid', Message: text, SenderFault: true }])
    })

    t.test('receipts of messages that are gone', async t => {
      await call('SendMessage', { QueueUrl: plain, MessageBody: 'x', DelaySeconds: 0 })
      const [{ ReceiptHandle }] = (await call('ReceiveMessage', { QueueUrl: plain })).Messages
      const receipt = { QueueUrl: plain, ReceiptHandle }
      await call('DeleteMessage', receipt)
      t.strictSame(await answer('DeleteMessage', receipt), {})
      t.equal(
        await answer('ChangeMessageVisibility', { ...receipt, VisibilityTimeout: 9 }),
        invalid(
          `Value ${ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not ` +
            'exist or is not available for visibility timeout change.'
        )
      )
    })

    t.test('a message that nobody holds stays visible, whatever its old receipt asks for', async t => {
      const ofFifo = { MessageGroupId: 'g', MessageDeduplicationId: 'visible' }
      for (const [QueueUrl, more] of [[await make('visible'), {}] as const, [fifo, ofFifo] as const]) {
        await call('SendMessage', { QueueUrl, MessageBody: 'x', ...more })
        const receive = async (VisibilityTimeout: number) =>
          (await call('ReceiveMessage', { QueueUrl, VisibilityTimeout })).Messages[0].ReceiptHandle
        const change = (ReceiptHandle: string, VisibilityTimeout: number) =>
          answer('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout })
        const notInFlight = /^400 AWS.SimpleQueueService.MessageNotInflight: /
        const first = await receive(0)
        t.strictSame(await change(first, 0), {})
        t.match(await change(first, 9), QueueUrl === fifo ? notInFlight : {})
        const second = await receive(30)
        for (const time of [0, 9]) t.match(await change(first, time), notInFlight, 'somebody holds it')
        await call('DeleteMessage', { QueueUrl, ReceiptHandle: second })
      }
    })

    t.test('a batch may change the visibility of one message twice', async t => {
      const QueueUrl = await make('twice')
      const change = async (...times: number[]) => {
        await call('SendMessage', { QueueUrl, MessageBody: 'x' })
        const [{ ReceiptHandle }] = (await call('ReceiveMessage', { QueueUrl })).Messages
        const Entries = times.map((VisibilityTimeout, i) => ({
          Id: `e${i}`,
          ReceiptHandle,
          VisibilityTimeout
        }))
        const { Successful } = await call('ChangeMessageVisibilityBatch', { QueueUrl, Entries })
        await call('PurgeQueue', { QueueUrl })
        return Successful.length
      }
      t.equal(await change(9, 0), 2)
      t.equal(await change(0, 9), 2)
    })

    t.test('the time of the first receive stays', async t => {
      const QueueUrl = await make('first')
      const AttributeNames = ['ApproximateFirstReceiveTimestamp']
      for (const VisibilityTimeout of [undefined, 0, 40]) {
        await call('SendMessage', { QueueUrl, MessageBody: 'x' })
        const first = async (ask: object) => {
          const [message] = (await call('ReceiveMessage', { QueueUrl, AttributeNames, ...ask })).Messages
          const { ReceiptHandle, Attributes } = message
          await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 })
          return Attributes
        }
        const told = await first(VisibilityTimeout === undefined ? {} : { VisibilityTimeout })
        t.strictSame(await first({}), told, `visibility timeout ${VisibilityTimeout}`)
        await call('PurgeQueue', { QueueUrl })
      }
    })

    t.test('blanks around the name of an attribute are no part of it', async t => {
      const QueueUrl = await make('blanks', { 'VisibilityTimeout ': '2' })
      t.match(await attributes(QueueUrl, 'All'), { VisibilityTimeout: '2' })
      await call('SetQueueAttributes', { QueueUrl, Attributes: { ' VisibilityTimeout': '3' } })
      t.match(await attributes(QueueUrl, 'All'), { VisibilityTimeout: '3' })
    })

    t.test('which attributes of a message come', async t => {
      const QueueUrl = await make('filters', { VisibilityTimeout: '0' })
      const names = ['Help.Me', 'Hello', 'attr.1øßä']
      const MessageAttributes = Object.fromEntries(
        names.map(name => [name, { DataType: 'String', StringValue: 'x' }])
      )
      await call('SendMessage', { QueueUrl, MessageBody: 'x', MessageAttributes })
      const cases: [string[], string[]][] = [
        [[], []],
        [['All'], names],
        [['*'], names],
        [['.*'], names],
        [['Hel.*'], ['Help.Me', 'Hello']],
        [['Help', 'Foo', '..foo', 'AWS.'], []],
        [['Foo', 'Hello'], ['Hello']]
      ]
      for (const [MessageAttributeNames, expected] of cases) {
        const [message] = (await call('ReceiveMessage', { QueueUrl, MessageAttributeNames })).Messages
        t.same(
          Object.keys(message.MessageAttributes ?? {}).sort(),
          expected.sort(),
          String(MessageAttributeNames)
        )
      }
    })

    t.test('one kind of encryption takes the place of the other', async t => {
      const QueueUrl = await make('encrypted')
      const set = (Attributes: object) => call('SetQueueAttributes', { QueueUrl, Attributes })
      const kinds = () => attributes(QueueUrl, 'KmsMasterKeyId', 'SqsManagedSseEnabled')
      t.strictSame(await kinds(), { SqsManagedSseEnabled: 'true' })
      await set({ KmsMasterKeyId: 'k', SqsManagedSseEnabled: 'false' })
      t.same(await kinds(), { KmsMasterKeyId: 'k', SqsManagedSseEnabled: 'false' })
      await set({ SqsManagedSseEnabled: 'true' })
      t.strictSame(await kinds(), { SqsManagedSseEnabled: 'true' })
      await set({ KmsMasterKeyId: 'l' })
      t.match(await attributes(QueueUrl, 'All'), {
        KmsMasterKeyId: 'l',
        KmsDataKeyReusePeriodSeconds: '300',
        SqsManagedSseEnabled: 'false'
      })
    })

    t.test('a purge forgets deduplication ids', async t => {
      const byGroup = { DeduplicationScope: 'messageGroup' }
      for (const [name, more] of Object.entries({ queue: {}, group: byGroup })) {
        const QueueUrl = await make(`purged-${name}.fifo`, { FifoQueue: 'true', ...more })
        const send = (MessageBody: string) =>
          call('SendMessage', { QueueUrl, MessageBody, MessageGroupId: 'g', MessageDeduplicationId: 'd' })
        await send('1')
        await call('PurgeQueue', { QueueUrl })
        await send('2')
        await send('3')
        const { Messages } = await call('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 })
        t.match(Messages, [{ Body: '2' }])
        t.equal(Messages.length, 1, 'and later ones count again')
        t.notOk('Purged' in (await attributes(QueueUrl, 'All')))
      }
    })

    t.test('permissions are entries of the policy', async t => {
      const QueueUrl = await make('permitted')
      const arn = await arnOf(QueueUrl)
      const add = (Label: string, AWSAccountIds: string[], Actions: string[]) =>
        answer('AddPermission', { QueueUrl, Label, AWSAccountIds, Actions })
      const remove = (Label: string) => answer('RemovePermission', { QueueUrl, Label })
      const policy = async () => JSON.parse((await attributes(QueueUrl, 'Policy')).Policy ?? 'null')
      const [one, two] = ['111122223333', '444455556666']
      const root = (account: string) => `arn:aws:iam::${account}:root`
      const statement = (Sid: string, AWS: unknown, Action: unknown) => ({
        Sid,
        Effect: 'Allow',
        Principal: { AWS },
        Action,
        Resource: arn
      })
      const whole = { Version: '2008-10-17', Id: `${arn}/SQSDefaultPolicy` }
      const a = statement('a', root(one), 'SQS:ReceiveMessage')
      t.strictSame(await add('a', [one], ['ReceiveMessage']), {})
      t.same(await policy(), { ...whole, Statement: [a] })
      t.strictSame(await add('b', [one, two], ['*', 'SendMessage']), {})
      const b = statement('b', [root(one), root(two)], ['SQS:*', 'SQS:SendMessage'])
      t.same(await policy(), { ...whole, Statement: [a, b] })
      const refusals: [string, string[], string[], string][] = [
        [
          'a',
          [two],
          ['SendMessage'],
          invalid('Value a for parameter Label is invalid. Reason: Already exists.')
        ],
        [
          'c',
          [one],
          ['RemovePermission'],
          invalid(
            'Value SQS:RemovePermission for parameter ActionName is invalid. Reason: Only the queue ' +
              'owner is allowed to invoke this action.'
          )
        ],
        [
          'c',
          [],
          ['SendMessage'],
          invalid('Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.')
        ],
        ['c', [one], [], '400 MissingParameter: The request must contain the parameter Actions.'],
        [
          'c',
          ['x'],
          ['SendMessage'],
          invalid('Value [x] for parameter PrincipalId is invalid. Reason: Unable to verify.')
        ],
        [
          'c',
          [one],
          Array.from({ length: 8 }, () => 'SendMessage'),
          '403 OverLimit: 8 Actions were found, maximum allowed is 7.'
        ]
      ]
      for (const [label, accounts, actions, expected] of refusals) {
        t.equal(await add(label, accounts, actions), expected)
      }
      t.strictSame(await remove('a'), {})
      t.same(await policy(), { ...whole, Statement: [b] })
      t.strictSame(await remove('b'), {})
      t.equal(await policy(), null)
      await call('SetQueueAttributes', { QueueUrl, Attributes: { Policy: '{"Statement":[null,1]}' } })
      t.strictSame(await add('a', [one], ['ReceiveMessage']), {}, 'whatever else stands in the policy')
      t.same(await policy(), { ...whole, Statement: [null, 1, a] })
      t.strictSame(await remove('a'), {})
      await call('SetQueueAttributes', { QueueUrl, Attributes: { Policy: '' } })
      for (let i = 0; i < 20; i++) await add(`l${i}`, [one], ['SendMessage'])
      t.strictSame(await add('l0', [one], ['SendMessage']), {}, 'the same permission again')
      const many = '403 OverLimit: 21 Statements were found, maximum allowed is 20.'
      t.equal(await add('l20', [one], ['SendMessage']), many)
      const lost = "Value b for parameter Label is invalid. Reason: can't find label."
      t.equal(await remove('b'), invalid(lost))
    })

    t.test('move tasks', async t => {
      const dead = await make('dead')
      const SourceArn = await arnOf(dead)
      await make('source', {
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 })
      })
      await call('SendMessageBatch', { QueueUrl: dead, Entries: repeated(10, { MessageBody: 'x' }) })
      const move = {
        SourceArn,
        DestinationArn: await arnOf(await make('target')),
        MaxNumberOfMessagesPerSecond: 1
      }
      const { TaskHandle } = await call('StartMessageMoveTask', move)
      t.match(JSON.parse(Buffer.from(TaskHandle, 'base64').toString()), {
        taskId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
        sourceArn: SourceArn
      })
      t.equal(
        await answer('StartMessageMoveTask', move),
        invalid(
          'There is already a task running. Only one active task is allowed for a source queue arn at a ' +
            'given time.'
        )
      )
      const listed = async () => (await call('ListMessageMoveTasks', { SourceArn })).Results[0]
      t.match(await listed(), { Status: 'RUNNING', TaskHandle, ApproximateNumberOfMessagesToMove: 10 })
      await call('CancelMessageMoveTask', { TaskHandle })
      const cancelled = await listed()
      t.match(cancelled, { Status: 'CANCELLED', ApproximateNumberOfMessagesToMove: 10 })
      t.notOk('TaskHandle' in cancelled)
    })
  })
}

t.test('JSON of another type', async t => {
  const ask = async (input: object) => {
    const headers = { 'x-amz-target': 'AmazonSQS.SendMessage', 'content-type': 'application/x-amz-json-1.0' }
    const body = JSON.stringify({ QueueUrl: 'json-plain', MessageBody: 'x', ...input })
    return await (await fetch(url, { method: 'POST', headers, body })).text()
  }
  const cases: [object, string | RegExp][] = [
    [{ MessageBody: {} }, 'Start of structure or map found where not expected.'],
    [{ MessageBody: [] }, 'Start of list found where not expected'],
    [{ MessageBody: 1 }, 'NUMBER_VALUE can not be converted to a String'],
    [{ MessageBody: true }, 'TRUE_VALUE can not be converted to a String'],
    [{ DelaySeconds: '1' }, 'STRING_VALUE can not be converted to an Integer'],
    [{ MessageAttributes: { a: 'x' } }, 'MessageAttributes.a must be an object.'],
    [{ MessageAttributes: { a: null } }, /InvalidParameterValue.*MessageAttributes.a must not be null\./]
  ]
  for (const [input, text] of cases) t.match(await ask(input), text)
})

t.test('the JSON protocol calls some codes otherwise', async t => {
  const ask = async (body: object) => {
    const headers = { 'x-amz-target': 'AmazonSQS.SendMessage', 'content-type': 'application/x-amz-json-1.0' }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    t.equal(response.headers.get('content-type'), 'application/x-amz-json-1.0')
    const { __type } = (await response.json()) as { __type: string }
    return `${__type} ${response.headers.get('x-amzn-query-error')}`
  }
  const MissingParameter = 'MissingRequiredParameterException MissingParameter;Sender'
  t.equal(await ask({ QueueUrl: 'json-plain' }), `com.amazon.coral.service#${MissingParameter}`)
  const InvalidParameterValue = 'InvalidParameterValueException InvalidParameterValue;Sender'
  const late = { QueueUrl: 'json-plain', MessageBody: 'x', DelaySeconds: 901 }
  t.equal(await ask(late), `com.amazon.coral.service#${InvalidParameterValue}`)
  const gone = 'com.amazonaws.sqs#QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue;Sender'
  t.equal(await ask({ QueueUrl: 'none', MessageBody: 'x' }), gone)
})

t.test('the field X-Amzn-Trace-Id traces the messages that have no trace of their own', async t => {
  const jsonType = 'application/x-amz-json-1.0'
  const system = { AWSTraceHeader: { DataType: 'String', StringValue: 'own' } }
  const ask = async (operation: string, input: object, fields: Record<string, string> = {}) => {
    const headers = { 'x-amz-target': `AmazonSQS.${operation}`, 'content-type': jsonType, ...fields }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(input) })
    t.equal(response.headers.get('content-type'), jsonType)
    return (await response.json()) as any
  }
  const { QueueUrl } = await ask('CreateQueue', { QueueName: 'traced' })
  const trace = { 'x-amzn-trace-id': 'Root=1-5759e988-bd862e3fe1be46a994272793' }
  const Entries = [
    { Id: 'a', MessageBody: 'none' },
    { Id: 'b', MessageBody: 'own', MessageSystemAttributes: system }
  ]
  await ask('SendMessageBatch', { QueueUrl, Entries }, trace)
  const attempt = { ...trace, 'amz-sdk-invocation-id': 'i' }
  const sent = await ask('SendMessage', { QueueUrl, MessageBody: 'attempt' }, attempt)
  t.notOk('MD5OfMessageSystemAttributes' in sent, 'the call has given none')
  const again = { ...attempt, 'x-amzn-trace-id': 'Root=2' }
  const repeated = await ask('SendMessage', { QueueUrl, MessageBody: 'attempt' }, again)
  t.equal(repeated.MessageId, sent.MessageId, 'another trace makes no other message')
  const body = new URLSearchParams({ Action: 'SendMessage', QueueUrl, MessageBody: 'form' })
  await fetch(url, { method: 'POST', body, headers: trace })
  const tooLong = { 'x-amzn-trace-id': 'x'.repeat(5000) }
  await ask('SendMessage', { QueueUrl, MessageBody: 'long' }, tooLong)
  const names = { MessageSystemAttributeNames: ['AWSTraceHeader'], MaxNumberOfMessages: 10 }
  const { Messages } = await ask('ReceiveMessage', { QueueUrl, ...names })
  const traces = Messages.map(({ Body, Attributes }: any) => `${Body} ${Attributes?.AWSTraceHeader}`)
  const root = trace['x-amzn-trace-id']
  t.strictSame(traces, [`none ${root}`, 'own own', `attempt ${root}`, `form ${root}`, 'long undefined'])
})

t.test('the address of a queue takes calls that are about queues', async t => {
  const ask = async (action: string) => {
    const response = await fetch(`${url}/000000000000/query-plain`, {
      method: 'POST',
      body: new URLSearchParams({ Action: action, QueueName: 'query-plain' })
    })
    return `${response.status} ${/<Code>(\w+)</.exec(await response.text())?.[1]}`
  }
  t.equal(await ask('GetQueueUrl'), '200 undefined')
  t.equal(await ask('GetQueueAttributes'), '200 undefined')
  for (const action of ['ListQueues', 'CreateQueue']) t.equal(await ask(action), '400 InvalidAction', action)
  const visit = await fetch(`${url}/000000000000/query-plain`)
  t.equal(`${visit.status} ${await visit.text()}`, '404 <UnknownOperationException/>')
})
