/**
 * Bodies as they came: taken out of an answer as text, and laid out for reading with nothing but
 * the white space changed.
 */

const token = /"(?:[^"\\]|\\[^])*"|[{}[\],:]|[^\s"{}[\],:]+/g

/** One message, or a page of them. @param {string} text */
export const readMessages = text => readBodies(text, 'messages')

/**
 * Reads an answer that has a body, or a list of what has one. JSON.parse would read the body too,
 * and then 1.0 and a number of twenty digits were lost; so each is cut out first and given back as
 * `bodyText`.
 * @param {string} text @param {string} list @returns {any}
 */
export function readBodies(text, list) {
  const depthWanted = text.startsWith(`{"${list}":`) ? 3 : 1
  /** @type {string[]} */
  const bodies = []
  let rest = ''
  let from = 0
  let depth = 0
  let last = ''
  let key = ''
  let begun = -1
  for (const { 0: part, index } of text.matchAll(token)) {
    if (begun >= 0 && depth === depthWanted && (part === ',' || part === '}')) {
      rest += bodies.push(text.slice(begun, index)) - 1
      from = index
      begun = -1
    }
    if (part === '{' || part === '[') depth++
    else if (part === '}' || part === ']') depth--
    else if (part === ':') key = last
    if (part === ':' && key === '"body"' && depth === depthWanted && begun < 0) {
      begun = index + 1
      rest += text.slice(from, begun)
    }
    last = part
  }
  const answer = JSON.parse(rest + text.slice(from))
  for (const one of answer[list] ?? [answer]) {
    if (one.body === undefined) continue
    const raw = bodies[one.body]
    one.bodyText = (one.contentType ?? 'application/json') === 'application/json' ? raw : JSON.parse(raw)
    delete one.body
  }
  return answer
}

/**
 * JSON in lines, as pieces with what each is. Every token is as it came. @param {string} text
 * @returns {{ kind: string, text: string }[]}
 */
export function pretty(text) {
  /** @type {{ kind: string, text: string }[]} */
  const pieces = []
  const parts = text.match(token) ?? []
  let indent = 0
  const line = () => pieces.push({ kind: '', text: `\n${'  '.repeat(indent)}` })
  for (const [i, part] of parts.entries()) {
    const opens = part === '{' || part === '['
    const closes = part === '}' || part === ']'
    const empty =
      (opens && /[}\]]/.test(parts[i + 1] ?? '') && parts[i + 1]?.length === 1) ||
      (closes && /^[{[]$/.test(parts[i - 1] ?? ''))
    if (closes) {
      indent--
      if (!empty) line()
    }
    const kind = part.startsWith('"')
      ? parts[i + 1] === ':'
        ? 'key'
        : 'string'
      : /^[-\d]/.test(part)
        ? 'number'
        : /^[a-z]/.test(part)
          ? 'word'
          : ''
    pieces.push({ kind, text: part === ':' ? ': ' : part })
    if (opens) {
      indent++
      if (!empty) line()
    } else if (part === ',') line()
  }
  return pieces
}

/**
 * The first bytes as a hex dump: position, bytes, and the characters that can be printed.
 * @param {Uint8Array} bytes
 */
export function hexDump(bytes, max = 512) {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, max); at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    lines.push(
      `${at.toString(16).padStart(6, '0')}  ${row
        .map(byte => byte.toString(16).padStart(2, '0'))
        .join(' ')
        .padEnd(
          47
        )}  ${row.map(byte => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')}`
    )
  }
  return lines.join('\n')
}
