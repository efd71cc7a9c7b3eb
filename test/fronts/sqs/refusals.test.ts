/** What is refused before any operation: it comes in the protocol of the caller, and SDKs repeat it. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  CreateQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  SendMessageCommand,
  UntagQueueCommand
} from '@aws-sdk/client-sqs'
import t, { type Test } from 'tap'
import { secretFor } from '../../../src/fronts/sqs/signature.ts'
import { pollPause } from '../../support/pollPause.ts'
import { service } from '../../support/service.ts'
import { sdkClient } from './callers.ts'

const mib = 1024 * 1024
const namespace = 'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"'
const json = 'content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.ListQueues'
const form = 'content-type: application/x-www-form-urlencoded'

const head = (path: string, ...fields: string[]) =>
  [`POST ${path} HTTP/1.1`, 'host: 127.0.0.1', 'connection: close', ...fields, '', ''].join('\r\n')

/** Sends bytes on a connection of their own. */
function open(t: Test, url: string, bytes: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(bytes)
  return socket
}

/** All that comes on a connection. */
async function answerOn(socket: Socket): Promise<string> {
  let answer = ''
  for await (const bytes of socket) answer += bytes
  return answer
}

function isJsonRefusal(t: Test, answer: string, status: number, type: string, legacyCode = type): void {
  const end = answer.indexOf('\r\n\r\n')
  t.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
  t.match(answer.slice(0, end), /^content-type: application\/x-amz-json-1.0\b/m)
  t.match(answer.slice(0, end), /^x-amzn-requestid: \S+\r?$/m)
  t.match(answer.slice(0, end), `x-amzn-query-error: ${legacyCode};${status < 500 ? 'Sender' : 'Receiver'}`)
  t.match(JSON.parse(answer.slice(end)), { __type: type, message: /\S/ })
}

function isXmlRefusal(t: Test, answer: string, status: number, code: string): void {
  t.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
  t.match(answer, /^content-type: text\/xml/m)
  t.match(answer, `<ErrorResponse ${namespace}><Error><Type>${status < 500 ? 'Sender' : 'Receiver'}</Type>`)
  t.match(answer, `<Code>${code}</Code>`)
}

t.test('overloaded', async t => {
  // This allows 2 MiB of requests.
  const { url, get } = await service(t, { env: { HOLDFAST_WAITING_BYTES_MAX: `${mib}` } })
  const sqs = sdkClient(t, url, { maxAttempts: 3 })
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'q' }))
  const arriving = [1, 2].map(() =>
    open(t, url, head('/', form, 'content-length: 1000000') + 'x'.repeat(999_000))
  )
  const heldBytes = async () =>
    Number(/bound_held\{bound="request_bytes"\} (\d+)/.exec((await get('/metrics')).text)![1])
  while ((await heldBytes()) < 2 * 999_000) await pollPause()
  const send = new SendMessageCommand({ QueueUrl, MessageBody: 'x'.repeat(300_000) })
  await t.rejects(sqs.send(send), {
    name: 'ServiceUnavailable',
    $metadata: { httpStatusCode: 503, attempts: 3, requestId: /\S/ }
  })
  const body = `Action=SendMessage&QueueUrl=q&MessageBody=${'x'.repeat(300_000)}`
  const byForm = open(t, url, head('/', form, `content-length: ${body.length}`) + body)
  isXmlRefusal(t, await answerOn(byForm), 503, 'ServiceUnavailable')
  for (const socket of arriving) socket.destroy()
  while ((await heldBytes()) > 0) await pollPause()
  t.ok((await sqs.send(send)).MessageId)
})

t.test('too large', async t => {
  const { url } = await service(t, { env: { HOLDFAST_REQUEST_BYTES_MAX: '10000' } })
  const send = new SendMessageCommand({ QueueUrl: 'q', MessageBody: 'x'.repeat(20_000) })
  await t.rejects(sdkClient(t, url).send(send), {
    name: 'RequestTooLarge',
    $metadata: { httpStatusCode: 413 }
  })
  const byForm = open(t, url, head('/', form, 'content-length: 20000') + 'x'.repeat(20_000))
  isXmlRefusal(t, await answerOn(byForm), 413, 'RequestTooLarge')
})

/** Connections through a relay, which keeps the first request but for ten bytes until `letGo`. */
async function relay(t: Test, url: string) {
  let letGo = () => {}
  const kept = Promise.withResolvers<void>()
  const server = createServer(caller => {
    const onward = open(t, url, '')
    onward.pipe(caller)
    caller.once('data', bytes => {
      caller.pause()
      onward.write(bytes.subarray(0, 10))
      letGo = () => {
        onward.write(bytes.subarray(10))
        caller.pipe(onward)
      }
      kept.resolve()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const httpAgent = Object.assign(new Agent(), { createConnection: () => connect(port, '127.0.0.1') })
  return { httpAgent, kept: kept.promise, letGo: () => letGo() }
}

t.test('shutting down', async t => {
  const holdfast = await service(t)
  const { httpAgent, letGo, kept } = await relay(t, holdfast.url)
  const bySdk = sdkClient(t, holdfast.url, { requestHandler: { httpAgent } }).send(new ListQueuesCommand({}))
  await kept
  const body = 'Action=ListQueues'
  const request = head('/', form, `content-length: ${body.length}`) + body
  const byForm = open(t, holdfast.url, request.slice(0, 10))
  await holdfast.get('/livez') // by now both halves have been read
  const stopping = holdfast.stop()
  await new Promise(setImmediate)
  const refused = t.rejects(bySdk, { name: 'ServiceUnavailable', $metadata: { httpStatusCode: 503 } })
  letGo()
  byForm.write(request.slice(10))
  await refused
  isXmlRefusal(t, await answerOn(byForm), 503, 'ServiceUnavailable')
  await stopping
})

t.test('a body that does not come, or is not well-formed', async t => {
  const { url } = await service(t, { env: { HOLDFAST_REQUEST_SECONDS_MAX: '1' } })
  const ask = (bytes: string) => answerOn(open(t, url, bytes))
  const [late, lateForm, broken, brokenForm, other] = await Promise.all([
    ask(`${head('/', json, 'content-length: 10')}{`),
    ask(`${head('/000000000000/q', form, 'content-length: 10')}A`),
    ask(`${head('/', json, 'transfer-encoding: chunked')}no length\r\n`),
    ask(`${head('/', form, 'transfer-encoding: chunked')}no length\r\n`),
    ask(`${head('/queues/q/lease', form, 'content-length: 10')}{`)
  ])
  isJsonRefusal(t, late, 408, 'RequestTimeout')
  isXmlRefusal(t, lateForm, 408, 'RequestTimeout')
  isJsonRefusal(t, broken, 400, 'InvalidParameterValue')
  isXmlRefusal(t, brokenForm, 400, 'InvalidParameterValue')
  t.match(other, /^HTTP\/1.1 \d+ .*application\/problem\+json/s, 'REST keeps its own')
})

t.test('an address that is no queue', async t => {
  const { url } = await service(t)
  const ask = (path: string, fields: string, body: string) =>
    answerOn(open(t, url, head(path, fields, `content-length: ${body.length}`) + body))
  const action = 'Action=ListQueues'
  isXmlRefusal(t, await ask('/000000000000/q/more', form, action), 404, 'InvalidAddress')
  isJsonRefusal(t, await ask('/sqs', json, '{}'), 404, 'InvalidAddress')
  isXmlRefusal(t, await ask(`/000000000000/${'q'.repeat(300)}`, form, action), 400, 'InvalidParameterValue')
  isJsonRefusal(t, await ask('/000000000000/%zz', json, '{}'), 400, 'InvalidParameterValue')
  const other = await ask('/queue/q', form, action)
  t.match(other, /^HTTP\/1.1 404 .*problem\+json/s, 'REST keeps its own')
})

t.test('with keys in force, a refusal says what is wrong, to a signed call too', async t => {
  const file = join(t.testdir(), 'signing-secret')
  const signingSecret = Buffer.from('a secret of the service, of more than 32 bytes')
  await writeFile(file, signingSecret)
  const env = { HOLDFAST_SIGNING_SECRET_FILE: file, HOLDFAST_REQUEST_BYTES_MAX: '10000' }
  const { url, post } = await service(t, { env })
  const { id, secret } = (await post('/keys', { name: 'k', rights: ['admin'] })).body
  const credentials = { accessKeyId: id, secretAccessKey: secretFor(signingSecret, id) }
  const at = (path: string, options = {}) => sdkClient(t, url + path, { credentials, ...options })
  const list = new ListQueuesCommand({})
  t.strictSame((await at('/').send(list)).$metadata.httpStatusCode, 200)
  const nowhere = { name: 'InvalidAddress', $metadata: { httpStatusCode: 404, requestId: /\S/ } }
  for (const path of ['/sqs', '/000000000000/q/more', '/queues', '/keys/1', '/metrics']) {
    await t.rejects(at(path).send(list), nowhere, path)
  }
  const unknown = { accessKeyId: '0123456789', secretAccessKey: 'x' }
  await t.rejects(at('/sqs', { credentials: unknown }).send(list), nowhere, 'an address is no secret')
  const large = new SendMessageCommand({ QueueUrl: 'q', MessageBody: 'x'.repeat(20_000) })
  await t.rejects(at('/').send(large), { name: 'RequestTooLarge', $metadata: { httpStatusCode: 413 } })
  await t.rejects(at('/sqs').send(large), nowhere, 'no body is read where there is no route')
  const rated = { name: 'r', rights: ['browse:*'], requestsPerSecond: 1 }
  const { id: slow } = (await post('/keys', rated, { authorization: `Bearer ${secret}` })).body
  const slowly = at('/', {
    credentials: { accessKeyId: slow, secretAccessKey: secretFor(signingSecret, slow) }
  })
  const three = await Promise.allSettled([1, 2, 3].map(() => slowly.send(list)))
  const throttled = three.flatMap(each => (each.status === 'rejected' ? [each.reason] : []))
  t.match(throttled[0], { name: 'RequestThrottled', $metadata: { httpStatusCode: 403 } })
  const signed = 'authorization: AWS4-HMAC-SHA256 Credential=x'
  const ask = (path: string, fields: string, body: string) =>
    answerOn(open(t, url, head(path, fields, `content-length: ${body.length}`) + body))
  const action = 'Action=ListQueues'
  isXmlRefusal(t, await ask('/', `${form}\r\n${signed}`, action), 403, 'SignatureDoesNotMatch')
  isXmlRefusal(t, await ask('/000000000000/q/more', `${form}\r\n${signed}`, action), 404, 'InvalidAddress')
  isXmlRefusal(t, await ask('/000000000000/q/more', form, action), 403, 'InvalidClientTokenId')
  isXmlRefusal(t, await ask('/000000000000/%zz', form, action), 400, 'InvalidParameterValue')
  // Their bodies never come.
  const announce = (path: string, fields: string) =>
    answerOn(open(t, url, head(path, fields, 'content-length: 9000')))
  const unknownScope = 'Credential=0123456789/20300131/us-east-1/sqs/aws4_request, SignedHeaders=host'
  const stranger = `${signed.replace('Credential=x', unknownScope)}, Signature=${'0'.repeat(64)}`
  isXmlRefusal(t, await announce('/', `${form}\r\n${stranger}`), 403, 'InvalidClientTokenId')
  isXmlRefusal(t, await announce('/', `${form}\r\nauthorization: Bearer hf_no`), 403, 'InvalidClientTokenId')
  t.match(await announce('/nowhere', `content-type: application/json\r\n${stranger}`), /^HTTP\/1.1 404 /)
  isXmlRefusal(t, await ask('/', `${form}\r\nhost: other`, action), 400, 'InvalidParameterValue')
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = `Credential=${id}/${time.slice(0, 8)}/us-east-1/sqs/aws4_request`
  const forged = `${signed.replace('Credential=x', scope)}, SignedHeaders=constructor;host;x-amz-date`
  const fields = `${form}\r\nx-amz-date: ${time}\r\n${forged}, Signature=${'0'.repeat(64)}`
  isXmlRefusal(t, await ask('/', fields, action), 403, 'SignatureDoesNotMatch')
  const rest = await ask('/queue/q', signed, '')
  t.match(rest, /^HTTP\/1.1 404 .*problem\+json/s, 'REST keeps its own')
})

t.test('without keys, a foreign Host or Origin is refused', async t => {
  const { url } = await service(t)
  const ask = (fields: string, request: string) =>
    answerOn(open(t, url, request.replace('connection: close', `connection: close\r\n${fields}`)))
  const byJson = `${head('/', json, 'content-length: 2')}{}`
  isJsonRefusal(t, await ask('origin: http://evil.test', byJson), 403, 'AccessDenied')
  isJsonRefusal(t, await ask('x: y', byJson.replace('127.0.0.1', 'evil.test')), 403, 'AccessDenied')
  const byForm = `${head('/', form, 'content-length: 17')}Action=ListQueues`
  isXmlRefusal(t, await ask('origin: http://evil.test', byForm), 403, 'AccessDenied')
})

t.test('without the front, all is refused as by REST', async t => {
  const { url } = await service(t, { env: { HOLDFAST_SQS: 'off' } })
  const asked = open(t, url, `${head('/', json, 'content-length: 2')}{}`)
  t.match(await answerOn(asked), /^HTTP\/1.1 404 .*problem\+json/s)
})

t.test('a list, a form and a text of any size are answered in a moment, and not repeated', async t => {
  const { url } = await service(t)
  const ask = async (body: string, fields: string) => {
    const startedMs = performance.now()
    const answer = await answerOn(
      open(t, url, head('/', fields, `content-length: ${Buffer.byteLength(body)}`) + body)
    )
    t.ok(performance.now() - startedMs < 3000)
    t.ok(answer.length < 20_000, 'the answer is short')
    return answer
  }
  const call = (operation: string, input: string | object) =>
    ask(
      typeof input === 'string' ? input : JSON.stringify(input),
      `content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.${operation}`
    )
  await call('CreateQueue', { QueueName: 'q' })
  const many = (name: string) => new Array(49_000).fill(name)
  const names = { AttributeNames: [...many('All'), 'z'], MessageSystemAttributeNames: many('z') }
  const wrong = 'InvalidParameterValueException'
  t.match(await call('ReceiveMessage', { QueueUrl: 'q', ...names }), `#${wrong}"`)
  const tags = Object.fromEntries(many('').map((_, index) => [`t${index}`, '']))
  t.match(await call('TagQueue', { QueueUrl: 'q', Tags: tags }), `#${wrong}"`)
  for (const values of [`${'[],'.repeat(200_000)}1`, `${'['.repeat(200_000)}${']'.repeat(200_000)}`]) {
    isJsonRefusal(
      t,
      (await call('ListQueues', `{"x":[${values}]}`)).replaceAll('com.amazon.coral.service#', ''),
      413,
      'RequestTooLarge'
    )
  }
  t.match(await call('ListQueues', `{"x":"${'[,'.repeat(200_000)}"}`), /^HTTP\/1.1 200 /, 'a text is one')
  const fieldNames = Array.from({ length: 50_000 }, (_, index) => `${index}.......`)
  isXmlRefusal(t, await ask(`Action=ListQueues&${fieldNames.join('&')}`, form), 413, 'RequestTooLarge')
  const delay = `Action=SendMessage&QueueUrl=q&MessageBody=x&DelaySeconds=${'%26'.repeat(mib)}`
  isXmlRefusal(t, await ask(delay, form), 400, 'InvalidParameterValue')
  const trace = { AWSTraceHeader: { DataType: 'String', StringValue: 'x'.repeat(5000) } }
  const traced = { QueueUrl: 'q', MessageBody: 'x', MessageSystemAttributes: trace }
  t.match(await call('SendMessage', traced), `#${wrong}"`)
  const policies = {
    Policy: JSON.stringify({ Id: 'x'.repeat(10_000) }),
    RedriveAllowPolicy: `{"redrivePermission":"allowAll"${' '.repeat(10_000)}}`,
    RedrivePolicy: `{"maxReceiveCount":1${' '.repeat(10_000)}}`
  }
  for (const [name, value] of Object.entries(policies)) {
    const answer = await call('SetQueueAttributes', { QueueUrl: 'q', Attributes: { [name]: value } })
    t.match(answer, /#InvalidAttributeValue".*more than 8192 bytes/, name)
  }
  const count = `{"deadLetterTargetArn":"x","maxReceiveCount":${'['.repeat(4000)}${']'.repeat(4000)}}`
  const deep = { QueueUrl: 'q', Attributes: { RedrivePolicy: count } }
  t.match(await call('SetQueueAttributes', deep), `#${wrong}"`)
})

t.test('a field that is named again and again counts each time', async t => {
  const { url } = await service(t)
  const body = `Action=ListQueues${'&+'.repeat(1000)}`
  const answer = await answerOn(open(t, url, head('/', form, `content-length: ${body.length}`) + body))
  t.match(answer, /The form has more than 1000 fields/)
})

t.test('names, prefixes, tokens and tags that no queue can have are no bug', async t => {
  const { url } = await service(t)
  const sqs = sdkClient(t, url)
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'q' }))
  for (const text of ['a\0', 'a\ud800']) {
    await t.rejects(sqs.send(new GetQueueUrlCommand({ QueueName: text })), { name: 'QueueDoesNotExist' })
    t.notHas(await sqs.send(new ListQueuesCommand({ QueueNamePrefix: text })), { QueueUrls: [] })
    const NextToken = Buffer.from(text).toString('base64url')
    await t.rejects(sqs.send(new ListQueuesCommand({ MaxResults: 1, NextToken })), {
      name: 'InvalidParameterValue'
    })
    await t.rejects(sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: [text] })), {
      name: 'InvalidParameterValue'
    })
  }
})
