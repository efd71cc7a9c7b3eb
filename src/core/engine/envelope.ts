/** Reads a request's JSON in one pass, and keeps each message body as the exact text it came as. */
import { QueueError } from '../errors.ts'

/**
 * The value `JSON.parse` would give, but with every message body as a `RawJson`. Stricter than
 * `JSON.parse` in three things: no member twice and no `__proto__` outside a body, and no nesting
 * deeper than `maxDepth` anywhere. A refusal counts characters as JavaScript does, from 0.
 */
export function parseEnvelope(text: string): unknown {
  const frames: Frame[] = []
  try {
    return scan(text, frames)
  } catch (error) {
    if (!(error instanceof Flaw)) throw error
    const message = `${error.what} at character ${error.at}${error.at >= text.length ? ', where the text ends' : ''}`
    throw new QueueError(
      'malformedJson',
      `The JSON of the request is refused: ${message}. Correct it there and send the request again.`,
      { faults: [{ pointer: pointerTo(frames), message }] }
    )
  }
}

/**
 * A message body, checked to be JSON but not read: parsing it would lose big numbers, repeated
 * names and spacing.
 */
export class RawJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const maxDepth = 1000
const maxPointer = 128
const shortRun = 16 // as far as it is quicker to look at each character than to call a regular expression
const ordinary = /[ !#-[\]-\uffff]*/y // all but quote, backslash and control characters

/**
 * One open object or array. `step` is the name or index of the member being read, and unset
 * between two members.
 */
interface Frame {
  readonly list: boolean
  readonly into: Record<string, unknown> | unknown[]
  readonly holdsBody: boolean
  step: string | number | undefined
}

// Inside a raw body only the kind of bracket matters, so all its frames are these two. Nothing
// writes to them.
const rawList: Frame = { list: true, into: [], holdsBody: false, step: undefined }
const rawObject: Frame = { list: false, into: {}, holdsBody: false, step: undefined }

/**
 * What is wrong and where, before the path is known. Not an Error: it never leaves this file, so
 * needs no stack.
 */
class Flaw {
  readonly what: string
  readonly at: number

  constructor(what: string, at: number) {
    this.what = what
    this.at = at
  }
}

/** No recursion: what the caller nests lies in `frames`, which is also where a refusal finds its path. */
function scan(text: string, frames: Frame[]): unknown {
  let frame: Frame | undefined
  let value: unknown
  let at = 0
  let raw = -1 // where the raw body being passed over starts, or -1 outside of one
  let rawDepth = 0
  while (true) {
    at = skipSpace(text, at)
    if (frame !== undefined && !frame.list) {
      if (codeAt(text, at) !== 0x22) throw new Flaw('expected a member name in double quotes', at)
      const end = skipString(text, at)
      if (raw < 0) frame.step = memberName(text, at, end, frame)
      at = skipSpace(text, end)
      if (codeAt(text, at) !== 0x3a) throw new Flaw("expected ':'", at)
      at = skipSpace(text, at + 1)
      if (raw < 0 && frame.holdsBody && frame.step === 'body') {
        raw = at
        rawDepth = frames.length
      }
    } else if (frame !== undefined && raw < 0) {
      frame.step = (frame.into as unknown[]).length
    }

    // A value is due. The brackets are told by code: 5b and 5d are square, 7b and 7d are curly.
    const start = at
    const code = codeAt(text, at)
    if (code === 0x22) {
      at = skipString(text, at)
      if (raw < 0) value = unquote(text, start, at)
    } else if (code === 0x7b || code === 0x5b) {
      if (frames.length === maxDepth) throw new Flaw(`nested deeper than ${maxDepth} levels`, at)
      const list = code === 0x5b
      at = skipSpace(text, at + 1)
      if (codeAt(text, at) !== (list ? 0x5d : 0x7d)) {
        frame = raw < 0 ? newFrame(list, frames) : list ? rawList : rawObject
        frames.push(frame)
        continue
      }
      at++
      if (raw < 0) value = list ? [] : {}
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      at = skipNumber(text, at)
      if (raw < 0) value = Number(text.slice(start, at))
    } else {
      const literal = code === 0x74 ? 'true' : code === 0x66 ? 'false' : 'null'
      if (!text.startsWith(literal, at)) {
        throw new Flaw(code === 0xfeff ? 'unexpected byte order mark' : 'expected a value', at)
      }
      at += literal.length
      value = code === 0x6e ? null : code === 0x74
    }

    // A value has ended: hand it to what holds it, and so on upwards for as long as that ends as well.
    while (true) {
      if (raw >= 0 && frames.length === rawDepth) {
        value = new RawJson(text.slice(raw, at))
        raw = -1
      }
      at = skipSpace(text, at)
      if (frame === undefined) {
        if (at < text.length) throw new Flaw('expected the end of the text', at)
        return value
      }
      if (raw < 0) put(frame, value)
      const next = codeAt(text, at)
      if (next === 0x2c) break
      if (next !== (frame.list ? 0x5d : 0x7d)) {
        throw new Flaw(`expected ',' or '${frame.list ? ']' : '}'}'`, at)
      }
      at++
      value = frame.into
      frames.pop()
      frame = frames[frames.length - 1]
    }
    at++
  }
}

function newFrame(list: boolean, frames: Frame[]): Frame {
  const inMessages = frames.length === 2 && frames[0]!.step === 'messages' && frames[1]!.list
  return {
    list,
    into: list ? [] : {},
    holdsBody: !list && (frames.length === 0 || inMessages),
    step: undefined
  }
}

function memberName(text: string, start: number, end: number, frame: Frame): string {
  const name = unquote(text, start, end)
  frame.step = name // before the refusals, so that they point at it
  if (name === '__proto__') throw new Flaw('a member may not be named __proto__', start)
  if (Object.hasOwn(frame.into, name)) throw new Flaw('a second member of this name', start)
  return name
}

function put(frame: Frame, value: unknown): void {
  if (frame.list) (frame.into as unknown[]).push(value)
  else (frame.into as Record<string, unknown>)[frame.step as string] = value
  frame.step = undefined
}

/** The string between two quotes; its escapes are known to be good, so `JSON.parse` cannot refuse it. */
function unquote(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end - 1)
  return plain.includes('\\') ? JSON.parse(text.slice(start, end)) : plain
}

/**
 * -1 past the end, which is no character and in no range, so a text that ends early is refused
 * like any other slip.
 */
function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : -1 // twice as fast as letting charCodeAt give NaN
}

// Each skip function gives the offset after what it passes over. No loop among them goes over a
// character twice.

function skipSpace(text: string, at: number): number {
  while (true) {
    const code = codeAt(text, at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

function skipString(text: string, at: number): number {
  at++
  for (let limit = at + shortRun; ;) {
    const code = codeAt(text, at)
    if (code === 0x22) return at + 1
    if (code === 0x5c) at = skipEscape(text, at + 1)
    else if (code < 0x20) throw new Flaw(code < 0 ? "expected '\"'" : 'control character not escaped', at)
    else if (++at >= limit) {
      ordinary.lastIndex = at
      ordinary.test(text)
      at = ordinary.lastIndex
      limit = at + shortRun
    }
  }
}

function skipEscape(text: string, at: number): number {
  const code = codeAt(text, at)
  if (code !== 0x75) {
    if (code < 0 || !'"\\/bfnrt'.includes(text.charAt(at))) throw new Flaw('expected an escape', at)
    return at + 1
  }
  for (const end = at + 4; at < end;) {
    const hex = codeAt(text, ++at)
    const good = (hex >= 0x30 && hex <= 0x39) || ((hex | 0x20) >= 0x61 && (hex | 0x20) <= 0x66)
    if (!good) throw new Flaw('expected a hexadecimal digit', at)
  }
  return at + 1
}

function skipNumber(text: string, at: number): number {
  if (codeAt(text, at) === 0x2d) at++
  at = codeAt(text, at) === 0x30 ? at + 1 : skipDigits(text, at)
  if (codeAt(text, at) === 0x2e) at = skipDigits(text, at + 1)
  if ((codeAt(text, at) | 0x20) !== 0x65) return at
  const sign = codeAt(text, ++at)
  return skipDigits(text, sign === 0x2b || sign === 0x2d ? at + 1 : at)
}

function skipDigits(text: string, at: number): number {
  const start = at
  for (let code = codeAt(text, at); code >= 0x30 && code <= 0x39;) code = codeAt(text, ++at)
  if (at === start) throw new Flaw('expected a digit', at)
  return at
}

/**
 * RFC 6901. Ends at an enclosing place rather than echo a long path, for the names in it are the
 * caller's.
 */
function pointerTo(frames: Frame[]): string {
  let pointer = ''
  for (const { step } of frames) {
    if (step === undefined) break
    const token = `/${String(step).slice(0, maxPointer).replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (pointer.length + token.length > maxPointer) break
    pointer += token
  }
  return pointer
}
