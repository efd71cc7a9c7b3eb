/** Showing messages without leasing them: a page of them, or one. */
import { openStates } from '../../core/counters.ts'
import {
  idMax,
  type Digits,
  type MessageDetail,
  type MessagePage,
  type MessageView
} from '../../core/message.ts'
import type { PageAsked } from '../../core/ports.ts'
import {
  answerBytes,
  attemptJson,
  lastAttempts,
  lastFailureAbove,
  openState,
  originOf,
  workerOf
} from '../fragments.ts'
import { priorityOf, priorityOfAcked } from '../rank.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { movedStatement } from './deadLetters.ts'
import { chunk, search } from './search.ts'

/** A search for one page ends after these steps, or after this time. The page has a cursor to go on. */
const stepsMax = 5
const searchMsMax = 1000

const view = (state: string, priority: string, maxAttempts: string, visibleAt: string) => sql`
  m.id,
  ${state} as state,
  m.body,
  m.body_bytes as "bodyBytes",
  m.content_type as "contentType",
  m.headers,
  m.marks,
  ${priority} as priority,
  m.attempt,
  ${maxAttempts} as "maxAttempts",
  m.enqueued_at as "enqueuedAt",
  ${visibleAt} as "visibleAt",
  f.last_failure as "lastFailure",
  ${originOf} as origin`

const openView = view(openState, priorityOf, 'coalesce(m.max_attempts, q.max_attempts)', 'm.visible_at')
const ackedView = view("'acked'", priorityOfAcked, 'm.max_attempts', 'null::timestamptz')

/** `cut`: not all of the messages fitted into the answer. */
type PageRow = MessageView & { cut: boolean }

// The state is checked once more: since the search a message may have been acked, or have come into
// another state.
const pageOf = (name: string, table: string, columns: string, state: string): Statement<PageRow> => ({
  name,
  parameters: '$1 queue id · $2 message ids · $3 state, null: any · $4 bytes allowed',
  text: sql`
    with picked as materialized (
      select
        m.id,
        ${answerBytes} as bytes
      from ${table} m
      where m.queue_id = $1
        and m.id = any($2::bigint[])
        and ($3::text is null or ${state} = $3)
    ), fitting as materialized (
      select id
      from (
        select
          id,
          row_number() over (order by id) as n,
          sum(bytes) over (order by id) as bytes
        from picked
      ) p
      where n = 1
        or bytes <= $4
    )
    select
      ${columns},
      (select count(*) from picked) > (select count(*) from fitting) as cut
    from ${table} m
    left join holdfast.queues q on q.id = $1
    ${lastFailureAbove(0)}
    where m.queue_id = $1
      and m.id = any(array(select id from fitting))
    order by m.id`
})

export const pages = {
  messages: pageOf('browse', 'holdfast.messages', openView, openState),
  acked: pageOf('browse_acked', 'holdfast.acked', ackedView, "'acked'")
}

/**
 * A page of messages by id. `cursor` is null at the end. It examines a bounded number of messages, so
 * a page of rare ones may be short, or empty, and still have a cursor.
 */
export async function browse(
  session: Session,
  queueId: Digits,
  { state, where, after, limit }: PageAsked,
  bytesMax: number,
  nowMs = () => performance.now()
): Promise<MessagePage> {
  const wanted = { states: state === null ? [...openStates] : [state], where, ids: null }
  // Where every message is wanted, only one more is examined than the page holds: are there others?
  const isAll = where === null && (state === null || state === 'dead' || state === 'acked')
  const matches: Digits[] = []
  const examined = { messages: 0, bytes: 0 }
  let cursor: Digits | null = after
  const untilMs = nowMs() + searchMsMax
  for (let steps = 0; steps < stepsMax && cursor !== null && matches.length < limit; steps++) {
    if (steps > 0 && nowMs() > untilMs) break
    const step = { after: cursor, last: idMax, count: isAll ? limit + 1 : chunk }
    const found = await search(session, queueId, wanted, step)
    matches.push(...found.ids)
    examined.messages += found.examined
    examined.bytes += found.bytes
    cursor = found.more ? found.examinedTo : null
  }
  const ids = matches.slice(0, limit)
  if (ids.length < matches.length) cursor = ids.at(-1)!
  if (ids.length === 0) return { messages: [], cursor, examined }
  const page = pages[state === 'acked' ? state : 'messages']
  const messages = await session.query(page, [queueId, ids, state, bytesMax])
  return { messages, cursor: messages[0]?.cut ? messages.at(-1)!.id : cursor, examined }
}

const detailOf = (
  name: string,
  table: string,
  columns: string,
  unique: string,
  lease: string
): Statement<MessageDetail> => ({
  name,
  parameters: '$1 queue id · $2 message id',
  text: sql`
    select
      ${columns},
      ${unique} as unique,
      ${lease} as lease,
      (
        select coalesce(
          json_agg(
            ${attemptJson('q.name')}
            order by h.fence
          ),
          '[]'
        )
        from ${lastAttempts('queue_id = $1\nand message_id = $2')} h
      ) as history,
      null as "movedTo"
    from ${table} m
    join holdfast.queues q on q.id = $1
    ${lastFailureAbove(0)}
    where m.queue_id = $1
      and m.id = $2`
})

const leaseDetail = sql`
  (
    select json_build_object(
      'worker', ${workerOf('m.id')},
      'leasedAt', holdfast.rfc3339(l.leased_at),
      'expiresAt', holdfast.rfc3339(m.leased_until)
    )
    from holdfast.leases l
    where l.id = m.lease_id
      and m.leased_until is not null
  )`

const heldKey = sql`
  case
    when m.unique_key is not null and m.dead_at is null then json_build_object(
      'key', m.unique_key,
      'until', case when m.unique_until_leased then 'leased' else 'settled' end
    )
  end`

const details = [
  detailOf('message', 'holdfast.messages', `${openView},\nnull as result`, heldKey, leaseDetail),
  detailOf('acked_message', 'holdfast.acked', `${ackedView},\nm.result`, 'null::json', 'null::json')
]

/** Where a message may be found, in this order. Each answers all of MessageDetail. */
export const lookups = [...details, movedStatement]

/**
 * One message with its lease and its history. It may be a kept acked one, or one that has gone to a
 * dead-letter queue. null when there is none.
 */
async function findMessage(session: Session, queueId: Digits, id: Digits): Promise<MessageDetail | null> {
  for (const statement of lookups) {
    const [row] = await session.query(statement, [queueId, id])
    if (row !== undefined) return row
  }
  return null
}

export const endedStatement: Statement<{ n: string }> = {
  name: 'ended',
  parameters: '$1 queue ids · $2 message ids',
  text: sql`
    select i.n
    from unnest($1::integer[], $2::bigint[]) with ordinality as i (queue_id, id, n)
    left join lateral (
      select *
      from holdfast.messages
      where queue_id = i.queue_id
        and id = i.id
      limit 1
    ) m on true
    where m.id is null
      or m.dead_at is not null`
}

/** For each message, in order: whether it is acked, dead or gone. */
async function whichEnded(session: Session, messages: { queueId: Digits; id: Digits }[]): Promise<boolean[]> {
  const rows = await session.query(endedStatement, [
    messages.map(({ queueId }) => queueId),
    messages.map(({ id }) => id)
  ])
  const ended: boolean[] = Array(messages.length).fill(false)
  for (const { n } of rows) ended[Number(n) - 1] = true
  return ended
}

export const browseVerbs = { browse, findMessage, whichEnded }
