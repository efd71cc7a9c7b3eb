/** Looking at messages without leasing them: which of them are wanted, a page of them, one of them. */
import { openStates, type State } from '../../core/counters.ts'
import { idMax, type Digits, type Filter, type MessageDetail, type MessageView } from '../../core/message.ts'
import type { Row, Session, Statement } from '../database.ts'
import { answerBytes, lastFailureAbove } from './messages.ts'

export const historyMax = 1000
const chunk = 2000
const chunksMax = 5
const chunkBytesMax = 8 * 1024 * 1024

const state = 'holdfast.state_of(m.visible_at, m.leased_until, m.dead_at)'
const viewColumns = `
    m.id, ${state} as state, m.body, m.body_bytes as "bodyBytes", m.content_type as "contentType", m.headers,
    m.rank >> 1 as priority, m.attempt, coalesce(m.max_attempts, q.max_attempts) as "maxAttempts", m.enqueued_at as "enqueuedAt",
    m.visible_at as "visibleAt", f.last_failure as "lastFailure"`
const ackedColumns = `
    m.id, 'acked' as state, m.body, m.body_bytes as "bodyBytes", m.content_type as "contentType", m.headers,
    m.rank >> 1 as priority, m.attempt, m.max_attempts as "maxAttempts", m.enqueued_at as "enqueuedAt", null::timestamptz as "visibleAt",
    f.last_failure as "lastFailure"`

// Which of the next messages by id are meant: one mechanism for browsing and for every mass
// action. A statement looks at so many messages, and at so many bytes of their bodies, however few
// of them match: so it is short, and costs the same in a queue of any length. It reads a body or a
// history only where the filter asks for it.
const lookOf = (name: string, table: string, state: string, more: string): Statement => ({
  name,
  slow: true,
  text: `
  select max(id) filter (where fits) as looked_to, count(*) = $4 or bool_or(not fits) as more, coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
  from (
    select m.id, m.bytes <= ${chunkBytesMax} as fits, case when m.bytes <= ${chunkBytesMax} then
      m.state = any($5::text[])
      and ($8::timestamptz is null or m.enqueued_at >= $8)
      and ($9::timestamptz is null or m.enqueued_at < $9)
      and ($6::text is null or strpos(m.body, $6) > 0)
      and ($7::text is null or strpos((
        select h.reason from holdfast.history h where h.queue_id = $1 and h.message_id = m.id and h.outcome in ('failed', 'expired') order by h.fence desc limit 1
      ), $7) > 0) end as matched
    from (
      select m.*, sum(case when $6::text is null then 0 else octet_length(m.body) end) over (order by m.id rows unbounded preceding) as bytes
      from (
        select m.id, m.body, m.enqueued_at, ${state} as state from ${table} m where m.queue_id = $1 and m.id > $2 and m.id <= $3 ${more} order by m.id limit $4
      ) m
    ) m
  ) looked`
})

const looks = {
  messages: lookOf('look', 'holdfast.messages', state, ''),
  dead: lookOf('look_dead', 'holdfast.messages', "'dead'", 'and m.dead_at is not null'),
  acked: lookOf('look_acked', 'holdfast.acked', "'acked'", '')
}
const looksAt = {
  messages: lookOf('look_at', 'holdfast.messages', state, 'and m.id = any($10::bigint[])'),
  acked: lookOf('look_at_acked', 'holdfast.acked', "'acked'", 'and m.id = any($10::bigint[])')
}

/** What to look for, acked ones apart from others; `ids` null: among all. */
export interface Wanted {
  states: State[]
  where: Filter | null
  ids: Digits[] | null
}

/**
 * Looks at the next messages by id after `after` and up to `last`: which are wanted, how far it
 * looked, and whether there are more.
 */
export async function look(
  session: Session,
  queueId: Digits,
  { states, where, ids }: Wanted,
  after: Digits,
  last: Digits,
  count = chunk
): Promise<{ ids: Digits[]; lookedTo: Digits | null; more: boolean }> {
  const [state] = states.length === 1 ? states : []
  const statement =
    ids === null
      ? looks[state === 'dead' || state === 'acked' ? state : 'messages']
      : looksAt[state === 'acked' ? state : 'messages']
  const values = [
    queueId,
    after,
    last,
    count,
    states,
    where?.contains,
    where?.reason,
    where?.enqueuedAfter,
    where?.enqueuedBefore
  ]
  const [row] = (await session.query(statement, ids === null ? values : [...values, ids])) as [Row]
  return { ids: row.ids, lookedTo: row.looked_to, more: row.more ?? false }
}

// Looked at once more, since by now they may be acked, or in another state.
const pageOf = (name: string, table: string, columns: string, state: string): Statement => ({
  name,
  text: `
  with picked as materialized (
    select m.id, ${answerBytes} as bytes from ${table} m where m.queue_id = $1 and m.id = any($2::bigint[]) and ($3::text is null or ${state} = $3)
  ), fitting as materialized (
    select id from (select id, row_number() over (order by id) as n, sum(bytes) over (order by id) as bytes from picked) p where n = 1 or bytes <= $4
  )
  select ${columns}, (select count(*) from picked) > (select count(*) from fitting) as cut
  from ${table} m left join holdfast.queues q on q.id = $1 ${lastFailureAbove(0)}
  where m.queue_id = $1 and m.id = any(array(select id from fitting))
  order by m.id`
})

const pages = {
  messages: pageOf('browse', 'holdfast.messages', viewColumns, state),
  acked: pageOf('browse_acked', 'holdfast.acked', ackedColumns, "'acked'")
}

/**
 * A page of messages by id beyond `after`; `cursor` is null at the end. It looks at a bounded
 * number of messages, so a page of rare ones may be short, or empty, and still have a cursor.
 */
export async function browse(
  session: Session,
  queueId: Digits,
  state: State | null,
  where: Filter | null,
  after: Digits,
  limit: number,
  bytesMax: number
): Promise<{ messages: MessageView[]; cursor: Digits | null }> {
  const found: Digits[] = []
  let cursor: Digits | null = after
  // Where every message is wanted, no more are looked at than the page holds.
  const count = where === null && (state === null || state === 'dead' || state === 'acked') ? limit : chunk
  for (let n = 0; n < chunksMax && cursor !== null && found.length < limit; n++) {
    const { ids, lookedTo, more } = await look(
      session,
      queueId,
      { states: state === null ? [...openStates] : [state], where, ids: null },
      cursor,
      idMax,
      count
    )
    found.push(...ids)
    cursor = more ? lookedTo : null
  }
  const ids = found.slice(0, limit)
  if (ids.length < found.length) cursor = ids.at(-1)!
  const messages =
    ids.length === 0
      ? []
      : ((await session.query(pages[state === 'acked' ? state : 'messages'], [
          queueId,
          ids,
          state,
          bytesMax
        ])) as (MessageView & Row)[])
  return { messages, cursor: messages[0]?.cut ? messages.at(-1)!.id : cursor }
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
  detailStatement(
    'message',
    'holdfast.messages',
    viewColumns,
    `(
    select json_build_object('worker', l.workers[l.holders[array_position(l.message_ids, m.id)]], 'leasedAt', holdfast.rfc3339(l.leased_at), 'expiresAt', holdfast.rfc3339(m.leased_until))
    from holdfast.leases l where l.id = m.lease_id and m.leased_until is not null)`
  ),
  detailStatement('acked_message', 'holdfast.acked', ackedColumns, 'null::json')
]

/** One message with its lease and its history, kept acked ones included; null when there is none. */
export async function findMessage(
  session: Session,
  queueId: Digits,
  id: Digits
): Promise<MessageDetail | null> {
  for (const statement of details) {
    const [row] = await session.query(statement, [queueId, id])
    if (row !== undefined) return row as MessageDetail
  }
  return null
}

const endedStatement: Statement = {
  name: 'ended',
  text: `
  select i.n from unnest($1::integer[], $2::bigint[]) with ordinality as i (queue_id, id, n)
  left join lateral (select * from holdfast.messages where queue_id = i.queue_id and id = i.id limit 1) m on true
  where m.id is null or m.dead_at is not null`
}

/** Which of the messages have come to an end: acked, dead or gone. */
export async function whichEnded(
  session: Session,
  messages: { queueId: Digits; id: Digits }[]
): Promise<boolean[]> {
  const ended: boolean[] = Array(messages.length).fill(false)
  for (const row of await session.query(endedStatement, [
    messages.map(one => one.queueId),
    messages.map(one => one.id)
  ])) {
    ended[Number(row.n) - 1] = true
  }
  return ended
}

export const browseVerbs = { browse, findMessage, whichEnded }
