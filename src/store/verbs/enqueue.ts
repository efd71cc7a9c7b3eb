/** Storing messages: one commit for every caller in the flush. */
import type { Digits } from '../../core/message.ts'
import type { EnqueueAnswer, EnqueueRow } from '../../core/ports.ts'
import { describedColumns, isBare, isTyped, plainColumns, typedColumns } from '../descriptions.ts'
import { contentOf, digestOf } from '../fragments.ts'
import { ledgerInsert } from '../ledger.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { insertInLines, positionIn } from './enqueueLines.ts'
import { bareMessages, linedMessages, messageColumns, plainMessages, typedMessages } from './enqueueRows.ts'

// A message's first position is its id.
export const insertStored = sql`
  insert into holdfast.messages (
    ${['id', 'position', ...messageColumns].join(',\n')}
  )
  select
    ${['id', 'id', ...messageColumns].join(',\n')}
  from stored`

const insertedAs = sql`
  inserted as (
    ${insertStored}
  )`

export const noteStored = ledgerInsert({
  queue: 'queue_id',
  from: 'stored',
  states: {
    ready: 'count(*) filter (where visible_at is null)',
    delayed: 'count(*) filter (where visible_at is not null)'
  },
  totals: { enqueued: 'count(*)' }
})

// One value, because a row for each message costs both sides more than the rest of the answer.
export const storedAs = `string_agg(n || ' ' || id, ' ')`

/** `stored`: the place and the id of each message, all in one text; null when there is none. */
export interface StoredRow {
  stored: string | null
}

const withoutKeys = (messages: string) => sql`
  with stored as materialized (
    ${messages}
  ), inserted as (
    ${insertStored}
  ), noted as (
    ${noteStored}
  )
  select ${storedAs} as stored
  from stored`

const parameters = '$1 queue ids · $2 priorities · $3 bodies kept as text'
const describedParameters = `${parameters} · $4 all else of each message, as JSON`

export const enqueueStatement: Statement<StoredRow> = {
  name: 'enqueue',
  parameters,
  text: withoutKeys(bareMessages)
}

export const enqueueTypedStatement: Statement<StoredRow> = {
  name: 'enqueue_typed',
  parameters: `${parameters} · $4 content types · $5 headers`,
  text: withoutKeys(typedMessages)
}

export const enqueueDescribedStatement: Statement<StoredRow> = {
  name: 'enqueue_described',
  parameters: describedParameters,
  text: withoutKeys(plainMessages)
}

// In lines, so that what is ready for a lease is told from what waits in its line.
export const enqueueLinedStatement: Statement<KeyedRow> = {
  name: 'enqueue_lined',
  parameters: describedParameters,
  text: sql`
    with stored as materialized (
      ${linedMessages}
    ), ${insertInLines}, noted as (
      ${noteStored}
    )
    select
      n,
      id,
      false as duplicate,
      false as mismatch,
      ${positionIn('stood')} as position
    from stood`
}

interface KeyedRow {
  n: string
  id: Digits
  duplicate: boolean
  mismatch: boolean
  /** null: it waits in its line, or is a duplicate. */
  position: Digits | null
}

// A new message takes over a key whose time is over. The conflict does an update, because only that
// waits for, locks and returns a row that another transaction has just inserted.
const withKeys = (messages: string, inserting: string, positions: string) => sql`
    with candidates as materialized (
      ${messages}
    ), digested as materialized (
      select
        *,
        ${digestOf()} as digest
      from candidates
    ), claimed as (
      insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
      select queue_id, key, d.id, digest, enqueued_at + make_interval(secs => q.dedup_seconds)
      from digested d
      cross join lateral (
        select dedup_seconds
        from holdfast.queues
        where id = d.queue_id
        limit 1
      ) q
      where key is not null
      order by queue_id, key
      on conflict (queue_id, key) do update set
        message_id = case
          when k.expires_at <= statement_timestamp() then excluded.message_id
          else k.message_id
        end,
        digest = case
          when k.expires_at <= statement_timestamp() then excluded.digest
          else k.digest
        end,
        expires_at = case
          when k.expires_at <= statement_timestamp() then excluded.expires_at
          else k.expires_at
        end
      returning queue_id, key, message_id, digest
    ), stored as materialized (
      select d.*
      from digested d
      left join claimed c on c.queue_id = d.queue_id and c.key = d.key
      where d.key is null
        or c.message_id = d.id
    ), ${inserting}, noted as (
      ${noteStored}
    )
    select
      d.n,
      coalesce(c.message_id, d.id) as id,
      coalesce(c.message_id <> d.id, false) as duplicate,
      case
        when c.digest <> d.digest then not holdfast.digest_fits(
          c.digest,
          ${contentOf('d.')},
          d.queue_delay_seconds
        )
        else false
      end as mismatch,
      ${positions}
    from digested d
    left join claimed c on c.queue_id = d.queue_id and c.key = d.key`

export const enqueueKeyedStatement: Statement<KeyedRow> = {
  name: 'enqueue_keyed',
  parameters: describedParameters,
  text: withKeys(plainMessages, insertedAs, 'd.id as position')
}

export const enqueueLinedKeyedStatement: Statement<KeyedRow> = {
  name: 'enqueue_lined_keyed',
  parameters: describedParameters,
  text: withKeys(
    linedMessages,
    insertInLines,
    sql`
      (
        select ${positionIn('s')}
        from stood s
        where s.n = d.n
      ) as position`
  )
}

/**
 * Stores the rows in the order given. The answer is null where the queue is gone, or has lines of
 * which its row says nothing. No idempotency key of a queue may come twice: callers collapse repeats
 * first.
 */
export async function enqueue(session: Session, rows: EnqueueRow[]): Promise<EnqueueAnswer[]> {
  const isKeyed = rows.some(row => row.idempotencyKey !== undefined)
  const isLined = rows.some(row => row.lined)
  if (isKeyed || isLined) {
    const answers: EnqueueAnswer[] = Array(rows.length).fill(null)
    const linedStatement = isKeyed ? enqueueLinedKeyedStatement : enqueueLinedStatement
    const statement = isLined ? linedStatement : enqueueKeyedStatement
    for (const { n, mismatch, ...answer } of await session.query(statement, describedColumns(rows))) {
      const index = Number(n) - 1
      answers[index] = { ...answer, mismatch: mismatch && rows[index]!.firstWins !== true }
    }
    return answers
  }
  const [row] = await store(session, rows)
  return storedIn(row!, rows.length)
}

/** By the statement that works out the least for these messages. */
function store(session: Session, rows: EnqueueRow[]): Promise<StoredRow[]> {
  if (rows.every(isBare)) return session.query(enqueueStatement, plainColumns(rows))
  if (rows.every(isTyped)) return session.query(enqueueTypedStatement, typedColumns(rows))
  return session.query(enqueueDescribedStatement, describedColumns(rows))
}

/** The answers for as many messages. null for each that was not stored. */
export function storedIn({ stored }: StoredRow, count: number): EnqueueAnswer[] {
  const answers: EnqueueAnswer[] = Array(count).fill(null)
  const words = stored?.split(' ') ?? []
  for (let i = 0; i < words.length; i += 2) {
    const id = words[i + 1]!
    answers[Number(words[i]) - 1] = { id, duplicate: false, mismatch: false, position: id }
  }
  return answers
}
