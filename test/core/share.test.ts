/** The share of a key in what stays in the database. */
import t from 'tap'
import { shareLeft } from '../../src/core/share.ts'

t.test('a key may hold at most half of what the others leave', async t => {
  t.equal(shareLeft(1000, 0, 0), 500, 'alone')
  t.equal(shareLeft(1000, 500, 500), 0, 'alone, with half of all')
  t.equal(shareLeft(1000, 500, 0), 250, 'beside one that holds half')
  t.equal(shareLeft(1000, 750, 250), 0)
  t.equal(shareLeft(1000, 600, 400), 0, 'others came later: it keeps what it has, and gets no more')
})

t.test('a key without any gets its first while the total has room', async t => {
  t.equal(shareLeft(1000, 999, 0), 1)
  t.equal(shareLeft(1, 0, 0), 1)
  t.equal(shareLeft(1000, 999, 1), 0)
  t.equal(shareLeft(1000, 1000, 0), 0)
  t.equal(shareLeft(1000, 1200, 0), 0, 'the total was made smaller')
})

t.test(
  'however many keys take all they may, the total holds, and each gets one while it has room',
  async t => {
    const total = 100
    const held: number[] = []
    for (let all = 0; all < total;) {
      let mine = 0
      while (shareLeft(total, all, mine) > 0) {
        mine++
        all++
      }
      t.ok(mine > 0)
      held.push(mine)
    }
    t.strictSame(held, [50, 25, 12, 6, 3, 2, 1, 1])
  }
)
