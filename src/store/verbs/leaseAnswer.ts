/** What the statements that lease messages answer. */
import type { Freed, LeasedRow, LeaseFlush, Room } from '../../core/ports.ts'
import type { Turned } from '../../core/rows.ts'
import { lastFailureAbove, leasedColumns } from '../fragments.ts'
import { hasLimits } from '../leaseLimits.ts'
import { freeLines, leaseLines } from '../lines.ts'
import { sql } from '../statement.ts'
import type { LeaseEntries } from './leaseEntries.ts'

/** What the first row tells of the whole flush. */
interface ScanReport {
  /** False where the queue is paused or gone, or has limits that the statement does not keep. */
  scanned: boolean
  /** Not scanned, because the queue has limits. */
  hasLimits?: boolean
  /** What the limits leave. Without it the statement keeps none, or did not scan. */
  room?: Room | null
  /** The lowest rank that it leased from, so the rank of the last message. null: it leased none. */
  rank: number | null
  /** The last position given out. */
  last: number
  /** Messages that the scan met, before the bound in bytes. */
  found: number
  /** Bytes of the answer. */
  bytes: number
  /** They would have passed the bound in bytes. */
  full: boolean
  usedKeys: string[] | null
  acked: string | null
  freed: Freed | null
  /** What stands in the place of what was leased, in lines that take turns. */
  turned: Turned | null
  atMs: number | null
}

/** A leased message; or, where none was leased, one row of nulls. The first row has the report. */
export type FlushRow = { scan: ScanReport | null } & (LeasedRow | { id: null; position: null })

/** The queue has limits, which is why the plain statements did not find it. */
export const foundLimits = sql`
  'hasLimits', case
    when q.id is null then exists (
      select
      from holdfast.queues
      where id = $1
        and ${hasLimits('queues')}
    )
    else false
  end`

/** What a lease answers: a row for each message, and in the first one what the scan has seen. */
export const leaseAnswer = (
  entries: LeaseEntries,
  limits: string,
  acked: string,
  freed = 'null',
  turned = freeLines('leased', 'n')
) => sql`
  select
    ${leasedColumns},
    m.position,
    case when coalesce(m.n, 1) = 1 then json_build_object(
      'scanned', q.id is not null,
      ${limits},
      'last', (select last_value from holdfast.positions),
      'rank', (select min(rank) from taken),
      'found', (select count(*) from found),
      'bytes', (select coalesce(max(bytes), 0) from taken),
      'full', (select coalesce(sum(bytes), 0) > $5 from found),
      'usedKeys', ${entries.usedKeys},
      'acked', ${acked},
      'freed', ${freed},
      'turned', ${turned},
      'atMs', (select extract(epoch from at) * 1000 from lease)
    ) end as scan
  from (select) one
  left join q on true
  left join leased m on true
  ${lastFailureAbove(1)}
  order by m.n`

/** Tells the lines of leased messages where the queue may have limits. */
export const leaseTold = leaseLines('leased', 'n')

/** What the rows of an answer say. The message of each row is for the ask at its place in `slots`. */
export function flushOf(rows: FlushRow[], slots: number[], asks: number): LeaseFlush {
  const { bytes, full, acked, freed, turned, usedKeys, room, atMs } = rows[0]!.scan!
  const leased = rows.filter(row => row.id !== null)
  const shares: LeasedRow[][] = Array.from({ length: asks }, () => [])
  leased.forEach((row, index) => shares[slots[index]!]!.push(row))
  return {
    rows: leased,
    shares,
    bytes,
    full,
    acked: acked?.split(',') ?? [],
    freed,
    turned,
    usedKeys: usedKeys ?? [],
    room: room ?? null,
    atMs: atMs ?? 0
  }
}
