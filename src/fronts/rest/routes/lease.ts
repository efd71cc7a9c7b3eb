/** The handler of leases: options in the body or in the address, the answer as JSON or raw. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Broker } from '../../../core/broker.ts'
import { invalidRequest } from '../../../core/errors.ts'
import type { LeasedMessage } from '../../../core/message.ts'
import type { Leased, LeaseRequest as LeaseAsked } from '../../../core/verbs/lease.ts'
import type { Outcome } from '../../../core/verbs/settle.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { bodyMembers, bytesOf, markMembers } from '../../shared/bodies.ts'
import { checkMessages, refuseEnded, takeMessages } from '../../shared/guard.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { workerOf } from '../../shared/worker.ts'
import { listPieces, sendJson } from '../sendJson.ts'
import { isCompletion, readCompletions, receiptOf, type ReceiptOrAck } from '../completions.ts'
import { leaseOperations, type LeaseQuery, type LeaseRequest } from '../contract/lease.ts'
import { ackHeader, rawHeaders, wantsRaw } from '../raw.ts'
import type { Server } from '../../shared/server.ts'

export function leaseRoutes(app: Server, broker: Broker, answers: Answers): void {
  app.route({
    ...leaseOperations.lease,
    async handler(request, reply) {
      const isRaw = wantsRaw(request.headers.accept)
      const options = leaseOptions(request)
      if (isRaw) refuseSeveral(options, request.query)
      const { ack: acks = [] } = options
      const { messages, outcomes, ordering } = await lease(broker, {
        request,
        queue: request.params.queue,
        asked: askedOf(request, options),
        acks,
        signalOf: () => givenUp(request, reply)
      })
      if (messages.length === 0 && outcomes.length === 0) refuseEnded(request)
      takeMessages(request, messages.length)
      if (isRaw) return sendRaw(reply, messages[0], outcomes, answers)
      const outcomesMember = options.ack === undefined ? '' : `,"outcomes":${outcomesJson(acks, outcomes)}`
      const isOrdered = ordering !== undefined && ordering !== 'none'
      const orderingMember = isOrdered ? `,"ordering":"${ordering}"` : ''
      const rest = outcomesMember + orderingMember
      return sendJson(reply, listPieces('messages', messages.map(leasedJson), rest), answers)
    }
  })
}

type Options = Static<typeof LeaseRequest>
type Query = Static<typeof LeaseQuery>

/** The options of the body and of the query. Refuses one that stands in both. */
function leaseOptions({ query, body }: { query: Query; body: Options }): Options {
  const inQuery = Object.keys(query)
  if (inQuery.length === 0) return body
  const twice = inQuery.find(name => name in body)
  if (twice !== undefined) throw invalidRequest(`query/${twice}`, 'stands in the body already')
  const { ack, ...options } = query
  return { ...options, ...body, ...(ack !== undefined && { ack: [ack] }) }
}

/** Refuses what a raw answer cannot say: it is one message, with one outcome in a header. */
function refuseSeveral({ max = 1, ack = [] }: Options, query: Query): void {
  if (max > 1) {
    throw invalidRequest(
      query.max === undefined ? '/max' : 'query/max',
      'must be 1 where the Accept header does not take JSON, because the answer is one message itself'
    )
  }
  if (ack.length > 1) {
    throw invalidRequest(
      '/ack',
      'must be one receipt where the Accept header does not take JSON, because its outcome stands in a header'
    )
  }
}

/** What is asked of the broker: no messages where the key's rate is used up and only the acks may go on. */
function askedOf(request: FastifyRequest, options: Options): LeaseAsked {
  const {
    max = 1,
    waitSeconds = null,
    leaseSeconds = null,
    worker = workerOf(request),
    idempotencyKey = null,
    ack = []
  } = options
  const mayLease = checkMessages(request, ack.length > 0)
  const wanted = mayLease ? { max, waitSeconds } : { max: 0, waitSeconds: 0 }
  return { ...wanted, leaseSeconds, worker, idempotencyKey }
}

interface Lease {
  request: FastifyRequest
  queue: string
  asked: LeaseAsked
  acks: ReceiptOrAck[]
  signalOf: () => AbortSignal
}

/** Acks and leases. */
function lease(broker: Broker, { request, queue, asked, acks, signalOf }: Lease): Promise<Leased> {
  const { caller } = request
  if (!isCompletion(acks)) return broker.lease(caller, queue, asked, acks.map(receiptOf), signalOf)
  const completions = readCompletions(request, acks, index => `/ack/${index}`)
  return broker.completeAndLease(caller, queue, asked, completions, signalOf)
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

function outcomesJson(acks: ReceiptOrAck[], outcomes: Outcome[]): string {
  return JSON.stringify(outcomes.map((outcome, index) => ({ receipt: receiptOf(acks[index]!), ...outcome })))
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
