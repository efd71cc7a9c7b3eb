/** Bulk actions: purge, redrive and retry many messages, in chunks, each a commit of its own. */
import { countSecondsMax } from '../../core/limits.ts'
import { freeStates, openStates, states, type State } from '../../core/counters.ts'
import type { Digits } from '../../core/message.ts'
import type { BulkScope, BulkWork, Freed, Matches, OnReadyChunk, Pace, PurgeScope } from '../../core/ports.ts'
import { newPosition, openState, placesIn } from '../fragments.ts'
import { leaving, ledgerInsert } from '../ledger.ts'
import { freeLines, isParked, lineColumns, standsInLine } from '../lines.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { nextAfter, redrivable, search, type Searched } from './search.ts'

/**
 * The searches that an action makes, one after the other, each with the states it takes. Kept acked
 * messages have a search of their own.
 */
function searchesFor({ action, state, selection: { ids } }: BulkWork): Searched[] {
  if (action === 'redrive') return [redrivable]
  if (action === 'retry') return [['delayed']]
  const open: readonly State[] = ids === null ? openStates : freeStates
  const acked: State[] = ['acked']
  return [open, acked]
    .map(searched => searched.filter(candidate => state === null || candidate === state))
    .filter(searched => searched.length > 0)
}

export const lastIdStatement: Statement<{ last_value: Digits }> = {
  name: 'last_id',
  text: 'select last_value from holdfast.positions'
}

/** Which messages are found, and until when. */
interface Chunked extends BulkScope {
  searches: Searched[]
}

/**
 * Finds the messages that match and are there when it begins. It hands them on in chunks, the lowest
 * ids first, until the limit or the signal. `act` answers how many it changed: another session may
 * have taken some since. True when it came to the end.
 */
export async function eachChunk(
  session: Session,
  queueId: Digits,
  { searches, selection, signal, pass }: Chunked,
  act: (ids: Digits[], states: Searched) => Promise<number>
): Promise<boolean> {
  const [newest] = await session.query(lastIdStatement)
  const { ids, where, limit } = selection
  let left = limit
  for (const states of searches) {
    for (let after: Digits | null = '0'; after !== null && left > 0;) {
      if (signal.aborted) return false
      const step = { after, last: newest!.last_value }
      const found = await search(session, queueId, { states, where, ids }, step)
      const chunk = found.ids.slice(0, left)
      if (chunk.length > 0) left -= await act(chunk, states)
      after = nextAfter(found, chunk)
      if (after !== null && left > 0) await pass()
    }
  }
  return true
}

/**
 * Locks messages of a chunk as `locked`. Parked messages come first and alone. An ack that promotes
 * some of several lines locks them in the order of the lines, which is no order of ids. So parked
 * messages that another session has locked are left out. Where no other is left, they are waited for
 * one by one. `more` in the answer asks for the statement again.
 */
const lockingChunk = (condition: string, mode: 'update' | 'no key update') => {
  const ofChunk = sql`
    from holdfast.messages m
    where m.queue_id = $1
      and m.id = any($2::bigint[])
      and ${condition}`
  return sql`
    matched as materialized (
      select ${isParked} as parked
      ${ofChunk}
    ), free as materialized (
      select m.id
      ${ofChunk}
        and exists (select from matched where parked)
        and ${isParked}
      order by m.id
      for ${mode} skip locked
    ), awaited as materialized (
      select m.id
      ${ofChunk}
        and exists (select from matched where parked)
        and not exists (select from free)
        and ${isParked}
      order by m.id
      limit 1
      for ${mode}
    ), standing as materialized (
      select m.id
      ${ofChunk}
        and not exists (select from matched where parked)
        and not ${isParked}
      order by m.id
      for ${mode}
    ), locked as materialized (
      select id from free
      union all
      select id from awaited
      union all
      select id from standing
    )`
}

/** Takes steps until nothing is left of a chunk, or until the signal. Answers how many they changed. */
async function inSteps(
  signal: AbortSignal,
  step: () => Promise<{ count: number; more: boolean }>
): Promise<number> {
  let changed = 0
  for (;;) {
    const { count, more } = await step()
    changed += count
    if (!more || signal.aborted) return changed
  }
}

const moreThan = (changed: string) => `(select count(*) from matched) > (select count(*) from ${changed})`

/** Kept acked messages stand in no line, so nothing of them is left for later, and none frees others. */
interface PurgedRow {
  purged: string
  more?: boolean
  freed?: Freed | null
}

export const purgeStatement: Statement<PurgedRow> = {
  name: 'purge',
  parameters: '$1 queue id · $2 message ids · $3 states',
  slow: true,
  text: sql`
    with ${lockingChunk(sql`${openState} = any($3::text[])`, 'update')}, purged as (
      delete from holdfast.messages m
      where m.queue_id = $1
        and m.id = any(array(select id from locked))
      returning
        m.id,
        ${lineColumns},
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
      ${moreThan('purged')} as more,
      ${freeLines('purged')} as freed
    from purged`
}

export const purgeAckedStatement: Statement<PurgedRow> = {
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
  { state, selection, signal, pass }: PurgeScope,
  onPurged: (count: number, freed: Freed | null) => void
): Promise<void> {
  const searches = searchesFor({ action: 'purge', state, selection })
  await eachChunk(session, queueId, { searches, selection, signal, pass }, (ids, states) =>
    inSteps(signal, async () => {
      const [row] = await (states[0] === 'acked'
        ? session.query(purgeAckedStatement, [queueId, ids])
        : session.query(purgeStatement, [queueId, ids, states]))
      const { purged, more = false, freed = null } = row!
      const count = Number(purged)
      onPurged(count, freed)
      return { count, more }
    })
  )
}

/** `position`: the lowest of those that are ready now. null: all of them wait in their lines. */
interface RetriedRow {
  changed: string
  more: boolean
  position: Digits | null
}

// A retried message takes its place as those do that come due: by when it would have come due.
export const retryStatement: Statement<RetriedRow> = {
  name: 'retry',
  parameters: '$1 queue id · $2 message ids',
  slow: true,
  text: sql`
    with ${lockingChunk(sql`${openState} = 'delayed'`, 'no key update')}, chosen as materialized (
      select m.id, m.visible_at
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = any(array(select id from locked))
    ), ${placesIn('(select id from chosen order by visible_at, id)')}, changed as (
      update holdfast.messages m
      set
        position = case
          when m.position is not null then ${newPosition}
        end,
        place = case
          when m.turn_rank is not null then ${newPosition}
          else m.place
        end,
        ready_at = statement_timestamp(),
        visible_at = null
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
        states: { ready: 'count(*)', delayed: '-count(*)' }
      })}
    )
    select
      count(*) as changed,
      ${moreThan('changed')} as more,
      least(
        min(position),
        (${freeLines('changed')}->>'position')::bigint
      ) as position
    from changed`
}

/** Makes messages ready that are delayed or back off, and reports each chunk to `onReady`. */
export async function retry(
  session: Session,
  queueId: Digits,
  { selection, signal, pass }: BulkScope,
  onReady: OnReadyChunk
): Promise<void> {
  const searches = searchesFor({ action: 'retry', state: null, selection })
  await eachChunk(session, queueId, { searches, selection, signal, pass }, ids =>
    inSteps(signal, async () => {
      const [row] = await session.query(retryStatement, [queueId, ids])
      const { changed, more, position } = row!
      const count = Number(changed)
      if (count > 0) onReady(count, position === null ? null : Number(position))
      return { count, more }
    })
  )
}

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
  work: BulkWork,
  { signal, pass }: Pace
): Promise<Matches> {
  const { selection } = work
  const searches = searchesFor(work)
  const counted = await countedStates(session, queueId, searches)
  if (selection.ids === null && selection.where === null && counted !== null) {
    const [counts] = await session.query(countsStatement, [queueId])
    const all = counted.reduce((sum, state) => sum + Number(counts![state]), 0)
    return { matched: Math.min(selection.limit, all), more: false }
  }
  let matched = 0
  const timely = AbortSignal.any([signal, AbortSignal.timeout(countSecondsMax * 1000)])
  const counting = { searches, selection, signal: timely, pass }
  const isWhole = await eachChunk(session, queueId, counting, async ids => {
    matched += ids.length
    return ids.length
  })
  return { matched, more: !isWhole }
}

export const anyMovedStatement: Statement<{ found: boolean }> = {
  name: 'any_moved',
  parameters: '$1 queue id',
  text: sql`
    select exists (
      select
      from holdfast.messages
      where queue_id = $1
        and origin is not null
    ) as found`
}

/** The states whose counts add up to what is searched for. null: no counts tell that. */
async function countedStates(
  session: Session,
  queueId: Digits,
  searches: Searched[]
): Promise<State[] | null> {
  if (!searches.includes(redrivable)) {
    return searches.flatMap(searched => (searched === redrivable ? [] : searched))
  }
  const [row] = await session.query(anyMovedStatement, [queueId])
  return row!.found ? null : ['dead']
}

export const bulkVerbs = { purge, retry, countMatches }
