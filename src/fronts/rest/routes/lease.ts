/** The handler of leases: options in the body or in the address, the answer as JSON or raw. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { invalidRequest } from '../../../core/errors.ts'
import { workerCharsMax } from '../../../core/limits.ts'
import type { LeasedMessage } from '../../../core/message.ts'
import type { LeaseRequest as LeaseAsked } from '../../../core/verbs/lease.ts'
import type { Outcome } from '../../../core/verbs/settle.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { bodyMembers, bytesOf, markMembers } from '../../shared/bodies.ts'
import { checkMessages, refuseEnded, takeMessages } from '../../shared/guard.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { sendJson } from '../common.ts'
import { isCompletion, readCompletions, receiptOf, type ReceiptOrAck } from '../completions.ts'
import { leaseOperations, type LeaseQuery, type LeaseRequest } from '../contract/lease.ts'
import { ackHeader, rawHeaders, wantsRaw } from '../raw.ts'
import type { Server } from '../../shared/server.ts'

export function leaseRoutes(app: Server, broker: Broker, answers: Answers): void {
  const acksAndLease = (
    request: FastifyRequest,
    queue: string,
    asked: LeaseAsked,
    acks: ReceiptOrAck[],
    signalOf: () => AbortSignal
  ) => {
    const { caller } = request
    if (!isCompletion(acks)) return broker.lease(caller, queue, asked, acks.map(receiptOf), signalOf)
    const completions = readCompletions(request, acks, index => `/ack/${index}`)
    return broker.completeAndLease(caller, queue, asked, completions, signalOf)
  }

  app.route({
    ...leaseOperations.lease,
    async handler(request, reply) {
      const raw = wantsRaw(request.headers.accept)
      const {
        max = 1,
        waitSeconds = null,
        leaseSeconds = null,
        worker = request.headers['user-agent']?.slice(0, workerCharsMax) || 'unknown',
        idempotencyKey = null,
        ack
      } = leaseOptions(request, raw)
      const wanted = checkMessages(request, ack !== undefined && ack.length > 0)
        ? { max, waitSeconds }
        : { max: 0, waitSeconds: 0 }
      const asked = { ...wanted, leaseSeconds, worker, idempotencyKey }
      const { messages, outcomes, ordering } = await acksAndLease(
        request,
        request.params.queue,
        asked,
        ack ?? [],
        () => givenUp(request, reply)
      )
      if (messages.length === 0 && outcomes.length === 0) refuseEnded(request)
      takeMessages(request, messages.length)
      if (raw) return sendRaw(reply, messages[0], outcomes, answers)
      const line = ordering === undefined || ordering === 'none' ? '' : `,"ordering":"${ordering}"`
      const text = `{"messages":[${messages.map(leasedJson).join(',')}]${outcomesJson(ack, outcomes)}${line}}`
      return sendJson(reply, text, answers)
    }
  })
}

function leaseOptions(
  { query: { ack, ...query }, body }: { query: Static<typeof LeaseQuery>; body: Static<typeof LeaseRequest> },
  raw: boolean
): Static<typeof LeaseRequest> {
  const inQuery = Object.keys(ack === undefined ? query : { ...query, ack })
  const twice = inQuery.find(name => name in body)
  if (twice !== undefined) throw invalidRequest(`query/${twice}`, 'stands in the body already')
  const options =
    inQuery.length === 0 ? body : { ...query, ...body, ...(ack !== undefined && { ack: [ack] }) }
  if (raw && options.max !== undefined && options.max > 1) {
    throw invalidRequest(
      inQuery.includes('max') ? 'query/max' : '/max',
      'must be 1 where the Accept header does not take JSON, because the answer is one message itself'
    )
  }
  if (raw && options.ack !== undefined && options.ack.length > 1) {
    throw invalidRequest(
      '/ack',
      'must be one receipt where the Accept header does not take JSON, because its outcome stands in a header'
    )
  }
  return options
}

function sendRaw(
  reply: FastifyReply,
  message: LeasedMessage | undefined,
  outcomes: Outcome[],
  answers: Answers
): FastifyReply {
  reply.headers(ackHeader(outcomes))
  if (message === undefined) return reply.code(204).send()
  const body = bytesOf(message)
  answers.send(reply.raw, reply.request.caller, body.length)
  return reply.headers(rawHeaders(message)).send(body)
}

function outcomesJson(acks: ReceiptOrAck[] | undefined, outcomes: Outcome[]): string {
  if (acks === undefined) return ''
  const entries = outcomes.map((outcome, index) => ({ receipt: receiptOf(acks[index]!), ...outcome }))
  return `,"outcomes":${JSON.stringify(entries)}`
}

// Written by hand, because a serializer would read a JSON body and write it anew.
function leasedJson(message: LeasedMessage): string {
  const { id, receipt, fence, attempt, maxAttempts, headers, priority, lastFailure, origin } = message
  return (
    `{"id":"${id}","receipt":"${receipt}","fence":${fence},` +
    `"attempt":${attempt},"maxAttempts":${maxAttempts},${bodyMembers(message)},` +
    `"headers":${headers === null ? '{}' : JSON.stringify(headers)},"priority":${priority},` +
    `"enqueuedAt":"${message.enqueuedAt}","leaseExpiresAt":"${message.leaseExpiresAt}"` +
    markMembers(message.marks) +
    (lastFailure === null ? '' : `,"lastFailure":${JSON.stringify(lastFailure)}`) +
    (origin === null ? '}' : `,"origin":${JSON.stringify(origin)}}`)
  )
}
