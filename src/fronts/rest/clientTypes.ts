/**
 * The types of holdfast/client as TypeScript, made from the schemas of the routes, so that they
 * cannot differ from what is checked and answered.
 */
import type { TSchema } from 'typebox'
import { delaySecondsMax, leaseSecondsMax, listMax, waitSecondsMax } from '../../core/limits.ts'
import * as apiKeys from './contract/apiKeys.ts'
import { Bulk } from './contract/bulk.ts'
import * as consumers from './contract/consumers.ts'
import * as enqueue from './contract/enqueue.ts'
import * as failures from './contract/failures.ts'
import * as groups from './contract/groups.ts'
import * as lease from './contract/lease.ts'
import * as messages from './contract/messages.ts'
import * as push from './contract/push.ts'
import * as queues from './contract/queues.ts'
import * as redrives from './contract/redrives.ts'
import * as schedules from './contract/schedules.ts'
import { Series } from './contract/series.ts'
import { Outcome, Settle } from './contract/settle.ts'
import { PageQuery } from './contract/shapes.ts'
import * as topics from './contract/topics.ts'

/** Each exported name, and the schema it stands for. */
export const exported: Record<string, TSchema> = {
  NewMessage: enqueue.Message,
  RawOptions: enqueue.EnqueueQuery,
  Enqueued: enqueue.Enqueued,
  LeaseRequest: lease.LeaseRequest,
  LeasedMessage: lease.LeasedMessage,
  Ack: Settle.ack.one,
  Failure: Settle.fail.one,
  Extension: Settle.extend.one,
  Outcome,
  BrowseQuery: messages.BrowseQuery,
  MessagePage: messages.MessagePage,
  MessageDetail: messages.MessageDetail,
  Explanation: messages.Explanation,
  QueueSettings: queues.SettingsChange,
  QueueReport: queues.QueueReport,
  QueuesQuery: queues.QueuesQuery,
  QueueList: queues.QueueList,
  Series,
  FailuresQuery: failures.FailuresQuery,
  Failures: failures.Failures,
  Consumers: consumers.Consumers,
  GroupsQuery: groups.GroupsQuery,
  GroupList: groups.GroupList,
  PageQuery,
  PurgeRequest: Bulk.purge.request,
  PurgeAnswer: Bulk.purge.answer,
  RedriveRequest: redrives.RedriveRequest,
  RedriveAnswer: redrives.RedriveAnswer,
  RedriveList: redrives.RedriveList,
  RetryRequest: Bulk.retry.request,
  RetryAnswer: Bulk.retry.answer,
  Publication: topics.Publication,
  RawPublication: topics.PublishQuery,
  PublishAnswer: topics.PublishAnswer,
  SubscriptionChange: topics.SubscriptionChange,
  Subscription: topics.SubscriptionAnswer,
  Topic: topics.Topic,
  TopicsQuery: topics.TopicsQuery,
  TopicList: topics.TopicList,
  PushChange: push.PushChange,
  Push: push.PushAnswer,
  PushReport: push.PushReport,
  PushTest: push.PushTest,
  PushRotated: push.PushRotated,
  ScheduleChange: schedules.ScheduleChange,
  Schedule: schedules.Schedule,
  ScheduleList: schedules.ScheduleList,
  KeyRequest: apiKeys.KeyRequest,
  KeyInfo: apiKeys.KeyInfo,
  KeyMade: apiKeys.KeyMade
}

/** The text of src/client/types.ts. */
export function clientTypes(): string {
  const interfaces = Object.entries(exported).map(
    ([name, schema]) =>
      `export ${'anyOf' in schema ? `type ${name} =` : `interface ${name}`} ${typeOf(schema as Shape, '')}\n`
  )
  return (
    '/** What goes over the wire. npm run generate makes it from src/fronts/rest/contract. */\n\n' +
    interfaces.join('\n')
  )
}

/** The bounds of core that the clients check too. */
export const limits = { delaySecondsMax, leaseSecondsMax, listMax, waitSecondsMax }

/** The text of src/client/limits.ts. */
export function clientLimits(): string {
  const lines = Object.entries(limits).map(([name, bound]) => `export const ${name} = ${bound}\n`)
  return (
    '/** Bounds of the service. npm run generate takes them from src/core/limits.ts. */\n\n' + lines.join('')
  )
}

export interface Shape {
  type?: string | string[]
  format?: string
  description?: string
  minimum?: number
  exclusiveMinimum?: number
  properties?: Record<string, Shape>
  required?: string[]
  patternProperties?: Record<string, Shape>
  items?: Shape
  anyOf?: Shape[]
  enum?: unknown[]
  const?: unknown
}

function typeOf(shape: Shape, indent: string): string {
  if (shape.anyOf !== undefined) return shape.anyOf.map(one => typeOf(one, indent)).join(' | ')
  if (shape.enum !== undefined) return shape.enum.map(literal).join(' | ')
  if (shape.const !== undefined) return literal(shape.const)
  if (shape.patternProperties !== undefined) {
    return `Record<string, ${typeOf(Object.values(shape.patternProperties)[0]!, indent)}>`
  }
  if (Array.isArray(shape.type)) {
    return shape.type.map(type => typeOf({ ...shape, type }, indent)).join(' | ')
  }
  switch (shape.type) {
    case 'object':
      return fieldsOf(shape, indent)
    case 'array':
      return `Array<${typeOf(shape.items!, indent)}>`
    case 'integer':
      return 'number'
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return shape.type
    default:
      return 'unknown'
  }
}

function fieldsOf({ properties = {}, required = [] }: Shape, indent: string): string {
  const fields = Object.entries(properties).map(([name, shape]) => {
    const comment = shape.description === undefined ? '' : commentOf(shape.description, `${indent}  `)
    const type = typeOf(shape, `${indent}  `)
    const isRequired = required.includes(name)
    const orUndefined = isRequired || type === 'unknown' ? '' : ' | undefined'
    const line = `${indent}  ${name}${isRequired ? '' : '?'}: ${type}${orUndefined}`
    return `${comment}${line.length <= columnsMax ? line : listed(line, indent)}\n`
  })
  return `{\n${fields.join('')}${indent}}`
}

const columnsMax = 100

/** A choice that is too long for one line, one value on each. */
function listed(line: string, indent: string): string {
  return line.includes('{')
    ? line
    : line.replaceAll(' | ', `\n${indent}    | `).replace(': ', `:\n${indent}    | `)
}

/** A doc comment, on one line if it fits. */
function commentOf(text: string, indent: string): string {
  const line = `${indent}/** ${text} */\n`
  if (line.length <= columnsMax) return line
  return `${indent}/**\n${wrapped(text, `${indent} * `)}${indent} */\n`
}

/** The text in lines that begin with the margin, and keep to the columns. */
export function wrapped(text: string, margin: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`
    if (lines.length > 0 && `${margin}${longer}`.length <= columnsMax) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.map(line => `${margin}${line}\n`).join('')
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
