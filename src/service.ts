/** The composition root: opens the parts in order, and closes them in reverse. No singletons. */
import { promisify } from 'node:util'
import type pg from 'pg'
import { pino, type Logger } from 'pino'
import { explainOpenAccess, readAdminKey, type Config } from './config.ts'
import { ApiKeyRing } from './core/apiKey.ts'
import { Broker } from './core/broker.ts'
import { Wakeups } from './core/engine/wakeups.ts'
import { QueueError } from './core/errors.ts'
import type { ApiKeys } from './core/ports.ts'
import { Firings } from './core/verbs/firings.ts'
import { Schedules } from './core/verbs/schedules.ts'
import { consoleRoutes } from './fronts/console/routes.ts'
import { createMetrics } from './fronts/rest/metrics.ts'
import { buildServer } from './fronts/rest/server.ts'
import { ByteBudget } from './fronts/shared/byteBudget.ts'
import { RequestMetrics } from './fronts/shared/requestMetrics.ts'
import { nextTime } from './jobs/calendar.ts'
import { startClock } from './jobs/clock.ts'
import { startHousekeeping } from './jobs/housekeeping.ts'
import { openDatabase, type Database } from './store/database.ts'
import { isServerError } from './store/failures.ts'
import { gatherFacts, type Facts } from './store/setup/doctor.ts'
import { runningEmbedded, startEmbedded } from './store/setup/embedded.ts'
import { migrate } from './store/setup/migrate.ts'
import { postgresVersionMin, serverVersionNumMin } from './store/setup/version.ts'
import { openStore } from './store/store.ts'
import { keepKeys } from './store/upkeep/apiKeyReader.ts'
import { startListener } from './store/upkeep/listener.ts'
import { ScanHints } from './store/upkeep/scanHints.ts'
import { startSeries } from './store/upkeep/seriesWriter.ts'
import { watchSnapshots } from './store/upkeep/snapshots.ts'
import { startSweeper } from './store/upkeep/sweeper.ts'
import { startVacuum } from './store/upkeep/vacuum.ts'
import * as apiKeys from './store/verbs/apiKeys.ts'
import { oldestReady, overview } from './store/verbs/overview.ts'
import * as queues from './store/verbs/queues.ts'

export { postgresVersionMin, serverVersionNumMin, type Facts }

export interface Service {
  /** Where it serves, as http://host:port. */
  url: string
  /** Where its data is, in words for a person. */
  database: string
  /** Takes no new work, answers waiting callers, finishes what was begun and closes every part. */
  stop(): Promise<void>
}

/** Hears about progress, in lines for a person. */
type Say = (line: string) => void

/** One function per open part, which closes it; in the order in which the parts were opened. */
type Closers = (() => Promise<unknown>)[]

/** What every part is opened with. */
interface Base {
  config: Config
  say: Say
  closers: Closers
  log: Logger
  /** Logs an error of a part, which goes on by itself. */
  report: (part: string) => (error: unknown) => void
}

/** Starts a whole replica. When a part cannot be opened, it closes the others and throws. */
export async function startService(config: Config, say: Say): Promise<Service> {
  const closers: Closers = []
  const stop = () => closeInReverse(closers)
  try {
    const base: Base = { config, say, closers, ...openLog(config) }
    const { target, name } = await openPostgres(config, say, closers)
    await migrate(target)
    const database = openPool(base, target)
    const ring = await openApiKeys(base, database)
    const signals = startSignals(base, database, target)
    const core = openCore(base, database, signals)
    const background = await startBackground(base, database, ring, signals, core)
    const url = await startServer(base, { database, ring, signals, core, background })
    return { url, database: name, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Goes on when a part cannot be closed, and throws at the end. */
async function closeInReverse(closers: Closers): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.splice(0).reverse()) {
    await Promise.resolve()
      .then(close)
      .catch(error => failures.push(error))
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, 'Some parts of the service could not be closed.')
  }
}

/** Has the service stop a part when it stops. Returns the part. */
function stopLater<P extends { stop(): Promise<unknown> }>({ closers }: Base, part: P): P {
  closers.push(() => part.stop())
  return part
}

function openLog({ logLevel }: Config): Pick<Base, 'log' | 'report'> {
  const log = pino({ level: logLevel })
  return {
    log,
    report: part => error =>
      log.warn(
        { part, err: (error as Error)?.message ?? error },
        'A part of the service failed. It tries again by itself.'
      )
  }
}

function openPool({ config, closers, report }: Base, target: pg.ClientConfig): Database {
  const database = openDatabase(target, { poolSize: config.poolSize, onError: report('pool') })
  closers.push(() => database.close())
  return database
}

/**
 * The API keys in use, read again every second or two. Null when the service asks nobody for a key.
 */
async function openApiKeys(base: Base, database: Database): Promise<ApiKeyRing | null> {
  const { config, say, report } = base
  const ring = config.auth === 'off' ? null : new ApiKeyRing(await readAdminKey(config.adminKeyFile))
  if (ring !== null) stopLater(base, await keepKeys(database.first, ring, report('keys')))
  if (ring?.inForce !== true) say(explainOpenAccess(config))
  return ring
}

type SignalParts = ReturnType<typeof startSignals>

/**
 * Wakes waiting callers: at once for messages stored here, by listener and sweeper for all others.
 */
function startSignals(base: Base, database: Database, target: pg.ClientConfig) {
  const { config, report } = base
  const wakeups = new Wakeups(config.waitersMax)
  const scanHints = new ScanHints()
  const sweeps = watchSweeps(report('sweeper'))
  const hear = (queueId: string, count: number, position: number) => {
    scanHints.lower(queueId, position)
    wakeups.wake(queueId, count)
  }
  const signals = {
    onReady: (queueId: string, count: number, position: number) => {
      hear(queueId, count, position)
      listener.announce(queueId, count, position)
    },
    onDue: (timeMs: number) => sweeper.dueAt(timeMs)
  }
  const listener = startListener(config.listenUrl === '' ? target : { connectionString: config.listenUrl }, {
    onReady: hear,
    onDue: signals.onDue,
    onGap: () => {
      scanHints.forget()
      wakeups.wakeAll()
    },
    onError: report('listener')
  })
  stopLater(base, listener)
  const sweeper = startSweeper(database.first, {
    onReady: signals.onReady,
    // A message is ready although somebody waits for it: perhaps a notice was lost.
    onCounted: (queueId, count) => {
      scanHints.suspect(queueId)
      wakeups.wake(queueId, count)
    },
    waitingFor: () => wakeups.waitedQueues(),
    onSwept: sweeps.onSwept,
    onError: sweeps.onError
  })
  stopLater(base, sweeper)
  return { wakeups, scanHints, ...signals, sweeps, listening: () => listener.connected }
}

/** Remembers how the last sweep went, for health checks and metrics. */
function watchSweeps(report: (error: unknown) => void) {
  let failed = false
  let last = { atMs: performance.now(), lateMs: 0 }
  return {
    onSwept(lateMs: number) {
      failed = false
      last = { atMs: performance.now(), lateMs }
    },
    onError(error: unknown) {
      failed = true
      report(error)
    },
    lagSeconds: () => Math.max(last.lateMs, performance.now() - last.atMs) / 1000,
    unready: () => (failed ? 'The database cannot be reached just now.' : null)
  }
}

type Core = ReturnType<typeof openCore>

/** The broker, and the bytes of requests and answers that may be held in memory. */
function openCore({ config }: Base, database: Database, { scanHints, wakeups, onReady, onDue }: SignalParts) {
  // Twice the bound: the bytes of a message are held once while it is read, and once while it
  // waits.
  const requests = new ByteBudget(2 * config.waitingBytesMax)
  const answers = new ByteBudget(2 * config.waitingBytesMax)
  const store = openStore(database, scanHints)
  const broker = new Broker(
    store,
    wakeups,
    { onReady, onDue },
    { ...config, answersFull: () => answers.full, isPoison }
  )
  return { store, broker, requests, answers }
}

type Background = Awaited<ReturnType<typeof startBackground>>

/**
 * What runs beside the callers: vacuum, series, schedules, housekeeping and the watch over
 * snapshots.
 */
async function startBackground(
  base: Base,
  database: Database,
  ring: ApiKeyRing | null,
  { wakeups, onReady, onDue }: SignalParts,
  { store, broker }: Core
) {
  const { config, report } = base
  stopLater(base, startVacuum(database.last, report('vacuum')))
  const takeStats = () => {
    for (const queueId of wakeups.waitedQueues()) broker.replicaStats.asked(queueId)
    return broker.replicaStats.take()
  }
  stopLater(base, startSeries(database.last, takeStats, report('series')))
  const firings = new Firings(store, broker, { onReady, onDue }, nextTime, {
    ...config,
    keyOf: id => ring?.find(id)
  })
  const clock = stopLater(
    base,
    startClock(() => firings.fireDue(), report('schedules'))
  )
  const schedules = new Schedules(store, broker, nextTime, {
    ...config,
    onDue: timeMs => clock.dueAt(timeMs)
  })
  stopLater(base, await startHousekeeping(database, () => clock.fireNow(), report('housekeeping')))
  const snapshots = stopLater(base, startSnapshotWatch(base, database))
  return { schedules, snapshots }
}

function startSnapshotWatch({ log, report }: Base, database: Database) {
  return watchSnapshots(
    database.last,
    ({ kind, name, application, user, state, ageSeconds }, hiddenSessions) =>
      log.warn(
        {
          part: 'snapshots',
          kind,
          [kind === 'session' ? 'pid' : 'name']: name,
          application,
          user,
          state,
          ageSeconds: Math.round(ageSeconds),
          hiddenSessions
        },
        'An old snapshot is held. Until it ends, PostgreSQL cannot remove dead rows. ' +
          'holdfast doctor says how to end it.'
      ),
    report('snapshots')
  )
}

interface ServedParts {
  database: Database
  ring: ApiKeyRing | null
  signals: SignalParts
  core: Core
  background: Background
}

/** The HTTP server with all its routes. Answers where it serves. */
async function startServer({ config, closers, log, report }: Base, parts: ServedParts): Promise<string> {
  const { database, ring, signals, core, background } = parts
  const requestMetrics = new RequestMetrics(log)
  const connections = () => promisify(server.server.getConnections).call(server.server)
  const server = await buildServer(core.broker, {
    ...config,
    requests: core.requests,
    answers: core.answers,
    log,
    requestMetrics,
    guard: { ring, open: { docs: /\bdocs\b/.test(config.open), metrics: /\bmetrics\b/.test(config.open) } },
    apiKeys: apiKeysOf(database),
    console: app =>
      consoleRoutes(app, {
        overview: () => overview(database.last),
        oldestReady: queueIds => oldestReady(database.last, queueIds),
        sparks: names => core.broker.sparks(names),
        onError: report('console')
      }),
    schedules: background.schedules,
    health: {
      unready: signals.sweeps.unready,
      metrics: metricsOf(parts, requestMetrics, connections)
    },
    onClosing: () => signals.wakeups.close()
  })
  closers.push(async () => {
    await server.close()
    await core.broker.drained()
  })
  return await server.listen({ host: config.host, port: config.port })
}

function metricsOf(
  { database, signals, core, background }: ServedParts,
  requestMetrics: RequestMetrics,
  connections: () => Promise<number>
): () => Promise<string> {
  return createMetrics({
    sweeperLagSeconds: signals.sweeps.lagSeconds,
    snapshots: () => background.snapshots.check(),
    oldestReady: queueIds => oldestReady(database, queueIds),
    replicaStats: core.broker.replicaStats,
    requestMetrics,
    pool: () => database.usage,
    waiters: () => signals.wakeups.size,
    listening: signals.listening,
    connections,
    queues: () => queues.queueTotals(database)
  })
}

/** Lets the command line work with API keys, beside a service that runs or without one. */
export async function withApiKeys<T>(config: Config, work: (apiKeys: ApiKeys) => Promise<T>): Promise<T> {
  return await withPostgres(config, async target => {
    await migrate(target)
    const database = openDatabase(target, { poolSize: 2, onError: () => {} })
    return await work(apiKeysOf(database)).finally(() => database.close())
  })
}

/** Migrates the schema. Answers the names of the migrations applied. */
export const migrateDatabase = (config: Config): Promise<string[]> => withPostgres(config, migrate)

/** Measures the database, for holdfast doctor. */
export const readDoctorFacts = (config: Config): Promise<Facts> =>
  withPostgres(config, target => gatherFacts(target, config.listenUrl))

/** Works on the database without a service: beside one that runs, or after starting PostgreSQL. */
async function withPostgres<T>(config: Config, work: (target: pg.ClientConfig) => Promise<T>): Promise<T> {
  const running = config.databaseUrl === '' ? await runningEmbedded(config.dataDir) : null
  const closers: Closers = []
  try {
    return await work(running ?? (await openPostgres(config, () => {}, closers)).target)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function apiKeysOf(database: Database): ApiKeys {
  return {
    create: grant => apiKeys.createKey(database, grant),
    list: () => apiKeys.listKeys(database),
    revoke: (id, pauseSchedules) => apiKeys.revokeKey(database, id, pauseSchedules)
  }
}

async function openPostgres(
  config: Config,
  say: Say,
  closers: Closers
): Promise<{ target: pg.ClientConfig; name: string }> {
  if (config.databaseUrl !== '') {
    return { target: { connectionString: config.databaseUrl }, name: 'the database of HOLDFAST_DATABASE_URL' }
  }
  const embedded = await startEmbedded(config.dataDir, say)
  closers.push(() => embedded.stop())
  return { target: embedded.config, name: `an embedded PostgreSQL under ${config.dataDir}/` }
}

// True when one message alone is to blame. Class 22, a value that PostgreSQL refuses, catches what
// the checks before miss. 55P03 is a lock not had in time: somebody's open transaction has acked
// the message in SQL.
function isPoison(error: unknown): boolean {
  const cause = error instanceof QueueError ? error.cause : error
  return isServerError(cause) && (cause.code.startsWith('22') || cause.code === '55P03')
}
