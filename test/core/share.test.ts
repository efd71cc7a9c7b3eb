/** Fair shares, on the pure rule and class: who may hold how much, and what a refusal says. */
import t from 'tap'
import { Holdings } from '../../src/core/engine/share.ts'
import { callerNamed, shareOf, tester } from '../support/callers.ts'

const [a, b, c] = [callerNamed('a'), callerNamed('b'), callerNamed('c')]

/** Takes one at a time until it is refused. Answers how many were taken. */
function fill(share: ReturnType<typeof shareOf>, caller: typeof a): number {
  let taken = 0
  while (share.refusal(caller, 1) === null) {
    share.take(caller, 1)
    taken++
  }
  return taken
}

t.test('a caller alone may hold half, and there is always room for one more caller', async t => {
  const share = shareOf(100)
  t.equal(fill(share, a), 50)
  t.equal(fill(share, b), 25, 'half of what the first leaves')
  t.equal(fill(share, c), 12)
  for (let caller = 0; caller < 13; caller++) {
    t.equal(share.refusal(callerNamed(`${caller}`), 1), null, 'a caller that holds nothing gets one')
    share.take(callerNamed(`${caller}`), 1)
  }
  t.match(share.refusal(callerNamed('last'), 1), { code: 'overloaded' }, 'as long as the total has room')
})

t.test('what is given back can be held by others', async t => {
  const share = shareOf(100)
  fill(share, a)
  share.give(a, 40)
  t.equal(fill(share, b), 45)
  t.equal(share.held, 55)
  share.give(a, 10)
  share.give(b, 45)
  t.strictSame(share.report(10), { name: 'things', total: 100, held: 0, refused: 2, callers: [] })
})

t.test('an admin always gets in: a quarter of the total is kept for admins', async t => {
  const share = shareOf(100)
  for (let caller = 0; caller < 100; caller++) share.take(callerNamed(`${caller}`), 1)
  t.match(share.refusal(a, 1), { code: 'overloaded' })
  t.equal(fill(share, tester), 25)
  t.equal(fill(shareOf(100), tester), 100, 'an admin alone may hold all of it')
})

t.test('calls that make room get a quarter more', async t => {
  const share = shareOf(100)
  t.equal(fill(share, a), 50)
  t.match(share.refusal(a, 1), { code: 'shareUsedUp' })
  t.equal(share.refusal(a, 1, true), null)
})

t.test('where nobody holds anything, one thing of any size gets in', async t => {
  const share = shareOf(100)
  t.equal(share.refusal(a, 1000), null)
  share.take(a, 1000)
  t.match(share.refusal(b, 1), { code: 'overloaded' })
})

t.test('a refusal says which share is used up', async t => {
  const share = shareOf(4)
  fill(share, a)
  t.match(share.refusal(a, 1), { code: 'shareUsedUp', outcome: 'none', message: /share of the 4 things/ })
  t.throws(() => share.take(a, 1), { code: 'shareUsedUp' })
  t.match(share.report(1), { refused: 3, held: 2, callers: [{ id: 'a', held: 2 }] })
})

t.test('a caller that holds nothing is forgotten in the end, and one that holds something never', async t => {
  const holdings = new Holdings()
  holdings.add(a, 5)
  for (let caller = 0; caller < 10_000; caller++) {
    const other = callerNamed(`${caller}`)
    holdings.add(other, 1)
    holdings.add(other, -1)
  }
  t.strictSame(holdings.entries, [[a, 5]])
  t.equal(holdings.all, 5)
  t.ok(holdings.places <= 1000, `${holdings.places} places`)
})
