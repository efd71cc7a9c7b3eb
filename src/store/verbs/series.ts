/** The last hour of every queue, as the replicas have written it. */
import { keysOf } from '../../core/table.ts'
import type { OpenState, Total } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import { hourSeconds, stepsCount, type Sample, type SparkSample, type StepTimes } from '../../core/series.ts'
import { totalColumn } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'

type SampleMember = Exclude<keyof Sample, 'at'>

const stateOf = (state: OpenState) => ({ column: state, value: `greatest(c.${state}, 0)` })
const totalOf = (total: Total) => ({ column: totalColumn(total), value: `c.${totalColumn(total)}` })

/** What a sample shows: the column of each member, and its value from `c`, the counts of a queue. */
export const sampled = {
  ready: stateOf('ready'),
  delayed: stateOf('delayed'),
  leased: stateOf('leased'),
  dead: stateOf('dead'),
  enqueued: totalOf('enqueued'),
  acked: totalOf('acked'),
  // An attempt fails by the end of its lease too.
  failed: { column: totalColumn('failed'), value: `${totalOf('failed').value} + ${totalOf('lapsed').value}` }
} satisfies Record<SampleMember, { column: string; value: string }>

// The hour, and the row before it, from which its first step begins.
const samplesOf = (members: SampleMember[]) => sql`
  (
    select json_agg(
      json_build_object(
        'at', at,
        ${members.map(member => `'${member}', ${sampled[member].column}`).join(',\n')}
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
        limit ${stepsCount}
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
      ${samplesOf(keysOf(sampled))} as samples,
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

export const sparksStatement: Statement<{ name: string; last: number; samples: SparkSample[] | null }> = {
  name: 'sparks',
  parameters: '$1 names',
  text: sql`
    select
      q.name,
      t.at as last,
      ${samplesOf(['enqueued', 'acked'])} as samples
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
): Promise<{ name: string; last: number; samples: SparkSample[] }[]> {
  const rows = await session.query(sparksStatement, [names])
  return rows.map(({ name, last, samples }) => ({ name, last, samples: samples ?? [] }))
}

export const seriesVerbs = { readSeries, readSparks }
