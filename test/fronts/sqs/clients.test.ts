/** Clients of SQS as people use them. Those that are not on this machine are skipped. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CreateQueueCommand, SendMessageCommand } from '@aws-sdk/client-sqs'
import { Consumer } from 'sqs-consumer'
import { Producer } from 'sqs-producer'
import t from 'tap'
import { python, withoutPackage } from '../../support/debian.ts'
import { service } from '../../support/service.ts'
import { credentials, sdkClient } from './callers.ts'

const { url, call, get, post } = await service(t)
const run = promisify(execFile)

t.test('sqs-producer and sqs-consumer', async t => {
  const sqs = sdkClient(t, url)
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'consumed' }))
  const producer = Producer.create({ queueUrl: QueueUrl!, sqs })
  const bodies = Array.from({ length: 25 }, (_, i) => `message-${i}`)
  await producer.send(bodies)
  t.equal(await producer.queueSize(), 25)
  const seen: string[] = []
  let failOnce = true
  await new Promise<void>((resolve, reject) => {
    const consumer = Consumer.create({
      queueUrl: QueueUrl!,
      sqs,
      batchSize: 10,
      waitTimeSeconds: 20,
      terminateVisibilityTimeout: true,
      async handleMessage(message) {
        if (message.Body === 'message-3' && failOnce) {
          failOnce = false
          throw new Error('once')
        }
        seen.push(message.Body!)
        return message
      }
    })
    consumer.on('error', reject)
    consumer.on('message_processed', () => {
      if (seen.length < bodies.length) return
      consumer.once('stopped', () => resolve())
      consumer.stop()
    })
    consumer.start()
  })
  t.strictSame(seen.sort(), bodies.sort())
  t.match((await get('/queues/consumed')).body.counts, { ready: 0, leased: 0, delayed: 0, dead: 0 })
})

t.test("an SDK's own retry of a send stores one message", async t => {
  const sqs = sdkClient(t, url, { maxAttempts: 2 })
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'retried' }))
  let lost = false
  sqs.middlewareStack.add(
    next => async args => {
      const answer = await next(args)
      if (lost) return answer
      lost = true
      throw Object.assign(new Error('the answer was lost'), { name: 'TimeoutError', $retryable: {} })
    },
    { step: 'deserialize', priority: 'low' }
  )
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }))
  t.ok(lost)
  t.match((await get('/queues/retried')).body.counts, { ready: 1 })
})

t.test("Debian's boto3, through the query protocol", { skip: withoutPackage('python3-boto3') }, async t => {
  const { accessKeyId, secretAccessKey } = credentials
  const { stdout } = await run(python, ['test/fronts/sqs/boto.py', url, accessKeyId, secretAccessKey])
  t.equal(stdout, 'ok\n')
})

t.test("Debian's aws command line", { skip: withoutPackage('awscli') }, async t => {
  const { accessKeyId, secretAccessKey } = credentials
  const env = {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_DEFAULT_REGION: 'eu-central-1',
    AWS_PAGER: ''
  }
  const aws = async (...args: string[]) => {
    const { stdout } = await run('/usr/bin/aws', ['--endpoint-url', url, 'sqs', ...args], { env })
    return stdout === '' ? null : JSON.parse(stdout)
  }
  const { QueueUrl } = await aws(
    'create-queue',
    '--queue-name',
    'line.fifo',
    '--attributes',
    'FifoQueue=true'
  )
  const to = ['--queue-url', QueueUrl]
  const sent = await aws(
    ...['send-message', ...to, '--message-body', 'from a shell', '--message-group-id', 'g'],
    ...['--message-deduplication-id', '1']
  )
  const { Messages } = await aws('receive-message', ...to, '--attribute-names', 'All')
  t.match(Messages, [
    { MessageId: sent.MessageId, Body: 'from a shell', Attributes: { MessageGroupId: 'g' } }
  ])
  await aws('delete-message', ...to, '--receipt-handle', Messages[0].ReceiptHandle)
  t.match((await get('/queues/line.fifo')).body.counts, { ready: 0, leased: 0 })
})

t.test('malformed requests get the documented error, in the protocol of their caller', async t => {
  const json = (target: string, body: string) =>
    post('/', body, { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target })
  const signedGet = (path: string) => call('GET', path, undefined, { authorization: 'any' })
  const form = (body: string) => post('/', body, { 'content-type': 'application/x-www-form-urlencoded' })
  const cases: [ReturnType<typeof post>, number, string][] = [
    [json('AmazonSQS.Nonsense', '{}'), 400, 'UnknownOperationException'],
    [json('AmazonSQS.ListQueues', '{'), 400, 'SerializationException'],
    [json('AmazonSQS.ListQueues', '[]'), 400, 'SerializationException'],
    [json('AmazonSQS.ListQueues', '{"MaxResults":"x"}'), 400, 'SerializationException'],
    [json('AmazonSQS.SendMessage', '{}'), 400, 'MissingParameter'],
    [json('AmazonSQS.ListQueues', `{"x":"${'x'.repeat(9_000_000)}"}`), 413, 'RequestTooLarge'],
    [form('Action=Nonsense'), 400, 'InvalidAction'],
    [form('x=1'), 400, 'MissingAction'],
    [post('/', 'x=1', { 'content-type': 'Application/X-WWW-Form-Urlencoded' }), 400, 'MissingAction'],
    [form('Action=SendMessageBatch&QueueUrl=consumed'), 400, 'AWS.SimpleQueueService.EmptyBatchRequest'],
    [form('Action=ListQueues&QueueNamePrefix=%ff'), 400, 'MalformedQueryString'],
    [form('Action=ListQueues&MaxResults=x'), 400, 'InvalidParameterValue'],
    [form(`Action=ListQueues&x=${'x'.repeat(9_000_000)}`), 413, 'RequestTooLarge'],
    [signedGet('/?Action=Nonsense'), 400, 'InvalidAction'],
    [get('/?Action=ListQueues'), 403, 'MissingAuthenticationToken'],
    [post('/000000000000/none?Action=ReceiveMessage'), 400, 'AWS.SimpleQueueService.NonExistentQueue']
  ]
  for (const [sent, status, code] of cases) {
    const { status: got, text, headers } = await sent
    t.equal(got, status, code)
    t.equal(headers.get('x-amzn-query-error'), `${code};Sender`)
    t.match(headers.get('x-amzn-requestid'), /./)
    const isXml = headers.get('content-type') === 'text/xml'
    t.match(text, isXml ? `<Code>${code}</Code>` : /^\{"__type":"[\w.]+#\w+","message":"[^"]+"\}$/)
  }
  const page = await fetch(`${url}/?Action=ListQueues`, { headers: { origin: 'http://evil.example' } })
  t.equal(page.status, 403)
  t.match(await page.text(), '<Code>AccessDenied</Code>')
  t.equal((await post('/', '{}')).body.code, 'routeNotFound')
})

t.test('no link of a page can change a queue', async t => {
  await post('/queues/victim/messages', { body: 1 })
  const navigation = {
    'sec-fetch-site': 'cross-site',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
    referer: 'https://evil.example/'
  }
  const calls = ['PurgeQueue', 'DeleteQueue', 'SendMessage&MessageBody=evil']
  for (const method of ['GET', 'HEAD']) {
    for (const action of calls) {
      const path = `/?Action=${action}&QueueUrl=victim`
      t.equal((await call(method, path, undefined, navigation)).status, 403, `${method} ${action}`)
      const image = { referer: 'https://evil.example/' }
      t.equal((await call(method, path, undefined, image)).status, 403, `${method} ${action} as an image`)
    }
  }
  t.match((await get('/queues/victim')).body.counts, { ready: 1 })
})

t.test('HOLDFAST_SQS=off', async t => {
  const off = await service(t, { env: { HOLDFAST_SQS: 'off' } })
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ListQueues' }
  t.equal((await off.post('/', '{}', headers)).body.code, 'routeNotFound')
  t.equal((await off.post('/')).body.code, 'routeNotFound')
})
