/**
 * The last hour of every queue: written once a step by one of the replicas, to which each adds the
 * times it has counted.
 */
import { stepSeconds, type Sample, type StepTimes } from '../../core/series.ts'
import type { Step } from '../../core/engine/replicaStats.ts'
import type { Digits } from '../../core/message.ts'
import type { Database, Row, Session, Statement } from '../database.ts'

const hourSeconds = 3600
const now = `(floor(extract(epoch from statement_timestamp()) / ${stepSeconds}) * ${stepSeconds})::integer`

// Whoever takes the turn writes the step, so of any number of replicas one does. The counts are as
// the last fold of the ledger left them, a second ago or less: against half a minute that is
// little, and it saves a walk over the ledger.
const writeStatement: Statement = {
  name: 'write_series',
  slow: true,
  text: `
  with free as materialized (
    select at from holdfast.series_turn where at < ${now} for update skip locked
  ), turn as (
    update holdfast.series_turn t set at = ${now} from free where t.at = free.at returning t.at
  ), counted as (
    select turn.at, c.queue_id, greatest(c.ready, 0) as ready, greatest(c.delayed, 0) as delayed, greatest(c.leased, 0) as leased, greatest(c.dead, 0) as dead,
      c.enqueued_total, c.acked_total, c.failed_total + c.lapsed_total as failed_total
    from turn cross join holdfast.counts c
  ), written as (
    insert into holdfast.series (queue_id, at, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total)
    select c.queue_id, c.at, c.ready, c.delayed, c.leased, c.dead, c.enqueued_total, c.acked_total, c.failed_total
    from counted c
    left join lateral (select * from holdfast.series where queue_id = c.queue_id order by at desc limit 1) last on true
    where (c.ready, c.delayed, c.leased, c.dead, c.enqueued_total, c.acked_total, c.failed_total)
      is distinct from (last.ready, last.delayed, last.leased, last.dead, last.enqueued_total, last.acked_total, last.failed_total)
    returning queue_id
  )
  select (select count(*) from written) as written, (${stepSeconds} - extract(epoch from clock_timestamp()) % ${stepSeconds}) * 1000 as next_in_ms`
}

/**
 * Writes the step that has just ended, unless somebody has; answers how many rows that took, and
 * when the next one ends.
 */
export async function writeStep(session: Session): Promise<{ written: number; nextInMs: number }> {
  const [row] = (await session.query(writeStatement)) as [Row]
  return { written: Number(row.written), nextInMs: Number(row.next_in_ms) }
}

const shareStatement: Statement = {
  name: 'share_tally',
  slow: true,
  text: `
  with counted as materialized (
    select i.* from unnest($1::integer[], $2::float8[], $3::text[], $4::text[]) as i (queue_id, asked_ms_ago, waits, works)
    where (i.queue_id in (select id from holdfast.queues where id = any($1::integer[]))) is true
    order by i.queue_id
  ), timed as (
    insert into holdfast.times as t (queue_id, at, waits, works)
    select queue_id, ${now}, waits::integer[], works::integer[] from counted where waits <> '{}' or works <> '{}'
    on conflict (queue_id, at) do update set waits = holdfast.sums_of(t.waits, excluded.waits), works = holdfast.sums_of(t.works, excluded.works)
  )
  insert into holdfast.asked as a (queue_id, asked_at)
  select queue_id, statement_timestamp() - make_interval(secs => asked_ms_ago / 1000) from counted where asked_ms_ago is not null
  on conflict (queue_id) do update set asked_at = excluded.asked_at where a.asked_at < excluded.asked_at`
}

/** Adds what a replica has counted to what all have. */
export async function shareTally(session: Session, steps: Map<Digits, Step>): Promise<void> {
  if (steps.size === 0) return
  const nowMs = performance.now()
  const all = [...steps.values()]
  await session.query(shareStatement, [
    [...steps.keys()],
    all.map(({ askedMs }) => (askedMs === 0 ? null : nowMs - askedMs)),
    all.map(({ waits }) => arrayOf(waits)),
    all.map(({ works }) => arrayOf(works))
  ])
}

// As far as there is something: most times lie in the first half of the buckets.
function arrayOf(buckets: number[]): string {
  return `{${buckets.slice(0, buckets.findLastIndex(count => count > 0) + 1)}}`
}

// The hour, and the row before it, from which its first step begins.
const samples = (fields: string) => `(
    select json_agg(json_build_object(${fields}) order by s.at) from (
      (select * from holdfast.series where queue_id = q.id and at <= t.at - ${hourSeconds} order by at desc limit 1)
      union all
      (select * from holdfast.series where queue_id = q.id and at > t.at - ${hourSeconds} order by at limit ${hourSeconds / stepSeconds})
    ) s
  ) as samples`

const seriesStatement: Statement = {
  name: 'series',
  text: `
  select t.at as last,
    ${samples("'at', at, 'ready', ready, 'delayed', delayed, 'leased', leased, 'dead', dead, " + "'enqueued', enqueued_total, " + "'acked', acked_total, " + "'failed', failed_total")}, (
    select json_agg(json_build_object('at', at, 'waits', waits, 'works', works)) from holdfast.times where queue_id = q.id and at > t.at - ${hourSeconds}
  ) as times
  from holdfast.series_turn t cross join (select $1::integer as id) q`
}

const sparksStatement: Statement = {
  name: 'sparks',
  text: `
  select q.name, t.at as last, ${samples("'at', at, 'enqueued', enqueued_total, 'acked', acked_total")}
  from holdfast.series_turn t cross join (select id, name from holdfast.queues where name = any($1::text[])) q`
}

/** What is kept of a queue's last hour; `last` is the end of the last step written. */
export async function readSeries(
  session: Session,
  queueId: Digits
): Promise<{ last: number; samples: Sample[]; times: StepTimes[] }> {
  const [row] = (await session.query(seriesStatement, [queueId])) as [Row]
  return { last: row.last, samples: row.samples ?? [], times: row.times ?? [] }
}

/** The samples of these queues, of their totals alone. */
export async function readSparks(
  session: Session,
  names: string[]
): Promise<{ name: string; last: number; samples: Pick<Sample, 'at' | 'enqueued' | 'acked'>[] }[]> {
  return (await session.query(sparksStatement, [names])).map(({ name, last, samples }) => ({
    name,
    last,
    samples: samples ?? []
  }))
}

/** Shares what is counted here and writes the steps, in turn with the other replicas, until stopped. */
export function startSeries(
  database: Database,
  take: () => Map<Digits, Step>,
  onError: (error: unknown) => void
): { stop: () => Promise<void> } {
  const stopping = new AbortController()
  let wake = () => {}

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await step().catch(error => {
        onError(error)
        return stepSeconds * 1000
      })
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, pauseMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
        if (stopping.signal.aborted) wake()
      })
    }
  }

  async function step(): Promise<number> {
    await shareTally(database, take())
    return (await writeStep(database)).nextInMs + 50 // a timer may go off a little early
  }

  const running = run()
  return {
    async stop() {
      stopping.abort()
      wake()
      await running
      await shareTally(database, take()).catch(onError)
    }
  }
}

export const seriesVerbs = { readSeries, readSparks }
