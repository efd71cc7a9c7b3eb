/** Leasing messages, and acking others in the same commit. */
import type { Digits } from '../../core/message.ts'
import type { LeaseFlush, LeaseWork } from '../../core/ports.ts'
import { plainMode } from '../../core/rows.ts'
import { answerBytes, heldRows, inReadyIndex } from '../fragments.ts'
import { countIn, noteLeased } from '../ledger.ts'
import { charging, hasLimits, inRoom, limiting, roomLeft } from '../leaseLimits.ts'
import { freeLines } from '../lines.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import type { ScanHints } from '../upkeep/scanHints.ts'
import { flushOf, foundLimits, leaseAnswer, leaseTold, type FlushRow } from './leaseAnswer.ts'
import { isLeaseKeyTaken } from './leaseKeys.ts'
import { rowPerKey, sharedRow, type LeaseEntries } from './leaseEntries.ts'
import { findMissed } from './missed.ts'
import { acking, heldArrays } from './settle.ts'
import { wantedBy, type Wanted } from './slots.ts'
import { uniqueKeyOfLeased } from './uniqueKeys.ts'

/** The number in the flush of message `m`, by the place of its id in `places`. */
const numberOf = 'places.ns[width_bucket(m.id, places.ids)]'

/**
 * The queue `$1` as `q`, where it may be leased from. A queue with limits has statements of its own.
 * The others find it as they find a paused one.
 */
export const plainQueue = (after: string) => sql`
  q as materialized (
    select id, lease_seconds, max_attempts
    from holdfast.queues
    where id = $1
      and not paused
      and not ${hasLimits('queues')}
      and ${after}
  )`

/** The same for a queue that may have limits, with what they leave. `acked`: leases that end meanwhile. */
export const limitedQueue = (after: string, acked: string) => sql`
  q as materialized (
    select id, lease_seconds, max_attempts, max_leased, rate, max_leased_per_group, rate_per_group
    from holdfast.queues
    where id = $1
      and not paused
      and ${after}
  ), ${limiting('$4', acked)}`

interface Leasing {
  stood: string
  counted: string
  sets: string[]
}

const plainLeasing: Leasing = {
  stood: 'm.turn_rank is not null',
  counted: 'false',
  sets: [sql`unique_key = ${uniqueKeyOfLeased}`, 'counted = null']
}

/** Where the queue may have limits per group. */
export const limitedLeasing: Leasing = {
  stood: '(m.turn_rank is not null or m.line is not null and q.rate_per_group is not null)',
  counted: 'm.counted is true',
  sets: [
    sql`unique_key = ${uniqueKeyOfLeased}`,
    sql`
      counted = case
        when m.turn_rank is not null and q.max_leased_per_group is not null then true
      end`
  ]
}

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
const finding = (wanted: string) => sql`
  found as materialized (
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
      limit ${wanted}
      for no key update skip locked
    ) m
    limit ${wanted}
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
  m.origin,
  m.rank,
  m.position,
  m.enqueued_at,
  m.leased_until,
  m.lease_id,
  m.queue_id,
  m.line,
  m.place,
  m.turn_rank`

/**
 * Leases the messages that were taken, and enters that in holdfast.leases and in the ledger. `stood`
 * and `counted` say what lines are told, and `sets` what else is set.
 */
export const leasingTaken = (entries: LeaseEntries, { stood, counted, sets }: Leasing = plainLeasing) => sql`
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
      ${sets.join(',\n      ')}
    from lease, q, places
    where m.queue_id = $1
      and m.id = any((select ids from places)::bigint[])
    returning
      ${leasedRow},
      ${stood} as stood,
      ${counted} as was_counted,
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
    ${noteLeased}
  )`

const leasing = (entries: LeaseEntries, after = 'true') => sql`
  ${plainQueue(after)}, ${finding('$4')}, ${leasingTaken(entries)}`

const leasingInRoom = (entries: LeaseEntries, after = 'true', acked = '0') => sql`
  ${limitedQueue(after, acked)}, ${finding(inRoom)}, ${leasingTaken(entries, limitedLeasing)}, ${charging}`

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
    ${leaseAnswer(sharedRow, foundLimits, 'null')}`
}

export const limitedLeaseStatement: Statement<FlushRow> = {
  name: 'limited_lease',
  parameters: leaseParameters.join('\n'),
  text: sql`
    with ${leasingInRoom(sharedRow)}
    ${leaseAnswer(sharedRow, roomLeft, 'null', 'null', leaseTold)}`
}

// Both in one statement cost one round trip and one commit. All acks come first, because they may
// wait for a lock: a session that waits must not hold messages that it has only just leased.
const leasedAcks = `(select ${countIn('state', 'leased')} from done)`
const afterAcks = '(select count(*) from done) >= 0'
const ackedKeys = "(select string_agg(id || '.' || fence, ',') from done)"

const ackingAndLeasing = (entries: LeaseEntries) => sql`
  with ${acking(heldRows('$9', '$10'))}, ${leasing(entries, afterAcks)}
  ${leaseAnswer(entries, foundLimits, ackedKeys, freeLines('done'))}`

const ackingAndLeasingInRoom = (entries: LeaseEntries) => sql`
  with ${acking(heldRows('$9', '$10'))}, ${leasingInRoom(entries, afterAcks, leasedAcks)}
  ${leaseAnswer(entries, roomLeft, ackedKeys, freeLines('done'), leaseTold)}`

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

export const limitedAckAndLeaseStatement: Statement<FlushRow> = {
  name: 'limited_ack_and_lease',
  parameters: [...leaseParameters, ...ackParameters].join('\n'),
  text: ackingAndLeasingInRoom(sharedRow)
}

export const limitedAckAndLeaseKeyedStatement: Statement<FlushRow> = {
  name: 'limited_ack_and_lease_keyed',
  parameters: [...leaseParameters, ...ackParameters, ...keyParameters].join('\n'),
  text: ackingAndLeasingInRoom(rowPerKey('$11', '$12', '$13'))
}

const plainStatements = {
  lease: leaseStatement,
  ackAndLease: ackAndLeaseStatement,
  ackAndLeaseKeyed: ackAndLeaseKeyedStatement
}
const limitedStatements: typeof plainStatements = {
  lease: limitedLeaseStatement,
  ackAndLease: limitedAckAndLeaseStatement,
  ackAndLeaseKeyed: limitedAckAndLeaseKeyedStatement
}

/** The statement of a flush, and its values. */
function statementFor(
  queueId: Digits,
  { bytesMax, acks = [], mode = plainMode }: LeaseWork,
  { holders, seconds, workers, entries, keys, keyWorkers }: Wanted,
  from: number[]
): [Statement<FlushRow>, unknown[]] {
  const statements = mode.limited ? limitedStatements : plainStatements
  const values = [queueId, ranks, from, holders.length, bytesMax, holders, seconds, workers]
  const hasKeys = keys.length > 1
  if (!hasKeys && acks.length === 0) return [statements.lease, values]
  const acked = heldArrays(acks, 'id', 'fence')
  if (!hasKeys) return [statements.ackAndLease, [...values, ...acked]]
  return [statements.ackAndLeaseKeyed, [...values, ...acked, entries, keys, keyWorkers]]
}

/** How far the scan came that looked for `wanted` messages. null: there was none. */
function reachedBy(rows: FlushRow[], wanted: number) {
  const { scanned, rank, found, full, last } = rows[0]!.scan!
  if (!scanned || wanted === 0) return null
  const { position } = rows.at(-1)!
  return { rank: rank ?? -1, position: Number(position), exhausted: found < wanted && !full, last }
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
  work: LeaseWork
): Promise<LeaseFlush> {
  const { asks, bytesMax, mode = plainMode } = work
  const wanted = wantedBy(asks, mode.ordered)
  const scan = scanHints.begin(queueId)
  try {
    const rows = await session.query(...statementFor(queueId, work, wanted, scan.from))
    const { hasLimits: needsLimits, room } = rows[0]!.scan!
    const messages = mode.limited ? (room?.messages ?? 0) : wanted.slots.length
    scanHints.end(queueId, scan, reachedBy(rows, messages))
    const flush = flushOf(rows, wanted.slots, asks.length)
    if (!needsLimits) return flush
    const { acked, freed } = flush
    const limited = { asks, bytesMax, mode: { ...mode, limited: true } }
    const leased = await lease(session, scanHints, queueId, limited)
    return { ...leased, acked, freed }
  } catch (error) {
    if (isLeaseKeyTaken(error)) scanHints.fail(queueId, scan)
    else scanHints.forget(queueId)
    throw error
  }
}

/** The verbs of this file, with the scan hints bound. */
export const leaseVerbs = (scanHints: ScanHints) => ({
  lease: (session: Session, queueId: Digits, work: LeaseWork) => lease(session, scanHints, queueId, work),
  findMissed: (session: Session, queueId: Digits) => findMissed(session, scanHints, queueId)
})
