/** Refusals are answered at once while they are few, and late in a flood. */
import t from 'tap'
import { RefusalThrottle, RefusalThrottles } from '../../../src/fronts/shared/refusalThrottle.ts'
import { callerNamed } from '../../support/callers.ts'

t.test('a few refusals come at once, a flood later and later, but never after more than 2 s', async t => {
  const throttle = new RefusalThrottle()
  const delaysMs = Array.from({ length: 100_000 }, () => throttle.next(0))
  t.strictSame(new Set(delaysMs.slice(0, 50)), new Set([0]))
  t.ok(delaysMs[1500]! >= 1000, `${delaysMs[1500]} ms`)
  t.ok(delaysMs.every(delayMs => delayMs <= 2000))
})

t.test('refusals of large bodies are delayed sooner', async t => {
  const throttle = new RefusalThrottle()
  const delaysMs = Array.from({ length: 128 }, () => throttle.next(500_000))
  t.equal(delaysMs[0], 0)
  t.ok(delaysMs[30]! >= 900, `${delaysMs[30]} ms`)
  t.ok(delaysMs[127]! >= 1900, `${delaysMs[127]} ms`)
})

t.test('the flood of one caller does not delay the refusals of another', async t => {
  const throttles = new RefusalThrottles()
  const [flooder, other] = ['flooder', 'other'].map(callerNamed)
  const delaysMs = Array.from({ length: 5000 }, () => throttles.next(flooder!, 0))
  t.ok(delaysMs.at(-1)! >= 1000)
  t.equal(throttles.next(other!, 0), 0)
})
