/** What messages, queues and tasks are called in SQS. */
import { namePattern } from '../../core/queue.ts'
import type { Digits } from '../../core/message.ts'
import { invalidValue, queueDoesNotExist } from './errors.ts'

export const account = '000000000000'
export const regionDefault = 'us-east-1'

/** Made of a message's id alone, so it stays when the message moves. In hex it begins with "holdfa". */
const idPrefix = '686f6c64-6661-8000-8'

/** A UUID of version 8, from whose end the id can be read. */
export function messageIdOf(id: Digits): string {
  const digits = BigInt(id).toString(16).padStart(15, '0')
  return `${idPrefix}${digits.slice(0, 3)}-${digits.slice(3)}`
}

/** 20 digits that rise with each message. */
export const sequenceNumberOf = (id: Digits): string => id.padStart(20, '0')

export const arnOf = (region: string, queue: string): string => `arn:aws:sqs:${region}:${account}:${queue}`

/** The queue that an ARN names. Refuses with InvalidParameterValue. */
export function queueOfArn(arn: unknown, what: string): string {
  const parts = typeof arn === 'string' ? arn.split(':') : []
  if (parts.length !== 6 || parts[0] !== 'arn' || parts[2] !== 'sqs' || !isName(parts[5]!)) {
    throw invalidValue(
      `Value ${String(arn)} for parameter ${what} is invalid. Reason: Must be the ARN of a queue.`
    )
  }
  return parts[5]!
}

const nameTest = new RegExp(namePattern)
const isName = (name: string) => nameTest.test(name)

/** The queue that a URL or a bare name stands for. Refuses with QueueDoesNotExist. */
export function queueOfUrl(url: string): string {
  const path = url.split(/[?#]/)[0]!.replace(/(?<!\/)\/+$/, '')
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (!isName(name)) throw queueDoesNotExist()
  return name
}

export const isFifoName = (name: string): boolean => name.endsWith('.fifo')

/** Refuses with InvalidParameterValue. */
export function checkQueueName(name: string): void {
  const plain = isFifoName(name) ? name.slice(0, -'.fifo'.length) : name
  if (/^[A-Za-z0-9_-]+$/.test(plain) && isName(name)) return
  throw invalidValue(
    'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length, and here the ' +
      'first is a letter or a digit.'
  )
}

const handlePattern = /^(\d{1,18}) (\S+)$/

export const taskHandleOf = (task: Digits, source: string): string =>
  Buffer.from(`${task} ${source}`).toString('base64url')

/** null: it is no handle of a task. */
export function readTaskHandle(handle: string): { task: Digits; source: string } | null {
  const [, task, source] = handlePattern.exec(Buffer.from(handle, 'base64url').toString()) ?? []
  return task === undefined || !isName(source!) ? null : { task, source: source! }
}
