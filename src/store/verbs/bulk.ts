/**
 * Mending: cancel, and the mass actions purge, redrive and retry, in chunks that are commits of
 * their own.
 */
import { openStates, type State } from '../../core/counters.ts'
import type { Digits, Selection } from '../../core/message.ts'
import type { BulkAction } from '../../core/ports.ts'
import { look } from './browse.ts'
import type { Row, Session, Statement } from '../database.ts'

const cancelStatement: Statement = {
  name: 'cancel',
  text: `
  with found as materialized (
    select m.id, m.leased_until is not null as leased, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
    from holdfast.messages m where m.queue_id = $1 and m.id = $2 for update
  ), gone as (
    delete from holdfast.messages m using found where not found.leased and m.queue_id = $1 and m.id = $2 returning found.state
  ), forgotten as (
    delete from holdfast.history h using gone where h.queue_id = $1 and h.message_id = $2
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, dead, purged_total)
    select $1, -(state = 'ready')::int, -(state = 'delayed')::int, -(state = 'dead')::int, 1 from gone
  )
  select leased from found`
}

const cancelAckedStatement: Statement = {
  name: 'cancel_acked',
  text: `
  with gone as (
    delete from holdfast.acked where queue_id = $1 and id = $2 returning id
  ), forgotten as (
    delete from holdfast.history h using gone where h.queue_id = $1 and h.message_id = $2
  ), noted as (
    insert into holdfast.ledger (queue_id, acked) select $1, -1 from gone
  )
  select id from gone`
}

/** Removes one message that nobody holds. */
export async function cancel(
  session: Session,
  queueId: Digits,
  id: Digits
): Promise<'cancelled' | 'leased' | 'unknown'> {
  const [row] = await session.query(cancelStatement, [queueId, id])
  if (row !== undefined) return row.leased ? 'leased' : 'cancelled'
  return (await session.query(cancelAckedStatement, [queueId, id])).length > 0 ? 'cancelled' : 'unknown'
}

const countMsMax = 2000

// Where an action goes, and in which states it takes what it finds there.
function placesOf(action: BulkAction, state: State | null, { ids }: Selection): State[][] {
  if (action === 'redrive') return [['dead']]
  if (action === 'retry') return [['delayed']]
  const all = [
    ids === null ? [...openStates] : openStates.filter(one => one !== 'leased'),
    ['acked' as const]
  ]
  return all
    .map(states => states.filter(one => state === null || one === state))
    .filter(states => states.length > 0)
}

const lastId: Statement = { name: 'last_id', text: 'select last_value from holdfast.positions' }

/**
 * Finds the messages that are there when it begins and are meant, and hands them on in chunks, the
 * lowest ids first, until the limit or the signal. `act` says how many it changed, for by then
 * some may be in other hands. True when it came to the end.
 */
async function each(
  session: Session,
  queueId: Digits,
  places: State[][],
  { ids, where, limit }: Selection,
  signal: AbortSignal,
  act: (ids: Digits[], states: State[]) => Promise<number>
): Promise<boolean> {
  const [{ last_value: last }] = (await session.query(lastId)) as [Row]
  let left = limit
  for (const states of places) {
    for (let after: Digits | null = '0'; after !== null && left > 0;) {
      if (signal.aborted) return false
      const found = await look(session, queueId, { states, where, ids }, after, last)
      const some = found.ids.slice(0, left)
      if (some.length > 0) left -= await act(some, states)
      after = some.length < found.ids.length ? some.at(-1)! : found.more ? found.lookedTo : null
    }
  }
  return true
}

const purgeStatement: Statement = {
  name: 'purge',
  slow: true,
  text: `
  with locked as materialized (
    select m.id from holdfast.messages m where m.queue_id = $1 and m.id = any($2::bigint[])
      and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = any($3::text[]) order by m.id for update
  ), purged as (
    delete from holdfast.messages m where m.queue_id = $1 and m.id = any(array(select id from locked))
    returning m.id, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
  ), forgotten as (
    delete from holdfast.history where queue_id = $1 and message_id = any(array(select id from purged))
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, purged_total)
    select $1, -count(*) filter (where state = 'ready'), -count(*) filter (where state = 'delayed'), -count(*) filter (where state = 'leased'),
      -count(*) filter (where state = 'dead'), count(*) from purged having count(*) > 0
  )
  select count(*) as purged from purged`
}

const purgeAckedStatement: Statement = {
  name: 'purge_acked',
  slow: true,
  text: `
  with purged as (
    delete from holdfast.acked where queue_id = $1 and id = any($2::bigint[]) returning id
  ), forgotten as (
    delete from holdfast.history where queue_id = $1 and message_id = any(array(select id from purged))
  ), noted as (
    insert into holdfast.ledger (queue_id, acked) select $1, -count(*) from purged having count(*) > 0
  )
  select count(*) as purged from purged`
}

/** Removes the messages meant: those of a state, or all. Of those named by id it leaves what is leased. */
export async function purge(
  session: Session,
  queueId: Digits,
  state: State | null,
  selection: Selection,
  signal: AbortSignal,
  onPurged: (count: number) => void
): Promise<void> {
  await each(
    session,
    queueId,
    placesOf('purge', state, selection),
    selection,
    signal,
    async (ids, states) => {
      const [row] = (await (states[0] === 'acked'
        ? session.query(purgeAckedStatement, [queueId, ids])
        : session.query(purgeStatement, [queueId, ids, states]))) as [Row]
      onPurged(Number(row.purged))
      return Number(row.purged)
    }
  )
}

// A retried message comes due before its time, and takes its place as those do that come due: by
// when it would have been.
const readying = (
  name: string,
  state: 'dead' | 'delayed',
  order: string,
  change: string,
  redriven: 'count(*)' | '0'
): Statement => ({
  name,
  slow: true,
  text: `
  with chosen as materialized (
    select m.id, m.visible_at from holdfast.messages m
    where m.queue_id = $1 and m.id = any($2::bigint[]) and holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = '${state}'
    order by m.id for no key update
  ), places as materialized (
    select array_agg(id order by id) as ids, array_agg(position order by id) as positions
    from (select id, nextval('holdfast.positions') as position from (select id from chosen order by ${order}) c) c
  ), changed as (
    update holdfast.messages m set position = places.positions[width_bucket(m.id, places.ids)], ${change}
    from places where m.queue_id = $1 and m.id = any((select ids from places)::bigint[])
    returning m.position
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, ${state}, redriven_total) select $1, count(*), -count(*), ${redriven} from changed having count(*) > 0
  )
  select count(*) as changed, min(position) as position from changed`
})

const redriveStatement = readying(
  'redrive',
  'dead',
  'id',
  'dead_at = null, attempt = 0, rank = m.rank & ~1',
  'count(*)'
)
const retryStatement = readying('retry', 'delayed', 'visible_at, id', 'visible_at = null', '0')

const readyingBy =
  (statement: Statement, action: 'redrive' | 'retry') =>
  async (
    session: Session,
    queueId: Digits,
    selection: Selection,
    signal: AbortSignal,
    onReady: (count: number, position: number) => void
  ): Promise<void> => {
    await each(session, queueId, placesOf(action, null, selection), selection, signal, async ids => {
      const [row] = (await session.query(statement, [queueId, ids])) as [Row]
      const count = Number(row.changed)
      if (count > 0) onReady(count, Number(row.position))
      return count
    })
  }

/** Dead messages become ready again, attempts from zero. */
export const redrive = readyingBy(redriveStatement, 'redrive')

/** Delayed and backing-off messages become ready now. */
export const retry = readyingBy(retryStatement, 'retry')

const countsStatement: Statement = {
  name: 'counts_of',
  text: `
  select sum(ready) as ready, sum(delayed) as delayed, sum(leased) as leased, sum(dead) as dead, sum(acked) as acked
  from (
    select ready, delayed, leased, dead, acked from holdfast.counts where queue_id = $1
    union all
    select ready, delayed, leased, dead, acked from holdfast.ledger where queue_id = $1
  ) l`
}

/**
 * How many messages an action would change just now; `more` when it stopped counting early.
 * Without ids or a filter nothing is counted: the ledger knows.
 */
export async function countMatches(
  session: Session,
  queueId: Digits,
  action: BulkAction,
  state: State | null,
  selection: Selection,
  signal: AbortSignal
): Promise<{ matched: number; more: boolean }> {
  const places = placesOf(action, state, selection)
  if (selection.ids === null && selection.where === null) {
    const [counts] = (await session.query(countsStatement, [queueId])) as [Row]
    return {
      matched: Math.min(
        selection.limit,
        places.flat().reduce((sum, one) => sum + Number(counts[one]), 0)
      ),
      more: false
    }
  }
  let matched = 0
  const whole = await each(
    session,
    queueId,
    places,
    selection,
    AbortSignal.any([signal, AbortSignal.timeout(countMsMax)]),
    async ids => {
      matched += ids.length
      return ids.length
    }
  )
  return { matched, more: !whole }
}

export const bulkVerbs = { cancel, purge, redrive, retry, countMatches }
