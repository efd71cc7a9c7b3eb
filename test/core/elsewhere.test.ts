/** At how many places callers let everybody wait. */
import { mock } from 'node:test'
import t from 'tap'
import { Elsewhere } from '../../src/core/engine/elsewhere.ts'

t.test('each other place counts once, for three seconds after everybody last waited there', async t => {
  const elsewhere = new Elsewhere()
  t.equal(elsewhere.places('a', 0), 1)
  elsewhere.hear('b/0', ['a'], 0)
  elsewhere.hear('b/0', ['a'], 1000)
  elsewhere.hear('b/1', ['a'], 2000)
  t.equal(elsewhere.places('a', 2000), 3)
  t.equal(elsewhere.places('other', 2000), 1)
  t.equal(elsewhere.places('a', 4001), 2)
  t.equal(elsewhere.places('a', 5001), 1)
})

t.test(
  'callers are told together, at most 100 at one time, and nothing is told where there is nothing',
  async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const told: string[][] = []
    const elsewhere = new Elsewhere(callerIds => told.push(callerIds))
    for (let n = 0; n < 150; n++) for (let time = 0; time < 2; time++) elsewhere.note(`c${n}`)
    t.strictSame(told, [])
    mock.timers.tick(250)
    mock.timers.tick(250)
    mock.timers.tick(1000)
    t.strictSame(
      told.map(callerIds => callerIds.length),
      [100, 50]
    )
    elsewhere.note('c0')
    mock.timers.tick(250)
    t.strictSame(told.at(-1), ['c0'])
  }
)

t.test(
  'at most 1,000 callers are remembered, and those that come later when others are forgotten',
  async t => {
    const elsewhere = new Elsewhere()
    const crowd = Array.from({ length: 1000 }, (_, n) => `c${n}`)
    elsewhere.hear('b/0', crowd, 0)
    elsewhere.hear('b/0', ['late'], 0)
    t.equal(elsewhere.places('late', 0), 1)
    elsewhere.hear('b/0', ['later'], 3001)
    elsewhere.hear('b/0', ['later'], 3001)
    t.equal(elsewhere.places('later', 3001), 2)
  }
)
