/** Enqueues with unique keys that race: with one another, and with what ends a message. */
import t from 'tap'
import type { EnqueueRow } from '../../src/core/ports.ts'
import type { Unique } from '../../src/core/options.ts'
import { enqueue } from '../../src/store/verbs/enqueueUnique.ts'
import { tester } from '../support/callers.ts'
import {
  ack,
  blocker,
  brokerOn,
  bulk,
  bury,
  conserved,
  countOf,
  deadlocks,
  lease,
  poolA,
  poolB,
  queue,
  row,
  rowsOf,
  sessionOn,
  sweep,
  untilBlocked
} from './setup.ts'

const unique = (
  queueId: string,
  given: Partial<Unique> = {},
  rest: Partial<EnqueueRow> = {}
): EnqueueRow => ({
  ...row(queueId),
  unique: { key: 'k', ...given },
  ...rest
})
const keep = (queueId: string, rest?: Partial<EnqueueRow>) => unique(queueId, {}, rest)
const replace = (queueId: string, rest?: Partial<EnqueueRow>) =>
  unique(queueId, { onConflict: 'replace' }, rest)
const held = sessionOn(blocker)

/** Runs `work` in a transaction that stays open until `end`. */
async function opened(
  work: () => Promise<unknown>
): Promise<(end: 'commit' | 'rollback') => Promise<unknown>> {
  await blocker.query('begin')
  await work()
  return end => blocker.query(end)
}

t.test('of two enqueues of one key at once, one is stored', async t => {
  const { id } = await queue()
  for (const second of [keep, replace]) {
    let first: string
    const end = await opened(async () => {
      first = (await enqueue(held, [keep(id)]))[0]!.id
    })
    const other = enqueue(poolA, [second(id), row(id)])
    await untilBlocked(1)
    await end('commit')
    t.match(await other, [
      { id: first!, duplicate: second === keep, replaced: second === replace },
      { duplicate: false, replaced: false }
    ])
    const undo = await opened(() => enqueue(held, [unique(id, { key: second.name })]))
    const third = enqueue(poolA, [unique(id, { key: second.name })])
    await untilBlocked(1)
    await undo('rollback')
    t.match(await third, [{ duplicate: false }], 'the key of an enqueue that was undone is free')
    await poolA.query('delete from holdfast.messages where id = $1', [first!])
    await poolA.query('insert into holdfast.ledger (queue_id, ready, purged_total) values ($1, -1, 1)', [id])
  }
  await conserved(t, id)
})

t.test('in lines an enqueue that comes second leaves no line behind', async t => {
  const { id } = await queue({ ordering: 'group' })
  const lined = (group: string) => keep(id, { group, lined: true })
  const end = await opened(() => enqueue(held, [lined('a')]))
  const second = enqueue(poolA, [lined('b')])
  await untilBlocked(1)
  await end('commit')
  t.match(await second, [{ duplicate: true }])
  const lines = await poolA.query('select line from holdfast.lines where queue_id = $1', [id])
  t.strictSame(
    lines.map(({ line }) => line),
    ['a']
  )
  await conserved(t, id)
})

t.test('a duplicate locks nothing, so no lease passes by its message', async t => {
  const { id } = await queue()
  await enqueue(poolA, [keep(id)])
  const end = await opened(() => enqueue(held, [keep(id)]))
  t.equal((await lease(poolA, id, 1)).length, 1)
  await end('commit')
})

t.test('a message that is just being leased', async t => {
  const { id } = await queue()
  const [first] = await enqueue(poolA, [unique(id, { until: 'leased' })])
  let end = await opened(() => lease(held, id, 1))
  t.match(await enqueue(poolA, [keep(id)]), [{ id: first!.id, duplicate: true }], 'it holds its key still')
  const replaced = enqueue(poolA, [replace(id)])
  await untilBlocked(1)
  await end('rollback')
  t.match(await replaced, [{ id: first!.id, replaced: true }], 'the lease was undone')

  const [second] = await enqueue(poolA, [unique(id, { key: 'l', until: 'leased' })])
  end = await opened(() => lease(held, id, 2))
  const two = enqueue(poolA, [replace(id), unique(id, { key: 'l', onConflict: 'replace' })])
  await untilBlocked(1)
  await end('commit')
  t.match(await two, [
    { id: first!.id, duplicate: true, replaced: false },
    { duplicate: false, replaced: false }
  ])
  t.not((await two)[1]!.id, second!.id, 'the lease freed the key')
  await conserved(t, id)
})

t.test('a replace beside what ends the message', async t => {
  const ends: Record<string, (id: string, message: string) => Promise<unknown>> = {
    cancel: (id, message) => bulk.cancel(held, id, message),
    'a late ack': (id, message) => ack(held, id, [{ id: message, fence: '1' }]),
    death: (id, message) => bury(held, id, [{ id: message, fence: '1' }]),
    expiry: (id, message) =>
      held.query('delete from holdfast.messages where queue_id = $1 and id = $2', [id, message])
  }
  for (const [name, work] of Object.entries(ends)) {
    const { id } = await queue()
    const [first] = await enqueue(poolA, [keep(id)])
    const [leased] = await lease(poolA, id, 1)
    const message = first!.id
    await poolA.query('update holdfast.messages set leased_until = null where id = $1', [leased!.id])
    const end = await opened(() => work(id, message))
    const second = enqueue(poolB, [replace(id)])
    await untilBlocked(1)
    await end('commit')
    t.match(await second, [{ duplicate: false, replaced: false }], name)
    t.not((await second)[0]!.id, message, name)
  }
})

t.test('what ends a message beside a replace of it', async t => {
  const { id } = await queue()
  const [first] = await enqueue(poolA, [keep(id)])
  const [leased] = await lease(poolA, id, 1)
  await poolA.query('update holdfast.messages set leased_until = null where id = $1', [leased!.id])
  const end = await opened(() => enqueue(held, [replace(id)]))
  const acked = ack(poolA, id, [leased!])
  const cancelled = bulk.cancel(poolB, id, first!.id)
  await untilBlocked(2)
  await end('commit')
  t.strictSame((await acked).rows, [], 'the receipt is older')
  t.match(await cancelled, { outcome: 'cancelled' })
  t.equal((await rowsOf(id)).length, 0)
})

t.test('a replace takes a message from its time to live', async t => {
  const { id } = await queue()
  const [first] = await enqueue(poolA, [keep(id, { ttlSeconds: 600 })])
  const end = await opened(() => enqueue(held, [replace(id)]))
  await poolA.query('select')
  await sweep(poolA)
  await end('commit')
  await sweep(poolA)
  t.match(await rowsOf(id), [{ id: first!.id }])
})

t.test('two lists that name the same keys in opposite order do not wait for one another', async t => {
  const before = await deadlocks()
  const names = ['a', 'b', 'c', 'd', 'e']
  for (const settings of [{}, { ordering: 'group' }, { fairness: 'group' }] as const) {
    for (const make of [keep, replace]) {
      const { id } = await queue(settings)
      const list = (keys: string[]) =>
        keys.map(key => ({
          ...make(id),
          group: 'g',
          lined: Object.keys(settings).length > 0,
          unique: { ...make(id).unique!, key }
        }))
      for (let round = 0; round < 10; round++) {
        const answers = await Promise.all([
          enqueue(poolA, list(names)),
          enqueue(poolB, list(names.toReversed())),
          enqueue(poolA, list(names)),
          enqueue(poolB, list(names.toReversed()))
        ])
        t.equal(
          answers.flat().filter(answer => !answer!.duplicate && !answer!.replaced).length,
          round === 0 ? 5 : 0
        )
      }
      await conserved(t, id)
    }
  }
  t.equal(await deadlocks(), before)
})

t.test('an idempotency key that another session has just taken', async t => {
  const { id } = await queue()
  const [first] = await enqueue(poolA, [keep(id)])
  const again = () => replace(id, { idempotencyKey: 'i', body: '2' })
  const end = await opened(() => enqueue(held, [again()]))
  const second = enqueue(poolA, [again()])
  await untilBlocked(1)
  await end('commit')
  t.match(await second, [{ id: first!.id, duplicate: true, replaced: false }])
  t.match(await rowsOf(id), [{ fence: '1' }], 'replaced once')
})

t.test('in SQL', async t => {
  const { id, name } = await queue()
  const inSql = async (options: object) =>
    (await blocker.query('select holdfast.enqueue($1, $2, $3) as id', [name, '1', options])).rows[0].id
  await blocker.query('begin')
  const first = await inSql({ unique: { key: 'k', until: 'leased' } })
  t.equal(await inSql({ unique: { key: 'k' } }), first)
  const second = enqueue(poolA, [replace(id)])
  await untilBlocked(1)
  await blocker.query('commit')
  t.match(await second, [{ id: first, replaced: true }])

  let other: string
  const undo = await opened(async () => {
    other = (await enqueue(held, [unique(id, { key: 'l' })]))[0]!.id
  })
  const inOther = poolA.query('select holdfast.enqueue($1, $2, $3) as id', [
    name,
    '1',
    { unique: { key: 'l' } }
  ])
  await untilBlocked(1)
  await undo('commit')
  t.strictSame(await inOther, [{ id: other! }], 'it looks again when another session was faster')
  await conserved(t, id)
})

t.test('in SQL a replace, a refusal and a full queue are what they are over HTTP', async t => {
  const { id, name } = await queue({ ordering: 'group', maxDepth: 2 })
  const inSql = async (options: object, body = '1') =>
    await poolA.query('select holdfast.enqueue($1, $2, $3) as id', [name, body, options]).then(
      rows => rows[0]!.id,
      error => error.code
    )
  const key = { key: 'k', onConflict: 'replace' }
  const first = await inSql({ group: 'a', unique: { key: 'k' } })
  t.match(first, /^\d+$/)
  await inSql({ group: 'a' })
  t.equal(await inSql({ group: 'a' }), 'HF006')
  t.equal(await inSql({ group: 'b', unique: key }), 'HF007')
  t.equal(await inSql({ group: 'a', unique: key, idempotencyKey: 'i' }, '2'), first)
  t.equal(await inSql({ group: 'a', unique: { key: 'k' } }, '3'), first)
  t.equal(await inSql({ group: 'a', unique: key, idempotencyKey: 'i' }, '2'), first)
  t.match(await rowsOf(id), [{ id: first, fence: '1' }, { fence: '0' }], 'replaced once')
  t.equal(await inSql({ group: 'a', unique: key, idempotencyKey: 'i' }, '3'), 'HF005')
  for (const unique of [{}, { key: '' }, { key: 'k', until: 'no' }, { key: 'k', more: 1 }, 'k', null]) {
    t.equal(await inSql({ unique }), 'HF004', JSON.stringify(unique))
  }
  const leased = await lease(poolA, id, 1)
  await ack(poolA, id, leased)
  t.match(await inSql({ group: 'a', unique: { key: 'k', until: 'leased' } }), /^\d+$/)
  await conserved(t, id)
})

t.test('in SQL, where groups take turns', async t => {
  const { id, name } = await queue({ fairness: 'group' })
  const inSql = async (body: string, options: object) =>
    (await poolA.query('select holdfast.enqueue($1, $2, $3) as id', [name, body, options]))[0]!.id
  const unique = (key: string) => ({ group: 'a', unique: { key, onConflict: 'replace' } })
  const first = await inSql('1', unique('a1'))
  const second = await inSql('2', unique('a2'))
  t.equal(await inSql('3', { ...unique('a1'), delaySeconds: 600 }), first)
  t.match(await lease(poolA, id, 1), [{ id: second }])
  t.strictSame(await lease(poolA, id, 1), [])
  t.equal(await inSql('4', unique('a1')), first)
  t.match(await lease(poolA, id, 1), [{ id: first, body: '4' }])
  await conserved(t, id)
})

t.test('many sessions at once, on few keys that come and go', async t => {
  for (const settings of [{}, { ordering: 'group' }, { fairness: 'group' }] as const) {
    const { id, name } = await queue({ ...settings, retry: { delaySeconds: 0 } })
    const brokers = [brokerOn(poolA), brokerOn(poolB)]
    const keys = ['a', 'b', 'c']
    let stored = 0
    const produce = async (worker: number) => {
      for (let i = 0; i < 60; i++) {
        const key = keys[(worker + i) % keys.length]!
        const onConflict = i % 3 === 0 ? ('replace' as const) : ('keep' as const)
        const until = i % 2 === 0 ? ('leased' as const) : ('settled' as const)
        const messages = [key, keys[i % keys.length]!].map(key => ({
          body: '1',
          contentType: null,
          group: 'g',
          unique: { key, until, onConflict }
        }))
        const answers = await brokers[worker % 2]!.enqueue(tester, name, messages, true)
        stored += answers.filter(({ duplicate, replaced = false }) => !duplicate && !replaced).length
      }
    }
    let done = false
    let acked = 0
    const consume = async (pool: typeof poolA) => {
      for (;;) {
        const isLast = done
        const leased = await lease(pool, id, 2)
        const { rows } = await ack(pool, id, leased)
        acked += rows.length
        if (isLast && leased.length === 0) return
      }
    }
    const consumers = [consume(poolA), consume(poolB)]
    await Promise.all([0, 1, 2, 3].map(produce))
    done = true
    await Promise.all(consumers)
    t.equal(acked, stored, 'each one stored is leased and acked once')
    t.equal(await countOf(id, 'ready'), 0)
    await conserved(t, id)
  }
})
