/** API keys in the database, and the ring that is kept up to date with them. */
import { apiKeysMax } from '../../core/limits.ts'
import {
  makeKey,
  type ApiKeyGrant,
  type ApiKeyInfo,
  type ApiKeyRing,
  type StoredApiKey
} from '../../core/apiKey.ts'
import { QueueError } from '../../core/errors.ts'
import type { Session, Statement } from '../database.ts'

const allStatement: Statement = {
  name: 'keys',
  text: `
  select id, name, rights, requests_per_second as "requestsPerSecond", messages_per_second as "messagesPerSecond", created_at as "createdAt", digest
  from holdfast.keys order by created_at, id`
}

async function storedKeys(session: Session): Promise<StoredApiKey[]> {
  return (await session.query(allStatement)) as StoredApiKey[]
}

/** All keys, the oldest first, without their digests. */
export async function listKeys(session: Session): Promise<ApiKeyInfo[]> {
  return (await storedKeys(session)).map(({ digest: _, ...info }) => info)
}

// Two who come at once may pass the bound together, by one; it is there so that every replica can
// keep all keys at hand.
const createStatement: Statement = {
  name: 'create_key',
  text: `
  insert into holdfast.keys (id, name, digest, rights, requests_per_second, messages_per_second)
  select $1, $2, $3, $4::text[], $5, $6 where (select count(*) from holdfast.keys) < ${apiKeysMax}
  returning created_at as "createdAt"`
}

/** Makes a key. `secret` is told here and never again. Refuses with tooManyKeys. */
export async function createKey(
  session: Session,
  grant: ApiKeyGrant
): Promise<ApiKeyInfo & { secret: string }> {
  const { id, secret, digest } = makeKey()
  const [row] = await session.query(createStatement, [
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

const revokeStatement: Statement = {
  name: 'revoke_key',
  text: 'delete from holdfast.keys where id = $1 returning id'
}

/** Ends a key: every replica refuses it within five seconds. False when there is none. */
export async function revokeKey(session: Session, id: string): Promise<boolean> {
  return (await session.query(revokeStatement, [id])).length > 0
}

const readMsPause = 1500

/** Reads the keys into the ring, now and every second or two until stopped. */
export async function keepKeys(
  session: Session,
  ring: ApiKeyRing,
  onError: (error: unknown) => void
): Promise<{ stop: () => Promise<void> }> {
  let stopping = false
  let timer: NodeJS.Timeout
  let reading = Promise.resolve()
  const read = async () => {
    ring.replace(await storedKeys(session))
  }
  const schedule = () => {
    timer = setTimeout(() => {
      reading = read()
        .catch(onError)
        .finally(() => {
          if (!stopping) schedule()
        })
    }, readMsPause)
  }
  await read()
  schedule()
  return {
    async stop() {
      stopping = true
      clearTimeout(timer)
      await reading
    }
  }
}
