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

/** What functions of migrations/lines.sql take: of each message, what its line is told. */
const toldOf = (turn: string) => ({
  lines: 'array_agg(line)',
  places: 'array_agg(place)',
  turns: `array_agg(${turn})`,
  in_turns: 'array_agg(turn_rank is not null)',
  stood: 'array_agg(stood)',
  was_counted: 'array_agg(was_counted)'
})

// A queue without lines never calls the function. All that lines cost it is an aggregate of no rows.
const telling = (tell: string, from: string, turn: string) => sql`
  (
    select holdfast.${tell}(
      min(queue_id),
      ${Object.values(toldOf(turn)).join(',\n')}
    )
    from ${from}
    where stood
      or was_counted
    having count(*) > 0
  )`

/**
 * Tells the lines of the rows in `from`, all of one queue, and answers `Freed` as JSON, or null. `from`
 * has lineColumns and `stood`. Lines go on in the order of `turn`.
 */
export const freeLines = (from: string, turn = 'position') => telling('settled_messages', from, turn)

/** Tells the lines of the rows in `from` that they were leased. Answers `Turned` as JSON, or null. */
export const leaseLines = (from: string, turn: string) => telling('leased_messages', from, turn)

/** Tells the lines of the rows in `from`, of any queues: the queues in which messages became ready. */
export const freeLinesOfQueues = (from: string) => {
  const told = Object.entries(toldOf('position'))
  return sql`
    select
      k.queue_id,
      (f.freed->>'count')::bigint as ready,
      (f.freed->>'position')::bigint as position
    from (
      select
        queue_id,
        ${told.map(([name, values]) => `${values} as ${name}`).join(',\n')}
      from ${from}
      where stood
        or was_counted
      group by queue_id
      order by queue_id
    ) k
    cross join lateral holdfast.settled_messages(
      k.queue_id,
      ${told.map(([name]) => `k.${name}`).join(',\n')}
    ) as f (freed)`
}

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
 * locked. No statement removes them together with those that stand. It would hold a parked message
 * while it waits for a line, and the line's holder would wait for that message.
 */
export const isParked = sql`
  (
    m.line is not null
    and m.position is null
    and m.leased_until is null
    and m.dead_at is null
  )`

/**
 * Whether no other session holds this line, which is then locked here. For those who must never wait: a
 * session may hold a line for long, such as an application that acks in a transaction of its own. The
 * row of a line that another session has just made is not seen. `careful` says whether to find out.
 */
export const lineIsFree = (queueId: string, line: string, careful: string) => {
  const row = sql`
    from holdfast.lines l
    where l.queue_id = ${queueId}
      and l.line = ${line}`
  return sql`
    (
      ${line} is null
      or exists (
        select
        ${row}
        for update skip locked
      )
      or not exists (
        select
        ${row}
      )
      and case
        when ${careful}::boolean then holdfast.may_open_line(${queueId}, ${line})
        else true
      end
    )`
}

/** Whether messages of queue `q` stand in lines. */
export const hasLines = (q: string) => `(${q}.ordering <> 'none' or ${q}.takes_turns)`
