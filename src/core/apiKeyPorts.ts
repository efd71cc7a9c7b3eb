/** The API keys, as the front and the command line work with them. */
import type { ApiKeyChange, ApiKeyInfo, NewApiKey } from './apiKey.ts'
import type { KeptSchedule } from './schedule.ts'

export interface Revocation {
  /** False when there is no such key, or no longer. */
  revoked: boolean
  /** Those that the key owns. They stay. */
  schedules: KeptSchedule[]
}

/** The API keys, for the front and the command line. */
export interface ApiKeys {
  /**
   * Makes a key. `secret` is answered here and never again. With `withoutKey`, keys are asked for,
   * and the caller was let in only because there was none. Refuses:
   * - with tooManyKeys.
   * - with adminKeyFirst where it would be the first key and has not the right admin.
   * - with unauthorized a caller without a key, once there is one.
   */
  create(wanted: NewApiKey, withoutKey?: boolean): Promise<ApiKeyInfo & { secret: string }>
  /** All keys, the oldest first. */
  list(): Promise<ApiKeyInfo[]>
  /**
   * Changes what a key may do, and answers it. null: there is no such key. Refuses with adminKeyFirst to
   * take the right admin from the only key that has it.
   */
  change(id: string, change: ApiKeyChange): Promise<ApiKeyInfo | null>
  /** Ends a key, and pauses its schedules if asked to. */
  revoke(id: string, pauseSchedules: boolean): Promise<Revocation>
}
