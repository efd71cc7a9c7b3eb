/** Large calls of one caller, of each kind, while others call: the database has one of them at a time. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { Broker } from '../../src/core/broker.ts'
import { Activity } from '../../src/core/engine/activity.ts'
import { largeBytes, largeCount } from '../../src/core/large.ts'
import type { Filter } from '../../src/core/message.ts'
import { everyQueue } from '../../src/core/queue.ts'
import { callerNamed } from '../support/callers.ts'
import { pollPause } from '../support/pollPause.ts'
import { blocker, brokerOn, never, poolA, queue, receiptOf } from './setup.ts'

type Queue = { id: string; name: string }

const caller = callerNamed('large')
const text = 'a'.repeat(largeBytes)
const anything: Filter = {
  contains: null,
  reason: null,
  enqueuedAfter: null,
  enqueuedBefore: null,
  group: null
}
const inBody = { ...anything, contains: 'a' }
const filtered = { ids: null, where: inBody, limit: 1000 }
const page = { state: null, where: null, after: '0', limit: 1 }
const request = { max: 1, waitSeconds: 0, leaseSeconds: null, worker: '', idempotencyKey: null }
const receiptsOf = (from: Queue, count: number) =>
  Array.from({ length: count }, (_, n) => receiptOf(from, { id: String(1_000_000 + n), fence: '1' }))
const settlementsOf = (from: Queue, count: number, fields: object = {}) =>
  receiptsOf(from, count).map(receipt => ({ receipt, ...fields }))
const pointer = (index: number) => `/${index}`

const large: Record<string, (broker: Broker, queue: Queue) => Promise<unknown>> = {
  'an enqueue of many bytes': (broker, { name }) =>
    broker.enqueue(caller, name, [{ body: text, contentType: null }], false),
  'a lease of many messages': (broker, { name }) =>
    broker.lease(caller, name, { ...request, max: largeCount }, [], () => never),
  'an ack of many messages': (broker, from) =>
    broker.settle(caller, from.name, 'ack', settlementsOf(from, largeCount), pointer),
  'a release of many messages': (broker, from) =>
    broker.settle(caller, from.name, 'release', settlementsOf(from, largeCount), pointer),
  'failures with long reasons': (broker, from) =>
    broker.settle(
      caller,
      from.name,
      'fail',
      settlementsOf(from, 16, { reason: text.slice(0, largeBytes / 16) }),
      pointer
    ),
  'an ack with a large result': (broker, from) => {
    const [receipt] = receiptsOf(from, 1)
    return broker.complete(caller, from.name, [
      { receipt: receipt!, pointer: '', result: `"${text}"`, then: [] }
    ])
  },
  'an ack with large next messages': (broker, from) => {
    const [receipt] = receiptsOf(from, 1)
    const message = { body: text, contentType: null }
    const then = [{ queue: from.name, message, pointer: '' }]
    return broker.complete(caller, from.name, [{ receipt: receipt!, pointer: '', result: null, then }])
  },
  'a page of many messages': (broker, { name }) =>
    broker.browse(caller, name, { ...page, limit: largeCount }),
  'a page with a text in the body': (broker, { name }) =>
    broker.browse(caller, name, { ...page, where: inBody }),
  'a page of a state': (broker, { name }) => broker.browse(caller, name, { ...page, state: 'ready' }),
  'a page with a text in the reason': (broker, { name }) =>
    broker.browse(caller, name, { ...page, where: { ...anything, reason: 'a' } }),
  'a purge': (broker, { name }) =>
    broker.bulk(caller, name, { action: 'purge', state: null, selection: filtered }, never),
  'a dry run': (broker, { name }) =>
    broker.countMatches(caller, name, { action: 'purge', state: null, selection: filtered }, never),
  'a redrive': (broker, { name }) =>
    broker.redrive(caller, name, { selection: filtered, to: null, signal: never }),
  'failures by reason': (broker, { name }) => broker.failures(caller, name, ['dead'], never),
  'a list of many queues': broker =>
    broker.listQueues(caller, { after: '', limit: largeCount, scope: everyQueue }, null)
}

/** The statements that wait for a lock. */
async function blockedStatements(): Promise<string[]> {
  await blocker.query('select pg_stat_clear_snapshot()')
  const { rows } = await blocker.query(`
    select query
    from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()`)
  return rows.map(({ query }) => query)
}

for (const [what, call] of Object.entries(large)) {
  t.test(`${what}: while others call, a caller has one at a time`, async t => {
    const others = new (class extends Activity {
      override hasOthers = () => true
    })()
    const broker = brokerOn(poolA, { options: { activity: others } })
    // Each has a lane of its own.
    const queues = [await queue(), await queue({ maxDepth: 1_000_000 })]
    const other = await queue()
    for (const { name } of [...queues, other]) await broker.findQueue(caller, name)
    await blocker.query('begin')
    await blocker.query(
      'lock table holdfast.messages, holdfast.leases, holdfast.acked in access exclusive mode'
    )
    const first = call(broker, queues[0]!)
    let statements: string[] = []
    while (statements.length === 0) {
      await pollPause()
      statements = await blockedStatements()
    }
    const [ofFirst] = statements
    const second = call(broker, queues[1]!)
    const small = broker.settle(callerNamed('small'), other.name, 'extend', settlementsOf(other, 1), pointer)
    while (statements.every(statement => statement === ofFirst)) {
      await pollPause()
      statements = await blockedStatements()
    }
    t.equal(statements.length, 2, 'the large one that came first, and the small one of another caller')
    await blocker.query('commit')
    await Promise.allSettled([first, second, small])
    t.equal((await small)[0]!.outcome, 'gone')
    t.equal((await Promise.allSettled([second]))[0].status, 'fulfilled', 'the second one has its turn then')
  })
}

t.test('a caller rests after a page that holds many messages, and not after a smaller one', async t => {
  const others = new (class extends Activity {
    override hasOthers = () => true
  })()
  const slowMs = 300
  const times: number[] = []
  let count = 0
  const verbs = {
    async browse() {
      times.push(performance.now())
      await pause(slowMs)
      times.push(performance.now())
      return { messages: Array(count).fill({}), cursor: null, examined: { messages: count, bytes: 0 } }
    }
  }
  const broker = brokerOn(poolA, { verbs, options: { activity: others } })
  const { name } = await queue()
  for (count of [largeCount, largeCount - 1]) {
    times.length = 0
    for (let n = 0; n < 2; n++) await broker.browse(caller, name, { ...page, limit: largeCount })
    const restMs = times[2]! - times[1]!
    t.equal(restMs > slowMs - 10, count >= largeCount, `${count} messages, ${restMs.toFixed(0)} ms`)
  }
})
