/** Refusals: at once while they are few; in a flood late, and at last with their connection closed. */
import t from 'tap'
import { Pace } from '../../src/http/pace.ts'

t.test('a few are answered at once, a flood later and later, but never later than a second', async (t) => {
  const pace = new Pace()
  const late = Array.from({ length: 100_000 }, () => pace.next(0))
  t.strictSame(new Set(late.slice(0, 50).map(({ lateMs }) => lateMs)), new Set([0]))
  t.ok(late[1500]!.lateMs >= 500, `${late[1500]!.lateMs} ms`)
  t.ok(late.every(({ lateMs }) => lateMs <= 1000))
  t.ok(late.every(({ turnOut }) => !turnOut), 'who has nothing left to send keeps the connection')
})

t.test('large bodies are late sooner, and when there are too many to be read their connections are closed', async (t) => {
  const pace = new Pace()
  const late = Array.from({ length: 128 }, () => pace.next(500_000))
  t.strictSame(late[0], { lateMs: 0, turnOut: false })
  t.ok(late[30]!.lateMs >= 200, `${late[30]!.lateMs} ms`)
  t.ok(late[127]!.turnOut && late[127]!.lateMs >= 900)
  t.strictSame(pace.next(500_000), { lateMs: 0, turnOut: true }, 'no more wait with what they have sent in memory')
  for (let i = 0; i < 100; i++) pace.answered(500_000)
  t.ok(pace.next(500_000).lateMs >= 900, 'and there is room again')
  const small = new Pace()
  t.ok(Array.from({ length: 800 }, () => small.next(20_000)).every(({ lateMs }, index) => index < 100 || lateMs > 0), 'small bodies take little')
})
