/**
 * Bodies exactly as they are sent: put into a request and cut out of an answer as text, and laid out for
 * reading with nothing changed but white space and the escapes of printable characters.
 */

/** A string, a mark, or a number or word. */
const token = /"(?:[^"\\]|\\[^])*"|[{}[\],:]|[^\s"{}[\],:]+/g
const opens = (/** @type {string | undefined} */ mark) => mark === '{' || mark === '['
const closes = (/** @type {string | undefined} */ mark) => mark === '}' || mark === ']'

/**
 * Reads an answer that is one message, or a page of them.
 * @param {string} text
 */
export const readMessages = text => readBodies(text, 'messages')

/**
 * Reads an answer that has a body, or a list of answers that have one. Each body is given back as
 * `bodyText`, and a result as `resultText`: JSON.parse would change 1.0 and a number of twenty digits.
 * @param {string} text
 * @param {string} list the name of the list
 * @returns {any}
 */
export function readBodies(text, list) {
  const { texts, rest } = cutTexts(text, text.startsWith(`{"${list}":`) ? 3 : 1)
  const answer = JSON.parse(rest)
  for (const item of answer[list] ?? [answer]) {
    if (item.result !== undefined) item.resultText = texts[item.result]
    delete item.result
    if (item.body === undefined) continue
    const body = texts[item.body]
    item.bodyText = (item.contentType ?? 'application/json') === 'application/json' ? body : JSON.parse(body)
    delete item.body
  }
  return answer
}

/**
 * The text of an object with these fields and this `body`. The body is put in as text, because reading and
 * writing it again would change its numbers.
 * @param {string} body JSON
 * @param {object} fields
 */
export function withBody(body, fields) {
  const others = JSON.stringify(fields)
  return others === '{}' ? `{"body":${body}}` : `{"body":${body},${others.slice(1)}`
}

/** The members whose values are cut out. */
const cutNames = ['"body"', '"result"']

/**
 * The values of every `body` and `result` at this depth, and the text with the index of each in its
 * place.
 * @param {string} text
 * @param {number} cutDepth
 */
function cutTexts(text, cutDepth) {
  /** @type {string[]} */
  const texts = []
  let rest = ''
  let restFrom = 0
  let cutFrom = -1
  let depth = 0
  let key = ''
  let last = ''
  for (const { 0: part, index } of text.matchAll(token)) {
    if (cutFrom >= 0 && depth === cutDepth && (part === ',' || part === '}')) {
      rest += texts.push(text.slice(cutFrom, index)) - 1
      restFrom = index
      cutFrom = -1
    }
    if (opens(part)) depth++
    else if (closes(part)) depth--
    else if (part === ':') key = last
    if (part === ':' && cutNames.includes(key) && depth === cutDepth && cutFrom < 0) {
      cutFrom = index + 1
      rest += text.slice(restFrom, cutFrom)
    }
    last = part
  }
  return { texts, rest: rest + text.slice(restFrom) }
}

/** An escape of one character: a half of a surrogate pair takes the other half with it. */
const escape = /\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|[^])/gi
/** What is seen as itself. Control and format characters, which can hide or reorder text, are not. */
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u

/**
 * A token as the page shows it.
 * @param {string} part
 */
function shownPart(part) {
  if (part === ':') return ': '
  return part.startsWith('"') ? unescaped(part) : part
}

/**
 * A string of JSON with the escapes of printable characters written as the characters.
 * @param {string} text
 */
function unescaped(text) {
  return text.replaceAll(escape, (whole, high, low, unit) => {
    const units = high === undefined ? [unit] : [high, low]
    if (units[0] === undefined) return whole === '\\/' ? '/' : whole
    const character = String.fromCharCode(...units.map(hex => Number.parseInt(hex, 16)))
    return printable.test(character) && character !== '"' && character !== '\\' ? character : whole
  })
}

/**
 * JSON in lines: pieces of text, each with its kind. Every number, word and name stays as it came.
 * From `charactersMax` characters on, the rest is one piece, as it came.
 * @param {string} text
 * @param {number} charactersMax
 * @returns {{ pieces: { kind: string, text: string }[], isWhole: boolean }}
 */
export function pretty(text, charactersMax) {
  /** @type {{ kind: string, text: string }[]} */
  const pieces = []
  let indent = 0
  let characters = 0
  const add = (/** @type {string} */ kind, /** @type {string} */ text) => {
    characters += text.length
    pieces.push({ kind, text })
  }
  const newLine = () => add('', `\n${'  '.repeat(indent)}`)
  let before = ''
  for (const { part, next, index } of tokensOf(text)) {
    if (characters >= charactersMax) {
      return { pieces: [...pieces, { kind: '', text: text.slice(index) }], isWhole: false }
    }
    if (closes(part)) {
      indent--
      if (!opens(before)) newLine()
    }
    add(kindOf(part, next), shownPart(part))
    if (opens(part)) {
      indent++
      if (!closes(next)) newLine()
    } else if (part === ',') newLine()
    before = part
  }
  return { pieces, isWhole: true }
}

/**
 * The tokens of a text, each with the one after it and where it begins.
 * @param {string} text
 */
function* tokensOf(text) {
  let last = null
  for (const { 0: part, index } of text.matchAll(token)) {
    if (last !== null) yield { ...last, next: part }
    last = { part, index }
  }
  if (last !== null) yield { ...last, next: undefined }
}

/**
 * @param {string} part
 * @param {string | undefined} next
 */
function kindOf(part, next) {
  if (part.startsWith('"')) return next === ':' ? 'key' : 'string'
  if (/^[-\d]/.test(part)) return 'number'
  return /^[a-z]/.test(part) ? 'word' : ''
}

/**
 * The first bytes as a hex dump: position, bytes, and the characters that can be printed.
 * @param {Uint8Array} bytes
 * @param {number} max
 */
export function hexDump(bytes, max) {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, max); at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    const position = at.toString(16).padStart(6, '0')
    const hex = row.map(byte => byte.toString(16).padStart(2, '0')).join(' ')
    const printed = row.map(byte => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')
    lines.push(`${position}  ${hex.padEnd(47)}  ${printed}`)
  }
  return lines.join('\n')
}
