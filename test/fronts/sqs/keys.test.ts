/** Signed calls: the AWS SDK with a derived secret, rights, and what is refused. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ReceiveMessageCommand,
  SendMessageCommand
} from '@aws-sdk/client-sqs'
import t from 'tap'
import { readConfig } from '../../../src/config.ts'
import { requesters } from '../../../src/core/engine/oneByOne.ts'
import { regionDefault } from '../../../src/fronts/sqs/ids.ts'
import {
  canonicalRequest,
  readCredential,
  regionOf,
  secretFor,
  Signatures,
  signingKey
} from '../../../src/fronts/sqs/signature.ts'
import { service } from '../../support/service.ts'
import { sdkClient } from './callers.ts'
import { createHmac, hash } from 'node:crypto'

const serviceSecret = 'a secret of the service, of more than 32 bytes'
const file = join(t.testdir(), 'signing-secret')
await writeFile(file, `${serviceSecret}\n`)
const { url, databaseUrl, post, call } = await service(t, { env: { HOLDFAST_SIGNING_SECRET_FILE: file } })

/** Makes a key. Answers its secret for REST, and its credentials for SQS. */
async function key(rights: string[], bearer?: string) {
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }
  const { body } = await post('/keys', { name: rights.join(' '), rights }, headers)
  const secretAccessKey = secretFor(Buffer.from(serviceSecret), body.id)
  return { id: body.id, secret: body.secret, credentials: { accessKeyId: body.id, secretAccessKey } }
}

const admin = await key(['admin'])
const worker = await key(['lease:jobs', 'enqueue:jobs'], admin.secret)
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    error => `${error.$metadata?.httpStatusCode} ${error.name}`
  )

t.test('keys have their rights, and others are refused', async t => {
  const boss = sdkClient(t, url, { credentials: admin.credentials })
  const hand = sdkClient(t, url, { credentials: worker.credentials })
  const { QueueUrl } = await boss.send(new CreateQueueCommand({ QueueName: 'jobs' }))
  const { QueueUrl: secret } = await boss.send(new CreateQueueCommand({ QueueName: 'secret' }))
  await hand.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }))
  const { Messages } = await hand.send(
    new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['SenderId'] })
  )
  t.equal(Messages![0]!.Attributes!.SenderId, worker.id)
  await hand.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: Messages![0]!.ReceiptHandle }))
  t.strictSame((await hand.send(new ListQueuesCommand({}))).QueueUrls, [QueueUrl])
  t.equal(await code(hand.send(new GetQueueUrlCommand({ QueueName: 'secret' }))), '400 QueueDoesNotExist')
  const foreign = new SendMessageCommand({ QueueUrl: secret, MessageBody: 'x' })
  t.equal(await code(hand.send(foreign)), '400 QueueDoesNotExist')
  t.equal(await code(hand.send(new CreateQueueCommand({ QueueName: 'jobs' }))), '403 AccessDenied')
})

t.test('a signed caller is one requester, its address, so alone it does not rest', async t => {
  const boss = sdkClient(t, url, { credentials: admin.credentials })
  while (requesters.recent.length > 0) await pause(10)
  await boss.send(new ListQueuesCommand({}))
  t.strictSame(requesters.recent, ['127.0.0.1'])
})

t.test('wrong secrets, unknown keys and changed requests are refused', async t => {
  const { accessKeyId, secretAccessKey } = worker.credentials
  const list = new ListQueuesCommand({})
  const as = (credentials: typeof worker.credentials, options = {}) =>
    code(sdkClient(t, url, { credentials, ...options }).send(list))
  t.equal(await as({ accessKeyId, secretAccessKey: 'wrong' }), '403 SignatureDoesNotMatch')
  t.equal(await as({ accessKeyId: '0123456789', secretAccessKey }), '403 InvalidClientTokenId')
  const changed = sdkClient(t, url, { credentials: worker.credentials })
  changed.middlewareStack.add(
    next => args => {
      Object.assign(args.request as object, { body: '{"QueueNamePrefix":"j"}' })
      Object.assign((args.request as any).headers, { 'content-length': '23' })
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low' }
  )
  t.equal(await code(changed.send(list)), '403 SignatureDoesNotMatch')
})

t.test('a clock may be wrong by fifteen minutes, and beyond that the SDK can correct it', async t => {
  const ahead = (minutes: number) =>
    sdkClient(t, url, { credentials: worker.credentials, systemClockOffset: minutes * 60_000 })
  const list = new ListQueuesCommand({})
  for (const minutes of [-14, 14]) {
    t.equal(await code(ahead(minutes).send(list)), 'answered', `${minutes} min`)
  }
  const late = ahead(-16)
  await t.rejects(late.send(list), {
    name: 'SignatureDoesNotMatch',
    message: /^Signature expired: \w{16} is now earlier than \w{16} \(\w{16} - 15 min\.\)$/
  })
  const early = ahead(16)
  await t.rejects(early.send(list), {
    name: 'SignatureDoesNotMatch',
    message: /^Signature not yet current: \w{16} is still later than \w{16} \(\w{16} \+ 15 min\.\)$/
  })
  // Each client has learnt the time from the refusal.
  for (const client of [late, early]) t.equal(await code(client.send(list)), 'answered')
})

t.test('a key may come as a bearer, and without any the call is refused', async t => {
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ListQueues' }
  const bare = await post('/', '{}', headers)
  t.equal(bare.status, 403)
  t.match(bare.body, { __type: 'MissingAuthenticationToken' })
  t.equal(bare.headers.get('x-amzn-query-error'), 'MissingAuthenticationToken;Sender')
  const wrong = await post('/', '{}', { ...headers, authorization: 'Bearer hf_x' })
  t.match(wrong.body, { __type: 'UnrecognizedClientException' })
  const good = await post('/', '{}', { ...headers, authorization: `Bearer ${worker.secret}` })
  t.equal(good.status, 200)
  await call('DELETE', `/keys/${worker.id}`, undefined, { authorization: `Bearer ${admin.secret}` })
  const list = sdkClient(t, url, { credentials: worker.credentials }).send(new ListQueuesCommand({}))
  t.equal(await code(list), '403 InvalidClientTokenId', 'a revoked key')
})

t.test('while the secret is changed, both are good, and then only the new one', async t => {
  const folder = t.testdir()
  const [old, next] = [join(folder, 'old'), join(folder, 'next')]
  const nextSecret = 'another secret of the service, also of more than 32 bytes'
  await writeFile(old, serviceSecret)
  await writeFile(next, nextSecret)
  const database = { url: databaseUrl }
  const { accessKeyId } = admin.credentials
  const nextCredentials = { accessKeyId, secretAccessKey: secretFor(Buffer.from(nextSecret), accessKeyId) }
  const codes = async (files: string[]) => {
    const env = { HOLDFAST_SIGNING_SECRET_FILE: files.join(',') }
    const { url, stop } = await service(t, { database, env })
    const list = (credentials: typeof nextCredentials) =>
      code(sdkClient(t, url, { credentials }).send(new ListQueuesCommand({})))
    const answers = [await list(admin.credentials), await list(nextCredentials)]
    await stop()
    return answers
  }
  t.strictSame(await codes([old]), ['answered', '403 SignatureDoesNotMatch'])
  t.strictSame(await codes([next, old]), ['answered', 'answered'])
  t.strictSame(await codes([next]), ['403 SignatureDoesNotMatch', 'answered'])
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['bin/holdfast.mjs', 'keys', 'create', 'new', '--allow', 'admin', '--sqs'],
    {
      env: {
        PATH: process.env.PATH,
        HOLDFAST_DATABASE_URL: databaseUrl,
        HOLDFAST_SIGNING_SECRET_FILE: `${next}, ${old}`
      }
    }
  )
  const [, id = '', secret] = /AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)/.exec(stdout) ?? []
  t.equal(secret, secretFor(Buffer.from(nextSecret), id), 'a key is made under the new secret')
})

t.test("AWS's own example of a signature", async t => {
  const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
  const request = {
    method: 'GET',
    url: '/?Param2=value2&Param1=value1',
    headers: { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' },
    body: Buffer.alloc(0)
  }
  const canonical = canonicalRequest(request, ['host', 'x-amz-date'], hash('sha256', '', 'hex'))
  const text = [
    'AWS4-HMAC-SHA256',
    '20150830T123600Z',
    '20150830/us-east-1/service/aws4_request',
    hash('sha256', canonical, 'hex')
  ].join('\n')
  const signature = createHmac('sha256', signingKey(secret, '20150830/us-east-1/service/aws4_request'))
  t.equal(
    signature.update(text).digest('hex'),
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'
  )
  t.equal(readCredential('Bearer x'), null)
  t.throws(() => readCredential('AWS4-HMAC-SHA256 nonsense'))
})

t.test("Perl's client signs for another service, and names a target beside its form", async t => {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const date = time.slice(0, 8)
  const body = 'Action=ListQueues&Version=2012-11-05'
  const fields = {
    'content-type': 'application/x-www-form-urlencoded;charset=utf-8',
    'x-amz-date': time,
    'x-amz-target': 'AmazonSQSv20121105.ListQueues'
  }
  const headers = { ...fields, host: new URL(url).host }
  const names = Object.keys(headers).sort()
  const request = { method: 'POST', url: '/', headers, body: Buffer.from(body) }
  const canonical = canonicalRequest(request, names, hash('sha256', body, 'hex'))
  const scope = `${date}/us-east-1/s3/aws4_request`
  const text = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', canonical, 'hex')].join('\n')
  const { accessKeyId, secretAccessKey } = admin.credentials
  const key = signingKey(secretAccessKey, scope)
  const signature = createHmac('sha256', key).update(text).digest('hex')
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope},` +
    `SignedHeaders=${names.join(';')},Signature=${signature}`
  const answer = await post('/', body, { ...fields, authorization })
  t.match(answer, { status: 200, text: /^<\?xml version="1.0"\?><ListQueuesResponse/ })
})

t.test('an Authorization field of any kind is read in a moment', t => {
  const algorithm = 'AWS4-HMAC-SHA256'
  const good = ' Credential=a/20300131/us-east-1/sqs/aws4_request'
  const fields = [
    `${good}, SignedHeaders=${' '.repeat(100_000)}x`,
    ' Credential=a/'.repeat(10_000),
    ` Credential=${'/'.repeat(100_000)}`,
    `${good}, SignedHeaders=host;host, Signature=${'0'.repeat(64)}`
  ]
  for (const field of fields) {
    const startedMs = performance.now()
    t.throws(() => readCredential(algorithm + field))
    regionOf(algorithm + field)
    const ms = performance.now() - startedMs
    t.ok(ms < 2000, `${field.slice(0, 20)}… took ${ms} ms`)
  }
  t.equal(regionOf(`${algorithm}${good}`), 'us-east-1')
  t.equal(regionOf(undefined), regionDefault)
  t.end()
})

t.test('an Authorization field is read alike the first time and later, in any order', t => {
  const signatures = new Signatures([])
  const scope = 'Credential=a/20300131/us-east-1/sqs/aws4_request'
  for (const chars of ['1', '2'].map(digit => digit.repeat(64))) {
    for (const parts of [
      [scope, 'SignedHeaders=host', `Signature=${chars}`],
      [`Signature=${'0'.repeat(64)}`, scope, `SignedHeaders=${chars}`]
    ]) {
      const field = `AWS4-HMAC-SHA256 ${parts.join(', ')}`
      t.strictSame(signatures.credentialOf(field), readCredential(field), field)
    }
  }
  t.equal(signatures.credentialOf(undefined), null)
  t.end()
})

t.test('the address for clients has no slash at its end', t => {
  for (const HOLDFAST_SQS_URL of ['https://queues.example.com', 'https://queues.example.com/']) {
    t.equal(readConfig({ HOLDFAST_SQS_URL }).sqsUrl, 'https://queues.example.com')
  }
  t.end()
})
