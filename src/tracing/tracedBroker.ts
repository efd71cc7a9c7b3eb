/** The broker with a span around every call that sends, receives or settles messages. */
import { context, type Context, type Span } from '@opentelemetry/api'
import { Broker } from '../core/broker.ts'
import type { Completion } from '../core/completion.ts'
import type { NewMessage } from '../core/message.ts'
import type { SettleVerb } from '../core/ports.ts'
import { parseReceipt } from '../core/receipt.ts'
import type { Leased } from '../core/verbs/lease.ts'
import type { Outcome } from '../core/verbs/settle.ts'
import { contextsOf, headersSentBy, sentWith } from './messageContext.ts'
import { isInRequest } from './requests.ts'
import { begin, fail, failWith, nowMs, parentFrom, within } from './spans.ts'

/** Does and refuses what the broker does. core/broker.ts says what that is. */
export class TracedBroker extends Broker {
  override readonly makesSpans = true

  override enqueue(...[caller, name, messages, list, mayMake]: Parameters<Broker['enqueue']>) {
    return send('enqueue', name, messages, sent => super.enqueue(caller, name, sent, list, mayMake))
  }

  override publish(...[caller, topic, messages, list]: Parameters<Broker['publish']>) {
    return send('publish', topic, messages, sent => super.publish(caller, topic, sent, list))
  }

  override lease(...[caller, name, request, receipts, signalOf]: Parameters<Broker['lease']>) {
    const work = () => super.lease(caller, name, request, receipts, signalOf)
    if (!isInRequest()) return work()
    const asker = context.active()
    if (receipts.length === 0) return lease(name, asker, work)
    const span = beginSettle('ack', name, receipts)
    return within(
      span,
      () => lease(name, asker, work),
      ({ outcomes }) => tellOutcomes(span, name, receipts, outcomes)
    )
  }

  override settle(...[caller, name, verb, settlements, pointer]: Parameters<Broker['settle']>) {
    const work = () => super.settle(caller, name, verb, settlements, pointer)
    if (!isInRequest()) return work()
    const receipts = settlements.map(({ receipt }) => receipt)
    const span = beginSettle(verb, name, receipts)
    return within(span, work, outcomes => tellOutcomes(span, name, receipts, outcomes))
  }

  override complete(...[caller, name, completions]: Parameters<Broker['complete']>) {
    const receipts = completions.map(({ receipt }) => receipt)
    const span = beginSettle('ack', name, receipts)
    return within(
      span,
      () => super.complete(caller, name, followedFrom(span, completions)),
      outcomes => tellOutcomes(span, name, receipts, outcomes)
    )
  }

  override completeAndLease(
    ...[caller, name, request, completions, signalOf]: Parameters<Broker['completeAndLease']>
  ) {
    const receipts = completions.map(({ receipt }) => receipt)
    const span = beginSettle('ack', name, receipts)
    const followed = followedFrom(span, completions)
    const asker = context.active()
    return within(
      span,
      () => lease(name, asker, () => super.completeAndLease(caller, name, request, followed, signalOf)),
      ({ outcomes }) => tellOutcomes(span, name, receipts, outcomes)
    )
  }
}

/** Sends messages within a span, which they then name as the one that made them. */
function send<M extends NewMessage, A extends { id: string }>(
  operation: 'enqueue' | 'publish',
  destination: string,
  messages: M[],
  work: (messages: M[]) => Promise<A[]>
): Promise<A[]> {
  const count = messages.length
  const span = begin({ name: operation, type: 'send', destination, count, links: contextsOf(messages) })
  const headers = headersSentBy(span.spanContext(), context.active())
  return within(
    span,
    () => work(messages.map(message => sentWith(message, headers))),
    answers => {
      if (answers.length === 1) span.setAttribute('messaging.message.id', answers[0]!.id)
    }
  )
}

/**
 * A lease has a span when it has brought messages, or was refused. So the polls of an idle worker
 * make none. The span follows the caller, or else the only message that it is about.
 */
async function lease(destination: string, asker: Context, work: () => Promise<Leased>): Promise<Leased> {
  const operation = { name: 'lease', type: 'receive', destination, startedMs: nowMs() } as const
  try {
    const answer = await work()
    const { messages } = answer
    const count = messages.length
    if (count === 0) return answer
    const links = contextsOf(messages)
    const attributes = count === 1 ? { 'messaging.message.id': messages[0]!.id } : {}
    begin({ ...operation, count, links, parent: parentFrom(asker, links), attributes }).end()
    return answer
  } catch (error) {
    const span = begin({ ...operation, count: 0, parent: asker })
    failWith(span, error)
    span.end()
    throw error
  }
}

function beginSettle(verb: SettleVerb, destination: string, receipts: string[]): Span {
  return begin({ name: verb, type: 'settle', destination, count: receipts.length })
}

function tellOutcomes(span: Span, queue: string, receipts: string[], outcomes: Outcome[]): void {
  if (receipts.length === 1) {
    span.setAttribute('messaging.message.id', parseReceipt(queue, receipts[0]!, '').id)
    span.setAttribute('holdfast.outcome', outcomes[0]!.outcome)
  }
  // Somebody works on a message that may be in other hands. REST answers it with an error.
  if (outcomes.some(({ outcome }) => outcome === 'leaseLost')) fail(span, 'leaseLost')
}

/** Completions whose next messages go on with the trace of their ack. */
function followedFrom(span: Span, completions: Completion[]): Completion[] {
  const headers = headersSentBy(span.spanContext(), context.active())
  return completions.map(completion => ({
    ...completion,
    then: completion.then.map(next => ({ ...next, message: sentWith(next.message, headers) }))
  }))
}
