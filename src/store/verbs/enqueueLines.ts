/** Storing messages in lines. */
import { rankInTurns } from '../rank.ts'
import { sql } from '../statement.ts'
import { messageColumns } from './enqueueRows.ts'

const linedColumns = ['id', 'position', 'line', 'place', 'turn_rank', ...messageColumns]

const rankInLine = `case when turn_rank is null then rank else ${rankInTurns} end`

/** These columns of rows, with the ranks that are stored of them. */
export const withRankInLine = (columns: string[]) =>
  columns.map(column => (column === 'rank' ? rankInLine : column))

/** Takes turns in the lines of those rows in `from` that take turns, and that are meant. */
export const takingTurns = (from: string, isMeant: string) => sql`
  turns as materialized (
    select
      k.queue_id,
      t.position
    from (
      select queue_id, array_agg(line order by place) as lines
      from (
        select queue_id, line, min(place) as place
        from ${from}
        where turn_rank is not null
          and ${isMeant}
        group by queue_id, line
      ) l
      group by queue_id
      order by queue_id
    ) k
    cross join lateral holdfast.take_turns(k.queue_id, k.lines) t
  )`

// The lines are locked before places are drawn. The first message of a line that had no row stands,
// and the others are parked. Where lines take turns all are parked, and then a turn is taken.
export const placingInLines = sql`
  lines as materialized (
    insert into holdfast.lines (queue_id, line)
    select distinct queue_id, line
    from stored
    where line is not null
      and turn_rank is null
    order by queue_id, line
    on conflict (queue_id, line) do update set followers = 0 where false
    returning queue_id, line
  ), placed as materialized (
    select
      s.*,
      case
        when s.line is not null then nextval('holdfast.positions')
      end as place
    from (select count(*) from lines) locked
    cross join (select * from stored order by n) s
  ), stood as materialized (
    select
      p.*,
      case
        when p.line is null then p.id
        when p.turn_rank is not null then null
        when l.line is not null
          and row_number() over (partition by p.queue_id, p.line order by p.n) = 1 then p.place
      end as position
    from placed p
    left join lines l on l.queue_id = p.queue_id and l.line = p.line
  )`

export const insertInLines = sql`
  ${placingInLines}, inserted as (
    insert into holdfast.messages (
      ${linedColumns.join(',\n')}
    )
    select
      ${withRankInLine(linedColumns).join(',\n')}
    from stood
    returning queue_id, line, place, turn_rank, visible_at
  ), ${takingTurns('inserted', 'visible_at is null')}`

/**
 * From which position a lease finds a stored row. Every message of a line that takes turns may be
 * leased, also from behind the one that stands.
 */
export const positionIn = (stood: string) => sql`
  case
    when ${stood}.turn_rank is not null then coalesce(
      (select t.position from turns t where t.queue_id = ${stood}.queue_id),
      ${stood}.place
    )
    else ${stood}.position
  end`
