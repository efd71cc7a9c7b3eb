/**
 * Schedules that are due on several replicas: each fires once, whatever is killed or in the way.
 */
import { once } from 'node:events'
import t from 'tap'
import type { Caller } from '../../src/core/caller.ts'
import { AutoQueues } from '../../src/core/engine/autoQueues.ts'
import { QueueError } from '../../src/core/errors.ts'
import { scheduleNotFound } from '../../src/core/schedule.ts'
import { Firings } from '../../src/core/verbs/firings.ts'
import { Schedules } from '../../src/core/verbs/schedules.ts'
import { nextTime } from '../../src/jobs/calendar.ts'
import { openStore, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { pollPause } from '../support/pollPause.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service, serviceProcess } from '../support/service.ts'
import { callerNamed, shareOf, tester } from '../support/callers.ts'
import {
  blockedSessions,
  blocker,
  brokerOn,
  messages,
  poolA,
  poolB,
  queues,
  untilBlocked,
  type Database
} from './setup.ts'

t.beforeEach(() => blocker.query('delete from holdfast.schedules; delete from holdfast.messages'))

const onReady = () => {}
const onDue = () => {}

/** A replica's schedules: to change them, and to fire those that are due. */
function schedulesOn(
  database: Database,
  { createQueues = true, verbs = {} }: { createQueues?: boolean; verbs?: Partial<SessionVerbs> } = {}
) {
  const store = openStore(database, new ScanHints(), verbs)
  const autoQueues = new AutoQueues(
    store,
    { run: (_caller, work) => work(async () => {}) },
    shareOf(1000),
    Infinity
  )
  const broker = {
    makeQueueFor: autoQueues.make.bind(autoQueues),
    inTurn: <T>(_caller: Caller, work: () => Promise<T>) => work(),
    enqueue: undefined as never,
    findQueue: undefined as never
  }
  const options = { schedulesMax: Infinity, schedulesPerQueueMax: Infinity, onDue }
  const schedules = new Schedules(store, broker, nextTime, options)
  const firings = new Firings(store, broker, { onReady, onFree: onDue, onDue }, nextTime, {
    createQueues,
    keyOf: () => undefined
  })
  return {
    put: schedules.put.bind(schedules),
    get: schedules.get.bind(schedules),
    fireDue: firings.fireDue.bind(firings)
  }
}
const [schedulesA, schedulesB] = [schedulesOn(poolA), schedulesOn(poolB)]
const anyone = { caller: tester, key: null, permit: () => {} }
const put = (name: string, change: object = {}) =>
  schedulesA.put(name, { queue: 'q', cron: '@yearly', body: JSON.stringify(name), ...change }, anyone)
/** Makes the schedules due, as if this much time had passed. */
const age = (interval: string, names = '%') =>
  blocker.query(
    `
    update holdfast.schedules
    set next_at = date_trunc('minute', now()) - $1::interval
    where name like $2`,
    [interval, names]
  )
/** The names of the schedules whose messages are stored. */
const fired = async (): Promise<string[]> => {
  const { rows } = await blocker.query(`
    select headers->>'holdfast-schedule' as name
    from holdfast.messages
    order by 1`)
  return rows.map(({ name }) => name)
}
const lastRun = async (name: string) => (await schedulesA.get(name, anyone)).lastRun

t.test('replicas that fire at the same time fire each schedule once, and leave none', async t => {
  for (let i = 0; i < 450; i++) await put(`s${i}`)
  for (let round = 1; round <= 3; round++) {
    await age('0')
    await Promise.all([schedulesA.fireDue(), schedulesB.fireDue(), schedulesB.fireDue()])
    const names = await fired()
    t.equal(names.length, 450 * round)
    t.equal(new Set(names).size, 450)
  }
  const { rows } = await blocker.query(`
    select c.ready + coalesce((select sum(ready) from holdfast.ledger l where l.queue_id = q.id), 0) as ready
    from holdfast.queues q
    join holdfast.counts c on c.queue_id = q.id
    where name = 'q'`)
  t.equal(Number(rows[0].ready), 1350, 'the ledger says the same')
})

t.test('a schedule that another session holds is skipped without waiting, and fired later', async t => {
  await put('held')
  await put('free')
  await age('0')
  await blocker.query("begin; select from holdfast.schedules where name = 'held' for update")
  t.ok((await schedulesA.fireDue()) <= 0, 'one is still due')
  await blocker.query('commit')
  t.strictSame(await fired(), ['free'])
  await Promise.all([schedulesA.fireDue(), schedulesB.fireDue()])
  t.strictSame(await fired(), ['free', 'held'])
})

t.test('a replica killed before its commit has fired nothing, and another fires it once', async t => {
  await put('killed')
  await age('0')
  let pid: unknown
  const dying = schedulesOn(poolA, {
    verbs: {
      async enqueue(session, rows) {
        const answers = await messages.enqueue(session, rows)
        const [row] = await session.query('select pg_backend_pid() as pid')
        pid = row!.pid
        await blocker.query('select pg_terminate_backend($1)', [pid])
        return answers
      }
    }
  })
  await t.rejects(dying.fireDue())
  // Until the session has gone, it holds its lock on the schedule.
  while ((await blocker.query('select from pg_stat_activity where pid = $1', [pid])).rowCount! > 0) {
    await pollPause()
  }
  t.strictSame(await fired(), [])
  await Promise.all([schedulesA.fireDue(), schedulesB.fireDue()])
  t.strictSame(await fired(), ['killed'])
})

t.test('after an outage, once fires one message for all missed times and skip fires none', async t => {
  const cron = `${(new Date().getUTCMinutes() + 30) % 60} * * * *`
  await put('once', { cron })
  await put('skip', { cron, missed: 'skip' })
  await age('3 hours')
  const times = await blocker.query(`
    select holdfast.rfc3339(min(next_at)) as at, holdfast.rfc3339(now()) as now
    from holdfast.schedules`)
  const { at, now } = times.rows[0]
  const untilMs = await schedulesA.fireDue()
  t.ok(untilMs > 0 && untilMs <= 3_600_000)
  await schedulesB.fireDue()
  t.strictSame(await fired(), ['once'])
  const { rows } = await blocker.query('select headers from holdfast.messages')
  t.strictSame(rows[0].headers, { 'holdfast-schedule': 'once', 'holdfast-scheduled-for': at })
  t.match(await lastRun('once'), { at, outcome: 'enqueued' })
  t.match(await lastRun('skip'), { at, outcome: 'skipped', messageId: null })
  for (const name of ['once', 'skip']) {
    t.ok(Date.parse((await schedulesA.get(name, anyone)).nextAt!) > Date.parse(now))
  }
})

t.test('a schedule less than a minute late is not missed', async t => {
  await put('late', { missed: 'skip' })
  await blocker.query("update holdfast.schedules set next_at = now() - interval '55 s'")
  await schedulesA.fireDue()
  t.strictSame(await fired(), ['late'])
})

t.test('times missed while a schedule was paused are not made up for', async t => {
  await put('resting')
  await age('1 hour')
  await put('resting', { paused: true })
  await schedulesA.fireDue()
  await put('resting', { paused: false })
  await schedulesA.fireDue()
  t.strictSame(await fired(), [])
})

t.test('a queue that is full, gone or not to be made stops only its own schedules', async t => {
  await poolA.query('delete from holdfast.queues')
  await queues.putQueue(poolA, 'full', { maxDepth: 1 })
  await queues.putQueue(poolA, 'q', {})
  for (const name of ['full-1', 'full-2']) await put(name, { queue: 'full' })
  await put('gone', { queue: 'not-there' })
  await put('unread')
  await put('fine')
  await blocker.query("update holdfast.schedules set timezone = 'Mars/Olympus' where name = 'unread'")
  await age('0')
  await schedulesOn(poolA, { createQueues: false }).fireDue()
  t.strictSame(
    (await fired()).map(name => name.replace(/-\d/, '')),
    ['fine', 'full']
  )
  t.strictSame([(await lastRun('full-1'))!.outcome, (await lastRun('full-2'))!.outcome].sort(), [
    'enqueued',
    'queueFull'
  ])
  t.match(await lastRun('gone'), { outcome: 'queueNotFound' })
  t.match(await lastRun('unread'), { outcome: 'invalidSchedule' })
  t.match(await lastRun('fine'), { outcome: 'enqueued' })
  await schedulesA.put('unread', { timezone: 'UTC' }, anyone)
  await age('0')
  await schedulesA.fireDue()
  t.ok((await fired()).includes('gone'), 'a schedule makes its queue where the first message may')
  t.ok((await fired()).includes('unread'))
})

t.test('large bodies are fired a few at a time, until all are fired', async t => {
  const body = JSON.stringify('x'.repeat(1_000_000))
  for (let i = 0; i < 6; i++) await put(`large${i}`, { body })
  await age('0')
  await schedulesA.fireDue()
  t.equal((await fired()).length, 6)
})

t.test('two callers who make one schedule at once: one makes it, the other changes it', async t => {
  for (let i = 0; i < 10; i++) {
    const made = await Promise.all(
      [schedulesA, schedulesB, schedulesA, schedulesB].map(schedules =>
        schedules.put(`both${i}`, { queue: 'q', cron: '@yearly', body: '1' }, anyone)
      )
    )
    t.equal(made.filter(({ created }) => created).length, 1)
  }
})

t.test('calls that wait for one schedule hold few connections, and others change theirs', async t => {
  await put('busy')
  const schedules = new Schedules(
    openStore(poolA, new ScanHints()),
    brokerOn(poolA, { options: { lastConnections: 2 } }),
    nextTime,
    {
      schedulesMax: Infinity,
      schedulesPerQueueMax: Infinity,
      onDue
    }
  )
  const pause = (caller: Caller, name: string) =>
    schedules.put(name, { queue: 'q', cron: '@yearly', body: '1', paused: true }, { ...anyone, caller })
  await blocker.query('begin')
  await blocker.query("select from holdfast.schedules where name = 'busy' for update")
  const [a, b] = ['a', 'b'].map(callerNamed)
  const waiting = Array.from({ length: 20 }, () => pause(a!, 'busy'))
  await untilBlocked(1)
  for (let i = 0; i < 5; i++) await pause(b!, `other${i}`)
  t.equal(await blockedSessions(), 1)
  await blocker.query('commit')
  await Promise.all(waiting)
})

t.test('a schedule out of sight costs no more time to refuse than one that is not there', async t => {
  await put('hidden')
  const read: string[] = []
  const { get } = schedulesOn(poolA, {
    verbs: {
      findSchedule: (_session, name) => {
        read.push(name)
        return Promise.resolve(null)
      }
    }
  })
  const refuse = () => {
    throw scheduleNotFound('hidden')
  }
  await t.rejects(get('hidden', { ...anyone, permit: refuse }), { code: 'scheduleNotFound' })
  t.strictSame(read, [], 'its message is not read')
})

t.test('an owner that may make no more queues is asked for once, however many it wants', async t => {
  let attempts = 0
  const schedules = schedulesOn(poolA, {
    verbs: {
      createAutoQueue: () => {
        attempts++
        return Promise.reject(new QueueError('tooManyQueues', 'no more'))
      }
    }
  })
  for (let i = 0; i < 10; i++) await put(`wants-${i}`, { queue: `wants-${i}` })
  await blocker.query("update holdfast.schedules set owner_id = 'greedy'")
  await age('0')
  await schedules.fireDue()
  t.ok(attempts <= 2, `${attempts} attempts`)
  t.match(await lastRun('wants-9'), { outcome: 'tooManyQueues' })
})

t.test('a schedule that is changed while it is due fires once, before or after the change', async t => {
  for (let i = 0; i < 10; i++) {
    await put('changing', { body: '1', paused: false })
    await age('0')
    await Promise.all([schedulesA.fireDue(), put('changing', { body: '2' }), schedulesB.fireDue()])
    await schedulesA.fireDue()
    t.equal((await fired()).length, i + 1)
  }
})

t.test('a thousand schedules due on two replicas, one killed in the middle: a thousand messages', async t => {
  const database = await freshDatabase(t)
  const survivor = await service(t, { database })
  const other = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
  const client = await connect(t, database.url)
  await survivor.call('PUT', '/schedules/model', {
    queue: 'crowd',
    cron: '* * * * *',
    body: { n: 1 },
    missed: 'skip',
    paused: true
  })
  await client.query(`
    insert into holdfast.schedules (
      name, queue, cron, timezone, body, headers, priority, paused, missed, next_at
    )
    select 's' || n, queue, '@yearly', timezone, body, headers, priority, false, missed,
      date_trunc('second', now())
    from holdfast.schedules, generate_series(1, 1000) n`)
  const startedMs = performance.now()
  // Each replica learns of them by a schedule that it has changed itself.
  for (const replica of [survivor, other]) await replica.call('PUT', '/schedules/s1', { priority: 5 })
  const count = async (rows = '*'): Promise<number> => {
    const { rows: counts } = await client.query(`
      select count(${rows})::int as count
      from holdfast.messages
      where headers ? 'holdfast-scheduled-for'`)
    return counts[0].count
  }
  while ((await count()) === 0) await pollPause()
  other.child.kill('SIGKILL')
  await once(other.child, 'exit')
  const due = 'select from holdfast.schedules where next_at <= now() limit 1'
  while ((await client.query(due)).rowCount! > 0) await pollPause()
  t.comment(`a thousand in ${Math.round(performance.now() - startedMs)} ms`)
  t.equal(await count(), 1000)
  t.equal(await count("distinct headers->>'holdfast-schedule'"), 1000)
})
