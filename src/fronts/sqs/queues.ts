/** Operations on queues: made, found, listed, changed, tagged, purged and deleted. */
import { everyQueue, type NameScope, type QueueReport } from '../../core/queue.ts'
import { QueueError } from '../../core/errors.ts'
import { pageRowsMax, tagNameCharsMax, tagsMax, tagValueCharsMax } from '../../core/limits.ts'
import { givenUp } from '../shared/givenUp.ts'
import { permitOn, queueOf, urlOf, type Answer, type Call } from './call.ts'
import { invalidValue, queueDoesNotExist, SqsError } from './errors.ts'
import { checkQueueName, isFifoName } from './ids.ts'
import {
  askedFor,
  attributesOf,
  changeOf,
  differenceOf,
  firstSettings,
  type QueueAttributes
} from './queueAttributes.ts'

const resultsMax = 1000

/** null: there is no such queue. */
async function reportIfAny({ broker, caller }: Call, queue: string): Promise<QueueReport | null> {
  try {
    return await broker.reportQueue(caller, queue)
  } catch (error) {
    if (error instanceof QueueError && error.code === 'queueNotFound') return null
    throw error
  }
}

export async function createQueue(call: Call): Promise<Answer> {
  const { broker, caller, request, input, region } = call
  const queue: string = input.QueueName
  const attributes: QueueAttributes = input.Attributes ?? {}
  const tags: Record<string, string> = input.tags ?? {}
  checkQueueName(queue)
  permitOn(call, 'manage', queue)
  if (isFifoName(queue) && attributes.FifoQueue !== 'true') {
    throw invalidValue(
      'A queue whose name ends with the .fifo suffix is a FIFO queue: its attribute FifoQueue must be true.'
    )
  }
  if (!isFifoName(queue) && attributes.FifoQueue === 'true') {
    throw invalidValue('The name of a FIFO queue must end with the .fifo suffix.')
  }
  const first = firstSettings(queue)
  const change = changeOf(queue, attributes, {}, true)
  checkTags(tags)
  const present = await reportIfAny(call, queue)
  if (present !== null) {
    const different = differenceOf(attributes, attributesOf(present, region))
    if (different === undefined) return { QueueUrl: urlOf(call, queue) }
    throw new SqsError(
      'QueueNameExists',
      `A queue already exists with the same name and a different value for attribute ${different}.`
    )
  }
  await checkTarget(call, change.deadLetterQueue)
  const isBounded = request.key !== null && !request.key.isAdmin
  await broker.putQueue(caller, queue, { ...first, tags, ...change }, isBounded)
  return { QueueUrl: urlOf(call, queue) }
}

/** A dead-letter queue must be there, and the caller must be able to send to it. */
async function checkTarget(call: Call, target: string | null | undefined): Promise<void> {
  if (target == null) return
  const wrong = invalidValue(
    `Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist: ${target}.`
  )
  if (call.request.key?.sees(target) === false) throw wrong
  permitOn(call, 'enqueue', target)
  if ((await reportIfAny(call, target)) === null) throw wrong
}

export async function getQueueUrl(call: Call): Promise<Answer> {
  const queue: string = call.input.QueueName
  if (call.request.key?.sees(queue) === false) throw queueDoesNotExist()
  if ((await reportIfAny(call, queue)) === null) throw queueDoesNotExist()
  return { QueueUrl: urlOf(call, queue) }
}

export async function listQueues(call: Call): Promise<Answer> {
  const { QueueNamePrefix: prefix = '' } = call.input
  const scope = within(call.request.key?.queues ?? everyQueue, prefix)
  const { names, next } = await page(call, async (after, limit) => {
    const { queues, next } = await call.broker.listQueues(call.caller, after, limit, scope)
    return { names: queues.map(({ queue }) => queue), next }
  })
  return {
    ...(names.length > 0 && { QueueUrls: names.map(name => urlOf(call, name)) }),
    ...(next !== null && { NextToken: next })
  }
}

export async function listDeadLetterSourceQueues(call: Call): Promise<Answer> {
  const target = queueOf(call, 'browse')
  if ((await reportIfAny(call, target)) === null) throw queueDoesNotExist()
  const { names, next } = await page(call, async (after, limit) => {
    const scope = call.request.key?.queues ?? everyQueue
    const { queues, next } = await call.broker.listQueues(call.caller, after, limit, scope, target)
    return { names: queues.map(({ queue }) => queue), next }
  })
  return {
    queueUrls: names.map(name => urlOf(call, name)),
    ...(next !== null && { NextToken: next })
  }
}

type Page = { names: string[]; next: string | null }

/** A page of names. Only with MaxResults there can be another one. */
async function page({ input }: Call, read: (after: string, limit: number) => Promise<Page>): Promise<Page> {
  const { MaxResults: wanted, NextToken: token } = input
  if (wanted !== undefined && !(wanted >= 1 && wanted <= resultsMax)) {
    throw invalidValue('Value for parameter MaxResults is invalid. Reason: Must be between 1 and 1000.')
  }
  if (token !== undefined && wanted === undefined) {
    throw invalidValue('MaxResults must be set when NextToken is.')
  }
  let after = token === undefined ? '' : readToken(token)
  const max = wanted ?? resultsMax
  const names: string[] = []
  for (;;) {
    const { names: found, next } = await read(after, pageRowsMax)
    names.push(...found)
    if (names.length > max || (names.length === max && next !== null)) {
      const last = names[max - 1]!
      return { names: names.slice(0, max), next: wanted === undefined ? null : tokenOf(last) }
    }
    if (next === null) return { names, next: null }
    after = next
  }
}

const tokenOf = (name: string) => Buffer.from(name).toString('base64url')
function readToken(token: string): string {
  const name = Buffer.from(token, 'base64url').toString()
  if (name !== '' && tokenOf(name) === token) return name
  throw invalidValue('Invalid or expired next token.')
}

/** The queues of a scope whose names begin so. */
const within = ({ names, prefixes }: NameScope, prefix: string): NameScope => ({
  names: names.filter(name => name.startsWith(prefix)),
  prefixes: prefixes
    .filter(other => other.startsWith(prefix) || prefix.startsWith(other))
    .map(other => (other.startsWith(prefix) ? other : prefix))
})

export async function deleteQueue(call: Call): Promise<Answer> {
  const queue = queueOf(call, 'manage')
  if ((await reportIfAny(call, queue)) === null) throw queueDoesNotExist()
  await call.broker.deleteQueue(call.caller, queue)
  return {}
}

export async function getQueueAttributes(call: Call): Promise<Answer> {
  const queue = queueOf(call, 'browse')
  const names: string[] = call.input.AttributeNames ?? []
  const report = await call.broker.reportQueue(call.caller, queue)
  const attributes = askedFor(attributesOf(report, call.region), names)
  return Object.keys(attributes).length === 0 ? {} : { Attributes: attributes }
}

export async function setQueueAttributes(call: Call): Promise<Answer> {
  const queue = queueOf(call, 'manage')
  const { front } = await call.broker.reportQueue(call.caller, queue)
  const change = changeOf(queue, call.input.Attributes, front, false)
  await checkTarget(call, change.deadLetterQueue)
  await call.broker.putQueue(call.caller, queue, change)
  return {}
}

export async function purgeQueue(call: Call): Promise<Answer> {
  const queue = queueOf(call, 'manage')
  const everything = { ids: null, where: null, limit: Number.MAX_SAFE_INTEGER }
  const signal = givenUp(call.request, call.reply)
  await call.broker.bulk(call.caller, 'purge', queue, null, everything, signal)
  return {}
}

function checkTags(tags: Record<string, string>): void {
  for (const [name, value] of Object.entries(tags)) {
    if (name === '' || name.length > tagNameCharsMax || value.length > tagValueCharsMax) {
      throw invalidValue(
        `A tag has a key of 1 to ${tagNameCharsMax} characters and a value of at most ${tagValueCharsMax}.`
      )
    }
    if (/^aws:/i.test(name)) throw invalidValue('Tag keys may not begin with aws:.')
    if (/\0/.test(name + value) || !(name + value).isWellFormed()) {
      throw invalidValue('Tags may not hold such characters.')
    }
  }
  if (Object.keys(tags).length > tagsMax) throw invalidValue(`Too many tags: a queue has at most ${tagsMax}.`)
}

async function changeTags(call: Call, change: (tags: Record<string, string>) => Record<string, string>) {
  const queue = queueOf(call, 'manage')
  const { settings } = await call.broker.reportQueue(call.caller, queue)
  const tags = change(settings.tags)
  checkTags(tags)
  await call.broker.putQueue(call.caller, queue, { tags })
  return {}
}

export const tagQueue = (call: Call): Promise<Answer> => {
  if (Object.keys(call.input.Tags).length === 0) throw invalidValue('Tags must not be empty.')
  return changeTags(call, tags => ({ ...tags, ...call.input.Tags }))
}

export const untagQueue = (call: Call): Promise<Answer> => {
  const gone: string[] = call.input.TagKeys
  if (gone.length === 0) throw invalidValue('Tag keys must be between 1 and 50.')
  return changeTags(call, tags =>
    Object.fromEntries(Object.entries(tags).filter(([name]) => !gone.includes(name)))
  )
}

export async function listQueueTags(call: Call): Promise<Answer> {
  const { settings } = await call.broker.reportQueue(call.caller, queueOf(call, 'browse'))
  return Object.keys(settings.tags).length === 0 ? {} : { Tags: settings.tags }
}
