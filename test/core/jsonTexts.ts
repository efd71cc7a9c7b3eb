/** JSON texts made at random, and a reader of them for the tests to compare with. */
import fc from 'fast-check'

/** A JSON value. An object is a list of pairs, so that a repeated name can be seen. */
export type Node = { pairs: [string, Node][] } | { items: Node[] } | { scalar: unknown }

/** Reads a text that JSON.parse has accepted. It shares no code with what is tested. */
export function outline(text: string): Node {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s{}[\]",:]+/g)!
  let at = 0
  const read = (): Node => {
    const token = tokens[at++]
    if (token === '{') {
      const pairs: [string, Node][] = []
      while (tokens[at] !== '}') pairs.push([JSON.parse(tokens[at++]!), read()])
      at++
      return { pairs }
    }
    if (token !== '[') return { scalar: JSON.parse(token!) }
    const items: Node[] = []
    while (tokens[at] !== ']') items.push(read())
    at++
    return { items }
  }
  return read()
}

/**
 * The value of a text. JSON.parse would not do. V8 may take a member whose name is a single escape for
 * an earlier one that is named by one backslash (https://github.com/nodejs/node/issues/63785).
 */
export function valueOf(node: Node): unknown {
  if ('scalar' in node) return node.scalar
  if ('items' in node) return node.items.map(valueOf)
  return Object.fromEntries(node.pairs.map(([name, inner]) => [name, valueOf(inner)]))
}

const space = fc.array(fc.constantFrom(' ', '\t', '\n', '\r'), { maxLength: 2 }).map(run => run.join(''))
const piece = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).map(char => JSON.stringify(char).slice(1, -1)),
  fc.constantFrom(
    '\\"',
    '\\\\',
    '\\/',
    '\\b',
    '\\f',
    '\\n',
    '\\r',
    '\\t',
    '\\u0000',
    '\\uD83D',
    '\\u00e9',
    '\\uFFff',
    '\u2028',
    '\x7f',
    'x'.repeat(15)
  )
)
const string = fc.array(piece, { maxLength: 5 }).map(pieces => `"${pieces.join('')}"`)
const names = [
  '"body"',
  '"b\\u006fdy"',
  '"messages"',
  '"m\\u0065ssages"',
  '"a"',
  '"0"',
  '"1"',
  '"toString"',
  '"constructor"'
]
const name = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...names) },
  { weight: 1, arbitrary: fc.constantFrom('"__proto__"', '"__pr\\u006fto__"') },
  { weight: 4, arbitrary: string }
)
const number = fc.oneof(
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?$/),
  fc.constantFrom('-0', '1e309', '0.1', '5e-324', '12345678901234567890')
)
const listOf = (element: fc.Arbitrary<string>) =>
  fc.array(element, { maxLength: 4 }).map(items => `[${items.join(',')}]`)
const objectOf = (...members: fc.Arbitrary<[string, string, string, string]>[]) =>
  fc
    .array(fc.oneof(...members), { maxLength: 4 })
    .map(
      list => `{${list.map(([before, name, after, value]) => `${before}${name}${after}:${value}`).join(',')}}`
    )
const { value } = fc.letrec<{ value: string }>(tie => ({
  value: fc
    .tuple(
      space,
      fc.oneof(
        { maxDepth: 4, depthSize: 'medium' },
        number,
        string,
        fc.constantFrom('true', 'false', 'null', '[]', '{ }'),
        listOf(tie('value')),
        objectOf(fc.tuple(space, name, space, tie('value')))
      ),
      space
    )
    .map(parts => parts.join(''))
}))
// By chance alone, `messages` would seldom be an array of objects at the top.
const message = objectOf(fc.tuple(space, name, space, value))
const messages = fc.tuple(space, fc.constant('"messages"'), space, listOf(message))
const request = objectOf(fc.tuple(space, name, space, value), messages)
/** Texts that are JSON. */
export const text = fc.oneof(value, message, request)
const junk = fc.oneof(
  fc.constantFrom(
    ...'{}[],:"\\ \t\n\r\0\x1f\x0b0123456789+-.eEtrufalsn/\u00a0\u2028\ufeff',
    'body',
    '"a":1,',
    '\\u00',
    '00',
    '{"body":',
    '['
  ),
  fc.string({ unit: 'binary', maxLength: 1 })
)
const edit = fc.record({
  at: fc.nat({ max: 0xffff }),
  cut: fc.nat({ max: 2 }),
  put: fc.oneof(fc.constant(''), junk)
})
const edits = fc.array(edit, { minLength: 1, maxLength: 3 })
/** Texts that were JSON, and were damaged in one to three places. */
export const edited = fc.tuple(text, edits).map(([source, edits]) =>
  edits.reduce((now, { at, cut, put }) => {
    const place = at % (now.length + 1)
    return now.slice(0, place) + put + now.slice(place + cut)
  }, source)
)
