/** What races for a line: an enqueue, an ack, a cancel, the end of a lease, a change of the order. */
import { Standstills } from '../../src/core/engine/standstills.ts'
import { tester } from '../support/callers.ts'
import t, { type Test } from 'tap'
import { answerBytesMax, standstillMsMax } from '../../src/core/limits.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { followerVerbs } from '../../src/store/verbs/followers.ts'
import {
  ack,
  blocker,
  bulk,
  conserved,
  deadlocks,
  expire,
  lease,
  messages,
  pace,
  poolA,
  poolB,
  queue,
  queues,
  receiptOf,
  row,
  rowsOf,
  sessionOn,
  sweep,
  untilBlocked,
  type Session
} from './setup.ts'
import { pollPause } from '../support/pollPause.ts'

const ordered = () => queue({ ordering: 'group' })

const enqueue = (session: Session, queueId: string, ...groups: string[]) =>
  enqueueLater(session, queueId, undefined, ...groups)

const enqueueLater = (session: Session, queueId: string, delaySeconds?: number, ...groups: string[]) =>
  messages.enqueue(
    session,
    groups.map(group => ({ ...row(queueId), group, delaySeconds, lined: true }))
  )

/** Acks in the open transaction of the blocker. */
const ackInSql = (q: { id: string; name: string }, leased: { id: string; fence: string }) =>
  blocker.query('select holdfast.ack($1)', [receiptOf(q, leased)])

/** Every line has one message that stands, or none and no row. */
async function linesAreWhole(t: Test, queueId: string): Promise<void> {
  const rows = await poolA.query(
    `select
      coalesce(l.line, m.line) as line,
      l.line is not null as has_row,
      coalesce(m.standing, 0) as standing
    from (select line from holdfast.lines where queue_id = $1) l
    full join (
      select
        line,
        count(*) filter (where position is not null or leased_until is not null)::int as standing
      from holdfast.messages
      where queue_id = $1
        and line is not null
        and dead_at is null
      group by line
    ) m using (line)
    where not coalesce(l.line is not null and m.standing = 1, false)`,
    [queueId]
  )
  t.strictSame(rows, [], 'each line has a row and one message that stands')
  await conserved(t, queueId)
}

t.test('a message that is enqueued while the last of its group is acked is not stuck', async t => {
  const q = await ordered()
  await enqueue(poolA, q.id, 'a')
  const [first] = await lease(poolA, q.id, 1)
  await blocker.query('begin')
  await ackInSql(q, first!)
  const enqueuing = enqueue(poolA, q.id, 'a')
  await untilBlocked(1)
  await blocker.query('commit')
  const [second] = await enqueuing
  t.match(await lease(poolB, q.id, 1), [{ id: second!.id }])
  await linesAreWhole(t, q.id)
})

const enqueueInSql = ({ name }: { name: string }) =>
  blocker.query('select holdfast.enqueue($1, $2, $3)', [name, '1', { group: 'a' }])
const enqueues = {
  'an enqueue in SQL': enqueueInSql,
  'an enqueue': (q: { id: string }) => enqueue(sessionOn(blocker), q.id, 'a')
}

for (const [name, enqueueBefore] of Object.entries(enqueues)) {
  t.test(`an ack that waits for ${name} of its group lets the new message stand`, async t => {
    const q = await ordered()
    await enqueue(poolA, q.id, 'a')
    const [first] = await lease(poolA, q.id, 1)
    await blocker.query('begin')
    await enqueueBefore(q)
    const acking = ack(poolA, q.id, [first!])
    // An ack that waits for nothing ends here, and nothing becomes ready.
    await Promise.race([untilBlocked(1), acking])
    await blocker.query('commit')
    t.match((await acking).freed, { count: 1 })
    t.equal((await lease(poolB, q.id, 1)).length, 1)
    await linesAreWhole(t, q.id)
  })
}

t.test('of two enqueues of a group at once, the one that commits first comes first', async t => {
  const q = await ordered()
  await blocker.query('begin')
  const { rows } = await blocker.query('select holdfast.enqueue($1, $2, $3) as id', [
    q.name,
    '1',
    { group: 'a' }
  ])
  const later = enqueue(poolA, q.id, 'b', 'a')
  await untilBlocked(1)
  await blocker.query('commit')
  const [, second] = await later
  const heads = await lease(poolA, q.id, 5)
  t.ok(heads.some(({ id }) => id === rows[0].id))
  t.notOk(heads.some(({ id }) => id === second!.id))
  await ack(poolA, q.id, heads)
  t.match(await lease(poolA, q.id, 5), [{ id: second!.id }])
  await linesAreWhole(t, q.id)
})

t.test('a rolled-back enqueue leaves its group to the next one', async t => {
  const q = await ordered()
  await blocker.query('begin')
  await enqueueInSql(q)
  const later = enqueue(poolA, q.id, 'a')
  await untilBlocked(1)
  await blocker.query('rollback')
  const [second] = await later
  t.match(await lease(poolA, q.id, 5), [{ id: second!.id }])
  await linesAreWhole(t, q.id)
})

t.test('the next message is cancelled while an ack wants it to stand', async t => {
  const q = await ordered()
  const [, second, third] = await enqueue(poolA, q.id, 'a', 'a', 'a')
  const [first] = await lease(poolA, q.id, 1)
  await blocker.query('begin')
  await blocker.query('delete from holdfast.messages where queue_id = $1 and id = $2', [q.id, second!.id])
  await blocker.query('insert into holdfast.ledger (queue_id, ready, purged_total) values ($1, -1, 1)', [
    q.id
  ])
  const acking = ack(poolA, q.id, [first!])
  await untilBlocked(1)
  await blocker.query('commit')
  await acking
  t.match(await lease(poolA, q.id, 5), [{ id: third!.id }])
  await linesAreWhole(t, q.id)
})

const all = { selection: { ids: null, where: null, limit: 1000 }, ...pace }

t.test('a purge of everything beside acks and enqueues of the same groups does not deadlock', async t => {
  const q = await ordered()
  const before = await deadlocks()
  const groups = Array.from({ length: 100 }, (_, n) => `g${n % 20}`)
  for (let round = 0; round < 10; round++) {
    await enqueue(poolA, q.id, ...groups)
    const leased = await lease(poolA, q.id, 10)
    await Promise.all([
      bulk.purge(poolA, q.id, { state: null, ...all }, () => {}),
      ack(poolB, q.id, leased),
      enqueue(poolB, q.id, ...groups.toReversed())
    ])
    await linesAreWhole(t, q.id)
  }
  t.equal(await deadlocks(), before)
})

const bulkVerbs: [name: string, act: (queueId: string) => Promise<void>][] = [
  ['purge', id => bulk.purge(poolA, id, { state: 'delayed', ...all }, () => {})],
  ['retry', id => bulk.retry(poolA, id, all, () => {})]
]
for (const [name, act] of bulkVerbs) {
  t.test(`a ${name} beside an ack that promotes messages of two lines does not deadlock`, async t => {
    const q = await ordered()
    await enqueue(poolA, q.id, 'a', 'b')
    const heads = await lease(poolA, q.id, 2)
    await enqueueLater(poolA, q.id, 3600, 'b', 'a')
    const before = await deadlocks()
    // The ack locks the message of line a before that of line b, a chunk the other way round.
    await blocker.query('begin')
    await blocker.query(
      "select from holdfast.messages where queue_id = $1 and line = 'a' and position is null for update",
      [q.id]
    )
    const acking = ack(poolB, q.id, heads)
    await untilBlocked(1)
    const acting = act(q.id)
    await untilBlocked(2)
    await blocker.query('commit')
    t.equal((await acking).rows.length, 2)
    await acting
    t.strictSame(
      (await rowsOf(q.id)).map(({ state }) => state),
      name === 'purge' ? [] : ['ready', 'ready']
    )
    await linesAreWhole(t, q.id)
    t.equal(await deadlocks(), before)
  })
}

t.test('a lease finds what took the place of another while it passed by', async t => {
  const q = await queue({ fairness: 'group' })
  const scanHints = new ScanHints()
  await enqueue(poolA, q.id, 'a')
  await blocker.query('begin')
  const rows = [{ ...row(q.id), group: 'a', priority: 9, lined: true }]
  const [stored] = await messages.enqueue(sessionOn(blocker), rows)
  t.strictSame(await lease(poolA, q.id, 1, { scanHints }), [], 'the one that stands is locked')
  await blocker.query('commit')
  scanHints.lower(q.id, Number(stored!.position))
  t.match(await lease(poolA, q.id, 1, { scanHints }), [{ id: stored!.id }])
})

t.test('a lease gets no followers when its head was lost while it waited for the line', async t => {
  const q = await ordered()
  await enqueue(poolA, q.id, 'a', 'a', 'a')
  const [head] = await lease(poolA, q.id, 1)
  await blocker.query('begin')
  await blocker.query('select from holdfast.lines where queue_id = $1 for update', [q.id])
  const { lockLinesOf, leaseFollowers } = followerVerbs
  const following = poolA.transaction(async session => {
    await lockLinesOf(session, q.id, [head!.id])
    const heads = [{ ...head!, ask: 0 }]
    return await leaseFollowers(session, q.id, {
      heads,
      wanted: [2],
      bytesMax: answerBytesMax,
      limited: false
    })
  })
  await untilBlocked(1)
  await expire(q.id)
  await sweep(poolB)
  t.strictSame(await lease(poolB, q.id, 1), [], 'the sweeper does not wait for the line')
  await blocker.query('commit')
  t.strictSame(await following, [])
  await sweep(poolB)
  t.match(await lease(poolB, q.id, 1), [{ id: head!.id, fence: '2' }])
  await linesAreWhole(t, q.id)
})

t.test('the order changes after each enqueue that began before, and before each later one', async t => {
  const q = await queue()
  await blocker.query('begin')
  await blocker.query('select holdfast.enqueue($1, $2)', [q.name, '1'])
  const refused = queues.putQueue(poolA, q.name, { ordering: 'group' })
  await t.rejects(refused, { code: 'overloaded' }, 'a transaction that lasts is not waited for')
  const changing = new Standstills().run(tester, begin =>
    queues.putQueue(poolA, q.name, { ordering: 'group' }, { maker: null, begin })
  )
  await untilBlocked(1)
  await blocker.query('commit')
  t.equal(await changing, 'notEmpty')

  const other = await queue()
  await blocker.query('begin')
  await blocker.query('lock table holdfast.messages in share row exclusive mode')
  await blocker.query("update holdfast.queues set ordering = 'group' where id = $1", [other.id])
  const plain = messages.enqueue(poolA, [row(other.id)])
  await untilBlocked(1)
  await blocker.query('commit')
  t.strictSame(await plain, [null], 'its settings are read again')
  t.strictSame(await rowsOf(other.id), [])
})

t.test('the removal of an empty queue is tried again while a session keeps the row of the queue', async t => {
  const q = await queue()
  await blocker.query('begin')
  await blocker.query('select from holdfast.queues where id = $1 for key share', [q.id])
  const attempts = { made: 0 }
  const removing = new Standstills().run(tester, begin => {
    attempts.made++
    return queues.removeEmptyQueue(poolA, q.name, begin)
  })
  while (attempts.made < 3) await Promise.race([removing, pollPause()])
  await blocker.query('commit')
  t.equal(await removing, true)
})

t.test(
  'a change of the limits of very many groups counts as a standstill, and one of few does not',
  async t => {
    const ratePerGroup = { messages: 1, perSeconds: 1000 }
    const q = await queue({ ratePerGroup })
    const begins = { count: 0 }
    const change = async (settings: object) => {
      begins.count = 0
      const begin = () => {
        begins.count++
        return standstillMsMax
      }
      await queues.putQueue(poolA, q.name, settings, { maker: null, begin })
      return begins.count
    }
    const useRates = (from: number, to: number) =>
      poolA.query(
        `insert into holdfast.line_rates (queue_id, line, tokens, refilled_at, due_at)
      select $1, 'g' || n, 0, now(), now() + interval '1 hour'
      from generate_series($2::int, $3::int) n`,
        [q.id, from, to]
      )
    await useRates(1, 1000)
    t.equal(await change({ ratePerGroup: { messages: 2, perSeconds: 1000 } }), 0, '1,000 groups')
    await useRates(1001, 1001)
    t.equal(await change({ retentionSeconds: 1000 }), 0, 'another setting')
    t.equal(await change({ maxLeasedPerGroup: 3 }), 1)
    t.equal(await change({ ratePerGroup }), 1)
    t.equal(await change({ ratePerGroup: null }), 1)
    t.strictSame(await poolA.query('select from holdfast.line_rates where queue_id = $1', [q.id]), [])
  }
)
