/** Changing the order of a queue, which is possible only while the queue holds no message. */
import { orderSettings } from '../../core/lines.ts'
import type { SettingsChange } from '../../core/settings.ts'
import { settingPaths } from '../../core/settings.ts'
import { sql, type Session, type Statement } from '../statement.ts'

const changes = settingPaths
  .filter(({ path }) => orderSettings.includes(path[0]!))
  .map(({ path, column }) => `coalesce($2::jsonb->>'${path[0]!}' <> ${column}, false)`)

export const changesOrderStatement: Statement<{ changes: boolean }> = {
  name: 'changes_order',
  parameters: '$1 name · $2 change, as JSON',
  text: sql`
    select
      ${changes.join('\nor ')}
      as changes
    from holdfast.queues
    where name = $1`
}

// An enqueue that has read the old setting may not have stored its messages yet. The lock waits for
// every transaction that has written messages, and lets none begin until this one ends. An enqueue
// that waited for it then reads the new setting. Everybody waits meanwhile, so it waits briefly.
export const lockMessagesStatement: Statement = {
  name: 'lock_messages',
  text: 'lock table holdfast.messages in share row exclusive mode'
}

export const limitWaitStatement: Statement = {
  name: 'limit_wait',
  text: "set local lock_timeout = '500ms'"
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

/**
 * Whether a change may be made: it leaves the order as it is, or the queue holds no message. Until
 * the transaction ends, none is stored.
 */
export async function mayChangeOrder(
  session: Session,
  name: string,
  change: SettingsChange
): Promise<boolean> {
  if (!orderSettings.some(setting => setting in change)) return true
  const [row] = await session.query(changesOrderStatement, [name, JSON.stringify(change)])
  if (!row?.changes) return true
  await session.query(limitWaitStatement)
  await session.query(lockMessagesStatement)
  const [queue] = await session.query(isEmptyStatement, [name])
  return queue!.empty
}
