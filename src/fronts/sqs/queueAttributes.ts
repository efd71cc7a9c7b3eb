/** Attributes of queues, and the settings that they are here. */
import { leaseSecondsMax, messageBytesMax } from '../../core/limits.ts'
import type { EntryChanges, QueueChange, QueueReport } from '../../core/queue.ts'
import { arnOf, isFifoName, nameInArn } from './ids.ts'
import { invalidValue, SqsError } from './errors.ts'
import { isCarried } from './messageAttributes.ts'

export type QueueAttributes = Record<string, string>

interface NumberRow {
  setting: 'leaseSeconds' | 'retentionSeconds' | 'delaySeconds' | 'waitSeconds' | 'messageBytesMax'
  min: number
  max: number
}

/** The longest delay that SQS has. */
export const sqsDelaySecondsMax = 900

/** Attributes that are settings of the core. */
const numbers = {
  VisibilityTimeout: { setting: 'leaseSeconds', min: 0, max: leaseSecondsMax },
  MessageRetentionPeriod: { setting: 'retentionSeconds', min: 60, max: 1_209_600 },
  DelaySeconds: { setting: 'delaySeconds', min: 0, max: sqsDelaySecondsMax },
  ReceiveMessageWaitTimeSeconds: { setting: 'waitSeconds', min: 0, max: 20 },
  MaximumMessageSize: { setting: 'messageBytesMax', min: 1024, max: messageBytesMax }
} as const satisfies Record<string, NumberRow>

/** Of an attribute that is kept, as AWS bounds policies. Each process remembers those of queues in use. */
const keptBytesMax = 8192

const unknownAttribute = (name: string) => new SqsError('InvalidAttributeName', `Unknown Attribute ${name}.`)
const notOfFifo = (name: string) =>
  new SqsError('InvalidAttributeName', `You can specify the ${name} only when FifoQueue is set to true.`)
const wrongValue = (name: string) =>
  new SqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`)

/** Refuses what an attribute cannot be. */
type Check = (value: string, attribute: string) => void

const like =
  (pattern: RegExp): Check =>
  (value, attribute) => {
    if (!pattern.test(value)) throw wrongValue(attribute)
  }

/** Attributes that are kept and given back, with what they may be. */
const kept: Record<string, Check> = {
  Policy: checkPolicy,
  RedriveAllowPolicy: checkAllowPolicy,
  KmsMasterKeyId: like(/^/),
  KmsDataKeyReusePeriodSeconds: like(/^([6-9]\d|\d{3,4}|[1-7]\d{4}|8[0-5]\d{3}|86[0-3]\d{2}|86400)$/),
  SqsManagedSseEnabled: like(/^(true|false)$/)
}
/** The same of FIFO queues alone. */
const keptOfFifo: Record<string, Check> = {
  ContentBasedDeduplication: like(/^(true|false)$/),
  DeduplicationScope: like(/^(queue|messageGroup)$/),
  FifoThroughputLimit: like(/^(perQueue|perMessageGroupId)$/)
}
/** Those of them that AWS knows in other queues, but does not take. */
const onlyOfFifo = ['DeduplicationScope', 'FifoThroughputLimit']
/** They hold JSON, or nothing where an attribute is taken away. */
const policies = ['Policy', 'RedriveAllowPolicy', 'RedrivePolicy']

const counted = {
  ApproximateNumberOfMessages: 'ready',
  ApproximateNumberOfMessagesNotVisible: 'leased',
  ApproximateNumberOfMessagesDelayed: 'delayed'
} as const

/** Every attribute that GetQueueAttributes can be asked for. */
export const attributeNames = new Set([
  'All',
  'QueueArn',
  'CreatedTimestamp',
  'LastModifiedTimestamp',
  'RedrivePolicy',
  'FifoQueue',
  ...Object.keys({ ...numbers, ...kept, ...keptOfFifo, ...counted })
])

/**
 * The visibility timeout 0 as a setting, since no lease lasts no time at all. A receive from such a
 * queue gives its messages back at once.
 */
export const noLeaseSeconds = 0.001

/** The note that changes with each purge of a FIFO queue, so that it forgets deduplication ids. */
export const purgedNote = 'Purged'

/** What every queue that is made here is set to: as SQS has it where attributes say nothing. */
export function firstSettings(name: string): QueueChange {
  return {
    leaseSeconds: 30,
    retentionSeconds: 345_600,
    delaySeconds: 0,
    waitSeconds: 0,
    messageBytesMax,
    maxAttempts: null,
    retry: { strategy: 'fixed', delaySeconds: 0, maxDelaySeconds: 0, jitter: false },
    dedupSeconds: 300,
    ...(isFifoName(name) && { ordering: 'group', fairness: 'group' })
  }
}

/** The queue whose attributes are set. */
interface Changed {
  isFifo: boolean
  isNew: boolean
}
/** What the value of an attribute changes. */
type Read = (value: string, queue: Changed) => QueueChange

const numberReader =
  (attribute: string, { setting, min, max }: NumberRow): Read =>
  value => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN
    if (!(number >= min && number <= max)) throw wrongValue(attribute)
    return { [setting]: setting === 'leaseSeconds' && number === 0 ? noLeaseSeconds : number }
  }

/** The empty text takes an attribute away. */
const keptReader =
  (attribute: string, check: Check): Read =>
  value => {
    if (value === '') return { front: { [attribute]: null } }
    checkKept(attribute, value)
    if (!isCarried(value)) throw wrongValue(attribute)
    check(value, attribute)
    return { front: { [attribute]: value } }
  }

/** How each attribute is read that a call can set. */
const readers = new Map<string, Read>([
  ...Object.entries(numbers).map(([name, row]) => [name, numberReader(name, row)] as const),
  ...Object.entries(kept).map(([name, check]) => [name, keptReader(name, check)] as const),
  ['RedrivePolicy', redriveOf]
])
const readersOfFifo = new Map<string, Read>([
  ...readers,
  ...Object.entries(keptOfFifo).map(([name, check]) => [name, keptReader(name, check)] as const),
  ['FifoQueue', readFifoQueue]
])

/** Blanks around a name are no part of it. */
export const named = (given: QueueAttributes): QueueAttributes =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name.trim(), value]))

/** Reads attributes that a call gives. `isNew`: FifoQueue may be among them. */
export function changeOf(name: string, attributes: QueueAttributes, isNew: boolean): QueueChange {
  const isFifo = isFifoName(name)
  const change: QueueChange = {}
  const notes: EntryChanges = {}
  for (const [attribute, value] of Object.entries(attributes)) {
    const read = (isFifo ? readersOfFifo : readers).get(attribute)
    if (read === undefined) {
      throw onlyOfFifo.includes(attribute) ? notOfFifo(attribute) : unknownAttribute(attribute)
    }
    const { front, ...settings } = read(value, { isFifo, isNew })
    Object.assign(change, settings)
    Object.assign(notes, front)
  }
  return { ...change, front: withOneEncryption(notes) }
}

/** Refuses what is too long to be kept. */
export function checkKept(name: string, value: string): void {
  if (Buffer.byteLength(value) <= keptBytesMax) return
  throw new SqsError(
    'InvalidAttributeValue',
    `Invalid value for the parameter ${name}. Reason: It has more than ${keptBytesMax} bytes.`
  )
}

function readFifoQueue(value: string, { isNew }: Changed): QueueChange {
  if (value === 'true') return {}
  if (isNew) throw wrongValue('FifoQueue')
  throw new SqsError(
    'InvalidAttributeValue',
    'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.'
  )
}

/** Of the two kinds of encryption, a queue has the one that was set last. */
function withOneEncryption(notes: EntryChanges): EntryChanges {
  const isKms = notes.KmsMasterKeyId != null
  if (notes.SqsManagedSseEnabled !== 'true') return isKms ? { SqsManagedSseEnabled: null, ...notes } : notes
  if (!isKms) return { ...notes, KmsMasterKeyId: null, KmsDataKeyReusePeriodSeconds: null }
  throw new SqsError(
    'InvalidAttributeName',
    'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE ' +
      'or SQS SSE.'
  )
}

/** Refuses attributes of which each is right, but not beside the others. */
export function checkTogether({ FifoThroughputLimit, DeduplicationScope }: EntryChanges): void {
  if (FifoThroughputLimit !== 'perMessageGroupId' || DeduplicationScope === 'messageGroup') return
  throw new SqsError(
    'InvalidAttributeValue',
    'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup'
  )
}

function checkPolicy(value: string, attribute: string): void {
  if (jsonObjectOf(value) === null) throw wrongValue(attribute)
}

const sourcesMax = 10

function checkAllowPolicy(value: string): void {
  const { redrivePermission: permission, sourceQueueArns: arns = [], ...others } = jsonObjectOf(value) ?? {}
  const isOfQueues = permission === 'byQueue'
  const isArn = (arn: unknown) => typeof arn === 'string' && arn.startsWith('arn:')
  if (
    !(isOfQueues || permission === 'allowAll' || permission === 'denyAll') ||
    Object.keys(others).length > 0 ||
    !(Array.isArray(arns) && arns.every(isArn))
  ) {
    const why = "Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format."
    throw new SqsError(
      'InvalidAttributeValue',
      `Invalid value for the parameter RedriveAllowPolicy. Reason: ${why}`
    )
  }
  const wrong = (why: string) =>
    invalidValue(
      `Value ${value} for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS can't create the ` +
        `redrive allow policy. ${why}`
    )
  if (!isOfQueues && arns.length > 0) {
    throw wrong('To specify one or more source queue ARNs, you must set redrivePermission to byQueue.')
  }
  if (isOfQueues && arns.length === 0) {
    throw wrong(
      'When you specify the byQueue permission type, you must also specify one or more ' +
        'sourceQueueArns values.'
    )
  }
  if (arns.length > sourcesMax) {
    throw wrong(`The maximum number of source queue ARNs you can specify is ${sourcesMax}.`)
  }
}

/** Whether dead messages of a queue may go to the queue of the report, by its RedriveAllowPolicy. */
export function permitsRedrive({ front }: QueueReport, queue: string): boolean {
  const { redrivePermission = 'allowAll', sourceQueueArns = [] } = jsonObjectOf(
    front.RedriveAllowPolicy ?? '{}'
  ) as { redrivePermission?: string; sourceQueueArns?: string[] }
  if (redrivePermission !== 'byQueue') return redrivePermission === 'allowAll'
  return sourceQueueArns.some(arn => nameInArn(arn) === queue)
}

function jsonObjectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

function redriveOf(value: string, { isFifo }: Changed): QueueChange {
  if (value === '') return { maxAttempts: null, deadLetterQueue: null }
  const wrong = (why: string) =>
    invalidValue(`Value ${value} for parameter RedrivePolicy is invalid. Reason: ${why}`)
  checkKept('RedrivePolicy', value)
  const policy = jsonObjectOf(value)
  if (policy === null) throw wrong('Redrive policy is not a valid JSON map.')
  const { deadLetterTargetArn: arn, maxReceiveCount: given, ...others } = policy
  const [extra] = Object.keys(others)
  if (extra !== undefined) {
    throw wrong('Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].')
  }
  if (given === undefined) {
    throw wrong('Redrive policy does not contain mandatory attribute: maxReceiveCount.')
  }
  if (arn === undefined) {
    throw wrong('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.')
  }
  const isNumber = typeof given === 'number' || (typeof given === 'string' && /^\d{1,4}$/.test(given))
  const count = isNumber ? Number(given) : NaN
  if (!(Number.isInteger(count) && count >= 1 && count <= 1000)) {
    // String() of lists in lists runs out of stack.
    const shown = typeof given === 'object' ? JSON.stringify(given) : String(given)
    throw wrong(
      `Invalid value for maxReceiveCount: ${shown}, valid values are from 1 to 1000 both inclusive.`
    )
  }
  const target = nameInArn(arn)
  if (target === null) throw wrong('Invalid value for deadLetterTargetArn.')
  if (isFifoName(target) !== isFifo) {
    throw wrong('Dead-letter queue must be same type of queue as the source.')
  }
  return { maxAttempts: count, deadLetterQueue: target }
}

/** Every attribute that a queue has. */
export function attributesOf(report: QueueReport, region: string): QueueAttributes {
  const { queue, settings, front, counts, createdAt, updatedAt } = report
  const { Front: _, [purgedNote]: __, ...notes } = front
  const seconds = (time: string) => String(Math.floor(Date.parse(time) / 1000))
  const attributes: QueueAttributes = {
    QueueArn: arnOf(region, queue),
    CreatedTimestamp: seconds(createdAt),
    LastModifiedTimestamp: seconds(updatedAt),
    SqsManagedSseEnabled: notes.KmsMasterKeyId === undefined ? 'true' : 'false'
  }
  for (const [name, state] of Object.entries(counted)) attributes[name] = String(counts[state])
  if (settings.ordering === 'group' && isFifoName(queue)) {
    attributes.FifoQueue = 'true'
    attributes.ContentBasedDeduplication = 'false'
    attributes.DeduplicationScope = 'queue'
    attributes.FifoThroughputLimit = 'perQueue'
  }
  if (notes.KmsMasterKeyId !== undefined) attributes.KmsDataKeyReusePeriodSeconds = '300'
  Object.assign(attributes, notes)
  for (const [name, { setting }] of Object.entries(numbers)) {
    attributes[name] = String(Math.round(settings[setting]))
  }
  if (settings.deadLetterQueue !== null && settings.maxAttempts !== null) {
    attributes.RedrivePolicy = JSON.stringify({
      deadLetterTargetArn: arnOf(region, settings.deadLetterQueue),
      maxReceiveCount: settings.maxAttempts
    })
  }
  return attributes
}

/** Those that a call asks for. Refuses with InvalidAttributeName what no queue can have. */
export function askedFor(attributes: QueueAttributes, names: string[]): QueueAttributes {
  const strange = names.find(name => !attributeNames.has(name))
  if (strange !== undefined) throw unknownAttribute(strange)
  if (names.includes('All')) return attributes
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => names.includes(name)))
}

/** The first of the given attributes that the queue has otherwise. */
export function differenceOf(given: QueueAttributes, has: QueueAttributes): string | undefined {
  return Object.keys(given).find(name => !isSame(name, given[name]!, has[name] ?? ''))
}

function isSame(name: string, given: string, has: string): boolean {
  if (given === has) return true
  if (!policies.includes(name) || given === '' || has === '') return false
  if (name !== 'RedrivePolicy') {
    return JSON.stringify(jsonObjectOf(given)) === JSON.stringify(jsonObjectOf(has))
  }
  const of = (text: string) => {
    const { deadLetterTargetArn, maxReceiveCount } = jsonObjectOf(text) ?? {}
    return `${nameInArn(deadLetterTargetArn)} ${String(maxReceiveCount)}`
  }
  return of(given) === of(has)
}
