/**
 * Vacuums the tables that turn over in seconds: as often as it pays, and rarely while an old
 * snapshot keeps it from removing anything.
 */
import type { Database } from '../database.ts'
import { sql, type Statement } from '../statement.ts'
import { repeat, type Repeated } from './repeat.ts'

const tables = ['messages', 'leases', 'ledger', 'history'] as const
const deadRowsMin = 10_000
const checkMs = 2_500
const restMsMin = 5_000
const restMsMax = 40_000
// A vacuum costs by the pages on which it finds dead rows, not by the rows. Where messages of ten
// priorities lie mixed that is every page. So however much there is to remove, at most a twentieth
// of the time is spent on it.
const restPerWork = 20

// Autovacuum checks once a minute by default. By then a busy queue's tables are mostly dead rows.
// Told to check every few seconds, it goes through all of them in vain while a snapshot is held. That
// took a quarter of the rate. So it is left for times when no service runs.
export const deadRows: Statement<{ name: string; dead: string; vacuumed_ms_ago: string | null }> = {
  name: 'dead_rows',
  parameters: '$1 tables',
  text: sql`
    select
      name,
      pg_stat_get_dead_tuples(class) as dead,
      extract(epoch from clock_timestamp() - greatest(
        pg_stat_get_last_vacuum_time(class),
        pg_stat_get_last_autovacuum_time(class)
      )) * 1000 as vacuumed_ms_ago
    from unnest($1::text[]) as name, to_regclass('holdfast.' || name) as class`
}

/**
 * Checks every few seconds until stopped. Several replicas may: the second finds little to do.
 * Errors go to `onError`, and it checks again.
 */
export function startVacuum(database: Database, onError: (error: unknown) => void): Repeated {
  /** How long each table is left alone after its last vacuum. */
  const restsMs = new Map<string, number>()

  async function vacuum(table: string, before: number): Promise<void> {
    let left = before
    const startedMs = performance.now()
    try {
      // Rows that are locked, or a table that another replica vacuums, are no reason to wait.
      await database.query(`vacuum (skip_locked, truncate false, parallel 0) holdfast.${table}`)
      left = Number((await database.query(deadRows, [[table]]))[0]!.dead)
    } finally {
      const workMs = performance.now() - startedMs
      const restMs = Math.min(restMsMax, Math.max(restMsMin, restPerWork * workMs))
      const wasInVain = left > before / 2
      const longerMs = Math.min(restMsMax, 2 * Math.max(restMs, restsMs.get(table) ?? 0))
      restsMs.set(table, wasInVain ? longerMs : restMs)
    }
  }

  return repeat(
    async signal => {
      for (const { name, dead, vacuumed_ms_ago: agoMs } of await database.query(deadRows, [tables])) {
        const isRested = agoMs === null || Number(agoMs) >= (restsMs.get(name) ?? restMsMin)
        if (!signal.aborted && isRested && Number(dead) >= deadRowsMin) await vacuum(name, Number(dead))
      }
    },
    checkMs,
    onError
  )
}
