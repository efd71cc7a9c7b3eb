/**
 * JSON text, checked piece by piece. Each skip function gives the offset after what it passes over.
 */
import { nestingMax } from '../limits.ts'

/** Up to here it is quicker to check each character than to call a regular expression. */
const shortRunLength = 16
const ordinary = /[ !#-[\]-\uffff]*/y // all but quote, backslash and control characters

// Codes of characters.
const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const quote = 0x22
const plus = 0x2b
export const comma = 0x2c
const minus = 0x2d
const point = 0x2e
const zero = 0x30
const nine = 0x39
const colon = 0x3a
export const bracket = 0x5b
const backslash = 0x5c
const smallA = 0x61
const smallE = 0x65
const smallF = 0x66
const smallN = 0x6e
const smallT = 0x74
const smallU = 0x75
export const brace = 0x7b
const byteOrderMark = 0xfeff
/** Set in a small letter, and not in the capital one. */
const smallBit = 0x20

/** The code of ] for that of [, and of } for that of {. */
export function closingOf(code: number): number {
  return code + 2
}

/**
 * What is wrong, and at which character. Not an Error: it never reaches a caller, so it needs no
 * stack.
 */
export class Flaw {
  readonly what: string
  readonly at: number

  constructor(what: string, at: number) {
    this.what = what
    this.at = at
  }
}

/** What is wrong with a value that stands too deep. */
export function tooDeep(at: number): Flaw {
  return new Flaw(`nested deeper than ${nestingMax} levels`, at)
}

/** What is wrong where a list or an object neither goes on nor ends. */
export function expectedEnd(closing: number, at: number): Flaw {
  return new Flaw(`expected ',' or '${String.fromCharCode(closing)}'`, at)
}

/**
 * The code of a character. -1 past the end, which is no character and in no range: a text that ends
 * early is refused like any other slip.
 */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : -1 // twice as fast as letting charCodeAt give NaN
}

/** The string between two quotes. Its escapes were checked, so `JSON.parse` cannot refuse it. */
export function unquote(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end - 1)
  return plain.includes('\\') ? JSON.parse(text.slice(start, end)) : plain
}

/** The value of a scalar that was passed over. `code` is its first character. */
export function scalarOf(text: string, start: number, end: number, code: number): unknown {
  if (code === quote) return unquote(text, start, end)
  if (code === smallN) return null
  if (code === smallT) return true
  return code === smallF ? false : Number(text.slice(start, end))
}

// No loop below goes over a character twice.

/** Checks a value of any kind, and reads nothing. `depth` is how deep the value itself stands. */
export function skipValue(text: string, at: number, depth: number): number {
  const open: number[] = [] // the closing brackets that are still to come
  while (true) {
    const code = codeAt(text, at)
    if (code === brace || code === bracket) {
      if (depth + open.length === nestingMax) throw tooDeep(at)
      const closing = closingOf(code)
      at = skipSpace(text, at + 1)
      if (codeAt(text, at) !== closing) {
        open.push(closing)
        if (code === brace) at = skipColon(text, skipName(text, at))
        continue
      }
      at++
    } else {
      at = skipScalar(text, at, code)
    }

    while (true) {
      if (open.length === 0) return at
      at = skipSpace(text, at)
      const closing = open[open.length - 1]!
      const next = codeAt(text, at)
      if (next === comma) {
        at = skipSpace(text, at + 1)
        if (closing === closingOf(brace)) at = skipColon(text, skipName(text, at))
        break
      }
      if (next !== closing) throw expectedEnd(closing, at)
      at++
      open.pop()
    }
  }
}

/** Passes over white space, if there is any. */
export function skipSpace(text: string, at: number): number {
  while (true) {
    const code = codeAt(text, at)
    if (code !== space && code !== lineFeed && code !== carriageReturn && code !== tab) return at
    at++
  }
}

/** Passes over a member's name, its quotes included. */
export function skipName(text: string, at: number): number {
  if (codeAt(text, at) !== quote) throw new Flaw('expected a member name in double quotes', at)
  return skipString(text, at)
}

/** Passes over a colon, and the space around it. */
export function skipColon(text: string, at: number): number {
  at = skipSpace(text, at)
  if (codeAt(text, at) !== colon) throw new Flaw("expected ':'", at)
  return skipSpace(text, at + 1)
}

/** Passes over a text, a number, true, false or null. `code` is its first character. */
export function skipScalar(text: string, at: number, code: number): number {
  if (code === quote) return skipString(text, at)
  if (code === minus || (code >= zero && code <= nine)) return skipNumber(text, at)
  const literal = literalOf(code)
  if (!text.startsWith(literal, at)) {
    throw new Flaw(code === byteOrderMark ? 'unexpected byte order mark' : 'expected a value', at)
  }
  return at + literal.length
}

/** The literal that begins with this character. What begins none is then no `null`. */
function literalOf(code: number): string {
  if (code === smallT) return 'true'
  return code === smallF ? 'false' : 'null'
}

function skipString(text: string, at: number): number {
  at++
  for (let limit = at + shortRunLength; ;) {
    const code = codeAt(text, at)
    if (code === quote) return at + 1
    if (code === backslash) at = skipEscape(text, at + 1)
    else if (code < space) throw new Flaw(code < 0 ? "expected '\"'" : 'control character not escaped', at)
    else if (++at >= limit) {
      ordinary.lastIndex = at
      ordinary.test(text)
      at = ordinary.lastIndex
      limit = at + shortRunLength
    }
  }
}

function skipEscape(text: string, at: number): number {
  const code = codeAt(text, at)
  if (code !== smallU) {
    if (code < 0 || !'"\\/bfnrt'.includes(text.charAt(at))) throw new Flaw('expected an escape', at)
    return at + 1
  }
  for (const end = at + 4; at < end;) {
    const hex = codeAt(text, ++at)
    const good = (hex >= zero && hex <= nine) || ((hex | smallBit) >= smallA && (hex | smallBit) <= smallF)
    if (!good) throw new Flaw('expected a hexadecimal digit', at)
  }
  return at + 1
}

function skipNumber(text: string, at: number): number {
  if (codeAt(text, at) === minus) at++
  at = codeAt(text, at) === zero ? at + 1 : skipDigits(text, at)
  if (codeAt(text, at) === point) at = skipDigits(text, at + 1)
  if ((codeAt(text, at) | smallBit) !== smallE) return at
  const sign = codeAt(text, ++at)
  return skipDigits(text, sign === plus || sign === minus ? at + 1 : at)
}

function skipDigits(text: string, at: number): number {
  const start = at
  for (let code = codeAt(text, at); code >= zero && code <= nine;) code = codeAt(text, ++at)
  if (at === start) throw new Flaw('expected a digit', at)
  return at
}
