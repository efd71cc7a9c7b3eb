/**
 * What must be cleaned up now and then: retention, kept acked messages, idempotency keys, the
 * series past its hour, the rows of deleted queues.
 */
import type { Database, Statement } from '../database.ts'
import { historyOf } from '../verbs/messages.ts'

const chunk = 5000

const retention: Statement = {
  name: 'retention',
  slow: true,
  text: `
  with old as materialized (
    select m.id from holdfast.messages m join holdfast.queues q on q.id = m.queue_id
    where m.queue_id = $1 and m.id > $2 and m.enqueued_at <= statement_timestamp() - make_interval(secs => q.retention_seconds)
    order by m.id limit ${chunk} for update of m skip locked
  ), expired as (
    delete from holdfast.messages m where m.queue_id = $1 and m.id = any(array(select id from old)) and m.leased_until is null
    returning m.id, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
  ), forgotten as (
    delete from holdfast.history where queue_id = $1 and message_id = any(array(select id from expired))
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
    select $1, -count(*) filter (where state = 'ready'), -count(*) filter (where state = 'delayed'), -count(*) filter (where state = 'dead'), count(*)
    from expired having count(*) > 0
  )
  select max(id) as seen_to from old`
}

// Ids rise with the time of the enqueue, so the first message that is young enough ends the look.
const oldest: Statement = {
  name: 'oldest',
  text: `
  select q.id from holdfast.queues q
  cross join lateral (select m.enqueued_at from holdfast.messages m where m.queue_id = q.id order by m.id limit 1) first
  where first.enqueued_at <= statement_timestamp() - make_interval(secs => q.retention_seconds)`
}

const forgetAcked: Statement = {
  name: 'forget_acked',
  slow: true,
  text: `
  with gone as (
    delete from holdfast.acked where ctid = any(array(select ctid from holdfast.acked where keep_until <= statement_timestamp() order by keep_until limit ${chunk} for update skip locked))
    returning queue_id, id
  ), forgotten as (${historyOf('gone')}
  ), noted as (
    insert into holdfast.ledger (queue_id, acked) select queue_id, -count(*) from gone group by queue_id
  )
  select count(*) as removed from gone`
}

const forgetKeys: Statement = {
  name: 'forget_keys',
  slow: true,
  text: `
  with gone as (
    delete from holdfast.idempotency_keys
    where ctid = any(array(select ctid from holdfast.idempotency_keys where expires_at <= statement_timestamp() order by expires_at limit ${chunk} for update skip locked)) returning 1
  )
  select count(*) as removed from gone`
}

// Of the series, the last row before the hour stays: the hour's first step begins from it.
const forgetOld = (table: 'series' | 'times', old: string): Statement => ({
  name: `forget_${table}`,
  slow: true,
  text: `
  with gone as (
    delete from holdfast.${table} where ctid = any(array(
      select old.ctid from holdfast.series_turn t cross join holdfast.counts c
      cross join lateral (select ctid from holdfast.${table} where queue_id = c.queue_id and ${old} offset 0) old limit ${chunk}
    )) returning 1
  )
  select count(*) as removed from gone`
})
const forgetSeries = [
  forgetOld(
    'series',
    'at < (select at from holdfast.series where queue_id = c.queue_id and at <= t.at - 3600 order by ' +
      'at desc limit 1)'
  ),
  forgetOld('times', 'at <= t.at - 3600')
]

// A row that a slow enqueue commits after the queue's end is found on a later round, so the number
// is kept for a while. Those kept long enough by now may go when this round is over: it has looked
// at each of them.
const removed: Statement = {
  name: 'removed_queues',
  text:
    "select statement_timestamp() - interval '10 minutes' as done_before from " +
    'holdfast.removed_queues limit 1'
}
const removedDone: Statement = {
  name: 'removed_done',
  text: 'delete from holdfast.removed_queues where removed_at < $1'
}

// One statement for all deleted queues: of thousands that have nothing left each costs a look into
// an index. Two small tables have no index for that; these are walked over once.
const byQueue = (table: string) =>
  `holdfast.removed_queues r cross join lateral (select ctid from holdfast.${table} where queue_id = r.queue_id limit ${chunk}) t`
const byWalk = (table: string) =>
  `holdfast.${table} t where exists (select from holdfast.removed_queues r where r.queue_id = t.queue_id)`
const rowsOf: Statement[] = [
  ...['messages', 'acked', 'history', 'idempotency_keys', 'series', 'times', 'asked'].map(table => [
    table,
    byQueue(table)
  ]),
  ...['leases', 'ledger'].map(table => [table, byWalk(table)])
].map(([table, left]) => ({
  name: `remove_${table}`,
  slow: true,
  text: `
  with gone as (
    delete from holdfast.${table} where ctid = any(array(select t.ctid from ${left} limit ${chunk})) returning 1
  )
  select count(*) as removed from gone`
}))

/**
 * The chores by the name of their job. Each may run at any time, any number of times; a pass works
 * in chunks, each its own commit.
 */
export function createMaintenance(
  database: Database
): Record<
  'retention' | 'forget-acked' | 'forget-keys' | 'forget-series' | 'remove-queues',
  () => Promise<void>
> {
  const untilNone = async (statement: Statement) => {
    while (Number((await database.query(statement))[0]!.removed) >= chunk);
  }
  return {
    async retention() {
      for (const { id } of await database.query(oldest)) {
        for (let after: string | null = '0'; after !== null;) {
          after = (await database.query(retention, [id, after]))[0]!.seen_to
        }
      }
    },
    'forget-acked': () => untilNone(forgetAcked),
    'forget-keys': () => untilNone(forgetKeys),
    async 'forget-series'() {
      for (const statement of forgetSeries) await untilNone(statement)
    },
    async 'remove-queues'() {
      const [round] = await database.query(removed)
      if (round === undefined) return
      for (const statement of rowsOf) await untilNone(statement)
      await database.query(removedDone, [round.done_before])
    }
  }
}
