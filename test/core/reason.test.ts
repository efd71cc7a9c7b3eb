/** Reasons of failures: what is folded, and what is not. */
import t from 'tap'
import { foldReason, pieceOf } from '../../src/core/reason.ts'

t.test('reasons that differ only in numbers, ids, quoted parts or white space fold into one', t => {
  const alike = [
    ['timeout after 31 ms', 'timeout after 47 ms', 'timeout after 1,204.5 ms'],
    ['timeout after 31ms', 'timeout after 4ms'],
    ['connect ECONNREFUSED 10.0.0.1:5432', 'connect ECONNREFUSED 10.1.22.3:6543'],
    ['no user "ada"', 'no user "grace hopper"', 'no user ""'],
    ["no file '/a/b'", "no file 'c'"],
    ['unknown `id`', 'unknown `name`'],
    ['order 7f3c9d2e1a lost', 'order 0b44aa91cd lost'],
    ['order 6f9619ff-8b86-d011-b42d-00cf4fc964ff lost', 'order deadbeef-dead-beef-dead-beefdeadbeef lost'],
    ['msg_01HV9C5T3K8ZQW gone', 'msg_01HV9C6M0RBXYN gone'],
    ['line one\n  at main.ts:12', 'line one at main.ts:7\n']
  ]
  for (const reasons of alike) {
    t.equal(new Set(reasons.map(foldReason)).size, 1, reasons.map(foldReason).join(' | '))
  }
  t.equal(foldReason('timeout after 31 ms'), 'timeout after # ms')
  t.end()
})

t.test('reasons of different kinds stay apart', t => {
  const apart = [
    'timeout after 3 ms',
    'timeout before 3 ms',
    "can't connect, the host's port is shut",
    "can't connect, the guest's port is shut",
    'ERR_HTTP2_STREAM_ERROR',
    'ERR_HTTP2_SESSION_ERROR',
    'no user "ada"',
    'no queue "ada"',
    ''
  ]
  t.equal(new Set(apart.map(foldReason)).size, apart.length)
  t.end()
})

t.test('a long reason that nests quotes and digits is folded in linear time', t => {
  for (const part of ["'", '"', '1a', 'a1', "' ", '`', '“', '1.', '\n']) {
    const startedMs = performance.now()
    foldReason(part.repeat(500))
    t.ok(performance.now() - startedMs < 100, JSON.stringify(part))
  }
  t.end()
})

t.test('a piece is what a filter by reason finds in all of them', t => {
  t.equal(pieceOf(foldReason('timeout after 31 ms')), 'timeout after')
  t.equal(pieceOf(foldReason('12: mailbox "ada" is full')), 'mailbox')
  t.equal(pieceOf(foldReason('500')), null)
  t.equal([...pieceOf('😀'.repeat(150) + 'ab'.repeat(150))!].length, 200, 'no longer than a filter may be')
  t.end()
})
