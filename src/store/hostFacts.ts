/** What a host of a URL with several says of itself, and whether writes may go to it. */
import type pg from 'pg'
import { isServerError, sqlState } from './databaseErrors.ts'

/** `primary`: no standby. `read-write`: also none whose transactions are read-only by default. */
export type HostRole = 'primary' | 'read-write'

/** `system` and `timeline` are null where the role may not read them. */
export interface HostFacts {
  standby: boolean
  readOnly: boolean
  /** The system identifier: a number that initdb draws, and that copies of a cluster share. */
  system: string | null
  /** Each promotion begins a timeline with a higher number. */
  timeline: number | null
}

/** The newest that was seen of the cluster. */
export interface SeenCluster {
  system: string
  timeline: number
}

const role = `
  pg_catalog.pg_is_in_recovery() as standby,
  pg_catalog.current_setting('transaction_read_only') = 'on' as "readOnly"`

/** Asks for the role alone. */
const roleQuery = `
  select
    ${role},
    null as system,
    null as timeline`

// The control file learns of a promotion at the next checkpoint only. The WAL knows it at once.
const factsQuery = `
  select
    ${role},
    (pg_catalog.pg_control_system()).system_identifier::pg_catalog.text as system,
    case
      when pg_catalog.pg_is_in_recovery() then greatest(
        (pg_catalog.pg_control_checkpoint()).timeline_id,
        (pg_catalog.pg_control_recovery()).min_recovery_end_timeline
      )
      else (
        'x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)
      )::bit(32)::pg_catalog.int4
    end as timeline`

/**
 * Asks in one round trip, after `settings` if there are any. Some hosted servers keep the functions
 * of the control file from their users, so a refused question is asked again without them.
 */
export async function readHostFacts(
  client: pg.ClientBase,
  settings = '',
  answerMsMax = 3000
): Promise<HostFacts> {
  const read = async (query: string): Promise<HostFacts> => {
    // Text of several statements is answered with a result for each.
    const results: pg.QueryResult<HostFacts> | pg.QueryResult<HostFacts>[] = await client.query({
      text: `${settings}${query}`,
      query_timeout: answerMsMax
    } as pg.QueryConfig)
    return [results].flat().at(-1)!.rows[0]!
  }
  return await read(factsQuery).catch(error => {
    const { rightLacking, functionLacking, unsupported } = sqlState
    if (!isServerError(error, rightLacking, functionLacking, unsupported)) throw error
    return read(roleQuery)
  })
}

/** Why writes may not go to a host, as the end of a sentence that begins with its name. */
export function objectionTo(facts: HostFacts, wanted: HostRole, seen: SeenCluster | null): string | null {
  if (facts.standby) return 'is a standby'
  if (wanted === 'read-write' && facts.readOnly) return 'takes no writes'
  if (seen === null || facts.system === null || facts.timeline === null) return null
  if (facts.system !== seen.system) return 'belongs to another cluster'
  if (facts.timeline >= seen.timeline) return null
  return `is an old primary: it writes timeline ${facts.timeline}, and ${seen.timeline} was seen`
}
