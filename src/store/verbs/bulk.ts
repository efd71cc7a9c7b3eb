/** Bulk actions: purge, redrive and retry many messages, in chunks, each a commit of its own. */
import { countSecondsMax } from '../../core/limits.ts'
import { openStates, states, type State } from '../../core/counters.ts'
import type { Digits, Selection } from '../../core/message.ts'
import type { BulkAction, Freed, OnReadyChunk } from '../../core/ports.ts'
import { openState } from '../fragments.ts'
import { leaving, ledgerInsert, type LedgerEntry } from '../ledger.ts'
import { freeLines, isParked, standsInLine } from '../lines.ts'
import { rankAsRenewed } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { search } from './search.ts'

/**
 * The searches that an action makes, one after the other, each with the states it takes. Kept acked
 * messages have a search of their own.
 */
function searchesFor(action: BulkAction, state: State | null, { ids }: Selection): State[][] {
  if (action === 'redrive') return [['dead']]
  if (action === 'retry') return [['delayed']]
  const open: State[] = openStates.filter(state => ids === null || state !== 'leased')
  const acked: State[] = ['acked']
  return [open, acked]
    .map(searched => searched.filter(candidate => state === null || candidate === state))
    .filter(searched => searched.length > 0)
}

export const lastIdStatement: Statement<{ last_value: Digits }> = {
  name: 'last_id',
  text: 'select last_value from holdfast.positions'
}

/**
 * Finds the messages that are there when it begins and match, and hands them on in chunks, the
 * lowest ids first, until the limit or the signal. `act` answers how many it changed: another
 * session may have taken some since. True when it came to the end.
 */
async function eachChunk(
  session: Session,
  queueId: Digits,
  searches: State[][],
  { ids, where, limit }: Selection,
  signal: AbortSignal,
  act: (ids: Digits[], states: State[]) => Promise<number>
): Promise<boolean> {
  const [newest] = await session.query(lastIdStatement)
  let left = limit
  for (const states of searches) {
    for (let after: Digits | null = '0'; after !== null && left > 0;) {
      if (signal.aborted) return false
      const found = await search(session, queueId, { states, where, ids }, after, newest!.last_value)
      const chunk = found.ids.slice(0, left)
      if (chunk.length > 0) left -= await act(chunk, states)
      after = chunk.length < found.ids.length ? chunk.at(-1)! : found.more ? found.examinedTo : null
    }
  }
  return true
}

// Parked messages are purged first. `parked` then asks for the statement again, for the others.
export const purgeStatement: Statement<{ purged: string; parked: boolean; freed: Freed | null }> = {
  name: 'purge',
  parameters: '$1 queue id · $2 message ids · $3 states',
  slow: true,
  text: sql`
    with parked as materialized (
      select m.id
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = any($2::bigint[])
        and ${openState} = any($3::text[])
        and ${isParked}
    ), locked as materialized (
      select m.id
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = any($2::bigint[])
        and ${openState} = any($3::text[])
        and (not exists (select from parked) or ${isParked})
      order by m.id
      for update
    ), purged as (
      delete from holdfast.messages m
      where m.queue_id = $1
        and m.id = any(array(select id from locked))
      returning
        m.id,
        m.queue_id,
        m.line,
        m.place,
        m.position,
        m.turn_rank,
        ${openState} as state,
        ${standsInLine} as stood
    ), forgotten as (
      delete from holdfast.history
      where queue_id = $1
        and message_id = any(array(select id from purged))
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'purged',
        states: leaving(),
        totals: { purged: 'count(*)' }
      })}
    )
    select
      count(*) as purged,
      exists (select from parked) as parked,
      ${freeLines('purged')} as freed
    from purged`
}

export const purgeAckedStatement: Statement<{ purged: string }> = {
  name: 'purge_acked',
  parameters: '$1 queue id · $2 message ids',
  slow: true,
  text: sql`
    with purged as (
      delete from holdfast.acked
      where queue_id = $1
        and id = any($2::bigint[])
      returning id
    ), forgotten as (
      delete from holdfast.history
      where queue_id = $1
        and message_id = any(array(select id from purged))
    ), noted as (
      ${ledgerInsert({ queue: '$1', from: 'purged', states: { acked: '-count(*)' } })}
    )
    select count(*) as purged
    from purged`
}

/**
 * Removes the messages selected, of one state or of all, and reports each chunk to `onPurged`. Of
 * those named by id it leaves the leased ones.
 */
export async function purge(
  session: Session,
  queueId: Digits,
  state: State | null,
  selection: Selection,
  signal: AbortSignal,
  onPurged: (count: number, freed: Freed | null) => void
): Promise<void> {
  const searches = searchesFor('purge', state, selection)
  await eachChunk(session, queueId, searches, selection, signal, async (ids, states) => {
    let purged = 0
    for (let again = true; again;) {
      const [row] = await (states[0] === 'acked'
        ? session.query(purgeAckedStatement, [queueId, ids])
        : session.query(purgeStatement, [queueId, ids, states]))
      const { parked = false, freed = null } = row as { parked?: boolean; freed?: Freed | null }
      onPurged(Number(row!.purged), freed)
      purged += Number(row!.purged)
      again = parked && Number(row!.purged) > 0
    }
    return purged
  })
}

/** `position`: the lowest of those that are ready now. null: all of them wait in their lines. */
interface ReadyRow {
  changed: string
  position: Digits | null
}

interface Readying {
  state: 'dead' | 'delayed'
  /** In which they take their new positions. */
  order: string
  /** A common table expression that locks lines, and what makes positions wait for it. */
  lines?: string
  after?: string
  change: (position: string) => string
  /** Positions, of which the lowest is that of the first one that is ready. */
  position: string
  totals: LedgerEntry['totals'] & {}
}

const readying = (
  name: string,
  { state, order, lines = '', after = '', change, position, totals }: Readying
): Statement<ReadyRow> => ({
  name,
  parameters: '$1 queue id · $2 message ids',
  slow: true,
  text: sql`
    with chosen as materialized (
      select m.id, m.visible_at, m.line, m.turn_rank
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = any($2::bigint[])
        and ${openState} = '${state}'
      order by m.id
      for no key update
    ), ${lines}places as materialized (
      select
        array_agg(id order by id) as ids,
        array_agg(position order by id) as positions
      from (
        select id, nextval('holdfast.positions') as position
        from (select id from chosen order by ${order}) c
        ${after}
      ) c
    ), changed as (
      update holdfast.messages m
      set
        ready_at = statement_timestamp(),
        ${change('places.positions[width_bucket(m.id, places.ids)]')}
      from places
      where m.queue_id = $1
        and m.id = any((select ids from places)::bigint[])
      returning
        m.position,
        m.queue_id,
        m.line,
        m.place,
        m.turn_rank,
        m.turn_rank is not null as stood
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'changed',
        states: { ready: 'count(*)', [state]: '-count(*)' },
        totals
      })}
    )
    select
      count(*) as changed,
      least(
        ${position},
        (${freeLines('changed')}->>'position')::bigint
      ) as position
    from changed`
})

export const redriveStatement = readying('redrive', {
  state: 'dead',
  order: 'id',
  lines: sql`
    opened as materialized (
      select holdfast.open_lines($1, k.lines) as lines
      from (
        select array_agg(line) as lines
        from chosen
        where line is not null
          and turn_rank is null
        having count(*) > 0
      ) k
    ), `,
  after: 'cross join (select count(*) from opened) o',
  change: position => sql`
    position = case
      when m.line is null then ${position}
    end,
    place = case
      when m.line is not null then ${position}
    end,
    dead_at = null,
    unique_key = null,
    attempt = 0,
    ${rankAsRenewed}`,
  position: sql`
    min(position),
    (
      select a.position
      from opened o
      cross join lateral holdfast.advance($1, o.lines, array_fill(0::bigint, array[cardinality(o.lines)])) a
      where (select count(*) from changed) > 0
    )`,
  totals: { redriven: 'count(*)' }
})

// A retried message takes its place as those do that come due: by when it would have come due.
export const retryStatement = readying('retry', {
  state: 'delayed',
  order: 'visible_at, id',
  change: position => sql`
    position = case
      when m.position is not null then ${position}
    end,
    place = case
      when m.turn_rank is not null then ${position}
      else m.place
    end,
    visible_at = null`,
  position: 'min(position)',
  totals: {}
})

const readyingBy =
  (statement: Statement<ReadyRow>, action: 'redrive' | 'retry') =>
  async (
    session: Session,
    queueId: Digits,
    selection: Selection,
    signal: AbortSignal,
    onReady: OnReadyChunk
  ): Promise<void> => {
    const searches = searchesFor(action, null, selection)
    await eachChunk(session, queueId, searches, selection, signal, async ids => {
      const [row] = await session.query(statement, [queueId, ids])
      const count = Number(row!.changed)
      if (count > 0) onReady(count, row!.position === null ? null : Number(row!.position))
      return count
    })
  }

/** Makes dead messages ready, with attempts from zero, and reports each chunk to `onReady`. */
export const redrive = readyingBy(redriveStatement, 'redrive')

/** Makes messages ready that are delayed or back off, and reports each chunk to `onReady`. */
export const retry = readyingBy(retryStatement, 'retry')

export const countsStatement: Statement<Record<State, string | null>> = {
  name: 'counts_of',
  parameters: '$1 queue id',
  text: sql`
    select
      ${states.map(state => `sum(${state}) as ${state}`).join(',\n')}
    from (
      select ${states.join(', ')}
      from holdfast.counts
      where queue_id = $1
      union all
      select ${states.join(', ')}
      from holdfast.ledger
      where queue_id = $1
    ) l`
}

/**
 * How many messages an action would change just now. `more` when counting stopped at its time
 * limit, two seconds. Without ids and a filter nothing is counted: the ledger knows.
 */
export async function countMatches(
  session: Session,
  queueId: Digits,
  action: BulkAction,
  state: State | null,
  selection: Selection,
  signal: AbortSignal
): Promise<{ matched: number; more: boolean }> {
  const searches = searchesFor(action, state, selection)
  if (selection.ids === null && selection.where === null) {
    const [counts] = await session.query(countsStatement, [queueId])
    const all = searches.flat().reduce((sum, counted) => sum + Number(counts![counted]), 0)
    return { matched: Math.min(selection.limit, all), more: false }
  }
  let matched = 0
  const timely = AbortSignal.any([signal, AbortSignal.timeout(countSecondsMax * 1000)])
  const isWhole = await eachChunk(session, queueId, searches, selection, timely, async ids => {
    matched += ids.length
    return ids.length
  })
  return { matched, more: !isWhole }
}

export const bulkVerbs = { purge, redrive, retry, countMatches }
