/**
 * Starts the service's own recurring work: once a minute per cluster, however many replicas run. The
 * only user of pg-boss. The work itself stands in store/upkeep/maintenance.ts.
 */
import { PgBoss } from 'pg-boss'
import type { Database } from '../store/database.ts'
import { isServerError, sqlState } from '../store/databaseErrors.ts'
import { lockKeys } from '../store/lockKeys.ts'
import { schemaExists } from '../store/setup/migrate.ts'
import { createMaintenance } from '../store/upkeep/maintenance.ts'

type ConstructorOptions = Extract<ConstructorParameters<typeof PgBoss>[0], object>

const schema = 'holdfast_jobs'
const everyMinute = '* * * * *'

/**
 * Makes the schema of pg-boss, or brings it to this release's. Needs a right to create only where
 * something is left to create.
 */
export async function installJobs(database: Database): Promise<void> {
  await asOwner(database, async () => {
    const boss = await openBoss(database, { supervise: false, schedule: false })
    await boss.start().finally(() => stopNow(boss))
  })
}

/** Starts pg-boss on our connections. Each job may run twice, and works in chunks. */
export async function startHousekeeping(
  database: Database,
  fireSchedules: () => Promise<void>,
  onError: (error: unknown) => void
): Promise<{ stop: () => Promise<void> }> {
  const boss = await openBoss(database, { supervise: true, schedule: true })
  boss.on('error', onError)
  const jobs = Object.entries({ ...createMaintenance(database), 'fire-schedules': fireSchedules })
  try {
    await asOwner(database, async () => {
      await boss.start()
      for (const [name] of jobs) {
        await boss.createQueue(name, { policy: 'singleton', retryLimit: 0, expireInSeconds: 600 })
        await boss.schedule(name, everyMinute)
      }
    })
    for (const [name, job] of jobs) {
      await boss.work(name, { pollingIntervalSeconds: 5 }, async () => {
        await job()
      })
    }
  } catch (error) {
    await stopNow(boss).catch(onError) // its timers would keep the process
    throw error
  }
  return { stop: () => boss.stop({ graceful: true, close: false, timeout: 5000 }) }
}

const stopNow = (boss: PgBoss) => boss.stop({ graceful: false, close: false })

/** Runs the work on one replica at a time. Says what to do where the role may not create. */
async function asOwner(database: Database, work: () => Promise<void>): Promise<void> {
  await database.exclusively(lockKeys.startJobs, work).catch(error => {
    if (!isServerError(error, sqlState.rightLacking)) throw error
    throw new Error(
      `The schema ${schema} must be made or changed, and the role may not do that (${error.message}). ` +
        'Run holdfast migrate as the role that owns the tables, and then the grants of docs/operations.md.'
    )
  })
}

async function openBoss(database: Database, options: Partial<ConstructorOptions>): Promise<PgBoss> {
  const [row] = await database.query<{ made: boolean }>(schemaExists, [schema])
  return new PgBoss({
    schema,
    createSchema: !row!.made,
    // Nobody reads the registry, and its measurements wake the process fifty times a second.
    registerInstance: false,
    // Its polls would have spans among those of messages.
    openTelemetry: { enabled: false },
    db: {
      executeSql: async (text: string, values?: unknown[]) => ({ rows: await database.script(text, values) })
    },
    ...options
  } as ConstructorOptions)
}
