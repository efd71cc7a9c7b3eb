/** Shapes of enqueues: a message with its options, as JSON or raw. */
import { Type, type TSchema } from 'typebox'
import { headerNameCharsMax, headersMax, headerValueCharsMax, listMax } from '../../../core/limits.ts'
import { options, uniqueMembers, type MessageOptions, type Unique } from '../../../core/options.ts'
import { operations, problemResponses } from './operation.ts'
import {
  mapOf,
  maybe,
  messageId,
  object,
  QueueName,
  QueueParams,
  schemaOf,
  storableText,
  storedMarks
} from './shapes.ts'

const optionSchemas: Record<string, TSchema> = Object.fromEntries(
  Object.entries(options).map(([name, row]) => [name, maybe(schemaOf(row, row.help))])
)
const { key, until, onConflict } = uniqueMembers
const uniqueKey = schemaOf(key, key.help)
const uniqueTerms = {
  until: maybe(schemaOf(until, until.help)),
  onConflict: maybe(schemaOf(onConflict, onConflict.help))
}
const unique = maybe(
  object(
    { key: uniqueKey, ...uniqueTerms },
    { description: 'Keeps the queue from storing a second message while an earlier one holds the same key.' }
  )
)
export const IdempotencyKey = Type.Unsafe<string>(
  schemaOf(options.idempotencyKey, options.idempotencyKey.help)
)
export const Priority = Type.Unsafe<number>(schemaOf(options.priority, options.priority.help))

const eachHeader = `each of up to ${headerValueCharsMax} characters`
/** With what a call may be refused that stores messages, for the sake of these messages. */
export const storingRefusals = ['uniqueGroup', 'queueFull', 'tooManyQueues', 'idempotencyMismatch'] as const
/** What a message's headers may be, in a sentence. */
export const headersHelp = `Strings that go with the body: up to ${headersMax}, ${eachHeader}.`

export const givenBody = Type.Unsafe<unknown>({
  description:
    'Any JSON. A lease returns it exactly as it was sent, with its digits, duplicate names and escapes.'
})
export const givenHeaders = mapOf(Type.String({ maxLength: headerValueCharsMax, pattern: storableText }), {
  maxProperties: headersMax,
  propertyNames: { minLength: 1, maxLength: headerNameCharsMax, pattern: storableText },
  description: headersHelp
})

/** A message of an `application/json` enqueue. Its body is held as the text that came. */
export interface MessageInput extends MessageOptions {
  body: unknown
  headers?: Record<string, string>
}
export const message = { body: givenBody, headers: maybe(givenHeaders), ...optionSchemas, unique }
export const Message = Type.Unsafe<MessageInput>(object(message, { title: 'NewMessage' }))

/** A message that names its queue: one that an ack enqueues. */
export interface NextMessageInput extends MessageInput {
  queue: string
}
export const NextMessage = Type.Unsafe<NextMessageInput>(
  object({ queue: QueueName, ...message }, { title: 'NextMessage' })
)
export const MessageList = object(
  {
    messages: Type.Array(Message, {
      minItems: 1,
      maxItems: listMax,
      description: 'All messages are stored, or none.'
    })
  },
  { title: 'NewMessages' }
)

/** The options of a raw enqueue. Those of `unique` have names of their own. */
export type QueryOptions = Omit<MessageOptions, 'unique'> & {
  uniqueKey?: string
  uniqueUntil?: Unique['until']
  uniqueOnConflict?: Unique['onConflict']
}
export const queryOptions = {
  ...optionSchemas,
  uniqueKey: maybe(uniqueKey),
  uniqueUntil: uniqueTerms.until,
  uniqueOnConflict: uniqueTerms.onConflict
}
export const EnqueueQuery = Type.Unsafe<QueryOptions>(object(queryOptions, { title: 'RawOptions' }))
/** A request body: JSON of this shape, or a message body of any other content type. */
export const jsonOrRaw = (json: object) => ({
  content: {
    'application/json': { schema: json },
    'text/plain': {
      schema: { type: 'string', description: 'Any other content type: the message body itself.' }
    }
  }
})
export const EnqueueHeaders = Type.Object({ 'idempotency-key': maybe(IdempotencyKey) })

export const Enqueued = Type.Object(
  {
    id: messageId,
    ...storedMarks('message')
  },
  { title: 'Enqueued', description: 'The id of the message, and what became of its keys.' }
)
export const EnqueueAnswer = Type.Union([Enqueued, Type.Object({ messages: Type.Array(Enqueued) })], {
  description:
    'Committed. The id, or for a list the ids in the order given. ' +
    'The status is 200 if no new message was stored, because keys already stood for these messages.'
})

export const enqueueOperations = operations({
  enqueue: {
    method: 'POST',
    url: '/queues/:queue/messages',
    config: { access: 'enqueue', stores: true },
    schema: {
      summary: 'Enqueue messages',
      description:
        'Answers 201 only after the commit, or 200 if nothing new was stored. Makes the queue if there is ' +
        'none, unless HOLDFAST_CREATE_QUEUES is off. `application/json` holds one message, ' +
        'or a list that is stored whole or not at all. With any other content type the request body ' +
        '*is* the message body, byte for byte, and the options are query parameters. Only ' +
        '`application/x-www-form-urlencoded` is refused. The request fields `traceparent`, `tracestate`, ' +
        '`baggage` and `ce-*` become headers of the messages, unless a message sets them.',
      params: QueueParams,
      querystring: EnqueueQuery,
      headers: EnqueueHeaders,
      body: jsonOrRaw({
        anyOf: [Message, MessageList],
        examples: [{ body: { to: 'ada@example.org', subject: 'Welcome' } }]
      }),
      response: {
        200: EnqueueAnswer,
        201: EnqueueAnswer,
        ...problemResponses(400, 'queueNotFound', ...storingRefusals, 413, 415)
      }
    }
  }
})
