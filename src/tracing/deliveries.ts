/** A span for each delivery of a push. It goes on with the trace of its message. */
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { LeasedMessage } from '../core/message.ts'
import type { PushOutcome } from '../core/push.ts'
import { contextOf, headersSentBy, replacedBy } from './messageContext.ts'
import { begin, fail } from './spans.ts'

interface Ended {
  status: number | null
  outcome: PushOutcome | 'stopped'
  reason: string | null
}

/** Begins the span of a delivery. The endpoint gets these headers of the message. */
export function traceDelivery(
  queue: string,
  { id, attempt, headers }: Pick<LeasedMessage, 'id' | 'attempt' | 'headers'>,
  url: URL
): { headers: Record<string, string> | null; end: (ended: Ended) => void } {
  const maker = contextOf(headers)
  const parent = maker === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, maker)
  const span = begin({
    name: 'push',
    type: 'process',
    destination: queue,
    count: 1,
    parent,
    // The path and the query of the URL may hold secrets.
    attributes: {
      'messaging.message.id': id,
      'holdfast.attempt': attempt,
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
    }
  })
  const sent = headersSentBy(span.spanContext(), ROOT_CONTEXT)
  return {
    headers: Object.keys(sent).length === 0 ? headers : replacedBy(headers, sent),
    end({ status, outcome, reason }) {
      if (status !== null) span.setAttribute('http.response.status_code', status)
      if (outcome !== 'delivered') fail(span, status === null ? outcome : String(status), reason ?? undefined)
      span.end()
    }
  }
}
