/**
 * The last hour of every queue: written once a step by one of the replicas, to which each adds the
 * times it has counted.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Step } from '../../core/engine/replicaStats.ts'
import { openStates } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { stepSeconds, type Sample, type StepTimes } from '../../core/series.ts'
import type { Database } from '../database.ts'
import { queueExists } from '../fragments.ts'
import { totalColumn } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'

export const hourSeconds = 3600
const epoch = 'extract(epoch from statement_timestamp())'
const thisStep = `(floor(${epoch} / ${stepSeconds}) * ${stepSeconds})::integer`
const sampled = [...openStates, ...(['enqueued', 'acked', 'failed'] as const).map(totalColumn)]
const of = (table: string) => sampled.map(column => `${table}.${column}`)

// One replica takes the turn and writes the step. The counts are as the last fold of the ledger
// left them, up to a second ago: against half a minute that is little, and it saves a walk over the
// ledger.
export const writeStatement: Statement<{ written: string; next_in_ms: string }> = {
  name: 'write_series',
  slow: true,
  text: sql`
    with free as materialized (
      select at
      from holdfast.series_turn
      where at < ${thisStep}
      for update skip locked
    ), turn as (
      update holdfast.series_turn t
      set at = ${thisStep}
      from free
      where t.at = free.at
      returning t.at
    ), counted as (
      select
        turn.at,
        c.queue_id,
        ${openStates.map(state => `greatest(c.${state}, 0) as ${state},`).join('\n')}
        c.enqueued_total,
        c.acked_total,
        c.failed_total + c.lapsed_total as failed_total
      from turn
      cross join holdfast.counts c
    ), written as (
      insert into holdfast.series (
        queue_id,
        at,
        ${sampled.join(',\n')}
      )
      select
        c.queue_id,
        c.at,
        ${of('c').join(',\n')}
      from counted c
      left join lateral (
        select *
        from holdfast.series
        where queue_id = c.queue_id
        order by at desc
        limit 1
      ) last on true
      where (
        ${of('c').join(',\n')}
      ) is distinct from (
        ${of('last').join(',\n')}
      )
      returning queue_id
    )
    select
      (select count(*) from written) as written,
      (${stepSeconds} - extract(epoch from clock_timestamp()) % ${stepSeconds}) * 1000 as next_in_ms`
}

/**
 * Writes the step that has just ended, unless another replica has. Answers how many rows that took,
 * and when the next step ends.
 */
export async function writeStep(session: Session): Promise<{ written: number; nextInMs: number }> {
  const [row] = await session.query(writeStatement)
  return { written: Number(row!.written), nextInMs: Number(row!.next_in_ms) }
}

export const shareStatement: Statement = {
  name: 'share_tally',
  parameters: [
    '$1 queue ids · $2 milliseconds since a lease was asked for, null: it was not',
    '$3 messages by waiting time, $4 by working time: the buckets, as text'
  ].join('\n'),
  slow: true,
  text: sql`
    with counted as materialized (
      select i.*
      from unnest($1::integer[], $2::float8[], $3::text[], $4::text[])
        as i (queue_id, asked_ms_ago, waits, works)
      where ${queueExists('i.queue_id', '$1')}
      order by i.queue_id
    ), timed as (
      insert into holdfast.times as t (queue_id, at, waits, works)
      select
        queue_id,
        ${thisStep},
        waits::integer[],
        works::integer[]
      from counted
      where waits <> '{}'
        or works <> '{}'
      on conflict (queue_id, at) do update set
        waits = holdfast.sums_of(t.waits, excluded.waits),
        works = holdfast.sums_of(t.works, excluded.works)
    )
    insert into holdfast.asked as a (queue_id, asked_at)
    select queue_id, statement_timestamp() - make_interval(secs => asked_ms_ago / 1000)
    from counted
    where asked_ms_ago is not null
    on conflict (queue_id) do update set asked_at = excluded.asked_at
    where a.asked_at < excluded.asked_at`
}

/** Adds what a replica has counted to what all have. Counts of deleted queues are left out. */
export async function shareStats(session: Session, steps: Map<Digits, Step>): Promise<void> {
  if (steps.size === 0) return
  const nowMs = performance.now()
  const counted = [...steps.values()]
  await session.query(shareStatement, [
    [...steps.keys()],
    counted.map(({ askedMs }) => (askedMs === 0 ? null : nowMs - askedMs)),
    counted.map(({ waits }) => arrayOf(waits)),
    counted.map(({ works }) => arrayOf(works))
  ])
}

// Up to the last bucket that is not empty: most times lie in the first half of the buckets.
function arrayOf(buckets: number[]): string {
  return `{${buckets.slice(0, buckets.findLastIndex(count => count > 0) + 1)}}`
}

/** What a sample shows, and its column. */
const sampleMembers = {
  at: 'at',
  ready: 'ready',
  delayed: 'delayed',
  leased: 'leased',
  dead: 'dead',
  enqueued: 'enqueued_total',
  acked: 'acked_total',
  failed: 'failed_total'
} satisfies Record<keyof Sample, string>

// The hour, and the row before it, from which its first step begins.
const samplesOf = (members: (keyof Sample)[]) => sql`
  (
    select json_agg(
      json_build_object(
        ${members.map(member => `'${member}', ${sampleMembers[member]}`).join(',\n')}
      )
      order by s.at
    )
    from (
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at <= t.at - ${hourSeconds}
        order by at desc
        limit 1
      )
      union all
      (
        select *
        from holdfast.series
        where queue_id = q.id
          and at > t.at - ${hourSeconds}
        order by at
        limit ${hourSeconds / stepSeconds}
      )
    ) s
  )`

export const seriesStatement: Statement<{
  last: number
  samples: Sample[] | null
  times: StepTimes[] | null
}> = {
  name: 'series',
  parameters: '$1 queue id',
  text: sql`
    select
      t.at as last,
      ${samplesOf(Object.keys(sampleMembers) as (keyof Sample)[])} as samples,
      (
        select json_agg(json_build_object('at', at, 'waits', waits, 'works', works))
        from holdfast.times
        where queue_id = q.id
          and at > t.at - ${hourSeconds}
      ) as times
    from holdfast.series_turn t
    cross join (select $1::integer as id) q`
}

/** What is kept of a queue's last hour. `last` is the end of the last step written. */
export async function readSeries(
  session: Session,
  queueId: Digits
): Promise<{ last: number; samples: Sample[]; times: StepTimes[] }> {
  const [row] = await session.query(seriesStatement, [queueId])
  return { last: row!.last, samples: row!.samples ?? [], times: row!.times ?? [] }
}

type Spark = Pick<Sample, 'at' | 'enqueued' | 'acked'>

export const sparksStatement: Statement<{ name: string; last: number; samples: Spark[] | null }> = {
  name: 'sparks',
  parameters: '$1 names',
  text: sql`
    select
      q.name,
      t.at as last,
      ${samplesOf(['at', 'enqueued', 'acked'])} as samples
    from holdfast.series_turn t
    cross join (
      select id, name
      from holdfast.queues
      where name = any($1::text[])
    ) q`
}

/** The samples of these queues, with their totals alone. Queues that are not there are left out. */
export async function readSparks(
  session: Session,
  names: string[]
): Promise<{ name: string; last: number; samples: Spark[] }[]> {
  const rows = await session.query(sparksStatement, [names])
  return rows.map(({ name, last, samples }) => ({ name, last, samples: samples ?? [] }))
}

/** A timer may go off a little before the step ends. */
const earlyMs = 50

/**
 * Shares what is counted here and writes the steps, in turn with the other replicas, until stopped.
 * After a failure it goes on with the next step; errors go to `onError`.
 */
export function startSeries(
  database: Database,
  take: () => Map<Digits, Step>,
  onError: (error: unknown) => void
): { stop: () => Promise<void> } {
  const stopping = new AbortController()

  async function step(): Promise<number> {
    await shareStats(database, take())
    return (await writeStep(database)).nextInMs + earlyMs
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await step().catch(error => {
        onError(error)
        return stepSeconds * 1000
      })
      await pause(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    async stop() {
      stopping.abort()
      await running
      await shareStats(database, take()).catch(onError)
    }
  }
}

export const seriesVerbs = { readSeries, readSparks }
