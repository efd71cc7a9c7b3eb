/**
 * Redriving: messages go home to the queues in which they died, or to a queue that the caller names.
 * Dead ones that never moved become ready where they are.
 */
import { freeStates } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import type { OnRedriven, RedriveScope, RedriveWanted } from '../../core/redrive.ts'
import { newPosition, openState, placesIn } from '../fragments.ts'
import { countIn, ledgerInsert } from '../ledger.ts'
import { freeLines, lineColumns } from '../lines.ts'
import { rankAsRenewed } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { eachChunk } from './bulk.ts'
import { redrivable } from './search.ts'

/**
 * What came of a chunk in one queue. `position` is the lowest of the messages that a lease can take
 * there. null: all of them wait in their lines.
 */
interface RedrivenRow {
  queue_id: number
  redriven: string
  ready: string
  position: Digits | null
}

const redrivableOnly = 'and (m.dead_at is not null or m.origin is not null)'

const chosenOf = (columns: string[], condition = redrivableOnly) => sql`
  lined as materialized (
    select holdfast.lock_lines_of($1, $2)
  ), chosen as materialized (
    select
      m.id,
      m.line,
      m.place,
      ${openState} as state,
      ${columns.join(',\n')}
    from holdfast.messages m
    where m.queue_id = $1
      and m.id = any($2::bigint[])
      ${condition}
      and m.leased_until is null
      and (select count(*) from lined) > 0
    order by m.id
    for no key update
  )`

/** Moves the chosen messages to the queues of this name, one after another by name. */
const sendChosen = (fromId: string, name: string) => sql`
  select
    s.target_id as queue_id,
    s.moved as redriven,
    s.ready,
    s.lowest as position
  from (
    select
      ${name} as name,
      array_agg(id order by id) as ids,
      ${freeStates.map(state => countIn('state', state)).join(',\n')},
      bool_or(line is not null)
    from chosen
    where ${name} is not null
    group by 1
    order by 1
  ) c (name, ids, ${freeStates.join(', ')}, in_lines)
  cross join lateral holdfast.send(
    ${fromId},
    c.ids,
    c.name,
    c.ready,
    c.delayed,
    c.dead,
    c.in_lines
  ) s`

export const redriveStatement: Statement<RedrivenRow> = {
  name: 'redrive',
  parameters: '$1 queue id · $2 message ids',
  slow: true,
  text: sql`
    with ${chosenOf(['m.turn_rank', "m.origin->>'queue' as home"])}, opened as materialized (
      select holdfast.open_lines($1, k.lines) as lines
      from (
        select array_agg(line) as lines
        from chosen
        where line is not null
          and turn_rank is null
          and home is null
        having count(*) > 0
      ) k
    ), ${placesIn(sql`
      (
        select id
        from chosen
        cross join (select count(*) from opened) o
        where home is null
        order by case when turn_rank is null then place end nulls first, id
      )`)}, changed as (
      update holdfast.messages m
      set
        position = case
          when m.line is null then ${newPosition}
        end,
        place = case
          when m.line is not null then ${newPosition}
        end,
        ready_at = statement_timestamp(),
        dead_at = null,
        unique_key = null,
        fence = m.fence + 1,
        attempt = 0,
        ${rankAsRenewed},
        kept_from = case
          when m.expires_at is null then m.kept_from
          else statement_timestamp()
        end,
        expires_at = statement_timestamp() + holdfast.ttl_of(m.enqueued_at, m.kept_from, m.expires_at)
      from places
      where m.queue_id = $1
        and m.id = any((select ids from places)::bigint[])
      returning
        ${lineColumns},
        m.turn_rank is not null as stood
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'changed',
        states: { ready: 'count(*)', dead: '-count(*)' },
        totals: { redriven: 'count(*)' }
      })}
    )
    select
      $1::integer as queue_id,
      count(*) as redriven,
      count(*) as ready,
      least(
        min(position),
        (
          select a.position
          from opened o
          cross join lateral holdfast.advance(
            $1,
            o.lines,
            array_fill(0::bigint, array[cardinality(o.lines)])
          ) a
          where (select count(*) from changed) > 0
        ),
        (${freeLines('changed')}->>'position')::bigint
      ) as position
    from changed
    union all
    select *
    from (
      ${sendChosen('$1', 'home')}
    ) s`
}

const sendTo = (name: string, condition?: string): Statement<RedrivenRow> => ({
  name,
  parameters: '$1 queue id · $2 message ids · $3 name of the queue to send them to',
  slow: true,
  text: sql`
    with ${chosenOf(['null as home'], condition)}
    ${sendChosen('$1', '$3::text')}`
})

export const redriveToStatement = sendTo('redrive_to')
/** Also of messages that never died. */
export const moveToStatement = sendTo('move_to', '')

/** Redrives those of the messages that such a redrive takes, in one commit. Answers how many. */
export async function redriveIds(
  session: Session,
  queueId: Digits,
  ids: Digits[],
  { to, kind }: Pick<RedriveWanted, 'to' | 'kind'>,
  onRedriven: OnRedriven
): Promise<number> {
  const rows = await (to === null
    ? session.query(redriveStatement, [queueId, ids])
    : session.query(kind === 'move' ? moveToStatement : redriveToStatement, [queueId, ids, to]))
  let redriven = 0
  for (const { queue_id: readyIn, redriven: count, ready, position } of rows) {
    redriven += Number(count)
    const freed = position === null ? null : { count: Number(ready), position: Number(position) }
    if (Number(count) > 0 || freed !== null) onRedriven(Number(count), freed, String(readyIn))
  }
  return redriven
}

/** Redrives messages in chunks, each a commit of its own, and reports each to `onRedriven`. */
export async function redrive(
  session: Session,
  queueId: Digits,
  { selection, to, signal, pass }: RedriveScope,
  onRedriven: OnRedriven
): Promise<void> {
  await eachChunk(session, queueId, { searches: [redrivable], selection, signal, pass }, ids =>
    redriveIds(session, queueId, ids, { to, kind: 'redrive' }, onRedriven)
  )
}

export const redriveVerbs = { redrive }
