/** Refusals: at once while they are few, in a flood late. */
import t from 'tap'
import { RefusalThrottle } from '../../../src/fronts/shared/refusalThrottle.ts'

t.test('a few are answered at once, a flood later and later, but never later than two seconds', async t => {
  const refusalThrottle = new RefusalThrottle()
  const late = Array.from({ length: 100_000 }, () => refusalThrottle.next(0))
  t.strictSame(new Set(late.slice(0, 50)), new Set([0]))
  t.ok(late[1500]! >= 1000, `${late[1500]} ms`)
  t.ok(late.every(lateMs => lateMs <= 2000))
})

t.test('large bodies are late sooner', async t => {
  const refusalThrottle = new RefusalThrottle()
  const late = Array.from({ length: 128 }, () => refusalThrottle.next(500_000))
  t.equal(late[0], 0)
  t.ok(late[30]! >= 900, `${late[30]} ms`)
  t.ok(late[127]! >= 1900, `${late[127]} ms`)
})
