/** Ten thousand queues, searched, sorted and cut into pages for one open page of the console. */
import t from 'tap'
import { QueueList, type QueueRow, type View } from '../../../src/fronts/console/queueList.ts'

const row = (id: number): QueueRow => ({
  id,
  queue: `queue-${id}`,
  paused: false,
  ready: id % 1000,
  delayed: 0,
  leased: 0,
  dead: id % 7,
  acked: 0,
  oldestReadySeconds: id % 2 === 0 ? id : null,
  enqueuedPerSecond: null,
  ackedPerSecond: id
})

const everything: View = {
  search: '',
  sort: 'name',
  descending: false,
  page: 0,
  limit: 50,
  within: { names: [], prefixes: [''] }
}

const rows = Array.from({ length: 10_000 }, (_, index) => row(index + 1))
const sorted = rows.toSorted((a, b) => (a.queue < b.queue ? -1 : 1))
const list = new QueueList(sorted, 0)
const namesOf = (view: View) => list.page(view).rows.map(({ queue }) => queue)

t.test('a search finds a piece of the name in any case', async t => {
  t.strictSame(namesOf({ ...everything, search: 'UE-777' }), [
    'queue-777',
    ...Array.from({ length: 10 }, (_, digit) => `queue-777${digit}`)
  ])
  t.match(list.page({ ...everything, search: '__proto__' }), { rows: [], matched: 0, total: 10_000 })
})

t.test('queues are sorted both ways, and what is not known comes last in both', async t => {
  t.strictSame(namesOf({ ...everything, limit: 2 }), ['queue-1', 'queue-10'])
  t.strictSame(namesOf({ ...everything, descending: true, limit: 2 }), ['queue-9999', 'queue-9998'])
  const oldest: View = { ...everything, sort: 'oldest', limit: 5000 }
  t.strictSame(namesOf(oldest).slice(0, 2), ['queue-2', 'queue-4'])
  t.strictSame(namesOf({ ...oldest, descending: true }).slice(0, 2), ['queue-10000', 'queue-9998'])
  for (const descending of [false, true]) {
    const last = list.page({ ...oldest, descending, page: 1 }).rows
    t.ok(last.every(({ oldestReadySeconds }) => oldestReadySeconds === null))
  }
})

t.test('the last page is full, and the one after it is empty', async t => {
  t.equal(namesOf({ ...everything, page: 199 }).length, 50)
  t.equal(namesOf({ ...everything, page: 200 }).length, 0)
})

t.test('queues beyond the bound of the list are counted only for a key that may browse all', async t => {
  const leftOut = (within: View['within'], beyond: number) =>
    new QueueList(sorted, beyond).page({ ...everything, within }).leftOut
  t.equal(leftOut(everything.within, 7), 7)
  t.equal(leftOut({ names: [], prefixes: ['queue-1'] }, 7), null)
  t.equal(leftOut({ names: [], prefixes: ['queue-1'] }, 0), 0)
})

t.test('only the queues that the key may browse are listed, counted and summed', async t => {
  const within = { names: ['queue-5'], prefixes: ['queue-99'] }
  const { total, matched, sums } = list.page({ ...everything, within, search: '5' })
  t.equal(total, 112)
  t.equal(matched, 21)
  const allowed = rows.filter(({ queue }) => queue === 'queue-5' || queue.startsWith('queue-99'))
  t.equal(
    sums.ready,
    allowed.reduce((sum, { ready }) => sum + ready, 0)
  )
  t.equal(sums.enqueuedPerSecond, null, 'not known of any queue')
})
