/** Handlers that settle leases: one receipt, or a list of them. */
import type { FastifyRequest } from 'fastify'
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import type { SettleVerb } from '../../../core/ports.ts'
import type { Outcome, Settlement } from '../../../core/verbs/settle.ts'
import type { Server } from '../../shared/server.ts'
import {
  isCompletion,
  readCompletions,
  receiptOf,
  receiptPointer,
  type ReceiptOrAck
} from '../completions.ts'
import { AckList, Settle, settleOperation, type AckInput } from '../contract/settle.ts'
import { uncheckedBody, validator } from '../validation.ts'

export function settleRoutes(app: Server, broker: Broker): void {
  ackRoute(app, broker)
  for (const verb of ['fail', 'extend', 'release'] as const) {
    const { one, many, list } = Settle[verb]
    const checkOne = validator<Settlement>(one)
    const checkMany = validator<Record<string, (Settlement | string)[]>>(many)
    const pointerTo = (index: number) =>
      list === 'receipts' ? `/receipts/${index}` : `/${list}/${index}/receipt`

    app.route({
      ...settleOperation(verb),
      validatorCompiler: uncheckedBody,
      // One of several shapes: the serializer of the schema would try one after another.
      serializerCompiler: () => JSON.stringify,
      async handler({ caller, body, params: { queue } }) {
        if (hasList(body, list)) {
          const settlements = checkMany(body)[list]!.map(item =>
            typeof item === 'string' ? { receipt: item } : item
          )
          const outcomes = await broker.settle(caller, queue, verb, settlements, pointerTo)
          return listed(
            outcomes,
            settlements.map(({ receipt }) => receipt)
          )
        }
        const [outcome] = await broker.settle(caller, queue, verb, [checkOne(body)], () => '/receipt')
        return alone(verb, outcome!)
      }
    })
  }
}

/** Acks are plain, or have a result or next messages. */
function ackRoute(app: Server, broker: Broker): void {
  const { one, many } = Settle.ack
  const checkOne = validator<AckInput>(one)
  const checkReceipts = validator<{ receipts: string[] }>(many)
  const checkAcks = validator<{ acks: AckInput[] }>(AckList)
  const settle = async (
    request: FastifyRequest,
    queue: string,
    acks: ReceiptOrAck[],
    pointer: (index: number) => string
  ): Promise<Outcome[]> => {
    const { caller } = request
    if (isCompletion(acks)) {
      return await broker.complete(caller, queue, readCompletions(request, acks, pointer))
    }
    const settlements = acks.map(ack => ({ receipt: receiptOf(ack) }))
    const pointerTo = (index: number) => receiptPointer(acks[index]!, pointer(index))
    return await broker.settle(caller, queue, 'ack', settlements, pointerTo)
  }

  app.route({
    ...settleOperation('ack'),
    validatorCompiler: uncheckedBody,
    serializerCompiler: () => JSON.stringify,
    async handler(request) {
      const { body, params } = request
      const settleList = async (list: string, acks: ReceiptOrAck[]) => {
        const outcomes = await settle(request, params.queue, acks, index => `/${list}/${index}`)
        return listed(outcomes, acks.map(receiptOf))
      }
      if (hasList(body, 'receipts')) return await settleList('receipts', checkReceipts(body).receipts)
      if (hasList(body, 'acks')) return await settleList('acks', checkAcks(body).acks)
      const [outcome] = await settle(request, params.queue, [checkOne(body)], () => '')
      return alone('ack', outcome!)
    }
  })
}

function hasList(body: unknown, list: string): boolean {
  return typeof body === 'object' && body !== null && list in body
}

/** The answer to a list of receipts. */
function listed(outcomes: Outcome[], receipts: string[]) {
  return { outcomes: outcomes.map((outcome, index) => ({ receipt: receipts[index]!, ...outcome })) }
}

/**
 * The answer to one receipt. A lost lease is then an error, so that a worker that looks at the status only
 * notices it.
 */
function alone(verb: SettleVerb, answer: Outcome): Outcome {
  const { outcome } = answer
  if (outcome === 'leaseLost') {
    throw new QueueError(
      'leaseLost',
      'The lease has ended, or the message has been leased again since; nothing was changed. Stop ' +
        'working on it.'
    )
  }
  if (outcome === 'gone' && verb === 'extend') {
    throw new QueueError(
      'gone',
      'The message is gone: acked, purged, expired or moved to another queue. Stop working on it.'
    )
  }
  return answer
}
