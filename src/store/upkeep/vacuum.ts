/**
 * Vacuums the tables that turn over in seconds: as often as it pays, and rarely while somebody's
 * old snapshot keeps it from removing anything.
 */
import type { Database, Statement } from '../database.ts'

export interface Vacuum {
  stop(): Promise<void>
}

const tables = ['messages', 'leases', 'ledger', 'history'] as const
const deadRowsMin = 10_000
const pauseMsMin = 5_000
const pauseMsMax = 40_000
// What a vacuum costs goes by the pages it finds dead rows on, not by the rows, and where messages
// of ten priorities lie mixed that is every page: so however much there is to remove, no more than
// a twentieth of the time is spent on it.
const restPerWork = 20

// Autovacuum looks once a minute where nobody has set it otherwise, by when a busy queue's tables
// are mostly dead rows; told to look every few seconds, it goes through all of them each time in
// vain while a snapshot is held, which took a quarter of the rate. So it is left as the net for
// times when no service runs.
const dead: Statement = {
  name: 'dead_rows',
  text: `
  select name, pg_stat_get_dead_tuples(class) as dead,
    extract(epoch from clock_timestamp() - greatest(pg_stat_get_last_vacuum_time(class), pg_stat_get_last_autovacuum_time(class))) * 1000 as vacuumed_ms_ago
  from unnest($1::text[]) as name, to_regclass('holdfast.' || name) as class`
}

/** Looks every few seconds until stopped. Several replicas may: whoever comes second finds little to do. */
export function startVacuum(database: Database, onError: (error: unknown) => void): Vacuum {
  const pauses = new Map<string, number>()
  let stopping = false
  let timer: NodeJS.Timeout
  let looking = Promise.resolve()

  async function vacuum(table: string, before: number): Promise<void> {
    let left = before
    const startedMs = performance.now()
    try {
      // Rows that are locked, or a table that another replica vacuums, are no reason to wait.
      await database.query(`vacuum (skip_locked, truncate false, parallel 0) holdfast.${table}`)
      left = Number((await database.query(dead, [[table]]))[0]!.dead)
    } finally {
      const rest = Math.min(pauseMsMax, Math.max(pauseMsMin, restPerWork * (performance.now() - startedMs)))
      pauses.set(
        table,
        left > before / 2 ? Math.min(pauseMsMax, 2 * Math.max(rest, pauses.get(table) ?? 0)) : rest
      )
    }
  }

  async function look(): Promise<void> {
    for (const { name, dead: rows, vacuumed_ms_ago: ago } of await database.query(dead, [tables])) {
      const recent = ago !== null && Number(ago) < (pauses.get(name) ?? pauseMsMin)
      if (!stopping && !recent && Number(rows) >= deadRowsMin) await vacuum(name, Number(rows))
    }
  }

  const schedule = () => {
    timer = setTimeout(() => {
      looking = look()
        .catch(onError)
        .finally(() => {
          if (!stopping) schedule()
        })
    }, pauseMsMin / 2)
  }
  schedule()
  return {
    async stop() {
      stopping = true
      clearTimeout(timer)
      await looking
    }
  }
}
