/** Sending: one message, or a batch whose good entries are stored in one commit. */
import { hash } from 'node:crypto'
import { headerValueCharsMax } from '../../core/limits.ts'
import type { Enqueued, NewMessage } from '../../core/message.ts'
import type { Queue } from '../../core/queue.ts'
import { checkMessages, takeMessages } from '../shared/guard.ts'
import { batchResult, checkEntries, type Failed } from './batch.ts'
import { queueOf, type Call } from './call.ts'
import { invalidValue, missing, SqsError } from './errors.ts'
import { isFifoName, messageIdOf, sequenceNumberOf } from './ids.ts'
import { purgedNote, sqsDelaySecondsMax } from './queueAttributes.ts'
import type { AnswerOf, InputOf, StructureOf } from './structures.ts'
import {
  checkAttributes,
  checkText,
  headersOf,
  md5,
  isCarried,
  md5OfAttributes,
  withTrace,
  type Attributes
} from './messageAttributes.ts'

/** What SendMessage and an entry of SendMessageBatch say of a message. */
type Sent = Omit<InputOf<'SendMessage'>, 'QueueUrl'>
/** What both answer of one. */
type Stored = Omit<StructureOf<'SendMessageBatchResultEntry'>, 'Id'>

const contentType = 'text/plain; charset=utf-8'
const batchBytesMax = 1_048_576
/** 1 to 128 letters, digits and punctuation of ASCII. */
const tokenPattern = /^[!-~]{1,128}$/

export async function sendMessage(
  call: Call,
  input: InputOf<'SendMessage'>
): Promise<AnswerOf<'SendMessage'>> {
  const queue = await targetOf(call, input.QueueUrl, [input])
  const { message } = newMessage(call, queue, input, call.invocationId)
  const [stored] = await enqueue(call, queue, [message])
  return resultOf(queue, input, stored!)
}

export async function sendMessageBatch(
  call: Call,
  input: InputOf<'SendMessageBatch'>
): Promise<AnswerOf<'SendMessageBatch'>> {
  const entries = checkEntries(input.Entries, 'SendMessageBatch')
  const queue = await targetOf(call, input.QueueUrl, entries)
  for (const entry of entries) {
    const error = incompleteness(queue, entry)
    if (error !== null) throw invalidValue(error.message)
  }
  const failed: Failed[] = []
  const good: { entry: (typeof entries)[number]; message: NewMessage }[] = []
  let bytes = 0
  for (const entry of entries) {
    const key = call.invocationId === null ? null : `${call.invocationId}/${entry.Id}`
    try {
      const read = newMessage(call, queue, entry, key)
      bytes += read.bytes
      good.push({ entry, message: read.message })
    } catch (error) {
      if (!(error instanceof SqsError)) throw error
      // One too large makes the whole batch too large.
      bytes += Buffer.byteLength(entry.MessageBody)
      failed.push({ id: entry.Id, error })
    }
  }
  if (bytes > batchBytesMax) {
    throw new SqsError(
      'BatchRequestTooLong',
      `Batch requests cannot be longer than ${batchBytesMax} bytes. You have sent ${bytes} bytes.`
    )
  }
  const stored =
    good.length === 0
      ? []
      : await enqueue(
          call,
          queue,
          good.map(({ message }) => message)
        )
  const successful = good.map(({ entry }, index) => ({
    Id: entry.Id,
    ...resultOf(queue, entry, stored[index]!)
  }))
  return batchResult(successful, failed)
}

async function targetOf(call: Call, queueUrl: string, sent: Sent[]): Promise<Queue> {
  const { broker, caller, firstGroups } = call
  const queue = await broker.findQueue(caller, queueOf(call, 'enqueue', queueUrl))
  checkMessages(call.request)
  const isGrouped = sent.some(({ MessageGroupId }) => MessageGroupId !== undefined)
  return isGrouped ? await firstGroups.take(broker, caller, queue) : queue
}

/** All or none, and each in its order. */
async function enqueue(call: Call, queue: Queue, messages: NewMessage[]): Promise<Enqueued[]> {
  takeMessages(call.request, messages.length)
  return await call.broker.enqueue(call.caller, queue.name, messages, messages.length > 1, false)
}

function resultOf(queue: Queue, sent: Sent, { id }: Enqueued): Stored {
  const attributes = md5OfAttributes(sent.MessageAttributes)
  const system = md5OfAttributes(sent.MessageSystemAttributes)
  return {
    MD5OfMessageBody: md5(sent.MessageBody),
    ...(attributes !== undefined && { MD5OfMessageAttributes: attributes }),
    ...(system !== undefined && { MD5OfMessageSystemAttributes: system }),
    MessageId: messageIdOf(id),
    ...(isFifoName(queue.name) && { SequenceNumber: sequenceNumberOf(id) })
  }
}

/** Checks a message. `attemptKey` is the same in each attempt of the SDK to send it. */
function newMessage(
  call: Call,
  queue: Queue,
  sent: Sent,
  attemptKey: string | null
): { message: NewMessage; bytes: number } {
  const { MessageBody: body, MessageAttributes: attributes = {}, MessageGroupId: group } = sent
  if (body === '') throw missing('MessageBody')
  checkText(body)
  const bytes = Buffer.byteLength(body) + checkAttributes(attributes)
  const { messageBytesMax } = queue.settings
  if (bytes > messageBytesMax) {
    throw invalidValue(
      `One or more parameters are invalid. Reason: Message must be shorter than ${messageBytesMax} bytes.`
    )
  }
  if (group !== undefined && !tokenPattern.test(group)) throw wrongToken('MessageGroupId', group)
  const isFifo = isFifoName(queue.name)
  const deduplicationId = deduplicationOf(queue, sent)
  const headers = headersOf(attributes, {
    trace: traceOf(sent.MessageSystemAttributes),
    sender: call.request.key?.id,
    deduplicationId
  })
  let idempotencyKey: string | undefined
  if (deduplicationId !== undefined) idempotencyKey = deduplicationKey(queue, group!, deduplicationId)
  else if (attemptKey !== null) idempotencyKey = attemptKeyOf(attemptKey, body, headers, group)
  const delaySeconds = delayOf(sent.DelaySeconds, isFifo)
  const message: NewMessage = {
    body,
    contentType,
    headers: withTrace(headers, requestTraceOf(call)),
    group,
    ...(delaySeconds !== undefined && { delaySeconds }),
    ...(idempotencyKey !== undefined && { idempotencyKey, firstWins: true })
  }
  return { message, bytes }
}

function delayOf(seconds: number | undefined, isFifo: boolean): number | undefined {
  if (seconds === undefined) return undefined
  const wrong = (why: string) =>
    invalidValue(`Value ${seconds} for parameter DelaySeconds is invalid. Reason: ${why}`)
  if (!(seconds >= 0 && seconds <= sqsDelaySecondsMax)) {
    throw wrong(`DelaySeconds must be >= 0 and <= ${sqsDelaySecondsMax}.`)
  }
  if (!isFifo) return seconds
  if (seconds > 0) throw wrong('The request include parameter that is not valid for this queue type.')
  return undefined
}

/** What makes two messages of a FIFO queue the same. undefined: the queue is none. */
function deduplicationOf({ name, front }: Queue, sent: Sent): string | undefined {
  const { MessageDeduplicationId: id } = sent
  if (id !== undefined && !tokenPattern.test(id)) throw wrongToken('MessageDeduplicationId', id)
  if (!isFifoName(name)) {
    if (id === undefined) return undefined
    throw invalidValue(
      `Value ${id} for parameter MessageDeduplicationId is invalid. Reason: ` +
        'The request include parameter that is not valid for this queue type.'
    )
  }
  const error = incompleteness({ name, front }, sent)
  if (error !== null) throw error
  return id ?? hash('sha256', sent.MessageBody, 'hex')
}

/** What a message of a FIFO queue lacks. One such entry makes its whole batch wrong. */
function incompleteness({ name, front }: Pick<Queue, 'name' | 'front'>, sent: Sent): SqsError | null {
  if (!isFifoName(name)) return null
  if (sent.MessageGroupId === undefined) return missing('MessageGroupId')
  if (sent.MessageDeduplicationId !== undefined || front.ContentBasedDeduplication === 'true') return null
  return invalidValue(
    'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided ' +
      'explicitly'
  )
}

function wrongToken(name: string, value: string): SqsError {
  return invalidValue(
    `Value ${value.slice(0, 200)} for parameter ${name} is invalid. Reason: ${name} can only include ` +
      'alphanumeric and punctuation characters. 1 to 128 in length.'
  )
}

function deduplicationKey({ front }: Queue, group: string, id: string): string {
  const isOfGroup = front.DeduplicationScope === 'messageGroup'
  const key = isOfGroup ? `sqs:g:${hash('sha256', `${group}\0${id}`, 'hex')}` : `sqs:d:${id}`
  const purged = front[purgedNote]
  return purged === undefined ? key : `${key} ${purged}`
}

/** The same attempt with other content is another message. */
function attemptKeyOf(
  attemptKey: string,
  body: string,
  headers: Record<string, string> | undefined,
  group: string | undefined
): string {
  const content = JSON.stringify([attemptKey, headers ?? null, group ?? null]) + body
  return `sqs:a:${hash('sha256', content, 'base64url')}`
}

/** Of the header field that X-Ray sets. It is of the attempt, so it is no content of the message. */
function requestTraceOf({ request }: Call): string | undefined {
  const trace = request.headers['x-amzn-trace-id']
  if (typeof trace !== 'string' || trace === '' || trace.length > headerValueCharsMax) return undefined
  return isCarried(trace) ? trace : undefined
}

const traceName = 'AWSTraceHeader'

function traceOf(attributes: Attributes = {}): string | undefined {
  const strange = Object.keys(attributes).find(name => name !== traceName)
  if (strange !== undefined) {
    throw invalidValue(`Message system attribute name '${strange}' is invalid.`)
  }
  const trace = attributes[traceName]
  if (trace === undefined) return undefined
  if (trace.DataType !== 'String' || trace.StringValue === undefined || trace.StringValue === '') {
    throw invalidValue(`The message system attribute '${traceName}' must be a String that is not empty.`)
  }
  if (trace.StringValue.length > headerValueCharsMax) {
    throw invalidValue(
      `The message system attribute '${traceName}' must have at most ${headerValueCharsMax} characters.`
    )
  }
  checkText(trace.StringValue)
  return trace.StringValue
}
