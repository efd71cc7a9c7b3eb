/** Pushes: the endpoints of queues. */
import type { Holding } from '../../core/fairShare.ts'
import { pushDefaults, type Push, type PushSettings } from '../../core/push.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Session, type Statement } from '../statement.ts'

interface PushRow extends Omit<Push, 'queueId' | 'queue'> {
  queueId: number
}

const columns = sql`
  p.queue_id as "queueId",
  p.url,
  p.max_concurrent as "maxConcurrent",
  p.timeout_seconds as "timeoutSeconds",
  p.headers,
  p.key_id as "keyId",
  p.old_key_id as "oldKeyId",
  p.old_key_until as "oldKeyUntil",
  p.caller_id as "callerId",
  p.created_at as "createdAt",
  p.updated_at as "updatedAt"`

const pushOf = (queue: string, { queueId, ...row }: PushRow): Push => ({
  queueId: String(queueId),
  queue,
  ...row
})

export const findPushStatement: Statement<PushRow> = {
  name: 'find_push',
  parameters: '$1 queue',
  text: sql`
    select
      ${columns}
    from holdfast.pushes p
    where p.queue_id = (select id from holdfast.queues where name = $1)`
}

async function findPush(session: Session, queue: string): Promise<Push | null> {
  const [row] = await session.query(findPushStatement, [queue])
  return row === undefined ? null : pushOf(queue, row)
}

export const lockPushesStatement: Statement = {
  name: 'lock_pushes',
  text: sql`select pg_advisory_xact_lock(${lockKeys.push})`
}

export const countPushesStatement: Statement<{ all: number; mine: number; exists: boolean }> = {
  name: 'count_pushes',
  parameters: '$1 queue · $2 id of a caller',
  text: sql`
    select
      exists (
        select
        from holdfast.pushes
        where queue_id = (select id from holdfast.queues where name = $1)
      ) as exists,
      count(*)::float8 as "all",
      (count(*) filter (where caller_id = $2))::float8 as mine
    from holdfast.pushes`
}

async function countPushes(
  session: Session,
  queue: string,
  callerId: string
): Promise<Holding & { exists: boolean }> {
  await session.query(lockPushesStatement)
  const [row] = await session.query(countPushesStatement, [queue, callerId])
  return row!
}

// The lock on the queue waits for a session that is deleting it.
export const putPushStatement: Statement<PushRow & { created: boolean }> = {
  name: 'put_push',
  parameters: [
    '$1 queue · $2 url · $3 requests at one time · $4 timeout in seconds · $5 headers',
    '$6 id of a new key · $7 id of a caller; null in $2 to $5: as it is'
  ].join('\n'),
  text: sql`
    with q as materialized (
      select id
      from holdfast.queues
      where name = $1
      for key share
    )
    insert into holdfast.pushes as p (
      queue_id,
      url,
      max_concurrent,
      timeout_seconds,
      headers,
      key_id,
      caller_id
    )
    select
      q.id,
      coalesce($2::text, o.url),
      coalesce($3::integer, ${pushDefaults.maxConcurrent}),
      coalesce($4::float8, ${pushDefaults.timeoutSeconds}),
      coalesce($5::jsonb, '{}'),
      $6::text,
      $7::text
    from q
    left join holdfast.pushes o on o.queue_id = q.id
    where coalesce($2, o.url) is not null
    on conflict (queue_id) do update set
      url = coalesce($2, p.url),
      max_concurrent = coalesce($3, p.max_concurrent),
      timeout_seconds = coalesce($4, p.timeout_seconds),
      headers = coalesce($5, p.headers),
      version = nextval('holdfast.push_versions'),
      updated_at = clock_timestamp()
    returning
      ${columns},
      p.xmax = 0 as created`
}

async function putPush(
  session: Session,
  queue: string,
  { url = null, maxConcurrent = null, timeoutSeconds = null, headers }: Nullable<PushSettings>,
  { keyId, callerId }: { keyId: string; callerId: string }
): Promise<(Push & { created: boolean }) | null> {
  const [row] = await session.query(putPushStatement, [
    queue,
    url,
    maxConcurrent,
    timeoutSeconds,
    headers === undefined ? null : JSON.stringify(headers),
    keyId,
    callerId
  ])
  if (row === undefined) return null
  const { created, ...push } = row
  return { ...pushOf(queue, push), created }
}

type Nullable<T> = { [K in keyof T]?: T[K] | null }

export const rotatePushStatement: Statement<PushRow> = {
  name: 'rotate_push',
  parameters: '$1 queue · $2 id of a new key · $3 seconds for which the old one signs too',
  text: sql`
    update holdfast.pushes p
    set
      old_key_id = p.key_id,
      old_key_until = clock_timestamp() + $3 * interval '1 second',
      key_id = $2,
      version = nextval('holdfast.push_versions'),
      updated_at = clock_timestamp()
    where p.queue_id = (select id from holdfast.queues where name = $1)
    returning
      ${columns}`
}

async function rotatePush(
  session: Session,
  queue: string,
  keyId: string,
  oldSeconds: number
): Promise<Push | null> {
  await session.query(lockPushesStatement)
  const [row] = await session.query(rotatePushStatement, [queue, keyId, oldSeconds])
  return row === undefined ? null : pushOf(queue, row)
}

export const removePushStatement: Statement = {
  name: 'remove_push',
  parameters: '$1 queue',
  text: sql`
    delete from holdfast.pushes
    where queue_id = (select id from holdfast.queues where name = $1)`
}

async function removePush(session: Session, queue: string): Promise<void> {
  await session.query(lockPushesStatement)
  await session.query(removePushStatement, [queue])
}

// A removal changes the count, and every other change the newest version.
export const pushesVersionStatement: Statement<{ version: string }> = {
  name: 'pushes_version',
  text: sql`
    select count(*) || '.' || coalesce(max(version), 0) as version
    from holdfast.pushes`
}

async function pushesVersion(session: Session): Promise<string> {
  const [row] = await session.query(pushesVersionStatement)
  return row!.version
}

export const allPushesStatement: Statement<PushRow & { queue: string }> = {
  name: 'all_pushes',
  text: sql`
    select
      ${columns},
      q.name as queue
    from holdfast.pushes p
    cross join lateral (
      select name
      from holdfast.queues
      where id = p.queue_id
      limit 1
    ) q`
}

async function allPushes(session: Session): Promise<Push[]> {
  const rows = await session.query(allPushesStatement)
  return rows.map(({ queue, ...row }) => pushOf(queue, row))
}

export const storePushSecretStatement: Statement = {
  name: 'store_push_secret',
  parameters: '$1 secret',
  text: sql`
    insert into holdfast.push_secret (secret)
    values ($1)
    on conflict do nothing`
}

export const pushSecretStatement: Statement<{ secret: Buffer }> = {
  name: 'push_secret',
  text: 'select secret from holdfast.push_secret'
}

async function storedPushSecret(session: Session, made: Buffer | null): Promise<Buffer | null> {
  if (made !== null) await session.query(storePushSecretStatement, [made])
  const [row] = await session.query(pushSecretStatement)
  return row?.secret ?? null
}

export const pushVerbs = {
  findPush,
  countPushes,
  putPush,
  rotatePush,
  removePush,
  pushesVersion,
  allPushes,
  storedPushSecret
}
