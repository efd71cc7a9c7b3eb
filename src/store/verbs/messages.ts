/**
 * The statements of the hot path: arrays in, one answer per element out. Each is one commit for
 * every caller in it.
 */
import type { Digits } from '../../core/message.ts'
import type {
  EnqueueAnswer,
  EnqueueRow,
  Extended,
  Extension,
  Failed,
  Failure,
  Held,
  LeaseAsk,
  LeasedRow,
  LeaseFlush,
  Released,
  Standing
} from '../../core/ports.ts'
import { int2Array, int4Array, jsonbArray, textArray } from '../arrays.ts'
import { ranks, type ScanHints } from '../upkeep/scanHints.ts'
import { isServerError, type Session, type Statement } from '../database.ts'

// Of messages those whose queue there is. Asked so, PostgreSQL looks each queue up once by key,
// and keeps the order of the messages, in which positions are given out; for a join it would hash
// the messages and lose it.
const queueIsThere = '(i.queue_id in (select id from holdfast.queues where id = any($1::integer[]))) is true'

// What few messages carry comes as JSON, null where there is nothing of it.
const described = `
    select i.n, i.queue_id, nextval('holdfast.positions') as id, i.body, decode(i.o->>'bytes', 'base64') as body_bytes, i.o->>'contentType' as content_type,
      i.o->'headers' as headers, i.priority * 2 as rank, (i.o->>'maxAttempts')::integer as max_attempts, i.o->>'key' as key,
      statement_timestamp() as enqueued_at, statement_timestamp() + make_interval(secs => (i.o->>'ttlSeconds')::float8) as expires_at, i.priority,
      (i.o->>'delaySeconds')::float8 as delay_seconds, (i.o->>'visibleAt')::timestamptz as given_visible_at, (i.o->>'ttlSeconds')::float8 as ttl_seconds,
      case when i.o is null then null
        when coalesce((i.o->>'visibleAt')::timestamptz, statement_timestamp() + make_interval(secs => (i.o->>'delaySeconds')::float8)) > statement_timestamp()
        then coalesce((i.o->>'visibleAt')::timestamptz, statement_timestamp() + make_interval(secs => (i.o->>'delaySeconds')::float8)) end as visible_at
    from unnest($1::integer[], $2::smallint[], $3::text[], $4::jsonb[]) with ordinality as i (queue_id, priority, body, o, n)
    where ${queueIsThere}`

// A flush in which no message has more than a body and a priority, as most are, is spared working
// out the rest.
const bare = `
    select i.n, i.queue_id, nextval('holdfast.positions') as id, i.body, null::bytea as body_bytes, null as content_type, null::jsonb as headers, i.priority * 2 as rank,
      null::integer as max_attempts, statement_timestamp() as enqueued_at, null::timestamptz as expires_at, null::timestamptz as visible_at
    from unnest($1::integer[], $2::smallint[], $3::text[]) with ordinality as i (queue_id, priority, body, n)
    where ${queueIsThere}`

const insertMessages = `
    insert into holdfast.messages (id, position, enqueued_at, visible_at, expires_at, queue_id, max_attempts, rank, body, body_bytes, content_type, headers)
    select id, id, enqueued_at, visible_at, expires_at, queue_id, max_attempts, rank, body, body_bytes, content_type, headers`

const ledgerOf = (rows: string) => `
    insert into holdfast.ledger (queue_id, ready, delayed, enqueued_total)
    select queue_id, count(*) filter (where visible_at is null), count(*) filter (where visible_at is not null), count(*) from ${rows} group by queue_id`

const enqueueUnkeyed = (name: string, stored: string): Statement => ({
  name,
  text: `
  with stored as materialized (${stored}
  ), inserted as (${insertMessages} from stored
  ), noted as (${ledgerOf('stored')}
  )
  select string_agg(n || ' ' || id, ' ') as stored from stored`
})
const enqueueBare = enqueueUnkeyed('enqueue', bare)
const enqueueDescribed = enqueueUnkeyed('enqueue_described', described)

// A key whose time is over is taken over by the new message. "Do update" rather than "do nothing",
// because only it waits for, locks and returns a row that another transaction has just inserted.
const enqueueKeyed: Statement = {
  name: 'enqueue_keyed',
  text: `
  with candidates as materialized (${described}
  ), digested as materialized (
    select *, holdfast.digest_of(body, body_bytes, content_type, headers, priority, delay_seconds, given_visible_at, ttl_seconds, max_attempts) as digest from candidates
  ), claimed as (
    insert into holdfast.idempotency_keys as k (queue_id, key, message_id, digest, expires_at)
    select queue_id, key, d.id, digest, enqueued_at + make_interval(secs => q.dedup_seconds)
    from digested d cross join lateral (select dedup_seconds from holdfast.queues where id = d.queue_id limit 1) q
    where key is not null order by queue_id, key
    on conflict (queue_id, key) do update set
      message_id = case when k.expires_at <= statement_timestamp() then excluded.message_id else k.message_id end,
      digest = case when k.expires_at <= statement_timestamp() then excluded.digest else k.digest end,
      expires_at = case when k.expires_at <= statement_timestamp() then excluded.expires_at else k.expires_at end
    returning queue_id, key, message_id, digest
  ), stored as materialized (
    select d.* from digested d left join claimed c on c.queue_id = d.queue_id and c.key = d.key where d.key is null or c.message_id = d.id
  ), inserted as (${insertMessages} from stored
  ), noted as (${ledgerOf('stored')}
  )
  select d.n, coalesce(c.message_id, d.id) as id, coalesce(c.message_id <> d.id, false) as duplicate, coalesce(c.digest <> d.digest, false) as mismatch
  from digested d left join claimed c on c.queue_id = d.queue_id and c.key = d.key`
}

/**
 * Stores the rows in the order given. Keys must be distinct within a queue: callers collapse
 * repeats first.
 */
export async function enqueue(session: Session, rows: EnqueueRow[]): Promise<EnqueueAnswer[]> {
  const options = rows.map(optionsOf)
  const statement = rows.some(row => row.idempotencyKey !== undefined)
    ? enqueueKeyed
    : options.some(one => one !== null)
      ? enqueueDescribed
      : enqueueBare
  const parameters = [
    int4Array(rows.map(row => Number(row.queueId))),
    int2Array(rows.map(row => row.priority)),
    textArray(rows.map(row => (typeof row.body === 'string' ? row.body : null))),
    ...(statement === enqueueBare ? [] : [jsonbArray(options)])
  ]
  const answers: EnqueueAnswer[] = Array(rows.length).fill(null)
  const answered = await session.query(statement, parameters)
  if (statement === enqueueKeyed) {
    for (const { n, id, duplicate, mismatch } of answered) {
      answers[Number(n) - 1] = { id, duplicate, mismatch }
    }
  } else {
    // In one value, because a row for each costs both sides more than all else of the answer.
    const words: string[] = answered[0]!.stored?.split(' ') ?? []
    for (let i = 0; i < words.length; i += 2) {
      answers[Number(words[i]) - 1] = { id: words[i + 1]!, duplicate: false, mismatch: false }
    }
  }
  return answers
}

function optionsOf(row: EnqueueRow): string | null {
  const { body, contentType, headers, delaySeconds, visibleAt, ttlSeconds, maxAttempts, idempotencyKey } = row
  if (
    typeof body === 'string' &&
    (contentType ??
      headers ??
      delaySeconds ??
      visibleAt ??
      ttlSeconds ??
      maxAttempts ??
      idempotencyKey ??
      null) === null
  ) {
    return null
  }
  return JSON.stringify({
    bytes: typeof body === 'string' ? undefined : body.toString('base64'),
    contentType: contentType ?? undefined,
    headers,
    delaySeconds,
    visibleAt,
    ttlSeconds,
    maxAttempts,
    key: idempotencyKey
  })
}

const leasedColumns = `
    m.id,
    m.fence,
    m.attempt,
    coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
    m.body,
    m.body_bytes as "bodyBytes",
    m.content_type as "contentType",
    m.headers,
    m.rank >> 1 as priority,
    m.enqueued_at as "enqueuedAt",
    m.leased_until as "leaseExpiresAt",
    f.last_failure as "lastFailure"`

/**
 * Joins the last attempt that ended badly; a message with no more leases than `fence` cannot have
 * one, and is spared the look.
 */
export const lastFailureAbove = (fence: number) => `
  left join lateral (
    select json_build_object('attempt', h.attempt, 'reason', h.reason, 'at', holdfast.rfc3339(h.ended_at)) as last_failure
    from holdfast.history h
    where m.fence > ${fence} and h.queue_id = $1 and h.message_id = m.id and h.outcome in ('failed', 'expired')
    order by h.fence desc limit 1
  ) f on true`

/** What a message takes in an answer's JSON, so that the answer can stop before its limit. */
export const answerBytes = `
      case when m.body is null then octet_length(m.body_bytes) * case when m.content_type ~ '^(text/|application/(.*\\+)?(xml|json))' then 6 else 2 end
        when m.content_type is null then octet_length(m.body) else octet_length(to_json(m.body)::text) end + coalesce(octet_length(m.headers::text), 0) + 600`

// A note on plans: they are made once per connection, perhaps while a table is empty, or full of
// dead rows only, when walking over a whole queue looks as cheap as finding a few of its messages.
// So each look-up names an id among the ids given, or has a limit of its own (or an offset of 0),
// which leaves the planner no other way than the key.

/**
 * Forgets the history of messages of any queues, those of a common table expression with their
 * queue_id and id.
 */
export const historyOf = (gone: string) => `
    delete from holdfast.history where ctid = any(array(
      select h.ctid from ${gone} g cross join lateral (select ctid from holdfast.history where queue_id = g.queue_id and message_id = g.id offset 0) h))`

// Settling. Every statement finds its rows by key and by exact fence, so a superseded receipt
// matches nothing. The ids come sorted and distinct: width_bucket finds an id's place among them
// by halving, and an index scan over the sorted ids locks in key order, so that two batches cannot
// wait for one another.
const heldRows = (ids: string, fences: string) =>
  `m.queue_id = $1 and m.id = any(${ids}::bigint[]) and m.fence = ` +
  `(${fences}::bigint[])[width_bucket(m.id, ${ids}::bigint[])]`

const stateCounts = `
      -count(*) filter (where state = 'ready'), -count(*) filter (where state = 'delayed'), -count(*) filter (where state = 'leased'), -count(*) filter (where state = 'dead')`

const acking = (ids: string, fences: string) => `
  keeping as materialized (
    select keep_acked_seconds, max_attempts from holdfast.queues where id = $1 and keep_acked_seconds > 0
  ), done as (
    delete from holdfast.messages m where ${heldRows(ids, fences)}
    returning m.*, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state
  ), archived as (
    insert into holdfast.acked (id, enqueued_at, acked_at, keep_until, fence, queue_id, attempt, max_attempts, rank, body, body_bytes, content_type, headers)
    select m.id, m.enqueued_at, clock_timestamp(), clock_timestamp() + make_interval(secs => keeping.keep_acked_seconds), m.fence, m.queue_id, m.attempt,
      coalesce(m.max_attempts, keeping.max_attempts), m.rank, m.body, m.body_bytes, m.content_type, m.headers
    from keeping, done m
    returning 1
  ), forgotten as (
    delete from holdfast.history
    where queue_id = $1 and message_id = any(array(select id from done where fence > 1)) and not exists (select from keeping)
  ), acks_noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, acked, acked_total)
    select $1, ${stateCounts}, (select count(*) from archived), count(*) from done having count(*) > 0
  )`

// Which row of leases the messages of a flush go in: one for all of them; or, where some are
// leased with a key, one for each key beside the first, which costs the others a twentieth of the
// rate.
const sharedRow = {
  made: "nextval('holdfast.lease_ids')",
  rowOf: (_n: string) => 'lease.rows',
  kept: `
    select lease.rows, min(l.leased_until), lease.at, $1, array_agg(l.id), array_agg(l.fence), $8::text[], array_agg(l.holder), null
    from leased l, lease group by lease.rows, lease.at`,
  known: 'null'
}
const rowPerKey = {
  made: "(select array_agg(nextval('holdfast.lease_ids')) from generate_series(1, cardinality($12::text[])))",
  rowOf: (n: string) => `lease.rows[($11::smallint[])[${n}]]`,
  kept: `
    select l.id, l.ends_at, lease.at, $1, l.ids, l.fences, case part when 1 then $8::text[] else array[($13::text[])[part]] end, l.holders, ($12::text[])[part] as key
    from (select lease_id as id, min(leased_until) as ends_at, array_agg(id) as ids, array_agg(fence) as fences, array_agg(holder) as holders from leased group by lease_id) l,
      lease, lateral array_position(lease.rows, l.id) as part
    order by key`,
  // Keys that have been used before. Where there are messages to lease the unique index says so,
  // by an error; where there are none, only this does.
  known:
    '(select array_agg(idempotency_key) from holdfast.leases where queue_id = $1 and idempotency_key ' +
    '= any($12::text[]))'
}

// Highest rank first. The lateral scan with the limit outside stops as soon as it has enough;
// ordering by (rank, position) in one scan would start from the front of every rank.
const leasing = (rows: typeof sharedRow, after = 'true') => `
  q as materialized (
    select id, lease_seconds, max_attempts from holdfast.queues where id = $1 and not paused and ${after}
  ), found as materialized (
    select m.*
    from q, unnest($2::smallint[], $3::bigint[]) as level (rank, hint)
    cross join lateral (
      select m.id, m.rank, m.position, ${answerBytes} as bytes
      from holdfast.messages m
      where m.queue_id = $1 and m.rank = level.rank and m.position >= level.hint and m.visible_at is null and m.dead_at is null
        and m.leased_until is null and (m.expires_at is null or m.expires_at > statement_timestamp())
      order by m.position
      limit $4
      for no key update skip locked
    ) m
    limit $4
  ), taken as materialized (
    select id, n from (
      select id, row_number() over in_order as n, sum(bytes) over in_order as bytes from found window in_order as (order by rank desc, position)
    ) f where n = 1 or bytes <= $5
  ), places as materialized (
    select array_agg(id order by id) as ids, array_agg(n order by id) as ns from taken
  ), lease as materialized (
    select ${rows.made} as rows, clock_timestamp() as at where exists (select from taken)
  ), leased as (
    update holdfast.messages m
    set fence = m.fence + 1, attempt = m.attempt + 1, lease_id = ${rows.rowOf('places.ns[width_bucket(m.id, ' + 'places.ids)]')},
      leased_until = lease.at + make_interval(secs => coalesce(nullif(($7::float8[])[places.ns[width_bucket(m.id, places.ids)]], 0), q.lease_seconds))
    from lease, q, places
    where m.queue_id = $1 and m.id = any((select ids from places)::bigint[])
    returning m.id, m.fence, m.attempt, m.max_attempts, m.body, m.body_bytes, m.content_type, m.headers, m.rank, m.position, m.enqueued_at, m.leased_until, m.lease_id,
      places.ns[width_bucket(m.id, places.ids)] as n, ($6::smallint[])[places.ns[width_bucket(m.id, places.ids)]] as holder
  ), kept as (
    insert into holdfast.leases (id, ends_at, leased_at, queue_id, message_ids, fences, workers, holders, idempotency_key)${rows.kept}
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, leased, leased_total) select $1, -count(*), count(*), count(*) from leased having count(*) > 0
  )`

const leased = (acked: string, { known }: typeof sharedRow) => `
  select ${leasedColumns}, m.rank, m.position, case when coalesce(m.n, 1) = 1 then json_build_object('scanned', q.id is not null, 'last', (select last_value from holdfast.positions),
    'found', (select count(*) from found), 'full', (select coalesce(sum(bytes), 0) > $5 from found), 'known', ${known}, 'acked', ${acked}, 'at', (select extract(epoch from at) * 1000 from lease)) end as scan
  from (select) one
  left join q on true
  left join leased m on true ${lastFailureAbove(1)}
  order by m.n`

const leaseStatement: Statement = {
  name: 'lease',
  text: `with ${leasing(sharedRow)} ${leased('null', sharedRow)}`
}

// Both in one statement, hence one round trip and one commit. All acks come first: they may wait
// for a lock, and whoever waits must hold no message that it has only just leased.
const ackingAndLeasing = (name: string, rows: typeof sharedRow): Statement => ({
  name,
  text: `with ${acking('$9', '$10')}, ${leasing(rows, '(select count(*) from done) >= 0')} ${leased("(select string_agg(id || '.' " + "|| fence, ',') from done)", rows)}`
})
const ackAndLeaseStatement = ackingAndLeasing('ack_and_lease', sharedRow)
const ackAndLeaseKeyedStatement = ackingAndLeasing('ack_and_lease_keyed', rowPerKey)

/**
 * Leases the first ready messages of a queue, as many as the asks add up to, but no more than
 * `bytesMax` of answer (one message at least). They are handed out in order: the first ask's share
 * first. Nothing beyond them is leased. What is held in `acks` is acked in the same commit (an id
 * may come once only); `acked` are those that were, `id.fence`. `atMs` is when it leased, by the
 * database's clock. A key that an earlier lease has used fails it all with an error that
 * isLeaseKeyTaken knows; `known` are such keys of asks for which there was no message.
 */
export async function lease(
  session: Session,
  scanHints: ScanHints,
  queueId: Digits,
  asks: LeaseAsk[],
  bytesMax: number,
  acks: Held[] = []
): Promise<LeaseFlush> {
  // Of each message it leases: who holds it, for how long (0: as long as the queue says), and
  // which row of leases it goes in. The first row is shared by all who ask without a key; each of
  // the others has one worker and one key.
  const workers = [...new Set(asks.filter(ask => ask.idempotencyKey === null).map(ask => ask.worker))]
  const only: (string | null)[] = [null]
  const keys: (string | null)[] = [null]
  const holders: number[] = []
  const seconds: number[] = []
  const parts: number[] = []
  for (const { max, leaseSeconds, worker, idempotencyKey: key } of asks) {
    const holder = key === null ? workers.indexOf(worker) + 1 : 1
    const part = key === null ? 1 : keys.push(key)
    if (key !== null) only.push(worker)
    for (let i = 0; i < max; i++) {
      holders.push(holder)
      seconds.push(leaseSeconds ?? 0)
      parts.push(part)
    }
  }
  const scan = scanHints.begin(queueId)
  try {
    const parameters = [queueId, ranks, scan.from, holders.length, bytesMax, holders, seconds, workers]
    const settled = heldArrays(queueId, acks).slice(1)
    const rows = await (keys.length > 1
      ? session.query(ackAndLeaseKeyedStatement, [...parameters, ...settled, parts, keys, only])
      : acks.length > 0
        ? session.query(ackAndLeaseStatement, [...parameters, ...settled])
        : session.query(leaseStatement, parameters))
    const { scanned, last, found, full, acked, known, at } = rows[0]!.scan
    const { rank, position } = rows.at(-1)!
    // Not scanned: the queue is paused or gone.
    scanHints.end(
      queueId,
      scan,
      scanned
        ? { rank: rank ?? -1, position: Number(position), exhausted: found < holders.length && !full, last }
        : null
    )
    return {
      rows: rows.filter(row => row.id !== null) as LeasedRow[],
      full,
      acked: acked?.split(',') ?? [],
      usedKeys: known ?? [],
      atMs: at
    }
  } catch (error) {
    if (isLeaseKeyTaken(error)) scanHints.fail(queueId, scan)
    else scanHints.forget(queueId)
    throw error
  }
}

const firstReady: Statement = {
  name: 'first_ready',
  slow: true,
  text: `
  select level.rank, m.position
  from unnest($2::smallint[]) as level (rank)
  cross join lateral (
    select position from holdfast.messages
    where queue_id = $1 and rank = level.rank and visible_at is null and dead_at is null and leased_until is null
    order by position limit 1
  ) m`
}

/**
 * Looks from the very start of a queue, if that is due, and lowers hints that were too high; true
 * when one was. Beside the leases: past a million dead rows it takes a second or two.
 */
export async function findMissed(session: Session, scanHints: ScanHints, queueId: Digits): Promise<boolean> {
  if (!scanHints.takeLook(queueId)) return false
  const rows = await session.query(firstReady, [queueId, ranks]).catch(() => []) // looked again before long
  return scanHints.looked(
    queueId,
    rows.map(({ rank, position }) => ({ rank, position: Number(position) }))
  )
}

/** Whether a lease met the row of another one with the same key; nothing was leased or acked. */
export function isLeaseKeyTaken(error: unknown): boolean {
  return isServerError(error) && error.constraint === 'leases_by_key'
}

const usedKeysStatement: Statement = {
  name: 'used_keys',
  text:
    'select idempotency_key as key from holdfast.leases where queue_id = $1 and idempotency_key ' +
    '= any($2::text[])'
}

/** Those of the keys with which messages have been leased, and may still be held. */
export async function usedLeaseKeys(session: Session, queueId: Digits, keys: string[]): Promise<Set<string>> {
  const rows = await session.query(usedKeysStatement, [queueId, keys])
  return new Set(rows.map(({ key }) => key))
}

const leasedByKey: Statement = {
  name: 'leased_by_key',
  text: `
  select ${leasedColumns}
  from holdfast.leases l
  cross join unnest(l.message_ids, l.fences) with ordinality as h (id, fence, n)
  cross join lateral (
    select * from holdfast.messages m where m.queue_id = $1 and m.id = h.id and m.fence = h.fence and m.leased_until > statement_timestamp() limit 1
  ) m
  cross join lateral (select max_attempts from holdfast.queues where id = $1 limit 1) q ${lastFailureAbove(1)}
  where l.queue_id = $1 and l.idempotency_key = $2
  order by h.n`
}

// Looks at the leases again, since a call with the same key may have been committed after the first look.
const forgetLeaseKey: Statement = {
  name: 'forget_lease_key',
  text: `
  update holdfast.leases l set idempotency_key = null
  where l.queue_id = $1 and l.idempotency_key = $2 and not exists (
    select from unnest(l.message_ids, l.fences) as h (id, fence)
    cross join lateral (select from holdfast.messages m where m.queue_id = $1 and m.id = h.id and m.fence = h.fence and m.leased_until > statement_timestamp() limit 1) m
  )`
}

/**
 * The messages an earlier lease with this key took and still holds; when it holds none any more,
 * the key is free again.
 */
export async function leaseAgain(session: Session, queueId: Digits, key: string): Promise<LeasedRow[]> {
  const rows = await session.query(leasedByKey, [queueId, key])
  if (rows.length === 0) await session.query(forgetLeaseKey, [queueId, key])
  return rows as LeasedRow[]
}

const ackStatement: Statement = { name: 'ack', text: `with ${acking('$2', '$3')} select id, fence from done` }

const failStatement: Statement = {
  name: 'fail',
  text: `
  with held as materialized (
    select m.*, holdfast.state_of(m.visible_at, m.leased_until, m.dead_at) as state, ($4::text[])[i.n] as reason,
      m.dead_at is not null or ($6::boolean[])[i.n] or m.attempt >= coalesce(m.max_attempts, q.max_attempts) as dies,
      coalesce(($5::float8[])[i.n], least(q.retry_max_delay_seconds, (1 + case when q.retry_jitter then random() else 0 end) * q.retry_delay_seconds *
        case q.retry_strategy when 'fixed' then 1 when 'linear' then greatest(m.attempt, 1) else 2 ^ least(greatest(m.attempt - 1, 0), 60) end)) as delay_seconds
    from holdfast.messages m
    cross join lateral (select width_bucket(m.id, $2::bigint[]) as n) i
    cross join lateral (select * from holdfast.queues where id = $1 limit 1) q
    where ${heldRows('$2', '$3')}
    order by m.id
    for no key update of m
  ), failed as (
    update holdfast.messages m
    set leased_until = null, lease_id = null, rank = m.rank | 1, position = nextval('holdfast.positions'),
      dead_at = case when held.dies then coalesce(m.dead_at, statement_timestamp()) end,
      visible_at = case when not held.dies and held.delay_seconds > 0 then statement_timestamp() + make_interval(secs => held.delay_seconds) end
    from held where m.queue_id = $1 and m.id = any($2::bigint[]) and m.id = held.id
    returning m.id, m.fence, m.position, m.visible_at, m.dead_at, held.state
  ), recorded as (
    insert into holdfast.history (leased_at, ended_at, message_id, fence, queue_id, attempt, outcome, worker, reason)
    select l.leased_at, statement_timestamp(), h.id, h.fence, $1, h.attempt, 'failed', l.workers[l.holders[array_position(l.message_ids, h.id)]], h.reason
    from held h left join holdfast.leases l on l.id = h.lease_id where h.state = 'leased'
    on conflict do nothing
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, delayed, leased, dead, failed_total, dead_total)
    select $1, count(*) filter (where new = 'ready') - count(*) filter (where state = 'ready'),
      count(*) filter (where new = 'delayed') - count(*) filter (where state = 'delayed'), -count(*) filter (where state = 'leased'),
      count(*) filter (where new = 'dead') - count(*) filter (where state = 'dead'),
      count(*) filter (where state = 'leased'), count(*) filter (where new = 'dead' and state <> 'dead')
    from (select state, holdfast.state_of(visible_at, null, dead_at) as new from failed) f having count(*) > 0
  )
  select id, fence, position, coalesce(visible_at, statement_timestamp()) as at, visible_at is null and dead_at is null as ready, dead_at is not null as dead from failed`
}

const releaseStatement: Statement = {
  name: 'release',
  text: `
  with held as materialized (
    select m.id, m.fence, m.attempt, m.lease_id from holdfast.messages m
    where ${heldRows('$2', '$3')} and m.leased_until > statement_timestamp() and m.dead_at is null order by m.id for no key update
  ), released as (
    update holdfast.messages m
    set leased_until = null, lease_id = null, rank = m.rank | 1, position = nextval('holdfast.positions'), attempt = m.attempt - 1
    from held where m.queue_id = $1 and m.id = any($2::bigint[]) and m.id = held.id
    returning m.id, m.fence, m.position
  ), recorded as (
    insert into holdfast.history (leased_at, ended_at, message_id, fence, queue_id, attempt, outcome, worker)
    select l.leased_at, statement_timestamp(), h.id, h.fence, $1, h.attempt, 'released', l.workers[l.holders[array_position(l.message_ids, h.id)]]
    from held h left join holdfast.leases l on l.id = h.lease_id
    on conflict do nothing
  ), noted as (
    insert into holdfast.ledger (queue_id, ready, leased, released_total) select $1, count(*), -count(*), count(*) from released having count(*) > 0
  )
  select id, fence, position from released`
}

// A lease that is shortened may now end before the flush's row says, so the row is drawn nearer;
// one that is lengthened needs nothing, for the sweeper moves a row on whose leases have not all
// ended.
const extendStatement: Statement = {
  name: 'extend',
  text: `
  with extended as (
    update holdfast.messages m set leased_until = statement_timestamp() + make_interval(secs => ($4::float8[])[width_bucket(m.id, $2::bigint[])])
    where ${heldRows('$2', '$3')} and m.leased_until > statement_timestamp() and m.dead_at is null
    returning m.id, m.fence, m.lease_id, m.leased_until
  ), drawn as (
    update holdfast.leases l set ends_at = e.ends_at
    from (select lease_id, min(leased_until) as ends_at from extended group by lease_id order by lease_id) e
    where l.id = any(array(select lease_id from extended)) and l.id = e.lease_id and l.ends_at > e.ends_at
  )
  select id, fence, leased_until as at from extended`
}

const lockStatement: Statement = {
  name: 'lock',
  text:
    'select from holdfast.messages where queue_id = $1 and id = any($2::bigint[]) order by id ' +
    'for no key update'
}

/**
 * Locks messages in the order in which every statement locks them: for a transaction that settles
 * some of them twice.
 */
export async function lockMessages(session: Session, queueId: Digits, ids: Digits[]): Promise<void> {
  await session.query(lockStatement, [queueId, ids])
}

// Asked only for receipts that changed nothing: is the message still there, and under which fence?
const standing: Statement = {
  name: 'standing',
  text: `
  select i.id, coalesce(m.fence, a.fence) as fence, m.dead_at is not null as dead, a.id is not null as acked
  from (select distinct unnest($2::bigint[]) as id) i
  left join lateral (select * from holdfast.messages where queue_id = $1 and id = i.id limit 1) m on true
  left join lateral (select * from holdfast.acked where queue_id = $1 and id = i.id limit 1) a on true`
}

/**
 * Each returns the rows it changed, `{id, fence, …}`; what is missing was not held under that
 * fence. An id may come once only.
 */
export async function ack(session: Session, queueId: Digits, held: Held[]): Promise<Held[]> {
  return (await session.query(ackStatement, heldArrays(queueId, held))) as Held[]
}

export async function release(session: Session, queueId: Digits, held: Held[]): Promise<Released[]> {
  return (await session.query(releaseStatement, heldArrays(queueId, held))) as Released[]
}

export async function fail(session: Session, queueId: Digits, held: Failure[]): Promise<Failed[]> {
  return (await session.query(failStatement, [
    ...heldArrays(queueId, held),
    held.map(({ reason }) => reason),
    held.map(({ delaySeconds }) => delaySeconds),
    held.map(({ dead }) => dead)
  ])) as Failed[]
}

export async function extend(session: Session, queueId: Digits, held: Extension[]): Promise<Extended[]> {
  return (await session.query(extendStatement, [
    ...heldArrays(queueId, held),
    held.map(({ leaseSeconds }) => leaseSeconds)
  ])) as Extended[]
}

function heldArrays(queueId: Digits, held: Held[]): [Digits, Digits[], Digits[]] {
  held.sort((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1))
  return [queueId, held.map(one => one.id), held.map(one => one.fence)]
}

/** Where the messages stand whose receipts changed nothing; an id without a row in the answer is gone. */
export async function standings(
  session: Session,
  queueId: Digits,
  ids: Digits[]
): Promise<Map<Digits, Standing>> {
  const rows = await session.query(standing, [queueId, ids])
  return new Map(
    rows
      .filter(row => row.fence !== null)
      .map(row => [row.id, { fence: row.fence, dead: row.dead, acked: row.acked }])
  )
}

export const messageVerbs = (hints: ScanHints) => ({
  enqueue,
  lease: (session: Session, queueId: Digits, asks: LeaseAsk[], bytesMax: number, acks: Held[]) =>
    lease(session, hints, queueId, asks, bytesMax, acks),
  isLeaseKeyTaken: (_session: Session, error: unknown) => isLeaseKeyTaken(error),
  usedLeaseKeys,
  leaseAgain,
  findMissed: (session: Session, queueId: Digits) => findMissed(session, hints, queueId),
  forgetScan: (_session: Session, queueId: Digits) => hints.forget(queueId),
  ack,
  fail,
  extend,
  release,
  lockMessages,
  standings
})
