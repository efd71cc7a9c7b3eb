/** Idempotency keys of leases, used at the same time: each key stands for one set of messages. */
import t from 'tap'
import { QueueError } from '../../src/core/errors.ts'
import type { LeasedMessage } from '../../src/core/message.ts'
import {
  blocker,
  conserved,
  countOf,
  enqueue,
  expire,
  leaseBy,
  messages,
  poolA,
  poolB,
  queue,
  receiptsOf,
  replica,
  sweep,
  type Session
} from './setup.ts'
import { openShares } from '../../src/core/engine/shares.ts'
import { tester } from '../support/callers.ts'

t.test('one lease key used on two replicas at once is one set of messages and receipts', async t => {
  const { id, name } = await queue({ leaseSeconds: 60 })
  await enqueue(id, 500)
  const replicas = [replica(poolA), replica(poolB)]
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        leaseBy(replicas[i % 2]!.broker, name, { max: 5, idempotencyKey: `k${round}` })
      )
    )
    const sets = answers.map(({ messages }) => receiptsOf(messages).sort().join())
    t.equal(new Set(sets).size, 1)
    t.equal(answers[0]!.messages.length, 5)
  }
  // This replica looks for the messages of the key, finds none, and is about to free the key. The
  // other replica's whole lease fits in between.
  const leaseElsewhere = async () =>
    (await leaseBy(replicas[1]!.broker, name, { max: 5, idempotencyKey: 'between' })).messages
  let elsewhere: Promise<LeasedMessage[]> | undefined
  const session: Session = {
    query: async (statement, values) => {
      const rows = await poolA.query(statement, values)
      await (elsewhere ??= leaseElsewhere())
      return rows
    }
  }
  t.strictSame(await messages.leaseAgain(session, id, 'between'), [])
  t.strictSame(await leaseElsewhere(), await elsewhere!)
  await Promise.all(replicas.map(({ stop }) => stop()))
  t.equal(await countOf(id, 'leased'), 55)
  await conserved(t, id)
})

t.test('who hangs up and repeats the lease by its key keeps the messages', async t => {
  const { id, name } = await queue({ leaseSeconds: 60 })
  await enqueue(id, 2)
  const elsewhere = replica(poolB)
  const request = { max: 2, leaseSeconds: null, worker: 'w', idempotencyKey: 'hung-up', waitSeconds: 20 }
  // The repeat is answered after the commit of the first call, and before it could release anything.
  let repeated: Promise<LeasedMessage[]> | undefined
  const repeat = async () => (await leaseBy(elsewhere.broker, name, request)).messages
  const here = replica(poolA, {
    verbs: {
      release: async (...call) => {
        await (repeated ??= repeat())
        return await messages.release(...call)
      }
    }
  })
  const hungUp = AbortSignal.abort()
  await here.broker.lease(tester, name, request, [], () => hungUp)
  t.equal((await (repeated ?? repeat())).length, 2)
  t.equal(await countOf(id, 'leased'), 2)
  await Promise.all([here.stop(), elsewhere.stop()])
})

t.test('leases with keys share a flush with others, and each key brings its own messages again', async t => {
  const { id, name } = await queue({ leaseSeconds: 60 })
  await enqueue(id, 45)
  const { broker, stop } = replica(poolA)
  const take = (worker: string, idempotencyKey: string | null, acks: string[] = []) =>
    leaseBy(broker, name, { max: 2, worker, idempotencyKey }, acks)
  const receipts = ({ messages }: { messages: LeasedMessage[] }) => receiptsOf(messages)
  const callers = Array.from({ length: 20 }, (_, i) => [`w${i}`, i % 4 === 0 ? null : `k${i}`] as const)
  const first = await Promise.all(callers.map(([worker, key]) => take(worker, key)))
  t.strictSame(
    first.map(({ messages }) => messages.length),
    callers.map(() => 2)
  )
  t.equal(new Set(first.flatMap(receipts)).size, 40, 'no message has two holders')
  t.match(
    await poolA.query(
      `
      select count(distinct xmin::text)::int as commits, count(*)::int as rows
      from holdfast.leases
      where queue_id = $1`,
      [id]
    ),
    [{ commits: 1, rows: 16 }],
    'one commit; one row for all leases without a key, and one for each key'
  )

  const again = await Promise.all(
    [...callers.slice(1, 4), ...callers.slice(1, 4)].map(([worker, key], i) =>
      take(worker, key, i === 0 ? receipts(first[0]!) : [])
    )
  )
  t.strictSame(
    again.map(receipts),
    [1, 2, 3, 1, 2, 3].map(i => receipts(first[i]!)),
    'a used key brings its own messages while there are others to lease'
  )
  t.strictSame(again[0]!.outcomes, [{ outcome: 'acked' }, { outcome: 'acked' }])
  let left = 0
  for (let i = 0; i < 3; i++) left += (await take('w', null)).messages.length
  t.equal(left, 5, 'the others are still there')
  t.strictSame(
    receipts(await take('w7', 'k7', receipts(first[4]!))),
    receipts(first[7]!),
    'a used key brings its own messages when the queue is empty'
  )

  await expire(id)
  await sweep(poolA)
  for (const i of [1, 8, 19]) {
    const [{ id: messageId }] = first[i]!.messages as [LeasedMessage]
    t.match(
      await poolA.query('select worker from holdfast.history where queue_id = $1 and message_id = $2', [
        id,
        messageId
      ]),
      [{ worker: `w${i}` }],
      'the history names the holder'
    )
  }
  await stop()
  await conserved(t, id)
})

t.test('a call whose key has been used is never told that there is nothing, whatever hinders it', async t => {
  const { id, name } = await queue({ leaseSeconds: 60 })
  await enqueue(id, 5)
  const shares = openShares({ waitingBytesMax: 1e6, waitersMax: 100, connectionsMax: 100 })
  let databaseAway = false
  const { broker, stop } = replica(poolA, {
    options: { shares },
    verbs: {
      leaseAgain: async (...args) => {
        if (databaseAway) throw new QueueError('databaseUnavailable', 'away')
        return await messages.leaseAgain(...args)
      }
    }
  })
  const take = async (idempotencyKey: string | null, acks: string[] = []) =>
    receiptsOf((await leaseBy(broker, name, { idempotencyKey }, acks)).messages)
  const first = await take(null)
  const ofK = await take('K')
  const third = await take(null)
  t.equal((await take('L')).length, 1)
  const ofM = await Promise.all([take('M'), take('M'), take('M')])
  t.strictSame(ofM, [ofM[0], ofM[0], ofM[0]], 'one key three times in the flush that empties the queue')
  t.equal(ofM[0]!.length, 1)

  shares.answerBytes.hold(tester, 2e6)
  await t.rejects(
    take('K', first),
    { code: 'outcomeUnknown' },
    'with too many bytes of answers unread, the ack is done and the lease must be asked for again'
  )
  await t.rejects(take('K'), { code: 'overloaded' })
  shares.answerBytes.give(tester, 2e6)
  databaseAway = true
  await t.rejects(take('K', third), { code: 'outcomeUnknown' }, 'the database went away after the ack')
  databaseAway = false
  t.strictSame(await take('K', third), ofK)
  t.equal(await countOf(id, 'leased'), 3, 'the acks were done')
  await stop()
  await conserved(t, id)
})

t.test('a conflict that has nothing to do with lease keys is an error, at once', async t => {
  const { id, name } = await queue({ keepAckedSeconds: 60 })
  await enqueue(id, 1)
  const { broker, stop } = replica(poolA)
  const { messages: leased } = await leaseBy(broker, name)
  // A row with the id of a message that exists, as behind a sequence that was set too low.
  await blocker.query(
    `
    insert into holdfast.acked (
      id, enqueued_at, acked_at, keep_until, fence, queue_id, attempt, max_attempts, rank, body
    )
    values ($1, now(), now(), now(), 1, $2, 1, 1, 8, '1')`,
    [leased[0]!.id, id]
  )
  const receipts = leased.map(({ receipt }) => ({ receipt }))
  await t.rejects(broker.settle(tester, name, 'ack', receipts, String), { code: '23505' })
  await blocker.query('delete from holdfast.acked where queue_id = $1', [id])
  await stop()
  await conserved(t, id)
})

t.test('many callers use and free one lease key at once: a refused call has leased nothing', async t => {
  const { id, name } = await queue({ leaseSeconds: 60 })
  await enqueue(id, 300)
  const replicas = [replica(poolA), replica(poolB)]
  let refused = 0
  const use = async (i: number, idempotencyKey: string | null) => {
    const { broker } = replicas[i % 2]!
    for (let n = 0; n < 5; n++) {
      try {
        const { messages } = await leaseBy(broker, name, { idempotencyKey })
        t.equal(messages.length, 1)
        await broker.settle(
          tester,
          name,
          'ack',
          messages.map(({ receipt }) => ({ receipt })),
          String
        )
      } catch (error) {
        const isRefusal =
          error instanceof QueueError && error.code === 'overloaded' && error.outcome === 'none'
        if (idempotencyKey === null || !isRefusal) throw error
        refused++
      }
    }
  }
  await Promise.all([
    ...Array.from({ length: 20 }, (_, i) => use(i, 'shared')),
    ...Array.from({ length: 10 }, (_, i) => use(i, null))
  ])
  t.comment(`${refused} of 100 calls with the key were refused`)
  await Promise.all(replicas.map(({ stop }) => stop()))
  t.equal(await countOf(id, 'leased'), 0, 'every leased message was told to its caller')
  await conserved(t, id)
})
