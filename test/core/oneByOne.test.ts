/** Work piece by piece: one in each turn of the event loop, and callers take turns. */
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { inTurn, lineOfWork, requesters } from '../../src/core/engine/oneByOne.ts'

const [ada, bob] = ['ada', 'bob'].map(id => ({ id, isAdmin: false }))

t.test('a caller with much work delays that of another by one piece', async t => {
  const add = lineOfWork()
  const done: string[] = []
  await new Promise<void>(resolve => {
    for (const name of ['a1', 'a2', 'a3']) add(ada!, () => done.push(name))
    add(bob!, () => {
      done.push('b1')
      add(bob!, () => done.push('b2'))
    })
    add(null, () => done.push('n1'))
    add(ada!, () => {
      done.push('a4')
      resolve()
    })
  })
  t.strictSame(done, ['a1', 'b1', 'n1', 'a2', 'b2', 'a3', 'a4'])
})

t.test('other work of the event loop comes between two pieces', async t => {
  const add = lineOfWork()
  const done: string[] = []
  await new Promise<void>(resolve => {
    add(ada!, () => {
      done.push('first')
      setImmediate(() => done.push('other'))
    })
    add(ada!, () => {
      done.push('second')
      resolve()
    })
  })
  t.strictSame(done, ['first', 'other', 'second'])
})

t.test('after work that throws, the next piece is done', async t => {
  const add = lineOfWork()
  const thrown = new Promise(resolve => process.once('uncaughtException', resolve))
  add(ada!, () => {
    throw new Error('of the work')
  })
  await new Promise<void>(resolve => add(bob!, resolve))
  t.match(await thrown, { message: 'of the work' })
})

t.test('small pieces share a turn until its time is over', async t => {
  const add = lineOfWork(1)
  let turns = 0
  const counting = () => {
    turns++
    if (done < 100) setImmediate(counting)
  }
  let done = 0
  setImmediate(counting)
  await new Promise<void>(resolve => {
    for (let n = 0; n < 100; n++) {
      add(ada!, () => {
        done++
        if (done === 100) resolve()
      })
    }
  })
  t.ok(turns < 50, `${turns} turns`)
})

/** Stops the clock and the timers. Answers a function that lets so much time pass. */
function stopTime(t: Test): (ms: number) => void {
  const now = performance.now.bind(performance)
  let ms = now()
  performance.now = () => ms
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => {
    mock.timers.reset()
    performance.now = now
  })
  return passedMs => {
    ms += passedMs
    mock.timers.tick(passedMs)
  }
}

/** All that the event loop has to do now. */
async function doAll(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

t.test('after a long piece its caller rests for three times as long, and nobody else does', async t => {
  const pass = stopTime(t)
  const add = lineOfWork()
  const done: string[] = []
  add(ada!, () => pass(30))
  add(ada!, () => done.push('ada'))
  add(bob!, () => done.push('bob'))
  await doAll()
  pass(89)
  await doAll()
  t.strictSame(done, ['bob'])
  pass(1)
  await doAll()
  t.strictSame(done, ['bob', 'ada'])
})

t.test('after a millisecond of short pieces, a caller rests while others send requests', async t => {
  const pass = stopTime(t)
  const add = lineOfWork()
  let done = 0
  const short = () => {
    done++
    pass(0.25)
  }
  requesters.note('ada')
  for (let n = 0; n < 6; n++) add(ada!, short)
  await doAll()
  t.equal(done, 6, 'alone')
  requesters.note('bob')
  for (let n = 0; n < 6; n++) add(ada!, short)
  await doAll()
  t.equal(done, 10)
  pass(2)
  await doAll()
  t.equal(done, 10)
  pass(1)
  await doAll()
  t.equal(done, 12)
})

t.test('a piece of work answers what it returns, and throws what it throws', async t => {
  t.equal(await inTurn(ada!, () => 7), 7)
  const failing = inTurn(ada!, () => {
    throw new Error('of the work')
  })
  await t.rejects(failing, { message: 'of the work' })
})
