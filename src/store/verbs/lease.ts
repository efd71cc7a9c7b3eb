/** Leasing messages, and acking others in the same commit. */
import type { Digits } from '../../core/message.ts'
import type { Freed, Held, LeaseAsk, LeasedRow, LeaseFlush } from '../../core/ports.ts'
import {
  answerBytes,
  inReadyIndex,
  lastFailureAbove,
  leasedColumns,
  uniqueKeyOfLeased
} from '../fragments.ts'
import { ledgerInsert } from '../ledger.ts'
import { freeLines } from '../lines.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import type { ScanHints } from '../upkeep/scanHints.ts'
import { isLeaseKeyTaken } from './leaseKeys.ts'
import { acking, heldArrays } from './settle.ts'
import { rowPerKey, sharedRow, type LeaseEntries } from './leaseEntries.ts'
import { wantedBy } from './slots.ts'

/** The number in the flush of message `m`, by the place of its id in `places`. */
const numberOf = 'places.ns[width_bucket(m.id, places.ids)]'

/** The first messages found, in this order, as far as their bytes are allowed. */
export const takenOf = (order: string) => sql`
  taken as materialized (
    select id, rank, n, bytes
    from (
      select
        id,
        rank,
        row_number() over in_order as n,
        sum(bytes) over in_order as bytes
      from found
      window in_order as (order by ${order})
    ) f
    where n = 1
      or bytes <= $5
  ), places as materialized (
    select
      array_agg(id order by id) as ids,
      array_agg(n order by id) as ns
    from taken
  )`

// Highest rank first. The lateral scan with the limit outside stops as soon as it has enough.
// Ordering by (rank, position) in one scan would start from the front of every rank.
const finding = (after: string) => sql`
  q as materialized (
    select id, lease_seconds, max_attempts
    from holdfast.queues
    where id = $1
      and not paused
      and ${after}
  ), found as materialized (
    select m.*
    from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
    cross join lateral (
      select
        m.id,
        m.rank,
        m.position,
        ${answerBytes} as bytes
      from holdfast.messages m
      where m.queue_id = $1
        and m.rank = level.rank
        and m.position >= level.hint
        and ${inReadyIndex('m.')}
        and m.leased_until is null
        and (m.expires_at is null or m.expires_at > statement_timestamp())
      order by m.position
      limit $4
      for no key update skip locked
    ) m
    limit $4
  ), ${takenOf('rank desc, position')}`

const leasedRow = sql`
  m.id,
  m.fence,
  m.attempt,
  m.max_attempts,
  m.body,
  m.body_bytes,
  m.content_type,
  m.headers,
  m.marks,
  m.rank,
  m.position,
  m.enqueued_at,
  m.leased_until,
  m.lease_id,
  m.queue_id,
  m.line,
  m.place,
  m.turn_rank`

/** Leases the messages that were taken, and enters that in holdfast.leases and in the ledger. */
export const leasingTaken = (entries: LeaseEntries) => sql`
  lease as materialized (
    select
      ${entries.ids} as rows,
      clock_timestamp() as at
    where exists (select from taken)
  ), leased as (
    update holdfast.messages m
    set
      fence = m.fence + 1,
      attempt = m.attempt + 1,
      lease_id = ${entries.idOf(numberOf)},
      leased_until = lease.at + make_interval(
        secs => coalesce(nullif(($7::float8[])[${numberOf}], 0), q.lease_seconds)
      ),
      unique_key = ${uniqueKeyOfLeased}
    from lease, q, places
    where m.queue_id = $1
      and m.id = any((select ids from places)::bigint[])
    returning
      ${leasedRow},
      m.turn_rank is not null as stood,
      ${numberOf} as n,
      ($6::smallint[])[${numberOf}] as holder
  ), kept as (
    insert into holdfast.leases (
      id,
      ends_at,
      leased_at,
      queue_id,
      message_ids,
      fences,
      workers,
      holders,
      idempotency_key
    )
    ${entries.rows}
  ), noted as (
    ${ledgerInsert({
      queue: '$1',
      from: 'leased',
      states: { ready: '-count(*)', leased: 'count(*)' },
      totals: { leased: 'count(*)' }
    })}
  )`

const leasing = (entries: LeaseEntries, after = 'true') => sql`
  ${finding(after)}, ${leasingTaken(entries)}`

/** What the first row tells of the whole flush. */
interface ScanReport {
  /** False where the queue is paused or gone. */
  scanned: boolean
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
  turned: Freed | null
  atMs: number | null
}

/** A leased message; or, where none was leased, one row of nulls. The first row has the report. */
export type FlushRow = { scan: ScanReport | null } & (LeasedRow | { id: null; position: null })

export const leaseAnswer = (entries: LeaseEntries, acked: string, freed = 'null') => sql`
  select
    ${leasedColumns},
    m.position,
    case when coalesce(m.n, 1) = 1 then json_build_object(
      'scanned', q.id is not null,
      'last', (select last_value from holdfast.positions),
      'rank', (select min(rank) from taken),
      'found', (select count(*) from found),
      'bytes', (select coalesce(max(bytes), 0) from taken),
      'full', (select coalesce(sum(bytes), 0) > $5 from found),
      'usedKeys', ${entries.usedKeys},
      'acked', ${acked},
      'freed', ${freed},
      'turned', ${freeLines('leased')},
      'atMs', (select extract(epoch from at) * 1000 from lease)
    ) end as scan
  from (select) one
  left join q on true
  left join leased m on true
  ${lastFailureAbove(1)}
  order by m.n`

const leaseParameters = [
  '$1 queue id · $2 ranks · $3 where the scan begins in each rank',
  '$4 messages wanted · $5 bytes allowed',
  'of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says',
  '$8 workers'
]
const ackParameters = ['of each ack: $9 message id · $10 fence']
// The first row has no key: it is for all who ask without one.
const keyParameters = [
  'of each message wanted: $11 its row of leases, by number in $12',
  'of each row of leases: $12 key · $13 worker'
]

export const leaseStatement: Statement<FlushRow> = {
  name: 'lease',
  parameters: leaseParameters.join('\n'),
  text: sql`
    with ${leasing(sharedRow)}
    ${leaseAnswer(sharedRow, 'null')}`
}

// Both in one statement cost one round trip and one commit. All acks come first, because they may
// wait for a lock: a session that waits must not hold messages that it has only just leased.
const ackingAndLeasing = (entries: LeaseEntries) => sql`
  with ${acking('$9', '$10')}, ${leasing(entries, '(select count(*) from done) >= 0')}
  ${leaseAnswer(entries, "(select string_agg(id || '.' || fence, ',') from done)", freeLines('done'))}`

export const ackAndLeaseStatement: Statement<FlushRow> = {
  name: 'ack_and_lease',
  parameters: [...leaseParameters, ...ackParameters].join('\n'),
  text: ackingAndLeasing(sharedRow)
}

export const ackAndLeaseKeyedStatement: Statement<FlushRow> = {
  name: 'ack_and_lease_keyed',
  parameters: [...leaseParameters, ...ackParameters, ...keyParameters].join('\n'),
  text: ackingAndLeasing(rowPerKey('$11', '$12', '$13'))
}

/**
 * Leases the first ready messages of a queue: as many as the asks add up to, but at most `bytesMax`
 * of answer (one message at least). They are handed out in order, the first ask's share first.
 *
 * What is held in `acks` is acked in the same commit. An id may come only once.
 *
 * A key that an earlier lease has used fails it all with an error that isLeaseKeyTaken knows; then
 * nothing was leased or acked. Where there was no message to lease, `usedKeys` names such keys.
 */
export async function lease(
  session: Session,
  scanHints: ScanHints,
  queueId: Digits,
  asks: LeaseAsk[],
  bytesMax: number,
  acks: Held[] = [],
  inTurn = false
): Promise<LeaseFlush> {
  const { slots, holders, seconds, workers, entries, keys, keyWorkers } = wantedBy(asks, inTurn)
  const scan = scanHints.begin(queueId)
  try {
    const values = [queueId, ranks, scan.from, holders.length, bytesMax, holders, seconds, workers]
    const [, ...acked] = heldArrays(queueId, acks)
    const rows = await (keys.length > 1
      ? session.query(ackAndLeaseKeyedStatement, [...values, ...acked, entries, keys, keyWorkers])
      : acks.length > 0
        ? session.query(ackAndLeaseStatement, [...values, ...acked])
        : session.query(leaseStatement, values))
    const report = rows[0]!.scan!
    const { position } = rows.at(-1)!
    scanHints.end(
      queueId,
      scan,
      report.scanned
        ? {
            rank: report.rank ?? -1,
            position: Number(position),
            exhausted: report.found < holders.length && !report.full,
            last: report.last
          }
        : null
    )
    return flushOf(rows, slots, asks.length)
  } catch (error) {
    if (isLeaseKeyTaken(error)) scanHints.fail(queueId, scan)
    else scanHints.forget(queueId)
    throw error
  }
}

/** What the rows of an answer say. The message of each row is for the ask at its place in `slots`. */
export function flushOf(rows: FlushRow[], slots: number[], asks: number): LeaseFlush {
  const { bytes, full, acked, freed, turned, usedKeys, atMs } = rows[0]!.scan!
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
    atMs: atMs ?? 0
  }
}

export const firstReadyStatement: Statement<{ rank: number; position: Digits }> = {
  name: 'first_ready',
  parameters: '$1 queue id · $2 ranks',
  slow: true,
  text: sql`
    select level.rank, m.position
    from unnest($2::smallint[]) as level (rank)
    cross join lateral (
      select position
      from holdfast.messages
      where queue_id = $1
        and rank = level.rank
        and ${inReadyIndex('')}
        and leased_until is null
      order by position
      limit 1
    ) m`
}

/**
 * Checks a queue from its very start, if that is due, and lowers hints that were too high. True
 * when one was. It runs beside the leases, because past a million dead rows it takes a second or
 * two. It never fails: after an error it is simply due again.
 */
async function findMissed(session: Session, scanHints: ScanHints, queueId: Digits): Promise<boolean> {
  if (!scanHints.takeCheck(queueId)) return false
  const rows = await session.query(firstReadyStatement, [queueId, ranks]).catch(() => [])
  return scanHints.checked(
    queueId,
    rows.map(({ rank, position }) => ({ rank, position: Number(position) }))
  )
}

/** The verbs of this file, with the scan hints bound. */
export const leaseVerbs = (scanHints: ScanHints) => ({
  lease: (
    session: Session,
    queueId: Digits,
    asks: LeaseAsk[],
    bytesMax: number,
    acks: Held[],
    inTurn: boolean
  ) => lease(session, scanHints, queueId, asks, bytesMax, acks, inTurn),
  findMissed: (session: Session, queueId: Digits) => findMissed(session, scanHints, queueId)
})
