/** The requests that spans are made for, and the trace that their log lines name. */
import {
  context,
  createContextKey,
  isSpanContextValid,
  propagation,
  trace,
  type SpanContext
} from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'

interface TracedRequest {
  /** The last span that was begun for it. */
  span: SpanContext | null
  /** It is answered. What it has started may go on, such as a delivery or a connection. */
  isOver: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** null: no spans are made. */
    traced: TracedRequest | null
  }
}

const key = createContextKey('the request of Holdfast')

/** Has every handler, and every log line about a request, run within the trace of its caller. */
export function watchRequests(app: FastifyInstance): void {
  app.decorateRequest('traced', null)
  app.addHook('onRequest', (request, _reply, done) => {
    // An instrumentation of Node's server may have begun a span already.
    const active = context.active()
    const parent =
      trace.getSpanContext(active) === undefined ? propagation.extract(active, request.headers) : active
    request.traced = { span: null, isOver: false }
    // Fastify keeps the context while the body arrives.
    context.with(parent.setValue(key, request.traced), done)
  })
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.traced !== null) request.traced.isOver = true
    done()
  })
}

function current(): TracedRequest | null {
  const traced = context.active().getValue(key) as TracedRequest | undefined
  return traced === undefined || traced.isOver ? null : traced
}

/** Whether a request waits for this. The service itself leases and settles too, to push. */
export const isInRequest = (): boolean => current() !== null

/** From now on, log lines of the request name this span. */
export function noteSpan(span: SpanContext): void {
  const traced = current()
  if (traced !== null) traced.span = span
}

/** What a log line says of its trace: that of a span, or of the caller while there is none. */
export function logFields(): { trace_id?: string; span_id?: string } {
  const traced = current()
  if (traced === null) return {}
  const span = traced.span ?? trace.getSpanContext(context.active())
  if (span === undefined || !isSpanContextValid(span)) return {}
  return { trace_id: span.traceId, span_id: span.spanId }
}
