/** Whether a caller is alone. */
import t from 'tap'
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

t.test('messages that another replica stores are another caller', async t => {
  const activity = new Activity()
  activity.note('a')
  activity.noteElsewhere()
  activity.note('a')
  t.ok(activity.hasOthers(a!))
})

t.test('small flushes are slow when several have taken more than 10 ms, not after a single one', async t => {
  const activity = new Activity()
  activity.noteFlush(30)
  t.notOk(activity.isSlow)
  for (let flush = 0; flush < 8; flush++) activity.noteFlush(30)
  t.ok(activity.isSlow)
  for (let flush = 0; flush < 20; flush++) activity.noteFlush(2)
  t.notOk(activity.isSlow)
})
