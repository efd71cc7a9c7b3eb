/**
 * The trace context of a message: its headers `traceparent` and `tracestate`, as W3C Trace Context
 * writes them. What a producer has set there stays.
 */
import {
  createTraceState,
  isSpanContextValid,
  trace,
  TraceFlags,
  type Context,
  type SpanContext
} from '@opentelemetry/api'
import { headersMax, headerValueCharsMax } from '../core/limits.ts'

type Headers = Record<string, string>

const parentField = 'traceparent'
const stateField = 'tracestate'
/** Version, trace id, span id, flags. A later version may say more after them. */
const parentPattern = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** null: the message has none, or one that cannot be read. */
export function contextOf(headers: Headers | null | undefined): SpanContext | null {
  const parts = parentPattern.exec(fieldOf(headers, parentField) ?? '')
  if (parts === null || (parts[1] === '00' && parts[5] !== undefined)) return null
  const state = fieldOf(headers, stateField)
  const context: SpanContext = {
    traceId: parts[2]!,
    spanId: parts[3]!,
    traceFlags: Number.parseInt(parts[4]!, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(state !== undefined && { traceState: createTraceState(state) })
  }
  return isSpanContextValid(context) ? context : null
}

/** Each trace context of these messages once. */
export function contextsOf(messages: { headers?: Headers | null | undefined }[]): SpanContext[] {
  const found = new Map<string, SpanContext>()
  for (const { headers } of messages) {
    const context = contextOf(headers)
    if (context !== null) found.set(`${context.traceId}${context.spanId}`, context)
  }
  return [...found.values()]
}

/**
 * The headers of messages that a span sends. They name the span if it is sampled, and otherwise what
 * its caller has sent. So no sampler of the service breaks a trace of others.
 */
export function headersSentBy(span: SpanContext, caller: Context): Headers {
  const isSampled = (span.traceFlags & TraceFlags.SAMPLED) !== 0
  const context = isSampled ? span : trace.getSpanContext(caller)
  if (context === undefined || !isSpanContextValid(context)) return {}
  const flags = context.traceFlags.toString(16).padStart(2, '0')
  const state = context.traceState?.serialize() ?? ''
  return {
    [parentField]: `00-${context.traceId}-${context.spanId}-${flags}`,
    ...(state !== '' && state.length <= headerValueCharsMax && { [stateField]: state })
  }
}

/** The message with these headers, unless it names a trace of its own, or has as many headers as it may. */
export function sentWith<M extends { headers?: Headers | undefined }>(message: M, sent: Headers): M {
  const { headers = {} } = message
  const count = Object.keys(headers).length + Object.keys(sent).length
  if (fieldOf(headers, parentField) !== undefined || count > headersMax) return message
  return count === 0 ? message : { ...message, headers: { ...headers, ...sent } }
}

/** Headers with these in place of the trace that they name. */
export function replacedBy(headers: Headers | null, sent: Headers): Headers {
  const others = Object.entries(headers ?? {}).filter(
    ([name]) => ![parentField, stateField].includes(name.toLowerCase())
  )
  return { ...Object.fromEntries(others), ...sent }
}

function fieldOf(headers: Headers | null | undefined, field: string): string | undefined {
  for (const name in headers) if (name.toLowerCase() === field) return headers[name]
  return undefined
}
