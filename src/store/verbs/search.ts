/** Searching the messages of a queue by id: for browsing, and for every bulk action. */
import { freeStates, type State } from '../../core/counters.ts'
import type { Digits, Filter } from '../../core/message.ts'
import { lastFailureOf, openState } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** Messages that one statement examines, at most. */
export const chunk = 2000
/** Their bodies together, where the filter asks for a piece of a body, at most. */
const chunkBytesMax = 4 * 1024 * 1024

/**
 * Whether a text contains the piece. PostgreSQL compares bytes 12 times as fast as characters where a
 * piece is almost found everywhere, and as fast elsewhere. In UTF-8 both find the same.
 */
const contains = (text: string, piece: string) =>
  `position(convert_to(${piece}, 'UTF8') in convert_to(${text}, 'UTF8')) > 0`

const named = 'm.id = any($11::bigint[])'

interface SearchRow {
  examined: string
  /** Of their bodies, where the filter asks for a piece of a body. */
  bytes: string | null
  examined_to: Digits | null
  more: boolean | null
  ids: Digits[]
}

// It examines a bounded number of messages, however few of them match. So it is short, and costs
// the same in a queue of any length. It reads a body or a history only where the filter needs it.
const searchOf = (name: string, rows: string, isNamed = false): Statement<SearchRow> => ({
  name,
  parameters: [
    '$1 queue id · $2 after this id · $3 up to this id · $4 messages examined · $5 states',
    '$6 piece of the body · $7 piece of the last reason',
    '$8 enqueued at or after · $9 enqueued before · $10 group',
    ...(isNamed ? ['$11 message ids'] : [])
  ].join('\n'),
  slow: true,
  text: sql`
    select
      count(*) filter (where fits) as examined,
      max(bytes) filter (where fits and $6::text is not null) as bytes,
      max(id) filter (where fits) as examined_to,
      count(*) = $4 or bool_or(not fits) as more,
      coalesce(array_agg(id order by id) filter (where matched), '{}') as ids
    from (
      select
        m.id,
        m.bytes,
        m.fits,
        case
          when m.fits then
            m.state = any($5::text[])
            and ($8::timestamptz is null or m.enqueued_at >= $8)
            and ($9::timestamptz is null or m.enqueued_at < $9)
            and ($10::text is null or m.marks->>'group' = $10)
            and ($6::text is null or ${contains('m.body', '$6')})
            and ($7::text is null or exists (
              select
              from (
                ${lastFailureOf('h.reason')}
              ) h
              where ${contains('h.reason', '$7')}
            ))
        end as matched
      from (
        select
          m.*,
          m.place = 1 or $6::text is null or m.bytes <= ${chunkBytesMax} as fits
        from (
          select
            m.*,
            row_number() over in_order as place,
            sum(octet_length(m.body)) over in_order as bytes
          from (
            ${rows}
          ) m
          window in_order as (order by m.id rows unbounded preceding)
        ) m
      ) m
    ) examined`
})

const rowsOf = (table: string, state: string, condition = 'true') => sql`
  select
    m.id,
    m.body,
    m.enqueued_at,
    m.marks,
    ${state} as state
  from ${table} m
  where m.queue_id = $1
    and m.id > $2
    and m.id <= $3
    and ${condition}
  order by m.id
  limit $4`

// Each half has an index of its own.
const redrivableRows = sql`
  (
    ${rowsOf('holdfast.messages', openState, 'm.dead_at is not null and m.origin is null')}
  )
  union all
  (
    ${rowsOf('holdfast.messages', openState, 'm.origin is not null')}
  )
  order by id
  limit $4`

/** Among all messages of a queue. */
export const searches = {
  messages: searchOf('search', rowsOf('holdfast.messages', openState)),
  dead: searchOf('search_dead', rowsOf('holdfast.messages', "'dead'", 'm.dead_at is not null')),
  acked: searchOf('search_acked', rowsOf('holdfast.acked', "'acked'")),
  redrivable: searchOf('search_redrivable', redrivableRows)
}

/** Every message that a redrive takes, without a filter. No body is read. */
export const searchAllRedrivable: Statement<SearchRow> = {
  name: 'search_all_redrivable',
  parameters: '$1 queue id · $2 after this id · $3 up to this id · $4 messages examined',
  slow: true,
  text: sql`
    select
      count(*) as examined,
      null as bytes,
      max(id) as examined_to,
      count(*) = $4 as more,
      coalesce(array_agg(id order by id) filter (where state <> 'leased'), '{}') as ids
    from (
      ${redrivableRows}
    ) m`
}

/** Among messages named by id. */
export const searchesById = {
  messages: searchOf('search_by_id', rowsOf('holdfast.messages', openState, named), true),
  acked: searchOf('search_acked_by_id', rowsOf('holdfast.acked', "'acked'", named), true),
  redrivable: searchOf(
    'search_redrivable_by_id',
    rowsOf('holdfast.messages', openState, `${named} and (m.origin is not null or m.dead_at is not null)`),
    true
  )
}

/** What a redrive takes: dead messages, and those with an origin that are not leased. */
export const redrivable = 'redrivable'

/** Which messages: kept acked ones, those in other states, or those that a redrive takes. */
export type Searched = readonly State[] | typeof redrivable

/** What to search for. `ids` null: among all. */
interface Search {
  states: Searched
  where: Filter | null
  ids: Digits[] | null
}

/** A step of a search: the next `count` messages by id, after `after` and up to `last`. */
interface SearchStep {
  after: Digits
  last: Digits
  count?: number
}

/** What a step of a search found: it examined all messages up to the id `examinedTo`. */
interface Found {
  ids: Digits[]
  examined: number
  bytes: number
  examinedTo: Digits | null
  more: boolean
}

/** Takes a step of a search: which messages match, how far it came, and whether there are more. */
export async function search(
  session: Session,
  queueId: Digits,
  wanted: Search,
  { after, last, count = chunk }: SearchStep
): Promise<Found> {
  const { states, where, ids } = wanted
  const statement = statementFor(wanted)
  const range = [queueId, after, last, count]
  const filter = [
    states === redrivable ? freeStates : states,
    where?.contains,
    where?.reason,
    where?.enqueuedAfter,
    where?.enqueuedBefore,
    where?.group,
    ...(ids === null ? [] : [ids])
  ]
  const values = statement === searchAllRedrivable ? range : [...range, ...filter]
  const [row] = await session.query(statement, values)
  return {
    ids: row!.ids,
    examined: Number(row!.examined),
    bytes: Number(row!.bytes),
    examinedTo: row!.examined_to,
    more: row!.more ?? false
  }
}

function statementFor({ states, where, ids }: Search): Statement<SearchRow> {
  const kind = kindOf(states)
  if (ids !== null) return searchesById[kind === 'dead' ? 'messages' : kind]
  return kind === redrivable && where === null ? searchAllRedrivable : searches[kind]
}

/** After which id the next search goes on, where only the first ids found were `taken`. null: at the end. */
export function nextAfter({ ids, more, examinedTo }: Found, taken: Digits[]): Digits | null {
  if (taken.length < ids.length) return taken.at(-1)!
  return more ? examinedTo : null
}

function kindOf(states: Searched): keyof typeof searches {
  if (states === redrivable) return states
  const [state] = states.length === 1 ? states : []
  return state === 'dead' || state === 'acked' ? state : 'messages'
}
