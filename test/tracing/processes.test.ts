/** Tracing as the environment switches it on: the SDK, its exporter, the log, and the end. */
import t from 'tap'
import { endpoint } from '../support/endpoint.ts'
import { freshDatabase } from '../support/postgres.ts'
import { serviceProcess } from '../support/service.ts'

interface Exported {
  name: string
  traceId: string
  pid: number
  service: string
}

/** What a collector has got, as JSON of OTLP. */
function exported(bodies: string[]): Exported[] {
  return bodies.flatMap(body =>
    JSON.parse(body).resourceSpans.flatMap(({ resource, scopeSpans }: any) => {
      const attributes = new Map<string, any>(resource.attributes.map(({ key, value }: any) => [key, value]))
      const pid = Number(attributes.get('process.pid').intValue)
      const service = attributes.get('service.name').stringValue
      return scopeSpans.flatMap(({ spans }: any) =>
        spans.map(({ name, traceId }: Exported) => ({ name, traceId, pid, service }))
      )
    })
  )
}

const idOf = (n: number) => String(n).repeat(32)
const traceOf = (n: number) => ({ traceparent: `00-${idOf(n)}-${'a'.repeat(16)}-01` })

t.test('every process exports its spans, at the stop too, and the log names their traces', async t => {
  const collector = await endpoint(t)
  const holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: (await freshDatabase(t)).url,
    HOLDFAST_PROCESSES: '2',
    HOLDFAST_LOG_LEVEL: 'info',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_SERVICE_NAME: 'mail-queue',
    // Nothing is exported before the stop.
    OTEL_BSP_SCHEDULE_DELAY: '60000'
  })
  // Each call has a connection of its own, and these go to the processes in turn.
  for (let n = 1; n <= 4; n++) {
    const headers = { ...traceOf(n), connection: 'close' }
    t.equal((await holdfast.post('/queues/mail/messages', { body: n }, headers)).status, 201)
  }
  t.equal(collector.received.length, 0)
  holdfast.child.kill('SIGTERM')
  t.equal(await holdfast.ended, 0)
  t.ok(collector.received.every(({ path }) => path === '/v1/traces'))
  const spans = exported(collector.received.map(({ body }) => body))
  t.strictSame(spans.map(({ traceId }) => traceId).sort(), [1, 2, 3, 4].map(idOf))
  t.equal(new Set(spans.map(({ pid }) => pid)).size, 2)
  t.ok(spans.every(({ name, service }) => name === 'enqueue mail' && service === 'mail-queue'))
  const lines = holdfast
    .said()
    .split('\n')
    .filter(line => line.includes('"msg":"request"'))
    .map(line => JSON.parse(line))
  t.strictSame(
    lines.map(line => line.trace_id),
    [1, 2, 3, 4].map(idOf)
  )
  const spanIds = lines.map(line => line.span_id)
  t.ok(spanIds.every(id => /^[0-9a-f]{16}$/.test(id)))
  t.notOk(spanIds.includes('a'.repeat(16)), 'the span of the service, not of its caller')
})

const long = process.env.HOLDFAST_TEST_SECONDS !== undefined

t.test('a collector that never answers harms nobody, and the stop is bounded', { skip: !long }, async t => {
  const collector = await endpoint(t, () => null)
  const holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: (await freshDatabase(t)).url,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
    OTEL_BSP_SCHEDULE_DELAY: '1'
  })
  t.equal((await holdfast.post('/queues/mail/messages', { body: 1 })).status, 201)
  await collector.got(1)
  t.equal((await holdfast.post('/queues/mail/lease')).body.messages.length, 1)
  const stoppedMs = performance.now()
  holdfast.child.kill('SIGTERM')
  t.equal(await holdfast.ended, 0)
  t.ok(performance.now() - stoppedMs < 4500, `${performance.now() - stoppedMs} ms`)
})
