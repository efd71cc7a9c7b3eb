/** Warns of old snapshots in the log. */
import type { Logger } from 'pino'
import type { Database } from './store/database.ts'
import { watchSnapshots } from './store/upkeep/snapshots.ts'

export function startSnapshotWatch(database: Database, log: Logger, onError: (error: unknown) => void) {
  return watchSnapshots(
    database,
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
    onError
  )
}
