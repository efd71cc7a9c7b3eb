/** Operations on queues: made, found, listed, changed, tagged, purged and deleted. */
import { randomUUID } from 'node:crypto'
import {
  everyQueue,
  type EntryChanges,
  type NameScope,
  type QueueChange,
  type QueueReport,
  type Revise
} from '../../core/queue.ts'
import { QueueError } from '../../core/errors.ts'
import { tagNameCharsMax, tagsMax, tagValueCharsMax } from '../../core/limits.ts'
import { everything } from '../../core/message.ts'
import { nameTest } from '../../core/queue.ts'
import { givenUp } from '../shared/givenUp.ts'
import { hasQueueBound } from '../shared/guard.ts'
import { permitOn, queueOf, urlOf, type Call } from './call.ts'
import { invalidValue, missing, queueDoesNotExist, SqsError } from './errors.ts'
import { madeHere } from './firstGroup.ts'
import { checkQueueName, isFifoName, nameRule } from './ids.ts'
import { isCarried } from './messageAttributes.ts'
import type { AnswerOf, InputOf, Nothing } from './structures.ts'
import {
  askedFor,
  attributesOf,
  changeOf,
  checkTogether,
  differenceOf,
  firstSettings,
  named,
  permitsRedrive,
  purgedNote,
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

const notYours = (queue: string) => `This key has no right to manage the queue ${queue}.`

/**
 * Makes a queue. One that has these attributes already is left as it is. Refuses with QueueNameExists
 * where they differ, with InvalidParameterValue, and with AccessDenied.
 */
export async function createQueue(
  call: Call,
  input: InputOf<'CreateQueue'>
): Promise<AnswerOf<'CreateQueue'>> {
  const { broker, caller, request, region } = call
  const { QueueName: queue, Attributes: given = {}, tags = {} } = input
  const attributes = named(given)
  checkQueueName(queue)
  // A queue that the key may not know of is refused like one that it may not manage.
  if (request.key?.sees(queue) === false) throw new SqsError('AccessDenied', notYours(queue))
  permitOn(call, 'manage', queue)
  if (isFifoName(queue) && attributes.FifoQueue !== 'true') {
    throw invalidValue(`${nameRule}. A name with the suffix .fifo needs the attribute FifoQueue.`)
  }
  if (!isFifoName(queue) && attributes.FifoQueue === 'true') {
    throw invalidValue(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, ' +
        'must end with .fifo suffix and be 1 to 80 in length.'
    )
  }
  const first = firstSettings(queue)
  const change = changeOf(queue, attributes, true)
  checkTogether(change.front ?? {})
  checkTags(queue, tags)
  if ((await reportIfAny(call, queue)) === null) await checkTarget(call, queue, change, attributes)
  const settings = { ...first, tags, ...change, front: { ...change.front, ...madeHere(queue) } }
  const made = await broker.putQueue(caller, queue, settings, {
    isBounded: hasQueueBound(request),
    only: 'new'
  })
  const different = made.created ? undefined : differenceOf(attributes, attributesOf(made.report, region()))
  if (different === undefined) return { QueueUrl: urlOf(call, queue) }
  throw new SqsError(
    'QueueNameExists',
    `A queue already exists with the same name and a different value for attribute ${different}`
  )
}

/** A dead-letter queue must be there and take from the queue, and the caller must be able to send to it. */
async function checkTarget(
  call: Call,
  queue: string,
  { deadLetterQueue: target }: QueueChange,
  { RedrivePolicy: policy }: QueueAttributes
): Promise<void> {
  if (target == null) return
  const because = (why: string) =>
    invalidValue(`Value ${policy} for parameter RedrivePolicy is invalid. Reason: ${why}.`)
  const wrong = because('Dead letter target does not exist')
  if (call.request.key?.sees(target) === false) throw wrong
  permitOn(call, 'enqueue', target)
  const report = await reportIfAny(call, target)
  if (report === null) throw wrong
  if (!permitsRedrive(report, queue)) {
    throw because(`${target} does not permit ${queue} by its RedriveAllowPolicy`)
  }
}

/** The URL of a queue. Refuses with QueueDoesNotExist, also where the key does not see it. */
export async function getQueueUrl(
  call: Call,
  input: InputOf<'GetQueueUrl'>
): Promise<AnswerOf<'GetQueueUrl'>> {
  const queue = input.QueueName
  if (!nameTest.test(queue) || call.request.key?.sees(queue) === false) throw queueDoesNotExist()
  if ((await reportIfAny(call, queue)) === null) throw queueDoesNotExist()
  return { QueueUrl: urlOf(call, queue) }
}

/** The URLs of the queues that the key sees. Refuses with InvalidParameterValue: the page or its token. */
export async function listQueues(call: Call, input: InputOf<'ListQueues'>): Promise<AnswerOf<'ListQueues'>> {
  const { QueueNamePrefix: prefix = '' } = input
  if (!prefixTest.test(prefix)) return {}
  const scope = within(call.request.key?.queues ?? everyQueue, prefix)
  const { names, next } = await page(call, input, scope)
  return {
    ...(names.length > 0 && { QueueUrls: names.map(name => urlOf(call, name)) }),
    ...(next !== null && { NextToken: next })
  }
}

/** The queues whose dead messages go to this one. Refuses with QueueDoesNotExist. */
export async function listDeadLetterSourceQueues(
  call: Call,
  input: InputOf<'ListDeadLetterSourceQueues'>
): Promise<AnswerOf<'ListDeadLetterSourceQueues'>> {
  const target = queueOf(call, 'browse', input.QueueUrl)
  if ((await reportIfAny(call, target)) === null) throw queueDoesNotExist()
  const { names, next } = await page(call, input, call.request.key?.queues ?? everyQueue, target)
  return {
    queueUrls: names.map(name => urlOf(call, name)),
    ...(next !== null && { NextToken: next })
  }
}

type Paging = InputOf<'ListQueues' | 'ListDeadLetterSourceQueues'>

/** A page of names. Only with MaxResults there can be another one. */
async function page(
  { broker, caller }: Call,
  { MaxResults: wanted, NextToken: token }: Paging,
  scope: NameScope,
  deadLetterQueue: string | null = null
): Promise<{ names: string[]; next: string | null }> {
  if (wanted !== undefined && !(wanted >= 1 && wanted <= resultsMax)) {
    throw invalidValue(
      'Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.'
    )
  }
  if (token !== undefined && wanted === undefined) {
    throw invalidValue('MaxResults must be set when NextToken is.')
  }
  const after = token === undefined ? '' : readToken(token)
  const limit = wanted ?? resultsMax
  const { names, next } = await broker.listQueueNames(caller, { after, limit, scope }, deadLetterQueue)
  return { names, next: wanted === undefined || next === null ? null : tokenOf(next) }
}

/** What the name of a queue may begin with. */
const prefixTest = /^[A-Za-z0-9_.-]*$/

const tokenOf = (name: string) => Buffer.from(name).toString('base64url')
function readToken(token: string): string {
  const name = Buffer.from(token, 'base64url').toString()
  if (nameTest.test(name) && tokenOf(name) === token) return name
  throw invalidValue('Invalid or expired next token.')
}

/** The queues of a scope whose names begin so. */
const within = ({ names, prefixes }: NameScope, prefix: string): NameScope => ({
  names: names.filter(name => name.startsWith(prefix)),
  prefixes: prefixes
    .filter(other => other.startsWith(prefix) || prefix.startsWith(other))
    .map(other => (other.startsWith(prefix) ? other : prefix))
})

/** Deletes a queue with its messages. Refuses with QueueDoesNotExist. */
export async function deleteQueue(
  call: Call,
  input: InputOf<'DeleteQueue'>
): Promise<AnswerOf<'DeleteQueue'>> {
  const queue = queueOf(call, 'manage', input.QueueUrl)
  if ((await reportIfAny(call, queue)) === null) throw queueDoesNotExist()
  await call.broker.deleteQueue(call.caller, queue)
  return {}
}

/** The attributes that are asked for. Refuses with QueueDoesNotExist. */
export async function getQueueAttributes(
  call: Call,
  input: InputOf<'GetQueueAttributes'>
): Promise<AnswerOf<'GetQueueAttributes'>> {
  const queue = queueOf(call, 'browse', input.QueueUrl)
  const names = input.AttributeNames ?? []
  const report = await call.broker.reportQueue(call.caller, queue)
  const attributes = askedFor(attributesOf(report, call.region()), names)
  return Object.keys(attributes).length === 0 ? {} : { Attributes: attributes }
}

/**
 * Changes the attributes given. Refuses with QueueDoesNotExist, and with InvalidParameterValue where the
 * queue could not have them all.
 */
export async function setQueueAttributes(
  call: Call,
  input: InputOf<'SetQueueAttributes'>
): Promise<AnswerOf<'SetQueueAttributes'>> {
  const queue = queueOf(call, 'manage', input.QueueUrl)
  const attributes = named(input.Attributes)
  if (Object.keys(attributes).length === 0) throw missing('Attribute.Name')
  const change = changeOf(queue, attributes, false)
  await call.broker.findQueue(call.caller, queue)
  await checkTarget(call, queue, change, attributes)
  const revise: Revise = ({ front }) => {
    checkTogether({ ...front, ...change.front })
    return {}
  }
  await call.broker.putQueue(call.caller, queue, change, { only: 'existing', revise })
  return {}
}

/** Deletes all messages of a queue. A FIFO queue also forgets its deduplication ids. */
export async function purgeQueue(call: Call, input: InputOf<'PurgeQueue'>): Promise<AnswerOf<'PurgeQueue'>> {
  const queue = queueOf(call, 'manage', input.QueueUrl)
  if (isFifoName(queue)) {
    const front = { [purgedNote]: randomUUID() }
    await call.broker.putQueue(call.caller, queue, { front }, { only: 'existing' })
  }
  const work = { action: 'purge', state: null, selection: everything } as const
  await call.broker.bulk(call.caller, queue, work, givenUp(call.request, call.reply))
  return {}
}

function checkTags(queue: string, tags: Record<string, string>): void {
  for (const [name, value] of Object.entries(tags)) {
    if (name === '' || name.length > tagNameCharsMax || value.length > tagValueCharsMax) {
      throw invalidValue(
        `A tag has a key of 1 to ${tagNameCharsMax} characters and a value of at most ${tagValueCharsMax}.`
      )
    }
    if (/^aws:/i.test(name)) throw invalidValue('Tag keys may not begin with aws:.')
    if (!isCarried(name + value)) {
      throw invalidValue('Tags may not hold characters that XML cannot carry.')
    }
  }
  if (Object.keys(tags).length > tagsMax) throw invalidValue(`Too many tags added for queue ${queue}.`)
}

/** Sets tags, and removes those that are null. Calls at the same time keep what the others set. */
async function changeTags(call: Call, queueUrl: string, tagChanges: EntryChanges): Promise<Nothing> {
  const queue = queueOf(call, 'manage', queueUrl)
  const revise: Revise = ({ tags }) => {
    const all = Object.entries({ ...tags, ...tagChanges })
    checkTags(queue, Object.fromEntries(all.filter((tag): tag is [string, string] => tag[1] !== null)))
    return { tagChanges }
  }
  await call.broker.putQueue(call.caller, queue, {}, { only: 'existing', revise })
  return {}
}

/** Sets tags, and keeps the others. Refuses with InvalidParameterValue: a tag, or too many of them. */
export async function tagQueue(call: Call, input: InputOf<'TagQueue'>): Promise<AnswerOf<'TagQueue'>> {
  if (Object.keys(input.Tags).length === 0) throw missing('Tags')
  return await changeTags(call, input.QueueUrl, input.Tags)
}

/** Removes tags. One that the queue does not have is no fault. Refuses with InvalidParameterValue: a key. */
export async function untagQueue(call: Call, input: InputOf<'UntagQueue'>): Promise<AnswerOf<'UntagQueue'>> {
  const gone = input.TagKeys
  const isKey = (name: string) => name.length >= 1 && name.length <= tagNameCharsMax && isCarried(name)
  if (gone.length === 0 || !gone.every(isKey)) {
    throw invalidValue(`Tag keys must be between 1 and ${tagNameCharsMax} characters in length.`)
  }
  return await changeTags(call, input.QueueUrl, Object.fromEntries(gone.map(name => [name, null])))
}

/** The tags of a queue. Refuses with QueueDoesNotExist. */
export async function listQueueTags(
  call: Call,
  input: InputOf<'ListQueueTags'>
): Promise<AnswerOf<'ListQueueTags'>> {
  const { settings } = await call.broker.reportQueue(call.caller, queueOf(call, 'browse', input.QueueUrl))
  return Object.keys(settings.tags).length === 0 ? {} : { Tags: settings.tags }
}
