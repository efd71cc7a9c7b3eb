/** The composition root: opens the parts in order, and closes them in reverse. No singletons. */
import { pino, type Logger } from 'pino'
import { closeInReverse, type Closers } from './closers.ts'
import { explainListening, explainOpenAccess, type Config } from './config.ts'
import { apiKeysOf } from './databaseTasks.ts'
import { ApiKeyRing } from './core/apiKey.ts'
import { Broker } from './core/broker.ts'
import { startGossip } from './core/engine/gossip.ts'
import { joinReports, openShares, reportShares, type Shares } from './core/engine/shares.ts'
import { noSiblings, type Siblings } from './core/engine/siblings.ts'
import { Firings } from './core/verbs/firings.ts'
import { Schedules } from './core/verbs/schedules.ts'
import { consoleRoutes } from './fronts/console/routes.ts'
import { createMetrics } from './fronts/rest/metrics.ts'
import { buildServer } from './fronts/rest/server.ts'
import { FaultLog } from './fronts/shared/faultLog.ts'
import { listen } from './fronts/shared/listening.ts'
import { RequestMetrics } from './fronts/shared/requestMetrics.ts'
import { createSqsFront } from './fronts/sqs/routes.ts'
import { Signatures } from './fronts/sqs/signature.ts'
import { nextTime } from './jobs/calendar.ts'
import { redrivePauseMsMax, startClock } from './jobs/clock.ts'
import { startHousekeeping } from './jobs/housekeeping.ts'
import { startPushing } from './pushing.ts'
import { readAdminKey, readSigningSecrets } from './secrets.ts'
import { startSignals, type SignalParts } from './signals.ts'
import { startSnapshotWatch } from './snapshotWatch.ts'
import { openDatabase, type Database } from './store/database.ts'
import { lastConnectionsOf, usualConnectionsOf } from './store/door.ts'
import { isPoison } from './store/databaseErrors.ts'
import { watchHosts, type Target } from './store/hosts.ts'
import { migrate } from './store/setup/migrate.ts'
import { refusePooling } from './store/setup/pooling.ts'
import { joinPostgres, openPostgres, type Postgres } from './store/setup/postgres.ts'
import { openStore } from './store/store.ts'
import { keepKeys } from './store/upkeep/apiKeyReader.ts'
import { startSeries } from './store/upkeep/seriesWriter.ts'
import { startVacuum } from './store/upkeep/vacuum.ts'
import { oldestReady, overview } from './store/verbs/overview.ts'
import { queueTotals } from './store/verbs/totals.ts'
import type { Tracing } from './tracing/start.ts'

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

/** What every part is opened with. */
interface Base {
  config: Config
  say: Say
  closers: Closers
  /** The other processes of this replica. */
  siblings: Siblings
  /** null: no spans are made, and nothing of OpenTelemetry is loaded. */
  tracing: Tracing | null
  log: Logger
  /** Logs an error of a part, which goes on by itself: at most one line a second of each kind. */
  report: (part: string) => (error: unknown) => void
}

/** Opens the database, at this release's schema. */
export async function preparePostgres(config: Config, say: Say): Promise<Postgres> {
  const postgres = await openPostgres(config, say)
  try {
    await refusePooling(postgres.target)
    await migrate(postgres.target)
    return postgres
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

/**
 * Starts a whole replica, or one of its processes, whose siblings are then given. When a part cannot
 * be opened, it closes the others and throws.
 */
export async function startService(config: Config, say: Say, siblings = noSiblings): Promise<Service> {
  const closers: Closers = []
  const stop = () => closeInReverse(closers)
  try {
    const base: Base = { config, say, closers, siblings, ...(await openLog(config, say)) }
    if (base.tracing !== null) stopLater(base, base.tracing)
    const postgres = siblings.alone ? await preparePostgres(config, say) : await joinPostgres(config)
    const { target, listenTarget, name, stop: stopPostgres } = postgres
    closers.push(stopPostgres)
    stopLater(base, watchHosts([target, listenTarget], base.log, base.report('hosts')))
    const database = openPool(base, target)
    const keys = await openApiKeys(base, database)
    const shares = openShares(config)
    const signals = startSignals(base, database, listenTarget, shares)
    const stopGossip = startGossip(siblings, Object.values(shares), keys.ring, signals)
    closers.push(async () => stopGossip())
    const signingSecrets = await readSigningSecrets(config)
    const core = openCore(base, database, signals, shares, signingSecrets)
    const background = await startBackground(base, database, keys.ring, signals, core)
    const url = await startServer(base, { database, ...keys, signals, core, background, signingSecrets })
    return { url, database: name, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Has the service stop a part when it stops. Returns the part. */
function stopLater<P extends { stop(): Promise<unknown> }>({ closers }: Base, part: P): P {
  closers.push(() => part.stop())
  return part
}

/** The log, and the traces that its lines name. */
async function openLog(
  { logLevel, tracing }: Config,
  say: Say
): Promise<Pick<Base, 'log' | 'report' | 'tracing'>> {
  const loaded = tracing === null ? null : await import('./tracing/start.ts')
  const log = pino({ level: logLevel, ...(loaded !== null && { mixin: loaded.logFields }) })
  const faultLog = new FaultLog(log)
  const report: Base['report'] = part => error =>
    faultLog.write(
      'warn',
      part,
      error,
      { part, err: (error as Error)?.message ?? error },
      'A part of the service failed. It tries again by itself.'
    )
  const started = await loaded?.startTracing(tracing!, { say, onError: report('tracing') })
  return { log, report, tracing: started ?? null }
}

/** The connections of one process: all processes share those of the settings. */
const connectionsOf = ({ poolSize, processes }: Config) => Math.floor(poolSize / processes)

function openPool({ config, closers, report }: Base, target: Target): Database {
  const database = openDatabase(target, { poolSize: connectionsOf(config), onError: report('pool') })
  closers.push(() => database.close())
  return database
}

/**
 * The API keys in use, read again every second or two, and after each change made in this replica. `ring` is
 * null when the service asks nobody for a key.
 */
async function openApiKeys(base: Base, database: Database) {
  const { config, say, report, siblings } = base
  const ring = config.auth === 'off' ? null : new ApiKeyRing(await readAdminKey(config.adminKeyFile))
  const kept = ring && stopLater(base, await keepKeys(database.first, ring, report('keys')))
  if (ring?.inForce !== true) say(explainOpenAccess(config))
  const readKeys = async () => {
    await kept?.read()
    return null
  }
  siblings.answer('readKeys', readKeys)
  const readKeysEverywhere = async () => {
    await Promise.all([readKeys(), siblings.ask('readKeys', null)])
  }
  return { ring, readKeys: readKeysEverywhere }
}

type Core = ReturnType<typeof openCore>

/** The broker, and what its callers share. */
function openCore(
  { config, siblings, tracing, report }: Base,
  database: Database,
  { activity, elsewhere, scanHints, wakeups, onReady, onFree, onDue }: SignalParts,
  shares: Shares,
  signingSecrets: Buffer[]
) {
  const store = openStore(database, scanHints)
  const broker = new (tracing?.Broker ?? Broker)(
    store,
    wakeups,
    { onReady, onFree, onDue },
    {
      ...config,
      signingSecrets,
      activity,
      elsewhere,
      shares,
      siblings,
      flushConnections: usualConnectionsOf(connectionsOf(config)),
      lastConnections: lastConnectionsOf(connectionsOf(config)),
      isPoison,
      onError: report('broker')
    }
  )
  return { store, broker, shares }
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
  { wakeups, onReady, onFree, onDue }: SignalParts,
  { store, broker, shares }: Core
) {
  const { config, siblings, tracing, report } = base
  stopLater(base, startVacuum(database.last, report('vacuum')))
  const takeStats = () => {
    for (const queueId of wakeups.waitedQueues()) broker.replicaStats.asked(queueId)
    return broker.replicaStats.take()
  }
  stopLater(base, startSeries(database.last, takeStats, report('series')))
  const keyOf = (id: string) => ring?.find(id)
  const firings = new Firings(store, broker, { onReady, onFree, onDue }, nextTime, { ...config, keyOf })
  const clock = stopLater(
    base,
    startClock(() => firings.fireDue(), report('schedules'))
  )
  stopLater(
    base,
    startClock(() => broker.driveRedrives(report('redrives')), report('redrives'), redrivePauseMsMax)
  )
  const isDue = (timeMs: number) => clock.dueAt(timeMs)
  const schedules = new Schedules(store, broker, nextTime, { ...config, onDue: isDue })
  stopLater(base, await startHousekeeping(database, () => clock.fireNow(), report('housekeeping')))
  const snapshots = stopLater(base, startSnapshotWatch(database.last, base.log, report('snapshots')))
  const pushOptions = { broker, wakeups, shares, siblings, tracing, privateToo: config.pushPrivate }
  const push = stopLater(base, await startPushing({ ...pushOptions, onError: report('push') }))
  return { schedules, snapshots, push }
}

interface ServedParts {
  database: Database
  ring: ApiKeyRing | null
  readKeys: () => Promise<void>
  signals: SignalParts
  core: Core
  background: Background
  signingSecrets: Buffer[]
}

/** The HTTP server with all its routes. Answers where it serves. */
async function startServer(
  { config, closers, siblings, tracing, log, report }: Base,
  parts: ServedParts
): Promise<string> {
  const { database, ring, readKeys, signals, core, background, signingSecrets } = parts
  const requestMetrics = new RequestMetrics(log)
  siblings.answer('shares', async () => reportShares(core.shares))
  const server = await buildServer(core.broker, {
    ...config,
    shares: core.shares,
    log,
    requestMetrics,
    watchRequests: tracing?.watchRequests ?? null,
    guard: { ring, open: { docs: config.open.includes('docs'), metrics: config.open.includes('metrics') } },
    apiKeys: apiKeysOf(database.last, config, readKeys),
    console: app =>
      consoleRoutes(
        app,
        {
          overview: () => overview(database.last),
          oldestReady: queueIds => oldestReady(database.last, queueIds),
          sparks: names => core.broker.sparks(names),
          shares: async () =>
            joinReports([reportShares(core.shares), ...(await siblings.ask('shares', null))]),
          onError: report('console')
        },
        core.shares.consolePages
      ),
    sqs: config.sqs
      ? createSqsFront({
          broker: core.broker,
          ring,
          signatures: new Signatures(ring === null ? [] : signingSecrets),
          sqsUrl: config.sqsUrl
        })
      : null,
    schedules: background.schedules,
    push: background.push.front,
    health: {
      unready: signals.sweeps.unready,
      metrics: metricsOf(parts, siblings, requestMetrics, report('metrics'))
    },
    onClosing: () => signals.wakeups.close()
  })
  const { host, port, connectionsMax: backlog } = config
  const { url, stop } = await listen(server, { host, port, backlog }).catch(error => {
    throw explainListening(error, config)
  })
  closers.push(async () => {
    await stop()
    await core.broker.drained()
  })
  return url
}

function metricsOf(
  { database, signals, core, background }: ServedParts,
  siblings: Siblings,
  requestMetrics: RequestMetrics,
  onError: (error: unknown) => void
): () => Promise<string> {
  return createMetrics({
    siblings,
    sweeperLagSeconds: signals.sweeps.lagSeconds,
    snapshots: () => background.snapshots.check(),
    oldestReady: queueIds => oldestReady(database, queueIds),
    replicaStats: core.broker.replicaStats,
    requestMetrics,
    pool: () => database.usage,
    waiters: () => signals.wakeups.size,
    shares: () => reportShares(core.shares),
    listening: signals.listening,
    push: () => background.push.front.figures(),
    connections: () => core.shares.connections.held,
    queues: () => queueTotals(database),
    onError
  })
}
