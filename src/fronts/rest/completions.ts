/** Acks with a result or next messages: reads them, and checks what no schema can say. */
import type { FastifyRequest } from 'fastify'
import type { Completion, NextMessage } from '../../core/completion.ts'
import type { RawJson } from '../../core/engine/envelope.ts'
import { invalidRequest, pointedAt, QueueError } from '../../core/errors.ts'
import { listMax, resultBytesMax } from '../../core/limits.ts'
import { newMessage } from '../../core/message.ts'
import { checkMessages, permit, takeMessages } from '../shared/guard.ts'
import type { NextMessageInput } from './contract/enqueue.ts'
import type { AckInput } from './contract/settle.ts'

/** An ack as a request gives it. A receipt alone is a plain ack. */
export type ReceiptOrAck = string | AckInput

/** Whether any of them needs more than a plain ack. */
export function isCompletion(acks: ReceiptOrAck[]): boolean {
  return acks.some(ack => typeof ack !== 'string' && (ack.result !== undefined || ack.then !== undefined))
}

/** The receipt of an ack, which may be given alone. */
export const receiptOf = (ack: ReceiptOrAck) => (typeof ack === 'string' ? ack : ack.receipt)

/** The place of an ack's receipt in the request. `pointer` is that of the ack. */
export const receiptPointer = (ack: ReceiptOrAck, pointer: string) =>
  typeof ack === 'string' ? pointer : `${pointer}/receipt`

/**
 * Reads acks, and counts their next messages against the key's rate. Refuses with invalidRequest,
 * bodyTooLarge, rateLimited, and with queueNotFound or forbidden where the key may not enqueue.
 */
export function readCompletions(
  request: FastifyRequest,
  acks: ReceiptOrAck[],
  pointer: (index: number) => string
): Completion[] {
  let nextCount = 0
  const completions = acks.map((ack, index): Completion => {
    const place = pointer(index)
    if (typeof ack === 'string') return { receipt: ack, pointer: place, result: null, then: [] }
    const { receipt, result, then = [] } = ack
    nextCount += then.length
    if (nextCount > listMax) {
      throw invalidRequest(`${place}/then`, `must leave at most ${listMax} next messages in one request`)
    }
    return {
      receipt,
      pointer: `${place}/receipt`,
      result: result === undefined ? null : resultText(result as RawJson, `${place}/result`),
      then: then.map((message, nextIndex) => nextMessage(request, message, `${place}/then/${nextIndex}`))
    }
  })
  if (nextCount > 0) checkMessages(request)
  takeMessages(request, nextCount)
  return completions
}

function resultText({ text }: RawJson, pointer: string): string {
  if (Buffer.byteLength(text) <= resultBytesMax) return text
  throw new QueueError(
    'bodyTooLarge',
    `A result is at most ${resultBytesMax} bytes; nothing was acked. Store larger things elsewhere and ` +
      'say where to find them.',
    { faults: [{ pointer, message: `is larger than ${resultBytesMax} bytes` }] }
  )
}

function nextMessage(
  request: FastifyRequest,
  { queue, body, ...rest }: NextMessageInput,
  pointer: string
): NextMessage {
  try {
    permit(request, 'enqueue', queue)
  } catch (error) {
    throw pointedAt(error as QueueError, pointer)
  }
  const message = newMessage({ body: (body as RawJson).text, contentType: null, ...rest }, pointer)
  return { queue, message, pointer }
}
