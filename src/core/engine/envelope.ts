/** Reads a request's JSON in one pass, and keeps each message body as the exact text it came as. */
import { pointerStep, QueueError } from '../errors.ts'
import { nestingMax, requestMembersMax, requestValuesMax } from '../limits.ts'
import {
  bracket,
  brace,
  closingOf,
  codeAt,
  comma,
  expectedEnd,
  Flaw,
  scalarOf,
  skipColon,
  skipName,
  skipScalar,
  skipSpace,
  skipValue,
  tooDeep,
  unquote
} from './json.ts'

/**
 * The value `JSON.parse` would give, but with every message body and every result of an ack as a
 * `RawJson`. Stricter than `JSON.parse`: outside of those there is no member twice, no `__proto__`, no
 * object of more than `requestMembersMax` members, and no more than `requestValuesMax` values. Nothing
 * anywhere is nested deeper than `nestingMax` levels. A refusal counts characters as JavaScript does,
 * from 0.
 */
export function parseEnvelope(text: string): unknown {
  const frames: Frame[] = []
  try {
    return scan(text, frames)
  } catch (error) {
    if (!(error instanceof Flaw)) throw error
    const end = error.at >= text.length ? ', where the text ends' : ''
    const message = `${error.what} at character ${error.at}${end}`
    throw new QueueError(
      'malformedJson',
      `The JSON of the request is refused: ${message}. Correct it there and send the request again.`,
      { faults: [{ pointer: pointerTo(frames), message }] }
    )
  }
}

/**
 * A message body, or a result: checked to be JSON, but not read. Reading it would lose big numbers, repeated
 * names and spacing.
 */
export class RawJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const pointerLengthMax = 128

/** One open object or array. */
interface Frame {
  readonly list: boolean
  readonly into: Record<string, unknown> | unknown[]
  /** Its `body` and its `result` are kept as text. */
  readonly holdsRaw: boolean
  /** The name or index of the member being read. Unset between two members. */
  step: string | number | undefined
  /** Members of an object so far. */
  members: number
}

/** No recursion: what the caller nests lies in `frames`. A refusal finds its path there. */
function scan(text: string, frames: Frame[]): unknown {
  let frame: Frame | undefined
  let value: unknown
  let values = 0
  let at = 0
  while (true) {
    if (++values > requestValuesMax) throw new Flaw(`more than ${requestValuesMax} values`, at)
    at = skipSpace(text, at)
    if (frame !== undefined) {
      if (frame.list) frame.step = (frame.into as unknown[]).length
      else at = readName(text, at, frame)
    }

    // A value is due.
    const start = at
    const code = codeAt(text, at)
    if (frame?.holdsRaw && (frame.step === 'body' || frame.step === 'result')) {
      at = skipValue(text, at, frames.length)
      value = new RawJson(text.slice(start, at))
    } else if (code === brace || code === bracket) {
      if (frames.length === nestingMax) throw tooDeep(at)
      at = skipSpace(text, at + 1)
      if (codeAt(text, at) !== closingOf(code)) {
        frame = newFrame(code === bracket, frames)
        frames.push(frame)
        continue
      }
      at++
      value = code === bracket ? [] : {}
    } else {
      at = skipScalar(text, at, code)
      value = scalarOf(text, start, at, code)
    }

    // A value has ended. Hand it to what holds it, and go on upwards while that ends as well.
    while (true) {
      at = skipSpace(text, at)
      if (frame === undefined) {
        if (at < text.length) throw new Flaw('expected the end of the text', at)
        return value
      }
      put(frame, value)
      const next = codeAt(text, at)
      if (next === comma) break
      const closing = closingOf(frame.list ? bracket : brace)
      if (next !== closing) throw expectedEnd(closing, at)
      at++
      value = frame.into
      frames.pop()
      frame = frames[frames.length - 1]
    }
    at++
  }
}

function newFrame(list: boolean, frames: Frame[]): Frame {
  return { list, into: list ? [] : {}, holdsRaw: !list && isHolder(frames), step: undefined, members: 0 }
}

/** The lists of the request's own object whose items hold text. */
const holders: unknown[] = ['messages', 'then', 'acks', 'ack']

/** Whether an object within these frames is a message or an ack: alone, in a list, or in a `then`. */
function isHolder(frames: Frame[]): boolean {
  if (frames.length === 0) return true
  if (!holders.includes(frames[0]!.step) || !frames[1]?.list) return false
  return frames.length === 2 || (frames.length === 4 && frames[2]!.step === 'then' && frames[3]!.list)
}

/** Reads a member's name into the frame's step, and passes over its colon. */
function readName(text: string, at: number, frame: Frame): number {
  const end = skipName(text, at)
  const name = unquote(text, at, end)
  frame.step = name // before the refusals, so that they point at it
  if (++frame.members > requestMembersMax) {
    throw new Flaw(`more than ${requestMembersMax} members in one object`, at)
  }
  if (name === '__proto__') throw new Flaw('a member may not be named __proto__', at)
  if (Object.hasOwn(frame.into, name)) throw new Flaw('a second member of this name', at)
  return skipColon(text, end)
}

function put(frame: Frame, value: unknown): void {
  if (frame.list) (frame.into as unknown[]).push(value)
  else (frame.into as Record<string, unknown>)[frame.step as string] = value
  frame.step = undefined
}

/**
 * A JSON Pointer (RFC 6901). The names in it are the caller's, so a long path is not echoed: the
 * pointer ends at an enclosing place.
 */
function pointerTo(frames: Frame[]): string {
  let pointer = ''
  for (const { step } of frames) {
    if (step === undefined) break
    const token = pointerStep(String(step).slice(0, pointerLengthMax))
    if (pointer.length + token.length > pointerLengthMax) break
    pointer += token
  }
  return pointer
}
