/**
 * Changing the order of a queue, which is possible only while it holds no message. The first limit per
 * group may come while all its messages stand in lines.
 */
import { messagesBusy, type BeginStandstill } from '../../core/engine/standstills.ts'
import { QueueError } from '../../core/errors.ts'
import { groupLimits } from '../../core/leaseLimits.ts'
import { orderSettings } from '../../core/lines.ts'
import type { SettingsChange } from '../../core/settings.ts'
import { settingPaths } from '../../core/settings.ts'
import { standstillMsMax } from '../../core/limits.ts'
import { isServerError, sqlState } from '../databaseErrors.ts'
import { statementMsMax } from '../sessionSettings.ts'
import { sql, type Session, type Statement } from '../statement.ts'

const rowsOf = (names: string[]) => settingPaths.filter(({ path }) => names.includes(path[0]!))
const changed = rowsOf(orderSettings).map(
  ({ path, column }) => `coalesce($2::jsonb->>'${path[0]!}' <> ${column}, false)`
)
const limited = rowsOf(groupLimits).map(({ path }) => `$2::jsonb->>'${path[0]!}' is not null`)
const unlimited = rowsOf(groupLimits).map(({ column }) => `${column} is null`)

export const changesOrderStatement: Statement<{ changes: boolean; limits: boolean }> = {
  name: 'changes_order',
  parameters: '$1 name · $2 change, as JSON',
  text: sql`
    select
      ${changed.join('\nor ')} as changes,
      ordering = 'none'
        and ${unlimited.join('\nand ')}
        and (${limited.join('\nor ')}) as limits
    from holdfast.queues
    where name = $1`
}

// An enqueue that has read the old setting may not have stored its messages yet. The lock waits for
// every transaction that has written messages, and lets none begin until this one ends. An enqueue
// that waited for it then reads the new setting. Everybody waits meanwhile, so it waits briefly.
export const holdMessagesStatement: Statement = {
  name: 'hold_messages',
  text: 'lock table holdfast.messages in share row exclusive mode'
}

export const limitWaitStatement: Statement = {
  name: 'limit_wait',
  text: `set local lock_timeout = ${standstillMsMax}`
}

export const beBriefStatement: Statement = {
  name: 'be_brief',
  text: `set local statement_timeout = ${standstillMsMax}`
}

// A commit that waits for a standby must never be cut short.
export const takeTimeStatement: Statement = {
  name: 'take_time',
  text: `set local statement_timeout = ${statementMsMax}`
}

export const isEmptyStatement: Statement<{ empty: boolean }> = {
  name: 'is_empty',
  parameters: '$1 name',
  text: sql`
    select not exists (
      select
      from holdfast.messages m
      where m.queue_id = (select id from holdfast.queues where name = $1)
    ) as empty`
}

export const isLinedStatement: Statement<{ lined: boolean }> = {
  name: 'is_lined',
  parameters: '$1 name',
  text: sql`
    select not exists (
      select
      from holdfast.messages m
      where m.queue_id = (select id from holdfast.queues where name = $1)
        and m.line is null
    ) as lined`
}

/**
 * Until the transaction ends, no message is stored, settled or leased. Throws messagesBusy when other
 * transactions that have written messages do not end soon.
 */
export async function holdMessages(session: Session): Promise<void> {
  await session.query(limitWaitStatement)
  try {
    await session.query(holdMessagesStatement)
  } catch (error) {
    throw isServerError(error, sqlState.lockTimeout) ? messagesBusy : error
  }
}

/** A look while everybody waits. Refuses with overloaded when it takes too long. */
export async function brief<T>(session: Session, look: () => Promise<T>): Promise<T> {
  await session.query(beBriefStatement)
  try {
    const seen = await look()
    await session.query(takeTimeStatement)
    return seen
  } catch (error) {
    throw isServerError(error, sqlState.cancelled) ? tooManyToLookAt : error
  }
}

const tooManyToLookAt = new QueueError(
  'overloaded',
  `Everybody waits while the messages of this queue are looked at, and ${standstillMsMax} ms were not ` +
    'enough; nothing was changed. Send the request again later, when fewer messages are there or have ' +
    'just been deleted, or make another queue.'
)

/**
 * Whether a change may be made: it leaves the order as it is, or the queue holds no message that would
 * have to join a line. Until the transaction ends, none is stored. It looks twice, because everybody
 * waits for the lock: a queue that holds something does not cost that.
 */
export async function mayChangeOrder(
  session: Session,
  name: string,
  change: SettingsChange,
  begin: BeginStandstill = () => {}
): Promise<boolean> {
  if (![...orderSettings, ...groupLimits].some(setting => setting in change)) return true
  const [row] = await session.query(changesOrderStatement, [name, JSON.stringify(change)])
  if (!row?.changes && !row?.limits) return true
  const isReady = async () =>
    row.changes
      ? (await session.query(isEmptyStatement, [name]))[0]!.empty
      : (await session.query(isLinedStatement, [name]))[0]!.lined
  if (!(await isReady())) return false
  begin()
  await holdMessages(session)
  return await brief(session, isReady)
}
