/**
 * Promises of the request reader: takes what JSON.parse takes, keeps bodies to the letter, cannot
 * be tripped up.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'tap'
import { parseEnvelope, RawJson } from '../../src/core/engine/envelope.ts'
import { QueueError } from '../../src/core/errors.ts'

/** An object is a list of pairs here, so that a name given twice can be told. */
type Node = { pairs: [string, Node][] } | { items: Node[] } | { scalar: unknown }

/** Reads what JSON.parse has accepted; apart from that it shares nothing with the code under test. */
function outline(text: string): Node {
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
 * The value of a text. Not JSON.parse's own: once V8 has read an object with a member named by one
 * backslash, it may take another member whose name is written as one escape for it
 * (https://github.com/nodejs/node/issues/63785).
 */
function valueOf(node: Node): unknown {
  if ('scalar' in node) return node.scalar
  if ('items' in node) return node.items.map(valueOf)
  return Object.fromEntries(node.pairs.map(([name, inner]) => [name, valueOf(inner)]))
}

const isBody = (path: string): boolean => /^(\/messages\/#\d+)?\/body$/.test(path)
const step = (path: string, name: string): string =>
  `${path}/${name.replaceAll('/', '~1').replaceAll('#', '~2')}`

/**
 * Whether one of the refusals JSON.parse does not know applies. An index is written #3, a name
 * never starts so.
 */
function refused(node: Node, path = ''): boolean {
  if ('scalar' in node || isBody(path)) return false
  if ('items' in node) return node.items.some((item, index) => refused(item, `${path}/#${index}`))
  const names = node.pairs.map(([name]) => name)
  return (
    new Set(names).size < names.length ||
    names.includes('__proto__') ||
    node.pairs.some(([name, inner]) => refused(inner, step(path, name)))
  )
}

/** The value with every RawJson parsed, having checked that they are where they belong and nowhere else. */
function opened(value: unknown, source: string, path = ''): unknown {
  assert.equal(value instanceof RawJson, isBody(path), `raw or not at ${path}`)
  if (value instanceof RawJson) {
    assert.ok(source.includes(value.text) && value.text === value.text.trim())
    return valueOf(outline(value.text))
  }
  if (Array.isArray(value)) return value.map((item, index) => opened(item, source, `${path}/#${index}`))
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, inner]) => [
    name,
    opened(inner, source, step(path, name))
  ])
  return Object.fromEntries(members)
}

function refusal(text: string): { pointer: string; message: string } {
  try {
    parseEnvelope(text)
  } catch (error) {
    assert.ok(error instanceof QueueError, `a ${error} instead of a refusal`)
    assert.equal(error.code, 'malformedJson')
    assert.equal(error.faults.length, 1)
    assert.ok(error.message.length < 200 && error.faults[0]!.pointer.length <= 128)
    return error.faults[0]!
  }
  throw new assert.AssertionError({ message: `taken: ${text.slice(0, 80)}` })
}

function agree(text: string): boolean {
  let expected: Node
  try {
    JSON.parse(text)
    expected = outline(text)
    if (refused(expected)) throw new SyntaxError('refused')
  } catch {
    refusal(text)
    return false
  }
  assert.deepEqual(opened(parseEnvelope(text), text), valueOf(expected))
  return true
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
// Left to chance, `messages` would seldom be an array of objects at the top.
const message = objectOf(fc.tuple(space, name, space, value))
const messages = fc.tuple(space, fc.constant('"messages"'), space, listOf(message))
const request = objectOf(fc.tuple(space, name, space, value), messages)
const text = fc.oneof(value, message, request)
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
const edited = fc.tuple(text, edits).map(([source, edits]) =>
  edits.reduce((now, { at, cut, put }) => {
    const place = at % (now.length + 1)
    return now.slice(0, place) + put + now.slice(place + cut)
  }, source)
)

/** Milliseconds, the least of three. */
// Of the processor, not of the clock: somebody else may be at work on this machine.
function time(text: string): number {
  return Math.min(
    ...[1, 2, 3].map(() => {
      const before = process.cpuUsage()
      try {
        parseEnvelope(text)
      } catch (error) {
        assert.ok(error instanceof QueueError)
      }
      return process.cpuUsage(before).user / 1000
    })
  )
}

test('takes what JSON.parse takes, and gives the same value', async t => {
  let taken = 0
  fc.assert(
    fc.property(text, text => {
      taken += Number(agree(text))
    }),
    { numRuns: 1000 }
  )
  t.ok(
    taken > 500 && taken < 1000,
    `${taken} of 1000 well-formed texts taken, the others have a forbidden member`
  )
})

test('refuses what JSON.parse refuses, however the text is damaged', async t => {
  let taken = 0
  fc.assert(
    fc.property(edited, text => {
      taken += Number(agree(text))
    }),
    { numRuns: 2000 }
  )
  t.ok(taken > 100 && taken < 1900, `${taken} of 2000 damaged texts taken`)
})

test('knows each rule of the grammar, in the envelope and in a body', async t => {
  const bad = [
    '',
    '01',
    '-',
    '-01',
    '+1',
    '.5',
    '1.',
    '1.e1',
    '1e',
    '1e+',
    '0x1',
    '1_0',
    '1 2',
    'NaN',
    'Infinity',
    'tru',
    'True',
    'nul',
    'truefalse',
    '"',
    '"\t"',
    '"\n"',
    '"\0"',
    '"\x1f"',
    '"\\x"',
    '"\\u12g4"',
    '"\\u123"',
    '"\\U1234"',
    '"\\',
    "'a'",
    '[1,]',
    '[,1]',
    '[1 2]',
    '[',
    ']',
    '[}',
    '[1}',
    '{"a":1]',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,}',
    '{a:1}',
    '{1:1}',
    '{"a" 1}',
    '{"a"::1}',
    '\u00a01',
    '\v1',
    '\f1',
    '1\0',
    '\u20281',
    '//',
    '/**/1'
  ]
  // A string is gone over in runs: what may not be in it must be seen at any place in it.
  for (let length = 0; length < 70; length++) {
    for (const char of '"\n\0\x1f') bad.push(`"${'é'.repeat(length)}${char}x"`)
  }
  const good = [
    '0',
    '-0',
    '0.0',
    '0e0',
    '1E+9',
    '-1.5e-3',
    '"\\u0000\\ud800\\/"',
    '"\x7f\u2028\ufeff"',
    '[]',
    '{}',
    ' [ ] ',
    '[[],{}]',
    'null'
  ]
  const around = (text: string) => [
    text,
    `{"a":${text}}`,
    `{"body":${text}}`,
    `{"body":[${text},1]}`,
    `{"messages":[{"body":${text}}]}`
  ]
  t.strictSame(bad.flatMap(around).filter(agree), [], 'none of these is taken')
  t.strictSame(
    good.flatMap(around).filter(text => !agree(text)),
    [],
    'none of these is refused'
  )
})

test('a body is the exact text it came as', async t => {
  const inner = '{"n":12345678901234567890,"a":1,"a":2,"s":"\\u0000"}'
  t.strictSame(parseEnvelope(`{"body": ${inner} }`), { body: new RawJson(inner) })
  t.strictSame(
    parseEnvelope(`{"b\\u006fdy":\n${inner}\t}`),
    { body: new RawJson(inner) },
    'its name may be escaped'
  )
  t.strictSame(
    parseEnvelope(` {"messages" : [ {"key":"k", "body" : ${inner}\r\n} , {"body":0 }, 5, [{"body":1}]]}`),
    { messages: [{ key: 'k', body: new RawJson(inner) }, { body: new RawJson('0') }, 5, [{ body: 1 }]] }
  )
  t.strictSame(parseEnvelope('{"a":{"body":[1]},"messages":{"body":1,"0":{"body":2}}}'), {
    a: { body: [1] },
    messages: { body: 1, 0: { body: 2 } }
  })
  t.strictSame(parseEnvelope('{"body":{"__proto__":{"__proto__":1},"body":2}}'), {
    body: new RawJson('{"__proto__":{"__proto__":1},"body":2}')
  })
})

test('names that mean something to JavaScript are plain members, and __proto__ is refused', async t => {
  const value = parseEnvelope(
    '{"constructor":1,"toString":2,"hasOwnProperty":3,"__defineGetter__":4}'
  ) as object
  t.strictSame(Object.entries(value), [
    ['constructor', 1],
    ['toString', 2],
    ['hasOwnProperty', 3],
    ['__defineGetter__', 4]
  ])
  t.equal(Object.getPrototypeOf(value), Object.prototype)
  for (const name of ['__proto__', '__pr\\u006fto__']) {
    t.strictSame(refusal(`{"a":[{"${name}":{}}]}`), {
      pointer: '/a/0/__proto__',
      message: 'a member may not be named __proto__ at character 7'
    })
  }
})

test('a member given twice is refused, however it is spelt', async t => {
  t.strictSame(refusal('{"a":1,"a":1}'), {
    pointer: '/a',
    message: 'a second member of this name at character 7'
  })
  t.equal(refusal('{"body":1,"b\\u006fdy":1}').pointer, '/body')
  t.equal(refusal('{"x/y~":{"":{"":1,"":2}}}').pointer, '/x~1y~0//')
  t.equal(refusal('{"messages":[{"body":{}},{"body":1,"k":2,"body":3}]}').pointer, '/messages/1/body')
  t.equal(
    refusal(`{"${'n'.repeat(1e6)}":1,"${'n'.repeat(1e6)}":2}`).pointer,
    '',
    'and a long name is not echoed'
  )
})

test('a refusal says where and what', async t => {
  t.strictSame(refusal('{"body":{"a":1 "b":2}}'), {
    pointer: '/body',
    message: "expected ',' or '}' at character 15"
  })
  t.strictSame(refusal('{"messages":[{"body":1},{"delay":x}]}'), {
    pointer: '/messages/1/delay',
    message: 'expected a value at character 33'
  })
  t.strictSame(refusal('{"a":1'), {
    pointer: '',
    message: "expected ',' or '}' at character 6, where the text ends"
  })
  t.strictSame(refusal(''), { pointer: '', message: 'expected a value at character 0, where the text ends' })
  t.strictSame(refusal('\ufeff{}'), { pointer: '', message: 'unexpected byte order mark at character 0' })
  t.strictSame(refusal('{} {}'), { pointer: '', message: 'expected the end of the text at character 3' })
})

test('a text cut short anywhere is refused, and nothing else is thrown', async t => {
  const whole = ' {"body":{"a":[1.5e+3,"\\u00e9\\n",true]},"messages":[{"body":null,"k":-0.1}],"s":"é\\\\"}'
  for (let end = 0; end < whole.length; end++) refusal(whole.slice(0, end))
  t.ok(agree(whole))
})

test('nesting is refused beyond 1000 levels, at once', async t => {
  const nest = (open: string, close: string, levels: number): string =>
    open.repeat(levels) + close.repeat(levels)
  const places = [
    ['', '', 0],
    ['{"a":', '}', 1],
    ['{"body":', '}', 1],
    ['{"messages":[{"body":', '}]}', 3]
  ] as const
  for (const [before, after, own] of places) {
    t.ok(agree(before + nest('[', ']', 1000 - own) + after))
    t.ok(agree(before + '{"x":'.repeat(999 - own) + '{}' + '}'.repeat(999 - own) + after))
    t.match(refusal(before + nest('[', ']', 1001 - own) + after).message, /^nested deeper than 1000 levels/)
    t.match(
      refusal(before + '{"x":'.repeat(1000 - own) + '{}' + '}'.repeat(1000 - own) + after).message,
      /^nested deeper/
    )
  }
  const bombs = [
    ['', '[', '/0'.repeat(64)],
    ['{"body":', '[', '/body'],
    ['{"body":', '{"x":', '/body']
  ] as const
  for (const [before, open, pointer] of bombs) {
    const text = before + open.repeat(2e5)
    t.equal(refusal(text).pointer, pointer)
    t.ok(time(text) < 50)
  }
})

test('the time it takes is linear', async t => {
  const members = (count: number) =>
    `{${Array.from({ length: count }, (_, index) => `"name${index}":${index}`).join(',')}}`
  const texts: Record<string, (size: number) => string> = {
    'escapes in a body': size => `{"body":"${'\\n\\u0041x'.repeat(size / 9)}"}`,
    'escapes in an envelope': size => `{"key":"${'\\n\\u0041x'.repeat(size / 9)}"}`,
    'digits in a body': size => `{"body":${'7'.repeat(size * 8)}}`,
    'digits in an envelope': size => `{"key":0.${'7'.repeat(size * 8)}}`,
    'a plain string': size => `{"body":"${'x'.repeat(size * 8)}"}`,
    'a string that does not end': size => `{"body":"${'€'.repeat(size * 8)}`,
    'white space': size => ' \n'.repeat(size) + '1' + '\t\r'.repeat(size),
    'many bodies': size => `{"messages":[${'{"body":{}},'.repeat(size / 12)}{}]}`,
    'many members': size => members(size / 20)
  }
  for (const [name, make] of Object.entries(texts)) {
    const [small, large] = [time(make(2 ** 17)), time(make(2 ** 20))]
    const took = `${small.toFixed(1)} ms, and ${large.toFixed(1)} ms for eight times as much`
    t.ok(large < 300 && large < 50 + 8 * 4 * small, `${name}: ${took}`)
  }
})
