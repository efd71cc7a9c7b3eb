/** What the command line does with the database itself, beside a service that runs or without one. */
import type { Config } from './config.ts'
import { readSigningSecrets } from './secrets.ts'
import type { PlacementRow } from './core/placement.ts'
import type { ApiKeys } from './core/ports.ts'
import { secretFor } from './fronts/sqs/signature.ts'
import { installJobs } from './jobs/housekeeping.ts'
import { openDatabase, type Database } from './store/database.ts'
import type { Target } from './store/hosts.ts'
import { gatherFacts, type Facts } from './store/setup/doctor.ts'
import { migrate } from './store/setup/migrate.ts'
import { refusePooling } from './store/setup/pooling.ts'
import { withPostgres } from './store/setup/postgres.ts'
import * as apiKeys from './store/verbs/apiKeys.ts'
import {
  lastId,
  raiseIds,
  readPlacement,
  wakeWaiters,
  writePlacement,
  type Stray
} from './store/verbs/placement.ts'
import { putQueue } from './store/verbs/putQueue.ts'
import { reportQueue } from './store/verbs/queueReports.ts'
import { removeEmptyQueue } from './store/verbs/queues.ts'

export type { Facts }

/** The secret access key for SQS of an API key. null: there is no service secret to make it from. */
export async function secretAccessKey(config: Config, keyId: string): Promise<string | null> {
  const [secret] = await readSigningSecrets(config)
  return secret === undefined ? null : secretFor(secret, keyId)
}

/** Lets the command line work with API keys, beside a service that runs or without one. */
export async function withApiKeys<T>(config: Config, work: (apiKeys: ApiKeys) => Promise<T>): Promise<T> {
  return await withPostgres(config, async target => {
    await refusePooling(target)
    await migrate(target)
    return await withDatabase(target, database => work(apiKeysOf(database, config)))
  })
}

/** Opens a database for work that is soon done, and closes it then. */
async function withDatabase<T>(target: Target, work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase(target, { poolSize: 2, onError: () => {} })
  return await work(database).finally(() => database.close())
}

/** Migrates the schema. Answers the names of the migrations applied. */
export const migrateDatabase = (config: Config): Promise<string[]> =>
  withPostgres(config, async target => {
    const applied = await migrate(target)
    await withDatabase(target, installJobs)
    return applied
  })

/** One cell's database, for holdfast cells. */
const withCell = <T>(config: Config, databaseUrl: string, work: (database: Database) => Promise<T>) =>
  withPostgres({ ...config, databaseUrl, listenUrl: '' }, target => withDatabase(target, work))

/**
 * Tells a cell what belongs there. Answers its queues that do not. Throws, and tells nothing, where the
 * dead messages of a queue would go to another cell.
 */
export async function placeCell(config: Config, databaseUrl: string, rows: PlacementRow[]): Promise<Stray[]> {
  let strays: Stray[] = []
  await withCell(config, databaseUrl, database =>
    writePlacement(database, rows, found => {
      strays = found
      const torn = found.find(({ deadLetterQueue }) => deadLetterQueue !== null)
      if (torn === undefined) return
      throw new Error(
        `Dead messages of ${torn.queue} go to ${torn.deadLetterQueue}, which would be in ${torn.cell}. ` +
          'Place both in one cell, or give the queue another deadLetterQueue.'
      )
    })
  )
  return strays
}

/** What the database of a cell has been told. */
export const readPlacementOf = (config: Config, databaseUrl: string): Promise<PlacementRow[]> =>
  withCell(config, databaseUrl, readPlacement)

/** Has every call that waits for a message of this queue try again. */
export const wakeWaitersOf = (config: Config, databaseUrl: string, queue: string): Promise<void> =>
  withCell(config, databaseUrl, database => wakeWaiters(database, queue))

/** Removes a queue of a cell that holds nothing. Answers whether it is gone. */
export const removeEmptyQueueOf = (config: Config, databaseUrl: string, queue: string): Promise<boolean> =>
  withCell(config, databaseUrl, database => removeEmptyQueue(database, queue))

/**
 * Lets the ids of one cell go on far beyond those of another. A message that has moved is then not taken for
 * one that was there, by a receipt or by a consumer that remembers ids.
 */
export async function raiseIdsBeyond(config: Config, from: string, to: string): Promise<void> {
  const last = await withCell(config, from, lastId)
  await withCell(config, to, database => raiseIds(database, last))
}

/** Gives the queue of one cell the settings of the same queue in another, if it is there. */
export async function copyQueueSettings(
  config: Config,
  from: string,
  to: string,
  queue: string
): Promise<void> {
  const report = await withCell(config, from, database => reportQueue(database, queue))
  if (report === null) return
  const { settings, front } = report
  await withCell(config, to, database => putQueue(database, queue, { ...settings, front }))
}

/** Measures the database, for holdfast doctor. */
export const readDoctorFacts = (config: Config): Promise<Facts> => withPostgres(config, gatherFacts)

/** `changed` hears of each key that is made or revoked. */
export function apiKeysOf(database: Database, config: Config, changed = async () => {}): ApiKeys {
  const adminKeyFile = config.adminKeyFile !== ''
  return {
    async create(wanted, withoutKey = false) {
      const key = await apiKeys.createKey(database, wanted, { withoutKey, adminKeyFile })
      await changed()
      return key
    },
    list: () => apiKeys.listKeys(database),
    async change(id, change) {
      const key = await apiKeys.changeKey(database, id, change, { adminKeyFile })
      await changed()
      return key
    },
    async revoke(id, pauseSchedules) {
      const revocation = await apiKeys.revokeKey(database, id, pauseSchedules)
      await changed()
      return revocation
    }
  }
}
