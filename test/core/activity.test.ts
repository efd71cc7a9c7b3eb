/** Whether a caller is alone. */
import t from 'tap'
import { pushCaller, pushesOf } from '../../src/core/caller.ts'
import { Activity } from '../../src/core/engine/activity.ts'
import { callerNamed } from '../support/callers.ts'

const [a, b] = ['a', 'b'].map(callerNamed)

t.test('a caller that calls again and again is alone, until another one calls', async t => {
  const activity = new Activity()
  t.notOk(activity.hasOthers(a!))
  for (let call = 0; call < 3; call++) activity.note('a')
  t.notOk(activity.hasOthers(a!))
  t.ok(activity.hasOthers(b!))
  activity.note('b')
  activity.note('a')
  t.ok(activity.hasOthers(a!))
  t.ok(activity.hasOthers(b!))
})

t.test('who has not called in the last 250 ms counts no more', async t => {
  const activity = new Activity()
  activity.note('b', performance.now() - 260)
  activity.note('a')
  t.notOk(activity.hasOthers(a!))
})

t.test('a caller is itself at every replica, and callers of another replica are others', async t => {
  const activity = new Activity()
  activity.note('a')
  activity.noteElsewhere(['a'])
  t.notOk(activity.hasOthers(a!))
  activity.noteElsewhere(['a', 'b'])
  t.ok(activity.hasOthers(a!))
})

t.test('pushes are the work of whoever has set them', async t => {
  const activity = new Activity()
  activity.note('a')
  for (const id of [pushesOf('a').id, pushCaller.id]) activity.note(id)
  activity.noteElsewhere([pushesOf('a').id, pushCaller.id])
  t.notOk(activity.hasOthers(a!))
  t.notOk(activity.hasOthers(pushesOf('a')))
  activity.note(pushesOf('b').id)
  t.ok(activity.hasOthers(a!))
})

t.test('others hear of the last two callers of this process, and of no caller of another', async t => {
  const activity = new Activity()
  t.strictSame(activity.callersHere, [])
  activity.note('a')
  activity.noteElsewhere(['b'])
  t.strictSame(activity.callersHere, ['a'])
  for (const id of ['c', 'd', 'd']) activity.note(id)
  t.strictSame(activity.callersHere, ['d', 'c'])
  const idle = new Activity()
  idle.note('a', performance.now() - 260)
  t.strictSame(idle.callersHere, [])
})

/** Notes as many small flushes that took so long. */
function flush(activity: Activity, count: number, ms: number, nowMs = 0): void {
  for (let n = 0; n < count; n++) activity.noteFlush(ms, nowMs)
}

t.test('small flushes are slow when several take long, not after a single one', async t => {
  const activity = new Activity()
  t.notOk(activity.isSlow)
  flush(activity, 8, 1)
  flush(activity, 1, 30)
  t.notOk(activity.isSlow)
  flush(activity, 8, 30)
  t.ok(activity.isSlow)
  flush(activity, 30, 2)
  t.notOk(activity.isSlow)
})

t.test('what is slow depends on how fast small flushes have been in the last hours', async t => {
  const activity = new Activity()
  flush(activity, 1, 8)
  flush(activity, 30, 20)
  t.notOk(activity.isSlow, 'a database that has always been that slow is not slow now')
  flush(activity, 30, 30)
  t.ok(activity.isSlow, 'three times as slow')
  const hourMs = 3_600_000
  flush(activity, 1, 30, hourMs)
  t.notOk(activity.isSlow, 'an hour later twice as long is usual')
})
