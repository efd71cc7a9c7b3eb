/** Shapes of API keys. */
import { Type } from 'typebox'
import { keyNamePattern, keySecretPattern, rightPattern } from '../../../core/apiKey.ts'
import { apiKeyNameCharsMax, rateMax, rightsMax } from '../../../core/limits.ts'
import { nothing, operations, problemResponses } from './operation.ts'
import { maybe, object, orNull, QueueName, storableText, time } from './shapes.ts'

const rate = (what: string) =>
  orNull(Type.Number({ exclusiveMinimum: 0, maximum: rateMax }), {
    description:
      `${what} a second, and one second's worth at once. ` +
      'Each replica counts for itself. Default null: no bound.'
  })

const keyFields = {
  name: Type.String({
    pattern: keyNamePattern,
    description:
      `Tells people who uses the key. 1 to ${apiKeyNameCharsMax} characters, ` +
      'none of them a control character or invisible.',
    examples: ['mail worker']
  }),
  rights: Type.Array(Type.String({ pattern: rightPattern }), {
    minItems: 1,
    maxItems: rightsMax,
    examples: [['lease:mail', 'enqueue:orders-*']],
    description:
      'An action on a queue (`lease:mail`), on all queues whose name begins so (`enqueue:orders-*`), ' +
      'or on all (`browse:*`). Actions: `enqueue`, `lease` (with settling), `browse`, ' +
      '`manage` (settings, purge, redrive, retry, cancel, delete). ' +
      'The same with topics: `publish:orders`, `subscribe:*`. ' +
      '`admin`, alone, is everything, keys too.'
  })
}
const rates = { requestsPerSecond: rate('Requests'), messagesPerSecond: rate('Messages enqueued and leased') }

export const KeyRequest = object(
  {
    ...keyFields,
    requestsPerSecond: maybe(rates.requestsPerSecond),
    messagesPerSecond: maybe(rates.messagesPerSecond),
    secret: maybe(
      Type.String({
        pattern: keySecretPattern,
        description:
          'A whole key that was made elsewhere, such as by another cell. A repeated call makes no second ' +
          'key. Default: a new key.'
      })
    )
  },
  { title: 'KeyRequest' }
)

export const KeyChange = object(
  {
    rights: maybe(keyFields.rights),
    requestsPerSecond: maybe(rates.requestsPerSecond),
    messagesPerSecond: maybe(rates.messagesPerSecond)
  },
  { title: 'KeyChange', examples: [{ rights: ['lease:mail'] }] }
)

export const KeyInfo = Type.Object(
  {
    id: Type.String({ description: 'The id of the key. It is part of the key, and not secret.' }),
    ...keyFields,
    ...rates,
    createdAt: time('When it was made.')
  },
  { title: 'KeyInfo' }
)

export const KeyMade = Type.Object(
  {
    ...KeyInfo.properties,
    secret: Type.String({
      description: 'The key. Send it as `Authorization: Bearer …`. It cannot be shown again.'
    })
  },
  { title: 'KeyMade', description: 'The new key.' }
)
const KeyList = Type.Object({ keys: Type.Array(KeyInfo) }, { description: 'The keys.' })
export const KeptSchedules = Type.Object(
  {
    schedules: Type.Array(Type.Object({ name: Type.String(), queue: QueueName, paused: Type.Boolean() }), {
      description: 'The schedules by name. Those that are not paused go on firing.'
    })
  },
  { title: 'KeptSchedules', description: 'The key is revoked. The schedules that it owns stay.' }
)
export const RevokeKeyQuery = object(
  {
    pauseSchedules: maybe(
      Type.Boolean({ description: 'true: pauses the schedules that the key owns. Default false.' })
    )
  },
  { title: 'RevokeKeyQuery' }
)
const KeyParams = object({ id: Type.String({ pattern: storableText, description: 'The id of the key.' }) })

export const apiKeyOperations = operations({
  createKey: {
    method: 'POST',
    url: '/keys',
    config: {},
    schema: {
      summary: 'Make an API key',
      description:
        'The answer holds the key itself, only this once, because only its digest is stored. ' +
        'The key works on every replica within two seconds. Once a key exists, every call needs one. ' +
        'So the first key must have the right `admin`.',
      body: KeyRequest,
      response: { 201: KeyMade, ...problemResponses(400, 'adminKeyFirst', 'tooManyKeys', 415) }
    }
  },
  listKeys: {
    method: 'GET',
    url: '/keys',
    config: {},
    schema: {
      summary: 'List API keys',
      description: 'All keys without their secrets, the oldest first.',
      response: { 200: KeyList, ...problemResponses(503) }
    }
  },
  changeKey: {
    method: 'PUT',
    url: '/keys/:id',
    config: {},
    schema: {
      summary: 'Change what an API key may do',
      description:
        'Fields that are left out stay as they are, and so does the secret. ' +
        'Every replica follows the change within five seconds. Waiting calls of the key end then. ' +
        'The only key with the right `admin` keeps it.',
      params: KeyParams,
      body: KeyChange,
      response: { 200: KeyInfo, ...problemResponses(400, 'keyNotFound', 'adminKeyFirst', 415) }
    }
  },
  revokeKey: {
    method: 'DELETE',
    url: '/keys/:id',
    config: {},
    schema: {
      summary: 'Revoke an API key',
      description:
        'Every replica refuses the key within five seconds. ' +
        'Its schedules stay, and the answer names them. With `pauseSchedules` they are paused.',
      params: KeyParams,
      querystring: RevokeKeyQuery,
      response: {
        200: KeptSchedules,
        204: nothing('It is revoked, and owns no schedule.'),
        ...problemResponses(400, 'keyNotFound')
      }
    }
  }
})
