/**
 * The service's own recurring work: once a minute per cluster, however many replicas run. The only
 * user of pg-boss.
 */
import { PgBoss } from 'pg-boss'
import type { Database } from '../store/database.ts'
import { lockKeys } from '../store/lockKeys.ts'
import { createMaintenance } from '../store/upkeep/maintenance.ts'

const schema = 'holdfast_jobs'
const everyMinute = '* * * * *'

/** Starts pg-boss on our connections. Each job may run twice, and works in chunks. */
export async function startHousekeeping(
  database: Database,
  fireSchedules: () => Promise<void>,
  onError: (error: unknown) => void
): Promise<{ stop: () => Promise<void> }> {
  const boss = new PgBoss({
    schema,
    db: {
      executeSql: async (text: string, values?: unknown[]) => ({ rows: await database.script(text, values) })
    },
    supervise: true,
    schedule: true
  } as ConstructorParameters<typeof PgBoss>[0])
  boss.on('error', onError)
  const jobs = Object.entries({ ...createMaintenance(database), 'fire-schedules': fireSchedules })
  await database.exclusively(lockKeys.startJobs, async () => {
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
  return { stop: () => boss.stop({ graceful: true, close: false, timeout: 5000 }) }
}
