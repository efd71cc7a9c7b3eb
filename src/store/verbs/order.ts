/**
 * Changing the order of a queue, which is possible only while it holds no message. The first limit per
 * group may come while all its messages stand in lines.
 */
import { groupLimits } from '../../core/leaseLimits.ts'
import { orderSettings } from '../../core/lines.ts'
import type { SettingsChange } from '../../core/settings.ts'
import { settingPaths } from '../../core/settings.ts'
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
 * What must be true of a queue before its order may change: it holds no message that would have to join a
 * line. null: the change leaves the order as it is.
 */
export async function conditionOfOrder(
  session: Session,
  name: string,
  change: SettingsChange
): Promise<(() => Promise<boolean>) | null> {
  if (![...orderSettings, ...groupLimits].some(setting => setting in change)) return null
  const [row] = await session.query(changesOrderStatement, [name, JSON.stringify(change)])
  if (row?.changes) return async () => (await session.query(isEmptyStatement, [name]))[0]!.empty
  if (row?.limits) return async () => (await session.query(isLinedStatement, [name]))[0]!.lined
  return null
}
