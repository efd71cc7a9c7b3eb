/** How long standstills may wait for others. The store's part is tested in races/lines.test.ts. */
import t from 'tap'
import { Elsewhere } from '../../src/core/engine/elsewhere.ts'
import { messagesBusy, Standstills } from '../../src/core/engine/standstills.ts'
import { standstillMsMax, standstillMsPerSecond } from '../../src/core/limits.ts'
import type { Caller } from '../../src/core/caller.ts'
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

/** A standstill that uses up so many seconds of the caller's. Answers its waits. */
function lasting(standstills: Standstills, caller: Caller, seconds: number): Promise<number[]> {
  const waits: number[] = []
  return standstills.run(caller, async begin => {
    waits.push(begin())
    const untilMs = performance.now() + seconds * standstillMsPerSecond
    while (performance.now() < untilMs);
    return waits
  })
}

t.test('a caller that rests comes back to the same wait, and another caller need not rest', async t => {
  const standstills = new Standstills()
  t.strictSame(await lasting(standstills, tester, 2), [10])
  const begunMs = performance.now()
  t.strictSame(await lasting(standstills, callerNamed('another'), 2), [10])
  t.ok(performance.now() - begunMs < 500)
  t.strictSame(await lasting(standstills, tester, 2), [10])
  t.ok(performance.now() - begunMs > 900, 'two seconds of standstills are rested for')
})

t.test('at two places, a caller gets half of the standstills at each', async t => {
  const told: string[] = []
  const elsewhere = new Elsewhere(callerIds => told.push(...callerIds))
  const standstills = new Standstills(elsewhere)
  elsewhere.hear('another replica', [tester.id])
  await lasting(standstills, tester, 1.25)
  const begunMs = performance.now()
  await lasting(standstills, tester, 1)
  t.ok(performance.now() - begunMs > 1400, 'it rests for 1.5 s, not 0.25')
  t.strictSame(told, [tester.id], 'the others are told')
})
