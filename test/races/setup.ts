/**
 * What a race needs: two pools of real sessions, a third session that holds what they race for, and
 * the verbs of the store in short. Each test file imports this once, so it has its own database.
 */
import { answerBytesMax } from '../../src/core/limits.ts'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Activity } from '../../src/core/engine/activity.ts'
import { Elsewhere } from '../../src/core/engine/elsewhere.ts'
import { Broker, type BrokerOptions } from '../../src/core/broker.ts'
import type { Signals } from '../../src/core/engine/signals.ts'
import { Wakeups } from '../../src/core/engine/wakeups.ts'
import type { LeasedMessage } from '../../src/core/message.ts'
import { formatReceipt } from '../../src/core/receipt.ts'
import type { EnqueueRow, LeasedRow } from '../../src/core/ports.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import type { Session, Statement } from '../../src/store/statement.ts'
import { openStore, type SessionVerbs } from '../../src/store/store.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { startSweeper, sweepKinds } from '../../src/store/upkeep/sweeper.ts'
import * as bulkActions from '../../src/store/verbs/bulk.ts'
import { cancel } from '../../src/store/verbs/cancel.ts'
import { redrive } from '../../src/store/verbs/redrive.ts'
import { pollPause } from '../support/pollPause.ts'
import * as messages from '../support/messages.ts'
import { putQueue } from '../../src/store/verbs/putQueue.ts'
import { reportQueue } from '../../src/store/verbs/queueReports.ts'
import * as queueVerbs from '../../src/store/verbs/queues.ts'
import { bareMessage } from '../support/bareMessage.ts'
import { freshDatabase } from '../support/postgres.ts'
import { noSiblings } from '../../src/core/engine/siblings.ts'
import { openShares } from '../../src/core/engine/shares.ts'
import { shareOf, tester } from '../support/callers.ts'

export const bulk = { ...bulkActions, cancel }
export const queues = { ...queueVerbs, putQueue, reportQueue }
export { messages, redrive, type Database, type Session, type Statement }

export const { url } = await freshDatabase(t)
export const poolA = openPool()
export const poolB = openPool()
/** One session, for locks and for transactions that stay open. */
export const blocker = new pg.Client(url)
await blocker.connect()
t.teardown(async () => {
  await Promise.all([poolA.close(), poolB.close(), blocker.end()])
})

function openPool(): Database {
  return openDatabase({ connectionString: url }, { poolSize: 4, onError: () => {} })
}

/** A session of the store on one connection of the test's own, such as `blocker`. */
export function sessionOn(client: pg.Client): Session {
  return {
    query: async <Row>(statement: Statement<Row> | string, values?: unknown[]): Promise<Row[]> => {
      const query =
        typeof statement === 'string' ? { text: statement } : { name: statement.name, text: statement.text }
      return (await client.query(query, values)).rows
    }
  }
}

/** Never aborts. */
export const never = new AbortController().signal
/** For work in chunks that goes on to its end, while nobody waits for a turn. */
export const pace = { signal: never, pass: async () => {} }

let queuesMade = 0
export const newName = () => `race${++queuesMade}`

/** A new queue. */
export async function queue(settings: object = {}): Promise<{ id: string; name: string }> {
  const name = newName()
  await queues.putQueue(poolA, name, settings)
  return { id: await idOf(name), name }
}

export async function idOf(name: string): Promise<string> {
  const [row] = await poolA.query('select id from holdfast.queues where name = $1', [name])
  return String(row!.id)
}

/** A message as a front hands it to the store. */
export const row = (queueId: string, key?: string): EnqueueRow => ({
  ...bareMessage,
  queueId,
  idempotencyKey: key
})

export const enqueue = (queueId: string, count: number) =>
  messages.enqueue(
    poolA,
    Array.from({ length: count }, () => row(queueId))
  )

export async function lease(
  session: Session,
  queueId: string,
  max: number,
  { leaseSeconds = null as number | null, scanHints = new ScanHints() } = {}
): Promise<LeasedRow[]> {
  const request = { max, leaseSeconds, worker: 'w', idempotencyKey: null }
  return (await messages.lease(session, scanHints, queueId, { asks: [request], bytesMax: answerBytesMax }))
    .rows
}

/** What a settle names of a lease. */
type Fenced = Pick<LeasedRow, 'id' | 'fence'>
const fenced = ({ id, fence }: Fenced) => ({ id, fence })

export const ack = (session: Session, queueId: string, leases: Fenced[]) =>
  messages.ack(session, queueId, leases.map(fenced))
export const release = (session: Session, queueId: string, leases: Fenced[]) =>
  messages.release(session, queueId, leases.map(fenced))
export const extend = (session: Session, queueId: string, leases: Fenced[], leaseSeconds: number) =>
  messages.extend(
    session,
    queueId,
    leases.map(lease => ({ ...fenced(lease), leaseSeconds }))
  )
/** Fails for good: the messages are dead. */
export const bury = (session: Session, queueId: string, leases: Fenced[]) =>
  messages.fail(
    session,
    queueId,
    leases.map(lease => ({ ...fenced(lease), reason: null, delaySeconds: null, dead: true }))
  )

export const receiptOf = (queue: { id: string; name: string }, { id, fence }: Fenced) =>
  formatReceipt(queue.name, { queueId: queue.id, id, fence })

/** Ends every lease of the queue, for the sweeper to find. */
export async function expire(queueId: string): Promise<void> {
  await poolA.query(
    `
    with messages as (
      update holdfast.messages
      set leased_until = now() - interval '1 s'
      where queue_id = $1 and leased_until is not null
    )
    update holdfast.leases
    set ends_at = now() - interval '1 s'
    where queue_id = $1`,
    [queueId]
  )
}

/** One sweeper on each of the pools, until each has swept twice. Throws their first error. */
export async function sweep(...pools: Database[]): Promise<void> {
  const errors: unknown[] = []
  const sweepers = pools.map(pool => {
    const swept = new Map<object, number>()
    let finish: () => void
    const finished = new Promise<void>(resolve => {
      finish = resolve
    })
    const sweeper = startSweeper(pool, {
      onReady: () => {},
      onFree: () => {},
      onCounted: () => {},
      waitingFor: () => [],
      onSwept: (_lateMs, kind) => {
        swept.set(kind, (swept.get(kind) ?? 0) + 1)
        if (swept.size === sweepKinds && Math.min(...swept.values()) === 2) finish()
      },
      onError: error => {
        errors.push(error)
      }
    })
    sweeper.dueAt(Date.now() + 20)
    return finished.then(() => sweeper.stop())
  })
  await Promise.all(sweepers)
  if (errors.length > 0) throw errors[0]
}

/** The messages of the queue, by id. */
export const rowsOf = (queueId: string) =>
  poolA.query(
    `
    select id, fence, attempt, holdfast.state_of(visible_at, leased_until, dead_at) as state
    from holdfast.messages
    where queue_id = $1
    order by id`,
    [queueId]
  )

export async function countOf(queueId: string, state: string): Promise<number> {
  return (await rowsOf(queueId)).filter(message => message.state === state).length
}

/** Waits until `count` sessions wait for a lock. */
export async function untilBlocked(count: number): Promise<void> {
  while ((await blockedSessions()) < count) await pollPause()
}

export async function blockedSessions(): Promise<number> {
  await blocker.query('select pg_stat_clear_snapshot()') // a transaction sees what it saw first
  const { rows } = await blocker.query(`
    select count(*)::int as sessions
    from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()`)
  return rows[0].sessions
}

/** The deadlocks that PostgreSQL has found in this database. */
export async function deadlocks(): Promise<number> {
  await blocker.query('select pg_stat_force_next_flush()')
  const { rows } = await blocker.query(`
    select deadlocks::int
    from pg_stat_database
    where datname = current_database()`)
  return rows[0].deadlocks
}

/** Conservation: the counts equal the rows, and every enqueued message is accounted for. */
export async function conserved(t: Test, queueId: string): Promise<void> {
  const [counted] = await poolA.query(
    `
    with sums as (
      select ready, delayed, leased, dead, acked,
        enqueued_total + inherited_total + returned_total as came,
        acked_total + expired_total + purged_total + buried_total + sent_total as went
      from holdfast.counts
      where queue_id = $1
      union all
      select ready, delayed, leased, dead, acked,
        enqueued_total + inherited_total + returned_total as came,
        acked_total + expired_total + purged_total + buried_total + sent_total as went
      from holdfast.ledger
      where queue_id = $1
    )
    select
      sum(ready)::int as ready,
      sum(delayed)::int as delayed,
      sum(leased)::int as leased,
      sum(dead)::int as dead,
      sum(acked)::int as acked,
      sum(came - went)::int as left
    from sums`,
    [queueId]
  )
  const rows = await rowsOf(queueId)
  const [kept] = await poolA.query('select count(*)::int as count from holdfast.acked where queue_id = $1', [
    queueId
  ])
  const count = (state: string) => rows.filter(message => message.state === state).length
  t.strictSame(
    counted,
    {
      ready: count('ready'),
      delayed: count('delayed'),
      leased: count('leased'),
      dead: count('dead'),
      acked: kept!.count,
      left: rows.length
    },
    'the ledger equals the rows'
  )
}

interface BrokerSetup {
  wakeups?: Wakeups
  scanHints?: ScanHints
  signals?: Signals
  /** Verbs of the store to replace. */
  verbs?: Partial<SessionVerbs>
  options?: Partial<BrokerOptions>
}

export function brokerOn(
  database: Database,
  {
    wakeups = new Wakeups(shareOf(100)),
    scanHints = new ScanHints(),
    signals = { onReady: () => {}, onFree: () => {}, onDue: () => {} },
    verbs = {},
    options = {}
  }: BrokerSetup = {}
): Broker {
  return new Broker(openStore(database, scanHints, verbs), wakeups, signals, {
    activity: new Activity(),
    elsewhere: new Elsewhere(),
    createQueues: false,
    autoQueuesMax: Infinity,
    siblings: noSiblings,
    shares: openShares({ waitingBytesMax: 1e8, waitersMax: 100, connectionsMax: 100 }),
    flushConnections: 9,
    lastConnections: 5,
    isPoison: () => false,
    onError: () => {},
    ...options
  })
}

export interface Replica {
  broker: Broker
  /** What its sweeper could not do. */
  errors: unknown[]
  stop: () => Promise<void>
}

/** A replica without its front: the broker, its waiters and its sweeper. */
export function replica(
  database: Database,
  { verbs, options }: Pick<BrokerSetup, 'verbs' | 'options'> = {}
): Replica {
  const wakeups = new Wakeups(shareOf(100))
  const scanHints = new ScanHints()
  const errors: unknown[] = []
  const onReady = (queueId: string, count: number, position: number) => {
    scanHints.lower(queueId, position)
    wakeups.wake(queueId, count)
  }
  const onFree = (queueId: string, count: number) => wakeups.free(queueId, count)
  const sweeper = startSweeper(database, {
    onReady,
    onFree,
    onCounted: (queueId, count) => {
      scanHints.suspect(queueId)
      wakeups.open(queueId, count)
    },
    waitingFor: () => wakeups.waitedQueues(),
    onSwept: () => {},
    onError: error => {
      errors.push(error)
    }
  })
  const broker = brokerOn(database, {
    wakeups,
    scanHints,
    signals: { onReady, onFree, onDue: timeMs => sweeper.dueAt(timeMs) },
    ...(verbs && { verbs }),
    ...(options && { options })
  })
  return {
    broker,
    errors,
    stop: async () => {
      await broker.drained()
      await sweeper.stop()
    }
  }
}

/** A lease through the broker, in short: one message, no wait, no key, no acks. */
export async function leaseBy(
  broker: Broker,
  name: string,
  {
    max = 1,
    waitSeconds = 0,
    leaseSeconds = null as number | null,
    worker = 'w',
    idempotencyKey = null as string | null
  } = {},
  acks: string[] = []
): Promise<Awaited<ReturnType<Broker['lease']>>> {
  return await broker.lease(
    tester,
    name,
    { max, waitSeconds, leaseSeconds, worker, idempotencyKey },
    acks,
    () => never
  )
}

export const receiptsOf = (leased: LeasedMessage[]) => leased.map(({ receipt }) => receipt)
