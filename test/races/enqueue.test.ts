/** Enqueues that race under one key, or share a flush with a message that cannot be stored. */
import t from 'tap'
import { isServerError } from '../../src/store/databaseErrors.ts'
import {
  blocker,
  brokerOn,
  conserved,
  messages,
  poolA,
  poolB,
  queue,
  row,
  rowsOf,
  untilBlocked
} from './setup.ts'
import type { Caller } from '../../src/core/caller.ts'
import { callerNamed, tester } from '../support/callers.ts'

t.test('large headers have flushes of their own, as large bodies do', async t => {
  const { name } = await queue()
  const flushes: number[] = []
  const broker = brokerOn(poolA, {
    verbs: {
      enqueue: (session, rows) => {
        flushes.push(rows.length)
        return messages.enqueue(session, rows)
      }
    }
  })
  const headers = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`h${i}`, 'x'.repeat(4000)]))
  const send = (message: object) =>
    broker.enqueue(tester, name, [{ body: '1', contentType: null, ...message }], false)
  await Promise.all([send({}), send({ headers }), send({ body: 'x'.repeat(80_000) }), send({})])
  t.strictSame(flushes.sort(), [2, 2])
})

t.test('the sweeper hears of a delay that ended before the enqueue was answered', async t => {
  const { name } = await queue()
  const dueMs = Date.now() + 100
  const heardMs: number[] = []
  const broker = brokerOn(poolA, {
    signals: { onReady: () => {}, onFree: () => {}, onDue: timeMs => heardMs.push(timeMs) },
    verbs: {
      async enqueue(session, rows) {
        const answers = await messages.enqueue(session, rows)
        while (Date.now() <= dueMs) await poolB.query('select')
        return answers
      }
    }
  })
  const message = { body: '1', contentType: null }
  const delayed = { ...message, visibleAt: new Date(dueMs).toISOString() }
  await broker.enqueue(tester, name, [delayed], false)
  t.strictSame(heardMs, [dueMs])
  await broker.enqueue(tester, name, [message, delayed], true)
  t.strictSame(heardMs, [dueMs], 'messages that are ready at once start no sweep')
})

t.test('two enqueues of one key store one message, also before the first has committed', async t => {
  const { id, name } = await queue()
  const enqueueInSql = async (idempotencyKey: string) =>
    (await blocker.query('select holdfast.enqueue($1, $2, $3) as id', [name, '1', { idempotencyKey }]))
      .rows[0].id
  await blocker.query('begin')
  const first = await enqueueInSql('k')
  const second = messages.enqueue(poolA, [row(id, 'k')])
  await untilBlocked(1)
  await blocker.query('commit')
  t.match(await second, [{ id: first, duplicate: true, mismatch: false }])

  await blocker.query('begin')
  await enqueueInSql('undone')
  const third = messages.enqueue(poolA, [row(id, 'undone')])
  await untilBlocked(1)
  await blocker.query('rollback')
  t.match(await third, [{ duplicate: false }], 'the key of a rolled-back enqueue is free')

  const keyed = (keys: string[]) => keys.map(key => row(id, key))
  const [forth, back] = await Promise.all([
    messages.enqueue(poolA, keyed(['a', 'b', 'c'])),
    messages.enqueue(poolB, keyed(['c', 'b', 'a']))
  ])
  t.strictSame(forth.map(answer => answer!.id).sort(), back.map(answer => answer!.id).sort())
  t.equal((await rowsOf(id)).length, 5)
  await conserved(t, id)
})

t.test('lists that need a commit each hold up no list of another caller', async t => {
  const { name } = await queue()
  const broker = brokerOn(poolA)
  const [ada, bob] = ['ada', 'bob'].map(callerNamed)
  const list = (caller: Caller, ...keys: string[]) =>
    broker.enqueue(
      caller,
      name,
      keys.map(idempotencyKey => ({ body: '1', contentType: null, idempotencyKey })),
      true
    )
  await blocker.query('begin')
  await blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { idempotencyKey: 'taken' }])
  const waiting = [list(ada!, 'taken', 'a1')]
  await untilBlocked(1)
  waiting.push(list(ada!, 'taken', 'a2'))
  await untilBlocked(2)
  t.equal((await list(bob!, 'b1', 'b2')).length, 2)
  t.equal((await list(bob!, 'b3')).length, 1)
  await blocker.query('commit')
  await Promise.all(waiting)
})

t.test('a bad message fails alone, and a flush that was split stores nothing twice', async t => {
  // A queue with maxDepth has one lane for messages with keys and for those without.
  const { id, name } = await queue({ maxDepth: 1000 })
  const broker = brokerOn(poolA, {
    options: { isPoison: error => isServerError(error) && error.code.startsWith('22') }
  })
  const plain = (body: string) => broker.enqueue(tester, name, [{ body, contentType: null }], false)
  // No front would let this through: a time that PostgreSQL cannot read. Its key sends it into a
  // second round.
  const keyed = (visibleAt?: string) =>
    broker.enqueue(tester, name, [{ body: '1', contentType: null, idempotencyKey: 'k', visibleAt }], false)
  await plain('0')
  const answers = await Promise.allSettled([
    plain('p'),
    keyed(),
    keyed('99999999-99-99'),
    broker.enqueue(tester, name, [{ body: '7', contentType: null, idempotencyKey: 'other' }], false),
    broker.enqueue(
      tester,
      name,
      ['8', '9'].map(body => ({ body, contentType: null, idempotencyKey: body })),
      true
    )
  ])
  t.strictSame(
    answers.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled']
  )
  t.equal((await rowsOf(id)).length, 6)
  const many = await Promise.allSettled(
    Array.from({ length: 63 }, (_, i) =>
      i === 31
        ? broker.enqueue(tester, name, [{ body: '1', contentType: null, visibleAt: 'never' }], false)
        : plain(String(i))
    )
  )
  t.equal(many.filter(({ status }) => status === 'fulfilled').length, 62)
  t.equal((await rowsOf(id)).length, 68)
  await conserved(t, id)
})
