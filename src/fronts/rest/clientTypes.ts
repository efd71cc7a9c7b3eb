/**
 * The types of the client as TypeScript, made from the schemas of the routes, so that they
 * cannot differ from what is checked and answered.
 */
import type { TSchema } from 'typebox'
import { delaySecondsMax, leaseSecondsMax, listMax, waitSecondsMax } from '../../core/limits.ts'
import * as apiKeys from './contract/apiKeys.ts'
import { Bulk, Matched } from './contract/bulk.ts'
import * as consumers from './contract/consumers.ts'
import * as enqueue from './contract/enqueue.ts'
import * as failures from './contract/failures.ts'
import * as groups from './contract/groups.ts'
import * as lease from './contract/lease.ts'
import * as messages from './contract/messages.ts'
import { ErrorCode } from './contract/problem.ts'
import * as push from './contract/push.ts'
import * as queues from './contract/queues.ts'
import * as redrives from './contract/redrives.ts'
import * as schedules from './contract/schedules.ts'
import { Series } from './contract/series.ts'
import { Followed, Outcome, Settle } from './contract/settle.ts'
import { PageQuery } from './contract/shapes.ts'
import * as topics from './contract/topics.ts'

/** What is exported. The title of a schema is the name of its type. */
export const exported: TSchema[] = [
  enqueue.Message,
  enqueue.NextMessage,
  enqueue.EnqueueQuery,
  enqueue.Enqueued,
  lease.LeaseRequest,
  lease.LeasedMessage,
  lease.Leased,
  Settle.ack.one,
  Settle.fail.one,
  Settle.extend.one,
  Followed,
  ...Outcome.anyOf,
  Outcome,
  messages.BrowseQuery,
  messages.LastFailure,
  messages.Origin,
  messages.BrowsedMessage,
  messages.MessagePage,
  messages.MessageDetail,
  messages.Explanation,
  queues.SettingsChange,
  queues.QueueReport,
  queues.QueuesQuery,
  queues.QueueList,
  queues.DeleteQueueQuery,
  Series,
  failures.FailuresQuery,
  failures.Failures,
  consumers.Consumers,
  groups.GroupsQuery,
  groups.GroupList,
  PageQuery,
  Bulk.purge.request,
  Matched,
  Bulk.purge.answer,
  redrives.RedriveRequest,
  redrives.RedriveAnswer,
  redrives.TaskStarted,
  redrives.RedriveList,
  Bulk.retry.request,
  Bulk.retry.answer,
  topics.Publication,
  topics.PublishQuery,
  topics.PublishAnswer,
  topics.SubscriptionChange,
  topics.SubscriptionAnswer,
  topics.Topic,
  topics.TopicsQuery,
  topics.TopicList,
  push.PushChange,
  push.PushAnswer,
  push.PushReport,
  push.PushTest,
  push.PushRotated,
  schedules.ScheduleChange,
  schedules.Schedule,
  schedules.ScheduleEntry,
  schedules.ScheduleList,
  apiKeys.KeyRequest,
  apiKeys.KeyChange,
  apiKeys.KeyInfo,
  apiKeys.KeyMade,
  apiKeys.RevokeKeyQuery,
  apiKeys.KeptSchedules,
  ErrorCode
]

/** The text of src/client/types.ts. */
export function clientTypes(): string {
  const declarations = (exported as Shape[]).map(
    schema => `${commentOf(schema.description, '')}export ${declarationOf(schema)}\n`
  )
  return (
    '/** What goes over the wire. npm run generate makes it from src/fronts/rest/contract. */\n\n' +
    declarations.join('\n')
  )
}

function declarationOf(schema: Shape): string {
  const { title, properties } = schema
  if (properties !== undefined) return `interface ${title} ${expanded(schema, '')}`
  const line = `type ${title} = ${expanded(schema, '')}`
  return line.length <= columnsMax ? line : line.replaceAll(' | ', '\n  | ').replace('= ', '=\n  | ')
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
  title?: string
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

const names = new Set((exported as Shape[]).map(({ title }) => title))

/** The type of a shape: its name, if it has one that is exported. */
function typeOf(shape: Shape, indent: string): string {
  return shape.title !== undefined && names.has(shape.title) ? shape.title : expanded(shape, indent)
}

function expanded(shape: Shape, indent: string): string {
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
    const comment = commentOf(shape.description, `${indent}  `)
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

/** A doc comment, on one line if it fits; nothing for no text. */
function commentOf(text: string | undefined, indent: string): string {
  if (text === undefined) return ''
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
