/** What the command line does with the database itself, beside a service that runs or without one. */
import { readSigningSecrets, type Config } from './config.ts'
import type { ApiKeys } from './core/ports.ts'
import { secretFor } from './fronts/sqs/signature.ts'
import { installJobs } from './jobs/housekeeping.ts'
import { openDatabase, type Database } from './store/database.ts'
import { gatherFacts, type Facts } from './store/setup/doctor.ts'
import { migrate } from './store/setup/migrate.ts'
import { refusePooling } from './store/setup/pooling.ts'
import { withPostgres } from './store/setup/postgres.ts'
import { postgresVersionMin, serverVersionNumMin } from './store/setup/version.ts'
import * as apiKeys from './store/verbs/apiKeys.ts'

export { postgresVersionMin, serverVersionNumMin, type Facts }

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
    const database = openDatabase(target, { poolSize: 2, onError: () => {} })
    return await work(apiKeysOf(database, config)).finally(() => database.close())
  })
}

/** Migrates the schema. Answers the names of the migrations applied. */
export const migrateDatabase = (config: Config): Promise<string[]> =>
  withPostgres(config, async target => {
    const applied = await migrate(target)
    const database = openDatabase(target, { poolSize: 2, onError: () => {} })
    await installJobs(database).finally(() => database.close())
    return applied
  })

/** Measures the database, for holdfast doctor. */
export const readDoctorFacts = (config: Config): Promise<Facts> => withPostgres(config, gatherFacts)

/** `changed` hears of each key that is made or revoked. */
export function apiKeysOf(database: Database, config: Config, changed = async () => {}): ApiKeys {
  const adminKeyFile = config.adminKeyFile !== ''
  return {
    async create(grant, withoutKey = false) {
      const key = await apiKeys.createKey(database, grant, { withoutKey, adminKeyFile })
      await changed()
      return key
    },
    list: () => apiKeys.listKeys(database),
    async revoke(id, pauseSchedules) {
      const revocation = await apiKeys.revokeKey(database, id, pauseSchedules)
      await changed()
      return revocation
    }
  }
}
