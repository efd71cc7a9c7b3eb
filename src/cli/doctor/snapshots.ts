/** What keeps PostgreSQL from removing dead rows and old WAL. */
import type { Facts } from '../../databaseTasks.ts'
import { bad, duration, hour, minute, ok, size, sqlName, sqlText, warning, type Judge } from './check.ts'

type Holder = Facts['holders'][number]

export const snapshots: Judge = ({ holders, server }) => {
  const name = 'oldest snapshot'
  const old = holders.filter(({ ageSeconds, state }) => {
    const assumedSeconds = state === 'inactive' ? Infinity : 0
    return (ageSeconds ?? assumedSeconds) >= minute
  })
  if (old.length === 0) {
    const oldest = holders[0] === undefined ? 'none is held' : describeHolder(holders[0])
    const role = sqlName(server.role)
    const hidden = ` (among the sessions that ${role} may see; grant pg_read_all_stats to ${role} shows all)`
    return ok(name, `${oldest}${server.seesAll ? '' : hidden}`)
  }
  return old.slice(0, 3).map(holder => {
    const status = (holder.ageSeconds ?? Infinity) >= hour ? bad : warning
    const advice = `Until it ends, no dead rows are removed and the tables grow. ${howToEnd(holder)}`
    return status(name, describeHolder(holder), advice)
  })
}

function describeHolder({ kind, name, application, user, state, ageSeconds }: Holder): string {
  const details = [user === null ? '' : `of ${user}`, application ?? '', state ?? '']
  const age = ageSeconds === null ? '' : `, for ${duration(ageSeconds)}`
  return `${kind} ${name} (${details.filter(text => text !== '').join(', ')})${age}`
}

function howToEnd({ kind, name }: Holder): string {
  if (kind === 'session') return `End its transaction, or run: select pg_terminate_backend(${name});`
  if (kind === 'prepared transaction') {
    const text = sqlText(name)
    return `Finish it. Run: commit prepared ${text}; or: rollback prepared ${text};`
  }
  return `Let its standby catch up. If nobody needs the slot, run: ${dropSlot(name)}`
}

const dropSlot = (name: string) => `select pg_drop_replication_slot(${sqlText(name)});`

const walBytesMax = 2 ** 30

export const replicationSlots: Judge = ({ slots }) => [
  ...slots
    .filter(({ lost }) => lost)
    .map(({ name }) =>
      bad(
        'replication slot',
        `${name} is lost: WAL that its reader needs was removed`,
        'Its standby cannot catch up any more, so nothing replaces the primary. Build it anew, as by ' +
          `pg_basebackup, and run: ${dropSlot(name)} The setting max_slot_wal_keep_size was too small.`
      )
    ),
  ...slots
    .filter(({ lost, bytes }) => !lost && bytes >= walBytesMax)
    .map(({ name, active, bytes }) =>
      (active ? warning : bad)(
        'replication slot',
        `${name} (${active ? 'in use' : 'not in use'}) keeps ${size(bytes)} of WAL`,
        'It fills the disk. Let its reader catch up. If nobody needs the slot, run: ' +
          `${dropSlot(name)} The setting max_slot_wal_keep_size limits what slots keep.`
      )
    )
]
