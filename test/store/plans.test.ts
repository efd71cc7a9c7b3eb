/** How PostgreSQL runs the statements: by index, and over no more pages in large tables. */
import { answerBytesMax } from '../../src/core/limits.ts'
import type { State } from '../../src/core/counters.ts'
import { everything, type Filter } from '../../src/core/message.ts'
import pg from 'pg'
import t from 'tap'
import type { EnqueueRow, Held, LeasedRow } from '../../src/core/ports.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { sql, type Session } from '../../src/store/statement.ts'
import { browse } from '../../src/store/verbs/browse.ts'
import { createMaintenance } from '../../src/store/upkeep/maintenance.ts'
import * as explain from '../../src/store/verbs/explain.ts'
import { movedIdsStatement } from '../../src/store/verbs/failures.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { moveToStatement, redrive } from '../../src/store/verbs/redrive.ts'
import { stopOfMoveStatement } from '../../src/store/verbs/redriveTasks.ts'
import * as bulk from '../../src/store/verbs/bulk.ts'
import { completionVerbs } from '../../src/store/verbs/complete.ts'
import * as messages from '../support/messages.ts'
import { enqueue as enqueueUnique } from '../../src/store/verbs/enqueueUnique.ts'
import { putQueue } from '../../src/store/verbs/putQueue.ts'
import * as queueReports from '../../src/store/verbs/queueReports.ts'
import * as queues from '../../src/store/verbs/queues.ts'
import * as series from '../../src/store/verbs/series.ts'
import { plainMode } from '../../src/core/rows.ts'
import { sweepOtherLeases } from '../../src/store/upkeep/sweepLeases.ts'
import { startSweeper, sweepKinds } from '../../src/store/upkeep/sweeper.ts'
import { exposeOthers } from '../../src/store/upkeep/sweeps.ts'
import { bareMessage } from '../support/bareMessage.ts'
import { freshDatabase } from '../support/postgres.ts'
import { explaining, type Run } from './explaining.ts'

const batch = 20
const row = (queueId: string, options: Partial<EnqueueRow> = {}): EnqueueRow => ({
  ...bareMessage,
  queueId,
  body: '{"to":"ada@example.org"}',
  ...options
})
const rows = (count: number, queueId: string, options?: Partial<EnqueueRow>) =>
  Array.from({ length: count }, () => row(queueId, options))
const held = (leased: LeasedRow[]) => leased.map(({ id, fence }) => ({ id, fence }))

async function leaseSome(
  session: Session,
  scanHints: ScanHints,
  queueId: string,
  max: number,
  acks: Held[] = [],
  mode = plainMode
) {
  return (
    await messages.lease(session, scanHints, queueId, {
      asks: [{ max, leaseSeconds: 3600, worker: 'w', idempotencyKey: null }],
      bytesMax: answerBytesMax,
      acks,
      mode
    })
  ).rows
}

/** What may be walked over: the sequence, and the ledger's rows of a second. */
const walked = ['positions by Seq Scan', 'ledger by Seq Scan']

/** Every way to lease from a queue with limits. */
async function walkLimited(session: Session, database: Database, name: string): Promise<void> {
  const queueId = (await queues.findQueue(database, name))!.id
  await putQueue(database, name, {
    maxLeased: 1_000_000,
    rate: { messages: 1_000_000, perSeconds: 1 }
  })
  const limited = { ordered: false, limited: true }
  const scanHints = new ScanHints()
  for (let time = 0; time < 6; time++) {
    await messages.enqueue(session, rows(3 * batch, queueId))
    const first = await leaseSome(session, scanHints, queueId, batch, [], limited)
    const second = await leaseSome(session, scanHints, queueId, batch, held(first), limited)
    const asks = second.map(({ id }) => ({ max: 1, leaseSeconds: 3600, worker: id, idempotencyKey: id }))
    await messages.lease(session, scanHints, queueId, {
      asks,
      bytesMax: answerBytesMax,
      acks: held(second),
      mode: limited
    })
  }
}

/** Every verb on a batch of messages of one queue. */
async function walk(session: Session, queueId: string, scanHints = new ScanHints()): Promise<void> {
  // Several times: the first time meets cold caches, and ranks without a hint.
  for (let time = 0; time < 6; time++) {
    await messages.enqueue(session, rows(batch, queueId))
    await messages.enqueue(session, rows(batch, queueId, { contentType: 'text/plain', headers: { a: '1' } }))
    await messages.enqueue(session, rows(batch, queueId, { delaySeconds: 3600 }))
    await messages.enqueue(
      session,
      rows(batch, queueId).map((one, index) => ({ ...one, idempotencyKey: `${queueId} ${time} ${index}` }))
    )
    for (const onConflict of ['keep', 'replace'] as const) {
      await enqueueUnique(
        session,
        rows(batch, queueId).map((one, index) => ({ ...one, unique: { key: String(index), onConflict } }))
      )
    }
    for (const verb of ['ack', 'fail', 'release', 'extend'] as const) {
      const some = held(await leaseSome(session, scanHints, queueId, batch))
      await messages[verb](
        session,
        queueId,
        some.map(one => ({ ...one, reason: null, delaySeconds: 5, dead: false, leaseSeconds: 60 }))
      )
    }
    const done = held(await leaseSome(session, scanHints, queueId, batch))
    const next = done.map(({ id }) => ({ follows: id, row: row(queueId) }))
    await completionVerbs.ackWithNext(session, queueId, done, next)
    const before = await leaseSome(session, scanHints, queueId, batch)
    const acked = await leaseSome(session, scanHints, queueId, batch, held(before))
    const asks = acked.map(({ id }) => ({ max: 1, leaseSeconds: 3600, worker: id, idempotencyKey: id }))
    await messages.lease(session, scanHints, queueId, { asks, bytesMax: answerBytesMax, acks: held(acked) })
  }
}

t.test('statements of the hot path touch no more pages when the tables are large', async t => {
  const { url } = await freshDatabase(t)
  const { database, session, runs, seen } = explaining(url)
  t.teardown(() => database.close())
  const made = async (name: string) => {
    await putQueue(database, name, {})
    return String((await database.query('select id from holdfast.queues where name = $1', [name]))[0]!.id)
  }

  /**
   * `thousands` of messages in each state and as many with ranks of their own; vacuumed, as
   * autovacuum would at a moment of its own choice.
   */
  const fill = async (queueId: string, thousands: number) => {
    const scanHints = new ScanHints()
    const some = (count: number) => rows(Math.min(1000, count), queueId)
    for (let left = thousands * 1000; left > 0; left -= 1000) {
      await messages.enqueue(database, some(left))
      await leaseSome(database, scanHints, queueId, 1000)
      await messages.enqueue(database, some(left))
      const dying = held(await leaseSome(database, scanHints, queueId, 1000))
      await messages.fail(
        database,
        queueId,
        dying.map(one => ({ ...one, reason: null, delaySeconds: null, dead: true }))
      )
      await messages.enqueue(
        database,
        some(left).map((one, index) => ({ ...one, delaySeconds: 3600 + index }))
      )
      await messages.enqueue(
        database,
        some(left).map((one, index) => ({ ...one, priority: index % 10 }))
      )
    }
    await database.query('vacuum analyze holdfast.messages')
  }

  const small = await made('small')
  await fill(small, 1)
  await walk(session, small)
  await walkLimited(session, database, 'small')
  const before = new Map(runs)
  runs.clear()
  seen.clear()

  const large = await made('large')
  await fill(large, 10)
  for (let n = 0; n < 300; n++) await putQueue(database, `beside${n}`, {})
  await walk(session, large)
  await walkLimited(session, database, 'large')

  t.strictSame(
    [...runs.keys()].sort(),
    [
      'ack',
      'ack_and_lease',
      'ack_and_lease_keyed',
      'ack_with_next',
      'enqueue',
      'enqueue_described',
      'enqueue_keyed',
      'enqueue_typed',
      'enqueue_unique',
      'extend',
      'fail',
      'lease',
      'limited_ack_and_lease',
      'limited_ack_and_lease_keyed',
      'limited_lease',
      'release'
    ],
    'each verb was seen'
  )
  for (const [name, { pages, scans }] of runs) {
    t.strictSame(scans, before.get(name)!.scans, `${name}: the same plan`)
    t.strictSame(
      scans.filter(scan => scan.endsWith('Scan') && !walked.includes(scan)),
      [],
      `${name}: all by index`
    )
    t.ok(
      scans.every(
        scan =>
          !scan.startsWith('messages by') ||
          ['messages_pkey', 'messages_in_order', 'messages_unique'].includes(
            scan.slice('messages by '.length)
          )
      ),
      `${name}: ${scans.join(', ')}`
    )
    // A failed or released message goes down four indexes (found, its new version, its place or
    // due time, its history). Each may be a level deeper where there is ten times as much. A
    // statement that walks over a queue touches hundreds of pages more.
    const deeper = ['fail', 'release'].includes(name) ? 4 : 1
    t.ok(
      pages <= before.get(name)!.pages * 1.15 + deeper * batch,
      `${name}: ${pages} pages for ${batch} messages, ${before.get(name)!.pages} where there is little`
    )
    t.comment(`${name}: ${before.get(name)!.pages} → ${pages} pages`)
  }
})

t.test('reports on a queue touch no more pages when the queue is long', async t => {
  const { url } = await freshDatabase(t)
  const { database, session, runs } = explaining(url)
  t.teardown(() => database.close())
  const lookAt = async (name: string, thousands: number) => {
    await putQueue(database, name, {})
    const queueId = (await queues.findQueue(database, name))!.id
    for (let n = 0; n < thousands; n++) {
      await messages.enqueue(database, rows(1000, queueId, { priority: 3 + (n % 2) }))
    }
    await leaseSome(database, new ScanHints(), queueId, 500)
    await database.query('vacuum analyze holdfast.messages')
    await database.query('update holdfast.counts set ready = 1')
    const [{ id }] = (await database.query(
      'select id from holdfast.messages where queue_id = $1 and rank = 8 order by position offset ' +
        '900 limit 1',
      [queueId]
    )) as [{ id: string }]
    for (let time = 0; time < 3; time++) {
      t.ok((await queueReports.reportQueue(session, name))!.oldestReadySeconds! > 0)
      await queueReports.listQueues(
        session,
        { after: '', limit: 10, scope: { names: [name], prefixes: [] } },
        null
      )
      t.strictSame((await explain.circumstancesOf(session, queueId, id))!.ahead, { count: 400, all: true })
      await series.readSeries(session, queueId)
      await series.readSparks(session, [name])
    }
    const seen = new Map(runs)
    runs.clear()
    return seen
  }
  const [short, long] = [await lookAt('short', 2), await lookAt('long', 20)]
  t.strictSame([...long.keys()].sort(), [
    'ahead',
    'explain',
    'list_queues',
    'report_queue',
    'series',
    'sparks'
  ])
  for (const [name, { pages, scans }] of long) {
    t.comment(`${name}: ${short.get(name)!.pages} → ${pages} pages`)
    // An index may be a level deeper, for each of twenty ranks. A statement that walks over the
    // queue touches hundreds of pages more.
    t.ok(
      pages <= short.get(name)!.pages + 30,
      `${name}: ${pages} pages, ${short.get(name)!.pages} of a short queue (${scans.join(', ')})`
    )
  }
})

t.test(
  'browsing and bulk actions touch no more pages in a long queue, with plans made on empty tables',
  async t => {
    const { url } = await freshDatabase(t)
    const { database, session, runs, seen } = explaining(url)
    t.teardown(() => database.close())
    const pace = { signal: new AbortController().signal, pass: async () => {} }
    const limit = 50
    /** `count` messages in each state. One in a hundred bodies and reasons is rare. */
    const fill = async (name: string, count: number): Promise<string> => {
      await putQueue(database, name, {})
      const queueId = (await queues.findQueue(database, name))!.id
      const rare = "case when n % 100 = 1 then 'rare' else 'common' end"
      await database.query(sql`
        with ids as (
          select n, state, nextval('holdfast.positions') as id
          from generate_series(1, ${count}) n
          cross join unnest('{ready,delayed,leased,dead,acked}'::text[]) as state
        ), living as (
          insert into holdfast.messages (
            id,
            position,
            enqueued_at,
            queue_id,
            rank,
            body,
            visible_at,
            leased_until,
            dead_at
          )
          select
            id,
            id,
            now(),
            ${queueId},
            8,
            ${rare},
            case state when 'delayed' then now() + interval '1 h' end,
            case state when 'leased' then now() + interval '1 h' end,
            case state when 'dead' then now() end
          from ids
          where state <> 'acked'
          order by id
        ), acked as (
          insert into holdfast.acked (
            id,
            enqueued_at,
            acked_at,
            keep_until,
            fence,
            queue_id,
            attempt,
            rank,
            body
          )
          select id, now(), now(), now() + interval '1 h', 1, ${queueId}, 1, 8, ${rare}
          from ids
          where state = 'acked'
          order by id
        )
        insert into holdfast.history (
          ended_at,
          message_id,
          fence,
          queue_id,
          attempt,
          outcome,
          reason
        )
        select now(), id, 1, ${queueId}, 1, 'failed', ${rare}
        from ids
        where state = 'dead'`)
      return queueId
    }
    const work = async (queueId: string): Promise<Map<string, Run>> => {
      runs.clear()
      seen.clear()
      const watched = { ...database, query: (...call) => session.query(...call) } as Database
      const filter = { contains: null, reason: null, enqueuedAfter: null, enqueuedBefore: null, group: null }
      for (let time = 0; time < 3; time++) {
        const page = (state: State, where: Filter) =>
          browse(session, queueId, { state, where, after: '0', limit: batch }, answerBytesMax)
        await page('ready', { ...filter, contains: 'rare' })
        await page('acked', { ...filter, contains: 'rare' })
        await page('dead', { ...filter, reason: 'rare' })
        const rare = { ids: null, where: { ...filter, reason: 'rare' }, limit: 3 }
        await redrive(watched, queueId, { selection: rare, to: null, ...pace }, () => {})
        const first = { ids: null, where: null, limit }
        await bulk.retry(watched, queueId, { selection: first, ...pace }, () => {})
        await session.query(movedIdsStatement, [queueId, '0', limit])
        for (const table of ['messages', 'acked']) {
          const some = await database.query<{ id: string }>(
            `select id from holdfast.${table} where queue_id = $1 order by id desc limit ${batch}`,
            [queueId]
          )
          const named = { ids: some.map(({ id }) => id), where: null, limit: Infinity }
          await bulk.purge(watched, queueId, { state: null, selection: named, ...pace }, () => {})
        }
        const work = { action: 'purge', state: null, selection: everything } as const
        await bulk.countMatches(watched, queueId, work, pace)
        await createMaintenance(watched)['remove-queues']()
        const some = await database.query<{ id: string }>(
          `select id from holdfast.messages
          where queue_id = $1 and leased_until is null
          order by id
          limit ${limit}`,
          [queueId]
        )
        const moved = [queueId, some.map(({ id }) => id), 'elsewhere']
        await session.query(stopOfMoveStatement, moved)
        await session.query(moveToStatement, moved)
      }
      return new Map(runs)
    }
    // Maintenance looks for rows of these deleted queues, and there are none.
    await database.query('insert into holdfast.removed_queues select generate_series(100001, 100010)')
    await work(await fill('tiny', 200))
    const before = await work(await fill('short', 2000))
    const long = await fill('long', 20_000)
    const without = await work(long)
    for (const table of ['messages', 'acked', 'history']) {
      await database.query(`vacuum analyze holdfast.${table}`)
    }
    const analyzed = await work(long)
    t.strictSame([...before.keys()].filter(name => !name.startsWith('remove')).sort(), [
      'browse',
      'browse_acked',
      'counts_of',
      'last_id',
      'move_to',
      'moved_ids',
      'purge',
      'purge_acked',
      'redrive',
      'retry',
      'search',
      'search_acked',
      'search_acked_by_id',
      'search_by_id',
      'search_dead',
      'search_redrivable',
      'stop_of_move'
    ])
    t.ok(before.has('remove_messages'))
    for (const [when, after] of Object.entries({ 'without statistics': without, analyzed })) {
      for (const [name, { pages, scans }] of after) {
        const short = before.get(name)!.pages
        t.comment(`${name}, ${when}: ${short} → ${pages} pages`)
        // For each message a few indexes may be a level deeper. A statement that walks over the
        // queue touches thousands of pages more.
        t.ok(
          pages <= short * 1.2 + 5 * limit,
          `${name}, ${when}: ${pages} pages, ${short} of a short queue (${scans.join(', ')})`
        )
      }
    }
  }
)

/** Several times, the sweeper finds `batch` expired leases, due delays and expired messages. */
async function sweepOften(database: Database, session: Session, queueId: string): Promise<void> {
  const scanHints = new ScanHints()
  const times = 6
  const prepare = async () => {
    await messages.enqueue(database, rows(2 * batch, queueId, { delaySeconds: 3600 }))
    await messages.enqueue(database, rows(batch, queueId))
    await leaseSome(database, scanHints, queueId, batch)
    const past = "statement_timestamp() - interval '1 s'"
    await database.query(`update holdfast.leases set ends_at = ${past} where queue_id = $1`, [queueId])
    const some = (condition: string) =>
      `id in (select id from holdfast.messages where queue_id = $1 and ${condition} limit ${batch})`
    for (const [column, condition] of Object.entries({
      leased_until: 'leased_until is not null',
      visible_at: some('visible_at is not null'),
      expires_at: some('visible_at > now()')
    })) {
      await database.query(
        `update holdfast.messages set ${column} = ${past} where queue_id = $1 and ${condition}`,
        [queueId]
      )
    }
  }
  for (let time = 0; time < times; time++) {
    await prepare()
    for (const others of [exposeOthers, sweepOtherLeases]) {
      await session.query(others, ['-infinity', false, '0'])
    }
  }
  await prepare()
  await new Promise<void>((resolve, reject) => {
    let rounds = 0
    const swept = new Set<object>()
    const sweeper = startSweeper(
      { ...database, query: (...call) => session.query(...call) },
      {
        onReady: () => {},
        onFree: () => {},
        onCounted: () => {},
        waitingFor: () => [],
        onError: reject,
        onSwept(_lateMs, kind) {
          if (swept.add(kind).size < sweepKinds) return
          swept.clear()
          if (++rounds === times) sweeper.stop().then(resolve, reject)
          else prepare().then(() => sweeper.dueAt(0), reject)
        }
      }
    )
  })
}

t.test(
  'no statement walks over dead rows that an old snapshot keeps, though the tables seem empty',
  async t => {
    const pagesOf = async (kept: number) => {
      const { url } = await freshDatabase(t)
      const filling = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
      await putQueue(filling, 'one', {})
      const queueId = String(
        (await filling.query("select id from holdfast.queues where name = 'one'"))[0]!.id
      )
      const holder = new pg.Client(url)
      await holder.connect()
      await holder.query('begin isolation level repeatable read; select 1 from pg_class')
      const scanHints = new ScanHints()
      for (let left = kept; left > 0; left -= 500) {
        await messages.enqueue(filling, rows(500, queueId))
        await messages.fail(
          filling,
          queueId,
          held(await leaseSome(filling, scanHints, queueId, 500)).map(one => ({
            ...one,
            reason: 'no',
            delaySeconds: 0,
            dead: false
          }))
        )
        await messages.ack(filling, queueId, held(await leaseSome(filling, scanHints, queueId, 500)))
      }
      await filling.query('delete from holdfast.leases; delete from holdfast.ledger')
      for (const table of ['messages', 'leases', 'history', 'ledger']) {
        await filling.query(`vacuum analyze holdfast.${table}`)
      }
      const { database, session, runs } = explaining(url)
      // The service knows by then that nothing before this position is ready.
      const [{ last_value: last }] = (await filling.query('select last_value from holdfast.positions')) as [
        { last_value: string }
      ]
      const known = scanHints.begin(queueId)
      scanHints.end(queueId, known, { rank: -1, position: NaN, exhausted: true, last: Number(last) })
      await messages.enqueue(filling, rows(1000, queueId)) // enough for every verb
      await walk(session, queueId, scanHints)
      await sweepOften(database, session, queueId)
      await holder.end()
      await Promise.all([database.close(), filling.close()])
      return runs
    }
    const fresh = await pagesOf(0)
    const aged = await pagesOf(5000)
    t.ok(
      ['sweep_leases', 'expose_due', 'expire', sweepOtherLeases.name, exposeOthers.name].every(name =>
        aged.has(name)
      ),
      'the sweeper was seen'
    )
    for (const [name, { pages, scans }] of aged) {
      t.comment(`${name}: ${fresh.get(name)!.pages} → ${pages} pages`)
      // The indexes are deeper by a level or two. A statement that walks over the dead rows
      // touches thousands of pages more.
      t.ok(
        pages <= fresh.get(name)!.pages * 2 + 5 * batch,
        `${name}: ${pages} pages, ${fresh.get(name)!.pages} where nothing was before (${scans.join(', ')})`
      )
    }
  }
)
