/** The composition root: opens every part in order, and closes them in reverse. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type pg from 'pg'
import { pino } from 'pino'
import { isLoopback, type Config } from './config.ts'
import { consoleRoutes } from './fronts/console/routes.ts'
import { Broker } from './core/broker.ts'
import { QueueError } from './core/errors.ts'
import { ApiKeyRing } from './core/apiKey.ts'
import { Schedules } from './core/verbs/schedules.ts'
import { Wakeups } from './core/engine/wakeups.ts'
import { ByteBudget } from './fronts/shared/byteBudget.ts'
import { createMetrics } from './fronts/rest/metrics.ts'
import type { ApiKeys } from './fronts/rest/routes/apiKeys.ts'
import { RequestMetrics } from './fronts/shared/requestMetrics.ts'
import { buildServer } from './fronts/rest/server.ts'
import { nextTime } from './jobs/calendar.ts'
import { startClock } from './jobs/clock.ts'
import { startHousekeeping } from './jobs/housekeeping.ts'
import { examine, type Facts } from './store/setup/doctor.ts'
import { openDatabase, type Database } from './store/database.ts'
import { isServerError } from './store/failures.ts'
import { runningEmbedded, startEmbedded } from './store/setup/embedded.ts'
import { ScanHints } from './store/upkeep/scanHints.ts'
import * as keys from './store/verbs/apiKeys.ts'
import { openStore, sessionVerbs } from './store/store.ts'
import { startListener } from './store/upkeep/listener.ts'
import { migrate } from './store/setup/migrate.ts'
import { oldestReady, overview } from './store/verbs/overview.ts'
import * as queues from './store/verbs/queues.ts'
import * as series from './store/verbs/series.ts'
import { watchSnapshots } from './store/upkeep/snapshots.ts'
import { startSweeper } from './store/upkeep/sweeper.ts'
import { startVacuum } from './store/upkeep/vacuum.ts'

export interface Service {
  /** Where it serves, as http://host:port. */
  url: string
  /** Where its data is, for the one who started it. */
  database: string
  /** No new work, waiting callers answered, what was begun finished, everything closed. */
  stop(): Promise<void>
}

/** Starts a whole replica. `say` hears progress in lines for a person. */
export async function startService(config: Config, say: (line: string) => void): Promise<Service> {
  const closers: (() => Promise<unknown>)[] = []
  const stop = async () => {
    const failures: unknown[] = []
    for (const close of closers.splice(0).reverse()) {
      await Promise.resolve()
        .then(close)
        .catch(error => failures.push(error))
    }
    if (failures.length > 0) throw new AggregateError(failures, 'Not every part could be closed.')
  }
  try {
    const { target, name } = await openPostgres(config, say, closers)
    await migrate(target)

    const log = pino({ level: config.logLevel })
    const report = (part: string) => (error: unknown) =>
      log.warn({ part, err: (error as Error)?.message ?? error }, 'passing trouble')
    const database = openDatabase(target, { poolSize: config.poolSize, onError: report('pool') })
    closers.push(() => database.close())

    const ring = config.auth === 'off' ? null : new ApiKeyRing(await adminSecret(config.adminKeyFile))
    if (ring !== null) {
      const kept = await keys.keepKeys(database.first, ring, report('keys'))
      closers.push(() => kept.stop())
    }
    if (ring?.inForce !== true) say(openness(config, ring))

    // What waits for the database is within these twice over: once while it is read, once while it waits.
    const requests = new ByteBudget(2 * config.waitingBytesMax)
    const answers = new ByteBudget(2 * config.waitingBytesMax)
    const wakeups = new Wakeups(config.waitersMax)
    const scanHints = new ScanHints()
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
    const store = openStore(database, sessionVerbs(scanHints))
    const broker = new Broker(store, wakeups, signals, {
      ...config,
      answersFull: () => answers.full,
      isPoison
    })
    const listener = startListener(
      config.listenUrl === '' ? target : { connectionString: config.listenUrl },
      {
        onReady: hear,
        onDue: signals.onDue,
        onGap: () => {
          scanHints.forget()
          wakeups.wakeAll()
        },
        onError: report('listener')
      }
    )
    closers.push(() => listener.stop())
    let away = false
    let swept = { atMs: performance.now(), lateMs: 0 }
    const sweeper = startSweeper(database.first, {
      onReady: signals.onReady,
      // Ready, and yet somebody waits: perhaps a notice was lost.
      onCounted: (queueId, count) => {
        scanHints.suspect(queueId)
        wakeups.wake(queueId, count)
      },
      waitingFor: () => wakeups.topics().filter(topic => !topic.includes('/')),
      onSwept: lateMs => {
        away = false
        swept = { atMs: performance.now(), lateMs }
      },
      onError: error => {
        away = true
        report('sweeper')(error)
      }
    })
    closers.push(() => sweeper.stop())
    const vacuum = startVacuum(database.last, report('vacuum'))
    closers.push(() => vacuum.stop())
    const steps = series.startSeries(
      database.last,
      () => {
        for (const topic of wakeups.topics()) if (!topic.includes('/')) broker.replicaStats.asked(topic)
        return broker.replicaStats.take()
      },
      report('series')
    )
    closers.push(() => steps.stop())
    const schedules = new Schedules(store, broker, signals, nextTime, {
      ...config,
      onDue: timeMs => clock.dueAt(timeMs)
    })
    const clock = startClock(() => schedules.fireDue(), report('schedules'))
    closers.push(() => clock.stop())
    const housekeeping = await startHousekeeping(database, () => clock.look(), report('housekeeping'))
    closers.push(() => housekeeping.stop())

    const snapshots = watchSnapshots(
      database.last,
      ({ kind, name, application, user, state, ageSeconds }, hidden) =>
        log.warn(
          {
            part: 'snapshots',
            kind,
            [kind === 'session' ? 'pid' : 'name']: name,
            application,
            user,
            state,
            ageSeconds: Math.round(ageSeconds),
            hiddenSessions: hidden
          },
          'An old snapshot is held, so nothing that has been removed since can be cleaned away.'
        ),
      report('snapshots')
    )
    closers.push(() => snapshots.stop())

    const requestMetrics = new RequestMetrics(log)
    const metrics = createMetrics({
      sweeperLagSeconds: () => Math.max(swept.lateMs, performance.now() - swept.atMs) / 1000,
      snapshots: () => snapshots.look(),
      oldestReady: queueIds => oldestReady(database, queueIds),
      replicaStats: broker.replicaStats,
      requestMetrics,
      pool: () => database.usage,
      waiters: () => wakeups.size,
      listening: () => listener.connected,
      connections: () => promisify(server.server.getConnections).call(server.server),
      queues: () => queues.queueTotals(database)
    })
    const server = await buildServer(broker, {
      onClosing: () => wakeups.close(),
      ...config,
      requests,
      answers,
      log,
      requestMetrics,
      guard: { ring, open: { docs: /\bdocs\b/.test(config.open), metrics: /\bmetrics\b/.test(config.open) } },
      keys: keysOf(database),
      console: app =>
        consoleRoutes(app, {
          overview: () => overview(database.last),
          oldestReady: queueIds => oldestReady(database.last, queueIds),
          sparks: names => broker.sparks(names),
          onError: report('console')
        }),
      schedules,
      health: { unready: () => (away ? 'The database cannot be reached just now.' : null), metrics }
    })
    closers.push(async () => {
      await server.close()
      await broker.drained()
    })
    const url = await server.listen({ host: config.host, port: config.port })
    return { url, database: name, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The keys alone, for the command line. */
export async function withKeys<T>(config: Config, work: (keys: ApiKeys) => Promise<T>): Promise<T> {
  return await withPostgres(config, async target => {
    await migrate(target)
    const database = openDatabase(target, { poolSize: 2, onError: () => {} })
    return await work(keysOf(database)).finally(() => database.close())
  })
}

/** The schema alone. Answers the names of the migrations applied. */
export const migrateDatabase = (config: Config): Promise<string[]> => withPostgres(config, migrate)

/** What the database tells of itself, for holdfast doctor. */
export const examineDatabase = (config: Config): Promise<Facts> =>
  withPostgres(config, target => examine(target, config.listenUrl))

/** The database without a service: beside one that runs, or started for the purpose. */
async function withPostgres<T>(config: Config, work: (target: pg.ClientConfig) => Promise<T>): Promise<T> {
  const running = config.databaseUrl === '' ? await runningEmbedded(config.dataDir) : null
  const closers: (() => Promise<unknown>)[] = []
  try {
    return await work(running ?? (await openPostgres(config, () => {}, closers)).target)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function keysOf(database: Database): ApiKeys {
  return {
    create: grant => keys.createKey(database, grant),
    list: () => keys.listKeys(database),
    revoke: id => keys.revokeKey(database, id)
  }
}

async function adminSecret(file: string): Promise<string | null> {
  if (file === '') return null
  const secret = (
    await readFile(file, 'utf8').catch(error => {
      throw new Error(`HOLDFAST_ADMIN_KEY_FILE cannot be read (${error.code}).`)
    })
  ).trim()
  if (!/^[\x21-\x7e]{32,256}$/.test(secret)) {
    throw new Error(
      'HOLDFAST_ADMIN_KEY_FILE must hold one key of 32 to 256 printable characters; openssl rand ' +
        '-base64 32 makes one.'
    )
  }
  return secret
}

/** What to tell whoever starts a service that asks nobody for a key; throws where it must not serve so. */
function openness({ host }: Config, ring: ApiKeyRing | null): string {
  if (ring === null) return `HOLDFAST_AUTH=off: whoever reaches ${host} may use every queue.`
  if (isLoopback(host)) {
    return (
      'There is no API key yet, so nobody is asked for one, and only this machine is served ' +
      `(${host}). holdfast keys create makes one.`
    )
  }
  throw new Error(
    `There is no API key yet, and on ${host} others could reach the queues. Make a key (holdfast ` +
      'keys create), give one (HOLDFAST_ADMIN_KEY_FILE), or say HOLDFAST_AUTH=off to serve ' +
      'whoever comes.'
  )
}

async function openPostgres(
  config: Config,
  say: (line: string) => void,
  closers: (() => Promise<unknown>)[]
): Promise<{ target: pg.ClientConfig; name: string }> {
  if (config.databaseUrl !== '') {
    return { target: { connectionString: config.databaseUrl }, name: 'the database of HOLDFAST_DATABASE_URL' }
  }
  const embedded = await startEmbedded(config.dataDir, say)
  closers.push(() => embedded.stop())
  return { target: embedded.config, name: `an embedded PostgreSQL under ${config.dataDir}/` }
}

// One message's fault. Class 22, a value that PostgreSQL refuses, is the net under a gap in the
// checks; 55P03, a lock not had in time, is a message that somebody's open transaction has acked
// in SQL.
function isPoison(error: unknown): boolean {
  const cause = error instanceof QueueError ? error.cause : error
  return isServerError(cause) && (cause.code.startsWith('22') || cause.code === '55P03')
}
