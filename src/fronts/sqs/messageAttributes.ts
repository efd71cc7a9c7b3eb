/**
 * Attributes of messages: checked, summed up, and kept among the headers. A String attribute is a
 * header of its own, which every front shows. All others stand together in one reserved header.
 */
import { hash } from 'node:crypto'
import { invalidValue, SqsError } from './errors.ts'
import type { StructureOf } from './structures.ts'

/** SQS has lists of values in its model, and takes none. */
export type Attribute = StructureOf<'MessageAttributeValue'>
export type Attributes = Record<string, Attribute>

/** Headers that begin so are this front's own: no attribute can have such a name. */
const reserved = 'sqs:'
/** The attributes that are no plain String: a list of name, type and value. */
const typedHeader = `${reserved}attributes`
const traceHeader = `${reserved}trace`
const senderHeader = `${reserved}sender`
const deduplicationHeader = `${reserved}deduplication`

const attributesMax = 10
const nameCharsMax = 256
const typeCharsMax = 256
// AWS takes letters and digits of any script, whatever its text says.
const namePattern = /^(?!\.)(?!.*\.\.)[\p{L}\p{N}_.-]+(?<!\.)$/u
const reservedNames = /^(aws|amazon)\./i
const typePattern = /^(String|Number|Binary)(\..+)?$/
const numberPattern = /^[+-]?(\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/
/** #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF */
// eslint-disable-next-line no-control-regex
const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff]/u
const eachForbidden = new RegExp(forbidden, 'gu')

const forbiddenFound =
  'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | ' +
  '#xE000 to #xFFFD | #x10000 to #x10FFFF'

/** Whether XML 1.0, and so SQS, can carry every character of a text. */
export const isCarried = (text: string): boolean => !forbidden.test(text)

/** The text, with U+FFFD in place of each character that XML cannot carry. */
export const carriedOf = (text: string): string => text.replace(eachForbidden, '\ufffd')

export const md5 = (content: string | Uint8Array): string => hash('md5', content, 'hex')

export function checkText(text: string): void {
  if (isCarried(text)) return
  throw new SqsError('InvalidMessageContents', forbiddenFound)
}

/** Refuses what SQS refuses. Answers the bytes that the attributes count. */
export function checkAttributes(attributes: Attributes): number {
  const entries = Object.entries(attributes)
  if (entries.length > attributesMax) {
    throw invalidValue(`Number of message attributes [${entries.length}] exceeds the allowed maximum [10].`)
  }
  for (const [name, attribute] of entries) {
    checkName(name)
    checkValue(name, attribute)
  }
  return bytesOf(attributes)
}

function bytesOf(attributes: Attributes): number {
  let bytes = 0
  for (const name of Object.keys(attributes)) {
    const { DataType, StringValue, BinaryValue } = attributes[name]!
    bytes += Buffer.byteLength(name) + Buffer.byteLength(DataType)
    bytes +=
      StringValue === undefined ? Buffer.byteLength(BinaryValue!, 'base64') : Buffer.byteLength(StringValue)
  }
  return bytes
}

function checkName(name: string): void {
  if (name === '') throw invalidValue('The request must contain non-empty message (user) attribute names.')
  if (name.length > nameCharsMax) {
    throw invalidValue(`Message (user) attribute name must be shorter than ${nameCharsMax} bytes.`)
  }
  if (reservedNames.test(name)) {
    throw invalidValue(
      "You can't use message attribute names beginning with 'AWS.' or 'Amazon'. These strings are reserved " +
        'for internal use.'
    )
  }
  if (!namePattern.test(name)) {
    throw invalidValue(
      `The message attribute name '${name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, ` +
        'underscore (_), hyphen (-), and period (.) characters.'
    )
  }
}

const isBase64 = (text: string) => /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0

function checkValue(name: string, attribute: Attribute): void {
  const { DataType, StringValue, BinaryValue } = attribute
  const wrong = (why: string) => invalidValue(`The message attribute '${name}' ${why}`)
  const { StringListValues = [], BinaryListValues = [] } = attribute
  if (StringListValues.length + BinaryListValues.length > 0) {
    throw new SqsError(
      'UnsupportedOperation',
      'Message attribute list values in SendMessage operation are not supported.'
    )
  }
  if (DataType === '') throw wrong('must contain a non-empty attribute type.')
  if (DataType.length > typeCharsMax) {
    throw invalidValue(`Message (user) attribute type must be shorter than ${typeCharsMax} bytes.`)
  }
  const base = typePattern.exec(DataType)?.[1]
  if (base === undefined || !isCarried(DataType)) {
    throw invalidValue(
      `The type of message (user) attribute '${name}' is invalid. You must use only the following ` +
        'supported type prefixes: Binary, Number, String.'
    )
  }
  if (StringValue !== undefined && BinaryValue !== undefined) throw wrong('has two values.')
  const value = base === 'Binary' ? BinaryValue : StringValue
  if (value === undefined || value === '') {
    throw invalidValue(`Message (user) attribute '${name}' must contain a non-empty value of type '${base}'.`)
  }
  if (base === 'Binary') {
    if (!isBase64(value)) throw wrong('is not base64.')
  } else {
    if (!isCarried(value)) throw wrong(`is invalid. ${forbiddenFound}`)
    if (base === 'Number' && !isNumber(value)) {
      throw invalidValue(`Can't cast the value of message (user) attribute '${name}' to a number.`)
    }
  }
}

/** A number of at most 38 digits, from 10^-128 to 10^126, or 0. */
function isNumber(value: string): boolean {
  const parts = numberPattern.exec(value)
  if (parts === null) return false
  const digits = parts[1]!
    .replace('.', '')
    .replace(/^0+/, '')
    .replace(/(?<!0)0+$/, '')
  const size = Math.abs(Number(value))
  return digits.length <= 38 && (digits === '' || (size >= 1e-128 && size <= 1e126))
}

/** The MD5 of attributes. undefined: there are none. */
export function md5OfAttributes(attributes: Attributes | undefined): string | undefined {
  const names = Object.keys(attributes ?? {})
  if (names.length === 0) return undefined
  const summed = Buffer.allocUnsafe(names.length * 13 + bytesOf(attributes!))
  let end = 0
  const add = (text: string, encoding: 'utf8' | 'base64' = 'utf8') => {
    const length = summed.write(text, end + 4, encoding)
    end = summed.writeUInt32BE(length, end) + length
  }
  for (const name of names.sort()) {
    const { DataType, StringValue, BinaryValue } = attributes![name]!
    add(name)
    add(DataType)
    end = summed.writeUInt8(StringValue === undefined ? 2 : 1, end)
    if (StringValue === undefined) add(BinaryValue!, 'base64')
    else add(StringValue)
  }
  return md5(summed.subarray(0, end))
}

/** What SQS knows of a message beside its attributes. */
export interface OwnNotes {
  trace?: string | undefined
  sender?: string | undefined
  deduplicationId?: string | undefined
}

/** The headers under which a message is stored. undefined: it needs none. */
export function headersOf(
  attributes: Attributes,
  { trace, sender, deduplicationId }: OwnNotes
): Record<string, string> | undefined {
  const headers: [string, string][] = []
  const typed: [string, string, string][] = []
  for (const [name, { DataType, StringValue, BinaryValue }] of Object.entries(attributes)) {
    if (DataType === 'String' && name !== '__proto__') headers.push([name, StringValue!])
    else typed.push([name, DataType, StringValue ?? BinaryValue!])
  }
  if (typed.length > 0) headers.push([typedHeader, JSON.stringify(typed)])
  if (trace !== undefined) headers.push([traceHeader, trace])
  if (sender !== undefined) headers.push([senderHeader, sender])
  if (deduplicationId !== undefined) headers.push([deduplicationHeader, deduplicationId])
  return headers.length === 0 ? undefined : Object.fromEntries(headers)
}

/** The headers with the trace of the request, where the message itself has none. */
export function withTrace(
  headers: Record<string, string> | undefined,
  trace: string | undefined
): Record<string, string> | undefined {
  return trace === undefined || headers?.[traceHeader] !== undefined
    ? headers
    : { ...headers, [traceHeader]: trace }
}

/** Reads the headers of a message, whichever front has stored it. */
export function fromHeaders(headers: Record<string, string> | null): {
  attributes: Attributes
  notes: OwnNotes
} {
  if (headers === null) return { attributes: {}, notes: {} }
  const {
    [typedHeader]: typed,
    [traceHeader]: trace,
    [senderHeader]: sender,
    [deduplicationHeader]: deduplicationId,
    ...plain
  } = headers
  const entries: [string, Attribute][] = Object.entries(plain)
    .filter(([name, value]) => value !== '' && isCarried(name + value))
    .map(([name, value]) => [name, { DataType: 'String', StringValue: value }])
  for (const [name, DataType, value] of readTyped(typed)) {
    const isBinary = DataType.startsWith('Binary')
    entries.push([name, { DataType, ...(isBinary ? { BinaryValue: value } : { StringValue: value }) }])
  }
  return { attributes: Object.fromEntries(entries), notes: { trace, sender, deduplicationId } }
}

/** Another front may have stored anything there. */
function readTyped(text: string | undefined): [string, string, string][] {
  if (text === undefined) return []
  try {
    const typed: unknown = JSON.parse(text)
    return Array.isArray(typed) ? typed.filter(isTyped) : []
  } catch {
    return []
  }
}

const isTyped = (entry: unknown): entry is [string, string, string] =>
  Array.isArray(entry) &&
  entry.length === 3 &&
  entry.every(part => typeof part === 'string' && part !== '' && isCarried(part)) &&
  (!entry[1].startsWith('Binary') || isBase64(entry[2]))

const everyName = new Set(['All', '*', '.*'])

/** Those of the attributes that a call asks for: by name, by `prefix.*`, or all. */
export function chosenOf(attributes: Attributes, names: string[]): Attributes {
  if (names.some(name => everyName.has(name))) return attributes
  const prefixes = names.filter(name => name.endsWith('.*')).map(name => name.slice(0, -2))
  return Object.fromEntries(
    Object.entries(attributes).filter(
      ([name]) => names.includes(name) || prefixes.some(prefix => name.startsWith(prefix))
    )
  )
}
