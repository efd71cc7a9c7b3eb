/** Tracing that nobody asks for costs nothing: none of it is loaded. */
import { registerHooks } from 'node:module'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { freshDatabase } from '../support/postgres.ts'

const loaded: string[] = []
registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== '@opentelemetry/sdk-node') return next(specifier, context)
    return next(specifier, { ...context, parentURL: 'file:///' }) // where no packages are
  },
  load(url, context, next) {
    // pg-boss loads the API package, which does nothing by itself.
    if (/@opentelemetry\/(?!api\/)|src\/tracing/.test(url)) loaded.push(url)
    return next(url, context)
  }
})
const { startService } = await import('../../src/service.ts')
const { client } = await import('../support/service.ts')
const { url: HOLDFAST_DATABASE_URL } = await freshDatabase(t)

async function start(env: Record<string, string>) {
  const said: string[] = []
  const config = readConfig({
    HOLDFAST_DATABASE_URL,
    HOLDFAST_PORT: '0',
    HOLDFAST_LOG_LEVEL: 'silent',
    ...env
  })
  const service = await startService(config, line => said.push(line))
  return { ...client(service.url), said: said.join('\n'), stop: () => service.stop() }
}

t.test('off: nothing of it is loaded, and a message keeps the trace of its request as it came', async t => {
  const holdfast = await start({})
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  await holdfast.post('/queues/mail/messages', { body: 1 }, { traceparent })
  const { body } = await holdfast.post('/queues/mail/lease')
  t.strictSame(body.messages[0].headers, { traceparent })
  await holdfast.stop()
  t.strictSame(loaded, [])
})

t.test('the standard variables switch it', async t => {
  const [otlp, endpoint] = [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'http://127.0.0.1:4318']
  for (const env of [
    {},
    { OTEL_SERVICE_NAME: 'a name alone' },
    { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
    { ...otlp, OTEL_SDK_DISABLED: 'true' }
  ]) {
    t.equal(readConfig(env).tracing, null, JSON.stringify(env))
  }
  for (const env of [
    otlp,
    { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint }
  ]) {
    t.strictSame(readConfig(env).tracing, { serviceName: 'holdfast' }, JSON.stringify(env))
  }
  for (const named of [
    { OTEL_SERVICE_NAME: 'mail' },
    { OTEL_RESOURCE_ATTRIBUTES: 'a=b,service.name=mail' }
  ]) {
    t.strictSame(readConfig({ ...otlp, ...named }).tracing, { serviceName: undefined })
  }
})

t.test('without the SDK the service serves, and says what to install', async t => {
  const holdfast = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' })
  t.ok(loaded.length > 0)
  t.match(
    holdfast.said,
    /npm install --no-save --save-prod --omit=dev @opentelemetry\/sdk-node@\d+\.\d+\.\d+ /
  )
  t.equal((await holdfast.post('/queues/mail/messages', { body: 1 })).status, 201)
  await holdfast.stop()
})
