/** The handler of acks: one, or a list, plain or with a result and next messages. */
import type { FastifyRequest } from 'fastify'
import type { Broker } from '../../../core/broker.ts'
import type { Outcome } from '../../../core/verbs/settle.ts'
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
import { refuseLost } from './settle.ts'

const checkOne = validator<AckInput>(Settle.ack.one)
const checkReceipts = validator<{ receipts: string[] }>(Settle.ack.many)
const checkAcks = validator<{ acks: AckInput[] }>(AckList)

export function ackRoutes(app: Server, broker: Broker): void {
  const ack = async (
    request: FastifyRequest,
    queue: string,
    acks: ReceiptOrAck[],
    pointer: (index: number) => string
  ): Promise<Outcome[]> => {
    if (isCompletion(acks)) {
      return await broker.complete(request.caller, queue, readCompletions(request, acks, pointer))
    }
    const settlements = acks.map(item => ({ receipt: receiptOf(item) }))
    return await broker.settle(request.caller, 'ack', queue, settlements, index =>
      receiptPointer(acks[index]!, pointer(index))
    )
  }

  app.route({
    ...settleOperation('ack'),
    validatorCompiler: uncheckedBody,
    // One of several shapes: the serializer of the schema would try one after another.
    serializerCompiler: () => JSON.stringify,
    async handler(request) {
      const { body, params } = request
      const isObject = typeof body === 'object' && body !== null
      const list = isObject && 'receipts' in body ? 'receipts' : isObject && 'acks' in body ? 'acks' : null
      if (list === null) {
        const [outcome] = await ack(request, params.queue, [checkOne(body)], () => '')
        refuseLost('ack', outcome!)
        return outcome!
      }
      const acks: ReceiptOrAck[] = list === 'receipts' ? checkReceipts(body).receipts : checkAcks(body).acks
      const outcomes = await ack(request, params.queue, acks, index => `/${list}/${index}`)
      return {
        outcomes: outcomes.map((outcome, index) => ({ receipt: receiptOf(acks[index]!), ...outcome }))
      }
    }
  })
}
