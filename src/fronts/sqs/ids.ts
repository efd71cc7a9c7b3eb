/** What messages, queues and tasks are called in SQS. */
import { nameTest } from '../../core/queue.ts'
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

/** The ARN of a queue. */
export const arnOf = (region: string, queue: string): string => `arn:aws:sqs:${region}:${account}:${queue}`

/** The queue that an ARN names. Refuses with InvalidParameterValue. */
export function queueOfArn(arn: unknown, what: string): string {
  const name = nameInArn(arn)
  if (name !== null) return name
  throw invalidValue(
    `You must use this format to specify the ${what}: ` +
      `arn:<partition>:<service>:<region>:<account-id>:<resource-id>`
  )
}

/** null: it is no ARN of a queue. */
export function nameInArn(arn: unknown): string | null {
  const parts = typeof arn === 'string' ? arn.split(':') : []
  const isArn = parts.length === 6 && parts[0] === 'arn' && parts[2] === 'sqs' && isName(parts[5]!)
  return isArn ? parts[5]! : null
}

const isName = (name: string) => nameTest.test(name)

/** The queue that a URL or a bare name stands for. Refuses with QueueDoesNotExist. */
export function queueOfUrl(url: string): string {
  const path = url.split(/[?#]/)[0]!.replace(/(?<!\/)\/+$/, '')
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (!isName(name)) throw queueDoesNotExist()
  return name
}

export const isFifoName = (name: string): boolean => name.endsWith('.fifo')

export const nameRule = 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length'

/** Refuses with InvalidParameterValue. */
export function checkQueueName(name: string): void {
  const plain = isFifoName(name) ? name.slice(0, -'.fifo'.length) : name
  if (/^[_-][A-Za-z0-9_-]*$/.test(plain)) {
    throw invalidValue(`${nameRule}. Here the first is a letter or a digit.`)
  }
  if (!/^[A-Za-z0-9_-]+$/.test(plain) || !isName(name)) throw invalidValue(nameRule)
}

/** As in AWS, where some read in it what their task is. */
export const taskHandleOf = (task: Digits, sourceArn: string): string =>
  Buffer.from(JSON.stringify({ taskId: taskIdOf(task), sourceArn })).toString('base64')

export const taskIdOf = messageIdOf

/** null: it is no handle of a task. */
export function readTaskHandle(handle: string): { taskId: string; source: string } | null {
  try {
    const { taskId, sourceArn } = JSON.parse(Buffer.from(handle, 'base64').toString())
    const source = nameInArn(sourceArn)
    return typeof taskId !== 'string' || source === null ? null : { taskId, source }
  } catch {
    return null
  }
}
