/**
 * Settling leased messages: ack, fail, extend, release. Each verb answers the messages that it
 * changed. A message that is missing in the answer was not held under that fence.
 */
import type { AttemptOutcome, Digits } from '../../core/message.ts'
import type {
  Changed,
  Extended,
  Extension,
  Failed,
  Failure,
  Freed,
  Held,
  Released
} from '../../core/ports.ts'
import { doublingsMax } from '../../core/retry.ts'
import { buried, byId, endedBy, heldRows, historyInsert, ofHeld, openState, workerOf } from '../fragments.ts'
import { countIn, leaving, ledgerInsert } from '../ledger.ts'
import {
  comesBackToLine,
  freeLines,
  isCounted,
  leavesLine,
  lineColumnsOf,
  placeOfReturned,
  positionOfReturned
} from '../lines.ts'
import { rankAsReturned } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** A settled message; `freed` is the same in all rows of an answer. */
export type Settled<Row> = Row & { freed: Freed | null }

/** The answer of a statement that settles, with what all its rows say taken out. */
export const changedBy = <Row>(rows: Settled<Row>[]): Changed<Row> => ({
  rows,
  freed: rows[0]?.freed ?? null
})

const heldParameters = '$1 queue id · $2 message ids · $3 fences'

/** What is kept of an acked message `m`, by its columns in holdfast.acked. */
const keptOfAcked = {
  id: 'm.id',
  enqueued_at: 'm.enqueued_at',
  acked_at: 'clock_timestamp()',
  keep_until: 'clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds)',
  fence: 'm.fence',
  queue_id: 'm.queue_id',
  attempt: 'm.attempt',
  max_attempts: 'coalesce(m.max_attempts, keeping.max_attempts)',
  rank: 'coalesce(m.turn_rank, m.rank)',
  body: 'm.body',
  body_bytes: 'm.body_bytes',
  content_type: 'm.content_type',
  headers: 'm.headers',
  marks: 'm.marks',
  origin: 'm.origin'
}

const archiveInsert = (columns: Record<string, string>) => sql`
  insert into holdfast.acked (
    ${Object.keys(columns).join(',\n')}
  )
  select
    ${Object.values(columns).join(',\n')}
  from keeping, done m`

/**
 * The common table expressions that ack: `done` are the messages acked, of those for which `isHeld`.
 * `result`, if any, is kept.
 */
export const acking = (isHeld: string, result?: string) => sql`
  keeping as materialized (
    select keep_acked_seconds, max_attempts
    from holdfast.queues
    where id = $1
      and keep_acked_seconds > 0
  ), done as (
    delete from holdfast.messages m
    where ${isHeld}
    returning
      m.*,
      ${openState} as state,
      ${leavesLine}
  ), archived as (
    ${archiveInsert(result === undefined ? keptOfAcked : { ...keptOfAcked, result })}
    returning 1
  ), forgotten as (
    delete from holdfast.history
    where queue_id = $1
      and message_id = any(array(select id from done where fence > 1))
      and not exists (select from keeping)
  ), acks_noted as (
    ${ledgerInsert({
      queue: '$1',
      from: 'done',
      states: { ...leaving(), acked: '(select count(*) from archived)' },
      totals: { acked: 'count(*)' }
    })}
  )`

export const ackStatement: Statement<Settled<Held>> = {
  name: 'ack',
  parameters: heldParameters,
  text: sql`
    with ${acking(heldRows('$2', '$3'))}
    select
      id,
      fence,
      ${freeLines('done')} as freed
    from done`
}

/** Removes messages, or keeps them as acked where the queue says so. No id may come twice. */
export async function ack(session: Session, queueId: Digits, held: Held[]): Promise<Changed<Held>> {
  return changedBy(await session.query(ackStatement, [queueId, ...heldArrays(held, 'id', 'fence')]))
}

/** The retry curve of core/retry.ts, for message `m` by the settings of queue `q`. */
const retryDelaySeconds = sql`
  least(
    q.retry_max_delay_seconds,
    (1 + case when q.retry_jitter then random() else 0 end)
      * q.retry_delay_seconds
      * case q.retry_strategy
          when 'exponential' then 2 ^ least(greatest(m.attempt - 1, 0), ${doublingsMax})
          when 'linear' then greatest(m.attempt, 1)
          else 1
        end
  )`

/** How the attempt of `h`, one of `held`, has ended. Its row of leases is `l`. */
const attemptOfHeld = (outcome: AttemptOutcome) => ({
  leased_at: 'l.leased_at',
  ended_at: 'statement_timestamp()',
  message_id: 'h.id',
  fence: 'h.fence',
  queue_id: '$1',
  attempt: 'h.attempt',
  outcome: endedBy(outcome),
  worker: workerOf('h.id')
})
const heldWithLeases = sql`
  from held h
  left join lateral (
    select *
    from holdfast.leases
    where id = h.lease_id
    limit 1
  ) l on true`
const heldWhileLeased = sql`
  ${heldWithLeases}
  where h.state = 'leased'`

const changeIn = (state: 'ready' | 'delayed' | 'dead') =>
  `${countIn('new', state)} - ${countIn('state', state)}`

export const failStatement: Statement<Settled<Failed>> = {
  name: 'fail',
  parameters: `${heldParameters}\n$4 reasons · $5 delays in seconds, null: the retry curve · $6 dead now`,
  text: sql`
    with held as materialized (
      select
        m.*,
        ${openState} as state,
        ${comesBackToLine} as stood,
        ${isCounted} as was_counted,
        ($4::text[])[i.n] as reason,
        m.dead_at is not null
          or ($6::boolean[])[i.n]
          or (m.attempt >= coalesce(m.max_attempts, q.max_attempts)) is true as dies,
        coalesce(
          ($5::float8[])[i.n],
          ${retryDelaySeconds}
        ) as delay_seconds
      from holdfast.messages m
      cross join lateral (select width_bucket(m.id, $2::bigint[]) as n) i
      cross join lateral (
        select *
        from holdfast.queues
        where id = $1
        limit 1
      ) q
      where ${heldRows('$2', '$3')}
      order by m.id
      for no key update of m
    ), ${byId('dies', 'delay_seconds', 'state', 'stood', 'was_counted')}, failed as (
      update holdfast.messages m
      set
        leased_until = null,
        lease_id = null,
        ${rankAsReturned},
        position = ${positionOfReturned},
        place = ${placeOfReturned},
        ready_at = statement_timestamp(),
        dead_at = case
          when ${ofHeld('dies')} then coalesce(m.dead_at, statement_timestamp())
        end,
        visible_at = case
          when not ${ofHeld('dies')} and ${ofHeld('delay_seconds')} > 0
          then statement_timestamp() + make_interval(secs => ${ofHeld('delay_seconds')})
        end
      from held_by_id h
      where m.queue_id = $1
        and m.id = any((select ids from held_by_id)::bigint[])
      returning
        m.id,
        m.fence,
        m.visible_at,
        m.dead_at,
        ${lineColumnsOf(ofHeld('was_counted'))},
        ${ofHeld('state')} as state,
        ${ofHeld('stood')} as stood
    ), recorded as (
      ${historyInsert({ ...attemptOfHeld('failed'), reason: 'h.reason' }, heldWhileLeased)}
      returning 1
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: '(select state, holdfast.state_of(visible_at, null, dead_at) as new from failed) f',
        states: {
          ready: changeIn('ready'),
          delayed: changeIn('delayed'),
          leased: `-${countIn('state', 'leased')}`,
          dead: changeIn('dead')
        },
        totals: {
          failed: countIn('state', 'leased'),
          dead: "count(*) filter (where new = 'dead' and state <> 'dead')"
        }
      })}
    ), ${buried({
      queue: '$1',
      died: 'failed',
      condition: "dead_at is not null and state <> 'dead'"
    })}
    select
      f.id,
      f.fence,
      case when b.target is null then f.position else b.lowest end as position,
      coalesce(f.visible_at, statement_timestamp()) as at,
      f.position is not null and f.visible_at is null and f.dead_at is null as ready,
      f.dead_at is not null as dead,
      b.target as "movedTo",
      b.target_id as "movedToId",
      ${freeLines('failed')} as freed
    from failed f
    left join buried b on f.dead_at is not null and f.state <> 'dead'`
}

/** Ends attempts that failed: a message is tried again later, or is dead. No id may come twice. */
export async function fail(session: Session, queueId: Digits, held: Failure[]): Promise<Changed<Failed>> {
  const rows = await session.query(failStatement, [
    queueId,
    ...heldArrays(held, 'id', 'fence', 'reason', 'delaySeconds', 'dead')
  ])
  return changedBy(rows)
}

export const releaseStatement: Statement<Settled<Released>> = {
  name: 'release',
  parameters: heldParameters,
  text: sql`
    with held as materialized (
      select
        m.id,
        m.fence,
        m.attempt,
        m.lease_id,
        ${comesBackToLine} as stood,
        ${isCounted} as was_counted
      from holdfast.messages m
      where ${heldRows('$2', '$3')}
        and m.leased_until > statement_timestamp()
        and m.dead_at is null
      order by m.id
      for no key update
    ), ${byId('stood', 'was_counted')}, released as (
      update holdfast.messages m
      set
        leased_until = null,
        lease_id = null,
        ${rankAsReturned},
        position = ${positionOfReturned},
        place = ${placeOfReturned},
        ready_at = statement_timestamp(),
        attempt = m.attempt - 1
      from held_by_id h
      where m.queue_id = $1
        and m.id = any((select ids from held_by_id)::bigint[])
      returning
        m.id,
        m.fence,
        ${lineColumnsOf(ofHeld('was_counted'))},
        ${ofHeld('stood')} as stood
    ), recorded as (
      ${historyInsert(attemptOfHeld('released'), heldWithLeases)}
    ), noted as (
      ${ledgerInsert({
        queue: '$1',
        from: 'released',
        states: { ready: 'count(*)', leased: '-count(*)' },
        totals: { released: 'count(*)' }
      })}
    )
    select
      id,
      fence,
      position,
      ${freeLines('released')} as freed
    from released`
}

/** Gives messages back: they are ready, and the attempt does not count. No id may come twice. */
export async function release(session: Session, queueId: Digits, held: Held[]): Promise<Changed<Released>> {
  return changedBy(await session.query(releaseStatement, [queueId, ...heldArrays(held, 'id', 'fence')]))
}

// A lease that is shortened may now end before its row of leases says, so the row's end is drawn
// nearer. One that is lengthened needs nothing: the sweeper moves on a row whose leases have not
// all ended.
export const extendStatement: Statement<Extended> = {
  name: 'extend',
  parameters: `${heldParameters} · $4 seconds from now`,
  text: sql`
    with extended as (
      update holdfast.messages m
      set leased_until = statement_timestamp()
        + make_interval(secs => ($4::float8[])[width_bucket(m.id, $2::bigint[])])
      where ${heldRows('$2', '$3')}
        and m.leased_until > statement_timestamp()
        and m.dead_at is null
      returning m.id, m.fence, m.lease_id, m.leased_until
    ), drawn as (
      update holdfast.leases l
      set ends_at = e.ends_at
      from (
        select lease_id, min(leased_until) as ends_at
        from extended
        group by lease_id
        order by lease_id
      ) e
      where l.id = any(array(select lease_id from extended))
        and l.id = e.lease_id
        and l.ends_at > e.ends_at
    )
    select id, fence, leased_until as at
    from extended`
}

/** Sets when leases that have not ended are to end, counted from now. No id may come twice. */
export async function extend(
  session: Session,
  queueId: Digits,
  held: Extension[]
): Promise<Changed<Extended>> {
  const rows = await session.query(extendStatement, [
    queueId,
    ...heldArrays(held, 'id', 'fence', 'leaseSeconds')
  ])
  return { rows, freed: null }
}

/** These members of what is held, each as an array, all in the order of the ids that heldRows needs. */
export function heldArrays<H extends Held>(held: H[], ...members: (keyof H)[]): unknown[][] {
  const sorted = held.toSorted((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1))
  return members.map(member => sorted.map(each => each[member]))
}

export const settleVerbs = { ack, fail, extend, release }
