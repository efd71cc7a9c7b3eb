/** How long standstills may wait for others. The store's part is tested in races/lines.test.ts. */
import t from 'tap'
import { messagesBusy, Standstills } from '../../src/core/engine/standstills.ts'
import { standstillMsMax, standstillMsPerSecond } from '../../src/core/limits.ts'
import { callerNamed, tester } from '../support/callers.ts'

t.test('a standstill waits briefly at first, and twice as long each time that others were busy', async t => {
  const waits: number[] = []
  const answer = await new Standstills().run(tester, async begin => {
    waits.push(begin())
    if (waits.length < 5) throw messagesBusy
    return 'done'
  })
  t.equal(answer, 'done')
  t.strictSame(waits, [10, 20, 40, standstillMsMax, standstillMsMax])
})

t.test('a caller that rests comes back to the same wait, and another caller need not rest', async t => {
  const standstills = new Standstills()
  const last = (caller = tester) => {
    const waits: number[] = []
    return standstills.run(caller, async begin => {
      waits.push(begin())
      const untilMs = performance.now() + 2 * standstillMsPerSecond
      while (performance.now() < untilMs);
      return waits
    })
  }
  const firstMs = performance.now()
  t.strictSame(await last(), [10])
  t.strictSame(await last(callerNamed('another')), [10])
  const otherMs = performance.now() - firstMs
  t.strictSame(await last(), [10])
  t.ok(performance.now() - firstMs > otherMs + 900, 'twice a second of standstills is rested for')
})
