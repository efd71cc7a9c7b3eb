/** The shape of a file of queues, made of the shapes that the REST calls take. */
import { Type, type TSchema } from 'typebox'
import { keyNamePattern } from '../core/apiKey.ts'
import { namePattern } from '../core/queue.ts'
import { KeyRequest } from '../fronts/rest/contract/apiKeys.ts'
import { PushChange } from '../fronts/rest/contract/push.ts'
import { SettingsChange } from '../fronts/rest/contract/queues.ts'
import { ScheduleChange } from '../fronts/rest/contract/schedules.ts'
import { maybe, object } from '../fronts/rest/contract/shapes.ts'
import { SubscriptionChange } from '../fronts/rest/contract/topics.ts'

/** What the file says of one thing: the fields that the call takes. Those left out stay as they are. */
export type Fields = Record<string, unknown>

type ByName<T = Fields> = Record<string, T>

export interface Declared {
  queues?: ByName
  topics?: ByName<{ subscriptions: ByName }>
  schedules?: ByName
  push?: ByName
  keys?: ByName
}

const byName = (pattern: string, entry: TSchema) =>
  Type.Unsafe<ByName>({
    type: 'object',
    propertyNames: { type: 'string', pattern },
    additionalProperties: entry
  })

const { name: _name, secret: _secret, ...grant } = KeyRequest.properties

export const DeclaredFile = Type.Unsafe<Declared>(
  object({
    queues: maybe(byName(namePattern, SettingsChange)),
    topics: maybe(byName(namePattern, object({ subscriptions: byName(namePattern, SubscriptionChange) }))),
    schedules: maybe(byName(namePattern, ScheduleChange)),
    push: maybe(byName(namePattern, PushChange)),
    keys: maybe(byName(keyNamePattern, object(grant)))
  })
)
