/** Turns at the database, on the pure class: a caller with many calls delays only itself. */
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Activity } from '../../src/core/engine/activity.ts'
import { Rests } from '../../src/core/engine/rests.ts'
import { Turns } from '../../src/core/engine/turns.ts'
import { callerNamed, shareOf, tester } from '../support/callers.ts'

/** Turns whose work the test ends. `started` names the work in the order in which it began. */
function turnsOf(slots: number, placesMax = 100) {
  const turns = new Turns(slots, shareOf(placesMax))
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const run = (caller: Parameters<Turns['run']>[0], name: string) =>
    turns.run(caller, () => {
      started.push(name)
      return new Promise<string>(resolve => ends.set(name, () => resolve(name)))
    })
  const end = async (name: string) => {
    ends.get(name)!()
    await turn()
  }
  return { turns, run, end, started }
}

t.test('a caller runs at most half of what the others leave, and callers take turns', async t => {
  const { run, end, started } = turnsOf(5)
  const [many, few] = [callerNamed('many'), callerNamed('few')]
  const all = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'].map(name => run(many, name))
  await turn()
  t.strictSame(started, ['m1', 'm2'], 'at most two of five for a caller alone')
  all.push(run(few, 'f1'))
  await turn()
  t.strictSame(started, ['m1', 'm2', 'f1'], 'another caller need not wait')
  await end('m1')
  t.strictSame(started.slice(3), ['m3'], 'when one ends, the next of the same caller begins')
  await end('f1')
  for (const name of ['m2', 'm3', 'm4', 'm5', 'm6']) await end(name)
  t.strictSame(await Promise.all(all), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'f1'])
})

t.test('while all turns are taken, callers that wait are served one after the other', async t => {
  const { run, end, started } = turnsOf(1)
  const [many, few] = [callerNamed('many'), callerNamed('few')]
  const all = [run(tester, 'first'), ...['m1', 'm2', 'm3'].map(name => run(many, name)), run(few, 'f1')]
  await turn()
  for (const name of ['first', 'm1', 'f1', 'm2', 'm3']) await end(name)
  t.strictSame(started, ['first', 'm1', 'f1', 'm2', 'm3'])
  await Promise.all(all)
})

t.test('places to wait are shared, and a failure gives its turn back', async t => {
  const { run, end } = turnsOf(1, 4)
  const greedy = callerNamed('greedy')
  const all = ['g0', 'g1', 'g2'].map(name => run(greedy, name))
  await t.rejects(run(greedy, 'g3'), { code: 'shareUsedUp', outcome: 'none' })
  all.push(run(callerNamed('other'), 'o1'))
  for (const name of ['g0', 'g1', 'o1', 'g2']) await end(name)
  await Promise.all(all)
  const turns = new Turns(1, shareOf(4))
  await t.rejects(
    turns.run(greedy, () => Promise.reject(new Error('mine'))),
    { message: 'mine' }
  )
  t.equal(await turns.run(greedy, async () => 'served'), 'served')
})

t.test('long work passes its turn between its steps, to others and to the same caller', async t => {
  const turns = new Turns(1, shareOf(100))
  const [long, other] = [callerNamed('long'), callerNamed('other')]
  const done: string[] = []
  const note = (what: string) => async () => {
    done.push(what)
  }
  const working = turns.run(long, async pass => {
    for (const step of ['step 1', 'step 2', 'step 3']) {
      await note(step)()
      await turn()
      await pass()
    }
  })
  await Promise.all([
    working,
    turns.run(long, note('its own')),
    turns.run(other, note('first other')),
    turns.run(other, note('second other'))
  ])
  t.strictSame(done, ['step 1', 'its own', 'first other', 'step 2', 'second other', 'step 3'])
})

t.test('work that passed its turn, and gets none for a minute, is refused there', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { turns, run, end } = turnsOf(1)
  const other = callerNamed('other')
  const passed = Promise.withResolvers<void>()
  const working = turns.run(callerNamed('long'), async pass => {
    const blocking = run(other, 'blocking')
    const passing = pass()
    passed.resolve()
    await t.rejects(passing, { code: 'overloaded' })
    await end('blocking')
    return await blocking
  })
  await passed.promise
  await turn()
  mock.timers.tick(60_001)
  t.equal(await working, 'blocking')
  t.equal(await turns.run(other, async () => 'served'), 'served', 'its turn is not given back twice')
})

t.test('a call that gets no turn in three seconds is refused', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { run, end } = turnsOf(1)
  const first = run(tester, 'first')
  const late = t.rejects(run(tester, 'late'), { code: 'overloaded', outcome: 'none' })
  mock.timers.tick(3001)
  await late
  await end('first')
  await first
})

/** Turns with rests, and whether others call. */
function resting(slots: number) {
  const others = { call: true }
  const activity = new (class extends Activity {
    override hasOthers = () => others.call
  })()
  const rests = new Rests(activity)
  return { others, rests, turns: new Turns(slots, shareOf(100), { rests }) }
}

/** Keeps the processor busy, so that the time of a step is known. */
function work(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs);
}

t.test('a caller does one piece of heavy work at a time, and rests after each step', async t => {
  const { turns } = resting(9)
  const [heavy, other] = [callerNamed('heavy'), callerNamed('other')]
  const times: { step: string; beganMs: number; endedMs: number }[] = []
  const steps = (name: string) => async (pass: () => Promise<void>) => {
    for (const step of ['1', '2']) {
      const beganMs = performance.now()
      await turn()
      work(20)
      times.push({ step: name + step, beganMs, endedMs: performance.now() })
      await pass()
    }
  }
  const keptAlive = setInterval(() => {}, 1000)
  const all = [turns.run(heavy, steps('a'), true), turns.run(heavy, steps('b'), true)]
  t.equal(await turns.run(other, async () => 'at once', true), 'at once', 'nobody else waits')
  t.equal(await turns.run(heavy, async () => 'at once'), 'at once', 'nor does its light work')
  t.strictSame(times, [])
  await Promise.all(all)
  clearInterval(keptAlive)
  t.strictSame(
    times.map(({ step }) => step),
    ['a1', 'b1', 'a2', 'b2']
  )
  const restsMs = times.slice(1).map(({ beganMs }, n) => beganMs - times[n]!.endedMs)
  for (const restMs of restsMs) t.ok(restMs >= 19, `it rests for ${restMs} ms`)
})

t.test('a caller that is alone does not rest', async t => {
  const { turns, others } = resting(9)
  others.call = false
  const startedMs = performance.now()
  await turns.run(
    tester,
    async pass => {
      for (let step = 0; step < 3; step++) {
        work(100)
        await pass()
      }
    },
    true
  )
  t.ok(performance.now() - startedMs < 390)
})

t.test('after work that may be heavy, a caller rests only if it was', async t => {
  const { turns, rests } = resting(9)
  const keptAlive = setInterval(() => {}, 1000)
  for (const isHeavy of [true, false]) {
    const step = async () => work(50)
    await turns.run(tester, step, () => isHeavy)
    const endedMs = performance.now()
    while (rests.holds(tester)) await turn()
    t.equal(performance.now() - endedMs > 45, isHeavy)
  }
  clearInterval(keptAlive)
})

t.test('heavy work that waits three seconds for the rests of its caller is refused', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { turns, rests } = resting(9)
  const heavy = callerNamed('heavy')
  rests.begin(new Set([heavy]))
  const waiting = turns.run(heavy, async () => 'served', true)
  await turn()
  mock.timers.tick(3001)
  await t.rejects(waiting, { code: 'shareUsedUp', outcome: 'none' })
  rests.end(new Set([heavy]), 0)
  mock.timers.tick(1)
  t.equal(await turns.run(heavy, async () => 'served', true), 'served')
})

t.test('heavy work that gets no turn leaves the others of its caller to go on', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { turns, rests } = resting(1)
  const [heavy, other] = [callerNamed('heavy'), callerNamed('other')]
  const blocking = Promise.withResolvers<string>()
  const all = [turns.run(other, () => blocking.promise)]
  const waiting = turns.run(heavy, async () => 'served', true)
  await turn()
  t.ok(rests.holds(heavy))
  mock.timers.tick(3001)
  await t.rejects(waiting, { code: 'overloaded', outcome: 'none' })
  mock.timers.tick(1)
  t.notOk(rests.holds(heavy))
  blocking.resolve('ended')
  t.strictSame(await Promise.all(all), ['ended'])
})
