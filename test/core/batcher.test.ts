/** Group commit, on the pure class: what it promises, whatever is flushed. */
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Activity } from '../../src/core/engine/activity.ts'
import { Batcher } from '../../src/core/engine/batcher.ts'
import type { BatcherOptions } from '../../src/core/engine/batcherOptions.ts'
import { Flights } from '../../src/core/engine/flights.ts'
import { Rests } from '../../src/core/engine/rests.ts'
import { callerNamed, shareOf, tester } from '../support/callers.ts'

interface Flush {
  lane: string
  items: number[]
  answer: (answers?: (string | Error)[]) => void
  fail: (error: Error) => void
}

/** A batcher whose flushes the test answers. */
function batcher(options: Partial<BatcherOptions<number, string>> = {}) {
  const flushes: Flush[] = []
  const activity = options.activity ?? new Activity()
  const under = new Batcher<number, string>({
    flush: (lane, items) =>
      new Promise((resolve, reject) => {
        flushes.push({ lane, items, answer: (answers = items.map(String)) => resolve(answers), fail: reject })
      }),
    weigh: () => 1,
    count: () => 1,
    flushWeightMax: 100,
    flushCountMax: 100,
    share: shareOf(1000),
    waitingItemsMax: 1000,
    waitingMsMax: 60_000,
    isUrgent: () => false,
    inFlightMax: 1,
    flights: null,
    activity,
    rests: new Rests(activity),
    isPoison: error => (error as Error).message === 'poison',
    ...options
  })
  return { under, flushes }
}

/** Keeps the process alive, which the batcher's own timer does not. */
function keepAlive(t: Test): void {
  const timer = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(timer))
}

t.test('calls of one turn leave together: at once from an idle lane, later from a busy one', async t => {
  const { under, flushes } = batcher()
  const first = [under.add(tester, 'a', 1), under.add(tester, 'a', 2)]
  await turn()
  t.strictSame(
    flushes.map(({ items }) => items),
    [[1, 2]]
  )
  const second = [3, 4, 5].map(item => under.add(tester, 'a', item))
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
  const blocked = under.add(tester, 'a', 1)
  await turn()
  const free = under.add(tester, 'b', 2)
  await turn()
  flushes.find(({ lane }) => lane === 'b')!.answer()
  t.equal(await free, '2')
  flushes[0]!.answer()
  await blocked
})

for (const bound of ['flushWeightMax', 'flushCountMax']) {
  t.test(`a flush takes no more than its ${bound}, and no more are in flight than allowed`, async t => {
    const { under, flushes } = batcher({ [bound]: 2, inFlightMax: 2 })
    const all = Promise.all([1, 2, 3, 4, 5].map(item => under.add(tester, 'a', item)))
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

t.test('a second flush leaves when it is half full, or when the first is slow', async t => {
  const { under, flushes } = batcher({ inFlightMax: 2, flushCountMax: 6 })
  let nowMs = 0
  // A busy machine must not look like a slow flush.
  t.intercept(performance, 'now', { value: () => nowMs })
  const add = async (items: number[]) => {
    const added = items.map(item => under.add(tester, 'a', item))
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
  t.strictSame(flushes[2]?.items, [5, 6], 'the next caller takes along what waits behind a slow flush')
  for (const index of [0, 2]) flushes[index]!.answer()
  t.strictSame(await Promise.all(answered), ['1', '2', '3', '4', '5', '6'])
})

t.test('a call behind a slow flush is not left to wait for the next one to come', async t => {
  keepAlive(t)
  let nowMs = 0
  t.intercept(performance, 'now', { value: () => nowMs })
  const { under, flushes } = batcher({ inFlightMax: 2 })
  const slow = under.add(tester, 'a', 1)
  while (flushes.length < 1) await turn()
  const behind = under.add(tester, 'a', 2)
  await turn()
  t.equal(flushes.length, 1, 'nobody knows yet that the first is slow')
  nowMs = 21
  while (flushes.length < 2) await turn()
  flushes[1]!.answer()
  t.equal(await behind, '2')
  flushes[0]!.answer()
  t.equal(await slow, '1')
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
  const answers = await Promise.allSettled(
    Array.from({ length: 64 }, (_, item) => under.add(tester, 'a', item))
  )
  t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 63)
  t.equal(answers[7]!.status, 'rejected')
  t.strictSame(
    stored.sort((a, b) => a - b),
    Array.from({ length: 64 }, (_, item) => item).filter(item => item !== 7)
  )
})

t.test('after a flush that waited for a lock, each item goes alone, so the others wait once', async t => {
  let nowMs = 0
  t.intercept(performance, 'now', { value: () => nowMs })
  const flushed: number[] = []
  const { under } = batcher({
    flush: async (_, items) => {
      flushed.push(items.length)
      if (!items.includes(7)) return items.map(String)
      nowMs += 1250
      throw new Error('poison')
    }
  })
  const answers = await Promise.allSettled(
    Array.from({ length: 20 }, (_, item) => under.add(tester, 'a', item))
  )
  t.strictSame(flushed, [20, ...Array(20).fill(1)])
  t.strictSame(
    answers.flatMap(({ status }, item) => (status === 'rejected' ? [item] : [])),
    [7]
  )
})

t.test('several poison items fail, each with its own error, and other calls are answered once', async t => {
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
    Array.from({ length: 50 }, (_, item) => under.add(tester, item % 2 ? 'odd' : 'even', item))
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
})

t.test('any other error goes to every caller, and nothing is tried twice', async t => {
  let flushed = 0
  const { under } = batcher({
    flush: async () => {
      flushed++
      throw new Error('database away')
    }
  })
  const answers = await Promise.allSettled([under.add(tester, 'a', 1), under.add(tester, 'a', 2)])
  t.ok(answers.every(({ status }) => status === 'rejected'))
  t.equal(flushed, 1)
})

t.test('a call that would wait behind too much is refused as overloaded, until there is room', async t => {
  const { under, flushes } = batcher({ share: shareOf(2) })
  const flushed = async (count: number) => {
    while (flushes.length < count) await turn()
  }
  const inFlight = under.add(tester, 'a', 0)
  await flushed(1)
  const waiting = [under.add(tester, 'a', 1), under.add(tester, 'a', 2)]
  await t.rejects(under.add(tester, 'a', 3), { code: 'overloaded', outcome: 'none' })
  await t.rejects(under.add(tester, 'b', 3), { code: 'overloaded' }, 'all lanes share the bound')
  flushes[0]!.answer()
  await inFlight
  await flushed(2)
  const later = under.add(tester, 'a', 4)
  flushes[1]!.answer()
  await Promise.all(waiting)
  await flushed(3)
  flushes[2]!.answer()
  t.equal(await later, '4')
  t.strictSame(
    flushes.flatMap(({ items }) => items),
    [0, 1, 2, 4],
    'a refused item is never flushed'
  )
})

t.test('calls that make room are refused last, by weight and by number', async t => {
  const bounds = { weight: { share: shareOf(4) }, number: { waitingItemsMax: 4 } }
  for (const [bound, options] of Object.entries(bounds)) {
    const { under, flushes } = batcher({ ...options, isUrgent: item => item < 0 })
    const all = [under.add(tester, 'a', 0)]
    while (flushes.length < 1) await turn()
    for (const item of [1, 2, 3, 4]) all.push(under.add(tester, 'a', item))
    await t.rejects(under.add(tester, 'a', 5), { code: 'overloaded' }, bound)
    t.match(under.refusal(tester), { code: 'overloaded' })
    all.push(under.add(tester, 'a', -1))
    await t.rejects(
      under.add(tester, 'a', -2),
      { code: 'overloaded' },
      `${bound}: a quarter more, no further`
    )
    flushes[0]!.answer()
    while (flushes.length < 2) await turn()
    t.equal(under.refusal(tester), null)
    flushes[1]!.answer()
    await Promise.all(all)
    t.strictSame(flushes[1]!.items, [1, 2, 3, 4, -1])
  }
})

t.test('a stuck lane takes no more, and calls that waited too long are refused, never done late', async t => {
  keepAlive(t)
  let nowMs = 0
  t.intercept(performance, 'now', { value: () => nowMs }) // a busy machine waits no longer
  const { under, flushes } = batcher({ waitingMsMax: 100, isUrgent: item => item < 0 })
  const stuck = under.add(tester, 'a', 0)
  while (flushes.length < 1) await turn()
  const late = [1, 2].map(item =>
    t.rejects(under.add(tester, 'a', item), { code: 'overloaded', outcome: 'none' })
  )
  const urgent = under.add(tester, 'a', -1)
  nowMs = 55
  await t.rejects(
    under.add(tester, 'a', 3),
    { code: 'overloaded' },
    'halfway to the limit the lane takes no more'
  )
  t.match(under.refusal(tester, 'a'), { code: 'overloaded' }, 'which is known before an item is made')
  t.equal(under.refusal(tester, 'b'), null)
  const other = under.add(tester, 'b', 4)
  while (flushes.length < 2) await turn()
  flushes[1]!.answer()
  t.equal(await other, '4', 'another lane goes on')
  nowMs = 150
  await Promise.all(late)
  flushes[0]!.answer()
  t.equal(await stuck, '0')
  while (flushes.length < 3) await turn()
  flushes[2]!.answer()
  t.equal(await urgent, '-1', 'a call that makes room waits longer')
  t.strictSame(flushes[2]!.items, [-1])
})

t.test('a lane whose every item was refused is forgotten', async t => {
  keepAlive(t)
  const { under, flushes } = batcher({ waitingMsMax: 20 })
  const stuck = under.add(tester, 'a', 0)
  while (flushes.length < 1) await turn()
  await t.rejects(under.add(tester, 'a', 1), { code: 'overloaded' })
  flushes[0]!.fail(new Error('lost'))
  await t.rejects(stuck, { message: 'lost' })
  await under.drained()
  t.equal(flushes.length, 1)
})

t.test('an item heavier than the bound is taken when nothing else waits', async t => {
  const { under } = batcher({
    weigh: () => 50,
    flushWeightMax: 10,
    share: shareOf(20),
    flush: async (_, items) => items.map(String)
  })
  t.equal(await under.add(tester, 'a', 1), '1')
})

t.test('a lane in which all waited for a rest and were refused is forgotten', async t => {
  keepAlive(t)
  const { under, flushes } = batcher({ isHeavy: item => item >= 100, waitingMsMax: 20 })
  const [heavy, other] = ['heavy', 'other'].map(callerNamed)
  const calls = [under.add(heavy!, 'a', 100), under.add(other!, 'x', 1)]
  await turn()
  await t.rejects(under.add(heavy!, 'b', 101), { code: 'overloaded' })
  for (const { answer } of flushes) answer()
  await Promise.all(calls)
  await under.drained()
  t.equal(flushes.length, 2)
})

t.test('a caller that was refused for what is held elsewhere is let in when that is gone', async t => {
  const share = shareOf(1000)
  const { under, flushes } = batcher({ share, weigh: item => item })
  const caller = callerNamed('caller')
  share.hold(caller, 400)
  await t.rejects(under.add(caller, 'a', 200), { code: 'shareUsedUp' })
  share.give(caller, 400)
  t.equal(under.refusal(caller), null)
  const last = under.add(caller, 'a', 200)
  await turn()
  flushes[0]!.answer()
  await last
})

t.test('drained resolves when everything has been answered', async t => {
  const { under, flushes } = batcher()
  await under.drained()
  const call = under.add(tester, 'a', 1)
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

t.test('callers take turns: one with much to do delays only itself', async t => {
  const [many, few] = [callerNamed('many'), callerNamed('few')]
  const { under, flushes } = batcher({ flushCountMax: 4 })
  const inFlight = under.add(tester, 'a', 0)
  while (flushes.length < 1) await turn()
  const all = [1, 2, 3, 4, 5, 6].map(item => under.add(many, 'a', item))
  all.push(...[7, 8].map(item => under.add(few, 'a', item)))
  flushes[0]!.answer()
  await inFlight
  while (flushes.length < 2) await turn()
  t.strictSame(flushes[1]!.items, [1, 2, 7, 8], 'half of the flush each, each in its own order')
  flushes[1]!.answer()
  while (flushes.length < 3) await turn()
  t.strictSame(flushes[2]!.items, [3, 4, 5, 6])
  flushes[2]!.answer()
  await Promise.all(all)
})

t.test('a caller may have its share waiting, and others still have room', async t => {
  const [greedy, other] = [callerNamed('greedy'), callerNamed('other')]
  const { under, flushes } = batcher({ share: shareOf(10) })
  const all = [0, 1, 2, 3, 4].map(item => under.add(greedy, 'a', item))
  await t.rejects(under.add(greedy, 'a', 5), { code: 'shareUsedUp', outcome: 'none' })
  await t.rejects(under.add(greedy, 'b', 5), { code: 'shareUsedUp' }, 'all lanes share the bound')
  all.push(under.add(other, 'a', 6))
  await turn()
  flushes[0]!.answer()
  await Promise.all(all)
  t.equal(under.refusal(greedy), null, 'what was answered is given back')
  await turn()
})

t.test('what has been answered leaves nothing in the share, whatever its total', async t => {
  const share = shareOf(67_108_864)
  const { under } = batcher({
    share,
    waitingItemsMax: 20_000,
    flushCountMax: 3,
    flush: async (_, items) => items.map(String)
  })
  for (let round = 0; round < 50; round++) {
    await Promise.all([1, 2, 3, 4, 5, 6, 7].map(item => under.add(tester, 'a', item)))
  }
  t.strictSame(share.report(10).callers, [])
  t.equal(share.held, 0)
})

t.test('a caller with many lanes leaves flights to others', async t => {
  const { under, flushes } = batcher({ flights: new Flights(9) })
  const [a, b, c] = ['a', 'b', 'c'].map(callerNamed)
  const calls = Array.from({ length: 20 }, (_, i) => under.add(a!, `a${i}`, i))
  await turn()
  t.equal(flushes.length, 4, 'it has half of them, and its other lanes wait')
  calls.push(under.add(b!, 'b', 100), under.add(a!, 'shared', 200))
  await turn()
  t.match(flushes.at(-1), { lane: 'b', items: [100] }, 'another caller need not wait')
  calls.push(under.add(c!, 'shared', 201))
  t.match(flushes.at(-1), { lane: 'shared', items: [200, 201] }, 'a lane begins for any of its callers')
  for (let ended = 0; ended < flushes.length; ended++, await turn()) {
    t.ok(flushes.length - ended <= 6, 'there are no more in flight')
    flushes[ended]!.answer()
  }
  t.equal((await Promise.all(calls)).length, 23)
  await under.drained()
})

t.test('a lane whose callers were all turned away takes no flight', async t => {
  keepAlive(t)
  const { under, flushes } = batcher({ flights: new Flights(1), waitingMsMax: 20 })
  const first = under.add(tester, 'a', 1)
  await turn()
  await t.rejects(under.add(tester, 'b', 2), { code: 'overloaded' })
  flushes[0]!.answer()
  await first
  await under.drained()
  const last = under.add(tester, 'c', 3)
  await turn()
  t.match(flushes[1], { lane: 'c' })
  flushes[1]!.answer()
  await last
})

t.test('while others call, the callers of a heavy flush rest after it, and nobody else does', async t => {
  keepAlive(t)
  const { under, flushes } = batcher({ inFlightMax: 2, isHeavy: item => item >= 100, flushCountMax: 1 })
  const [heavy, other] = ['heavy', 'other'].map(callerNamed)
  const calls = [100, 101, 102, 103].map(item => under.add(heavy!, 'a', item))
  while (flushes.length < 2) await turn() // alone, it has two at once
  calls.push(under.add(other!, 'b', 1))
  await turn()
  const startedMs = performance.now()
  while (performance.now() - startedMs < 30) await turn()
  for (const flush of flushes.slice(0, 3)) flush.answer()
  await turn()
  t.equal(flushes.length, 3, 'both callers have called, so the first one rests')
  calls.push(under.add(other!, 'a', 104))
  await turn()
  t.match(flushes[3], { items: [104] }, 'a lane goes on for another caller')
  t.equal(flushes.length, 4, 'one at a time')
  flushes[3]!.answer()
  while (flushes.length < 5) await turn()
  t.match(flushes[4], { items: [102] })
  flushes[4]!.answer()
  while (flushes.length < 6) await turn()
  flushes[5]!.answer()
  t.equal((await Promise.all(calls)).length, 6)
})

/** A batcher with heavy items, and how long a caller rests after a flush of 40 ms with such an item. */
function resting() {
  const activity = new Activity()
  const { under, flushes } = batcher({ activity, isHeavy: item => item >= 100, flushCountMax: 1 })
  const [heavy, other] = ['heavy', 'other'].map(callerNamed)
  const restAfter = async (item: number) => {
    const calls = [under.add(heavy!, 'a', item), under.add(heavy!, 'a', item), under.add(other!, 'b', 1)]
    while (flushes.length < 2) await turn()
    const startedMs = performance.now()
    while (performance.now() - startedMs < 40) await turn()
    for (const flush of flushes.splice(0)) flush.answer()
    const endedMs = performance.now()
    while (flushes.length < 1) await turn()
    const restMs = performance.now() - endedMs
    flushes.splice(0)[0]!.answer()
    await Promise.all(calls)
    await under.drained()
    return restMs
  }
  return { activity, restAfter }
}

t.test('a heavy flush is followed by a rest as long as it took, and a light one by none', async t => {
  keepAlive(t)
  const { restAfter } = resting()
  const restMs = await restAfter(100)
  t.ok(restMs >= 39, `${restMs} ms`)
  t.ok((await restAfter(1)) < 39)
})

t.test('while small flushes are slow, the rest is three times as long', async t => {
  keepAlive(t)
  const { activity, restAfter } = resting()
  activity.noteFlush(2)
  for (let flush = 0; flush < 20; flush++) activity.noteFlush(40)
  const restMs = await restAfter(100)
  t.ok(restMs >= 119, `${restMs} ms`)
})

t.test(
  'a caller rests after a heavy flush in every lane of every batcher, but its light items go',
  async t => {
    keepAlive(t)
    const activity = new Activity()
    const shared = { activity, rests: new Rests(activity), isHeavy: (item: number) => item >= 100 }
    const [first, second] = [batcher(shared), batcher({ ...shared, flights: new Flights(9) })]
    const [heavy, other] = ['heavy', 'other'].map(callerNamed)
    const calls = [first.under.add(other!, 'x', 1), first.under.add(heavy!, 'a', 100)]
    while (first.flushes.length < 2) await turn()
    calls.push(
      first.under.add(heavy!, 'b', 2),
      first.under.add(heavy!, 'b', 101),
      first.under.add(heavy!, 'b', 3)
    )
    calls.push(second.under.add(heavy!, 'c', 102), second.under.add(other!, 'c', 103))
    await turn()
    t.strictSame(
      [first, second].map(({ flushes }) => flushes.map(({ items }) => items)),
      [[[1], [100], [2]], [[103]]],
      'beside its heavy flush no second one begins, and nobody else is held up'
    )
    const startedMs = performance.now()
    while (performance.now() - startedMs < 40) await turn()
    for (const { answer } of [...first.flushes, ...second.flushes]) answer()
    const endedMs = performance.now()
    while (first.flushes.length + second.flushes.length < 5) await turn()
    t.ok(performance.now() - endedMs >= 39, 'it rests')
    await turn()
    t.equal(first.flushes.length + second.flushes.length, 5, 'then one goes on')
    const goOn = async () => {
      while (calls.length > 0 && (await Promise.race([Promise.all(calls), turn(null)])) === null) {
        for (const { answer } of [...first.flushes, ...second.flushes]) answer()
      }
    }
    await goOn()
    await Promise.all([first.under.drained(), second.under.drained()])
    const items = [...first.flushes, ...second.flushes].flatMap(flush => flush.items)
    t.strictSame(
      items.toSorted((a, b) => a - b),
      [1, 2, 3, 100, 101, 102, 103]
    )
  }
)
