/** When a clock fires. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startClock } from '../../src/jobs/clock.ts'

t.test('what is overdue fires, however often it is told', async t => {
  const firings: number[] = []
  const clock = startClock(
    async () => {
      firings.push(Date.now())
      return Infinity
    },
    error => t.fail(String(error))
  )
  t.teardown(() => clock.stop())
  await clock.fireNow()
  const before = firings.length
  const endMs = Date.now() + 2000
  while (firings.length === before && Date.now() < endMs) {
    clock.dueAt(Date.now() - 1)
    await pause(10)
  }
  t.ok(firings.length > before)
})
