/** Shapes of push: the endpoint to which the service delivers the messages of a queue. */
import { Type, type TSchema } from 'typebox'
import {
  pushConcurrentMax,
  pushDeliveriesMax,
  pushHeadersCharsMax,
  pushHeadersMax,
  pushHeaderValueCharsMax,
  pushReasonCharsMax,
  pushRotationSeconds,
  pushTimeoutSecondsMax,
  pushUrlCharsMax
} from '../../../core/limits.ts'
import { pushDefaults, pushHeaderValuePattern, pushOutcomes, type PushSettings } from '../../../core/push.ts'
import { nothing, operations, problemResponses } from './operation.ts'
import { Headers, mapOf, maybe, messageId, object, orNull, QueueName, QueueParams, time } from './shapes.ts'

const bounds: Record<keyof PushSettings, TSchema> = {
  url: Type.String({
    minLength: 1,
    maxLength: pushUrlCharsMax,
    description: 'The endpoint: an http or https URL without a user name or a password. A new push needs it.'
  }),
  maxConcurrent: Type.Integer({
    minimum: 1,
    maximum: pushConcurrentMax,
    description:
      'Requests under way at one time, for each replica. To limit all replicas together, set `maxLeased` ' +
      `of the queue. Default ${pushDefaults.maxConcurrent}.`
  }),
  timeoutSeconds: Type.Number({
    minimum: 1,
    maximum: pushTimeoutSecondsMax,
    description: `How long a request may take, with its answer. Default ${pushDefaults.timeoutSeconds}.`
  }),
  headers: mapOf(Type.String({ maxLength: pushHeaderValueCharsMax, pattern: pushHeaderValuePattern }), {
    maxProperties: pushHeadersMax,
    description:
      'Header fields of each request, such as an Authorization. None that the service sets itself. ' +
      `All names and values together have at most ${pushHeadersCharsMax} characters. ` +
      'A change replaces all of them.'
  })
}

export const PushChange = Type.Unsafe<Partial<PushSettings>>(
  object(Object.fromEntries(Object.entries(bounds).map(([name, shape]) => [name, maybe(shape)])), {
    title: 'PushChange',
    examples: [{ url: 'https://example.com/hook' }]
  })
)

const settings = {
  queue: QueueName,
  url: Type.String(),
  maxConcurrent: Type.Integer(),
  timeoutSeconds: Type.Number(),
  headers: Headers,
  oldSecretUntil: orNull(Type.String({ format: 'date-time' }), {
    description: 'Until this time, the secret before the last rotation signs too. null: one secret signs.'
  }),
  createdAt: time('When it was made.'),
  updatedAt: time('When it last changed.')
}
const secret = Type.String({
  description: 'Signs every request, as Standard Webhooks say. It is shown here and never again.'
})

export const PushAnswer = Type.Object(
  { ...settings, secret: maybe(secret) },
  { title: 'Push', description: 'The push. `secret` is there when it was made.' }
)
export const PushRotated = Type.Object(
  { ...settings, secret },
  { title: 'PushRotated', description: 'The new secret. Both sign until `oldSecretUntil`.' }
)

const outcome = Type.Enum([...pushOutcomes], {
  description:
    'delivered: 2xx, so the message is acked. gone: 410, so it is dead. failed: another answer, or a ' +
    'broken connection. timeout: no answer in time. unreachable: no connection.'
})
const status = orNull(Type.Integer(), { description: 'The status of the answer. null: there was no answer.' })
const seconds = Type.Number({ description: 'How long the request took.' })
const reason = orNull(Type.String(), {
  description: `Why it failed: the status and the first ${pushReasonCharsMax} characters of the answer.`
})

export const PushReport = Type.Object(
  {
    ...settings,
    slowed: orNull(
      Type.Object({
        failures: Type.Integer({ description: 'How many failures there were in a row.' }),
        reason: Type.String(),
        until: time('When the next delivery is tried.')
      }),
      { description: 'Set while the endpoint fails and deliveries are slowed down. null: full speed.' }
    ),
    deliveries: Type.Array(
      Type.Object({
        id: messageId,
        attempt: Type.Integer(),
        at: time('When the request was sent.'),
        outcome,
        status,
        seconds,
        reason
      }),
      {
        description:
          `The last ${pushDeliveriesMax} deliveries of this replica since its start, the newest first. ` +
          'Other replicas remember their own.'
      }
    )
  },
  { title: 'PushReport', description: 'The push, and what this replica knows of it.' }
)

export const PushTest = Type.Object(
  { delivered: Type.Boolean(), status, seconds, reason },
  { title: 'PushTest', description: 'What came of the request. `delivered` is true for 2xx.' }
)

export const pushOperations = operations({
  putPush: {
    method: 'PUT',
    url: '/queues/:queue/push',
    config: { access: 'manage' },
    schema: {
      summary: 'Have a queue delivered to an endpoint',
      description:
        'The service leases the messages of the queue and sends each by POST, with its content type. ' +
        'A 2xx acks the message, and a 410 makes it dead. After a 429 or a 503 with `Retry-After`, the ' +
        'message is retried after that time. After everything else, it is retried after the delay of the ' +
        'queue. Settings that are left out stay as they are. Makes the queue if there ' +
        'is none. The answer that makes the push shows its secret.',
      params: QueueParams,
      body: PushChange,
      response: {
        200: PushAnswer,
        201: PushAnswer,
        ...problemResponses(400, 'queueNotFound', 'tooManyPushes', 'tooManyQueues', 413, 415)
      }
    }
  },
  getPush: {
    method: 'GET',
    url: '/queues/:queue/push',
    config: { access: 'manage' },
    schema: {
      summary: 'Look at the push of a queue',
      description: 'Its settings, whether it is slowed down, and the last deliveries of this replica.',
      params: QueueParams,
      response: { 200: PushReport, ...problemResponses(400, 'queueNotFound', 'pushNotFound') }
    }
  },
  testPush: {
    method: 'POST',
    url: '/queues/:queue/push/test',
    config: { access: 'manage' },
    schema: {
      summary: 'Send a test to the endpoint',
      description:
        'Sends `{"test": true, "queue": …}`, signed like a message, and answers what came of it. ' +
        'No message is touched.',
      params: QueueParams,
      response: { 200: PushTest, ...problemResponses(400, 'queueNotFound', 'pushNotFound') }
    }
  },
  rotatePush: {
    method: 'POST',
    url: '/queues/:queue/push/rotate',
    config: { access: 'manage' },
    schema: {
      summary: 'Replace the secret of a push',
      description:
        `The old secret signs too for ${pushRotationSeconds / 3600} hours, so that the endpoint can take ` +
        'the new one meanwhile. A second call in that time ends the oldest secret at once.',
      params: QueueParams,
      response: { 200: PushRotated, ...problemResponses(400, 'queueNotFound', 'pushNotFound') }
    }
  },
  deletePush: {
    method: 'DELETE',
    url: '/queues/:queue/push',
    config: { access: 'manage' },
    schema: {
      summary: 'Stop delivering a queue',
      description: 'Requests under way end as they would. The messages stay.',
      params: QueueParams,
      response: {
        204: nothing('There is no push, or there was none.'),
        ...problemResponses(400, 'queueNotFound')
      }
    }
  }
})
