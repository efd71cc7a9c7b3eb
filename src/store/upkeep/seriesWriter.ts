/**
 * Writes the last hour of every queue: once a step by one of the replicas, to which each adds the
 * times it has counted.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Step } from '../../core/engine/replicaStats.ts'
import type { Digits } from '../../core/message.ts'
import { stepSeconds } from '../../core/series.ts'
import type { Database } from '../database.ts'
import { queueExists } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { sampled } from '../verbs/series.ts'

const epoch = 'extract(epoch from statement_timestamp())'
const thisStep = `(floor(${epoch} / ${stepSeconds}) * ${stepSeconds})::integer`
const columns = Object.values(sampled)
const of = (table: string) => columns.map(({ column }) => `${table}.${column}`).join(',\n')

// One replica takes the turn and writes the step. The counts are as the last fold of the ledger left
// them, up to a second ago. Against half a minute that is little. It saves a walk over the ledger.
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
        ${columns.map(({ column, value }) => `${value} as ${column}`).join(',\n')}
      from turn
      cross join holdfast.counts c
    ), written as (
      insert into holdfast.series (
        queue_id,
        at,
        ${columns.map(({ column }) => column).join(',\n')}
      )
      select
        c.queue_id,
        c.at,
        ${of('c')}
      from counted c
      left join lateral (
        select *
        from holdfast.series
        where queue_id = c.queue_id
        order by at desc
        limit 1
      ) last on true
      where (
        ${of('c')}
      ) is distinct from (
        ${of('last')}
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
  name: 'share_stats',
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
