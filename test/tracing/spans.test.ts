/** Spans of a whole service, by the in-memory exporter of OpenTelemetry. */
import { EventEmitter, once } from 'node:events'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import {
  InMemorySpanExporter,
  ParentBasedSampler,
  SamplingDecision,
  SimpleSpanProcessor,
  type ReadableSpan
} from '@opentelemetry/sdk-trace'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { startService } from '../../src/service.ts'
import { endpoint } from '../support/endpoint.ts'
import { freshDatabase } from '../support/postgres.ts'
import { client } from '../support/service.ts'

/** Keeps spans, and tells of each. */
class Spans extends InMemorySpanExporter {
  readonly #heard = new EventEmitter()

  override export(...[spans, done]: Parameters<InMemorySpanExporter['export']>): void {
    super.export(spans, done)
    this.#heard.emit('span')
  }

  /** The spans so far, and none of them again. */
  take(): ReadableSpan[] {
    const spans = this.getFinishedSpans()
    this.reset()
    return [...spans]
  }

  /** The span of this name. Waits for it. */
  async named(name: string): Promise<ReadableSpan> {
    for (;;) {
      const span = this.getFinishedSpans().find(span => span.name === name)
      if (span !== undefined) return span
      await once(this.#heard, 'span')
    }
  }
}

const spans = new Spans()
let samplesRoots = true
const decision = () => (samplesRoots ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD)
const root = { shouldSample: () => ({ decision: decision() }), toString: () => 'as the test says' }
// Not as the service sets it up: a program around it has done so before.
const sdk = new NodeSDK({
  spanProcessors: [new SimpleSpanProcessor({ exporter: spans })],
  sampler: new ParentBasedSampler({ root }),
  metricReaders: [],
  logRecordProcessors: []
})
sdk.start()
t.teardown(() => sdk.shutdown())

const database = await freshDatabase(t)
const running = await startService(
  readConfig({
    HOLDFAST_DATABASE_URL: database.url,
    HOLDFAST_PORT: '0',
    HOLDFAST_LOG_LEVEL: 'silent',
    HOLDFAST_PUSH_PRIVATE: 'on',
    OTEL_TRACES_EXPORTER: 'otlp'
  }),
  () => {}
)
t.teardown(() => running.stop())
const holdfast = client(running.url)

const traceId = '0af7651916cd43dd8448eb211c80319c'
const sent = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: 'vendor=1' }
const idsOf = (span: ReadableSpan | undefined) => span!.spanContext()
const parentOf = (span: ReadableSpan | undefined) => span!.parentSpanContext?.spanId
const traceparentOf = (span: ReadableSpan | undefined) => `00-${idsOf(span).traceId}-${idsOf(span).spanId}-01`

t.test('enqueue, lease and ack are one trace', async t => {
  const enqueued = await holdfast.post('/queues/mail/messages', { body: 1, headers: { a: 'b' } }, sent)
  const [enqueue] = spans.take()
  t.match(enqueue, {
    name: 'enqueue mail',
    kind: SpanKind.PRODUCER,
    attributes: {
      'messaging.system': 'holdfast',
      'messaging.operation.name': 'enqueue',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'mail',
      'messaging.message.id': enqueued.body.id
    }
  })
  t.notOk('messaging.batch.message_count' in enqueue!.attributes)
  t.equal(idsOf(enqueue).traceId, traceId)
  t.equal(parentOf(enqueue), 'b7ad6b7169203331')

  const { body } = await holdfast.post('/queues/mail/lease')
  const [message] = body.messages
  t.strictSame(message.headers, { a: 'b', traceparent: traceparentOf(enqueue), tracestate: 'vendor=1' })
  const [lease] = spans.take()
  t.match(lease, {
    name: 'lease mail',
    kind: SpanKind.CLIENT,
    attributes: { 'messaging.operation.type': 'receive', 'messaging.message.id': message.id },
    links: [{ context: { spanId: idsOf(enqueue).spanId } }]
  })
  t.equal(idsOf(lease).traceId, traceId, 'of a worker that sends no trace')
  t.equal(parentOf(lease), idsOf(enqueue).spanId)

  const { traceparent } = message.headers
  await holdfast.post('/queues/mail/ack', { receipt: message.receipt }, { traceparent })
  const [ack] = spans.take()
  t.match(ack, {
    name: 'ack mail',
    kind: SpanKind.CLIENT,
    status: { code: SpanStatusCode.UNSET },
    attributes: {
      'messaging.operation.type': 'settle',
      'messaging.message.id': message.id,
      'holdfast.outcome': 'acked'
    }
  })
  t.equal(idsOf(ack).traceId, traceId)
  t.equal(parentOf(ack), idsOf(enqueue).spanId)
})

t.test('a body that arrives in many pieces stays in the trace', async t => {
  const text = 'x'.repeat(900_000)
  await holdfast.post('/queues/large/messages', { body: text }, sent)
  await holdfast.post('/queues/large/messages', text, { ...sent, 'content-type': 'text/plain' })
  t.strictSame(
    spans.take().map(span => idsOf(span).traceId),
    [traceId, traceId]
  )
})

t.test('a lease of many messages links to those who sent them, and follows its own caller', async t => {
  const ownTrace = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  await holdfast.post('/queues/many/messages', {
    messages: [{ body: 1 }, { body: 2 }, { body: 3, headers: { traceparent: ownTrace } }]
  })
  const [enqueue] = spans.take()
  t.equal(enqueue!.attributes['messaging.batch.message_count'], 3)
  t.match(enqueue!.links, [{ context: { spanId: '2'.repeat(16) } }])
  t.equal(enqueue!.parentSpanContext, undefined)
  const first = await holdfast.post('/queues/many/lease', { max: 9 }, sent)
  const [lease] = spans.take()
  t.strictSame(
    lease!.links.map(({ context }) => context.spanId),
    [idsOf(enqueue).spanId, '2'.repeat(16)]
  )
  t.equal(lease!.attributes['messaging.batch.message_count'], 3)
  t.equal(idsOf(lease).traceId, traceId)
  t.equal(first.body.messages[2].headers.traceparent, ownTrace, 'a producer knows better')

  const receipts = first.body.messages.map(({ receipt }: { receipt: string }) => receipt)
  await holdfast.post('/queues/many/release', { receipts: receipts.slice(0, 2) })
  await holdfast.post('/queues/many/lease', { max: 9, ack: receipts.slice(2) })
  const [release, again, ack] = spans.take()
  t.match(release, { name: 'release many', attributes: { 'messaging.batch.message_count': 2 } })
  t.match(again, { name: 'lease many', links: [{ context: { spanId: idsOf(enqueue).spanId } }] })
  t.equal(parentOf(again), idsOf(enqueue).spanId, 'all of one trace, so it goes on')
  t.match(ack, { name: 'ack many', attributes: { 'holdfast.outcome': 'acked' } })
  t.same(await holdfast.post('/queues/many/lease').then(({ body }) => body.messages), [])
  t.same(spans.take(), [], 'a lease without a message has no span')
})

t.test('what follows from an ack goes on with its trace, and so do the copies of a publish', async t => {
  await holdfast.post('/queues/first/messages', { body: 1 })
  const [message] = (await holdfast.post('/queues/first/lease')).body.messages
  spans.take()
  const then = [{ queue: 'next', body: 2 }]
  await holdfast.post('/queues/first/ack', { receipt: message.receipt, result: 'done', then }, sent)
  const [ack] = spans.take()
  t.equal(idsOf(ack).traceId, traceId)
  const next = await holdfast.post('/queues/next/lease')
  t.equal(next.body.messages[0].headers.traceparent, traceparentOf(ack))

  await holdfast.call('PUT', '/queues/copies', {})
  await holdfast.call('PUT', '/topics/news/subscriptions/copies', {})
  spans.take()
  t.equal((await holdfast.post('/topics/news/messages', { body: 3 }, sent)).status, 201)
  const [publish] = spans.take()
  t.match(publish, { name: 'publish news', kind: SpanKind.PRODUCER })
  t.equal(idsOf(publish).traceId, traceId)
  const copy = await holdfast.post('/queues/copies/lease')
  t.equal(copy.body.messages[0].headers.traceparent, traceparentOf(publish))
  spans.take()
})

t.test('a push goes on with the trace of its message, and tells of a failure', async t => {
  let status = 500
  const hook = await endpoint(t, () => ({ status }))
  await holdfast.call('PUT', '/queues/hook', { retry: { delaySeconds: 0 } })
  await holdfast.call('PUT', '/queues/hook/push', { url: `${hook.url}?secret=1` })
  spans.take()
  await holdfast.post('/queues/hook/messages', { body: 1 }, sent)
  const enqueue = await spans.named('enqueue hook')
  const failed = await spans.named('push hook')
  t.match(failed, {
    kind: SpanKind.CONSUMER,
    status: { code: SpanStatusCode.ERROR, message: 'HTTP 500' },
    attributes: {
      'messaging.operation.type': 'process',
      'holdfast.attempt': 1,
      'server.address': '127.0.0.1',
      'http.response.status_code': 500,
      'error.type': '500'
    }
  })
  t.notMatch(JSON.stringify(failed.attributes), 'secret')
  t.equal(idsOf(failed).traceId, traceId)
  t.equal(parentOf(failed), idsOf(enqueue).spanId)
  const [first] = await hook.got(1)
  t.match(first!.headers, { traceparent: traceparentOf(failed), tracestate: 'vendor=1' })
  t.same(
    spans.take().filter(({ name }) => !/^(enqueue|push) /.test(name)),
    [],
    'the leases and the settlements of the push itself have none'
  )
  status = 200
  t.match(await spans.named('push hook'), { attributes: { 'http.response.status_code': 200 } })
  await holdfast.call('DELETE', '/queues/hook/push')
  spans.take()
})

t.test('what a new push leases is no part of the request that set it', async t => {
  const hook = await endpoint(t, () => ({ status: 200 }))
  await holdfast.call('PUT', '/queues/waiting', {})
  await holdfast.post('/queues/waiting/messages', { body: 1 }, sent)
  spans.take()
  await holdfast.call('PUT', '/queues/waiting/push', { url: hook.url })
  await spans.named('push waiting')
  t.match(spans.take(), [{ name: 'push waiting' }])
  await holdfast.call('DELETE', '/queues/waiting/push')
  spans.take()
})

t.test('errors are recorded', async t => {
  const message = (await holdfast.post('/queues/mail/messages', { body: 1, idempotencyKey: 'k' })).body.id
  await holdfast.post('/queues/mail/messages', { body: 2, idempotencyKey: 'k' })
  const [, refused] = spans.take()
  t.match(refused, {
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'error.type': 'idempotencyMismatch' },
    events: [{ name: 'exception' }]
  })
  t.equal((await holdfast.post('/queues/none/lease')).status, 404)
  t.match(spans.take(), [{ name: 'lease none', attributes: { 'error.type': 'queueNotFound' } }])

  const [lease] = (await holdfast.post('/queues/mail/lease')).body.messages
  t.equal(lease.id, message)
  await holdfast.post('/queues/mail/release', { receipt: lease.receipt })
  await holdfast.post('/queues/mail/lease')
  spans.take()
  t.equal((await holdfast.post('/queues/mail/ack', { receipt: lease.receipt })).status, 409)
  t.match(spans.take(), [
    { status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'leaseLost' } }
  ])
})

t.test('what is not sampled leaves no trace, and breaks none', async t => {
  samplesRoots = false
  t.teardown(() => (samplesRoots = true))
  await holdfast.post('/queues/quiet/messages', { body: 1 })
  const unsampled = { traceparent: sent.traceparent.replace(/01$/, '00') }
  await holdfast.post('/queues/quiet/messages', { body: 2 }, unsampled)
  const { body } = await holdfast.post('/queues/quiet/lease', { max: 2 })
  t.strictSame(
    body.messages.map(({ headers }: { headers: object }) => headers),
    [{}, unsampled]
  )
  t.same(spans.take(), [])
})

t.test('a repeat under an idempotency key is the same message, in another trace', async t => {
  const enqueue = (traceparent: string) =>
    holdfast.post('/queues/keyed/messages', { body: 1, idempotencyKey: 'k' }, { traceparent })
  const first = await enqueue(sent.traceparent)
  t.match(await enqueue(`00-${traceId}-00f067aa0ba902b7-01`), { status: 200, body: { id: first.body.id } })
  spans.take()
})

t.test('SQS clients get spans too, and their own trace header as it was', async t => {
  await holdfast.call('PUT', '/queues/sqs', {})
  const credentials = { accessKeyId: 'any', secretAccessKey: 'any' }
  const sqs = new SQSClient({ endpoint: holdfast.url, region: 'us-east-1', credentials })
  t.teardown(() => sqs.destroy())
  const QueueUrl = `${holdfast.url}/000000000000/sqs`
  const xray = 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1'
  const MessageSystemAttributes = { AWSTraceHeader: { DataType: 'String', StringValue: xray } } as const
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'hi', MessageSystemAttributes }))
  const [enqueue] = spans.take()
  t.match(enqueue, { name: 'enqueue sqs', kind: SpanKind.PRODUCER })
  const { body } = await holdfast.post('/queues/sqs/lease')
  t.match(body.messages[0].headers, { 'sqs:trace': xray, traceparent: traceparentOf(enqueue) })
})
