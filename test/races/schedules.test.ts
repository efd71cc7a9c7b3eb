/**
 * Schedules that are due, with several replicas after them: each firing happens once, whoever is
 * killed, whatever is in the way.
 */
import { once } from 'node:events'
import pg from 'pg'
import t from 'tap'
import { Schedules } from '../../src/core/verbs/schedules.ts'
import { nextTime } from '../../src/jobs/calendar.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { openStore, sessionVerbs, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import * as messages from '../support/messages.ts'
import * as queues from '../../src/store/verbs/queues.ts'
import { freshDatabase } from '../support/postgres.ts'
import { service, serviceProcess } from '../support/service.ts'

let url: string
let one: Database
let two: Database
let sql: pg.Client

t.before(async () => {
  url = (await freshDatabase(t)).url
  one = openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
  two = openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
  sql = new pg.Client(url)
  await sql.connect()
  t.teardown(async () => {
    await Promise.all([one.close(), two.close(), sql.end()])
  })
})
t.beforeEach(() => sql.query('delete from holdfast.schedules; delete from holdfast.messages'))

const replica = (
  database: Database,
  { createQueues = true, verbs = {} }: { createQueues?: boolean; verbs?: Partial<SessionVerbs> } = {}
) =>
  new Schedules(
    openStore(database, { ...sessionVerbs(new ScanHints()), ...verbs }),
    undefined as never,
    { onReady: () => {}, onDue: () => {} },
    nextTime,
    { createQueues, onDue: () => {} }
  )
const anyone = () => {}
const put = (name: string, change: object = {}) =>
  replica(one).put(name, { queue: 'q', cron: '@yearly', body: JSON.stringify(name), ...change }, anyone)
const age = (interval: string, names = '%') =>
  sql.query(
    "update holdfast.schedules set next_at = date_trunc('minute', now()) - $1::interval where name like $2",
    [interval, names]
  )
/** The schedules of the messages that are there. */
const fired = async () =>
  (
    await sql.query("select headers->>'holdfast-schedule' as name from holdfast.messages order by 1")
  ).rows.map(({ name }) => name)
const lastRun = async (name: string) => (await replica(one).get(name, anyone)).lastRun

t.test('two that look at once fire each schedule once, and leave none', async t => {
  for (let i = 0; i < 450; i++) await put(`s${i}`)
  for (let round = 1; round <= 3; round++) {
    await age('0')
    await Promise.all([replica(one).fireDue(), replica(two).fireDue(), replica(two).fireDue()])
    const names = await fired()
    t.equal(names.length, 450 * round)
    t.equal(new Set(names).size, 450)
  }
  const {
    rows: [{ ready }]
  } = await sql.query(
    'select c.ready + (select coalesce(sum(ready), 0) from holdfast.ledger l where l.queue_id = ' +
      'q.id) as ready from holdfast.queues q join holdfast.counts c on c.queue_id = q.id where ' +
      "name = 'q'"
  )
  t.equal(Number(ready), 1350, 'the ledger says the same')
})

t.test('what another session holds is passed by, not waited for, and fired when it is free', async t => {
  await put('held')
  await put('free')
  await age('0')
  await sql.query("begin; select from holdfast.schedules where name = 'held' for update")
  t.ok((await replica(one).fireDue()) <= 0, 'one is due still')
  await sql.query('commit')
  t.strictSame(await fired(), ['free'])
  await Promise.all([replica(one).fireDue(), replica(two).fireDue()])
  t.strictSame(await fired(), ['free', 'held'])
})

t.test(
  'whoever is killed between the enqueue and the commit has fired nothing; another fires it once',
  async t => {
    await put('killed')
    await age('0')
    const dying = replica(one, {
      verbs: {
        async enqueue(session, rows) {
          const answers = await messages.enqueue(session, rows)
          const [row] = await session.query('select pg_backend_pid() as pid')
          await sql.query('select pg_terminate_backend($1)', [row!.pid])
          return answers
        }
      }
    })
    await t.rejects(dying.fireDue())
    t.strictSame(await fired(), [])
    await Promise.all([replica(one).fireDue(), replica(two).fireDue()])
    t.strictSame(await fired(), ['killed'])
  }
)

t.test(
  'after an outage: once is one message for all that was missed, skip is none, and both go on',
  async t => {
    const cron = `${(new Date().getUTCMinutes() + 30) % 60} * * * *`
    await put('once', { cron })
    await put('skip', { cron, missed: 'skip' })
    await age('3 hours')
    const {
      rows: [{ at, now }]
    } = await sql.query(
      'select holdfast.rfc3339(min(next_at)) as at, holdfast.rfc3339(now()) as now from holdfast.schedules'
    )
    const untilMs = await replica(one).fireDue()
    t.ok(untilMs > 0 && untilMs <= 3_600_000)
    await replica(two).fireDue()
    t.strictSame(await fired(), ['once'])
    const {
      rows: [{ headers }]
    } = await sql.query('select headers from holdfast.messages')
    t.strictSame(headers, { 'holdfast-schedule': 'once', 'holdfast-scheduled-for': at })
    t.match(await lastRun('once'), { at, outcome: 'enqueued' })
    t.match(await lastRun('skip'), { at, outcome: 'skipped', messageId: null })
    for (const name of ['once', 'skip']) {
      t.ok(Date.parse((await replica(one).get(name, anyone)).nextAt!) > Date.parse(now))
    }
  }
)

t.test('late by less than a minute is not missed', async t => {
  await put('late', { missed: 'skip' })
  await sql.query("update holdfast.schedules set next_at = now() - interval '55 s'")
  await replica(one).fireDue()
  t.strictSame(await fired(), ['late'])
})

t.test('what was missed while it was paused is not made up for', async t => {
  await put('resting')
  await age('1 hour')
  await put('resting', { paused: true })
  await replica(one).fireDue()
  await put('resting', { paused: false })
  await replica(one).fireDue()
  t.strictSame(await fired(), [])
})

t.test(
  'a queue that is full, gone, or not to be made costs its own schedules their message and no ' +
    'others, and they say so',
  async t => {
    await one.query('delete from holdfast.queues')
    await queues.putQueue(one, 'full', { maxDepth: 1 })
    await queues.putQueue(one, 'q', {})
    for (const name of ['full-1', 'full-2']) await put(name, { queue: 'full' })
    await put('gone', { queue: 'not-there' })
    await put('unread')
    await put('fine')
    await sql.query("update holdfast.schedules set timezone = 'Mars/Olympus' where name = 'unread'")
    await age('0')
    await replica(one, { createQueues: false }).fireDue()
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
    await replica(one).put('unread', { timezone: 'UTC' }, anyone)
    await age('0')
    await replica(one).fireDue()
    t.ok((await fired()).includes('gone'), 'where the first message makes a queue, so does this one')
    t.ok((await fired()).includes('unread'))
  }
)

t.test('large bodies are fired a few at a time, and one larger than that is fired too', async t => {
  const body = JSON.stringify('x'.repeat(1_000_000))
  for (let i = 0; i < 6; i++) await put(`large${i}`, { body })
  await age('0')
  await replica(one).fireDue()
  t.equal((await fired()).length, 6)
})

t.test('two who make the same schedule at once: one makes it, the other changes it', async t => {
  for (let i = 0; i < 10; i++) {
    const made = await Promise.all(
      [one, two, one, two].map(database =>
        replica(database).put(`both${i}`, { queue: 'q', cron: '@yearly', body: '1' }, anyone)
      )
    )
    t.equal(made.filter(({ created }) => created).length, 1)
  }
})

t.test('a change while it is due: fired before or after it, once', async t => {
  for (let i = 0; i < 10; i++) {
    await put('changing', { body: '1', paused: false })
    await age('0')
    await Promise.all([replica(one).fireDue(), put('changing', { body: '2' }), replica(two).fireDue()])
    await replica(one).fireDue()
    t.equal((await fired()).length, i + 1)
  }
})

t.test(
  'a thousand due at once, two replicas beside each other, one killed in the middle: a thousand messages',
  async t => {
    const database = await freshDatabase(t)
    const survivor = await service(t, { database })
    const other = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
    const client = new pg.Client(database.url)
    await client.connect()
    t.teardown(() => client.end())
    await survivor.call('PUT', '/schedules/model', {
      queue: 'crowd',
      cron: '* * * * *',
      body: { n: 1 },
      missed: 'skip',
      paused: true
    })
    await client.query(`insert into holdfast.schedules (name, queue, cron, timezone, body, headers, priority, paused, missed, next_at)
    select 's' || n, queue, '@yearly', timezone, body, headers, priority, false, missed, date_trunc('second', now()) from holdfast.schedules, generate_series(1, 1000) n`)
    const startedMs = performance.now()
    // Both come to know of it by a schedule of their own that is due.
    for (const replica of [survivor, other]) await replica.call('PUT', '/schedules/s1', { priority: 5 })
    const count = async () =>
      Number(
        (
          await client.query(
            "select count(*) from holdfast.messages where headers ? 'holdfast-scheduled-for'"
          )
        ).rows[0].count
      )
    while ((await count()) === 0) await new Promise(setImmediate)
    other.child.kill('SIGKILL')
    await once(other.child, 'exit')
    while (
      (await client.query('select from holdfast.schedules where next_at <= now() limit 1')).rowCount! > 0
    ) {
      await new Promise(setImmediate)
    }
    t.comment(`a thousand in ${Math.round(performance.now() - startedMs)} ms`)
    t.equal(await count(), 1000)
    t.equal(
      Number(
        (await client.query("select count(distinct headers->>'holdfast-schedule') from holdfast.messages"))
          .rows[0].count
      ),
      1000
    )
  }
)
