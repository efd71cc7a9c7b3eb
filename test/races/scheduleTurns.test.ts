/** Schedules of several owners that are due at the same time: their owners take turns. */
import t, { type Test } from 'tap'
import { dueHeader, nameHeader } from '../../src/core/schedule.ts'
import { Firings } from '../../src/core/verbs/firings.ts'
import { nextTime } from '../../src/jobs/calendar.ts'
import { openStore, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { callerNamed } from '../support/callers.ts'
import { blocker, brokerOn, messages, poolA, queues } from './setup.ts'

t.before(() => queues.putQueue(poolA, 'q', {}))
t.beforeEach(() => blocker.query('delete from holdfast.schedules; delete from holdfast.messages'))

const broker = brokerOn(poolA, { options: { createQueues: true } })

/** All are due at one time, also where a second passes between two calls that make them. */
const dueAt = new Date(Math.floor(Date.now() / 1000) * 1000)

/** Makes schedules that are due. Their names sort by owner, and bodies are JSON of so many bytes. */
const own = (owner: string, count: number, bytes: number) =>
  blocker.query(
    `
    insert into holdfast.schedules (
      name, queue, cron, timezone, body, headers, priority, paused, missed, next_at, owner_id, owner_name
    )
    select
      $1 || '-' || lpad(n::text, 4, '0'), 'q', '@yearly', 'UTC', to_json(repeat('x', $3::int - 2)), '{}', 4,
      false, 'once', $4::timestamptz, $1, $1
    from generate_series(1, $2::int) n`,
    [owner, count, bytes, dueAt]
  )

/** Fires what is due. Answers the owners of the messages of each commit. */
async function fire({ roundMsMax = 60_000, onCommit = async () => {} } = {}): Promise<string[][]> {
  const commits: string[][] = []
  const verbs: Partial<SessionVerbs> = {
    async enqueue(session, rows) {
      commits.push(rows.map(({ headers }) => headers![nameHeader]!.replace(/-\d+$/, '')))
      await onCommit()
      return await messages.enqueue(session, rows)
    }
  }
  const signals = { onReady: () => {}, onFree: () => {}, onDue: () => {} }
  const options = { createQueues: true, roundMsMax, keyOf: () => undefined }
  const firings = new Firings(openStore(poolA, new ScanHints(), verbs), broker, signals, nextTime, options)
  await firings.fireDue()
  return commits
}

const firedOnce = async (t: Test, count: number) => {
  const { rows } = await blocker.query(`
    select count(*)::int as all, count(distinct headers->>'${nameHeader}')::int as names
    from holdfast.messages
    where headers ? '${dueHeader}'`)
  t.strictSame(rows, [{ all: count, names: count }], 'each fires once')
}

t.test('the schedule of one owner waits for no second one of another, however large those are', async t => {
  await own('few', 1, 100)
  await own('crowd', 120, 10)
  await own('bulky', 12, 700_000)
  await own('huge', 12, 1_000_000)
  // It was made last, and its name comes last.
  await blocker.query("update holdfast.schedules set name = 'z-1' where owner_id = 'few'")
  const commits = await fire()
  const waited = commits.slice(0, commits.findIndex(owners => owners.includes('z')) + 1)
  t.strictSame(waited, [['bulky', 'crowd', 'z']])
  t.strictSame(commits[1], ['huge'])
  await firedOnce(t, 145)
})

t.test('in one commit are at most 50 firings, and 1 MiB of bodies', async t => {
  await own('crowd', 120, 10)
  t.strictSame(
    (await fire()).map(names => names.length),
    [1, 50, 50, 19]
  )
  await own('bulky', 7, 500_000)
  t.strictSame(
    (await fire()).map(names => names.length),
    [1, 2, 2, 2]
  )
})

t.test('what comes due in a long round has its turn in the next one, and no first turn is cut', async t => {
  for (const [owner, bytes] of [
    ['crowd', 10],
    ['bulky', 700_000],
    ['huge', 800_000]
  ] as const) {
    await own(owner, 3, bytes)
  }
  let isFirst = true
  const onCommit = async () => {
    if (isFirst) await own('late', 1, 10)
    isFirst = false
  }
  const round = [['bulky', 'crowd'], ['huge']]
  t.strictSame(await fire({ roundMsMax: -1, onCommit }), [
    ...round,
    ['bulky', 'crowd', 'late'],
    ['huge'],
    ...round
  ])
  await firedOnce(t, 10)
})

t.test('the queue of a schedule is made before others that its owner itself has asked for', async t => {
  const owner = callerNamed('flooder')
  let made = 0
  const flood = Array.from({ length: 60 }, async (_, i) => {
    await broker.enqueue(owner, `flood-${i}`, [{ body: '1', contentType: null }], false)
    made++
  })
  await flood[0]
  // The owner has asked for it as well, after the others.
  await broker.makeQueueFor(owner, 'flood-59')
  t.ok(made < 20, `${made} were made before it`)
  await Promise.all(flood)
})
