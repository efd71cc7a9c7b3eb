/** What is looked up by name at most once a second. */
import t from 'tap'
import { Recent } from '../../src/core/engine/recent.ts'
import { Turns } from '../../src/core/engine/turns.ts'
import { callerNamed, shareOf } from '../support/callers.ts'

/** Turns of which all are taken, and how each look-up was made. */
function recent(rows: Record<string, string>) {
  const turns = new Turns(1, shareOf(100))
  const lookUps: [name: string, inUse: boolean][] = []
  const under = new Recent<string>({
    turns,
    namesMax: 10,
    lookUp: async (name, inUse) => {
      lookUps.push([name, inUse])
      return rows[name] ?? null
    }
  })
  /** Takes the only turn, and answers what gives it back. */
  const fill = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const filling = turns.run(callerNamed('filler'), () => promise)
    return () => {
      resolve()
      return filling
    }
  }
  return { under, rows, lookUps, fill }
}

const [one, other] = ['one', 'other'].map(callerNamed)

t.test('what one caller forgets is looked up for another without waiting for a turn', async t => {
  const { under, lookUps, fill } = recent({ mail: 'settings' })
  await under.find(one!, 'mail')
  const free = fill()
  under.forget('mail')
  t.equal(under.fresh('mail'), undefined)
  t.equal(under.remembered('mail'), undefined)
  t.equal(await under.find(other!, 'mail'), 'settings')
  t.strictSame(lookUps, [
    ['mail', false],
    ['mail', true]
  ])
  await free()
})

t.test('a name that is gone waits for a turn like one that was made up', async t => {
  const { under, rows, lookUps, fill } = recent({ mail: 'settings' })
  await under.find(one!, 'mail')
  delete rows['mail']
  under.forget('mail')
  t.equal(await under.find(one!, 'mail'), null)
  const free = fill()
  const found = under.find(other!, 'mail')
  t.equal(lookUps.length, 2, 'it waits')
  await free()
  t.equal(await found, null)
  t.strictSame(lookUps[2], ['mail', false])
})
