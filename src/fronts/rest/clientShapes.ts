/** What the generated types of all clients are made from, so that they cannot differ from what is checked. */
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

/** A schema, as far as the generators read it. */
export interface Shape {
  title?: string
  type?: string | string[]
  format?: string
  description?: string
  minimum?: number
  exclusiveMinimum?: number
  properties?: Record<string, Shape>
  required?: string[]
  /** The shape of every member of an object with any names. */
  additionalProperties?: false | Shape
  items?: Shape
  anyOf?: Shape[]
  enum?: unknown[]
  const?: unknown
}

/** The schemas that clients have types for. The title of a schema is the name of its type. */
const schemas: TSchema[] = [
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

export const exported: Shape[] = schemas

/** The bounds of core that the clients check too. */
export const limits = { delaySecondsMax, leaseSecondsMax, listMax, waitSecondsMax }

/** The columns of a generated line. */
export const columnsMax = 100

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
