/** Bulk actions that race with other sessions for the messages they have found. */
import t from 'tap'
import {
  ack,
  blocker,
  bulk,
  bury,
  conserved,
  lease,
  messages,
  pace,
  poolA,
  poolB,
  queue,
  redrive,
  row,
  rowsOf,
  sessionOn,
  untilBlocked,
  type Database,
  type Session,
  type Statement
} from './setup.ts'

const everything = { ids: null, where: null, limit: Infinity }
const all = { selection: everything, ...pace }
const only = (ids: string[]) => ({ selection: { ...everything, ids }, ...pace })

interface Action {
  from: 'ready' | 'delayed' | 'dead' | 'acked'
  run: (database: Database, queueId: string, ids: string[], count: (count: number) => void) => Promise<void>
}
const actions: Record<string, Action> = {
  retry: {
    from: 'delayed',
    run: (database, queueId, _ids, count) => bulk.retry(database, queueId, all, count)
  },
  'retry by ids': {
    from: 'delayed',
    run: (database, queueId, ids, count) => bulk.retry(database, queueId, only(ids), count)
  },
  redrive: {
    from: 'dead',
    run: (database, queueId, _ids, count) => redrive(database, queueId, { ...all, to: null }, count)
  },
  purge: {
    from: 'ready',
    run: (database, queueId, _ids, count) => bulk.purge(database, queueId, { ...all, state: 'ready' }, count)
  },
  'purge by ids': {
    from: 'ready',
    run: (database, queueId, ids, count) =>
      bulk.purge(database, queueId, { ...only(ids), state: 'ready' }, count)
  },
  'purge of dead messages': {
    from: 'dead',
    run: (database, queueId, _ids, count) => bulk.purge(database, queueId, { ...all, state: 'dead' }, count)
  },
  'purge of acked messages': {
    from: 'acked',
    run: (database, queueId, _ids, count) => bulk.purge(database, queueId, { ...all, state: 'acked' }, count)
  }
}

/** A queue with three messages in the state. */
async function furnish(state: Action['from']): Promise<{ queueId: string; ids: string[] }> {
  const { id: queueId } = await queue({ keepAckedSeconds: 60 })
  const delaySeconds = state === 'delayed' ? 60 : undefined
  const answers = await messages.enqueue(
    poolA,
    Array.from({ length: 3 }, () => ({ ...row(queueId), delaySeconds }))
  )
  if (state === 'dead') await bury(poolA, queueId, await lease(poolA, queueId, 3))
  if (state === 'acked') await ack(poolA, queueId, await lease(poolA, queueId, 3))
  return { queueId, ids: answers.map(answer => answer!.id) }
}

/**
 * Another session leases the first message and acks the second. Where they are acked already, it
 * removes both. Returns what it has leased.
 */
async function interfere(database: Database, state: Action['from'], queueId: string, ids: string[]) {
  const two = ids.slice(0, 2)
  if (state === 'acked') for (const id of two) await bulk.cancel(database, queueId, id)
  if (state === 'delayed') await bulk.retry(database, queueId, only(two), () => {})
  if (state === 'dead') await redrive(database, queueId, { ...only(two), to: null }, () => {})
  const leased = await lease(database, queueId, 2)
  await ack(database, queueId, leased.slice(1))
  return leased
}

/** poolB, which calls `race` once: after it has found the messages, and before it changes them. */
function racing(race: () => Promise<void>): Session {
  let raced = false
  return {
    async query(statement, values) {
      const rows = await poolB.query(statement, values)
      if (!raced && (statement as Statement).name?.startsWith('search')) {
        raced = true
        await race()
      }
      return rows
    }
  }
}

for (const when of ['before the action changes it', 'while the action waits for it'] as const) {
  t.test(`a message that another session takes ${when} is left alone, and not counted`, async t => {
    for (const [name, { from, run }] of Object.entries(actions)) {
      const { queueId, ids } = await furnish(from)
      let leased: Awaited<ReturnType<typeof lease>> = []
      let committed: Promise<unknown> = Promise.resolve()
      const session = racing(async () => {
        if (when === 'before the action changes it') leased = await interfere(poolA, from, queueId, ids)
        else {
          await blocker.query('begin')
          leased = await interfere(sessionOn(blocker) as Database, from, queueId, ids)
          committed = untilBlocked(1).then(() => blocker.query('commit'))
        }
      })
      let counted = 0
      await run({ ...poolB, ...session }, queueId, ids, count => {
        counted += count
      })
      await committed
      t.equal(counted, 1, `${name}: only the third`)
      const third = name.startsWith('purge') ? [] : [{ id: ids[2], state: 'ready' }]
      t.match(await rowsOf(queueId), from === 'acked' ? [] : [{ id: ids[0], state: 'leased' }, ...third])
      if (from !== 'acked') {
        t.equal((await ack(poolA, queueId, leased.slice(0, 1))).rows.length, 1, `${name}: the lease holds`)
      }
      await conserved(t, queueId)
    }
  })
}

t.test('a bulk action that has come to its end waits for no further turn', async t => {
  const { queueId } = await furnish('ready')
  let passes = 0
  const pass = async () => {
    passes++
  }
  let purged = 0
  await bulk.purge(poolA, queueId, { ...all, pass, state: 'ready' }, count => {
    purged += count
  })
  t.strictSame({ purged, passes }, { purged: 3, passes: 0 })
})
