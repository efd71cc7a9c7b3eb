/** Queues: what they are set to, and their end. */
import type { BeginStandstill } from '../../core/engine/standstills.ts'
import { standstillMsMax } from '../../core/limits.ts'
import type { FrontNotes, Queue } from '../../core/queue.ts'
import { settingPaths, type ActiveSettings, type SettingRow } from '../../core/settings.ts'
import { madeQueue } from '../fragments.ts'
import { standStill } from './standstill.ts'
import type { Database } from '../database.ts'
import { sql, type Session, type Statement } from '../statement.ts'

/** The settings of a queue, as their columns. */
type SettingColumns = Record<SettingRow['column'], unknown>

/** A row of holdfast.queues. */
export interface QueueRow extends SettingColumns {
  id: number
  name: string
  front: FrontNotes
  moving_to: string | null
  created_at: string
  updated_at: string
}

const activePaths = settingPaths.filter(({ path }) => path[0] !== 'tags')
/** Of a note of a front. Calls act on short ones. The long ones are for reports. */
const shortNoteCharsMax = 64
/** What is read of a queue to act on it. Each process remembers that of thousands of queues. */
export const activeColumns = [
  'id',
  'name',
  sql`
    case
      when front <> '{}' then (
        select coalesce(jsonb_object_agg(key, value), '{}')
        from jsonb_each_text(front)
        where length(value) <= ${shortNoteCharsMax}
      )
      else front
    end as front`,
  // Nearly everywhere the table is empty, and then the function is not called.
  sql`
    case
      when exists (select from holdfast.placement) then holdfast.cell_of(name)
    end as moving_to`,
  ...activePaths.map(({ column }) => column)
]
export type ActiveRow = Pick<QueueRow, 'id' | 'name' | 'front' | 'moving_to'> & Omit<SettingColumns, 'tags'>

export const findStatement: Statement<ActiveRow> = {
  name: 'find_queue',
  parameters: '$1 name',
  text: sql`
    select
      ${activeColumns.join(',\n')}
    from holdfast.queues
    where name = $1`
}

/** A queue and the settings that are acted on. null when there is none. */
export async function findQueue(session: Session, name: string): Promise<Queue | null> {
  const [row] = await session.query(findStatement, [name])
  return row === undefined ? null : queueOf(row)
}

/** A queue from its row. */
export function queueOf(row: ActiveRow): Queue {
  const settings = settingsOf<ActiveSettings>(row, activePaths)
  return { id: String(row.id), name: row.name, settings, front: row.front, movingTo: row.moving_to }
}

export const createStatement: Statement<{ id: number }> = {
  name: 'create_queue',
  parameters: '$1 name',
  text: sql`
    with ${madeQueue}
    select id
    from made`
}

export const removeStatement: Statement = {
  name: 'remove_queue',
  parameters: '$1 name',
  text: sql`
    with gone as (
      delete from holdfast.queues
      where name = $1
      returning id
    ), uncounted as (
      delete from holdfast.counts c
      using gone
      where c.queue_id = gone.id
    )
    insert into holdfast.removed_queues (queue_id)
    select id
    from gone`
}

/**
 * Takes the name and the id away at once. The rows behind the id go later, in chunks. Nothing
 * happens if there is no such queue.
 */
export async function removeQueue(session: Session, name: string): Promise<void> {
  await session.query(removeStatement, [name])
}

export const holdsStatement: Statement<{ holds: boolean }> = {
  name: 'holds',
  parameters: '$1 queue',
  text: sql`
    select
      exists (select from holdfast.messages where queue_id = q.id)
        or exists (select from holdfast.acked where queue_id = q.id) as holds
    from holdfast.queues q
    where name = $1`
}

/**
 * Removes a queue that holds nothing, and answers whether it is gone. It looks twice, because everybody
 * waits for the second look: a queue that holds something does not cost that.
 */
export async function removeEmptyQueue(
  database: Database,
  name: string,
  begin: BeginStandstill = () => standstillMsMax
): Promise<boolean> {
  return await database.transaction(async session => {
    const holds = async () => (await session.query(holdsStatement, [name]))[0]?.holds
    const before = await holds()
    if (before !== false) return before === undefined
    return await standStill(session, begin(), async () => {
      if (await holds()) return false
      await removeQueue(session, name)
      return true
    })
  })
}

/** Settings, of the paths given, from the columns of a queue. */
export function settingsOf<S>(row: Partial<SettingColumns>, paths: typeof settingPaths): S {
  const settings: Record<string, unknown> = {}
  for (const { path, column, type } of paths) {
    // A bigint comes as text.
    const value = type === 'integer' && row[column] !== null ? Number(row[column]) : row[column]
    const [name, member] = path as [string, string?]
    if (member === undefined) settings[name] = value
    else settings[name] = { ...(settings[name] as object), [member]: value }
  }
  return settings as S
}

export const queueVerbs = { findQueue, removeQueue }
