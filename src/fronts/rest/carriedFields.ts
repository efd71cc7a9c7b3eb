/**
 * Fields of a request that its messages keep as headers: those of the trace, and those of CloudEvents.
 */
import type { IncomingMessage } from 'node:http'
import { headerNameCharsMax, headersMax, headerValueCharsMax } from '../../core/limits.ts'
import type { NewMessage } from '../../core/message.ts'

type Fields = Record<string, string>

const parentField = 'traceparent'
const stateField = 'tracestate'
const beginning = /^(?:trace|baggage|ce-)/i
/** In lower case. */
const carried = /^(?:traceparent|tracestate|baggage|ce-[a-z0-9_.-]+)$/
const printable = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
/** Version, trace id and span id that are not 0, flags. */
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/

/** Whether a header of a message can stand as a field of this name in an answer. */
export const isCarried = (name: string, value: string): boolean => carried.test(name) && printable.test(value)

/**
 * The fields that messages of this request keep. Of two of one name, and of one that is malformed or
 * too long, none is kept. Without `withTrace`, a span names the trace instead. null: there are none.
 */
export function carriedFieldsOf({ rawHeaders }: IncomingMessage, withTrace: boolean): Fields | null {
  const found = new Map<string, string[]>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    // Nearly every request has none, so names are judged by how they begin.
    if (!beginning.test(rawHeaders[i]!)) continue
    const name = rawHeaders[i]!.toLowerCase()
    if (carried.test(name)) found.set(name, [...(found.get(name) ?? []), rawHeaders[i + 1]!])
  }
  if (found.size === 0) return null
  const fields: Fields = {}
  for (const [name, [value, second]] of found) {
    if (second === undefined && isKept(name, value!)) fields[name] = value!
  }
  if (!withTrace) delete fields[parentField]
  if (!(parentField in fields)) delete fields[stateField]
  return Object.keys(fields).length === 0 ? null : fields
}

function isKept(name: string, value: string): boolean {
  if (name.length > headerNameCharsMax || value.length > headerValueCharsMax) return false
  return name === parentField ? traceparent.test(value) : printable.test(value)
}

/** The message with these headers, but for those that it sets itself, and as far as there is room. */
export function carrying<M extends NewMessage>(message: M, fields: Fields): M {
  const own = message.headers ?? {}
  const names = new Set(Object.keys(own).map(name => name.toLowerCase()))
  const added = Object.entries(fields).filter(
    ([name]) => !names.has(name) && !(name === stateField && names.has(parentField))
  )
  if (added.length === 0 || names.size + added.length > headersMax) return message
  return { ...message, headers: { ...own, ...Object.fromEntries(added) } }
}
