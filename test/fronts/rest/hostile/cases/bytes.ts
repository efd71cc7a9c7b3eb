/** Bytes that are not HTTP, or are HTTP that two readers could read in two ways. */
import type { Case } from './case.ts'

export const head =
  'POST /queues/q/messages HTTP/1.1\r\n' +
  'host: localhost\r\n' +
  'connection: close\r\n' +
  'content-type: application/json\r\n'
const chunked = `${head}transfer-encoding: chunked\r\n`

const malformed: Record<string, string | Buffer> = {
  garbage: 'hello\r\n\r\n',
  'the first bytes of TLS': Buffer.from('160301020001000001fc0303', 'hex'),
  'the banner of SSH': 'SSH-2.0-OpenSSH_9.9\r\n',
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/0.9': 'GET /livez\r\n\r\n',
  'a method in small letters': 'get /livez HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'no host': 'GET /livez HTTP/1.1\r\n\r\n',
  'two hosts': `${head}Host: localhost\r\ncontent-length: 10\r\n\r\n{"body":1}`,
  'two hosts of a probe': 'GET /livez HTTP/1.1\r\nhost: localhost\r\nHOST: evil.example\r\n\r\n',
  'length and chunked together': `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  'chunked and length together': `${chunked}content-length: 5\r\n\r\n0\r\n\r\n`,
  'a request hidden behind both':
    `${head}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n` +
    'DELETE /queues/other HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'chunked, then something else': `${head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  'almost chunked': `${head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'chunked with a space': `${head}transfer-encoding: chunk ed\r\n\r\n0\r\n\r\n`,
  'chunked with a space before the colon': `${head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n`,
  'a chunk size that is no number': `${chunked}\r\nZZ\r\n`,
  'a chunk size of 17 digits': `${chunked}\r\n10000000000000000\r\n`,
  'a negative chunk size': `${chunked}\r\n-1\r\n`,
  'a chunk size as in C': `${chunked}\r\n0x5\r\n`,
  'a chunk longer than it says': `${chunked}\r\n2\r\n{"body":1}\r\n0\r\n\r\n`,
  'a chunk that ends in a line feed only': `${chunked}\r\na\n{"body":1}\n0\n\n`,
  ...Object.fromEntries(
    ['-1', '+10', '1e1', '0x0a', '10, 11', '10 10', '99999999999999999999', ''].map(length => [
      `the length ${JSON.stringify(length)}`,
      `${head}content-length: ${length}\r\n\r\n{"body":1}`
    ])
  ),
  'two lengths': `${head}content-length: 10\r\ncontent-length: 11\r\n\r\n{"body":1}`,
  'two equal lengths': `${head}content-length: 10\r\ncontent-length: 10\r\n\r\n{"body":1}`,
  'a header folded over two lines': `${head}x: a\r\n content-length: 10\r\n\r\n{"body":1}`,
  'a header ended by a carriage return': `${head}x: a\rcontent-length: 10\r\n\r\n{"body":1}`,
  'a header with NUL': `${head}user-agent: a\0b\r\ncontent-length: 10\r\n\r\n{"body":1}`,
  'a header without a name': `${head}: a\r\ncontent-length: 10\r\n\r\n{"body":1}`
}

const chunkOf64KiB = `10000\r\n${'x'.repeat(65_536)}\r\n`

export const bytes: Case[] = [
  ...Object.entries(malformed).map(([name, bytes]): Case => ({ name, bytes, code: 'malformedRequest' })),
  { name: '17 kB of headers', bytes: `${head}x: ${'a'.repeat(17_000)}\r\n\r\n`, code: 'headersTooLarge' },
  { name: '2001 headers', bytes: `${head}${'x1234567: y\r\n'.repeat(2001)}\r\n`, code: 'headersTooLarge' },
  {
    name: 'a transfer coding before chunked',
    bytes: `${head}transfer-encoding: gzip, chunked\r\n\r\na\r\n{"body":1}\r\n0\r\n\r\n`,
    code: 'unsupportedMediaType'
  },
  {
    name: 'a body over the limit without a length',
    bytes: `${chunked}\r\n${chunkOf64KiB.repeat(50)}0\r\n\r\n`,
    code: 'requestTooLarge'
  },
  {
    name: 'a body over the limit that waits for leave',
    bytes: `${head}expect: 100-continue\r\ncontent-length: 3000001\r\n\r\n`,
    code: 'requestTooLarge'
  },
  {
    name: 'an address of another host',
    bytes: 'GET http://evil.example/.env HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n',
    code: 'forbidden'
  },
  {
    name: 'a request to become a websocket',
    bytes:
      'GET /chat HTTP/1.1\r\nhost: localhost\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\r\n',
    code: 'routeNotFound'
  },
  {
    name: 'headers that never end',
    bytes: 'POST /queues/q/messages HTTP/1.1\r\nhost: localhost\r\n',
    code: 'requestTimeout'
  },
  { name: 'a body that never ends', bytes: `${head}content-length: 10\r\n\r\n{"bod`, code: 'requestTimeout' },
  { name: 'chunks that never end', bytes: `${chunked}\r\n5\r\n{"bod\r\n`, code: 'requestTimeout' }
]
