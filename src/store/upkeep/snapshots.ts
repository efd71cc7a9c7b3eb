/**
 * Who holds an old snapshot: while one is held, nothing that has been removed since can be cleaned
 * away, for anybody.
 */
import type { Session, Statement } from '../database.ts'

export interface Holder {
  kind: 'session' | 'replication slot' | 'prepared transaction'
  /** The session's pid, the slot's name, or the prepared transaction's. */
  name: string
  application: string | null
  user: string | null
  state: string | null
  ageSeconds: number
}

export interface Snapshots {
  oldest: Holder | null
  /** Sessions of other roles that ours may not look at: without pg_read_all_stats, most of them. */
  hidden: number
}

export interface SnapshotWatch {
  look(): Promise<Snapshots>
  stop(): Promise<void>
}

const warnAgeSeconds = 60
const everyMs = 60_000

// Of a slot PostgreSQL tells which transaction it keeps, not since when: we count from when we
// first saw it keep that one. A vacuum keeps nothing from others.
export const holders: Statement = {
  name: 'snapshots',
  text: `
  select 'session' as kind, pid::text as name, application_name as application, usename as "user", state, null as keeps,
    extract(epoch from clock_timestamp() - xact_start)::float8 as "ageSeconds", query = '<insufficient privilege>' as hidden
  from pg_stat_activity
  where (datname = current_database() or datname is null) and usename is not null and pid <> pg_backend_pid()
    and (query = '<insufficient privilege>' or ((backend_xmin is not null or backend_xid is not null) and xact_start is not null and query !~* '^\\s*(autovacuum: )?vacuum'))
  union all
  select 'replication slot', slot_name, plugin, null, case when active then 'active' else 'inactive' end, xmin::text, null, false
  from pg_replication_slots where xmin is not null
  union all
  select 'prepared transaction', gid, null, owner, null, null, extract(epoch from clock_timestamp() - prepared)::float8, false
  from pg_prepared_xacts where database = current_database()`
}

/** Looks once a minute, and says who holds a snapshot that is older than a minute. */
export function watchSnapshots(
  session: Session,
  say: (holder: Holder, hidden: number) => void,
  onError: (error: unknown) => void,
  { ageSeconds = warnAgeSeconds, pauseMs = everyMs } = {}
): SnapshotWatch {
  let slotsSinceMs = new Map<string, number>()
  let stopping = false
  let timer: NodeJS.Timeout
  let looking = Promise.resolve()

  async function look(): Promise<Snapshots> {
    const nowMs = performance.now()
    const rows = await session.query(holders)
    const slots = rows
      .filter(({ keeps }) => keeps !== null)
      .map(row => ({ row, key: `${row.name} ${row.keeps}` }))
    slotsSinceMs = new Map(slots.map(({ key }) => [key, slotsSinceMs.get(key) ?? nowMs]))
    for (const { row, key } of slots) row.ageSeconds = (nowMs - slotsSinceMs.get(key)!) / 1000
    const known = rows
      .filter(({ hidden }) => !hidden)
      .map(({ hidden: _, keeps: __, ...holder }) => holder as Holder)
    const oldest = known.reduce<Holder | null>(
      (best, one) => (best === null || one.ageSeconds > best.ageSeconds ? one : best),
      null
    )
    return { oldest, hidden: rows.length - known.length }
  }

  async function tell(): Promise<void> {
    const { oldest, hidden } = await look()
    if (oldest !== null && oldest.ageSeconds >= ageSeconds) say(oldest, hidden)
  }

  const schedule = () => {
    timer = setTimeout(() => {
      looking = tell()
        .catch(onError)
        .finally(() => {
          if (!stopping) schedule()
        })
    }, pauseMs)
  }
  schedule()
  return {
    look,
    async stop() {
      stopping = true
      clearTimeout(timer)
      await looking
    }
  }
}
