/** Receiving: a lease, and its messages as SQS shows them. */
import { QueueError } from '../../core/errors.ts'
import { leaseSecondsMax } from '../../core/limits.ts'
import type { LeasedMessage } from '../../core/message.ts'
import type { Queue } from '../../core/queue.ts'
import type { LeaseRequest } from '../../core/verbs/lease.ts'
import { checkMessages, refuseEnded, takeMessages } from '../shared/guard.ts'
import { givenUp } from '../shared/givenUp.ts'
import { workerOf } from '../shared/worker.ts'
import { queueOf, type Call } from './call.ts'
import { attributeNames, noLeaseSeconds } from './queueAttributes.ts'
import { invalidValue, SqsError } from './errors.ts'
import { account, arnOf, isFifoName, messageIdOf, sequenceNumberOf } from './ids.ts'
import type { AnswerOf, InputOf, StructureOf } from './structures.ts'
import {
  chosenOf,
  fromHeaders,
  isCarried,
  md5,
  md5OfAttributes,
  type Attributes
} from './messageAttributes.ts'

const systemNames = [
  'All',
  'SenderId',
  'SentTimestamp',
  'ApproximateReceiveCount',
  'ApproximateFirstReceiveTimestamp',
  'SequenceNumber',
  'MessageDeduplicationId',
  'MessageGroupId',
  'AWSTraceHeader',
  'DeadLetterQueueSourceArn'
]
/** In which messages that are given back at once are leased. They come back then if the service dies. */
const giveBackSeconds = 30
const encodingName = 'holdfast-encoding'

/**
 * Leases messages, and waits for the first one if asked to. A visibility timeout of 0 gives them back at
 * once. Refuses with QueueDoesNotExist, RequestThrottled.
 */
export async function receiveMessage(
  call: Call,
  input: InputOf<'ReceiveMessage'>
): Promise<AnswerOf<'ReceiveMessage'>> {
  const { broker, caller, request } = call
  const name = queueOf(call, 'lease', input.QueueUrl)
  const queue = await broker.findQueue(caller, name)
  const max = bounded(input, 'MaxNumberOfMessages', 1, 10) ?? 1
  const waitSeconds = bounded(input, 'WaitTimeSeconds', 0, 20) ?? null
  const visibility = bounded(input, 'VisibilityTimeout', 0, leaseSecondsMax)
  const names = wantedNames(input)
  const isNothing =
    visibility === 0 || (visibility === undefined && queue.settings.leaseSeconds === noLeaseSeconds)
  checkMessages(request)
  const leaseSeconds = isNothing ? giveBackSeconds : (visibility ?? null)
  const asked: Asked = { max, waitSeconds, leaseSeconds, idempotencyKey: attemptKeyOf(call, input) }
  const leaseAsked = isFifoName(name) && max > 1 ? leaseByGroup : lease
  const messages = await leaseAsked(call, name, asked)
  if (messages.length === 0) refuseEnded(request)
  takeMessages(request, messages.length)
  if (messages.length === 0) return {}
  if (isNothing) await giveBack(call, name, messages)
  const wanted = { ...names, leaseSeconds: leaseSeconds ?? queue.settings.leaseSeconds }
  return { Messages: await Promise.all(messages.map(message => shown(call, queue, message, wanted))) }
}

type Asked = Omit<LeaseRequest, 'worker'>

async function lease(call: Call, name: string, asked: Asked): Promise<LeasedMessage[]> {
  const { broker, caller, request, reply } = call
  const wanted = { ...asked, worker: workerOf(request) }
  const leased = await broker.lease(caller, name, wanted, [], () => givenUp(request, reply))
  return leased.messages
}

/** Leases what one group has, and then the rest from other groups. */
async function leaseByGroup(call: Call, name: string, asked: Asked): Promise<LeasedMessage[]> {
  const ofOneGroup = await lease(call, name, { ...asked, ofOneGroup: true })
  const left = asked.max - ofOneGroup.length
  if (ofOneGroup.length === 0 || left <= 0) return ofOneGroup
  const { idempotencyKey: key } = asked
  const idempotencyKey = key === null ? null : `${key}+`
  const rest = lease(call, name, { ...asked, max: left, waitSeconds: 0, idempotencyKey })
  // What is leased already is answered, whatever refuses the rest.
  const others = await rest.catch(error => {
    if (error instanceof QueueError) return []
    throw error
  })
  return [...ofOneGroup, ...byGroup(others)]
}

/** Those of a group stand together, as AWS answers them. */
const byGroup = (messages: LeasedMessage[]): LeasedMessage[] =>
  [...Map.groupBy(messages, ({ marks }) => marks?.group).values()].flat()

/** No lease lasts no time at all, so the messages are given back at once, with this attempt counted. */
async function giveBack({ broker, caller }: Call, name: string, messages: LeasedMessage[]): Promise<void> {
  const settlements = messages.map(({ receipt }) => ({ receipt, delaySeconds: 0, reason: 'returned' }))
  await broker.settle(caller, name, 'fail', settlements, index => `/${index}`)
}

function bounded(
  input: InputOf<'ReceiveMessage'>,
  name: 'MaxNumberOfMessages' | 'WaitTimeSeconds' | 'VisibilityTimeout',
  min: number,
  max: number
): number | undefined {
  const value = input[name]
  if (value === undefined || (value >= min && value <= max)) return value
  const range = min === 0 ? `>= ${min} and <= ${max}` : `between ${min} and ${max}`
  throw invalidValue(
    `Value ${value} for parameter ${name} is invalid. Reason: Must be ${range}, if provided.`
  )
}

/** The key under which an SDK's repeated call gets the same messages again. */
function attemptKeyOf(
  { invocationId }: Call,
  { ReceiveRequestAttemptId: id }: InputOf<'ReceiveMessage'>
): string | null {
  if (id === undefined) return invocationId === null ? null : `sqs:i:${invocationId}`
  if (/^[!-~]{1,128}$/.test(id)) return `sqs:r:${id}`
  throw invalidValue(
    'Value for parameter ReceiveRequestAttemptId is invalid. Reason: Can only include alphanumeric and ' +
      'punctuation characters. 1 to 128 in length.'
  )
}

interface WantedNames {
  system: Set<string>
  attributes: string[]
}
interface Wanted extends WantedNames {
  /** Of the lease that this receive took. */
  leaseSeconds: number
}

function wantedNames(input: InputOf<'ReceiveMessage'>): WantedNames {
  const { AttributeNames: old = [], MessageSystemAttributeNames: system = [] } = input
  const strange =
    system.find(name => !systemNames.includes(name) && !old.includes(name)) ??
    // That list takes the names of queue attributes too, which mean nothing there.
    old.find(name => !systemNames.includes(name) && !attributeNames.has(name))
  if (strange !== undefined) throw new SqsError('InvalidAttributeName', `Unknown Attribute ${strange}.`)
  return { system: new Set([...old, ...system]), attributes: input.MessageAttributeNames ?? [] }
}

async function shown(
  call: Call,
  queue: Queue,
  message: LeasedMessage,
  wanted: Wanted
): Promise<StructureOf<'Message'>> {
  const { attributes: stored, notes } = fromHeaders(message.headers)
  const { body, isEncoded } = bodyOf(message, call.isXml)
  const attributes: Attributes = chosenOf(
    isEncoded ? { ...stored, [encodingName]: { DataType: 'String', StringValue: 'base64' } } : stored,
    isEncoded ? [...wanted.attributes, encodingName] : wanted.attributes
  )
  const system = await systemOf(call, queue, message, notes, wanted)
  const sum = md5OfAttributes(attributes)
  return {
    MessageId: messageIdOf(message.id),
    ReceiptHandle: message.receipt,
    MD5OfBody: md5(body),
    Body: body,
    ...(Object.keys(system).length > 0 && { Attributes: system }),
    ...(sum !== undefined && { MD5OfMessageAttributes: sum, MessageAttributes: attributes })
  }
}

/** Another front may have stored bytes, or characters that XML cannot carry. */
function bodyOf({ body, bodyBytes }: LeasedMessage, isXml: boolean): { body: string; isEncoded: boolean } {
  if (body !== null && (!isXml || isCarried(body))) return { body, isEncoded: false }
  return { body: (bodyBytes ?? Buffer.from(body!)).toString('base64'), isEncoded: true }
}

async function systemOf(
  call: Call,
  queue: Queue,
  message: LeasedMessage,
  { sender, trace, deduplicationId }: { [K in 'sender' | 'trace' | 'deduplicationId']?: string | undefined },
  { system: wanted, leaseSeconds }: Wanted
): Promise<Record<string, string>> {
  if (wanted.size === 0) return {}
  const has = (name: string) => wanted.has(name) || wanted.has('All')
  const attributes: Record<string, string | undefined> = {
    SenderId: sender ?? account,
    SentTimestamp: String(Date.parse(message.enqueuedAt)),
    ApproximateReceiveCount: String(message.attempt),
    ApproximateFirstReceiveTimestamp: has('ApproximateFirstReceiveTimestamp')
      ? String(await firstReceivedMs(call, queue, message, leaseSeconds))
      : undefined,
    MessageGroupId: message.marks?.group,
    AWSTraceHeader: trace,
    DeadLetterQueueSourceArn:
      message.origin === null ? undefined : arnOf(call.region(), message.origin.queue),
    MessageDeduplicationId: deduplicationId,
    SequenceNumber: isFifoName(queue.name) ? sequenceNumberOf(message.id) : undefined
  }
  const entries = Object.entries(attributes).filter(([name, value]) => value !== undefined && has(name))
  return Object.fromEntries(entries) as Record<string, string>
}

/** The history holds the attempts before this one, and will hold this one as the end of its lease tells. */
async function firstReceivedMs(
  { broker, caller }: Call,
  queue: Queue,
  message: LeasedMessage,
  leaseSeconds: number
): Promise<number> {
  if (message.attempt <= 1) {
    return Math.min(Date.now(), Date.parse(message.leaseExpiresAt) - leaseSeconds * 1000)
  }
  const detail = await broker.message(caller, queue.name, message.id).catch(() => null)
  const first = detail?.history.find(attempt => attempt.queue === queue.name && attempt.leasedAt !== null)
  return first === undefined ? Date.now() : Date.parse(first.leasedAt!)
}
