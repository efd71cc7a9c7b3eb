/**
 * Tracing, which the service loads only where the standard variables of OpenTelemetry ask for it. The
 * SDK reads these variables by itself.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { diag, DiagLogLevel, ProxyTracerProvider, trace } from '@opentelemetry/api'
import { traceDelivery } from './deliveries.ts'
import { logFields, watchRequests } from './requests.ts'
import { TracedBroker } from './tracedBroker.ts'

export { logFields }

/** Spans that wait for their export are given up after so long at a stop. */
const stopMsMax = 3000
const sdk = '@opentelemetry/sdk-node'

/**
 * `serviceName` is undefined where the variables say it. `onError` hears what the SDK cannot do, such as
 * an export. Answers null, and says what to install, where the SDK is not there.
 */
export async function startTracing(
  { serviceName }: { serviceName: string | undefined },
  { say, onError }: { say: (line: string) => void; onError: (error: unknown) => void }
) {
  const stop = isRegistered() ? flushRegistered : await startSdk(serviceName, onError)
  if (stop === null) {
    say(
      'The environment asks for traces (OTEL_…), but their SDK is not installed, so there are no spans. ' +
        `Run npm install --no-save --save-prod --omit=dev ${sdk}@${await sdkVersion()} where Holdfast is ` +
        'installed, and start it again. docs/tracing.md says more.'
    )
    return null
  }
  return {
    Broker: TracedBroker,
    watchRequests,
    traceDelivery,
    /** Exports the spans that wait, within a bound. */
    async stop(): Promise<void> {
      const ended = stop().catch(onError)
      await Promise.race([ended, pause(stopMsMax, undefined, { ref: false })])
    }
  }
}

export type Tracing = NonNullable<Awaited<ReturnType<typeof startTracing>>>

const registered = () => (trace.getTracerProvider() as ProxyTracerProvider).getDelegate?.()

/** Whether `node --import`, or a program around the service, has set up an SDK already. */
const isRegistered = () => registered() !== new ProxyTracerProvider().getDelegate()

async function flushRegistered(): Promise<void> {
  const provider = registered() as { forceFlush?: () => Promise<void> } | undefined
  await provider?.forceFlush?.()
}

async function startSdk(
  serviceName: string | undefined,
  onError: (error: unknown) => void
): Promise<(() => Promise<void>) | null> {
  const loaded = await import('@opentelemetry/sdk-node').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${sdk}'`)) return null
    throw error
  })
  if (loaded === null) return null
  const report = (message: string) => onError(new Error(messageOf(message)))
  const quiet = () => {}
  // Replaced by the SDK's own where OTEL_LOG_LEVEL asks for it.
  diag.setLogger(
    { error: report, warn: report, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true }
  )
  // GET /metrics has the metrics, and standard output the log.
  const started = new loaded.NodeSDK({
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
    ...(serviceName !== undefined && { serviceName })
  })
  started.start()
  return () => started.shutdown()
}

/** The SDK tells of an error as JSON, with its stack. */
function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    return text
  }
}

/** The release of the SDK that the tests have run with. */
async function sdkVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { devDependencies: Record<string, string> }).devDependencies[sdk]!
}
