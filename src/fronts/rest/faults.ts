/** What a schema finds wrong in a request: where it is, and what to do, in words. */
import type { ErrorObject } from 'ajv'
import { keyNamePattern, rightInWords, rightPattern } from '../../core/apiKey.ts'
import { apiKeyNameCharsMax, groupCharsMax, idempotencyKeyCharsMax } from '../../core/limits.ts'
import { nearest } from '../../core/nearest.ts'
import { pointerStep } from '../../core/errors.ts'
import { groupPattern, idempotencyKeyPattern } from '../../core/options.ts'
import { namePattern } from '../../core/queue.ts'
import { routingKeyHelp, routingKeyPattern } from '../../core/topic.ts'
import { nameDescription, storableText } from './contract/shapes.ts'

const pointerCharsMax = 200

/** Patterns in words. */
const wordsOf = new Map([
  [namePattern, `must be ${nameDescription.replace(/\.$/, '')} (the pattern is ${namePattern})`],
  [idempotencyKeyPattern, `must be 1 to ${idempotencyKeyCharsMax} printable ASCII characters`],
  [groupPattern, `must be 1 to ${groupCharsMax} characters, none of them a control character`],
  [routingKeyPattern, `must be ${routingKeyHelp.replace(/\.$/, '')}`],
  [rightPattern, `must be a right: ${rightInWords}`],
  [
    keyNamePattern,
    `must be 1 to ${apiKeyNameCharsMax} characters, none of them a control character or invisible`
  ],
  [storableText, 'must not hold NUL, nor half of a surrogate pair']
])

const typeWords: Record<string, string> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null'
}
const typesIn = (types: string | string[]) => [types].flat().map(type => typeWords[type] ?? type)

/** What a bound on a length asks for. The least one mostly refuses what is empty. */
const atLeast = (limit: number, things: string) =>
  limit === 1 ? 'must not be empty' : `must have at least ${limit} ${things}`

/** What the other keywords of the contract ask for, by their parameters. */
const asksOf: Partial<Record<string, (params: any) => string>> = {
  enum: ({ allowedValues }) => `must be one of ${JSON.stringify(allowedValues)}`,
  const: ({ allowedValue }) => `must be one of ${JSON.stringify([allowedValue])}`,
  pattern: ({ pattern }) => wordsOf.get(pattern) ?? `must match the pattern ${pattern}`,
  format: ({ format }) =>
    format === 'date-time' ? 'must be a time such as 2026-01-01T12:00:00Z' : `must be a ${format}`,
  minLength: ({ limit }) => atLeast(limit, 'characters'),
  maxLength: ({ limit }) => `must have at most ${limit} characters`,
  minItems: ({ limit }) => atLeast(limit, 'entries'),
  maxItems: ({ limit }) => `must have at most ${limit} entries`,
  minProperties: ({ limit }) => atLeast(limit, 'members'),
  maxProperties: ({ limit }) => `must have at most ${limit} members`,
  minimum: ({ limit }) => `must be at least ${limit}`,
  exclusiveMinimum: ({ limit }) => `must be above ${limit}`,
  maximum: ({ limit }) => `must be at most ${limit}`,
  oneOf: () => 'must fit exactly one of its shapes'
}

/** The parameter of a keyword's fault that names a member of the object at fault. */
const memberNamedBy: Partial<Record<string, string>> = {
  additionalProperties: 'additionalProperty',
  required: 'missingProperty'
}

/** One fault of a schema's check. `context` is the place of the request that was checked. */
export function faultOf(
  { instancePath, keyword, params, message, parentSchema, data }: ErrorObject,
  context: string | undefined
): { pointer: string; message: string } {
  const parameter = memberNamedBy[keyword]
  const named: string | undefined = parameter && params[parameter]
  const token = named === undefined ? '' : pointerStep(named)
  const pointer = shortened(placeIn(context, instancePath + token))
  switch (keyword) {
    case 'additionalProperties':
      return { pointer, message: unknownField(named!, parentSchema, data) }
    case 'required':
      return { pointer, message: `is missing${unknownBeside(parentSchema, data)}` }
    case 'type':
      return { pointer, message: typeAsked(params.type, parentSchema, data) }
    default:
      return { pointer, message: asksOf[keyword]?.(params) ?? message ?? 'is not valid' }
  }
}

/** The type, and the members that an object must have. */
function typeAsked(type: string | string[], schema: ErrorObject['parentSchema'], data: unknown): string {
  const members: string[] = type === 'object' ? (schema?.required ?? []) : []
  const having = members.length > 0 ? ` with ${members.join(' and ')}` : ''
  const asked = `must be ${typesIn(type).join(' or ')}${having}`
  return data === undefined ? `is missing. It ${asked}` : asked
}

/** A field that is no member of the object. Mostly it is the missing one, misspelt. */
function unknownBeside(schema: ErrorObject['parentSchema'], given: unknown): string {
  const unknown = Object.keys(given ?? {}).find(field => !Object.hasOwn(schema?.properties ?? {}, field))
  return unknown === undefined ? '' : `, and ${shortened(unknown)} is not a known field`
}

/**
 * Without those that only ask for null. A value that has faults of its own says in the first of them
 * that null is possible.
 */
export function withoutNulls(faults: { pointer: string; message: string }[]): typeof faults {
  const nulls = faults.filter(({ message }) => message === 'must be null').map(({ pointer }) => pointer)
  const others = faults.filter(({ message }) => message !== 'must be null')
  if (others.length === 0) return faults
  return others.map(({ pointer, message }) => ({
    pointer,
    message: nulls.includes(pointer) ? `${message}, or null` : message
  }))
}

/** The names in a pointer are the caller's, so a long one is not sent back. */
function shortened(pointer: string): string {
  return pointer.length <= pointerCharsMax ? pointer : `${pointer.slice(0, pointerCharsMax).trimEnd()}…`
}

/** A JSON Pointer into the body. Elsewhere the place and the name: `query/max`, `path/queue`. */
function placeIn(context: string | undefined, pointer: string): string {
  if (context === 'querystring') return `query${pointer}`
  if (context === 'params') return `path${pointer}`
  if (context === 'headers') return `header${pointer}`
  return pointer
}

/** The fields that take a list, in place of the fields of one message or receipt. */
const lists = ['messages', 'receipts', 'acks', 'failures', 'extensions']

/** Suggests a field that is not given yet. */
function unknownField(name: string, schema: ErrorObject['parentSchema'], given: unknown): string {
  const names = Object.keys(schema?.properties ?? {}).filter(field => !Object.hasOwn(given as object, field))
  const suggestion = nearest(name.slice(0, 100), names)
  if (suggestion !== null) return `is not a known field (did you mean ${suggestion}?)`
  const list = lists.find(field => Object.hasOwn(given as object, field))
  return `is not a known field${list === undefined ? '' : ` beside ${list}`}`
}
