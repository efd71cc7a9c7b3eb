/** Bad enqueues: bodies, options, keys. */
import { enqueue, messages, type Case } from './case.ts'

const deep = (open: string, close: string) => open.repeat(200_000) + close.repeat(200_000)

let names = 0
const nextName = () => `${names++}`

const badBodies: Case[] = [
  enqueue('nothing', '', 'invalidRequest', ''),
  enqueue('half an object', '{', 'malformedJson'),
  enqueue('half a string', '{"body":"a', 'malformedJson', '/body'),
  enqueue('a trailing comma', '{"body":1,}', 'malformedJson'),
  enqueue('a number with a leading zero', '{"body":01}', 'malformedJson'),
  enqueue('two values', '{"body":1} 2', 'malformedJson'),
  enqueue('a byte order mark', '\ufeff{"body":1}', 'malformedJson'),
  enqueue(
    'invalid UTF-8',
    new Uint8Array([...Buffer.from('{"body":"'), 0xc3, 0x28, ...Buffer.from('"}')]),
    'malformedJson',
    ''
  ),
  enqueue('an unknown field', '{"body":1,"colour":"red"}', 'invalidRequest', '/colour'),
  enqueue('a name twice', '{"body":1,"body":2}', 'malformedJson', '/body'),
  enqueue('a name twice, once escaped', '{"body":1,"\\u0062ody":2}', 'malformedJson', '/body'),
  enqueue('__proto__', '{"body":1,"__proto__":{"priority":9}}', 'malformedJson'),
  enqueue('__proto__ in headers', '{"body":1,"headers":{"__proto__":"x"}}', 'malformedJson'),
  enqueue('constructor', '{"body":1,"constructor":{"prototype":{}}}', 'invalidRequest', '/constructor'),
  enqueue('no body', '{"priority":1}', 'invalidRequest', '/body'),
  enqueue('a bare list', '[]', 'invalidRequest', ''),
  enqueue('null', 'null', 'invalidRequest', ''),
  enqueue('a number', '1', 'invalidRequest', ''),
  enqueue('body beside messages', '{"body":1,"messages":[{"body":1}]}', 'invalidRequest', '/body'),
  enqueue('no message', '{"messages":[]}', 'invalidRequest', '/messages'),
  enqueue(
    '1001 messages',
    JSON.stringify({ messages: Array(1001).fill({ body: 1 }) }),
    'invalidRequest',
    '/messages'
  ),
  enqueue(
    'one bad message among good ones',
    '{"messages":[{"body":1},{"body":2,"priority":10},{"body":3}]}',
    'invalidRequest',
    '/messages/1/priority'
  ),
  enqueue('nesting 200,000 deep', `{"body":${deep('[', ']')}}`, 'malformedJson'),
  enqueue(
    'nesting 200,000 deep in the envelope',
    `{"headers":${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}}`,
    'malformedJson'
  ),
  enqueue('200,000 fields', `{${'"a":1,'.repeat(200_000)}"b":1}`.replaceAll('a', nextName), 'malformedJson'),
  enqueue('a million values in a field', `{"body":1,"ids":[${'1,'.repeat(1_000_000)}1]}`, 'malformedJson'),
  enqueue(
    'a field name of 2 MB is not sent back',
    `{"body":1,"${'a'.repeat(2_000_000)}":1}`,
    'invalidRequest',
    `/${'a'.repeat(199)}…`
  ),
  enqueue('a body over 1 MiB', JSON.stringify({ body: 'x'.repeat(1_048_575) }), 'bodyTooLarge', '/body'),
  enqueue(
    'a body over 1 MiB in bytes, not in characters',
    JSON.stringify({ messages: [{ body: 1 }, { body: 'é'.repeat(600_000) }] }),
    'bodyTooLarge',
    '/messages/1/body'
  ),
  enqueue('a request over the limit', JSON.stringify({ body: 'x'.repeat(3_000_001) }), 'requestTooLarge'),
  {
    name: 'a raw body over 1 MiB',
    body: 'x'.repeat(1_048_577),
    headers: { 'content-type': 'text/plain' },
    code: 'bodyTooLarge'
  }
]

const badValues: Record<string, string[]> = {
  priority: ['"4"', '1e309', '-1', 'null', '10', '1.5', 'true', '[]'],
  delaySeconds: ['"30"', '1e309', '-1', 'null', '31536001', '{}'],
  ttlSeconds: ['0', '-1', '"1"', 'null'],
  visibleAt: [
    '"soon"',
    '0',
    'null',
    '"2026-13-01T00:00:00Z"',
    '"9999-01-01T00:00:00Z"',
    '"0000-01-01T00:00:00Z"'
  ],
  maxAttempts: ['0', '1001', '"5"', '1e309'],
  idempotencyKey: ['""', `"${'k'.repeat(256)}"`, '"a\\u0001"', '"é"', '1']
}

const badOptions: Case[] = [
  ...Object.entries(badValues).flatMap(([option, values]) =>
    values.map(value =>
      enqueue(
        `${option} ${value.slice(0, 24)}`,
        `{"body":1,"${option}":${value}}`,
        'invalidRequest',
        `/${option}`
      )
    )
  ),
  enqueue(
    'delay and time together',
    '{"body":1,"delaySeconds":1,"visibleAt":"2026-01-01T00:00:00Z"}',
    'invalidRequest',
    '/visibleAt'
  ),
  enqueue('a header with U+0000', '{"body":1,"headers":{"a":"\\u0000"}}', 'invalidRequest', '/headers/a'),
  enqueue('a header name with U+0000', '{"body":1,"headers":{"a\\u0000":"x"}}', 'invalidRequest', '/headers'),
  enqueue(
    'a header with half a surrogate pair',
    '{"body":1,"headers":{"a":"\\ud800"}}',
    'invalidRequest',
    '/headers/a'
  ),
  enqueue('a header that is a number', '{"body":1,"headers":{"a":1}}', 'invalidRequest', '/headers/a'),
  enqueue(
    '65 headers',
    JSON.stringify({
      body: 1,
      headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, '']))
    }),
    'invalidRequest',
    '/headers'
  ),
  {
    name: 'an unknown query parameter',
    path: `${messages}?colour=red`,
    body: '{"body":1}',
    code: 'invalidRequest',
    pointer: 'query/colour'
  },
  {
    name: 'an option in the query of a JSON message',
    path: `${messages}?priority=1`,
    body: '{"body":1}',
    code: 'invalidRequest',
    pointer: 'query/priority'
  },
  {
    name: 'a query of 15 kB',
    path: `${messages}?${'a=b&'.repeat(3800)}`,
    body: '{"body":1}',
    code: 'invalidRequest',
    pointer: 'query/a'
  }
]

const badKeys: Case[] = [
  {
    name: 'a key in header and body that differ',
    body: '{"body":1,"idempotencyKey":"a"}',
    headers: { 'idempotency-key': 'b' },
    code: 'invalidRequest',
    pointer: '/idempotencyKey'
  },
  {
    name: 'a key for a list',
    body: '{"messages":[{"body":1}]}',
    headers: { 'idempotency-key': 'b' },
    code: 'invalidRequest',
    pointer: 'header/idempotency-key'
  },
  {
    name: 'the good key with other content',
    path: '/queues/other/messages',
    body: '{"body":"evil","idempotencyKey":"good"}',
    code: 'idempotencyMismatch'
  },
  ...['k'.repeat(256), 'a\tb', ''].map((key): Case => ({
    name: `the idempotency key ${JSON.stringify(key.slice(0, 12))} of ${key.length} characters, as a header`,
    body: '{"body":1}',
    headers: { 'idempotency-key': key },
    code: 'invalidRequest',
    pointer: 'header/idempotency-key'
  })),
  {
    name: 'an idempotency key of control characters',
    body: '{"body":1}',
    headers: { 'idempotency-key': 'a\u0001\u0002' },
    code: 'malformedRequest'
  }
]

export const enqueues: Case[] = [...badBodies, ...badOptions, ...badKeys]
