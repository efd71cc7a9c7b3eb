/**
 * What the sweeper runs.
 *
 * Every statement takes its rows, and their lines, with "skip locked", and checks them again itself. So
 * any number of replicas may sweep at once, and none waits for a worker's ack. If one did wait, the
 * messages of all queues would.
 *
 * A statement changes the rows that it has locked by their place in the table (ctid). For a join
 * with the messages, which are of several queues, PostgreSQL may walk over all of them. A row that
 * was updated in the moment before it was locked has moved, and stays as it is until the next
 * sweep. So all that follows is taken from the rows that were changed.
 *
 * Plans are made once for each connection, often while the tables are empty. PostgreSQL then takes
 * every list for one row, and may compare two lists row by row, which takes 15 s for 12,000 leases. So
 * a message is looked up by its index, in a lateral subquery. For "(id in (select …)) is true",
 * PostgreSQL hashes the list, whatever length it takes it for.
 */
import { freeStates } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { forgetHistoryOf, newPosition, openState, placesOfRows } from '../fragments.ts'
import { counterColumns, leaving, ledgerInsert } from '../ledger.ts'
import { freeLinesOfQueues, isParked, lineColumns, lineIsFree, standsInLine } from '../lines.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Statement } from '../statement.ts'

/** Messages in one statement. */
export const messagesMax = 1000

/** Among so many due rows, the queues have turns. */
const othersMax = 100_000

/** A queue in which messages have become ready; in a row of nulls there is none. */
export interface SweptQueue {
  /** Due rows that the statement found. As many as it takes at most: there may be more. */
  taken: string
  /** When the statement began. */
  began_at?: string
  /** By how much the first of them was late; null when there was none. */
  late_ms: string | null
  queue_id: number | null
  ready: string | null
  /** The lowest position of the messages made ready. */
  position: Digits | null
  /** Leases that have ended, if the queue has `maxLeased`. */
  freed?: string | null
}

const sweptBefore = '$1 what fell due up to this time has been swept before'
/** Of statements that lock lines. */
export const carefulAfter = `${sweptBefore}\n$2 whether others may be making lines`
/** Of statements that sweep the other queues. */
export const othersAfter = `${carefulAfter}\n$3 the queue that has the most, or 0`

/**
 * CTEs that find in `turns` what is due of all queues but one, the first of each queue first. A
 * window cannot lock rows, so they are locked afterwards. To pass over the rows of queue $3 takes
 * little of the time that sweeping them takes.
 */
export const dueInTurns = (table: string, column: string, rowsMax: number) => sql`
  others as materialized (
    select queue_id, ${column} as due_at, ctid as place
    from ${table}
    where ${column} <= statement_timestamp()
      and ${column} > $1
      and queue_id <> $3::integer
    order by ${column}
    limit ${othersMax}
  ), turns as materialized (
    select
      place,
      row_number() over (partition by queue_id order by due_at) as turn
    from others
    order by turn, due_at
    limit ${rowsMax}
  )`

const exposing = (name: string, parameters: string, due: string, found: string): Statement<SweptQueue> => ({
  name,
  parameters,
  text: sql`
    with ${due}, ${placesOfRows('due', 'visible_at, id', 'd')}, exposed as (
      update holdfast.messages m
      set
        visible_at = null,
        position = case
          when m.position is not null then ${newPosition}
        end,
        place = case
          when m.turn_rank is not null then ${newPosition}
          else m.place
        end,
        ready_at = m.visible_at
      from places
      where m.ctid = any((select places from places)::tid[])
      returning
        ${lineColumns},
        m.turn_rank is not null as stood
    ), noted as (
      ${ledgerInsert({
        queue: 'queue_id',
        from: 'exposed',
        states: { ready: 'count(*)', delayed: '-count(*)' }
      })}
    )
    select
      (select count(*) from ${found}) as taken,
      statement_timestamp()::text as began_at,
      due.late_ms,
      ready.*
    from (
      select
        extract(epoch from statement_timestamp() - min(visible_at)) * 1000 as late_ms
      from due
    ) due
    left join (
      select
        queue_id,
        count(position) as ready,
        min(position) as position
      from exposed
      group by queue_id
      union all
      ${freeLinesOfQueues('exposed')}
    ) ready on true`
})

/** Makes delayed messages ready whose time has come. */
export const exposeDue = exposing(
  'expose_due',
  carefulAfter,
  sql`
    due as materialized (
      select m.id, m.visible_at, m.ctid as place
      from holdfast.messages m
      where m.visible_at <= statement_timestamp()
        and m.visible_at > $1
        and ${lineIsFree('m.queue_id', 'm.line', '$2')}
      order by m.visible_at
      limit ${messagesMax}
      for no key update skip locked
    )`,
  'due'
)

/** The same for all queues but one, which have turns. */
export const exposeOthers = exposing(
  'expose_others',
  othersAfter,
  sql`
    ${dueInTurns('holdfast.messages', 'visible_at', messagesMax)}, due as materialized (
      select due.*
      from turns
      cross join lateral (
        select m.id, m.visible_at, m.ctid as place
        from holdfast.messages m
        where m.ctid = turns.place
          and m.visible_at <= statement_timestamp()
          and ${lineIsFree('m.queue_id', 'm.line', '$2')}
        limit 1
        for no key update skip locked
      ) due
    )`,
  'turns'
)

/** Removes messages past their time to live, unless they are leased. */
const expiring = (name: string, parameters: string, conditions: string[]): Statement<SweptQueue> => ({
  name,
  parameters,
  slow: true,
  text: sql`
    with due as materialized (
      select m.ctid as row_place
      from holdfast.messages m
      where m.expires_at <= statement_timestamp()
        and m.expires_at > $1
        and m.leased_until is null
        and ${conditions.join('\nand ')}
      order by m.expires_at
      limit ${messagesMax}
      for update skip locked
    ), expired as (
      delete from holdfast.messages m
      where m.ctid = any(array(select row_place from due))
      returning
        m.id,
        ${lineColumns},
        ${openState} as state,
        ${standsInLine} as stood
    ), forgotten as (
      ${forgetHistoryOf('expired')}
    ), noted as (
      ${ledgerInsert({
        queue: 'queue_id',
        from: 'expired',
        states: leaving(freeStates),
        totals: { expired: 'count(*)' }
      })}
    )
    select
      due.n as taken,
      null as late_ms,
      freed.*
    from (select count(*) as n from due) due
    left join (
      ${freeLinesOfQueues('expired')}
    ) freed on true`
})

export const expireParked = expiring('expire_parked', sweptBefore, [isParked])
export const expire = expiring('expire', carefulAfter, [
  `not ${isParked}`,
  lineIsFree('m.queue_id', 'm.line', '$2')
])

// One replica folds at a time. The others find the lock taken and leave it.
export const fold: Statement<{ folded_to: Digits }> = {
  name: 'fold_ledger',
  parameters: '$1 the rows up to this id have been folded before',
  text: sql`
    with turn as materialized (
      select pg_try_advisory_xact_lock(${lockKeys.fold}) as ours
    ), taken as (
      delete from holdfast.ledger l
      using turn
      where turn.ours
        and l.id > $1
      returning l.*
    ), sums as (
      select
        queue_id,
        ${counterColumns.map(column => `sum(${column}) as ${column}`).join(',\n')}
      from taken
      group by queue_id
    ), folded as (
      update holdfast.counts c
      set
        ${counterColumns.map(column => `${column} = c.${column} + s.${column}`).join(',\n')}
      from sums s
      where c.queue_id = s.queue_id
    )
    select coalesce(max(id), $1) as folded_to
    from taken`
}

const nextDue = (name: string, earliest: string): Statement<NextDue> => ({
  name,
  parameters: sweptBefore,
  text: sql`
    select
      extract(epoch from (
        ${earliest}
      ) - clock_timestamp()) * 1000 as ms,
      (statement_timestamp() - interval '1 minute')::text as a_minute_ago`
})

export interface NextDue {
  ms: string | null
  a_minute_ago: string
}

export const nextDelay = nextDue(
  'next_delay',
  sql`
    select min(visible_at)
    from holdfast.messages
    where visible_at > $1`
)
// Most leases that end are long over, their messages acked. Those of a busy queue are swept up
// together, a few times a second.
export const nextLease = nextDue(
  'next_lease',
  sql`
    select min(ends_at) + interval '200 ms'
    from holdfast.leases
    where ends_at > $1`
)
export const nextRate = nextDue(
  'next_rate',
  sql`
    select min(due_at)
    from holdfast.line_rates
    where due_at > $1`
)
