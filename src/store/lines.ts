/**
 * Lines, in which the messages of a group wait for one another. migrations/lines.sql says how a line
 * works. Every statement that changes a message of a line gets that part of its text here.
 */
import { sql } from './statement.ts'

/**
 * Whether message `m` is the one of its line that stands, or is leased with it. When such a message
 * is acked, dies or is removed, its line must be told. In a line that takes turns, a leased message
 * no longer stands.
 */
export const standsInLine = sql`
  (
    m.line is not null
    and m.dead_at is null
    and case
      when m.turn_rank is not null then m.position is not null and m.leased_until is null
      else m.position is not null or m.leased_until is not null
    end
  )`

/** Whether the line of message `m` must be told when the message comes back. */
export const comesBackToLine = sql`
  (
    ${standsInLine}
    or m.turn_rank is not null and m.dead_at is null
  )`

/** Whether the line of message `m` counts it. */
export const isCounted = '(m.counted is true and m.leased_until is not null)'

/** What a statement returns of message `m`, which it removes, beside all its columns. */
export const leavesLine = sql`
  ${standsInLine} as stood,
  ${isCounted} as was_counted`

/** What a statement returns of message `m` so that its line can be told, that counted it or did not. */
export const lineColumnsOf = (counted: string) => sql`
  m.queue_id,
  m.line,
  m.place,
  m.position,
  m.turn_rank,
  ${counted} as was_counted`

export const lineColumns = lineColumnsOf(isCounted)

/**
 * The rows of `from` by line, in the order of their positions, or of `turn`. `from` has lineColumns
 * and `stood`.
 */
const byLine = (from: string, turn = 'min(position)') => sql`
  select
    queue_id,
    in_turns,
    array_agg(line order by turn, place) as lines,
    array_agg(count order by turn, place) as counts,
    array_agg(counted order by turn, place) as counted,
    array_agg(place order by turn, place) as places
  from (
    select
      queue_id,
      line,
      turn_rank is not null as in_turns,
      count(*) filter (where stood) as count,
      count(*) filter (where was_counted) as counted,
      min(place) as place,
      ${turn} as turn
    from ${from}
    where stood
      or was_counted
    group by queue_id, line, turn_rank is not null
  ) l
  group by queue_id, in_turns
  order by queue_id, in_turns`

const settled = sql`
  holdfast.settle_lines(
    k.queue_id,
    k.lines,
    k.counts,
    k.counted,
    k.places,
    k.in_turns
  )`

/**
 * Tells the lines of the rows in `from`, all of one queue, and answers `Freed` as JSON, or null. It
 * has a row to answer only where a message stood in a line.
 */
export const freeLines = (from: string, turn?: string) => sql`
  (
    select json_build_object('count', sum(f.ready), 'position', min(f.position))
    from (
      ${byLine(from, turn)}
    ) k
    cross join lateral ${settled} f
    where f.ready > 0
    having count(*) > 0
  )`

/** Tells the lines of the rows in `from` that they were leased. Answers `Turned` as JSON, or null. */
export const leaseLines = (from: string, turn?: string) => sql`
  (
    select json_build_object(
      'count', coalesce(sum(f.ready), 0),
      'position', min(f.position),
      'dueAtMs', extract(epoch from min(f.due_at)) * 1000
    )
    from (
      ${byLine(from, turn)}
    ) k
    cross join lateral holdfast.lease_lines(k.queue_id, k.lines, k.counts, k.counted, k.in_turns) f
    where f.ready > 0
      or f.due_at is not null
    having count(*) > 0
  )`

/** Tells the lines of the rows in `from`, of any queues: the queues in which messages became ready. */
export const freeLinesOfQueues = (from: string) => sql`
  select
    k.queue_id,
    f.ready,
    f.position
  from (
    ${byLine(from)}
  ) k
  cross join lateral ${settled} f`

/** The place of message `m` when it comes back: its old one, or in turns behind others of its rank. */
export const placeOfReturned = sql`
  case
    when m.turn_rank is not null then nextval('holdfast.positions')
    else m.place
  end`

/** The position of message `m` when it comes back. In a line it is parked, and free_lines decides. */
export const positionOfReturned = sql`
  case
    when m.line is null then nextval('holdfast.positions')
  end`

/**
 * Whether message `m` is parked and nobody holds it. To remove such a message, its line need not be
 * locked. No statement removes them together with those that stand: it would hold a parked message
 * while it waits for a line, and the line's holder would wait for that message.
 */
export const isParked = sql`
  (
    m.line is not null
    and m.position is null
    and m.leased_until is null
    and m.dead_at is null
  )`

/** Whether messages of queue `q` stand in lines. */
export const hasLines = (q: string) => `(${q}.ordering <> 'none' or ${q}.takes_turns)`
