/**
 * The sweeper: re-exposes expired leases, brings delayed messages due, ends those past their time,
 * folds the ledger.
 */
import type { Digits } from '../../core/message.ts'
import type { Database, Statement } from '../database.ts'
import { historyOf } from '../verbs/messages.ts'

export interface Sweeper {
  /**
   * Something falls due at this time (ms since the epoch, our clock): sweep then, if that is
   * sooner than planned.
   */
  dueAt(timeMs: number): void
  stop(): Promise<void>
}

export interface SweeperOptions {
  /** Messages of a queue have become ready, the first of them at this position. */
  onReady: (queueId: Digits, count: number, position: number) => void
  /** Messages of a queue are ready, wherever: wakes those who wait here. */
  onCounted: (queueId: Digits, count: number) => void
  /** Once a second: queues somebody waits for here, as a net under lost notices. */
  waitingFor: () => Digits[]
  /** A whole sweep has gone well, and found what was due so much later; or it has not. */
  onSwept: (lateMs: number) => void
  onError: (error: unknown) => void
}

const pauseMsMax = 1000
const fullLookMs = 60_000
const chunk = 1000
// A row of leases holds one message, or as many as a flush leases.
const rowsMax = 500
const leasesMax = 12_000
/** How long one kind of work may keep the others waiting. */
const turnMsMax = 250

// Every statement takes its rows with "skip locked" and checks them again in the same statement,
// so any number of replicas may sweep at once and none waits for a worker's ack. What it has
// locked it changes by its place in the table: for a join with the messages, which are of several
// queues, PostgreSQL may walk over all of them. A row that was updated in the moment before it was
// locked is elsewhere by now and stays as it is until the next sweep, so all that follows is taken
// from the rows that were changed.
//
// A lease counts only while its fence is still the message's. A row of leases goes when none of
// its leases is open, and moves to the end of the next one otherwise.
const sweepLeases: Statement = {
  name: 'sweep_leases',
  text: `
  with seen as materialized (
    select l.* from holdfast.leases l where l.ends_at <= statement_timestamp() and l.ends_at > $1 order by l.ends_at limit ${rowsMax} for update skip locked
  ), due as materialized (
    select * from (select seen.*, sum(cardinality(message_ids)) over in_turn as messages, row_number() over in_turn as n from seen window in_turn as (order by ends_at, id)) s
    where n = 1 or messages <= ${leasesMax}
  ), claims as materialized (
    select due.id as lease_id, due.leased_at, due.workers[t.holder] as worker, t.id, t.fence
    from due cross join unnest(due.message_ids, due.fences, due.holders) as t (id, fence, holder)
  ), found as materialized (
    select distinct m.id, m.queue_id, m.fence, m.leased_until from due cross join lateral (
      select * from holdfast.messages where queue_id = due.queue_id and id = any(due.message_ids) and leased_until is not null offset 0
    ) m
  ), open as materialized (
    select c.lease_id, m.id, m.queue_id, m.leased_until, c.leased_at, c.worker from found m join claims c on c.id = m.id and c.fence = m.fence
  ), locked as materialized (
    select open.id, open.leased_until, m.place from open cross join lateral (
      select ctid as place from holdfast.messages where queue_id = open.queue_id and id = open.id and leased_until <= statement_timestamp() limit 1 for no key update skip locked
    ) m
  ), places as materialized (
    select array_agg(place) as places, array_agg(id order by id) as ids, array_agg(position order by id) as positions
    from (select *, nextval('holdfast.positions') as position from (select * from locked order by leased_until, id) l) l
  ), lapsed as (
    update holdfast.messages m
    set leased_until = null, lease_id = null, rank = m.rank | 1, position = places.positions[width_bucket(m.id, places.ids)],
      dead_at = case when m.attempt >= coalesce(m.max_attempts, (select max_attempts from holdfast.queues where id = m.queue_id)) then statement_timestamp() end
    from places where m.ctid = any((select places from places)::tid[])
    returning m.id, m.queue_id, m.fence, m.attempt, m.position, m.dead_at is not null as died
  ), recorded as (
    insert into holdfast.history (leased_at, ended_at, message_id, fence, queue_id, attempt, outcome, worker, reason)
    select o.leased_at, o.leased_until, l.id, l.fence, l.queue_id, l.attempt, 'expired', o.worker, 'lease expired' from lapsed l join open o on o.id = l.id
    on conflict do nothing
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, leased, dead, lapsed_total, dead_total)
    select queue_id, count(*) filter (where not died), -count(*), count(*) filter (where died), count(*), count(*) filter (where died) from lapsed group by queue_id
  ), rest as materialized (
    select o.lease_id, min(o.leased_until) as ends_at from open o where not exists (select from lapsed l where l.id = o.id) group by o.lease_id
  ), moved as (
    update holdfast.leases l set ends_at = greatest(rest.ends_at, statement_timestamp() + interval '250 ms')
    from rest where l.id = any(array(select lease_id from rest)) and l.id = rest.lease_id
  ), swept as (
    delete from holdfast.leases where id = any(array(select id from due where not exists (select from rest where rest.lease_id = due.id)))
  )
  select case when due.n < (select count(*) from seen) then ${rowsMax} else due.n end as looked, due.late_ms, l.*
  from (select count(*) as n, extract(epoch from statement_timestamp() - min(ends_at)) * 1000 as late_ms from due) due
  left join (select queue_id, count(*) filter (where not died) as ready, min(position) filter (where not died) as position from lapsed group by queue_id) l on true`
}

const exposeDue: Statement = {
  name: 'expose_due',
  text: `
  with due as materialized (
    select m.id, m.visible_at, m.ctid as place from holdfast.messages m where m.visible_at <= statement_timestamp() and m.visible_at > $1
    order by m.visible_at limit ${chunk} for no key update skip locked
  ), places as materialized (
    select array_agg(place) as places, array_agg(id order by id) as ids, array_agg(position order by id) as positions
    from (select *, nextval('holdfast.positions') as position from (select * from due order by visible_at, id) d) d
  ), exposed as (
    update holdfast.messages m set visible_at = null, position = places.positions[width_bucket(m.id, places.ids)]
    from places where m.ctid = any((select places from places)::tid[])
    returning m.queue_id, m.position
  ), ready as (
    select queue_id, count(*) as ready, min(position) as position from exposed group by queue_id
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed) select queue_id, ready, -ready from ready
  )
  select due.n as looked, due.late_ms, ready.* from (select count(*) as n, extract(epoch from statement_timestamp() - min(visible_at)) * 1000 as late_ms from due) due left join ready on true`
}

const expire: Statement = {
  name: 'expire',
  slow: true,
  text: `
  with due as materialized (
    select m.ctid as place from holdfast.messages m where m.expires_at <= statement_timestamp() and m.expires_at > $1 and m.leased_until is null
    order by m.expires_at limit ${chunk} for update skip locked
  ), expired as (
    delete from holdfast.messages m where m.ctid = any(array(select place from due))
    returning m.queue_id, m.id, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
  ), forgotten as (${historyOf('expired')}
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, dead, expired_total)
    select queue_id, -count(*) filter (where state = 'ready'), -count(*) filter (where state = 'delayed'), -count(*) filter (where state = 'dead'), count(*)
    from expired group by queue_id
  )
  select count(*) as looked, null as queue_id, null as ready from due`
}

const totals = [
  'ready',
  'delayed',
  'leased',
  'dead',
  'acked',
  'enqueued_total',
  'leased_total',
  'acked_total',
  'failed_total',
  'lapsed_total',
  'released_total',
  'dead_total',
  'redriven_total',
  'expired_total',
  'purged_total'
]

// One replica folds at a time; the others find the lock taken and leave it.
const fold: Statement = {
  name: 'fold_ledger',
  text: `
  with turn as materialized (
    select pg_try_advisory_xact_lock(4011977) as ours
  ), taken as (
    delete from holdfast.ledger l using turn where turn.ours and l.id > $1 returning l.*
  ), sums as (
    select queue_id, ${totals.map(column => `sum(${column}) as ${column}`).join(', ')} from taken group by queue_id
  )
  , folded as (
    update holdfast.counts c set ${totals.map(column => `${column} = c.${column} + s.${column}`).join(', ')}
    from sums s where c.queue_id = s.queue_id
  )
  select coalesce(max(id), $1) as folded_to from taken`
}

// Most leases that end are over long since, their messages acked; a busy queue's are swept up
// together, a few times a second.
const nextDue: Statement = {
  name: 'next_due',
  text: `
  select extract(epoch from least(
    (select min(ends_at) from holdfast.leases where ends_at > $1) + interval '200 ms',
    (select min(visible_at) from holdfast.messages where visible_at > $1)) - clock_timestamp()) * 1000 as ms,
    (statement_timestamp() - interval '1 minute')::text as a_minute_ago`
}

const withReady: Statement = {
  name: 'queues_with_ready',
  text: `
  select c.queue_id, c.ready + t.ready as ready from holdfast.counts c
  cross join lateral (select coalesce(sum(l.ready), 0) as ready from holdfast.ledger l where l.queue_id = c.queue_id) t
  where c.queue_id = any($1::integer[]) and c.ready + t.ready > 0`
}

/**
 * Sweeps until stopped. Sleeps until the next thing it knows of is due, never longer than a
 * second: whoever knew of a sooner one may have died.
 */
export function startSweeper(
  database: Database,
  { onReady, onCounted, waitingFor, onSwept, onError }: SweeperOptions
): Sweeper {
  const stopping = new AbortController()
  let plannedMs = 0
  let timer: NodeJS.Timeout | undefined
  let wake = () => {}
  let foldedMs = 0
  let fullLookDueMs = 0
  let sweptTo = '-infinity'
  let lateMs = 0
  const foldedTo: Digits[] = ['0'] // the last id folded, at each fold of the last minute

  /** Answers whether all of it was done; if not, what is left has its turn again after the others. */
  async function until(statement: Statement, values: unknown[], full: number): Promise<boolean> {
    const endMs = performance.now() + turnMsMax
    while (!stopping.signal.aborted) {
      const rows = await database.query(statement, values)
      lateMs = Math.max(lateMs, Number(rows[0]?.late_ms ?? 0))
      for (const row of rows) {
        if (row.ready > 0) onReady(String(row.queue_id), Number(row.ready), Number(row.position))
      }
      if (Number(rows[0]?.looked ?? 0) < full) return true
      if (performance.now() > endMs) break
    }
    return false
  }

  async function sweep(): Promise<number> {
    // All that was due a minute ago has been dealt with, and all that commits now falls due later:
    // the looks begin there, past dead rows that somebody's old snapshot keeps. A look from the
    // very start goes with it each minute.
    const full = performance.now() >= fullLookDueMs
    if (full) fullLookDueMs = performance.now() + fullLookMs
    const from = full ? '-infinity' : sweptTo
    lateMs = 0
    let done = await until(sweepLeases, [from], rowsMax)
    done = (await until(exposeDue, [from], chunk)) && done
    done = (await until(expire, [from], chunk)) && done
    if (performance.now() - foldedMs >= pauseMsMax - 50) {
      foldedMs = performance.now()
      const [ledger] = await database.query(fold, [full ? 0 : foldedTo[0]])
      foldedTo.push(ledger!.folded_to)
      if (foldedTo.length > fullLookMs / pauseMsMax) foldedTo.shift()
      const queues = waitingFor()
      if (queues.length > 0) {
        for (const row of await database.query(withReady, [queues])) {
          onCounted(String(row.queue_id), Number(row.ready))
        }
      }
    }
    const [next] = await database.query(nextDue, [from])
    onSwept(lateMs)
    if (!done) return 0
    sweptTo = next!.a_minute_ago
    return next!.ms === null ? pauseMsMax : Math.min(pauseMsMax, Math.max(10, Math.ceil(Number(next!.ms))))
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      plannedMs = Date.now() + pauseMsMax
      const pause = await sweep().catch(error => {
        onError(error)
        return pauseMsMax / 4
      })
      await new Promise<void>(resolve => {
        wake = resolve
        schedule(Math.min(plannedMs, Date.now() + pause))
      })
    }
  }

  function schedule(timeMs: number): void {
    plannedMs = timeMs
    clearTimeout(timer)
    timer = setTimeout(() => wake(), Math.max(0, timeMs - Date.now()))
  }

  const running = run()
  return {
    dueAt(timeMs) {
      if (timeMs < plannedMs) schedule(timeMs)
    },
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      wake()
      await running
    }
  }
}
