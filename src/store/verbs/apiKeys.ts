/** API keys in the database. */
import { apiKeysMax } from '../../core/limits.ts'
import { makeKey, type ApiKeyGrant, type ApiKeyInfo, type StoredApiKey } from '../../core/apiKey.ts'
import { QueueError } from '../../core/errors.ts'
import type { Revocation } from '../../core/ports.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { schedulesOfOwner } from './schedules.ts'

export const allKeysStatement: Statement<StoredApiKey> = {
  name: 'keys',
  text: sql`
    select
      id,
      name,
      rights,
      requests_per_second as "requestsPerSecond",
      messages_per_second as "messagesPerSecond",
      created_at as "createdAt",
      digest
    from holdfast.keys
    order by created_at, id`
}

/** All keys, the oldest first, without their digests. */
export async function listKeys(session: Session): Promise<ApiKeyInfo[]> {
  return (await session.query(allKeysStatement)).map(({ digest: _, ...info }) => info)
}

// Two calls at once may pass the bound together, by one. It is there so that every replica can keep
// all keys in memory.
export const createKeyStatement: Statement<{ createdAt: string }> = {
  name: 'create_key',
  parameters: '$1 id · $2 name · $3 digest · $4 rights · $5 requests per second · $6 messages per second',
  text: sql`
    insert into holdfast.keys (id, name, digest, rights, requests_per_second, messages_per_second)
    select $1, $2, $3, $4::text[], $5, $6
    where (select count(*) from holdfast.keys) < ${apiKeysMax}
    returning created_at as "createdAt"`
}

/** Makes a key. `secret` is told here and never again. Refuses with tooManyKeys. */
export async function createKey(
  session: Session,
  grant: ApiKeyGrant
): Promise<ApiKeyInfo & { secret: string }> {
  const { id, secret, digest } = makeKey()
  const [row] = await session.query(createKeyStatement, [
    id,
    grant.name,
    digest,
    grant.rights,
    grant.requestsPerSecond,
    grant.messagesPerSecond
  ])
  if (row === undefined) {
    throw new QueueError(
      'tooManyKeys',
      `There are ${apiKeysMax} keys already. Revoke those that nobody uses.`
    )
  }
  return { id, ...grant, createdAt: row.createdAt, secret }
}

export const revokeKeyStatement: Statement = {
  name: 'revoke_key',
  parameters: '$1 id',
  text: 'delete from holdfast.keys where id = $1 returning id'
}

/**
 * Ends a key: every replica refuses it within five seconds. Its schedules stay, paused if asked to.
 * The key ends in a commit of its own, so nothing can stand in the way of that.
 */
export async function revokeKey(session: Session, id: string, pauseSchedules: boolean): Promise<Revocation> {
  const revoked = (await session.query(revokeKeyStatement, [id])).length > 0
  return { revoked, schedules: await schedulesOfOwner(session, id, pauseSchedules) }
}
