/**
 * Promises of the request reader: it takes what JSON.parse takes, keeps bodies to the letter, and
 * cannot be tripped up.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { parseEnvelope, RawJson } from '../../src/core/engine/envelope.ts'
import { QueueError } from '../../src/core/errors.ts'
import { headersMax, listMax } from '../../src/core/limits.ts'
import { edited, outline, text, valueOf, type Node } from './jsonTexts.ts'

const isRaw = (path: string): boolean =>
  /^(\/(messages|then|acks?)\/#\d+(\/then\/#\d+)?)?\/(body|result)$/.test(path)
const step = (path: string, name: string): string =>
  `${path}/${name.replaceAll('/', '~1').replaceAll('#', '~2')}`

/**
 * Whether the reader must refuse what JSON.parse takes: a repeated name, or __proto__. In a path an
 * index is written #3, and no name starts with #.
 */
function isRefused(node: Node, path = ''): boolean {
  if ('scalar' in node || isRaw(path)) return false
  if ('items' in node) return node.items.some((item, index) => isRefused(item, `${path}/#${index}`))
  const names = node.pairs.map(([name]) => name)
  return (
    new Set(names).size < names.length ||
    names.includes('__proto__') ||
    node.pairs.some(([name, inner]) => isRefused(inner, step(path, name)))
  )
}

/** The value with every RawJson parsed. Asserts that there is one for each body, and no other. */
function opened(value: unknown, source: string, path = ''): unknown {
  assert.equal(value instanceof RawJson, isRaw(path), `raw or not at ${path}`)
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
  throw new assert.AssertionError({ message: `not refused: ${text.slice(0, 80)}` })
}

/** Whether the reader takes the text, having checked that this is right. */
function agree(text: string): boolean {
  let expected: Node
  try {
    JSON.parse(text)
    expected = outline(text)
    if (isRefused(expected)) throw new SyntaxError('refused')
  } catch {
    refusal(text)
    return false
  }
  assert.deepEqual(opened(parseEnvelope(text), text), valueOf(expected))
  return true
}

/**
 * The least of three times, in milliseconds of the processor: others may be at work on this
 * machine.
 */
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

t.test('it takes what JSON.parse takes, and gives the same value', async t => {
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

t.test('it refuses what JSON.parse refuses, however the text is damaged', async t => {
  let taken = 0
  fc.assert(
    fc.property(edited, text => {
      taken += Number(agree(text))
    }),
    { numRuns: 2000 }
  )
  t.ok(taken > 100 && taken < 1900, `${taken} of 2000 damaged texts taken`)
})

t.test('it knows each rule of the grammar, in the envelope and in a body', async t => {
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
  // The reader goes over strings in runs, and must see a forbidden character at any place.
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

t.test('a body is the exact text that was sent', async t => {
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

t.test('results and next messages of acks are the exact text too', async t => {
  const raw = (text: string) => new RawJson(text)
  const next = '{"queue":"q","body": 1.0 }'
  const ack = `{"receipt":"r","result":{"a":1,"a":2},"then":[${next}]}`
  const read = { receipt: 'r', result: raw('{"a":1,"a":2}'), then: [{ queue: 'q', body: raw('1.0') }] }
  t.strictSame(parseEnvelope(ack), read)
  t.strictSame(parseEnvelope(`{"acks":[${ack}]}`), { acks: [read] })
  t.strictSame(parseEnvelope(`{"max":2,"ack":["r",${ack}]}`), { max: 2, ack: ['r', read] })
  t.strictSame(
    parseEnvelope('{"a":{"result":[1]},"then":{"body":1},"acks":[{"then":{"body":2}},[{"body":3}]]}'),
    { a: { result: [1] }, then: { body: 1 }, acks: [{ then: { body: 2 } }, [{ body: 3 }]] }
  )
})

t.test('names that mean something to JavaScript are plain members, and __proto__ is refused', async t => {
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

t.test('a member given twice is refused, however it is spelt', async t => {
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

t.test('a refusal says where and what', async t => {
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

t.test('a text cut short anywhere is refused, and nothing else is thrown', async t => {
  const whole = ' {"body":{"a":[1.5e+3,"\\u00e9\\n",true]},"messages":[{"body":null,"k":-0.1}],"s":"é\\\\"}'
  for (let end = 0; end < whole.length; end++) refusal(whole.slice(0, end))
  t.ok(agree(whole))
})

t.test('a full list has few enough values, and a request with very many is refused at once', async t => {
  const headers = Object.fromEntries(Array.from({ length: headersMax }, (_, i) => [`h${i}`, 'x']))
  const options = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`option${i}`, 1]))
  const messages = Array(listMax).fill({ ...options, headers, body: [1, 2, 3] })
  t.doesNotThrow(() => parseEnvelope(JSON.stringify({ messages })))
  t.doesNotThrow(() => parseEnvelope(`{"body":[${'1,'.repeat(200_000)}1]}`), 'a body may hold more')
  const members = Array.from({ length: 1001 }, (_, i) => `"m${i}":1`)
  t.doesNotThrow(() => parseEnvelope(`{${members.slice(1).join(',')}}`))
  t.match(refusal(`{${members.join(',')}}`).message, /^more than 1000 members in one object/)
  t.match(refusal(`[${'{},'.repeat(200_000)}1]`).message, /^more than 100000 values at character 2\d{5}$/)
})

t.test('nesting deeper than 1000 levels is refused at once', async t => {
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

t.test('reading takes linear time', async t => {
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
