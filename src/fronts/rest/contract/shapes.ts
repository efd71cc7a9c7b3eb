/** What the shapes of the contract are made of, and how a row of a table in core becomes a shape. */
import { Type, type Static, type TSchema } from 'typebox'
import { states } from '../../../core/counters.ts'
import { cursorCharsMax, nameCharsMax, pageRowsDefault, pageRowsMax } from '../../../core/limits.ts'
import { namePattern } from '../../../core/queue.ts'
import type { RecordRow, Row, TextsRow } from '../../../core/table.ts'

/** An object that refuses unknown fields. */
export const object = <T extends Record<string, TSchema>>(properties: T, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/**
 * An object whose members have any names. `Type.Record` writes the names as the pattern `.*`, which
 * matches no line end. A member with one in its name would pass unchecked, and no answer would show it.
 */
export const mapOf = <T extends TSchema>(value: T, options = {}) =>
  Type.Unsafe<Record<string, Static<T>>>({ type: 'object', additionalProperties: value, ...options })

/** A member that may be left out. */
export const maybe = Type.Optional

/** The schema, or null. */
export const orNull = <T extends TSchema>(schema: T, options = {}) =>
  Type.Union([schema, Type.Null()], options)

/** A point in time. The description is a sentence to which the form of the text is added. */
export const time = (description: string) =>
  Type.String({ format: 'date-time', description: `${description} RFC 3339, UTC.` })

/** PostgreSQL's text and jsonb hold neither U+0000 nor half of a surrogate pair. */
export const storableText = '^(?:[^\\u0000\\ud800-\\udfff])*$'

export const maxAttempts = orNull(Type.Integer(), {
  description: 'The message is dead after this many failed attempts. null: it is tried without end.'
})

export const messageId = Type.String({ description: 'The id of a message.', examples: ['1'] })

export const nameDescription = `1 to ${nameCharsMax} of A–Z a–z 0–9 _ . -, the first a letter or a digit.`

/** The queue and the schedule of the examples. No document tells a reader to make one of this name. */
export const demoName = 'swagger-demo'

export const QueueName = Type.String({
  pattern: namePattern,
  description: `The queue. ${nameDescription}`,
  examples: [demoName]
})

export const TopicName = Type.String({
  pattern: namePattern,
  description: `The topic. ${nameDescription}`,
  examples: [demoName]
})

export const QueueParams = object({ queue: QueueName })

export const MessageParams = object({
  queue: QueueName,
  id: Type.String({ description: 'The message id from the enqueue.', examples: ['{id}'] })
})

export const StateName = Type.Enum([...states], { description: 'The state of a message.' })

export const cursor = maybe(
  Type.String({ minLength: 1, maxLength: cursorCharsMax, description: 'The cursor of the page before.' })
)
export const limit = maybe(Type.Integer({ minimum: 1, maximum: pageRowsMax, default: pageRowsDefault }))
export const PageQuery = object({ limit, cursor }, { title: 'PageQuery' })
export const nextCursor = orNull(Type.String(), {
  description: 'Send it to get the next page. null: this is the last page.'
})

export const Headers = mapOf(Type.String())
export const AnyBody = Type.Unsafe<unknown>({
  description: 'The body: JSON as it was sent, or other text in UTF-8 as a string.'
})

/** The shape of a row: its type with its bounds. */
export function schemaOf(row: Row, description: string): TSchema {
  switch (row.type) {
    case 'integer':
      return Type.Integer({ ...numberBounds(row), description })
    case 'number':
      return Type.Number({ ...numberBounds(row), description })
    case 'choice':
      return Type.Enum([...row.choices], { description })
    case 'flag':
      return Type.Boolean({ description })
    case 'queue':
      return Type.String({ pattern: namePattern, description })
    case 'time':
      return time(description)
    case 'text':
      return Type.String({ pattern: row.pattern, description })
    case 'texts':
      return textsOf(row, description)
    case 'record':
      return recordOf(row, { description })
  }
}

/** The shape of an object of numbers. */
export function recordOf({ fields }: RecordRow, options = {}): TSchema {
  const shapes = Object.entries(fields).map(([name, field]) => {
    const shape = schemaOf(field, field.help)
    return [name, field.optional ? maybe(shape) : shape]
  })
  return object(Object.fromEntries(shapes), options)
}

function textsOf({ entriesMax, nameCharsMax, valueCharsMax }: TextsRow, description: string): TSchema {
  return mapOf(Type.String({ maxLength: valueCharsMax, pattern: storableText }), {
    maxProperties: entriesMax,
    propertyNames: { minLength: 1, maxLength: nameCharsMax, pattern: storableText },
    description
  })
}

function numberBounds({ min, above, max }: { min?: number; above?: number; max: number }): object {
  return {
    ...(min !== undefined && { minimum: min }),
    ...(above !== undefined && { exclusiveMinimum: above }),
    maximum: max
  }
}

/** What an answer says of a message that was not simply stored anew. */
export const storedMarks = (what: 'message' | 'copy') => ({
  duplicate: maybe(
    Type.Literal(true, { description: `A key already stood for this ${what}, so nothing was stored.` })
  ),
  replaced: maybe(
    Type.Literal(true, {
      description: 'This message held the unique key. It now has the new content and options.'
    })
  )
})

/** What few messages have. */
export const marks = {
  group: maybe(Type.String({ description: 'The group that the enqueue named.' })),
  topic: maybe(Type.String({ description: 'The topic to which the message was published.' })),
  routingKey: maybe(Type.String({ description: 'The routing key of the publish, if it had one.' }))
}
