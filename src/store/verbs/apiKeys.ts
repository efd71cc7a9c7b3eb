/** API keys in the database. */
import { isDeepStrictEqual } from 'node:util'
import { apiKeysMax } from '../../core/limits.ts'
import {
  keyOf,
  makeKey,
  type ApiKeyChange,
  type ApiKeyGrant,
  type ApiKeyInfo,
  type NewApiKey,
  type StoredApiKey
} from '../../core/apiKey.ts'
import { invalidRequest, QueueError } from '../../core/errors.ts'
import type { Revocation } from '../../core/ports.ts'
import type { Database } from '../database.ts'
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

/** Until the transaction ends, nobody else makes or revokes a key. Keys can still be read. */
export const holdKeysStatement: Statement = {
  name: 'hold_keys',
  text: 'lock table holdfast.keys in share row exclusive mode'
}

export const countKeysStatement: Statement<{ stored: number }> = {
  name: 'count_keys',
  text: 'select count(*)::integer as stored from holdfast.keys'
}

export const createKeyStatement: Statement<{ createdAt: string }> = {
  name: 'create_key',
  parameters: '$1 id · $2 name · $3 digest · $4 rights · $5 requests per second · $6 messages per second',
  text: sql`
    insert into holdfast.keys (id, name, digest, rights, requests_per_second, messages_per_second)
    values ($1, $2, $3, $4::text[], $5, $6)
    returning created_at as "createdAt"`
}

/** Who asks for a new key, and what keys there are beside the stored ones. */
interface KeyMaker {
  /** Keys are asked for, and the caller was let in only because there was none. */
  withoutKey: boolean
  /** The service has an admin key in a file. */
  adminKeyFile: boolean
}

/**
 * Makes a key. `secret` is told here and never again. Refuses with tooManyKeys, adminKeyFirst or
 * unauthorized, as core/apiKeyPorts.ts says. Of two callers without a key only one makes the first one.
 */
export async function createKey(
  database: Database,
  { secret: given, ...grant }: NewApiKey,
  maker: KeyMaker
): Promise<ApiKeyInfo & { secret: string }> {
  const { id, secret, digest } = given === undefined ? makeKey() : keyOf(given)
  const { name, rights, requestsPerSecond, messagesPerSecond } = grant
  return await database.transaction(async session => {
    await session.query(holdKeysStatement)
    const known = given === undefined ? null : await findSame(session, id, digest, grant)
    if (known !== null) return { id, ...grant, createdAt: known.createdAt, secret }
    const [counted] = await session.query(countKeysStatement)
    checkFirst(grant, counted!.stored, maker)
    const [row] = await session.query(createKeyStatement, [
      id,
      name,
      digest,
      rights,
      requestsPerSecond,
      messagesPerSecond
    ])
    return { id, ...grant, createdAt: row!.createdAt, secret }
  })
}

export const findKeyStatement: Statement<StoredApiKey> = {
  name: 'find_key',
  parameters: '$1 id',
  text: sql`
    select *
    from (
      ${allKeysStatement.text}
    ) k
    where id = $1`
}

/** The key of this id. null: there is none. Refuses with invalidRequest one that is not the same. */
async function findSame(
  session: Session,
  id: string,
  digest: Buffer,
  { name, rights, requestsPerSecond, messagesPerSecond }: ApiKeyGrant
): Promise<StoredApiKey | null> {
  const [known] = await session.query(findKeyStatement, [id])
  if (known === undefined) return null
  const isSame =
    known.digest.equals(digest) &&
    isDeepStrictEqual(
      [known.name, known.rights, known.requestsPerSecond, known.messagesPerSecond],
      [name, rights, requestsPerSecond, messagesPerSecond]
    )
  if (isSame) return known
  throw invalidRequest(
    '/secret',
    'has the id of a key that is there, and is another key or may do other things'
  )
}

function checkFirst({ rights }: ApiKeyGrant, stored: number, { withoutKey, adminKeyFile }: KeyMaker): void {
  if (stored >= apiKeysMax) {
    throw new QueueError(
      'tooManyKeys',
      `There are ${apiKeysMax} keys already. Revoke those that nobody uses.`
    )
  }
  if (withoutKey && stored > 0) {
    throw new QueueError(
      'unauthorized',
      'Somebody has just made the first key, so this call needs an admin key now. No key was made.'
    )
  }
  if (stored === 0 && !adminKeyFile && !rights.includes('admin')) {
    throw new QueueError(
      'adminKeyFirst',
      'There is no key yet, and the first one must have the right admin: without one, nobody could ' +
        'make or revoke keys over HTTP. Make an admin key first, or give one in HOLDFAST_ADMIN_KEY_FILE.'
    )
  }
}

export const changeKeyStatement: Statement = {
  name: 'change_key',
  parameters: '$1 id · $2 change, as JSON',
  text: sql`
    update holdfast.keys k
    set
      rights = case
        when c.new ? 'rights' then array(select jsonb_array_elements_text(c.new->'rights'))
        else k.rights
      end,
      requests_per_second = case
        when c.new ? 'requestsPerSecond' then (c.new->>'requestsPerSecond')::float8
        else k.requests_per_second
      end,
      messages_per_second = case
        when c.new ? 'messagesPerSecond' then (c.new->>'messagesPerSecond')::float8
        else k.messages_per_second
      end
    from (select $2::jsonb as new) c
    where id = $1`
}

/**
 * Changes what a key may do, and answers it. Null: there is no such key. Refuses with adminKeyFirst to
 * take the right `admin` from the only key that has it, unless there is an admin key file.
 */
export async function changeKey(
  database: Database,
  id: string,
  change: ApiKeyChange,
  { adminKeyFile }: Pick<KeyMaker, 'adminKeyFile'>
): Promise<ApiKeyInfo | null> {
  return await database.transaction(async session => {
    await session.query(holdKeysStatement)
    const before = await listKeys(session)
    await session.query(changeKeyStatement, [id, JSON.stringify(change)])
    const after = await listKeys(session)
    if (!adminKeyFile && before.some(isAdmin) && !after.some(isAdmin)) {
      throw new QueueError(
        'adminKeyFirst',
        `The key ${id} is the only one with the right admin: without it, nobody could make or revoke ` +
          'keys over HTTP. Nothing was changed. Make another admin key first.'
      )
    }
    return after.find(key => key.id === id) ?? null
  })
}

const isAdmin = ({ rights }: ApiKeyInfo): boolean => rights.includes('admin')

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
