/** Alarms do not go off early. */
import t, { type Test } from 'tap'
import { startAlarm } from '../../src/core/engine/alarm.ts'

t.test('no alarm goes off before its time', async t => {
  const alarms = Array.from({ length: 100 }, async (_, n) => {
    const inMs = 10 + n / 3
    const sinceMs = performance.now()
    await new Promise<void>(resolve => startAlarm(inMs, resolve))
    return performance.now() - sinceMs - inMs
  })
  const lateMs = await Promise.all(alarms)
  t.strictSame(
    lateMs.filter(ms => ms < 0),
    []
  )
})

t.test('an alarm that was stopped stays silent', async t => {
  const stop = startAlarm(5, () => t.fail('it rang'))
  stop()
  await new Promise<void>(resolve => startAlarm(10, resolve))
})

/** What Node warns of: times that it does not take. */
function warningsOf(t: Test): Error[] {
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  return warnings
}

t.test('an alarm whose time is over rings soon, and Node does not warn of it', async t => {
  const warnings = warningsOf(t)
  for (const inMs of [0, -1, -1000]) await new Promise<void>(resolve => startAlarm(inMs, resolve))
  await new Promise(setImmediate)
  t.strictSame(warnings, [])
})

t.test('an alarm for the next month does not ring now, and Node does not warn of it', async t => {
  const warnings = warningsOf(t)
  const stop = startAlarm(31 * 24 * 3600 * 1000, () => t.fail('it rang'))
  await new Promise<void>(resolve => startAlarm(10, resolve))
  stop()
  t.strictSame(warnings, [])
})
