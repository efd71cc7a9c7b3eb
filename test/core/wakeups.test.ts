/** Waiting, on the pure class: who is woken, in which order, and what is left behind. */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { Wakeups } from '../../src/core/engine/wakeups.ts'
import { callerNamed, shareOf, tester } from '../support/callers.ts'

const never = new AbortController().signal
const wakeupsFor = (seats: number) => new Wakeups(shareOf(seats))
const inMs = (ms: number) => performance.now() + ms

t.test('a wake between the check and the wait is not missed', async t => {
  const wakeups = wakeupsFor(10)
  const seat = wakeups.sit(tester, { queueId: 'q' })
  wakeups.wake('q', 1)
  t.equal(await seat.wait(inMs(10_000), never), true)
  seat.leave()
  t.strictSame(wakeups.waitedQueues(), [])
})

t.test('one message wakes one waiter of its topic: the one that has waited longest', async t => {
  const wakeups = wakeupsFor(10)
  const woken: string[] = []
  const waits = ['first', 'second', 'other'].map(async name => {
    const seat = wakeups.sit(tester, { queueId: name === 'other' ? 'r' : 'q' })
    woken.push(`${name} ${await seat.wait(inMs(10_000), never)}`)
    seat.leave()
  })
  wakeups.wake('q', 1)
  await waits[0]
  t.strictSame(woken, ['first true'])
  wakeups.close()
  await Promise.all(waits)
  t.strictSame(woken.slice(1).sort(), ['other false', 'second false'], 'closing ends every wait')
  t.equal(wakeups.size, 0)
  const late = wakeups.sit(tester, { queueId: 'q' })
  t.equal(await late.wait(inMs(10_000), never), false, 'and every later one')
})

t.test('a wake during a check is seen by the checking seat, and wakes the waiting one too', async t => {
  const wakeups = wakeupsFor(10)
  const [waiter, looker] = [wakeups.sit(tester, { queueId: 'q' }), wakeups.sit(tester, { queueId: 'q' })]
  const waiting = waiter.wait(inMs(10_000), never)
  wakeups.wake('q', 1)
  t.equal(await looker.wait(inMs(10_000), never), true)
  t.equal(await waiting, true)
  t.equal(await looker.wait(inMs(5), never), false, 'one wake is seen once')
})

t.test('as many wake as there are messages, in their order; one that waits again stands last', async t => {
  const wakeups = wakeupsFor(10)
  const woken: number[] = []
  const seats = [0, 1, 2, 3].map(() => wakeups.sit(tester, { queueId: 'q' }))
  const wait = (index: number) =>
    seats[index]!.wait(inMs(10_000), never).then(() => {
      woken.push(index)
    })
  const waits = [0, 1, 2, 3].map(wait)
  wakeups.wake('q', 2)
  await Promise.all(waits.slice(0, 2))
  t.strictSame(woken, [0, 1])
  const again = wait(0)
  wakeups.wake('q', 2)
  await Promise.all(waits)
  t.strictSame(woken, [0, 1, 2, 3])
  wakeups.wakeAll()
  await again
  t.strictSame(woken, [0, 1, 2, 3, 0])
})

t.test('a seat for the end of a message hears only of that', async t => {
  const wakeups = wakeupsFor(10)
  const forEnd = wakeups.sit(tester, { messageId: '7' })
  const forReady = wakeups.sit(tester, { queueId: '7' })
  t.strictSame(wakeups.waitedQueues(), ['7'])
  wakeups.wake('7', Infinity)
  t.equal(await forEnd.wait(inMs(5), never), false)
  t.equal(await forReady.wait(inMs(10_000), never), true)
  wakeups.wakeForEnd('7')
  t.equal(await forReady.wait(inMs(5), never), false)
  t.equal(await forEnd.wait(inMs(10_000), never), true)
  wakeups.wakeAll()
  t.equal(await forEnd.wait(inMs(10_000), never), true, 'and of what everyone hears')
  forEnd.leave()
  forReady.leave()
  wakeups.wakeForEnd('7')
  t.equal(wakeups.size, 0)
})

t.test('no way to end a wait leaves anything behind', async t => {
  const wakeups = wakeupsFor(1000)
  const caller = new AbortController()
  const gone = new AbortController()
  const ends = Array.from({ length: 90 }, async (_, i) => {
    const seat = wakeups.sit(tester, { queueId: `q${i % 3}` })
    await seat.wait(i % 3 === 0 ? inMs(2) : inMs(10_000), i % 3 === 1 ? gone.signal : caller.signal)
    seat.leave()
  })
  gone.abort()
  wakeups.wake('q2', 100)
  await Promise.all(ends)
  t.equal(wakeups.size, 0)
  t.strictSame(wakeups.waitedQueues(), [])
  t.equal(
    getEventListeners(caller.signal, 'abort').length + getEventListeners(gone.signal, 'abort').length,
    0
  )
  wakeups.wake('q0', 1)
  t.strictSame(wakeups.waitedQueues(), [], 'a wake of nobody makes no topic')
})

t.test('a wait ends with its time and with its caller', async t => {
  const wakeups = wakeupsFor(10)
  const seat = wakeups.sit(tester, { queueId: 'q' })
  t.equal(await seat.wait(inMs(5), never), false)
  const caller = new AbortController()
  const waiting = seat.wait(inMs(10_000), caller.signal)
  caller.abort()
  t.equal(await waiting, false)
  t.equal(await seat.wait(inMs(10_000), caller.signal), false)
})

t.test('a seat too many is refused, and a caller gets its share of the seats', async t => {
  const wakeups = wakeupsFor(2)
  const seat = wakeups.sit(tester, { queueId: 'q' })
  wakeups.sit(tester, { queueId: 'q' })
  t.throws(() => wakeups.sit(tester, { queueId: 'r' }), { code: 'overloaded' })
  seat.leave()
  const [first, second] = [callerNamed('first'), callerNamed('second')]
  t.doesNotThrow(() => wakeups.sit(first, { queueId: 'r' }))
  const many = wakeupsFor(9)
  for (let i = 0; i < 4; i++) many.sit(first, { queueId: 'q' })
  t.throws(() => many.sit(first, { queueId: 'q' }), { code: 'shareUsedUp' }, 'half of what others leave')
  t.doesNotThrow(() => many.sit(second, { queueId: 'q' }), 'another caller has room')
})
