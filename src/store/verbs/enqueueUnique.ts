/**
 * Storing messages with unique keys. The snapshot of the statement says which message holds a key. A
 * duplicate locks nothing, because a lease passes by what is locked.
 *
 * What another session has changed since the snapshot makes the statement fail as a serialization
 * failure, and then it runs again. Where others keep being faster, it waits for a turn in which no
 * other service enqueues unique keys to the queue. Only statements that find no such turn run.
 */
import type { EnqueueAnswer, EnqueueRow, Stored } from '../../core/ports.ts'
import { replaces } from '../../core/unique.ts'
import { booleanArray, textArray } from '../arrays.ts'
import { contentOf, digestOf, takesPlain } from '../fragments.ts'
import { hasLines } from '../lines.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { describedColumns } from '../descriptions.ts'
import { enqueue as enqueueOthers, noteStored } from './enqueue.ts'
import { placingInLines, positionIn, takingTurns, withRankInLine } from './enqueueLines.ts'
import { describedMessages, lineOfNew, messageColumns, withQueue } from './enqueueRows.ts'
import { locking, replacing } from './replaceUnique.ts'
import { isExpired, uniqueKeyVerbs } from './uniqueKeys.ts'

const given = sql`
  unnest(
    $1::integer[],
    $2::smallint[],
    $3::text[],
    $4::jsonb[],
    $5::text[],
    $6::boolean[],
    $7::boolean[]
  ) with ordinality as i (queue_id, priority, body, rest, unique_key, until_leased, replaces, n)`

const uniqueColumns = ['i.unique_key', 'i.until_leased as unique_until_leased', 'i.replaces']

const plainMessages = describedMessages(
  sql`
    ${given}
    where ${takesPlain('i.queue_id', '$1')}`,
  ...uniqueColumns,
  'false as keeps_group',
  'null as line',
  'null::smallint as turn_rank'
)

const linedMessages = describedMessages(
  withQueue(given),
  ...uniqueColumns,
  `${hasLines('q')} as keeps_group`,
  ...lineOfNew
)

const placing = sql`
  stood as materialized (
    select
      *,
      null::bigint as place,
      id as position
    from stored
  )`

// The unique key is content too, with the defaults filled in.
const marksWithUnique = (from: string) => sql`
  case
    when ${from}unique_key is null then ${from}marks
    else coalesce(${from}marks, '{}') || jsonb_build_object(
      'unique',
      jsonb_build_array(${from}unique_key, ${from}unique_until_leased, ${from}replaces)
    )
  end`

// What becomes of each message, its fate, by what it meets:
// - known: its idempotency key stands for a message.
// - new: nobody holds its unique key.
// - held: the message that holds the key stays as it is.
// - replacing: that message is changed, unless it has just been leased.
// - refused: that message has another group.
const meeting = (messages: string) => sql`
  free as materialized (
    select holdfast.run_again_if(not bool_and(
      pg_try_advisory_xact_lock_shared(${lockKeys.unique}, q.id)
    ))
    from (select distinct unnest($1::integer[]) as id) q
  ), candidates as materialized (
    select m.*
    from (select count(*) from free) f
    cross join (
      ${messages}
    ) m
  ), digested as materialized (
    select
      *,
      case
        when key is not null then ${digestOf(marksWithUnique(''))}
      end as digest
    from candidates
  ), met as materialized (
    select
      d.*,
      k.digest as known_digest,
      coalesce(k.message_id, h.id) as met_id,
      h.is_parked,
      h.is_expired,
      case
        when k.message_id is not null then 'known'
        when h.id is null or h.is_expired then 'new'
        when h.is_leased or not d.replaces then 'held'
        when d.keeps_group and d.marks->>'group' is distinct from h.group then 'refused'
        else 'replacing'
      end as fate
    from digested d
    left join lateral (
      select message_id, digest
      from holdfast.idempotency_keys
      where queue_id = d.queue_id
        and key = d.key
        and expires_at > statement_timestamp()
      limit 1
    ) k on true
    left join lateral (
      select
        m.id,
        m.position is null as is_parked,
        m.leased_until is not null as is_leased,
        m.marks->>'group' as group,
        ${isExpired} as is_expired
      from holdfast.messages m
      where m.queue_id = d.queue_id
        and m.unique_key = d.unique_key
        and m.dead_at is null
        and k.message_id is null
      limit 1
    ) h on true
  )`

/** Whether a message takes its idempotency key. */
const claims = sql`
  key is not null
    and fate not in ('known', 'refused')`

const claiming = sql`
  claimed as (
    insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
    select
      queue_id,
      key,
      case
        when fate = 'new' then d.id
        else d.met_id
      end,
      digest,
      enqueued_at + make_interval(secs => q.dedup_seconds)
    from met d
    cross join lateral (
      select dedup_seconds
      from holdfast.queues
      where id = d.queue_id
      limit 1
    ) q
    where ${claims}
    order by queue_id, key
    on conflict (queue_id, key) do update set
      message_id = excluded.message_id,
      digest = excluded.digest,
      expires_at = excluded.expires_at
    where k.expires_at <= statement_timestamp()
    returning 1
  )`

/** Takes the key from messages that are past their time to live. */
const clearing = sql`
  cleared as (
    update holdfast.messages m
    set unique_key = null
    where m.queue_id = any(array(select queue_id from met where is_expired))
      and m.id = any(array(select met_id from met where is_expired))
      and ${isExpired}
    returning 1
  )`

const storedColumns = [
  'id',
  'position',
  'line',
  'place',
  'turn_rank',
  'unique_key',
  'unique_until_leased',
  ...messageColumns
]

/** What became of each message. Fails if another session has changed what this relies on. */
const answering = sql`
  select
    d.n,
    case
      when d.fate = 'new' then d.id
      else d.met_id
    end as id,
    d.fate in ('known', 'held') or d.fate = 'replacing' and r.n is null as duplicate,
    r.n is not null as replaced,
    d.fate = 'refused' as "otherGroup",
    case
      when d.fate = 'known' and d.known_digest <> d.digest then not holdfast.digest_fits(
        d.known_digest,
        ${contentOf('d.', marksWithUnique('d.'))},
        d.queue_delay_seconds
      )
      else false
    end as mismatch,
    case
      when r.n is null then ${positionIn('s')}
      when r.turn_rank is not null then coalesce(
        (select t.position from turns t where t.queue_id = d.queue_id),
        r.position
      )
      else r.position
    end as position
  from (
    select holdfast.run_again_if(
      (select count(*) from claimed) < (
        select count(*)
        from met
        where ${claims}
      )
        or (select count(*) from taken) < (select count(*) from met where fate = 'replacing')
        or (select count(*) from inserted) < (select count(*) from stored)
    )
  ) a
  cross join met d
  left join replaced r on r.n = d.n
  left join stood s on s.n = d.n`

// The order of the locks is that of all verbs: idempotency keys, messages that stand, lines, parked
// messages. One that is no longer parked may be locked by a session that waits for our lines, so it is
// not waited for. Unique keys come last and sorted, because an insert waits for another one of its key.
const uniquely = (messages: string, places: string) => sql`
  with ${meeting(messages)}, ${claiming}, ${clearing}, standing as materialized (
    ${locking('not is_parked', 'claimed')}
  ), stored as materialized (
    select d.*
    from (select count(*) from standing) a
    cross join (select count(*) from cleared) b
    cross join met d
    where fate = 'new'
  ), opened as materialized (
    select holdfast.open_lines(queue_id, array_agg(line))
    from (
      select queue_id, line from stored where turn_rank is not null
      union
      select queue_id, line from met where fate = 'replacing' and turn_rank is not null
    ) l
    cross join (select count(*) from stored) a
    group by queue_id
    order by queue_id
  ), ${places}, parked as materialized (
    ${locking('is_parked', '(select 1 from opened union all select 1 from stood) l', ' skip locked')}
  ), inserted as (
    insert into holdfast.messages (
      ${storedColumns.join(',\n')}
    )
    select
      ${withRankInLine(storedColumns).join(',\n')}
    from (select count(*) from parked) a
    cross join (select * from stood order by queue_id, unique_key) s
    on conflict (queue_id, unique_key) where unique_key is not null and dead_at is null do nothing
    returning 1
  ), noted as (
    ${noteStored}
  ), ${replacing}, ${takingTurns(
    sql`
      (
        select queue_id, line, place, turn_rank from stood
        union all
        select queue_id, line, place, turn_rank from replaced
      ) r
      cross join (select count(*) from inserted) a`,
    'true'
  )}
  ${answering}`

type UniqueRow = Stored & { n: string }

const parameters = [
  '$1 queue ids · $2 priorities · $3 bodies kept as text · $4 all else of each message, as JSON',
  '$5 unique keys · $6 whether the first lease gives up the key · $7 whether it replaces'
].join('\n')

export const enqueueUniqueStatement: Statement<UniqueRow> = {
  name: 'enqueue_unique',
  parameters,
  text: uniquely(plainMessages, placing)
}

export const enqueueLinedUniqueStatement: Statement<UniqueRow> = {
  name: 'enqueue_lined_unique',
  parameters,
  text: uniquely(linedMessages, placingInLines)
}

/**
 * Stores rows, of which some have unique keys, as `enqueue` does. No idempotency key and no unique key
 * of a queue may come twice.
 */
async function enqueueUnique(session: Session, rows: EnqueueRow[]): Promise<EnqueueAnswer[]> {
  const isLined = rows.some(row => row.lined)
  const stored = await session.query(isLined ? enqueueLinedUniqueStatement : enqueueUniqueStatement, [
    ...describedColumns(rows),
    textArray(rows.map(row => row.unique?.key ?? null)),
    booleanArray(rows.map(row => row.unique?.until === 'leased')),
    booleanArray(rows.map(replaces))
  ])
  const answers: EnqueueAnswer[] = Array(rows.length).fill(null)
  for (const { n, ...answer } of stored) answers[Number(n) - 1] = answer
  return answers
}

/** Stores messages. Those with unique keys have a statement of their own. */
export async function enqueue(session: Session, rows: EnqueueRow[]): Promise<EnqueueAnswer[]> {
  return await (rows.some(row => row.unique !== undefined) ? enqueueUnique : enqueueOthers)(session, rows)
}

export const enqueueVerbs = { enqueue, ...uniqueKeyVerbs }
