/**
 * A standstill: until its transaction ends, no message is stored, settled or leased. The lock waits for
 * every transaction that has written messages, and lets none begin. So an enqueue that has read the old
 * settings of a queue has stored its messages, and a later one reads the new settings. Everybody waits
 * meanwhile. So a transaction does all it can before, and asks for the disk after it.
 */
import { messagesBusy } from '../../core/engine/standstills.ts'
import { QueueError } from '../../core/errors.ts'
import { standstillMsMax } from '../../core/limits.ts'
import { isServerError, sqlState } from '../databaseErrors.ts'
import { sql, type Transaction } from '../statement.ts'

const beginText = (waitMs: number) => sql`
  set local lock_timeout = ${waitMs};
  lock table holdfast.messages in share row exclusive mode;
  set local statement_timeout = ${standstillMsMax}`

/**
 * Begins a standstill, and does the work that needs it. No lock is waited for longer than `waitMs`. Throws
 * messagesBusy when others do not end their transactions in that time. Refuses with overloaded when the work
 * takes too long.
 */
export async function standStill<T>(
  session: Transaction,
  waitMs: number,
  work: () => Promise<T>
): Promise<T> {
  session.freeLocksEarly()
  try {
    await session.query(beginText(waitMs))
    return await work()
  } catch (error) {
    if (isServerError(error, sqlState.lockTimeout)) throw messagesBusy
    throw isServerError(error, sqlState.cancelled) ? tooManyToLookAt : error
  }
}

const tooManyToLookAt = new QueueError(
  'overloaded',
  `Everybody waits while the messages of this queue are looked at, and ${standstillMsMax} ms were not ` +
    'enough; nothing was changed. Send the request again later, when fewer messages are there or have ' +
    'just been deleted, or make another queue.'
)
