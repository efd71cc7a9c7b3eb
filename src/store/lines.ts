/**
 * Lines, in which the messages of a group wait for one another. migrations/lines.sql says how a line
 * works. Every statement that changes a message of a line gets that part of its text here.
 */
import { sql } from './statement.ts'

/**
 * Whether message `m` is the one of its line that stands, or is leased with it. When such a message
 * is settled, removed or parked, its line must be told.
 */
export const standsInLine = sql`
  (
    m.line is not null
    and m.dead_at is null
    and (m.position is not null or m.leased_until is not null)
  )`

/** The rows of `from` by line, for holdfast.free_lines. `from` has queue_id, line, place and `stood`. */
const byLine = (from: string) => sql`
  select
    queue_id,
    array_agg(line) as lines,
    array_agg(count) as counts,
    array_agg(place) as places
  from (
    select
      queue_id,
      line,
      count(*) as count,
      min(place) as place
    from ${from}
    where stood
    group by queue_id, line
  ) l
  group by queue_id
  order by queue_id`

/**
 * Tells the lines of the rows in `from`, all of one queue, and answers `Freed` as JSON, or null. It
 * has a row to answer only where a message stood in a line.
 */
export const freeLines = (from: string) => sql`
  (
    select json_build_object('count', f.ready, 'position', f.position)
    from (
      ${byLine(from)}
    ) k
    cross join lateral holdfast.free_lines(k.queue_id, k.lines, k.counts, k.places) f
    where f.ready > 0
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
  cross join lateral holdfast.free_lines(k.queue_id, k.lines, k.counts, k.places) f`

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
export const hasLines = (q: string) => `${q}.ordering <> 'none'`
