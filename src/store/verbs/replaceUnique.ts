/** Replacing messages that hold unique keys, as parts of the statement that enqueues. */
import { ledgerInsert } from '../ledger.ts'
import { rankInTurns } from '../rank.ts'
import { sql } from '../statement.ts'

/** Locks messages that are to be replaced, by id as all verbs do, once `after` is done. */
export const locking = (condition: string, after: string, wait = '') => sql`
  select r.*, m.was_delayed
  from (select count(*) as done from ${after}) a
  cross join (
    select *
    from met
    where fate = 'replacing'
      and ${condition}
    order by queue_id, met_id
  ) r
  cross join lateral (
    select visible_at is not null as was_delayed
    from holdfast.messages
    where a.done >= 0
      and queue_id = r.queue_id
      and id = r.met_id
      and unique_key = r.unique_key
      and dead_at is null
    limit 1
    for no key update${wait}
  ) m`

// A message that was delayed and is ready now gets a position, as one whose delay has ended. One that
// was ready keeps its own. Where lines take turns, one that is delayed no longer stands.
export const replacing = sql`
  taken as materialized (
    select * from standing
    union all
    select * from parked
  ), replaced as (
    update holdfast.messages m
    set
      fence = m.fence + 1,
      body = t.body,
      body_bytes = t.body_bytes,
      content_type = t.content_type,
      headers = t.headers,
      marks = t.marks,
      rank = case
        when m.turn_rank is null then t.rank | (m.rank & 1)
        else ${rankInTurns}
      end,
      turn_rank = t.rank | (m.turn_rank & 1),
      max_attempts = t.max_attempts,
      visible_at = t.visible_at,
      expires_at = t.expires_at,
      kept_from = case
        when t.expires_at is null then m.kept_from
        else statement_timestamp()
      end,
      unique_until_leased = t.unique_until_leased,
      position = case
        when m.turn_rank is not null and t.visible_at is not null then null
        when m.position is not null and m.visible_at is not null and t.visible_at is null
        then nextval('holdfast.positions')
        else m.position
      end,
      ready_at = case
        when m.visible_at is not null and t.visible_at is null then statement_timestamp()
        else m.ready_at
      end
    from taken t
    where m.queue_id = any(array(select queue_id from taken))
      and m.id = any(array(select met_id from taken))
      and m.id = t.met_id
      and m.leased_until is null
    returning
      t.n,
      m.queue_id,
      m.position,
      m.line,
      m.place,
      m.turn_rank,
      t.was_delayed,
      m.visible_at is not null as is_delayed
  ), moved as (
    ${ledgerInsert({
      queue: 'queue_id',
      from: '(select * from replaced where was_delayed <> is_delayed) r',
      states: {
        ready: 'count(*) filter (where was_delayed) - count(*) filter (where is_delayed)',
        delayed: 'count(*) filter (where is_delayed) - count(*) filter (where was_delayed)'
      }
    })}
  )`
