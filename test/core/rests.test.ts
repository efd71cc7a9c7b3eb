/** How long callers rest after heavy work. */
import { mock } from 'node:test'
import t from 'tap'
import { Activity } from '../../src/core/engine/activity.ts'
import { Elsewhere } from '../../src/core/engine/elsewhere.ts'
import { Rests } from '../../src/core/engine/rests.ts'
import { callerNamed } from '../support/callers.ts'

const callers = new Set([callerNamed('a')])
const [caller] = callers

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

/** The caller's heavy work has ended beside another caller. Answers whether it may go on. */
function restAfter(tookMs: number, elsewhere: Elsewhere): () => boolean {
  const activity = new Activity()
  activity.note('another')
  const rests = new Rests(activity, elsewhere)
  rests.begin(callers)
  rests.end(callers, tookMs)
  const state = { goesOn: false }
  rests.wait(caller!, () => {
    state.goesOn = true
  })
  return () => state.goesOn
}

t.test('a caller rests as long as its heavy work took, and other places hear of it', async t => {
  const told: string[][] = []
  const goesOn = restAfter(40, new Elsewhere(callerIds => told.push(callerIds)))
  mock.timers.tick(39)
  t.notOk(goesOn())
  mock.timers.tick(1)
  t.ok(goesOn())
  mock.timers.tick(1000)
  t.strictSame(told, [['a']])
})

t.test('with heavy work at three places, it rests three times as long at each', async t => {
  const elsewhere = new Elsewhere()
  elsewhere.hear('b/0', ['a'])
  elsewhere.hear('c/0', ['a'])
  const goesOn = restAfter(40, elsewhere)
  mock.timers.tick(119)
  t.notOk(goesOn())
  mock.timers.tick(1)
  t.ok(goesOn())
})

t.test('of work that was not heavy after all, nobody hears', async t => {
  const goesOn = restAfter(0, new Elsewhere(() => t.fail('somebody hears')))
  mock.timers.tick(1000)
  t.ok(goesOn())
})
