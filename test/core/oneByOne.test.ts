/** Work piece by piece: one in each turn of the event loop, and callers take turns. */
import t from 'tap'
import { lineOfWork } from '../../src/core/engine/oneByOne.ts'

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

t.test('after a long piece the line pauses for three times as long', async t => {
  const add = lineOfWork()
  const longMs = 30
  let endedMs = 0
  await new Promise<void>(resolve => {
    add(ada!, () => {
      const sinceMs = performance.now()
      while (performance.now() < sinceMs + longMs);
      endedMs = performance.now()
    })
    add(ada!, resolve)
  })
  t.ok(performance.now() - endedMs >= 3 * longMs - 1)
})
