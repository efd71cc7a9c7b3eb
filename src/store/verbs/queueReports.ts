/** What queues are set to and hold, for reports and lists. */
import { states, type State, type Total } from '../../core/counters.ts'
import { answerBytesMax } from '../../core/limits.ts'
import { reliabilityOf, type NamePage, type QueueReport } from '../../core/queue.ts'
import { settingPaths, type Settings } from '../../core/settings.ts'
import { inReadyIndex, inScope } from '../fragments.ts'
import { nextTokenAt, tokensOf, withLimits } from '../leaseLimits.ts'
import { countsOf, folded, totalColumn, unfolded } from '../ledger.ts'
import { hasLines, isParked } from '../lines.ts'
import { ranks } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { settingsOf, type QueueRow } from './queues.ts'

/**
 * When the oldest ready message of a queue became ready that waits for no other, as a subselect. It
 * stands at the head of one of the ranks, because a message takes a new position whenever it becomes
 * ready. Leased messages stay in that index, so at most `examinedMax` of each rank are examined. Where
 * all of these are leased, the last of them stands for the ready ones behind it.
 */
const oldestStandingAt = (queueId: string, examinedMax: number) => sql`
  (
    select min(coalesce(head.ready, head.any))
    from generate_series(0, ${ranks.length - 1}) as level (rank)
    cross join lateral (
      select
        min(ready_at) filter (where leased_until is null) as ready,
        max(ready_at) as any
      from (
        select
          coalesce(m.ready_at, m.enqueued_at) as ready_at,
          m.leased_until
        from holdfast.messages m
        where m.queue_id = ${queueId}
          and m.rank = level.rank::smallint
          and ${inReadyIndex('m.')}
        order by m.position
        limit ${examinedMax}
      ) first
    ) head
  )`

/**
 * The same of parked messages: the first of their line may wait for its retry, or the line for its
 * rate. Of all messages of the queue, the first `examinedMax` by id are examined.
 */
const oldestParkedAt = (queueId: string, examinedMax: number) => sql`
  (
    select min(coalesce(m.ready_at, m.enqueued_at))
    from holdfast.queues lined
    cross join lateral (
      select *
      from holdfast.messages
      where queue_id = lined.id
      order by id
      limit ${examinedMax}
    ) m
    where lined.id = ${queueId}
      and ${hasLines('lined')}
      and ${isParked}
      and m.visible_at is null
  )`

/** When the oldest ready message of a queue became ready. */
export const oldestReadyAt = (queueId: string, examinedMax: number) => sql`
  least(
    ${oldestStandingAt(queueId, examinedMax)},
    ${oldestParkedAt(queueId, examinedMax)}
  )`

/** Messages examined for the oldest ready one, in each rank. */
const examinedMax = 1000

const totalsReported = ['acked', 'expired', 'buried', 'returned'] as const satisfies Total[]
const reported = [...states, ...totalsReported.map(totalColumn)]

type ReportRow = QueueRow &
  Record<State | ReturnType<typeof totalColumn<(typeof totalsReported)[number]>>, string> & {
    oldest_ready_seconds: number | null
    tokens: number | null
    next_token_at: string | null
  }

// The ledger's rows that are not folded yet, added to those that are: both in one snapshot, so the
// sum is exact.
const reportOn = (queues: string) => sql`
  with r as materialized (
    select
      q.*,
      ${reported.map(column => `(c.${column} + t.${column}) as ${column}`).join(',\n')},
      ${tokensOf('q', 'l', 'clock_timestamp()')} as tokens,
      ${nextTokenAt('q', 'l')} as next_token_at
    from ${queues} q
    ${folded('q.id')}
    ${unfolded(reported, 'q.id')}
    ${withLimits('q.id')}
  )
  select
    r.*,
    case
      when r.ready > 0 then extract(
        epoch from clock_timestamp() - ${oldestReadyAt('r.id', examinedMax)}
      )::float8
    end as oldest_ready_seconds
  from r
  order by r.name`

export const reportStatement: Statement<ReportRow> = {
  name: 'report_queue',
  parameters: '$1 name',
  text: reportOn('(select * from holdfast.queues where name = $1)')
}

const pageParameters = [
  '$1 after this name · $2 page size · $3 names · $4 beginnings',
  '$5 dead-letter queue, or null'
].join('\n')

const pageOf = (columns: string) => sql`
  select ${columns}
  from holdfast.queues
  where name > $1
    and ${inScope('name', '$3', '$4')}
    and ($5::text is null or dead_letter_queue = $5)
  order by name
  limit $2`

export const namesStatement: Statement<{ name: string }> = {
  name: 'list_queue_names',
  parameters: pageParameters,
  text: pageOf('name')
}

/** A page ends after the queue whose tags pass this. */
const tagBytesMax = answerBytesMax / 2

export const listStatement: Statement<ReportRow & { found: number }> = {
  name: 'list_queues',
  parameters: pageParameters,
  text: reportOn(sql`
    (
      select *
      from (
        select
          *,
          (count(*) over ())::integer as found,
          sum(octet_length(tags::text)) over (order by name) - octet_length(tags::text) as tag_bytes
        from (
          ${pageOf('*')}
        ) q
      ) q
      where tag_bytes < ${tagBytesMax}
    )`)
}

/** What a queue is set to and holds. null when there is none. */
export async function reportQueue(session: Session, name: string): Promise<QueueReport | null> {
  const [row] = await session.query(reportStatement, [name])
  return row === undefined ? null : reportOf(row)
}

/**
 * Queues by name: those of the scope, of all or of one dead-letter queue. `more`: others may follow.
 * A page of queues with large tags may be short.
 */
export async function listQueues(
  session: Session,
  page: NamePage,
  deadLetterQueue: string | null
): Promise<{ queues: QueueReport[]; more: boolean }> {
  const { limit } = page
  const rows = await session.query(listStatement, pageValues(page, deadLetterQueue))
  const more = rows.length > limit || rows.length < (rows[0]?.found ?? 0)
  return { queues: rows.slice(0, limit).map(reportOf), more }
}

/** The names of such queues. `more`: others follow. */
export async function listQueueNames(
  session: Session,
  page: NamePage,
  deadLetterQueue: string | null
): Promise<{ names: string[]; more: boolean }> {
  const rows = await session.query(namesStatement, pageValues(page, deadLetterQueue))
  const names = rows.slice(0, page.limit).map(({ name }) => name)
  return { names, more: rows.length > page.limit }
}

// One more row than the page has tells whether others follow.
const pageValues = ({ after, limit, scope }: NamePage, deadLetterQueue: string | null): unknown[] => [
  after,
  limit + 1,
  scope.names,
  scope.prefixes,
  deadLetterQueue
]

function reportOf(row: ReportRow): QueueReport {
  const counts = countsOf(states, state => row[state])
  const oldest = row.oldest_ready_seconds
  const settings = settingsOf<Settings>(row, settingPaths)
  return {
    queue: row.name,
    settings,
    front: row.front,
    counts,
    reliability: reliabilityOf({
      ...countsOf(totalsReported, total => row[totalColumn(total)]),
      dead: counts.dead
    }),
    oldestReadySeconds: oldest === null ? null : Math.max(0, Math.round(oldest * 1000) / 1000),
    limits: {
      places: settings.maxLeased === null ? null : Math.max(0, settings.maxLeased - counts.leased),
      tokens: row.tokens === null ? null : Math.floor(row.tokens),
      nextTokenAt: row.next_token_at
    },
    createdAt: row.created_at,
    updatedAt: row.updated_at
  }
}

export const queueReportVerbs = { reportQueue, listQueues, listQueueNames }
