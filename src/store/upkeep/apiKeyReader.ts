/** Keeps the ring of API keys up to date with the database. */
import type { ApiKeyRing } from '../../core/apiKey.ts'
import type { Session } from '../statement.ts'
import { allKeysStatement } from '../verbs/apiKeys.ts'
import { repeat, type Repeated } from './repeat.ts'

const readPauseMs = 1500

/** Keys that are being read. */
interface KeptKeys extends Repeated {
  /** Reads them now, after a change made here. A failure goes to `onError`. */
  read(): Promise<void>
}

/**
 * Reads the keys into the ring, now and every second or two until stopped. Throws when the first
 * read fails; later failures go to `onError`.
 */
export async function keepKeys(
  session: Session,
  ring: ApiKeyRing,
  onError: (error: unknown) => void
): Promise<KeptKeys> {
  const read = async () => ring.replace(await session.query(allKeysStatement))
  await read()
  // One after the other, so that no older answer replaces a newer one.
  let reading = Promise.resolve()
  const readNext = () => {
    reading = reading.then(read).catch(onError)
    return reading
  }
  return { read: readNext, ...repeat(readNext, readPauseMs, onError) }
}
