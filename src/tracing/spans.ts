/** Spans as OpenTelemetry's semantic conventions for messaging describe them. */
import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type SpanContext
} from '@opentelemetry/api'
import { QueueError } from '../core/errors.ts'
import { noteSpan } from './requests.ts'

const tracer = trace.getTracer('holdfast')

/** What each kind of operation is to OpenTelemetry. */
const kinds = {
  send: SpanKind.PRODUCER,
  receive: SpanKind.CLIENT,
  settle: SpanKind.CLIENT,
  process: SpanKind.CONSUMER
}

export interface Operation {
  /** As the API calls it. */
  name: string
  type: keyof typeof kinds
  /** A queue or a topic. */
  destination: string
  /** How many messages it is about. One is no batch. */
  count: number
  /** Of other spans that it is about, beside its parent. */
  links?: SpanContext[]
  parent?: Context
  attributes?: Attributes
  /** As `nowMs` gives it. Without it, the span begins now. */
  startedMs?: number
}

/** The time of a span, finer than a millisecond. */
export const nowMs = (): number => performance.timeOrigin + performance.now()

/** The parent of a span: its caller, or else the only trace that it is about. */
export function parentFrom(caller: Context, links: SpanContext[]): Context {
  if (trace.getSpanContext(caller) !== undefined || links.length !== 1) return caller
  return trace.setSpanContext(ROOT_CONTEXT, links[0]!)
}

/** Begins a span. Whoever calls ends it. */
export function begin(operation: Operation): Span {
  const { name, type, destination, count, links = [], parent = context.active(), startedMs } = operation
  const span = tracer.startSpan(
    `${name} ${destination}`,
    {
      kind: kinds[type],
      attributes: {
        'messaging.system': 'holdfast',
        'messaging.operation.name': name,
        'messaging.operation.type': type,
        'messaging.destination.name': destination,
        ...(count !== 1 && { 'messaging.batch.message_count': count }),
        ...operation.attributes
      },
      links: links.map(link => ({ context: link })),
      ...(startedMs !== undefined && { startTime: startedMs })
    },
    parent
  )
  noteSpan(span.spanContext())
  return span
}

/** Works within a span, and ends it. `tell` notes what came of it. Throws what the work throws. */
export async function within<T>(span: Span, work: () => Promise<T>, tell: (answer: T) => void): Promise<T> {
  try {
    const answer = await context.with(trace.setSpan(context.active(), span), work)
    tell(answer)
    return answer
  } catch (error) {
    failWith(span, error)
    throw error
  } finally {
    span.end()
  }
}

/** Notes what was thrown. */
export function failWith(span: Span, error: unknown): void {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) }
  span.recordException(error instanceof Error ? error : message)
  fail(span, error instanceof QueueError ? error.code : name, message)
}

/** Notes why an operation is no success. `type` is one of few words. */
export function fail(span: Span, type: string, message?: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) })
}
