/** Group commit and waiting, on the pure classes: what they promise whoever flushes and whoever waits. */
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Batcher, type BatcherOptions } from '../../src/core/engine/batcher.ts'
import { Wakeups } from '../../src/core/engine/wakeups.ts'

interface Flush {
  lane: string
  items: number[]
  answer: (answers?: (string | Error)[]) => void
  fail: (error: Error) => void
}

/** A batcher whose flushes are answered by the test. */
function batcher(options: Partial<BatcherOptions<number, string>> = {}) {
  const flushes: Flush[] = []
  const under = new Batcher<number, string>({
    flush: (lane, items) =>
      new Promise((resolve, reject) => {
        flushes.push({ lane, items, answer: (answers = items.map(String)) => resolve(answers), fail: reject })
      }),
    weigh: () => 1,
    count: () => 1,
    flushWeightMax: 100,
    flushCountMax: 100,
    waitingWeightMax: 1000,
    waitingItemsMax: 1000,
    waitingMsMax: 60_000,
    isUrgent: () => false,
    inFlightMax: 1,
    isPoison: error => (error as Error).message === 'poison',
    ...options
  })
  return { under, flushes }
}

/** The batcher's own timer keeps no process alive. */
function keepAlive(t: Test): void {
  const timer = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(timer))
}

t.test('calls of one turn leave together, an idle lane at once, a busy one gathers', async t => {
  const { under, flushes } = batcher()
  const first = [under.add('a', 1), under.add('a', 2)]
  await turn()
  t.strictSame(
    flushes.map(({ items }) => items),
    [[1, 2]]
  )
  const second = [3, 4, 5].map(item => under.add('a', item))
  await turn()
  t.equal(flushes.length, 1, 'while one is in flight, callers gather')
  flushes[0]!.answer()
  t.strictSame(await Promise.all(first), ['1', '2'])
  await turn()
  t.strictSame(flushes[1]!.items, [3, 4, 5])
  flushes[1]!.answer(['x', new Error('yours alone'), 'z'])
  t.strictSame(await second[0], 'x')
  await t.rejects(second[1]!, { message: 'yours alone' })
  t.strictSame(await second[2], 'z')
})

t.test('lanes do not wait for one another', async t => {
  const { under, flushes } = batcher()
  const blocked = under.add('a', 1)
  await turn()
  const free = under.add('b', 2)
  await turn()
  flushes.find(({ lane }) => lane === 'b')!.answer()
  t.equal(await free, '2')
  flushes[0]!.answer()
  await blocked
})

for (const bound of ['flushWeightMax', 'flushCountMax']) {
  t.test(`a flush takes no more than its ${bound}, and no more are in flight than allowed`, async t => {
    const { under, flushes } = batcher({ [bound]: 2, inFlightMax: 2 })
    const all = Promise.all([1, 2, 3, 4, 5].map(item => under.add('a', item)))
    await turn()
    await turn()
    t.strictSame(
      flushes.map(({ items }) => items),
      [
        [1, 2],
        [3, 4]
      ]
    )
    flushes[1]!.answer()
    await turn()
    await turn()
    t.strictSame(flushes[2]!.items, [5])
    flushes[0]!.answer()
    flushes[2]!.answer()
    t.strictSame(await all, ['1', '2', '3', '4', '5'])
  })
}

t.test('a second flush sets out beside the first with half a flush, or when the first is slow', async t => {
  const { under, flushes } = batcher({ inFlightMax: 2, flushCountMax: 6 })
  let nowMs = 0
  t.intercept(performance, 'now', { value: () => nowMs }) // a busy machine is no slow flush
  const add = async (items: number[]) => {
    const added = items.map(item => under.add('a', item))
    await turn()
    await turn()
    return added
  }
  const answered = [...(await add([1])), ...(await add([2, 3]))]
  t.strictSame(
    flushes.map(({ items }) => items),
    [[1]],
    'two of six would not fill half a flush'
  )
  answered.push(...(await add([4])))
  t.strictSame(
    flushes.map(({ items }) => items),
    [[1], [2, 3, 4]]
  )
  flushes[1]!.answer()
  answered.push(...(await add([5])))
  t.equal(flushes.length, 2)
  nowMs = 21
  answered.push(...(await add([6])))
  t.strictSame(flushes[2]?.items, [5, 6], 'what waits behind a slow flush goes past it with the next caller')
  for (const index of [0, 2]) flushes[index]!.answer()
  t.strictSame(await Promise.all(answered), ['1', '2', '3', '4', '5', '6'])
})

t.test('a poison item fails alone', async t => {
  const stored: number[] = []
  const { under } = batcher({
    flush: async (_, items) => {
      if (items.includes(7)) throw new Error('poison')
      stored.push(...items)
      return items.map(String)
    }
  })
  const answers = await Promise.allSettled(Array.from({ length: 64 }, (_, item) => under.add('a', item)))
  t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 63)
  t.equal(answers[7]!.status, 'rejected')
  t.strictSame(
    stored.sort((a, b) => a - b),
    Array.from({ length: 64 }, (_, item) => item).filter(item => item !== 7)
  )
})

t.test(
  'several poison items fail alone, each with its own error, and every other call is answered once',
  async t => {
    const stored: number[] = []
    const { under } = batcher({
      inFlightMax: 2,
      flushWeightMax: 7,
      flush: async (_, items) => {
        await turn()
        const bad = items.find(item => item % 10 === 3)
        if (bad !== undefined) throw Object.assign(new Error('poison'), { item: bad })
        stored.push(...items)
        return items.map(String)
      }
    })
    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, (_, item) => under.add(item % 2 ? 'odd' : 'even', item))
    )
    answers.forEach((answer, item) =>
      t.match(
        answer,
        item % 10 === 3
          ? { status: 'rejected', reason: { item } }
          : { status: 'fulfilled', value: String(item) }
      )
    )
    t.equal(stored.length, 45)
    await under.drained()
  }
)

t.test("any other error is every caller's, and nothing is tried twice", async t => {
  let flushed = 0
  const { under } = batcher({
    flush: async () => {
      flushed++
      throw new Error('database away')
    }
  })
  const answers = await Promise.allSettled([under.add('a', 1), under.add('a', 2)])
  t.ok(answers.every(({ status }) => status === 'rejected'))
  t.equal(flushed, 1)
})

t.test('too much waiting is refused with overloaded, and room comes back', async t => {
  const { under, flushes } = batcher({ waitingWeightMax: 2 })
  const flushed = async (count: number) => {
    while (flushes.length < count) await turn()
  }
  const inFlight = under.add('a', 0)
  await flushed(1)
  const waiting = [under.add('a', 1), under.add('a', 2)]
  await t.rejects(under.add('a', 3), { code: 'overloaded', outcome: 'none' })
  await t.rejects(under.add('b', 3), { code: 'overloaded' }, 'the bound is that of all lanes')
  flushes[0]!.answer()
  await inFlight
  await flushed(2)
  const later = under.add('a', 4)
  flushes[1]!.answer()
  await Promise.all(waiting)
  await flushed(3)
  flushes[2]!.answer()
  t.equal(await later, '4')
  t.strictSame(
    flushes.flatMap(({ items }) => items),
    [0, 1, 2, 4],
    'what was refused was never flushed'
  )
})

t.test('what makes room is turned away last, by weight and by number', async t => {
  for (const bound of ['waitingWeightMax', 'waitingItemsMax']) {
    const { under, flushes } = batcher({ [bound]: 4, isUrgent: item => item < 0 })
    const all = [under.add('a', 0)]
    while (flushes.length < 1) await turn()
    for (const item of [1, 2, 3, 4]) all.push(under.add('a', item))
    t.notOk(under.full)
    await t.rejects(under.add('a', 5), { code: 'overloaded' }, bound)
    t.ok(under.full)
    all.push(under.add('a', -1))
    await t.rejects(under.add('a', -2), { code: 'overloaded' }, `${bound}: a quarter more, and no further`)
    flushes[0]!.answer()
    while (flushes.length < 2) await turn()
    t.notOk(under.full)
    flushes[1]!.answer()
    await Promise.all(all)
    t.strictSame(flushes[1]!.items, [1, 2, 3, 4, -1])
  }
})

t.test(
  'a lane that does not get on takes no more, and those who have waited too long are told so and not ' +
    'done late',
  async t => {
    keepAlive(t)
    const { under, flushes } = batcher({ waitingMsMax: 100, isUrgent: item => item < 0 })
    const stuck = under.add('a', 0)
    while (flushes.length < 1) await turn()
    const late = [under.add('a', 1), under.add('a', 2)]
    const urgent = under.add('a', -1)
    const startedMs = performance.now()
    while (performance.now() < startedMs + 55) await turn()
    await t.rejects(under.add('a', 3), { code: 'overloaded' }, 'halfway there: no more')
    const other = under.add('b', 4)
    while (flushes.length < 2) await turn()
    flushes[1]!.answer()
    t.equal(await other, '4', 'another lane goes on')
    for (const call of late) await t.rejects(call, { code: 'overloaded', outcome: 'none' })
    flushes[0]!.answer()
    t.equal(await stuck, '0')
    while (flushes.length < 3) await turn()
    flushes[2]!.answer()
    t.equal(await urgent, '-1', 'what makes room waits longer')
    t.strictSame(flushes[2]!.items, [-1])
  }
)

t.test('a lane whose every item was turned away is forgotten', async t => {
  keepAlive(t)
  const { under, flushes } = batcher({ waitingMsMax: 20 })
  const stuck = under.add('a', 0)
  while (flushes.length < 1) await turn()
  await t.rejects(under.add('a', 1), { code: 'overloaded' })
  flushes[0]!.fail(new Error('lost'))
  await t.rejects(stuck, { message: 'lost' })
  await under.drained()
  t.equal(flushes.length, 1)
})

t.test('one item heavier than the bound is taken when nothing else waits', async t => {
  const { under } = batcher({
    weigh: () => 50,
    flushWeightMax: 10,
    waitingWeightMax: 20,
    flush: async (_, items) => items.map(String)
  })
  t.equal(await under.add('a', 1), '1')
})

t.test('drained resolves when everything has been answered', async t => {
  const { under, flushes } = batcher()
  await under.drained()
  const call = under.add('a', 1)
  let drained = false
  const draining = under.drained().then(() => {
    drained = true
  })
  await turn()
  t.equal(drained, false)
  flushes[0]!.answer()
  await call
  await draining
})

t.test('waiting', async t => {
  const never = new AbortController().signal
  const inMs = (ms: number) => performance.now() + ms

  t.test('a wake between the look and the wait is not missed', async t => {
    const wakeups = new Wakeups(10)
    const seat = wakeups.sit({ queueId: 'q' })
    wakeups.wake('q', 1)
    t.equal(await seat.wait(inMs(10_000), never), true)
    seat.leave()
    t.strictSame(wakeups.waitedQueues(), [])
  })

  t.test('one message wakes one, the longest waiting first, of its own topic', async t => {
    const wakeups = new Wakeups(10)
    const woken: string[] = []
    const waits = ['first', 'second', 'other'].map(async name => {
      const seat = wakeups.sit({ queueId: name === 'other' ? 'r' : 'q' })
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
    const late = wakeups.sit({ queueId: 'q' })
    t.equal(await late.wait(inMs(10_000), never), false, 'and every later one')
  })

  t.test(
    'a wake during the look is seen by each who was looking, and the one that waited is woken besides',
    async t => {
      const wakeups = new Wakeups(10)
      const [waiter, looker] = [wakeups.sit({ queueId: 'q' }), wakeups.sit({ queueId: 'q' })]
      const waiting = waiter.wait(inMs(10_000), never)
      wakeups.wake('q', 1)
      t.equal(await looker.wait(inMs(10_000), never), true)
      t.equal(await waiting, true)
      t.equal(await looker.wait(inMs(5), never), false, 'one wake is seen once')
    }
  )

  t.test(
    'as many are woken as there are messages, in their order, and one that woke and waits again ' +
      'stands behind',
    async t => {
      const wakeups = new Wakeups(10)
      const woken: number[] = []
      const seats = [0, 1, 2, 3].map(() => wakeups.sit({ queueId: 'q' }))
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
    }
  )

  t.test('who waits for the end of a message hears of that alone', async t => {
    const wakeups = new Wakeups(10)
    const forEnd = wakeups.sit({ messageId: '7' })
    const forReady = wakeups.sit({ queueId: '7' })
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

  t.test('nothing is left behind by any of the ways a wait can end', async t => {
    const wakeups = new Wakeups(1000)
    const caller = new AbortController()
    const gone = new AbortController()
    const ends = Array.from({ length: 90 }, async (_, i) => {
      const seat = wakeups.sit({ queueId: `q${i % 3}` })
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
    const wakeups = new Wakeups(10)
    const seat = wakeups.sit({ queueId: 'q' })
    t.equal(await seat.wait(inMs(5), never), false)
    const caller = new AbortController()
    const waiting = seat.wait(inMs(10_000), caller.signal)
    caller.abort()
    t.equal(await waiting, false)
    t.equal(await seat.wait(inMs(10_000), caller.signal), false)
  })

  t.test('more than may wait are refused with tooManyWaiting', async t => {
    const wakeups = new Wakeups(2)
    const seat = wakeups.sit({ queueId: 'q' })
    wakeups.sit({ queueId: 'q' })
    t.throws(() => wakeups.sit({ queueId: 'r' }), { code: 'tooManyWaiting' })
    seat.leave()
    t.doesNotThrow(() => wakeups.sit({ queueId: 'r' }))
  })
})
