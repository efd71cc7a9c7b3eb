/** Looking at messages without leasing them, and mending: one message, a page of them, cancel, purge, redrive. */
import type { Body, Digits, LastFailure, State } from '../core/message.ts'
import type { Database, Row, Session, Statement } from './database.ts'
import { answerBytes, lastFailureAbove } from './messages.ts'

export interface MessageView extends Body {
  id: Digits
  state: State
  headers: Record<string, string> | null
  rank: number
  attempt: number
  max_attempts: number
  enqueued_at: string
  visible_at: string | null
  last_failure: LastFailure | null
}

export interface MessageDetail extends MessageView {
  lease: { worker: string, leasedAt: string, expiresAt: string } | null
  history: { attempt: number, worker: string | null, leasedAt: string | null, endedAt: string, outcome: 'failed' | 'expired' | 'released', reason: string | null }[]
}

export const historyMax = 1000
const examinedMax = 10_000
const chunk = 5000

const viewColumns = `
    m.id, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state, m.body, m.body_bytes as "bodyBytes", m.content_type as "contentType", m.headers,
    m.rank, m.attempt, coalesce(m.max_attempts, q.max_attempts) as max_attempts, m.enqueued_at, m.visible_at, f.last_failure`
const ackedColumns = `
    m.id, 'acked' as state, m.body, m.body_bytes as "bodyBytes", m.content_type as "contentType", m.headers,
    m.rank, m.attempt, m.max_attempts, m.enqueued_at, null::timestamptz as visible_at, f.last_failure`

// Only so many messages are examined for one page, so that a rare state in a long queue costs a bounded look: such a page
// may be short, or empty, and still have a cursor.
const pageOf = (name: string, table: string, columns: string, state: string, examined: string): Statement => ({
  name,
  text: `
  with examined as materialized (
    select m.id, ${state} as state, ${answerBytes} as bytes from ${table} m where m.queue_id = $1 and m.id > $2 ${examined} order by m.id limit ${examinedMax}
  ), picked as materialized (
    select id, bytes from examined where $3::text is null or state = $3 order by id limit $4
  ), fitting as materialized (
    select id from (select id, row_number() over (order by id) as n, sum(bytes) over (order by id) as bytes from picked) p where n = 1 or bytes <= $5
  )
  select ${columns}, (select max(id) from examined) as examined_to, (select count(*) from examined) = ${examinedMax} as more_to_examine,
    (select count(*) from picked) = $4 or (select count(*) from picked) > (select count(*) from fitting) as cut
  from (select 1) one left join fitting on true left join ${table} m on m.queue_id = $1 and m.id = fitting.id left join holdfast.queues q on q.id = $1 ${lastFailureAbove(0)}
  order by m.id`
})

const pages = {
  messages: pageOf('browse', 'holdfast.messages', viewColumns, 'holdfast.state_of(m.visible_at, m.leased_until, m.dead_at)', ''),
  dead: pageOf('browse_dead', 'holdfast.messages', viewColumns, "'dead'", 'and m.dead_at is not null'),
  acked: pageOf('browse_acked', 'holdfast.acked', ackedColumns, "'acked'", '')
}

/** A page of messages by id beyond `after`; `cursor` is null at the end. */
export async function browse (session: Session, queueId: Digits, state: State | null, after: Digits, limit: number, bytesMax: number): Promise<{ messages: MessageView[], cursor: Digits | null }> {
  const rows = await session.query(pages[state === 'dead' || state === 'acked' ? state : 'messages'], [queueId, after, state, limit, bytesMax])
  const messages = rows.filter((row) => row.id !== null) as (MessageView & Row)[]
  const [first] = rows
  const cursor = first?.cut ? messages.at(-1)!.id : first?.more_to_examine ? first.examined_to : null
  return { messages, cursor }
}

const detailStatement = (name: string, table: string, columns: string, lease: string): Statement => ({
  name,
  text: `
  select ${columns}, ${lease} as lease, (
    select coalesce(json_agg(json_build_object('attempt', h.attempt, 'worker', h.worker, 'leasedAt', holdfast.rfc3339(h.leased_at), 'endedAt', holdfast.rfc3339(h.ended_at), 'outcome', h.outcome,
      'reason', h.reason) order by h.fence), '[]')
    from (select * from holdfast.history h where h.queue_id = $1 and h.message_id = $2 order by h.fence desc limit ${historyMax}) h
  ) as history
  from ${table} m join holdfast.queues q on q.id = $1 ${lastFailureAbove(0)}
  where m.queue_id = $1 and m.id = $2`
})

const details = [
  detailStatement('message', 'holdfast.messages', viewColumns, `(
    select json_build_object('worker', l.workers[l.holders[array_position(l.message_ids, m.id)]], 'leasedAt', holdfast.rfc3339(l.leased_at), 'expiresAt', holdfast.rfc3339(m.leased_until))
    from holdfast.leases l where l.id = m.lease_id and m.leased_until is not null)`),
  detailStatement('acked_message', 'holdfast.acked', ackedColumns, 'null::json')
]

/** One message with its lease and its history, kept acked ones included; null when there is none. */
export async function findMessage (session: Session, queueId: Digits, id: Digits): Promise<MessageDetail | null> {
  for (const statement of details) {
    const [row] = await session.query(statement, [queueId, id])
    if (row !== undefined) return row as MessageDetail
  }
  return null
}

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
export async function cancel (session: Session, queueId: Digits, id: Digits): Promise<'cancelled' | 'leased' | 'unknown'> {
  const [row] = await session.query(cancelStatement, [queueId, id])
  if (row !== undefined) return row.leased ? 'leased' : 'cancelled'
  return (await session.query(cancelAckedStatement, [queueId, id])).length > 0 ? 'cancelled' : 'unknown'
}

const lastId: Statement = { name: 'last_id', text: 'select last_value from holdfast.positions' }

const purgeStatement: Statement = {
  name: 'purge',
  slow: true,
  text: `
  with examined as materialized (
    select m.id from holdfast.messages m
    where m.queue_id = $1 and m.id > $2 and m.id <= $3 order by m.id limit ${chunk}
  ), locked as materialized (
    select m.id from holdfast.messages m where m.queue_id = $1 and m.id = any(array(select id from examined))
      and ($4::text is null or holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) = $4) order by m.id for update
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
  select (select max(id) from examined) as examined_to, (select count(*) from purged) as purged`
}

const purgeAckedStatement: Statement = {
  name: 'purge_acked',
  slow: true,
  text: `
  with purged as (
    delete from holdfast.acked where queue_id = $1 and id = any(array(select id from holdfast.acked where queue_id = $1 and id > $2 and id <= $3 order by id limit ${chunk})) returning id
  ), forgotten as (
    delete from holdfast.history where queue_id = $1 and message_id = any(array(select id from purged))
  ), noted as (
    insert into holdfast.ledger (queue_id, acked) select $1, -count(*) from purged having count(*) > 0
  )
  select (select max(id) from purged) as examined_to, (select count(*) from purged) as purged`
}

/** Removes the messages that are there when it begins: all of them, or those of one state. In chunks, each its own commit, of which it tells. */
export async function purge (database: Database, queueId: Digits, state: State | null, onPurged: (count: number) => void): Promise<void> {
  const [{ last_value: last }] = await database.query(lastId) as [Row]
  for (const statement of state === 'acked' ? [purgeAckedStatement] : state === null ? [purgeStatement, purgeAckedStatement] : [purgeStatement]) {
    for (let after: Digits | null = '0'; after !== null;) {
      const values: unknown[] = [queueId, after, last]
      const [row] = await database.query(statement, statement === purgeStatement ? [...values, state] : values) as [Row]
      onPurged(Number(row.purged))
      after = row.examined_to
    }
  }
}

const redriveStatement: Statement = {
  name: 'redrive',
  slow: true,
  text: `
  with chosen as materialized (
    select m.id from holdfast.messages m
    where m.queue_id = $1 and m.dead_at is not null and m.id > $2 and ($3::bigint[] is null or m.id = any($3::bigint[]))
    order by m.id limit $4 for no key update
  ), redriven as (
    update holdfast.messages m set dead_at = null, attempt = 0, rank = m.rank & ~1, position = c.position
    from (select id, nextval('holdfast.positions') as position from (select id from chosen order by id) c) c
    where m.queue_id = $1 and m.id = any(array(select id from chosen)) and m.id = c.id
    returning m.id, m.position
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, dead, redriven_total) select $1, count(*), -count(*), count(*) from redriven having count(*) > 0
  )
  select count(*) as redriven, max(id) as redriven_to, min(position) as position from redriven`
}

/** Dead messages become ready again, attempts from zero: those named, or the first `limit` by id. In chunks, each its own commit, of which it tells. */
export async function redrive (database: Database, queueId: Digits, ids: Digits[] | null, limit: number, onReady: (count: number, position: number) => void): Promise<void> {
  let redriven = 0
  for (let after = '0'; redriven < limit;) {
    const [row] = await database.query(redriveStatement, [queueId, after, ids, Math.min(chunk, limit - redriven)]) as [Row]
    const count = Number(row.redriven)
    if (count === 0) break
    redriven += count
    onReady(count, Number(row.position))
    after = row.redriven_to
  }
}

const endedStatement: Statement = {
  name: 'ended',
  text: `
  select i.n from unnest($1::integer[], $2::bigint[]) with ordinality as i (queue_id, id, n)
  left join lateral (select * from holdfast.messages where queue_id = i.queue_id and id = i.id limit 1) m on true
  where m.id is null or m.dead_at is not null`
}

/** Which of the messages have come to an end: acked, dead or gone. */
export async function whichEnded (session: Session, messages: { queueId: Digits, id: Digits }[]): Promise<boolean[]> {
  const ended: boolean[] = Array(messages.length).fill(false)
  for (const row of await session.query(endedStatement, [messages.map((one) => one.queueId), messages.map((one) => one.id)])) ended[Number(row.n) - 1] = true
  return ended
}
