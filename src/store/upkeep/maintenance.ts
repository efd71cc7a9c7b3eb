/**
 * What must be cleaned up now and then: retention, kept acked messages, idempotency keys, the
 * series past its hour, the rows of deleted queues.
 */
import { freeStates } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { hourSeconds } from '../../core/series.ts'
import type { Database } from '../database.ts'
import { forgetHistoryOf, openState } from '../fragments.ts'
import { folded, leaving, ledgerInsert } from '../ledger.ts'
import { freeLines, hasLines, isParked, lineColumns, standsInLine } from '../lines.ts'
import { sql, type Statement } from '../statement.ts'

/** Rows in one statement. */
const chunk = 5000

interface RetentionRow {
  seen_to: Digits | null
}

/** Removes messages past their retention, by the time `from` of each, after the mark `$2`. */
const retentionBy = (name: string, from: string, after: string, order: string): Statement<RetentionRow> => ({
  name,
  parameters: '$1 queue id · $2 after this message id · $3 whether parked messages are meant',
  slow: true,
  text: sql`
    with old as materialized (
      select m.id
      from holdfast.messages m
      join holdfast.queues q on q.id = m.queue_id
      where m.queue_id = $1
        and ${after}
        and ${from} <= statement_timestamp() - make_interval(secs => q.retention_seconds)
        and ${isParked} = $3
      order by ${order}
      limit ${chunk}
      for update of m skip locked
    ), expired as (
      delete from holdfast.messages m
      where m.queue_id = $1
        and m.id = any(array(select id from old))
        and m.leased_until is null
      returning
        m.id,
        ${lineColumns},
        ${openState} as state,
        ${standsInLine} as stood
    ), forgotten as (
      delete from holdfast.history
      where queue_id = $1
        and message_id = any(array(select id from expired))
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'expired',
        states: leaving(freeStates),
        totals: { expired: 'count(*)' }
      })}
    )
    select
      max(id) as seen_to,
      ${freeLines('expired')} as freed
    from old`
})

// In a queue with lines they run for parked messages first, and then for the others.
export const retention = retentionBy(
  'retention',
  'm.enqueued_at',
  'm.id > $2 and m.kept_from is null',
  'm.id'
)

/** For messages that died or were redriven. `$2` is not needed: each run takes the oldest. */
export const retentionOfKept = retentionBy(
  'retention_of_kept',
  'm.kept_from',
  'm.leased_until is null and $2::bigint = 0',
  'm.kept_from'
)

/**
 * Queues whose oldest message is past its retention. Ids rise with the time of the enqueue. Messages
 * that died or were redriven have an index by the time from which they are kept. A dead-letter queue
 * may hold many of those alone, so where nothing was ever enqueued no other message is searched for.
 */
export const pastRetention: Statement<{
  id: number
  hasLines: boolean
  enqueued: boolean
  kept: boolean
}> = {
  name: 'oldest',
  text: sql`
    select *
    from (
      select
        q.id,
        ${hasLines('q')} as "hasLines",
        first.enqueued_at <= q.ends_from as enqueued,
        kept.kept_from <= q.ends_from as kept
      from (
        select
          id,
          ordering,
          takes_turns,
          statement_timestamp() - make_interval(secs => retention_seconds) as ends_from
        from holdfast.queues
      ) q
      ${folded('q.id')}
      left join lateral (
        select m.enqueued_at
        from holdfast.messages m
        where m.queue_id = q.id
          and m.kept_from is null
          and (c.enqueued_total > 0 or c.inherited_total = 0)
        order by m.id
        limit 1
      ) first on true
      left join lateral (
        select m.kept_from
        from holdfast.messages m
        where m.queue_id = q.id
          and m.kept_from is not null
        order by m.kept_from
        limit 1
      ) kept on true
    ) q
    where enqueued
      or kept`
}

/** How many rows a statement removed. */
interface RemovedRow {
  removed: string
}

export const forgetAcked: Statement<RemovedRow> = {
  name: 'forget_acked',
  slow: true,
  text: sql`
    with gone as (
      delete from holdfast.acked
      where ctid = any(array(
        select ctid
        from holdfast.acked
        where keep_until <= statement_timestamp()
        order by keep_until
        limit ${chunk}
        for update skip locked
      ))
      returning queue_id, id
    ), forgotten as (
      ${forgetHistoryOf('gone')}
    ), noted as (
      ${ledgerInsert({ queue: 'queue_id', from: 'gone', states: { acked: '-count(*)' } })}
    )
    select count(*) as removed
    from gone`
}

export const forgetKeys: Statement<RemovedRow> = {
  name: 'forget_keys',
  slow: true,
  text: sql`
    with gone as (
      delete from holdfast.idempotency_keys
      where ctid = any(array(
        select ctid
        from holdfast.idempotency_keys
        where expires_at <= statement_timestamp()
        order by expires_at
        limit ${chunk}
        for update skip locked
      ))
      returning 1
    )
    select count(*) as removed
    from gone`
}

const forgetPastHour = (table: 'series' | 'times', past: string): Statement<RemovedRow> => ({
  name: `forget_${table}`,
  slow: true,
  text: sql`
    with gone as (
      delete from holdfast.${table}
      where ctid = any(array(
        select old.ctid
        from holdfast.series_turn t
        cross join holdfast.counts c
        cross join lateral (
          select ctid
          from holdfast.${table}
          where queue_id = c.queue_id
            and ${past}
          offset 0
        ) old
        limit ${chunk}
      ))
      returning 1
    )
    select count(*) as removed
    from gone`
})

// The last row of the series before the hour stays: the hour's first step begins from it.
export const forgetSeries = [
  forgetPastHour(
    'series',
    sql`
      at < (
        select at
        from holdfast.series
        where queue_id = c.queue_id
          and at <= t.at - ${hourSeconds}
        order by at desc
        limit 1
      )`
  ),
  forgetPastHour('times', `at <= t.at - ${hourSeconds}`)
]

/** How long a redrive task is listed after its end. */
const redriveDays = 7

export const forgetRedrives: Statement<RemovedRow> = {
  name: 'forget_redrives',
  text: sql`
    with gone as (
      delete from holdfast.redrives
      where ended_at <= statement_timestamp() - interval '${redriveDays} days'
      returning 1
    )
    select count(*) as removed
    from gone`
}

// A slow enqueue may commit a row after the queue's end. A later round finds it, because a deleted
// queue's id is kept for ten minutes. Ids that are older when a round begins may go when it is
// over: it has checked each of them.
export const removedQueues: Statement<{ done_before: string }> = {
  name: 'removed_queues',
  text: sql`
    select statement_timestamp() - interval '10 minutes' as done_before
    from holdfast.removed_queues
    limit 1`
}

export const forgetRemoved: Statement = {
  name: 'removed_done',
  parameters: '$1 removed before this time',
  text: 'delete from holdfast.removed_queues where removed_at < $1'
}

const removeRows = (table: string, rows: string): Statement<RemovedRow> => ({
  name: `remove_${table}`,
  slow: true,
  text: sql`
    with gone as (
      delete from holdfast.${table}
      where ctid = any(array(
        select t.ctid
        from ${rows}
        limit ${chunk}
      ))
      returning 1
    )
    select count(*) as removed
    from gone`
})

const indexed = [
  'messages',
  'lines',
  'line_rates',
  'limits',
  'acked',
  'history',
  'idempotency_keys',
  'series',
  'times',
  'asked'
]
const small = ['leases', 'ledger']

// One statement for all deleted queues: of thousands that have nothing left, each costs one
// look-up in an index. Two small tables have no such index. They are walked over once.
export const removeRowsOf = [
  ...indexed.map(table =>
    removeRows(
      table,
      sql`
        holdfast.removed_queues r
        cross join lateral (
          select ctid
          from holdfast.${table}
          where queue_id = r.queue_id
          limit ${chunk}
        ) t`
    )
  ),
  ...small.map(table =>
    removeRows(
      table,
      sql`
        holdfast.${table} t
        where exists (select from holdfast.removed_queues r where r.queue_id = t.queue_id)`
    )
  )
]

/**
 * The work by the name of its job. Each may run at any time, any number of times. A pass works in
 * chunks, each its own commit, and throws what the database refuses.
 */
export function createMaintenance(database: Database) {
  const untilNone = async (statement: Statement<RemovedRow>) => {
    let removed: number
    do removed = Number((await database.query(statement))[0]!.removed)
    while (removed >= chunk)
  }
  const removeEnqueued = async (queueId: number, parked: boolean) => {
    let after: Digits | null = '0'
    while (after !== null) {
      const [seen]: RetentionRow[] = await database.query(retention, [queueId, after, parked])
      after = seen!.seen_to
    }
  }
  const removeKept = async (queueId: number, parked: boolean) => {
    let hasMore = true
    while (hasMore) {
      const [seen] = await database.query(retentionOfKept, [queueId, 0, parked])
      hasMore = seen!.seen_to !== null
    }
  }
  return {
    async retention() {
      for (const { id, hasLines: isLined, enqueued, kept } of await database.query(pastRetention)) {
        for (const parked of isLined ? [true, false] : [false]) {
          if (enqueued) await removeEnqueued(id, parked)
          if (kept) await removeKept(id, parked)
        }
      }
    },
    'forget-acked': () => untilNone(forgetAcked),
    'forget-keys': () => untilNone(forgetKeys),
    'forget-redrives': () => untilNone(forgetRedrives),
    async 'forget-series'() {
      for (const statement of forgetSeries) await untilNone(statement)
    },
    async 'remove-queues'() {
      const [round] = await database.query(removedQueues)
      if (round === undefined) return
      for (const statement of removeRowsOf) await untilNone(statement)
      await database.query(forgetRemoved, [round.done_before])
    }
  } satisfies Record<string, () => Promise<void>>
}
