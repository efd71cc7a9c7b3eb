/**
 * Who holds an old snapshot. While one is held, nothing that has been removed since can be cleaned
 * away, for anybody.
 */
import { sql, type Session, type Statement } from '../statement.ts'
import { repeat } from './repeat.ts'

/** What holds a snapshot. */
export interface Holder {
  kind: 'session' | 'replication slot' | 'prepared transaction'
  /** The session's pid, the slot's name, or the prepared transaction's. */
  name: string
  application: string | null
  user: string | null
  state: string | null
  ageSeconds: number
}

/** The snapshots held just now. */
interface Snapshots {
  oldest: Holder | null
  /** Sessions of other roles that ours may not look at: without pg_read_all_stats, most of them. */
  hidden: number
}

/** A watch that runs. */
interface SnapshotWatch {
  /** Who holds snapshots at this moment. */
  check(): Promise<Snapshots>
  stop(): Promise<void>
}

const warnAgeSeconds = 60
const everyMs = 60_000

/** `keeps`: the transaction that a slot keeps. */
type HolderRow = Omit<Holder, 'ageSeconds'> & {
  keeps: string | null
  ageSeconds: number | null
  hidden: boolean
}

// A vacuum keeps nothing from others.
export const holders: Statement<HolderRow> = {
  name: 'snapshots',
  text: sql`
    select
      'session' as kind,
      pid::text as name,
      application_name as application,
      usename as "user",
      state,
      null as keeps,
      extract(epoch from clock_timestamp() - xact_start)::float8 as "ageSeconds",
      query = '<insufficient privilege>' as hidden
    from pg_stat_activity
    where (datname = current_database() or datname is null)
      and usename is not null
      and pid <> pg_backend_pid()
      and (
        query = '<insufficient privilege>'
        or (
          (backend_xmin is not null or backend_xid is not null)
          and xact_start is not null
          and query !~* '^\s*(autovacuum: )?vacuum'
        )
      )
    union all
    select
      'replication slot',
      slot_name,
      plugin,
      null,
      case when active then 'active' else 'inactive' end,
      xmin::text,
      null,
      false
    from pg_replication_slots
    where xmin is not null
    union all
    select
      'prepared transaction',
      gid,
      null,
      owner,
      null,
      null,
      extract(epoch from clock_timestamp() - prepared)::float8,
      false
    from pg_prepared_xacts
    where database = current_database()`
}

/**
 * Checks once a minute, and tells `say` who holds a snapshot that is older than a minute. Errors go
 * to `onError`, but `check` throws its own.
 */
export function watchSnapshots(
  session: Session,
  say: (holder: Holder, hidden: number) => void,
  onError: (error: unknown) => void,
  { ageSeconds = warnAgeSeconds, pauseMs = everyMs } = {}
): SnapshotWatch {
  const ages = new SlotAges()

  async function check(): Promise<Snapshots> {
    const rows = ages.complete(await session.query(holders))
    const visible = rows.filter(({ hidden }) => !hidden)
    const [oldest] = visible.toSorted((a, b) => b.ageSeconds - a.ageSeconds)
    const hidden = rows.length - visible.length
    if (oldest === undefined) return { oldest: null, hidden }
    const { hidden: _, keeps: __, ...holder } = oldest
    return { oldest: holder, hidden }
  }

  async function tell(): Promise<void> {
    const { oldest, hidden } = await check()
    if (oldest !== null && oldest.ageSeconds >= ageSeconds) say(oldest, hidden)
  }

  return { check, ...repeat(tell, pauseMs, onError) }
}

/**
 * How long replication slots have kept their snapshots. PostgreSQL tells which transaction a slot
 * keeps, not since when. So its age counts from when it was first seen to keep that one.
 */
class SlotAges {
  #sinceMs = new Map<string, number>()

  complete(rows: HolderRow[]): (HolderRow & { ageSeconds: number })[] {
    const nowMs = performance.now()
    const beforeMs = this.#sinceMs
    this.#sinceMs = new Map()
    return rows.map(row => {
      if (row.keeps === null) return { ...row, ageSeconds: row.ageSeconds! }
      const key = `${row.name} ${row.keeps}`
      const sinceMs = beforeMs.get(key) ?? nowMs
      this.#sinceMs.set(key, sinceMs)
      return { ...row, ageSeconds: (nowMs - sinceMs) / 1000 }
    })
  }
}
