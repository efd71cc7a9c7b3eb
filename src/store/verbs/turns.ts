/** Leasing more from groups that take turns: one message of each group, and then again. */
import type { Digits } from '../../core/message.ts'
import type { LeaseFlush, TurnsWanted } from '../../core/ports.ts'
import { answerBytes } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { charging, countedOfLine, inRoom, roomLeft, roomOfLine } from '../leaseLimits.ts'
import { leasingTaken, limitedLeasing, limitedQueue, plainQueue, takenOf } from './lease.ts'
import { flushOf, foundLimits, leaseAnswer, leaseTold, type FlushRow } from './leaseAnswer.ts'
import { rowPerKey } from './leaseEntries.ts'
import { wantedBy } from './slots.ts'

const isReady = sql`
  m.queue_id = $1
    and m.line = l.line
    and m.turn_rank is not null
    and m.visible_at is null
    and m.dead_at is null
    and m.leased_until is null
    and (m.expires_at is null or m.expires_at > statement_timestamp())`

/** Locks the lines of the heads, in their order. */
const lockedLines = sql`
  lines as materialized (
    select
      m.line,
      min(h.n) as n
    from unnest($2::bigint[], $3::bigint[]) with ordinality as h (id, fence, n)
    cross join lateral (
      select line
      from holdfast.messages
      where queue_id = $1
        and id = h.id
        and fence = h.fence
        and turn_rank is not null
      limit 1
    ) m
    group by m.line
  ), locked as materialized (
    select k.line, k.n
    from (select * from lines order by line offset 0) k
    cross join lateral (
      select
      from holdfast.lines
      where queue_id = $1
        and line = k.line
      limit 1
      for update
    ) l
  )`

// The one that stands comes first in its group, and then the parked ones by rank and place.
const findingTurns = (wanted: string, parkedMax = wanted) => sql`
  ${lockedLines}, found as materialized (
    select
      f.id,
      f.rank,
      f.bytes,
      f.round,
      l.n
    from q, locked l
    cross join lateral (
      select
        *,
        row_number() over (order by standing desc, turn_rank desc, place) as round
      from (
        select *
        from (
          select
            true as standing,
            m.id,
            m.rank,
            m.turn_rank,
            m.place,
            ${answerBytes} as bytes
          from holdfast.messages m
          where ${isReady}
            and m.position is not null
          order by m.position desc
          limit 1
          for no key update skip locked
        ) stands
        union all
        select *
        from (
          select
            false as standing,
            m.id,
            m.rank,
            m.turn_rank,
            m.place,
            ${answerBytes} as bytes
          from holdfast.messages m
          where ${isReady}
            and m.position is null
          order by m.turn_rank desc, m.place
          limit ${parkedMax}
          for no key update skip locked
        ) parked
      ) ready
    ) f
    order by f.round, l.n
    limit ${wanted}
  ), ${takenOf('round, n')}`

// One that stands and cannot be had now keeps its room.
const parkedMaxOfLine = sql`
  greatest(
    0,
    least(
      ${inRoom},
      ${roomOfLine('q', 'l.line', countedOfLine('q', 'l.line'))} - (
        select count(*)
        from (
          select
          from holdfast.messages m
          where ${isReady}
            and m.position is not null
          limit 1
        ) stands
      )
    )
  )::bigint`

const entries = rowPerKey('$9', '$10', '$11')
const parameters = [
  '$1 queue id · of messages whose groups are meant: $2 id · $3 fence',
  '$4 messages wanted · $5 bytes allowed',
  'of each message wanted: $6 its holder, by number in $8 · $7 lease seconds, 0: as the queue says',
  '$8 workers · $9 its row of leases, by number in $10',
  'of each row of leases: $10 key · $11 worker'
].join('\n')

export const leaseTurnsStatement: Statement<FlushRow> = {
  name: 'lease_turns',
  parameters,
  text: sql`
    with ${plainQueue('true')}, ${findingTurns('$4')}, ${leasingTaken(entries)}
    ${leaseAnswer(entries, foundLimits, 'null')}`
}

export const limitedLeaseTurnsStatement: Statement<FlushRow> = {
  name: 'limited_lease_turns',
  parameters,
  text: sql`
    with ${limitedQueue('true', '0')}, ${findingTurns(inRoom, parkedMaxOfLine)},
    ${leasingTaken(entries, limitedLeasing)}, ${charging}
    ${leaseAnswer(entries, roomLeft, 'null', 'null', leaseTold)}`
}

/** Leases more messages from the groups of messages that have just been leased. */
async function leaseTurns(
  session: Session,
  queueId: Digits,
  { heads, asks, bytesMax, limited }: TurnsWanted
): Promise<LeaseFlush> {
  const { slots, holders, seconds, workers, entries, keys, keyWorkers } = wantedBy(asks, true)
  const rows = await session.query(limited ? limitedLeaseTurnsStatement : leaseTurnsStatement, [
    queueId,
    heads.map(({ id }) => id),
    heads.map(({ fence }) => fence),
    holders.length,
    bytesMax,
    holders,
    seconds,
    workers,
    entries,
    keys,
    keyWorkers
  ])
  return flushOf(rows, slots, asks.length)
}

export const turnVerbs = { leaseTurns }
