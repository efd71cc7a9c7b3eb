/**
 * Bodies exactly as they were sent: cut out of an answer as text, and laid out for reading with
 * nothing but the white space changed.
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
 * `bodyText`: JSON.parse would change 1.0 and a number of twenty digits.
 * @param {string} text
 * @param {string} list the name of the list
 * @returns {any}
 */
export function readBodies(text, list) {
  const { bodies, rest } = cutBodies(text, text.startsWith(`{"${list}":`) ? 3 : 1)
  const answer = JSON.parse(rest)
  for (const item of answer[list] ?? [answer]) {
    if (item.body === undefined) continue
    const body = bodies[item.body]
    item.bodyText = (item.contentType ?? 'application/json') === 'application/json' ? body : JSON.parse(body)
    delete item.body
  }
  return answer
}

/**
 * The values of every `body` at this depth, and the text with the index of each in its place.
 * @param {string} text
 * @param {number} bodyDepth
 */
function cutBodies(text, bodyDepth) {
  /** @type {string[]} */
  const bodies = []
  let rest = ''
  let restFrom = 0
  let bodyFrom = -1
  let depth = 0
  let key = ''
  let last = ''
  for (const { 0: part, index } of text.matchAll(token)) {
    if (bodyFrom >= 0 && depth === bodyDepth && (part === ',' || part === '}')) {
      rest += bodies.push(text.slice(bodyFrom, index)) - 1
      restFrom = index
      bodyFrom = -1
    }
    if (opens(part)) depth++
    else if (closes(part)) depth--
    else if (part === ':') key = last
    if (part === ':' && key === '"body"' && depth === bodyDepth && bodyFrom < 0) {
      bodyFrom = index + 1
      rest += text.slice(restFrom, bodyFrom)
    }
    last = part
  }
  return { bodies, rest: rest + text.slice(restFrom) }
}

/**
 * JSON in lines: pieces of text, each with its kind. Every token stays as it came.
 * @param {string} text
 * @returns {{ kind: string, text: string }[]}
 */
export function pretty(text) {
  /** @type {{ kind: string, text: string }[]} */
  const pieces = []
  const parts = text.match(token) ?? []
  let indent = 0
  const newLine = () => pieces.push({ kind: '', text: `\n${'  '.repeat(indent)}` })
  for (const [i, part] of parts.entries()) {
    const isEmpty = (opens(part) && closes(parts[i + 1])) || (closes(part) && opens(parts[i - 1]))
    if (closes(part)) {
      indent--
      if (!isEmpty) newLine()
    }
    pieces.push({ kind: kindOf(part, parts[i + 1]), text: part === ':' ? ': ' : part })
    if (opens(part)) {
      indent++
      if (!isEmpty) newLine()
    } else if (part === ',') newLine()
  }
  return pieces
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
