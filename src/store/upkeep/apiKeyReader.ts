/** Keeps the ring of API keys up to date with the database. */
import type { ApiKeyRing } from '../../core/apiKey.ts'
import type { Session } from '../statement.ts'
import { allKeysStatement } from '../verbs/apiKeys.ts'
import { repeat, type Repeated } from './repeat.ts'

const readPauseMs = 1500

/**
 * Reads the keys into the ring, now and every second or two until stopped. Throws when the first
 * read fails; later failures go to `onError`.
 */
export async function keepKeys(
  session: Session,
  ring: ApiKeyRing,
  onError: (error: unknown) => void
): Promise<Repeated> {
  const read = async () => ring.replace(await session.query(allKeysStatement))
  await read()
  return repeat(read, readPauseMs, onError)
}
